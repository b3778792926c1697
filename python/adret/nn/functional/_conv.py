"""Convolutions and their transposes, as functions.

Depends on the core and `_windows`. Invariant: signatures and values are PyTorch's; `channels_last` says where the
channels are, and changes no value.
"""

# The core is private to the package, of which this is a part.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ... import _core
from ..._core import Tensor
from ._windows import numbers, whole

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
]

_Sizes = int | Sequence[int]


def _conv(name: str, rank: int, *arguments: Any) -> Tensor:
    try:
        return _core._conv(rank, *arguments)
    except TypeError:
        _, _, _, stride, padding, dilation, groups, _ = arguments
        _check(name, rank, stride, padding, dilation, groups)
        raise


def _conv_transpose(name: str, rank: int, *arguments: Any) -> Tensor:
    try:
        return _core._conv_transpose(rank, *arguments)
    except TypeError:
        _, _, _, stride, padding, output_padding, groups, dilation, _ = arguments
        _check(name, rank, stride, padding, dilation, groups)
        numbers(name, "output_padding", output_padding, rank, 0)
        raise


def _check(name: str, rank: int, stride: _Sizes, padding: _Sizes | str, dilation: _Sizes, groups: int) -> None:
    """Raises on settings that are no whole numbers, by name."""
    numbers(name, "stride", stride, rank, 1)
    numbers(name, "dilation", dilation, rank, 1)
    if not isinstance(padding, str):
        numbers(name, "padding", padding, rank, 0)
    whole(name, 1, groups=groups)


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: _Sizes = 1,
    padding: _Sizes | str = 0,
    dilation: _Sizes = 1,
    groups: int = 1,
    *,
    channels_last: bool = False,
) -> Tensor:
    """y[n, o, p] = bias[o] + sum over i, t of x[n, i, p * stride + t * dilation - padding] * weight[o, i, t].

    Args:
        input: `[batch, channels, length]`, or `[channels, length]`.
        weight: `[out, channels / groups, kernel]`.
        bias: `[out]`, or None.
        stride: Elements from one result to the next.
        padding: Zeros on both sides; "same" keeps the length, "valid" is none.
        dilation: Elements from one tap to the next.
        groups: Groups of channels that do not meet.
        channels_last: Whether input and result are `[batch, length, channels]`.

    Shape:
        result `[batch, out, (length + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1]`.

    Raises:
        ShapeError: If the sizes do not fit together.
        DTypeError: If the dtypes differ or are no floats.
        DomainError: If a stride, padding, dilation or number of groups cannot be.

    Source:
        LeCun et al. (1989), Backpropagation Applied to Handwritten Zip Code Recognition.

    Example:
        >>> conv1d(ad.tensor([[1.0, 2.0, 4.0]]), ad.tensor([[[-1.0, 1.0]]])).tolist()
        [[1.0, 2.0]]
    """
    return _conv("conv1d", 1, input, weight, bias, stride, padding, dilation, groups, channels_last)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: _Sizes = 1,
    padding: _Sizes | str = 0,
    dilation: _Sizes = 1,
    groups: int = 1,
    *,
    channels_last: bool = False,
) -> Tensor:
    """As `conv1d` over two axes: every place of the kernel on the input gives one element per output channel.

    Args:
        input: `[batch, channels, height, width]`, or `[channels, height, width]`.
        weight: `[out, channels / groups, kernel_height, kernel_width]`.
        bias: `[out]`, or None.
        stride: One number, or one per axis.
        padding: Zeros around the input; "same" keeps height and width, "valid" is none.
        dilation: Elements from one tap to the next.
        groups: Groups of channels that do not meet.
        channels_last: Whether input and result are `[batch, height, width, channels]`.

    Shape:
        result `[batch, out, new_height, new_width]`; each size becomes
        `(size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1`.

    Raises:
        ShapeError: If the sizes do not fit together.
        DTypeError: If the dtypes differ or are no floats.
        DomainError: If a stride, padding, dilation or number of groups cannot be.

    Example:
        >>> conv2d(ad.ones((1, 3, 8, 8)), ad.ones((4, 3, 3, 3)), padding="same").shape
        (1, 4, 8, 8)
    """
    return _conv("conv2d", 2, input, weight, bias, stride, padding, dilation, groups, channels_last)


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: _Sizes = 1,
    padding: _Sizes | str = 0,
    dilation: _Sizes = 1,
    groups: int = 1,
    *,
    channels_last: bool = False,
) -> Tensor:
    """As `conv1d` over three axes.

    Args:
        input: `[batch, channels, depth, height, width]`, or the same without batch.
        weight: `[out, channels / groups, ...]` with three kernel sizes.
        bias: `[out]`, or None.
        stride: One number, or one per axis.
        padding: Zeros around the input; "same" keeps the sizes, "valid" is none.
        dilation: Elements from one tap to the next.
        groups: Groups of channels that do not meet.
        channels_last: Whether input and result are `[batch, depth, height, width, channels]`.

    Raises:
        ShapeError: If the sizes do not fit together.
        DTypeError: If the dtypes differ or are no floats.
        DomainError: If a stride, padding, dilation or number of groups cannot be.

    Example:
        >>> conv3d(ad.ones((1, 2, 4, 5, 6)), ad.ones((3, 2, 2, 2, 2))).shape
        (1, 3, 3, 4, 5)
    """
    return _conv("conv3d", 3, input, weight, bias, stride, padding, dilation, groups, channels_last)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: _Sizes = 1,
    padding: _Sizes = 0,
    output_padding: _Sizes = 0,
    groups: int = 1,
    dilation: _Sizes = 1,
    *,
    channels_last: bool = False,
) -> Tensor:
    """The transpose of `conv1d`: x[n, i, p] adds x * weight[i, o, t] to y[n, o, p * stride + t * dilation - padding].

    Args:
        input: `[batch, channels, length]`, or `[channels, length]`.
        weight: `[channels, out / groups, kernel]`.
        bias: `[out]`, or None.
        stride: Elements of the result from one input to the next.
        padding: Elements that are cut off on both sides.
        output_padding: Elements that the result is longer at its end.
        groups: Groups of channels that do not meet.
        dilation: Elements from one tap to the next.
        channels_last: Whether input and result are `[batch, length, channels]`.

    Shape:
        result `[batch, out, (length - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1]`.

    Raises:
        ShapeError: If the sizes do not fit together.
        DTypeError: If the dtypes differ or are no floats.
        DomainError: If `output_padding` is neither below the stride nor below the dilation, or a number cannot be.

    Example:
        >>> conv_transpose1d(ad.tensor([[1.0, 2.0]]), ad.tensor([[[1.0, 10.0]]]), stride=2).tolist()
        [[1.0, 10.0, 2.0, 20.0]]
    """
    return _conv_transpose(
        "conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups, dilation, channels_last
    )


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: _Sizes = 1,
    padding: _Sizes = 0,
    output_padding: _Sizes = 0,
    groups: int = 1,
    dilation: _Sizes = 1,
    *,
    channels_last: bool = False,
) -> Tensor:
    """As `conv_transpose1d` over two axes: the map of gradients of `conv2d`, used to make images larger.

    Args:
        input: `[batch, channels, height, width]`, or `[channels, height, width]`.
        weight: `[channels, out / groups, kernel_height, kernel_width]`.
        bias: `[out]`, or None.
        stride: One number, or one per axis.
        padding: Elements that are cut off around the result.
        output_padding: Elements that the result is larger at its ends.
        groups: Groups of channels that do not meet.
        dilation: Elements from one tap to the next.
        channels_last: Whether input and result are `[batch, height, width, channels]`.

    Raises:
        ShapeError: If the sizes do not fit together.
        DTypeError: If the dtypes differ or are no floats.
        DomainError: If `output_padding` is neither below the stride nor below the dilation, or a number cannot be.

    Example:
        >>> conv_transpose2d(ad.ones((1, 4, 7, 7)), ad.ones((4, 2, 4, 4)), stride=2, padding=1).shape
        (1, 2, 14, 14)
    """
    return _conv_transpose(
        "conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups, dilation, channels_last
    )


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: _Sizes = 1,
    padding: _Sizes = 0,
    output_padding: _Sizes = 0,
    groups: int = 1,
    dilation: _Sizes = 1,
    *,
    channels_last: bool = False,
) -> Tensor:
    """As `conv_transpose1d` over three axes.

    Args:
        input: `[batch, channels, depth, height, width]`, or the same without batch.
        weight: `[channels, out / groups, ...]` with three kernel sizes.
        bias: `[out]`, or None.
        stride: One number, or one per axis.
        padding: Elements that are cut off around the result.
        output_padding: Elements that the result is larger at its ends.
        groups: Groups of channels that do not meet.
        dilation: Elements from one tap to the next.
        channels_last: Whether input and result are `[batch, depth, height, width, channels]`.

    Raises:
        ShapeError: If the sizes do not fit together.
        DTypeError: If the dtypes differ or are no floats.
        DomainError: If `output_padding` is neither below the stride nor below the dilation, or a number cannot be.

    Example:
        >>> conv_transpose3d(ad.ones((1, 2, 3, 3, 3)), ad.ones((2, 1, 2, 2, 2))).shape
        (1, 1, 4, 4, 4)
    """
    return _conv_transpose(
        "conv_transpose3d", 3, input, weight, bias, stride, padding, output_padding, groups, dilation, channels_last
    )
