"""Convolutions, their transposes, and padding, as functions.

Depends on the core only. Invariant: signatures and values are PyTorch's; `channels_last` says where the channels are,
and changes no value.
"""

# The core is private to the package, of which this is a part.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Sequence

from ... import _core
from ..._core import DomainError, ShapeError, Tensor

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "pad",
]

_Sizes = int | Sequence[int]


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
    return _core._conv(1, input, weight, bias, stride, padding, dilation, groups, channels_last)


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
    return _core._conv(2, input, weight, bias, stride, padding, dilation, groups, channels_last)


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
    return _core._conv(3, input, weight, bias, stride, padding, dilation, groups, channels_last)


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
    return _core._conv_transpose(
        1, input, weight, bias, stride, padding, output_padding, groups, dilation, channels_last
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
    return _core._conv_transpose(
        2, input, weight, bias, stride, padding, output_padding, groups, dilation, channels_last
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
    return _core._conv_transpose(
        3, input, weight, bias, stride, padding, output_padding, groups, dilation, channels_last
    )


_MODES = ("constant", "reflect", "replicate", "circular")


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Puts elements before and behind the last axes; negative amounts cut off.

    Args:
        input: A tensor.
        pad: Pairs of amounts, for the last axis first: `(left, right, top, bottom, ...)`.
        mode: "constant"; "reflect" mirrors at the outermost element; "replicate" repeats it; "circular" goes on at
            the other end.
        value: What "constant" puts there, 0 by default.

    Raises:
        ShapeError: If there are more pairs than axes, or an axis is too short to be mirrored or cut.
        DomainError: If the mode is none of these, or a value is given with another mode than "constant".

    Example:
        >>> pad(ad.tensor([1.0, 2.0, 3.0]), (2, 1), mode="reflect").tolist()
        [3.0, 2.0, 1.0, 2.0, 3.0, 2.0]
    """
    if mode not in _MODES:
        raise DomainError(f"pad: mode is {mode!r}. Use one of {', '.join(_MODES)}.")
    if mode != "constant" and value is not None:
        raise DomainError(f"pad: value is {value} with mode {mode!r}. Only 'constant' takes a value.")
    amounts = [int(amount) for amount in pad]
    if len(amounts) % 2 or len(amounts) > 2 * input.ndim:
        raise ShapeError(
            f"pad: {len(amounts)} amounts for a tensor of shape {input.shape}. "
            f"Give a pair per axis, at most {input.ndim}."
        )
    pairs = {input.ndim - 1 - i // 2: (amounts[i], amounts[i + 1]) for i in range(0, len(amounts), 2)}
    for axis, (before, after) in pairs.items():
        size = input.shape[axis]
        if size + before + after < 0 or -before > size or -after > size:
            raise ShapeError(
                f"pad: {before} and {after} elements of axis {axis} of a tensor of shape {input.shape}: "
                f"no {-before - after} of {size} can be cut off. Cut off less."
            )
        if before > 0 or after > 0:
            _check(mode, input.shape, axis, max(before, after))
    if mode == "constant":
        widths = [
            (max(before, 0), max(after, 0)) for before, after in (pairs.get(i, (0, 0)) for i in range(input.ndim))
        ]
        result = _core.pad(input, widths, 0 if value is None else value)
    else:
        result = input
        for axis, (before, after) in pairs.items():
            result = _extended(result, axis, max(before, 0), max(after, 0), mode)
    if min(amounts, default=0) >= 0:
        return result
    cut = [pairs.get(axis, (0, 0)) for axis in range(input.ndim)]
    return result[tuple(slice(max(-before, 0), min(after, 0) or None) for before, after in cut)]


def _check(mode: str, shape: tuple[int, ...], axis: int, amount: int) -> None:
    """Refuses what the axis has too few elements for."""
    most = {"constant": amount, "replicate": amount if shape[axis] else 0}
    most |= {"reflect": shape[axis] - 1, "circular": shape[axis]}
    if amount > most[mode]:
        raise ShapeError(
            f"pad: {amount} elements by {mode!r} along axis {axis} of a tensor of shape {shape}, "
            f"which has {shape[axis]}. Use at most {max(most[mode], 0)}, or another mode."
        )


def _extended(x: Tensor, axis: int, before: int, after: int, mode: str) -> Tensor:
    """`x` with elements of its own before and behind it."""
    size = x.shape[axis]

    def window(start: int, stop: int) -> Tensor:
        return x[(slice(None),) * axis + (slice(start, stop),)]

    def repeated(start: int, count: int) -> Tensor:
        shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
        return _core.broadcast_to(window(start, start + 1), shape)

    parts = [x]
    if before:
        if mode == "reflect":
            left = _core.flip(window(1, before + 1), axis=axis)
        else:
            left = repeated(0, before) if mode == "replicate" else window(size - before, size)
        parts.insert(0, left)
    if after:
        if mode == "reflect":
            right = _core.flip(window(size - 1 - after, size - 1), axis=axis)
        else:
            right = repeated(size - 1, after) if mode == "replicate" else window(0, after)
        parts.append(right)
    return parts[0] if len(parts) == 1 else _core.concat(parts, axis=axis)
