"""Layers that change the sizes of images.

Depends on `functional`. Invariant: they have no parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

from .._core import DomainError, Tensor
from . import functional as F
from ._module import Module

Sizes = int | Sequence[int]


class Upsample(Module):
    """Interpolates to other sizes of the spatial axes.

    Args:
        size: The new sizes; or
        scale_factor: what the sizes are multiplied by, and rounded down.
        mode: "nearest", "nearest-exact", "linear", "bilinear", "trilinear", "bicubic" or "area".
        align_corners: Whether the outermost elements lie on each other, not their edges; for linear and cubic modes.
        recompute_scale_factor: Whether the factor follows from the rounded sizes.

    Shape:
        input `[batch, channels, *spatial]` of one to three spatial axes, output the same with other sizes.

    Raises:
        ShapeError: If the input has another number of axes than the mode takes.
        DomainError: If not exactly one of `size` and `scale_factor` is given, or the mode does not go with the others.

    Example:
        >>> Upsample(scale_factor=2)(ad.ones((1, 1, 2, 3))).shape
        (1, 1, 4, 6)
    """

    def __init__(
        self,
        size: Sizes | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        """Takes the sizes and the mode."""
        if (size is None) == (scale_factor is None):
            raise DomainError("Upsample: size and scale_factor say the same. Give one of them.")
        self.size = size
        self.scale_factor = scale_factor
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        """The input in other sizes."""
        return F.interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )

    def extra_repr(self) -> str:
        """The sizes and the mode."""
        given = f"size={self.size}" if self.size is not None else f"scale_factor={self.scale_factor}"
        return f"{given}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Repeats the pixels of images.

    Args:
        size: The new height and width; or
        scale_factor: what they are multiplied by.

    Example:
        >>> UpsamplingNearest2d(scale_factor=2)(ad.ones((1, 1, 2, 3))).shape
        (1, 1, 4, 6)
    """

    def __init__(self, size: Sizes | None = None, scale_factor: float | Sequence[float] | None = None) -> None:
        """Takes the sizes."""
        super().__init__(size, scale_factor, "nearest")


class UpsamplingBilinear2d(Upsample):
    """Interpolates images linearly, their corners staying where they are.

    Args:
        size: The new height and width; or
        scale_factor: what they are multiplied by.

    Example:
        >>> UpsamplingBilinear2d(scale_factor=2)(ad.ones((1, 1, 2, 3))).shape
        (1, 1, 4, 6)
    """

    def __init__(self, size: Sizes | None = None, scale_factor: float | Sequence[float] | None = None) -> None:
        """Takes the sizes."""
        super().__init__(size, scale_factor, "bilinear", True)


class PixelShuffle(Module):
    """Makes pixels out of channels.

    Args:
        upscale_factor: What height and width are multiplied by.

    Shape:
        input `[..., channels * r * r, height, width]`, output `[..., channels, height * r, width * r]`.

    Raises:
        ShapeError: If r * r does not divide the channels.

    Source:
        Shi et al. (2016), Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
        Convolutional Neural Network.

    Example:
        >>> PixelShuffle(2)(ad.ones((1, 8, 2, 3))).shape
        (1, 2, 4, 6)
    """

    def __init__(self, upscale_factor: int) -> None:
        """Takes the factor."""
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Tensor:
        """The larger image."""
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        """The factor."""
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Makes channels out of pixels.

    Args:
        downscale_factor: What height and width are divided by.

    Shape:
        input `[..., channels, height * r, width * r]`, output `[..., channels * r * r, height, width]`.

    Raises:
        ShapeError: If r does not divide height and width.

    Example:
        >>> PixelUnshuffle(2)(ad.ones((1, 2, 4, 6))).shape
        (1, 8, 2, 3)
    """

    def __init__(self, downscale_factor: int) -> None:
        """Takes the factor."""
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Tensor:
        """The smaller image."""
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        """The factor."""
        return f"downscale_factor={self.downscale_factor}"


class Unfold(Module):
    """Makes columns out of the windows of images.

    Args:
        kernel_size: Height and width of a window.
        dilation: Distance of a window's positions.
        padding: Zeros on both sides.
        stride: Distance of windows.

    Shape:
        input `[batch, channels, height, width]`, output `[batch, channels * positions, windows]`.

    Raises:
        ShapeError: If a window does not fit.

    Example:
        >>> Unfold((2, 3))(ad.ones((2, 5, 3, 4))).shape
        (2, 30, 4)
    """

    def __init__(self, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1) -> None:
        """Takes the windows."""
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        """The columns."""
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        """The windows."""
        return f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"


class Fold(Module):
    """Adds columns up where `Unfold` has them from.

    Args:
        output_size: Height and width of the images.
        kernel_size: Height and width of a window.
        dilation: Distance of a window's positions.
        padding: Zeros on both sides that the windows had.
        stride: Distance of windows.

    Shape:
        input `[batch, channels * positions, windows]`, output `[batch, channels, *output_size]`.

    Raises:
        ShapeError: If the input's sizes are not those that `Unfold` gives for such images.

    Example:
        >>> Fold((3, 4), (2, 3))(ad.ones((2, 30, 4))).shape
        (2, 5, 3, 4)
    """

    def __init__(
        self, output_size: Sizes, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
    ) -> None:
        """Takes the images' size and the windows."""
        self.output_size = output_size
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        """The images."""
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        """The images' size and the windows."""
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )


class LocalResponseNorm(Module):
    """Divides by a power of the mean square over neighbouring channels.

    y = x / (k + alpha * m)^beta, m being the mean of x^2 over `size` channels around the element's

    Args:
        size: How many channels.
        alpha: Factor of the mean.
        beta: Exponent.
        k: Summand.

    Shape:
        input `[batch, channels, ...]`, output the same.

    Raises:
        ShapeError: If the input has fewer than three axes.

    Source:
        Krizhevsky, Sutskever, Hinton (2012), ImageNet Classification with Deep Convolutional Neural Networks.

    Example:
        >>> LocalResponseNorm(2)(ad.ones((2, 3, 4))).shape
        (2, 3, 4)
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        """Takes the settings."""
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        """The input, divided."""
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """The settings."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class ChannelShuffle(Module):
    """Mixes the channels of groups.

    Args:
        groups: Into how many groups the channels are cut.

    Shape:
        input `[batch, channels, ...]`, output the same.

    Raises:
        ShapeError: If `groups` does not divide the channels.

    Example:
        >>> ChannelShuffle(2)(ad.reshape(ad.arange(4), (1, 4, 1))).tolist()
        [[[0], [2], [1], [3]]]
    """

    def __init__(self, groups: int) -> None:
        """Takes the number of groups."""
        self.groups = groups

    def forward(self, input: Tensor) -> Tensor:
        """The channels in another order."""
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        """The number of groups."""
        return f"groups={self.groups}"
