"""Other sizes of images: interpolation, pixels out of channels and back, windows as columns and back.

Depends on the core, `_adaptive`, `_pad`, `_pool` and `_windows`. Invariant: everything has gradients to any order.
"""

# The core is private to the package, of which this is a part.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import math
from collections.abc import Sequence

from ... import _core
from ..._array_api import isdtype
from ..._core import DomainError, DTypeError, ShapeError, Tensor
from ._pad import pad
from ._pool import avg_pool2d
from ._windows import numbers

__all__ = [
    "channel_shuffle",
    "fold",
    "interpolate",
    "local_response_norm",
    "pixel_shuffle",
    "pixel_unshuffle",
    "unfold",
]

Sizes = int | Sequence[int]
# How each mode is computed, and for how many spatial axes it is meant.
MODES: dict[str, tuple[str, tuple[int, ...]]] = {
    "nearest": ("nearest", (1, 2, 3)),
    "nearest-exact": ("nearest-exact", (1, 2, 3)),
    "linear": ("linear", (1,)),
    "bilinear": ("linear", (2,)),
    "trilinear": ("linear", (3,)),
    "bicubic": ("cubic", (2,)),
    "area": ("area", (1, 2, 3)),
}


def interpolate(
    input: Tensor,
    size: Sizes | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """The input with other sizes of its spatial axes.

    Args:
        input: A tensor `[batch, channels, *spatial]` of one to three spatial axes.
        size: The new sizes; or
        scale_factor: what the sizes are multiplied by, and rounded down.
        mode: "nearest" takes the element at the place rounded down, "nearest-exact" the nearest one; "linear",
            "bilinear", "trilinear" and "bicubic" are for one, two, three and two axes; "area" takes means.
        align_corners: Whether the outermost elements lie on each other, not their edges; for linear and cubic modes.
        recompute_scale_factor: Whether the factor follows from the rounded sizes.
        antialias: Whether every output is a mean over all inputs that it covers, for "bilinear" and "bicubic" of
            floats; without, shrinking skips inputs. The cubic kernel is then the one with slope -1/2.

    Raises:
        ShapeError: If the input has another number of axes than the mode takes, or sizes are below 1.
        DomainError: If not exactly one of `size` and `scale_factor` is given, or the mode does not go with the others.

    Example:
        >>> x = ad.tensor([[[1.0, 2.0]]])
        >>> interpolate(x, scale_factor=2).tolist()
        [[[1.0, 1.0, 2.0, 2.0]]]
        >>> interpolate(x, size=3, mode="linear", align_corners=True).tolist()
        [[[1.0, 1.5, 2.0]]]
    """
    if mode not in MODES:
        raise DomainError(f"interpolate: mode is {mode!r}. Use one of {', '.join(map(repr, MODES))}.")
    how, takes = MODES[mode]
    axes = input.ndim - 2
    if axes not in takes:
        wanted = " or ".join(str(count + 2) for count in takes)
        raise ShapeError(
            f"interpolate: input {input.shape} has {input.ndim} axes, and mode {mode!r} takes {wanted}: "
            "batch, channels and the spatial ones. Use another mode, or add axes."
        )
    if align_corners is not None and how not in ("linear", "cubic"):
        raise DomainError(f"interpolate: mode {mode!r} has no corners to align. Leave align_corners out.")
    if antialias and mode not in ("bilinear", "bicubic"):
        raise DomainError(f"interpolate: antialias does not go with mode {mode!r}. Use 'bilinear' or 'bicubic'.")
    if (size is None) == (scale_factor is None):
        raise DomainError("interpolate: size and scale_factor say the same. Give one of them.")
    spatial, scales = input.shape[2:], [None] * axes
    if scale_factor is None:
        if recompute_scale_factor:
            raise DomainError("interpolate: recompute_scale_factor needs a scale_factor. Give it, or leave both out.")
        sizes = numbers("interpolate", "size", size if size is not None else (), axes, 1)
    else:
        factors = _factors(scale_factor, axes)
        sizes = tuple(math.floor(float(n) * factor) for n, factor in zip(spatial, factors, strict=True))
        if not recompute_scale_factor:
            scales = [1.0 / factor for factor in factors]
    if how == "area":
        return _core.adaptive_avg_pool(input, list(sizes), False)
    if antialias:
        from ._antialias import resized

        if not isdtype(input.dtype, "real floating"):
            raise DTypeError(f"interpolate: antialias takes floats, not {input.dtype}. Convert with .astype first.")
        if min(sizes) < 1 or min(spatial) < 1:
            raise ShapeError(f"interpolate: sizes {tuple(spatial)} to {sizes}. Use sizes of 1 or more.")
        return resized(input, sizes, scales, how, bool(align_corners))
    return _core.interpolate(input, sizes, scales, how, bool(align_corners))


def _factors(scale_factor: float | Sequence[float], axes: int) -> list[float]:
    given = list(scale_factor) if isinstance(scale_factor, Sequence) else [scale_factor] * axes
    try:
        factors = [float(factor) for factor in given]
    except (TypeError, ValueError):
        raise DTypeError(f"interpolate: scale_factor is {given!r}. Use numbers above 0.") from None
    if len(factors) != axes:
        raise DomainError(
            f"interpolate: scale_factor is {scale_factor}, {len(factors)} numbers. "
            f"Give one, or {axes}: one for each axis."
        )
    if not all(0.0 < factor < math.inf for factor in factors):
        raise DomainError(f"interpolate: scale_factor is {scale_factor}. Use finite numbers above 0.")
    return factors


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Pixels out of channels: `[..., channels * r * r, height, width]` to `[..., channels, height * r, width * r]`.

    Args:
        input: A tensor of three axes or more.
        upscale_factor: r.

    Raises:
        ShapeError: If there are fewer axes, or r * r does not divide the channels.

    Source:
        Shi et al. (2016), Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
        Convolutional Neural Network.

    Example:
        >>> pixel_shuffle(ad.reshape(ad.arange(4.0), (4, 1, 1)), 2).tolist()
        [[[0.0, 1.0], [2.0, 3.0]]]
    """
    factor = _factor("pixel_shuffle", "upscale_factor", upscale_factor, input)
    *around, channels, height, width = input.shape
    if channels % factor**2:
        raise ShapeError(
            f"pixel_shuffle: input {input.shape} has {channels} channels, which {factor} * {factor} does not divide. "
            "Use a multiple."
        )
    lead = len(around)
    x = _core.reshape(input, (*around, channels // factor**2, factor, factor, height, width))
    x = _core.permute_dims(x, (*range(lead + 1), lead + 3, lead + 1, lead + 4, lead + 2))
    return _core.reshape(x, (*around, channels // factor**2, height * factor, width * factor))


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Channels out of pixels: `[..., channels, height * r, width * r]` to `[..., channels * r * r, height, width]`.

    Args:
        input: A tensor of three axes or more.
        downscale_factor: r.

    Raises:
        ShapeError: If there are fewer axes, or r does not divide height and width.

    Example:
        >>> pixel_unshuffle(ad.ones((1, 4, 6)), 2).shape
        (4, 2, 3)
    """
    factor = _factor("pixel_unshuffle", "downscale_factor", downscale_factor, input)
    *around, channels, height, width = input.shape
    if height % factor or width % factor:
        raise ShapeError(
            f"pixel_unshuffle: input {input.shape} has height {height} and width {width}, which {factor} does not "
            "divide. Use multiples."
        )
    lead = len(around)
    x = _core.reshape(input, (*around, channels, height // factor, factor, width // factor, factor))
    x = _core.permute_dims(x, (*range(lead + 1), lead + 2, lead + 4, lead + 1, lead + 3))
    return _core.reshape(x, (*around, channels * factor**2, height // factor, width // factor))


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Mixes channels of groups: `[batch, groups * n, ...]` is read as `[groups, n]` and written as `[n, groups]`.

    Args:
        input: A tensor `[batch, channels, ...]`.
        groups: Into how many groups the channels are cut.

    Raises:
        ShapeError: If there are fewer than three axes, or `groups` does not divide the channels.

    Source:
        Zhang et al. (2018), ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices.

    Example:
        >>> channel_shuffle(ad.reshape(ad.arange(4), (1, 4, 1)), 2).tolist()
        [[[0], [2], [1], [3]]]
    """
    groups = _factor("channel_shuffle", "groups", groups, input)
    batch, channels, *spatial = input.shape
    if channels % groups:
        raise ShapeError(
            f"channel_shuffle: input {input.shape} has {channels} channels, which {groups} groups do not divide. "
            "Use a divisor."
        )
    split = _core.reshape(input, (batch, groups, channels // groups, *spatial))
    mixed = _core.permute_dims(split, (0, 2, 1, *range(3, split.ndim)))
    return _core.reshape(mixed, input.shape)


def _factor(name: str, what: str, factor: int, input: Tensor) -> int:
    if input.ndim < 3:
        raise ShapeError(
            f"{name}: input {input.shape} has {input.ndim} axes. Give channels, height and width at least."
        )
    return numbers(name, what, factor, 1, 1)[0]


def unfold(input: Tensor, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1) -> Tensor:
    """The windows of images as columns.

    Args:
        input: A tensor `[batch, channels, height, width]`, or without a batch.
        kernel_size: Height and width of a window.
        dilation: Distance of a window's positions.
        padding: Zeros on both sides.
        stride: Distance of windows.

    Shape:
        output `[batch, channels * positions, windows]`, positions of a window and windows row by row.

    Raises:
        ShapeError: If a window does not fit, or the input has another number of axes.

    Example:
        >>> unfold(ad.reshape(ad.arange(6.0), (1, 1, 2, 3)), 2).tolist()
        [[[0.0, 1.0], [1.0, 2.0], [3.0, 4.0], [4.0, 5.0]]]
    """
    return _core.unfold(input, _columns("unfold", kernel_size, dilation, padding, stride))


def fold(
    input: Tensor,
    output_size: Sizes,
    kernel_size: Sizes,
    dilation: Sizes = 1,
    padding: Sizes = 0,
    stride: Sizes = 1,
) -> Tensor:
    """Columns added up where `unfold` has them from.

    Args:
        input: A tensor `[batch, channels * positions, windows]`, or without a batch.
        output_size: Height and width of the images.
        kernel_size: Height and width of a window.
        dilation: Distance of a window's positions.
        padding: Zeros on both sides that the windows had.
        stride: Distance of windows.

    Shape:
        output `[batch, channels, *output_size]`.

    Raises:
        ShapeError: If the input's sizes are not those that `unfold` gives for such images.

    Example:
        >>> fold(ad.ones((1, 4, 2)), (2, 3), 2).tolist()
        [[[[1.0, 2.0, 1.0], [1.0, 2.0, 1.0]]]]
    """
    size = numbers("fold", "output_size", output_size, 2, 1)
    return _core.fold(input, size, _columns("fold", kernel_size, dilation, padding, stride))


def _columns(
    name: str, kernel_size: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...], bool]:
    return (
        numbers(name, "kernel_size", kernel_size, 2, 1),
        numbers(name, "stride", stride, 2, 1),
        numbers(name, "padding", padding, 2, 0),
        numbers(name, "dilation", dilation, 2, 1),
        False,
    )


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """X / (k + alpha * m)^beta, m being the mean of x^2 over `size` neighbouring channels, zeros beyond the ends.

    Args:
        input: A tensor `[batch, channels, ...]`.
        size: How many channels, the element's own in the middle (one fewer follow than precede it, where even).
        alpha: Factor of the mean.
        beta: Exponent.
        k: Summand.

    Raises:
        ShapeError: If the input has fewer than three axes.

    Source:
        Krizhevsky, Sutskever, Hinton (2012), ImageNet Classification with Deep Convolutional Neural Networks.

    Example:
        >>> local_response_norm(ad.ones((1, 2, 3)), 1, alpha=3.0, beta=0.5).tolist()[0][0]
        [0.5, 0.5, 0.5]
    """
    if input.ndim < 3:
        raise ShapeError(
            f"local_response_norm: input {input.shape} has {input.ndim} axes. "
            "Give batch, channels and one more at least."
        )
    (size,) = numbers("local_response_norm", "size", size, 1, 1)
    batch, channels, *rest = input.shape
    if not input.size:
        return input
    squares = _core.reshape(input * input, (batch, 1, channels, math.prod(rest)))
    if size % 2:
        means = avg_pool2d(squares, (size, 1), 1, (size // 2, 0))
    else:
        means = avg_pool2d(pad(squares, (0, 0, size // 2, (size - 1) // 2)), (size, 1), 1)
    return input / (_core.reshape(means, input.shape) * alpha + k) ** beta
