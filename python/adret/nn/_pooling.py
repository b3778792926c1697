"""Layers that pool.

Depends on `functional`. Invariant: they have no parameters; settings that fit no input are refused when
the layer is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._core import DomainError, Tensor
from . import functional as F
from ._module import Module
from .functional._windows import windows

Sizes = int | Sequence[int]


class _MaxPool(Module):
    """What they share: the settings."""

    _axes: int

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
        *,
        channels_last: bool = False,
    ) -> None:
        """Takes the windows."""
        windows(type(self).__name__, self._axes, kernel_size, stride, padding, dilation, ceil_mode)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode
        self.channels_last = channels_last

    def forward(self, input: Tensor) -> Any:
        """The maxima, or with `return_indices` a pair."""
        function = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[self._axes - 1]
        return function(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            return_indices=self.return_indices,
            channels_last=self.channels_last,
        )

    def extra_repr(self) -> str:
        """The windows."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """Takes the largest element of every window of width.

    Args:
        kernel_size: Positions of a window.
        stride: Distance of windows; kernel_size if None.
        padding: Positions on both sides that hold nothing; half a window at most.
        dilation: Distance of a window's positions.
        return_indices: Whether to give back a pair: the maxima, and the place of each in its plane.
        ceil_mode: Whether a last window may end beyond the padding.
        channels_last: Whether channels are the last axis, before and after.

    Shape:
        input `[batch, channels, width]`, or without a batch; output the same, with a size of
        floor((size + 2 * padding - dilation * (kernel_size - 1) - 1) / stride + 1) along an axis.

    Raises:
        ShapeError: If a window does not fit on an axis.
        DomainError: If sizes, strides or dilations are below 1, or there is too much padding.

    Example:
        >>> MaxPool1d(2)(ad.ones((1, 1, 4))).shape
        (1, 1, 2)
    """

    _axes = 1


class MaxPool2d(_MaxPool):
    """Takes the largest element of every window of height and width.

    Args:
        kernel_size: Positions of a window, one number or one for each axis.
        stride: Distance of windows; kernel_size if None.
        padding: Positions on both sides that hold nothing; half a window at most.
        dilation: Distance of a window's positions.
        return_indices: Whether to give back a pair: the maxima, and the place of each in its plane.
        ceil_mode: Whether a last window may end beyond the padding.
        channels_last: Whether channels are the last axis, before and after.

    Shape:
        input `[batch, channels, height, width]`, or without a batch; output the same, with a size of
        floor((size + 2 * padding - dilation * (kernel_size - 1) - 1) / stride + 1) along an axis.

    Raises:
        ShapeError: If a window does not fit on an axis.
        DomainError: If sizes, strides or dilations are below 1, or there is too much padding.

    Example:
        >>> MaxPool2d(2)(ad.ones((1, 1, 4, 4))).shape
        (1, 1, 2, 2)
    """

    _axes = 2


class MaxPool3d(_MaxPool):
    """Takes the largest element of every window of depth, height and width.

    Args:
        kernel_size: Positions of a window, one number or one for each axis.
        stride: Distance of windows; kernel_size if None.
        padding: Positions on both sides that hold nothing; half a window at most.
        dilation: Distance of a window's positions.
        return_indices: Whether to give back a pair: the maxima, and the place of each in its plane.
        ceil_mode: Whether a last window may end beyond the padding.
        channels_last: Whether channels are the last axis, before and after.

    Shape:
        input `[batch, channels, depth, height, width]`, or without a batch; output the same, with a size of
        floor((size + 2 * padding - dilation * (kernel_size - 1) - 1) / stride + 1) along an axis.

    Raises:
        ShapeError: If a window does not fit on an axis.
        DomainError: If sizes, strides or dilations are below 1, or there is too much padding.

    Example:
        >>> MaxPool3d(2)(ad.ones((1, 1, 4, 4, 4))).shape
        (1, 1, 2, 2, 2)
    """

    _axes = 3


class _AvgPool(Module):
    """What they share: the settings."""

    _axes: int

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
        *,
        channels_last: bool = False,
    ) -> None:
        """Takes the windows."""
        name = type(self).__name__
        windows(name, self._axes, kernel_size, stride, padding, 1, ceil_mode)
        if divisor_override == 0:
            raise DomainError(f"{name}: divisor_override is 0. Use another number, or None.")
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override
        self.channels_last = channels_last

    def forward(self, input: Tensor) -> Tensor:
        """The means."""
        settings = (self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)
        if self._axes == 1:
            return F.avg_pool1d(input, *settings, channels_last=self.channels_last)
        function = F.avg_pool2d if self._axes == 2 else F.avg_pool3d
        return function(input, *settings, self.divisor_override, channels_last=self.channels_last)

    def extra_repr(self) -> str:
        """The windows."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool):
    """Takes the mean of every window of width.

    Args:
        kernel_size: Positions of a window.
        stride: Distance of windows; kernel_size if None.
        padding: Zeros on both sides; half a window at most.
        ceil_mode: Whether a last window may end beyond the padding.
        count_include_pad: Whether zeros of the padding count as elements.
        channels_last: Whether channels are the last axis, before and after.

    Shape:
        input `[batch, channels, width]`, or without a batch; output the same, with a size of
        floor((size + 2 * padding - kernel_size) / stride + 1) along an axis.

    Raises:
        ShapeError: If a window does not fit on an axis.
        DomainError: If sizes or strides are below 1, or there is too much padding.

    Example:
        >>> AvgPool1d(2)(ad.ones((1, 1, 4))).shape
        (1, 1, 2)
    """

    _axes = 1

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        *,
        channels_last: bool = False,
    ) -> None:
        """Takes the windows."""
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad, channels_last=channels_last)


class AvgPool2d(_AvgPool):
    """Takes the mean of every window of height and width.

    Args:
        kernel_size: Positions of a window, one number or one for each axis.
        stride: Distance of windows; kernel_size if None.
        padding: Zeros on both sides; half a window at most.
        ceil_mode: Whether a last window may end beyond the padding.
        count_include_pad: Whether zeros of the padding count as elements.
        divisor_override: What sums are divided by, in place of the windows' sizes.
        channels_last: Whether channels are the last axis, before and after.

    Shape:
        input `[batch, channels, height, width]`, or without a batch; output the same, with a size of
        floor((size + 2 * padding - kernel_size) / stride + 1) along an axis.

    Raises:
        ShapeError: If a window does not fit on an axis.
        DomainError: If sizes or strides are below 1, or there is too much padding.

    Example:
        >>> AvgPool2d(2)(ad.ones((1, 1, 4, 4))).shape
        (1, 1, 2, 2)
    """

    _axes = 2


class AvgPool3d(_AvgPool):
    """Takes the mean of every window of depth, height and width.

    Args:
        kernel_size: Positions of a window, one number or one for each axis.
        stride: Distance of windows; kernel_size if None.
        padding: Zeros on both sides; half a window at most.
        ceil_mode: Whether a last window may end beyond the padding.
        count_include_pad: Whether zeros of the padding count as elements.
        divisor_override: What sums are divided by, in place of the windows' sizes.
        channels_last: Whether channels are the last axis, before and after.

    Shape:
        input `[batch, channels, depth, height, width]`, or without a batch; output the same, with a size of
        floor((size + 2 * padding - kernel_size) / stride + 1) along an axis.

    Raises:
        ShapeError: If a window does not fit on an axis.
        DomainError: If sizes or strides are below 1, or there is too much padding.

    Example:
        >>> AvgPool3d(2)(ad.ones((1, 1, 4, 4, 4))).shape
        (1, 1, 2, 2, 2)
    """

    _axes = 3


class _LPPool(Module):
    """What they share: the settings."""

    _axes: int

    def __init__(
        self, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
    ) -> None:
        """Takes the power and the windows."""
        windows(type(self).__name__, self._axes, kernel_size, stride, 0, 1, ceil_mode)
        self.norm_type = float(norm_type)
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        """The roots of the sums of powers."""
        function = (F.lp_pool1d, F.lp_pool2d, F.lp_pool3d)[self._axes - 1]
        return function(input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        """The settings."""
        return f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}"


class LPPool1d(_LPPool):
    """(sum x^p)^(1/p) of every window of width.

    Args:
        norm_type: p.
        kernel_size: Positions of a window.
        stride: Distance of windows; kernel_size if None.
        ceil_mode: Whether a last window may end beyond the input.

    Raises:
        DomainError: If sizes or strides are below 1.

    Example:
        >>> LPPool1d(2, 4)(ad.ones((1, 1, 4))).tolist()
        [[[2.0]]]
    """

    _axes = 1


class LPPool2d(_LPPool):
    """(sum x^p)^(1/p) of every window of height and width.

    Args:
        norm_type: p.
        kernel_size: Positions of a window.
        stride: Distance of windows; kernel_size if None.
        ceil_mode: Whether a last window may end beyond the input.

    Raises:
        DomainError: If sizes or strides are below 1.

    Example:
        >>> LPPool2d(2, 2)(ad.ones((1, 1, 2, 2))).tolist()
        [[[[2.0]]]]
    """

    _axes = 2


class LPPool3d(_LPPool):
    """(sum x^p)^(1/p) of every window of depth, height and width.

    Args:
        norm_type: p.
        kernel_size: Positions of a window.
        stride: Distance of windows; kernel_size if None.
        ceil_mode: Whether a last window may end beyond the input.

    Raises:
        DomainError: If sizes or strides are below 1.

    Example:
        >>> LPPool3d(1, 2)(ad.ones((1, 1, 2, 2, 2))).tolist()
        [[[[[8.0]]]]]
    """

    _axes = 3
