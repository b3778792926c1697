"""Convolution layers and their transposes.

Depends on `functional`. Invariant: arguments, parameter layouts, initial values and names are PyTorch's, so that
trained weights carry over.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from operator import index
from typing import Any

from .._core import DomainError, DType, DTypeError, ShapeError, Tensor, empty
from . import functional as F
from . import init
from ._module import Module
from ._parameter import Parameter
from .functional._windows import whole

_Sizes = int | Sequence[int]
_MODES = ("zeros", "reflect", "replicate", "circular")


def _numbers(layer: str, what: str, given: _Sizes, rank: int, least: int) -> tuple[int, ...]:
    """One number per axis."""
    try:
        each: Any = given if isinstance(given, Iterable) and not isinstance(given, str) else (given,) * rank
        numbers = tuple(index(number) for number in each)
    except TypeError:
        raise DTypeError(f"{layer}: {what} is {given!r}. Use an int, or {rank} of them.") from None
    if len(numbers) == 1:
        numbers *= rank
    if len(numbers) != rank:
        raise ShapeError(f"{layer}: {what} is {given}. Give one number, or {rank}.")
    if min(numbers) < least:
        raise DomainError(f"{layer}: {what} is {given}. Use {least} or more.")
    return numbers


class _Conv(Module):
    """What all convolutions have: sizes, a weight and perhaps a bias."""

    _rank = 0
    _transposed = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Sizes,
        stride: _Sizes,
        padding: _Sizes | str,
        dilation: _Sizes,
        output_padding: _Sizes,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: str | None,
        dtype: DType | None,
        channels_last: bool,
    ) -> None:
        """Checks the sizes; makes and initialises the parameters."""
        layer, rank = type(self).__name__, self._rank
        whole(layer, in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels < 1 or out_channels < 1:
            raise DomainError(f"{layer}: channels are {in_channels} and {out_channels}. Use 1 or more.")
        if groups < 1:
            raise DomainError(f"{layer}: groups is {groups}. Use 1 or more.")
        for what, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise DomainError(
                    f"{layer}: {what} is {channels} and groups {groups}: the groups must be equally large. "
                    f"Use {what} of {channels // groups * groups + groups}, or groups that divide {channels}."
                )
        if padding_mode not in _MODES:
            raise DomainError(f"{layer}: padding_mode is {padding_mode!r}. Use one of {', '.join(_MODES)}.")
        if self._transposed and padding_mode != "zeros":
            raise DomainError(f"{layer}: padding_mode is {padding_mode!r}. A transpose takes 'zeros' only.")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = _numbers(layer, "kernel_size", kernel_size, rank, 1)
        self.stride = _numbers(layer, "stride", stride, rank, 1)
        self.dilation = _numbers(layer, "dilation", dilation, rank, 1)
        self.output_padding = _numbers(layer, "output_padding", output_padding, rank, 0)
        self.padding: tuple[int, ...] | str
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise DomainError(f"{layer}: padding is {padding!r}. Use 'same', 'valid' or numbers.")
            if padding == "same" and any(step != 1 for step in self.stride):
                raise DomainError(
                    f"{layer}: padding 'same' with stride {self.stride}: sizes stay the same with stride 1 only. "
                    "Give the padding in numbers."
                )
            self.padding = padding
        else:
            self.padding = _numbers(layer, "padding", padding, rank, 0)
        for axis, extra in enumerate(self.output_padding):
            if extra and extra >= max(self.stride[axis], self.dilation[axis]):
                raise DomainError(
                    f"{layer}: output_padding is {extra} along spatial axis {axis}, where stride is "
                    f"{self.stride[axis]} and dilation {self.dilation[axis]}. Use less than the larger of the two."
                )
        self.groups = groups
        self.padding_mode = padding_mode
        self.channels_last = channels_last
        lead = (in_channels, out_channels // groups) if self._transposed else (out_channels, in_channels // groups)
        self.weight = Parameter(empty((*lead, *self.kernel_size), dtype=dtype, device=device))
        self.bias = Parameter(empty((out_channels,), dtype=dtype, device=device)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the parameters anew, from U(-1/sqrt(n), 1/sqrt(n)) with n = weight.shape[1] * kernel elements."""
        bound = 1 / math.sqrt(math.prod(self.weight.shape[1:]))
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def _amounts(self) -> list[int]:
        """What `F.pad` puts around the input, for the last axis first."""
        amounts: list[int] = [0, 0] if self.channels_last else []
        for axis in reversed(range(self._rank)):
            if self.padding == "same":
                span = self.dilation[axis] * (self.kernel_size[axis] - 1)
                amounts += [span // 2, span - span // 2]
            else:
                amounts += [0 if isinstance(self.padding, str) else self.padding[axis]] * 2
        return amounts

    def _convolved(self, input: Tensor) -> Tensor:
        convolve = (F.conv1d, F.conv2d, F.conv3d)[self._rank - 1]
        padding = self.padding
        if self.padding_mode != "zeros":
            # The channels' axis and the batch are there in any case; what has another rank is refused below.
            if input.ndim in (self._rank + 1, self._rank + 2):
                input = F.pad(input, self._amounts(), mode=self.padding_mode)
            padding = 0
        return convolve(
            input,
            self.weight,
            self.bias,
            self.stride,
            padding,
            self.dilation,
            self.groups,
            channels_last=self.channels_last,
        )

    def _transpose(self, input: Tensor, output_size: Sequence[int] | None) -> Tensor:
        convolve = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[self._rank - 1]
        padding = (0,) * self._rank if isinstance(self.padding, str) else self.padding
        extra = self.output_padding if output_size is None else self._extra(input, output_size, padding)
        return convolve(
            input,
            self.weight,
            self.bias,
            self.stride,
            padding,
            extra,
            self.groups,
            self.dilation,
            channels_last=self.channels_last,
        )

    def _extra(self, input: Tensor, output_size: Sequence[int], padding: Sequence[int]) -> tuple[int, ...]:
        """The output padding that gives these sizes."""
        layer, wanted = type(self).__name__, tuple(output_size)[-self._rank :]
        first = input.ndim - self._rank - (1 if self.channels_last else 0)
        sizes = input.shape[first : first + self._rank]
        if len(wanted) != self._rank or len(sizes) != self._rank:
            raise ShapeError(f"{layer}: output_size is {tuple(output_size)}. Give {self._rank} sizes.")
        extra: list[int] = []
        for axis, size in enumerate(sizes):
            span = self.dilation[axis] * (self.kernel_size[axis] - 1)
            least = (size - 1) * self.stride[axis] - 2 * padding[axis] + span + 1
            most = least + max(self.stride[axis], self.dilation[axis]) - 1
            if not least <= wanted[axis] <= most:
                raise ShapeError(
                    f"{layer}: output_size is {wanted} for an input of shape {input.shape}: "
                    f"along spatial axis {axis} only {least} to {most} can come about. Use such a size."
                )
            extra.append(wanted[axis] - least)
        return tuple(extra)

    def extra_repr(self) -> str:
        """The sizes; of the rest what is not as by default."""
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        defaults = {"padding": 0, "output_padding": 0, "dilation": 1}
        for name, default in defaults.items():
            value = getattr(self, name)
            if value != (default,) * self._rank:
                parts.append(f"{name}={value!r}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        if self.channels_last:
            parts.append("channels_last=True")
        return ", ".join(parts)


class Conv1d(_Conv):
    """Convolves one axis with learned kernels.

    y[n, o, p] = bias[o] + sum over i, t of x[n, i, p * stride + t * dilation - padding] * weight[o, i, t]

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output: the number of kernels.
        kernel_size: Size of the kernels.
        stride: Elements from one result to the next.
        padding: Elements around the input; "same" keeps the sizes (stride 1 only), "valid" is none.
        dilation: Elements from one tap of the kernel to the next.
        groups: Groups of channels that do not meet; `groups=in_channels` convolves each channel for itself.
        bias: Whether a bias is added.
        padding_mode: What lies around the input: "zeros", "reflect", "replicate" or "circular".
        device: Where the parameters are.
        dtype: The parameters' dtype.
        channels_last: Whether input and output are `[batch, length, channels]`.

    Shape:
        input `[batch, channels, length]` or the same without batch; each spatial size becomes
        `(size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1`; weight
        `[out_channels, in_channels / groups, ...]`, bias `[out_channels]`.

    Raises:
        DomainError: If channels, groups and numbers cannot be.
        ShapeError: If the input has other channels, or is smaller than the kernel.

    Example:
        >>> Conv1d(3, 8, 3)(ad.ones((2, 3, 10))).shape
        (2, 8, 8)
    """

    _rank = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Sizes,
        stride: _Sizes = 1,
        padding: _Sizes | str = 0,
        dilation: _Sizes = 1,
        groups: int = 1,
        bias: bool = True,
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
            0,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
            channels_last,
        )

    def forward(self, input: Tensor) -> Tensor:
        """The convolution."""
        return self._convolved(input)


class Conv2d(_Conv):
    """Convolves images with learned kernels.

    y[n, o, p] = bias[o] + sum over i, t of x[n, i, p * stride + t * dilation - padding] * weight[o, i, t]

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output: the number of kernels.
        kernel_size: One size, or one per axis, of the kernels.
        stride: Elements from one result to the next.
        padding: Elements around the input; "same" keeps the sizes (stride 1 only), "valid" is none.
        dilation: Elements from one tap of the kernel to the next.
        groups: Groups of channels that do not meet; `groups=in_channels` convolves each channel for itself.
        bias: Whether a bias is added.
        padding_mode: What lies around the input: "zeros", "reflect", "replicate" or "circular".
        device: Where the parameters are.
        dtype: The parameters' dtype.
        channels_last: Whether input and output are `[batch, height, width, channels]`.

    Shape:
        input `[batch, channels, height, width]` or the same without batch; each spatial size becomes
        `(size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1`; weight
        `[out_channels, in_channels / groups, ...]`, bias `[out_channels]`.

    Raises:
        DomainError: If channels, groups and numbers cannot be.
        ShapeError: If the input has other channels, or is smaller than the kernel.

    Example:
        >>> Conv2d(3, 8, 3, padding=1)(ad.ones((2, 3, 10, 10))).shape
        (2, 8, 10, 10)
    """

    _rank = 2

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Sizes,
        stride: _Sizes = 1,
        padding: _Sizes | str = 0,
        dilation: _Sizes = 1,
        groups: int = 1,
        bias: bool = True,
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
            0,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
            channels_last,
        )

    def forward(self, input: Tensor) -> Tensor:
        """The convolution."""
        return self._convolved(input)


class Conv3d(_Conv):
    """Convolves volumes with learned kernels.

    y[n, o, p] = bias[o] + sum over i, t of x[n, i, p * stride + t * dilation - padding] * weight[o, i, t]

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output: the number of kernels.
        kernel_size: One size, or one per axis, of the kernels.
        stride: Elements from one result to the next.
        padding: Elements around the input; "same" keeps the sizes (stride 1 only), "valid" is none.
        dilation: Elements from one tap of the kernel to the next.
        groups: Groups of channels that do not meet; `groups=in_channels` convolves each channel for itself.
        bias: Whether a bias is added.
        padding_mode: What lies around the input: "zeros", "reflect", "replicate" or "circular".
        device: Where the parameters are.
        dtype: The parameters' dtype.
        channels_last: Whether input and output are `[batch, depth, height, width, channels]`.

    Shape:
        input `[batch, channels, depth, height, width]` or the same without batch; each spatial size becomes
        `(size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1`; weight
        `[out_channels, in_channels / groups, ...]`, bias `[out_channels]`.

    Raises:
        DomainError: If channels, groups and numbers cannot be.
        ShapeError: If the input has other channels, or is smaller than the kernel.

    Example:
        >>> Conv3d(3, 4, 3)(ad.ones((2, 3, 6, 6, 6))).shape
        (2, 4, 4, 4, 4)
    """

    _rank = 3

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: _Sizes,
        stride: _Sizes = 1,
        padding: _Sizes | str = 0,
        dilation: _Sizes = 1,
        groups: int = 1,
        bias: bool = True,
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
            0,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
            channels_last,
        )

    def forward(self, input: Tensor) -> Tensor:
        """The convolution."""
        return self._convolved(input)
