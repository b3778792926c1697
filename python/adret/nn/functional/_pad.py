"""Padding: constants, reflections, repeated edges and periods around a tensor.

Depends on the core only. Invariant: every mode is made of slices, flips and joins, so that it has their gradients, to
any order, on every device.
"""

# The core is private to the package, of which this is a part.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import index

from ... import _core
from ..._core import DomainError, DTypeError, ShapeError, Tensor

__all__ = ["pad"]


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Elements around the input, by amounts that begin with the last axis; negative amounts cut elements off.

    Args:
        input: A tensor.
        pad: `(before, after)` of the last axis, then of the one before it, and so on; other axes stay as they are.
        mode: "constant" puts `value`; "reflect" mirrors at the outermost element, without it; "replicate" repeats the
            outermost element; "circular" goes on at the other end.
        value: What "constant" puts, 0 if None.

    Shape:
        input `[..., size]`, output `[..., before + size + after]`.

    Raises:
        ShapeError: If there are more pairs than axes, if an axis would have a negative size, or if it has too few
            elements: "reflect" needs more than it mirrors, "circular" as many as it repeats, "replicate" one.
        DTypeError: If the amounts are no whole numbers.
        DomainError: If the amounts are no pairs, the mode is unknown, or a mode other than "constant" is given a value.

    Example:
        >>> x = ad.tensor([1.0, 2.0, 3.0])
        >>> pad(x, (1, 1)).tolist(), pad(x, (2, 0), mode="reflect").tolist()
        ([0.0, 1.0, 2.0, 3.0, 0.0], [3.0, 2.0, 1.0, 2.0, 3.0])
        >>> pad(x, (1, 1), mode="circular").tolist(), pad(x, (-1, 1), mode="replicate").tolist()
        ([3.0, 1.0, 2.0, 3.0, 1.0], [2.0, 3.0, 3.0])
    """
    try:
        amounts = tuple(index(amount) for amount in pad)
    except TypeError:
        raise DTypeError(f"pad: pad is {pad!r}. Use whole numbers, (before, after) per axis.") from None
    if not isinstance(input, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise DTypeError(f"pad: input is {input!r}, a {type(input).__name__}. Make a tensor with ad.tensor(…).")
    pairs = list(zip(amounts[::2], amounts[1::2], strict=False))
    if len(amounts) % 2:
        raise DomainError(f"pad: pad is {amounts}, which are {len(amounts)} numbers. Give (before, after) per axis.")
    if len(pairs) > input.ndim:
        raise ShapeError(
            f"pad: pad is {amounts}, pairs for {len(pairs)} axes, and input {input.shape} has {input.ndim}. "
            "Give a pair for each axis at most, beginning with the last."
        )
    if mode != "constant" and mode not in _MODES:
        raise DomainError(f"pad: mode is {mode!r}. Use 'constant', 'reflect', 'replicate' or 'circular'.")
    if mode != "constant" and value is not None:
        raise DomainError(f"pad: mode {mode!r} takes no value, and value is {value}. Leave it out.")
    for nth, (before, after) in enumerate(pairs):
        size = input.shape[-1 - nth]
        if size + before + after < 0:
            raise ShapeError(
                f"pad: axis {input.ndim - 1 - nth} of input {input.shape} has {size} elements, from which "
                f"({before}, {after}) cuts more. Cut fewer."
            )
    if mode == "constant":
        return _constant(input, pairs, 0 if value is None else value)
    for nth, (before, after) in enumerate(pairs):
        if before or after:
            input = _MODES[mode](input, input.ndim - 1 - nth, before, after)
    return input


def _cut(x: Tensor, axis: int, start: int, stop: int) -> Tensor:
    """Elements `start` to `stop` of an axis."""
    return x if (start, stop) == (0, x.shape[axis]) else x[(*(slice(None),) * axis, slice(start, stop))]


def _within(x: Tensor, axis: int, before: int, after: int) -> Tensor:
    """The axis without what negative amounts cut off."""
    return _cut(x, axis, max(-before, 0), x.shape[axis] - max(-after, 0))


def _constant(x: Tensor, pairs: Sequence[tuple[int, int]], value: float) -> Tensor:
    if any(amount > 0 for pair in pairs for amount in pair):
        widths = [(max(before, 0), max(after, 0)) for before, after in reversed(pairs)]
        x = _core.pad(x, [(0, 0)] * (x.ndim - len(pairs)) + widths, value)
    for nth, (before, after) in enumerate(pairs):
        x = _within(x, x.ndim - 1 - nth, before, after)
    return x


def _joined(parts: Sequence[Tensor], axis: int) -> Tensor:
    filled = [part for part in parts if part.shape[axis]]
    return _core.concat(filled, axis=axis) if len(filled) > 1 else (filled or parts)[0]


def _too_few(mode: str, x: Tensor, axis: int, before: int, after: int, need: str) -> ShapeError:
    return ShapeError(
        f"pad: axis {axis} of input {x.shape} has {x.shape[axis]} elements, and mode "
        f"{mode!r} pads ({before}, {after}). {need}"
    )


def _reflect(x: Tensor, axis: int, before: int, after: int) -> Tensor:
    size, left, right = x.shape[axis], max(before, 0), max(after, 0)
    if max(left, right) >= size:
        raise _too_few("reflect", x, axis, before, after, f"Pad by less than {size}.")
    first = _core.flip(_cut(x, axis, 1, left + 1), axis)
    last = _core.flip(_cut(x, axis, size - 1 - right, size - 1), axis)
    return _within(_joined((first, x, last), axis), axis, before, after)


def _replicate(x: Tensor, axis: int, before: int, after: int) -> Tensor:
    size, left, right = x.shape[axis], max(before, 0), max(after, 0)
    if size == 0:
        raise _too_few("replicate", x, axis, before, after, "Give it one element at least.")

    def edge(at: int, count: int) -> Tensor:
        shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
        return _core.broadcast_to(_cut(x, axis, at, at + 1), shape)

    return _within(_joined((edge(0, left), x, edge(size - 1, right)), axis), axis, before, after)


def _circular(x: Tensor, axis: int, before: int, after: int) -> Tensor:
    # What is cut off takes no part in the period.
    whole, x = x, _within(x, axis, before, after)
    size, left, right = x.shape[axis], max(before, 0), max(after, 0)
    if max(left, right) > size:
        raise _too_few("circular", whole, axis, before, after, f"Pad by {size} at most.")
    return _joined((_cut(x, axis, size - left, size), x, _cut(x, axis, 0, right)), axis)


_MODES: dict[str, Callable[[Tensor, int, int, int], Tensor]] = {
    "reflect": _reflect,
    "replicate": _replicate,
    "circular": _circular,
}
