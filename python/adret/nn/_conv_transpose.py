"""Transposed convolution layers.

Depends on `_conv`. Invariant: as there.
"""

from __future__ import annotations

from collections.abc import Sequence

from .._core import DType, Tensor
from ._conv import _Conv  # pyright: ignore[reportPrivateUsage]

_Sizes = int | Sequence[int]


class ConvTranspose1d(_Conv):
    """The transpose of a convolution over one axis: every element spreads over a kernel's width.

    y[n, o, p * stride + t * dilation - padding] += x[n, i, p] * weight[i, o, t], beginning with bias[o]

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Size of the kernels.
        stride: Elements of the output from one input to the next.
        padding: Elements that are cut off around the output.
        output_padding: Elements that the output is larger at its ends.
        groups: Groups of channels that do not meet.
        bias: Whether a bias is added.
        dilation: Elements from one tap of the kernel to the next.
        padding_mode: "zeros".
        device: Where the parameters are.
        dtype: The parameters' dtype.
        channels_last: Whether input and output are `[batch, length, channels]`.

    Shape:
        input `[batch, channels, length]` or the same without batch; each spatial size becomes
        `(size - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1`; weight
        `[in_channels, out_channels / groups, ...]`, bias `[out_channels]`.

    Raises:
        DomainError: If channels, groups and numbers cannot be.
        ShapeError: If the input has other channels, or nothing is left of the output.

    Example:
        >>> ConvTranspose1d(3, 8, 4, stride=2, padding=1)(ad.ones((2, 3, 10))).shape
        (2, 8, 20)
    """

    _rank = 1
    _transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Sizes,
        stride: _Sizes = 1,
        padding: _Sizes = 0,
        output_padding: _Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: _Sizes = 1,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: DType | None = None,
        *,
        channels_last: bool = False,
    ) -> None:
        """Checks the sizes; makes and initialises the parameters."""
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            output_padding,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
            channels_last,
        )

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """The transposed convolution; `output_size` chooses among the sizes that a stride leaves open."""
        return self._transpose(input, output_size)


class ConvTranspose2d(_Conv):
    """The transpose of a convolution over images: every element spreads over a kernel's width.

    y[n, o, p * stride + t * dilation - padding] += x[n, i, p] * weight[i, o, t], beginning with bias[o]

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: One size, or one per axis, of the kernels.
        stride: Elements of the output from one input to the next.
        padding: Elements that are cut off around the output.
        output_padding: Elements that the output is larger at its ends.
        groups: Groups of channels that do not meet.
        bias: Whether a bias is added.
        dilation: Elements from one tap of the kernel to the next.
        padding_mode: "zeros".
        device: Where the parameters are.
        dtype: The parameters' dtype.
        channels_last: Whether input and output are `[batch, height, width, channels]`.

    Shape:
        input `[batch, channels, height, width]` or the same without batch; each spatial size becomes
        `(size - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1`; weight
        `[in_channels, out_channels / groups, ...]`, bias `[out_channels]`.

    Raises:
        DomainError: If channels, groups and numbers cannot be.
        ShapeError: If the input has other channels, or nothing is left of the output.

    Example:
        >>> ConvTranspose2d(3, 8, 4, stride=2, padding=1)(ad.ones((2, 3, 5, 5))).shape
        (2, 8, 10, 10)
    """

    _rank = 2
    _transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Sizes,
        stride: _Sizes = 1,
        padding: _Sizes = 0,
        output_padding: _Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: _Sizes = 1,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: DType | None = None,
        *,
        channels_last: bool = False,
    ) -> None:
        """Checks the sizes; makes and initialises the parameters."""
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            output_padding,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
            channels_last,
        )

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """The transposed convolution; `output_size` chooses among the sizes that a stride leaves open."""
        return self._transpose(input, output_size)


class ConvTranspose3d(_Conv):
    """The transpose of a convolution over volumes: every element spreads over a kernel's width.

    y[n, o, p * stride + t * dilation - padding] += x[n, i, p] * weight[i, o, t], beginning with bias[o]

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: One size, or one per axis, of the kernels.
        stride: Elements of the output from one input to the next.
        padding: Elements that are cut off around the output.
        output_padding: Elements that the output is larger at its ends.
        groups: Groups of channels that do not meet.
        bias: Whether a bias is added.
        dilation: Elements from one tap of the kernel to the next.
        padding_mode: "zeros".
        device: Where the parameters are.
        dtype: The parameters' dtype.
        channels_last: Whether input and output are `[batch, depth, height, width, channels]`.

    Shape:
        input `[batch, channels, depth, height, width]` or the same without batch; each spatial size becomes
        `(size - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1`; weight
        `[in_channels, out_channels / groups, ...]`, bias `[out_channels]`.

    Raises:
        DomainError: If channels, groups and numbers cannot be.
        ShapeError: If the input has other channels, or nothing is left of the output.

    Example:
        >>> ConvTranspose3d(3, 4, 2, stride=2)(ad.ones((2, 3, 4, 4, 4))).shape
        (2, 4, 8, 8, 8)
    """

    _rank = 3
    _transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Sizes,
        stride: _Sizes = 1,
        padding: _Sizes = 0,
        output_padding: _Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: _Sizes = 1,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: DType | None = None,
        *,
        channels_last: bool = False,
    ) -> None:
        """Checks the sizes; makes and initialises the parameters."""
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            output_padding,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
            channels_last,
        )

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """The transposed convolution; `output_size` chooses among the sizes that a stride leaves open."""
        return self._transpose(input, output_size)
