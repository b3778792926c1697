"""Elements found by their values: `topk`, `searchsorted`, `nonzero` and the four `unique_*`.

Depends on the core only. Invariant: `nonzero` and `unique_*`, whose shapes depend on values, compute these in the call;
the others are lazy.
"""

from __future__ import annotations

import builtins
from typing import NamedTuple

from . import _core
from ._array_api import isdtype
from ._core import DomainError, DTypeError, OutOfRangeError, ShapeError, Tensor


class TopK(NamedTuple):
    """The best elements of an axis and where they were."""

    values: Tensor
    indices: Tensor


class UniqueCounts(NamedTuple):
    """Distinct values, and how often each occurs."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """Distinct values, and which of them each element is."""

    values: Tensor
    inverse_indices: Tensor


class UniqueAll(NamedTuple):
    """Distinct values, where each occurs first, which of them each element is, and how often each occurs."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


def topk(x: Tensor, k: int, /, axis: int = -1, largest: bool = True, sorted: bool = True) -> TopK:
    """The k largest elements along an axis, or the smallest.

    Elements come in order, of equal ones the first first; NaN counts as neither large nor small and comes last.

    Args:
        x: Where to look.
        k: How many.
        axis: Along which axis.
        largest: Whether the largest are asked for.
        sorted: Whether the order matters; they are in order in any case.

    Shape:
        both outputs: `x`'s, with k along the axis.

    Raises:
        OutOfRangeError: If there is no such axis, or it has fewer than k elements.

    Example:
        >>> values, indices = ad.topk(ad.tensor([3.0, 9.0, 5.0]), 2)
        >>> values, indices
        (tensor([9., 5.]), tensor([1, 2]))
    """
    for name, number in (("k", k), ("axis", axis)):
        if not hasattr(number, "__index__"):
            raise DTypeError(f"topk: {name} is {number!r}, a {type(number).__name__}. Use an int.")
    if not -x.ndim <= axis < x.ndim:
        raise OutOfRangeError(f"topk: axis {axis} of {x.shape}. Name an existing axis.")
    if not 0 <= k <= x.shape[axis]:
        raise OutOfRangeError(
            f"topk: k is {k} and axis {axis} of {x.shape} has {x.shape[axis]}. Ask for no more than there are."
        )
    before = (builtins.slice(None),) * (axis % x.ndim)
    indices = _core.argsort(x, axis=axis, descending=largest)[(*before, builtins.slice(0, k))]
    return TopK(_core.take_along_axis(x, indices, axis=axis), indices)


def searchsorted(x1: Tensor, x2: Tensor, /, *, side: str = "left", sorter: Tensor | None = None) -> Tensor:
    """Where elements would have to be inserted so that a sorted vector stays sorted.

    Args:
        x1: A vector in rising order, NaN last.
        x2: What would be inserted.
        side: `"left"` of its equals, or `"right"`.
        sorter: Positions that bring `x1` in order, where it is not.

    Shape:
        output: `x2`'s, integers from 0 up to the length of `x1`.

    Raises:
        ShapeError: If `x1` is no vector.
        DomainError: For another side.

    Example:
        >>> ad.searchsorted(ad.tensor([1.0, 3.0, 5.0]), ad.tensor([0.0, 3.0, 9.0]))
        tensor([0, 1, 3])
    """
    if x1.ndim != 1:
        raise ShapeError(f"searchsorted: x1 is {x1.shape}. Give a vector.")
    if side not in ("left", "right"):
        raise DomainError(f"searchsorted: side is {side!r}. Use 'left' or 'right'.")
    if sorter is not None:
        x1 = x1[sorter]
    count = x1.shape[0]
    found = _core.zeros(x2.shape, dtype=_core.argsort(x1).dtype, device=x2.device)
    step = 1 << count.bit_length() >> 1
    while step:
        # As many as `further` would come before it, if the last of these does.
        further = found + step
        last = x1[_core.minimum(further, _core.full_like(further, count)) - 1]
        precedes = last < x2 if side == "left" else last <= x2
        if isdtype(x2.dtype, "real floating"):
            precedes = precedes | (_core.isnan(x2) & ((last == last) if side == "left" else True))
        found = _core.where((further <= count) & precedes, further, found)
        step >>= 1
    return found


def nonzero(x: Tensor, /) -> tuple[Tensor, ...]:
    """Where elements are not zero, in row-major order; computes the values.

    Args:
        x: What is searched.

    Returns:
        For each axis the coordinates.

    Raises:
        ShapeError: If `x` has no axes.
        CompileError: Inside of a compiled function.

    Example:
        >>> ad.nonzero(ad.tensor([0.0, 7.0, 0.0, 8.0]))
        (tensor([1, 3]),)
    """
    if x.ndim == 0:
        raise ShapeError("nonzero: a tensor without axes. Give it one with expand_dims.")
    places = _places((x if x.dtype == _core.bool else x != 0).reshape((-1,)))
    coordinates: list[Tensor] = []
    for size in reversed(x.shape):
        around = places // max(size, 1)
        coordinates.append(places - around * size)
        places = around
    return tuple(reversed(coordinates))


def _places(mask: Tensor) -> Tensor:
    """Positions of what is true."""
    return _core.arange(mask.shape[0], device=mask.device)[mask]


def _begins(values: Tensor) -> Tensor:
    """Which elements of a sorted vector differ from the one before."""
    first = _core.ones((min(values.shape[0], 1),), dtype="bool", device=values.device)
    return _core.concat([first, values[1:] != values[:-1]])


def _counts(places: Tensor, count: int) -> Tensor:
    """Lengths of runs that begin at these places."""
    end = _core.full((min(count, 1),), count, dtype=places.dtype, device=places.device)
    ends = _core.concat([places, end])
    return ends[1:] - ends[:-1]


def unique_values(x: Tensor, /) -> Tensor:
    """The distinct elements in rising order, every NaN for itself; computes the values.

    Args:
        x: Elements of any shape.

    Raises:
        CompileError: Inside of a compiled function.

    Example:
        >>> ad.unique_values(ad.tensor([3, 1, 3]))
        tensor([1, 3])
    """
    values = _core.sort(x.reshape((-1,)))
    return values[_begins(values)]


def unique_counts(x: Tensor, /) -> UniqueCounts:
    """The distinct elements in rising order and how often each occurs; computes the values.

    Args:
        x: Elements of any shape.

    Raises:
        CompileError: Inside of a compiled function.

    Example:
        >>> ad.unique_counts(ad.tensor([3, 1, 3])).counts
        tensor([1, 2])
    """
    values = _core.sort(x.reshape((-1,)))
    places = _places(_begins(values))
    return UniqueCounts(values[places], _counts(places, values.shape[0]))


def unique_inverse(x: Tensor, /) -> UniqueInverse:
    """The distinct elements in rising order, and for each element of `x` which of them it is; computes the values.

    Args:
        x: Elements of any shape.

    Raises:
        CompileError: Inside of a compiled function.

    Example:
        >>> ad.unique_inverse(ad.tensor([3, 1, 3])).inverse_indices
        tensor([1, 0, 1])
    """
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


def unique_all(x: Tensor, /) -> UniqueAll:
    """The distinct elements in rising order, with all that is known of them; computes the values.

    Args:
        x: Elements of any shape.

    Raises:
        CompileError: Inside of a compiled function.

    Example:
        >>> ad.unique_all(ad.tensor([3, 1, 3])).indices
        tensor([1, 0])
    """
    flat = x.reshape((-1,))
    order = _core.argsort(flat)
    values = flat[order]
    begins = _begins(values)
    places = _places(begins)
    which = _core.cumsum(begins.astype(order.dtype)) - 1
    inverse = _core.scatter_add(_core.zeros_like(which), order, which, axis=0)
    return UniqueAll(values[places], order[places], inverse.reshape(x.shape), _counts(places, values.shape[0]))
