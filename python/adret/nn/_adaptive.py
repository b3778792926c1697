"""Layers whose windows share an axis evenly, means of whole planes, and maxima put back.

Depends on `functional`. Invariant: they have no parameters; their windows follow from the input's sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._core import ShapeError, Tensor, mean
from . import functional as F
from ._module import Module
from .functional._windows import counts, windows

Sizes = int | Sequence[int]
Counts = int | None | Sequence[int | None]


class _Adaptive(Module):
    """What they share: how many windows there are."""

    _axes: int

    def __init__(self, output_size: Counts, *, channels_last: bool = False) -> None:
        """Takes the numbers of windows."""
        counts(type(self).__name__, output_size, self._axes)
        self.output_size = output_size
        self.channels_last = channels_last

    def extra_repr(self) -> str:
        """How many windows there are."""
        return f"output_size={self.output_size}"


class _AdaptiveAvgPool(_Adaptive):
    """Means."""

    def forward(self, input: Tensor) -> Tensor:
        """The means."""
        function = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)[self._axes - 1]
        return function(input, self.output_size, channels_last=self.channels_last)


class _AdaptiveMaxPool(_Adaptive):
    """Maxima."""

    def __init__(self, output_size: Counts, return_indices: bool = False, *, channels_last: bool = False) -> None:
        """Takes the numbers of windows."""
        super().__init__(output_size, channels_last=channels_last)
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        """The maxima, or with `return_indices` a pair."""
        function = (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)[self._axes - 1]
        return function(input, self.output_size, self.return_indices, channels_last=self.channels_last)


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Takes the means of windows that share width evenly.

    Args:
        output_size: How many windows; None leaves the axis as it is.
        channels_last: Whether channels are the last axis, before and after.

    Shape:
        input `[batch, channels, width]`, or without a batch; output the same, with those sizes.

    Raises:
        ShapeError: If an axis is empty, or there are too many or too few.

    Example:
        >>> AdaptiveAvgPool1d(2)(ad.ones((1, 1, 4))).shape
        (1, 1, 2)
    """

    _axes = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Takes the means of windows that share height and width evenly.

    Args:
        output_size: How many windows, one number or one for each axis; None leaves an axis as it is.
        channels_last: Whether channels are the last axis, before and after.

    Shape:
        input `[batch, channels, height, width]`, or without a batch; output the same, with those sizes.

    Raises:
        ShapeError: If an axis is empty, or there are too many or too few.

    Example:
        >>> AdaptiveAvgPool2d(2)(ad.ones((1, 1, 4, 4))).shape
        (1, 1, 2, 2)
    """

    _axes = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """Takes the means of windows that share depth, height and width evenly.

    Args:
        output_size: How many windows, one number or one for each axis; None leaves an axis as it is.
        channels_last: Whether channels are the last axis, before and after.

    Shape:
        input `[batch, channels, depth, height, width]`, or without a batch; output the same, with those sizes.

    Raises:
        ShapeError: If an axis is empty, or there are too many or too few.

    Example:
        >>> AdaptiveAvgPool3d(2)(ad.ones((1, 1, 4, 4, 4))).shape
        (1, 1, 2, 2, 2)
    """

    _axes = 3


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Takes the largest elements of windows that share width evenly.

    Args:
        output_size: How many windows; None leaves the axis as it is.
        return_indices: Whether to give back a pair: the maxima, and the place of each in its plane.
        channels_last: Whether channels are the last axis, before and after.

    Shape:
        input `[batch, channels, width]`, or without a batch; output the same, with those sizes.

    Raises:
        ShapeError: If an axis is empty, or there are too many or too few.

    Example:
        >>> AdaptiveMaxPool1d(2)(ad.ones((1, 1, 4))).shape
        (1, 1, 2)
    """

    _axes = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Takes the largest elements of windows that share height and width evenly.

    Args:
        output_size: How many windows, one number or one for each axis; None leaves an axis as it is.
        return_indices: Whether to give back a pair: the maxima, and the place of each in its plane.
        channels_last: Whether channels are the last axis, before and after.

    Shape:
        input `[batch, channels, height, width]`, or without a batch; output the same, with those sizes.

    Raises:
        ShapeError: If an axis is empty, or there are too many or too few.

    Example:
        >>> AdaptiveMaxPool2d(2)(ad.ones((1, 1, 4, 4))).shape
        (1, 1, 2, 2)
    """

    _axes = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """Takes the largest elements of windows that share depth, height and width evenly.

    Args:
        output_size: How many windows, one number or one for each axis; None leaves an axis as it is.
        return_indices: Whether to give back a pair: the maxima, and the place of each in its plane.
        channels_last: Whether channels are the last axis, before and after.

    Shape:
        input `[batch, channels, depth, height, width]`, or without a batch; output the same, with those sizes.

    Raises:
        ShapeError: If an axis is empty, or there are too many or too few.

    Example:
        >>> AdaptiveMaxPool3d(2)(ad.ones((1, 1, 4, 4, 4))).shape
        (1, 1, 2, 2, 2)
    """

    _axes = 3


class GlobalAvgPool(Module):
    """Takes the mean of every plane: one number per channel.

    Args:
        keepdim: Whether the spatial axes stay, with size 1.
        channels_last: Whether channels are the last axis.

    Shape:
        input `[batch, channels, *spatial]` of one to three spatial axes, output `[batch, channels]`.

    Raises:
        ShapeError: If the input has another number of axes, or a spatial axis is empty.

    Example:
        >>> GlobalAvgPool()(ad.ones((2, 3, 4, 5))).shape
        (2, 3)
    """

    def __init__(self, keepdim: bool = False, *, channels_last: bool = False) -> None:
        """Takes the form of input and output."""
        self.keepdim = keepdim
        self.channels_last = channels_last

    def forward(self, input: Tensor) -> Tensor:
        """The means."""
        if not 3 <= input.ndim <= 5:
            raise ShapeError(
                f"GlobalAvgPool: input {input.shape} has {input.ndim} axes. Give batch, channels and one to three more."
            )
        axes = tuple(range(1, input.ndim - 1) if self.channels_last else range(2, input.ndim))
        if 0 in [input.shape[axis] for axis in axes]:
            raise ShapeError(
                f"GlobalAvgPool: input {input.shape} has an empty spatial axis. Give it one element at least."
            )
        return mean(input, axis=axes, keepdims=self.keepdim)

    def extra_repr(self) -> str:
        """Whether axes stay."""
        return f"keepdim={self.keepdim}"


class _MaxUnpool(Module):
    """What they share: the settings of the pooling."""

    _axes: int

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        """Takes the windows of the pooling."""
        windows(type(self).__name__, self._axes, kernel_size, stride, padding)
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """The maxima at their places, among zeros."""
        function = (F.max_unpool1d, F.max_unpool2d, F.max_unpool3d)[self._axes - 1]
        return function(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        """The windows of the pooling."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Puts maxima back to the places that `MaxPool1d(..., return_indices=True)` gave for them, among zeros.

    Args:
        kernel_size: That of the pooling, as are stride and padding.
        stride: Distance of windows; kernel_size if None.
        padding: Positions on both sides.

    Shape:
        input and indices `[batch, channels, width]`, or without a batch; output the same, with a size of
        (size - 1) * stride - 2 * padding + kernel_size along an axis, or the sizes that the call gives.

    Raises:
        ShapeError: If shapes differ, or no such pooling gives the input's size.
        OutOfRangeError: If a place is outside the result's plane.

    Example:
        >>> values, places = MaxPool1d(2, return_indices=True)(ad.ones((1, 1, 4)))
        >>> MaxUnpool1d(2)(values, places).shape
        (1, 1, 4)
    """

    _axes = 1


class MaxUnpool2d(_MaxUnpool):
    """Puts maxima back to the places that `MaxPool2d(..., return_indices=True)` gave for them, among zeros.

    Args:
        kernel_size: That of the pooling, as are stride and padding.
        stride: Distance of windows; kernel_size if None.
        padding: Positions on both sides.

    Shape:
        input and indices `[batch, channels, height, width]`, or without a batch; output the same, with a size of
        (size - 1) * stride - 2 * padding + kernel_size along an axis, or the sizes that the call gives.

    Raises:
        ShapeError: If shapes differ, or no such pooling gives the input's size.
        OutOfRangeError: If a place is outside the result's plane.

    Example:
        >>> values, places = MaxPool2d(2, return_indices=True)(ad.ones((1, 1, 4, 4)))
        >>> MaxUnpool2d(2)(values, places).shape
        (1, 1, 4, 4)
    """

    _axes = 2


class MaxUnpool3d(_MaxUnpool):
    """Puts maxima back to the places that `MaxPool3d(..., return_indices=True)` gave for them, among zeros.

    Args:
        kernel_size: That of the pooling, as are stride and padding.
        stride: Distance of windows; kernel_size if None.
        padding: Positions on both sides.

    Shape:
        input and indices `[batch, channels, depth, height, width]`, or without a batch; output the same, with a size of
        (size - 1) * stride - 2 * padding + kernel_size along an axis, or the sizes that the call gives.

    Raises:
        ShapeError: If shapes differ, or no such pooling gives the input's size.
        OutOfRangeError: If a place is outside the result's plane.

    Example:
        >>> values, places = MaxPool3d(2, return_indices=True)(ad.ones((1, 1, 4, 4, 4)))
        >>> MaxUnpool3d(2)(values, places).shape
        (1, 1, 4, 4, 4)
    """

    _axes = 3
