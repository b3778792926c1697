"""Windows that share an axis evenly, whatever its size; and maxima put back where they came from.

Depends on the core, `_pool` and `_windows`. Invariant: window i of n reaches from floor(i * size / n) to
ceil((i + 1) * size / n).
"""

# The core is private to the package, of which this is a part.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, overload

from ... import _core
from ..._core import DomainError, ShapeError, Tensor
from ._windows import counts, windows

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
]

Counts = int | None | Sequence[int | None]
Sizes = int | Sequence[int]
Pair = tuple[Tensor, Tensor]


def adaptive_avg_pool1d(input: Tensor, output_size: Counts, *, channels_last: bool = False) -> Tensor:
    """Means of `output_size` windows that share width evenly.

    Args:
        input: A tensor `[batch, channels, width]`, or without a batch.
        output_size: How many; None leaves the axis as it is.
        channels_last: Whether channels are the last axis, before and after.

    Raises:
        ShapeError: If an axis is empty, or there are too many or too few.

    Example:
        >>> adaptive_avg_pool1d(ad.tensor([[[1.0, 3.0, 2.0, 0.0]]]), 1).tolist()
        [[[1.5]]]
    """
    return _core.adaptive_avg_pool(input, counts("adaptive_avg_pool1d", output_size, 1), channels_last)


def adaptive_avg_pool2d(input: Tensor, output_size: Counts, *, channels_last: bool = False) -> Tensor:
    """Means of `output_size` windows that share height and width evenly.

    Args:
        input: A tensor `[batch, channels, height, width]`, or without a batch.
        output_size: How many; one number or one for each axis; None leaves an axis as it is.
        channels_last: Whether channels are the last axis, before and after.

    Raises:
        ShapeError: If an axis is empty, or there are too many or too few.

    Example:
        >>> adaptive_avg_pool2d(ad.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), 1).tolist()
        [[[[2.5]]]]
    """
    return _core.adaptive_avg_pool(input, counts("adaptive_avg_pool2d", output_size, 2), channels_last)


def adaptive_avg_pool3d(input: Tensor, output_size: Counts, *, channels_last: bool = False) -> Tensor:
    """Means of `output_size` windows that share depth, height and width evenly.

    Args:
        input: A tensor `[batch, channels, depth, height, width]`, or without a batch.
        output_size: How many; one number or one for each axis; None leaves an axis as it is.
        channels_last: Whether channels are the last axis, before and after.

    Raises:
        ShapeError: If an axis is empty, or there are too many or too few.

    Example:
        >>> adaptive_avg_pool3d(ad.reshape(ad.arange(8.0), (1, 1, 2, 2, 2)), 1).tolist()
        [[[[[3.5]]]]]
    """
    return _core.adaptive_avg_pool(input, counts("adaptive_avg_pool3d", output_size, 3), channels_last)


@overload
def adaptive_max_pool1d(
    input: Tensor, output_size: Counts, return_indices: Literal[False] = False, *, channels_last: bool = False
) -> Tensor: ...
@overload
def adaptive_max_pool1d(
    input: Tensor, output_size: Counts, return_indices: bool, *, channels_last: bool = False
) -> Pair: ...
def adaptive_max_pool1d(
    input: Tensor, output_size: Counts, return_indices: bool = False, *, channels_last: bool = False
) -> Tensor | Pair:
    """The largest elements of `output_size` windows that share width evenly.

    Args:
        input: A tensor `[batch, channels, width]`, or without a batch.
        output_size: How many; None leaves the axis as it is.
        return_indices: Whether to give back a pair: the maxima, and the place of each in its plane as int64.
        channels_last: Whether channels are the last axis, before and after.

    Raises:
        ShapeError: If an axis is empty, or there are too many or too few.

    Example:
        >>> adaptive_max_pool1d(ad.tensor([[[1.0, 3.0, 2.0, 0.0]]]), 1).tolist()
        [[[3.0]]]
    """
    taken = counts("adaptive_max_pool1d", output_size, 1)
    values, *places = _core.adaptive_max_pool(input, taken, channels_last, return_indices)
    return (values, places[0]) if places else values


@overload
def adaptive_max_pool2d(
    input: Tensor, output_size: Counts, return_indices: Literal[False] = False, *, channels_last: bool = False
) -> Tensor: ...
@overload
def adaptive_max_pool2d(
    input: Tensor, output_size: Counts, return_indices: bool, *, channels_last: bool = False
) -> Pair: ...
def adaptive_max_pool2d(
    input: Tensor, output_size: Counts, return_indices: bool = False, *, channels_last: bool = False
) -> Tensor | Pair:
    """The largest elements of `output_size` windows that share height and width evenly.

    Args:
        input: A tensor `[batch, channels, height, width]`, or without a batch.
        output_size: How many; one number or one for each axis; None leaves an axis as it is.
        return_indices: Whether to give back a pair: the maxima, and the place of each in its plane as int64.
        channels_last: Whether channels are the last axis, before and after.

    Raises:
        ShapeError: If an axis is empty, or there are too many or too few.

    Example:
        >>> adaptive_max_pool2d(ad.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), 1).tolist()
        [[[[4.0]]]]
    """
    taken = counts("adaptive_max_pool2d", output_size, 2)
    values, *places = _core.adaptive_max_pool(input, taken, channels_last, return_indices)
    return (values, places[0]) if places else values


@overload
def adaptive_max_pool3d(
    input: Tensor, output_size: Counts, return_indices: Literal[False] = False, *, channels_last: bool = False
) -> Tensor: ...
@overload
def adaptive_max_pool3d(
    input: Tensor, output_size: Counts, return_indices: bool, *, channels_last: bool = False
) -> Pair: ...
def adaptive_max_pool3d(
    input: Tensor, output_size: Counts, return_indices: bool = False, *, channels_last: bool = False
) -> Tensor | Pair:
    """The largest elements of `output_size` windows that share depth, height and width evenly.

    Args:
        input: A tensor `[batch, channels, depth, height, width]`, or without a batch.
        output_size: How many; one number or one for each axis; None leaves an axis as it is.
        return_indices: Whether to give back a pair: the maxima, and the place of each in its plane as int64.
        channels_last: Whether channels are the last axis, before and after.

    Raises:
        ShapeError: If an axis is empty, or there are too many or too few.

    Example:
        >>> adaptive_max_pool3d(ad.reshape(ad.arange(8.0), (1, 1, 2, 2, 2)), 1).tolist()
        [[[[[7.0]]]]]
    """
    taken = counts("adaptive_max_pool3d", output_size, 3)
    values, *places = _core.adaptive_max_pool(input, taken, channels_last, return_indices)
    return (values, places[0]) if places else values


def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Puts maxima back to the places that `max_pool1d` gave for them, among zeros.

    Args:
        input: The maxima, `[batch, channels, width]`, or without a batch.
        indices: Their places, of the same shape.
        kernel_size: That of the pooling, as are stride and padding.
        stride: Distance of windows; kernel_size if None.
        padding: Positions on both sides.
        output_size: Sizes of the result, where the pooling left open which of several it had.

    Raises:
        ShapeError: If shapes differ, or no such pooling gives the input's size from `output_size`.
        OutOfRangeError: If a place is outside the result's plane.

    Example:
        >>> x = ad.tensor([[[1.0, 3.0, 2.0, 0.0]]])
        >>> values, places = ad.nn.functional.max_pool1d(x, 2, return_indices=True)
        >>> max_unpool1d(values, places, 2).tolist()
        [[[0.0, 3.0, 2.0, 0.0]]]
    """
    return _unpool("max_unpool1d", 1, input, indices, (kernel_size, stride, padding), output_size)


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Puts maxima back to the places that `max_pool2d` gave for them, among zeros.

    Args:
        input: The maxima, `[batch, channels, height, width]`, or without a batch.
        indices: Their places, of the same shape.
        kernel_size: That of the pooling, as are stride and padding.
        stride: Distance of windows; kernel_size if None.
        padding: Positions on both sides.
        output_size: Sizes of the result, where the pooling left open which of several it had.

    Raises:
        ShapeError: If shapes differ, or no such pooling gives the input's size from `output_size`.
        OutOfRangeError: If a place is outside the result's plane.

    Example:
        >>> x = ad.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
        >>> values, places = ad.nn.functional.max_pool2d(x, 2, return_indices=True)
        >>> max_unpool2d(values, places, 2).tolist()
        [[[[0.0, 0.0], [0.0, 4.0]]]]
    """
    return _unpool("max_unpool2d", 2, input, indices, (kernel_size, stride, padding), output_size)


def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Puts maxima back to the places that `max_pool3d` gave for them, among zeros.

    Args:
        input: The maxima, `[batch, channels, depth, height, width]`, or without a batch.
        indices: Their places, of the same shape.
        kernel_size: That of the pooling, as are stride and padding.
        stride: Distance of windows; kernel_size if None.
        padding: Positions on both sides.
        output_size: Sizes of the result, where the pooling left open which of several it had.

    Raises:
        ShapeError: If shapes differ, or no such pooling gives the input's size from `output_size`.
        OutOfRangeError: If a place is outside the result's plane.

    Example:
        >>> x = ad.reshape(ad.arange(8.0), (1, 1, 2, 2, 2))
        >>> values, places = ad.nn.functional.max_pool3d(x, 2, return_indices=True)
        >>> max_unpool3d(values, places, 2).tolist()
        [[[[[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 7.0]]]]]
    """
    return _unpool("max_unpool3d", 3, input, indices, (kernel_size, stride, padding), output_size)


def _unpool(
    name: str,
    axes: int,
    input: Tensor,
    indices: Tensor,
    pooling: tuple[Sizes, Sizes | None, Sizes],
    output_size: Sequence[int] | None,
) -> Tensor:
    kernel, stride, padding, *_ = windows(name, axes, *pooling)
    if input.shape != indices.shape or input.ndim not in (axes + 1, axes + 2):
        raise ShapeError(
            f"{name}: input is {input.shape} and indices are {indices.shape}. "
            f"Give both one shape of {axes + 2} axes, or {axes + 1} without a batch."
        )
    around, before = input.shape[:-axes], input.shape[-axes:]
    usual = [(n - 1) * s - 2 * p + k for n, k, s, p in zip(before, kernel, stride, padding, strict=True)]
    sizes = usual if output_size is None else [int(size) for size in output_size][-axes:]
    if output_size is not None and len(output_size) not in (axes, axes + 2, input.ndim):
        raise DomainError(f"{name}: output_size is {tuple(output_size)}. Give {axes} numbers, one for each axis.")
    for size, middle, step in zip(sizes, usual, stride, strict=True):
        if output_size is not None and not middle - step < size < middle + step:
            raise ShapeError(
                f"{name}: output_size is {tuple(output_size)}, and such a pooling gives {before} from about "
                f"{tuple(usual)}. Differ from that by less than the stride {stride}."
            )
    if min(sizes) < 1:
        raise ShapeError(f"{name}: input {input.shape} would become {tuple(sizes)}. Use less padding.")
    planes, elements = math.prod(around), math.prod(sizes)
    # Taking from a ramp checks the places; those of plane p then begin at p * elements.
    ramp = _core.arange(elements, device=input.device)
    places = _core.take(ramp, _core.reshape(indices, (planes, math.prod(before))))
    first = _core.expand_dims(_core.arange(planes, device=input.device) * elements, 1)
    result = _core.zeros(planes * elements, dtype=input.dtype, device=input.device)
    result[_core.reshape(places + first, (-1,))] = _core.reshape(input, (-1,))
    return _core.reshape(result, (*around, *sizes))
