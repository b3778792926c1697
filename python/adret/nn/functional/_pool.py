"""Maxima and averages of windows.

Depends on the core and `_windows`. Invariant: an axis that no window fits on is an error that names it.
"""

# The core is private to the package, of which this is a part.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, overload

from ... import _core
from ..._core import DomainError, Tensor
from ._windows import windows

__all__ = ["avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool1d", "max_pool2d", "max_pool3d"]

Sizes = int | Sequence[int]
Pair = tuple[Tensor, Tensor]


def _chosen(results: list[Tensor]) -> Tensor | Pair:
    """The values, or values and indices."""
    return (results[0], results[1]) if len(results) > 1 else results[0]


@overload
def max_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: Literal[False] = False,
    *,
    channels_last: bool = False,
) -> Tensor: ...
@overload
def max_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    *,
    return_indices: bool,
    channels_last: bool = False,
) -> Pair: ...
def max_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    channels_last: bool = False,
) -> Tensor | Pair:
    """The largest element of every window of width; NaN counts as the largest.

    The gradient goes to the first of equal elements.

    Args:
        input: A tensor `[batch, channels, width]`, or without a batch.
        kernel_size: Positions of a window.
        stride: Distance of windows; kernel_size if None.
        padding: Positions on both sides that hold nothing; half a window at most.
        dilation: Distance of a window's positions.
        ceil_mode: Whether a last window may end beyond the padding.
        return_indices: Whether to give back a pair: the maxima, and the place of each in its plane as int64.
        channels_last: Whether channels are the last axis, before and after.

    Raises:
        ShapeError: If a window does not fit on an axis.
        DomainError: If sizes, strides or dilations are below 1, or there is too much padding.

    Example:
        >>> max_pool1d(ad.tensor([[[1.0, 3.0, 2.0, 0.0]]]), 2).tolist()
        [[[3.0, 2.0]]]
    """
    taken = windows("max_pool1d", 1, kernel_size, stride, padding, dilation, ceil_mode)
    return _chosen(_core.max_pool(input, taken, channels_last, return_indices))


@overload
def max_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: Literal[False] = False,
    *,
    channels_last: bool = False,
) -> Tensor: ...
@overload
def max_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    *,
    return_indices: bool,
    channels_last: bool = False,
) -> Pair: ...
def max_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    channels_last: bool = False,
) -> Tensor | Pair:
    """The largest element of every window of height and width; NaN counts as the largest.

    The gradient goes to the first of equal elements.

    Args:
        input: A tensor `[batch, channels, height, width]`, or without a batch.
        kernel_size: Positions of a window, one number or one for each axis.
        stride: Distance of windows; kernel_size if None.
        padding: Positions on both sides that hold nothing; half a window at most.
        dilation: Distance of a window's positions.
        ceil_mode: Whether a last window may end beyond the padding.
        return_indices: Whether to give back a pair: the maxima, and the place of each in its plane as int64.
        channels_last: Whether channels are the last axis, before and after.

    Raises:
        ShapeError: If a window does not fit on an axis.
        DomainError: If sizes, strides or dilations are below 1, or there is too much padding.

    Example:
        >>> max_pool2d(ad.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), 2).tolist()
        [[[[4.0]]]]
    """
    taken = windows("max_pool2d", 2, kernel_size, stride, padding, dilation, ceil_mode)
    return _chosen(_core.max_pool(input, taken, channels_last, return_indices))


@overload
def max_pool3d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: Literal[False] = False,
    *,
    channels_last: bool = False,
) -> Tensor: ...
@overload
def max_pool3d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    *,
    return_indices: bool,
    channels_last: bool = False,
) -> Pair: ...
def max_pool3d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    channels_last: bool = False,
) -> Tensor | Pair:
    """The largest element of every window of depth, height and width; NaN counts as the largest.

    The gradient goes to the first of equal elements.

    Args:
        input: A tensor `[batch, channels, depth, height, width]`, or without a batch.
        kernel_size: Positions of a window, one number or one for each axis.
        stride: Distance of windows; kernel_size if None.
        padding: Positions on both sides that hold nothing; half a window at most.
        dilation: Distance of a window's positions.
        ceil_mode: Whether a last window may end beyond the padding.
        return_indices: Whether to give back a pair: the maxima, and the place of each in its plane as int64.
        channels_last: Whether channels are the last axis, before and after.

    Raises:
        ShapeError: If a window does not fit on an axis.
        DomainError: If sizes, strides or dilations are below 1, or there is too much padding.

    Example:
        >>> max_pool3d(ad.reshape(ad.arange(8.0), (1, 1, 2, 2, 2)), 2).tolist()
        [[[[[7.0]]]]]
    """
    taken = windows("max_pool3d", 3, kernel_size, stride, padding, dilation, ceil_mode)
    return _chosen(_core.max_pool(input, taken, channels_last, return_indices))


def avg_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    *,
    channels_last: bool = False,
) -> Tensor:
    """The mean of every window of width.

    Args:
        input: A tensor `[batch, channels, width]`, or without a batch.
        kernel_size: Positions of a window.
        stride: Distance of windows; kernel_size if None.
        padding: Zeros on both sides; half a window at most.
        ceil_mode: Whether a last window may end beyond the padding.
        count_include_pad: Whether zeros of the padding count as elements.
        channels_last: Whether channels are the last axis, before and after.

    Raises:
        ShapeError: If a window does not fit on an axis.
        DomainError: If sizes or strides are below 1, or there is too much padding.

    Example:
        >>> avg_pool1d(ad.tensor([[[1.0, 3.0, 2.0, 0.0]]]), 2).tolist()
        [[[2.0, 1.0]]]
    """
    taken = windows("avg_pool1d", 1, kernel_size, stride, padding, 1, ceil_mode)
    return _core.avg_pool(input, taken, count_include_pad, None, channels_last)


def avg_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    channels_last: bool = False,
) -> Tensor:
    """The mean of every window of height and width.

    Args:
        input: A tensor `[batch, channels, height, width]`, or without a batch.
        kernel_size: Positions of a window, one number or one for each axis.
        stride: Distance of windows; kernel_size if None.
        padding: Zeros on both sides; half a window at most.
        ceil_mode: Whether a last window may end beyond the padding.
        count_include_pad: Whether zeros of the padding count as elements.
        divisor_override: What sums are divided by, in place of the windows' sizes.
        channels_last: Whether channels are the last axis, before and after.

    Raises:
        ShapeError: If a window does not fit on an axis.
        DomainError: If sizes or strides are below 1, or there is too much padding.

    Example:
        >>> avg_pool2d(ad.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), 2).tolist()
        [[[[2.5]]]]
    """
    if divisor_override == 0:
        raise DomainError("avg_pool2d: divisor_override is 0. Use another number, or None.")
    taken = windows("avg_pool2d", 2, kernel_size, stride, padding, 1, ceil_mode)
    return _core.avg_pool(input, taken, count_include_pad, divisor_override, channels_last)


def avg_pool3d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    channels_last: bool = False,
) -> Tensor:
    """The mean of every window of depth, height and width.

    Args:
        input: A tensor `[batch, channels, depth, height, width]`, or without a batch.
        kernel_size: Positions of a window, one number or one for each axis.
        stride: Distance of windows; kernel_size if None.
        padding: Zeros on both sides; half a window at most.
        ceil_mode: Whether a last window may end beyond the padding.
        count_include_pad: Whether zeros of the padding count as elements.
        divisor_override: What sums are divided by, in place of the windows' sizes.
        channels_last: Whether channels are the last axis, before and after.

    Raises:
        ShapeError: If a window does not fit on an axis.
        DomainError: If sizes or strides are below 1, or there is too much padding.

    Example:
        >>> avg_pool3d(ad.reshape(ad.arange(8.0), (1, 1, 2, 2, 2)), 2).tolist()
        [[[[[3.5]]]]]
    """
    if divisor_override == 0:
        raise DomainError("avg_pool3d: divisor_override is 0. Use another number, or None.")
    taken = windows("avg_pool3d", 3, kernel_size, stride, padding, 1, ceil_mode)
    return _core.avg_pool(input, taken, count_include_pad, divisor_override, channels_last)
