"""From samples to a batch.

Depends on the core. Invariant: the batch has the structure of a sample, with one more axis in front.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from .._core import DTypeError, ShapeError, Tensor, asarray, stack


def default_collate(samples: Sequence[Any]) -> Any:
    """Stacks samples: tensors, arrays and numbers along a new first axis; tuples, lists and dicts part by part.

    Strings and bytes are kept in a list.

    Args:
        samples: Of one structure and, part by part, of one shape.

    Raises:
        ShapeError: If shapes or structures differ.
        DTypeError: If a part is nothing that can be stacked.

    Example:
        >>> default_collate([(ad.zeros(2), 1), (ad.ones(2), 0)])[1]
        tensor([1, 0])
    """
    return _collate(samples, "")


def _collate(samples: Sequence[Any], where: str) -> Any:
    first: Any = samples[0]
    if isinstance(first, Tensor):
        _check_shapes([sample.shape for sample in samples], where)
        return stack(samples)
    if isinstance(first, bool | int | float):
        return asarray(list(samples))
    if isinstance(first, str | bytes):
        return list(samples)
    if isinstance(first, Mapping):
        keys = list(cast("Mapping[Any, Any]", first))
        _check_structures([sorted(map(str, sample)) for sample in samples], "keys", where)
        return {key: _collate([sample[key] for sample in samples], f"{where}[{key!r}]") for key in keys}
    if isinstance(first, tuple | list):
        parts = cast("Sequence[Any]", first)
        _check_structures([len(sample) for sample in samples], "sizes", where)
        made = [_collate([sample[n] for sample in samples], f"{where}[{n}]") for n in range(len(parts))]
        if hasattr(parts, "_fields"):
            return cast("Any", type(parts))(*made)
        return tuple(made) if isinstance(parts, tuple) else made
    if not hasattr(first, "__array__"):
        raise DTypeError(
            f"DataLoader: the samples' part {where or 'itself'} is a {type(first).__name__}, which cannot be stacked. "
            "Give tensors, arrays, numbers, or tuples and dicts of them; or pass collate."
        )
    import numpy as np

    arrays = [np.asarray(sample) for sample in samples]
    _check_shapes([array.shape for array in arrays], where)
    return asarray(np.stack(arrays))


def _check_shapes(shapes: list[tuple[int, ...]], where: str) -> None:
    for number, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise ShapeError(
                f"DataLoader: samples 0 and {number} of a batch have the shapes {shapes[0]} and {shape}"
                f"{f' in part {where}' if where else ''}. Pad them to one shape, or pass collate."
            )


def _check_structures(found: list[Any], what: str, where: str) -> None:
    for number, one in enumerate(found):
        if one != found[0]:
            raise ShapeError(
                f"DataLoader: samples 0 and {number} of a batch have the {what} {found[0]} and {one}"
                f"{f' in part {where}' if where else ''}. Give samples of one structure, or pass collate."
            )
