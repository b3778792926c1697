"""Columns: arrays, or tuples and dicts of arrays, whose first axes count the same samples.

Depends on the core and on trees. Invariant: a checked tree holds tensors of one length, at least 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from .._core import DomainError, ShapeError, Tensor, asarray, int32, take
from ..autograd import leaves_of, rebuilt

Columns = Any
"""A tensor, or a tree of tensors, of one length."""


def is_array(value: object) -> bool:
    """Whether a value is an array of this or another library."""
    return isinstance(value, Tensor) or hasattr(value, "__dlpack__") or hasattr(value, "__array__")


def is_columns(data: object) -> bool:
    """Whether data is cut by rows: an array, or a tuple or dict of arrays. A list is a list of samples."""
    if isinstance(data, Mapping):
        parts = [*cast("Mapping[Any, object]", data).values()]
    elif isinstance(data, tuple):
        parts = [*cast("tuple[object, ...]", data)]
    else:
        return is_array(data)
    return bool(parts) and all(is_array(part) or is_columns(part) or isinstance(part, list) for part in parts)


def columns_of(name: str, data: object) -> Columns:
    """The data as tensors, copied where they were not tensors.

    Args:
        name: Who asks, for messages.
        data: An array, or a tuple or dict of arrays or lists of numbers.

    Raises:
        ShapeError: If lengths differ, or an array has no axes.
        DomainError: If there are no samples.
    """
    return checked(name, _tensors(data))


def _tensors(data: Any) -> Columns:
    if isinstance(data, Mapping):
        return {key: _tensors(part) for key, part in cast("Mapping[Any, Any]", data).items()}
    if isinstance(data, tuple):
        return tuple(_tensors(part) for part in cast("tuple[Any, ...]", data))
    return data.detach() if isinstance(data, Tensor) else asarray(data if isinstance(data, list) else _own(data))


def _own(array: Any) -> Any:
    # Whatever only turns into an array of NumPy (a data frame) is turned by NumPy.
    if hasattr(array, "__dlpack__"):
        return array
    import numpy as np

    return np.asarray(array)


def checked(name: str, columns: Columns) -> Columns:
    """The columns, if they have one length."""
    leaves: list[Tensor] = leaves_of(columns)
    if any(leaf.ndim == 0 for leaf in leaves):
        raise ShapeError(f"{name}: an array has no axes. Give arrays whose first axis counts the samples.")
    lengths = [len(leaf) for leaf in leaves]
    if len(set(lengths)) > 1:
        raise ShapeError(
            f"{name}: the arrays have {', '.join(map(str, lengths[:-1]))} and {lengths[-1]} samples. "
            "Give arrays that are equally long along the first axis."
        )
    if not lengths or not lengths[0]:
        raise DomainError(f"{name}: the data has no samples. Give at least one.")
    return columns


def rows_of(tensor: Tensor, rows: Tensor) -> Tensor:
    """The rows of these numbers, on the tensor's device."""
    if rows.device != tensor.device:
        # GPUs mostly lack int64, and no tensor there has so many rows.
        rows = rows.astype(int32).to(device=tensor.device)
    return take(tensor, rows)


def length_of(columns: Columns) -> int:
    """The number of samples."""
    return len(leaves_of(columns)[0])


def at(columns: Columns, index: Any) -> Any:
    """One sample, or the samples of a slice."""
    if isinstance(columns, Tensor):
        return columns[index]
    return rebuilt(columns, [leaf[index] for leaf in leaves_of(columns)])
