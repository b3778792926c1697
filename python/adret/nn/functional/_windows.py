"""Numbers per spatial axis, as users give them: one for all axes, or one for each.

Depends on the core's errors only. Invariant: what comes out is whole, in range, and as long as there are axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import SupportsFloat, SupportsIndex, cast

from ..._core import DomainError, DTypeError

Windows = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...], bool]
"""Kernel, stride, padding, dilation, and whether sizes are rounded up: what the core takes."""


def numbers(name: str, what: str, value: int | Sequence[int], axes: int, least: int) -> tuple[int, ...]:
    """One whole number for each axis, none below `least`; a single one counts for all."""
    given = tuple(value) if isinstance(value, Sequence) else (value,)
    try:
        found = tuple(index(number) for number in given)
    except TypeError:
        raise DTypeError(f"{name}: {what} is {value!r}. Use an int, or {axes} of them.") from None
    if len(found) == 1:
        found *= axes
    if len(found) != axes:
        raise DomainError(f"{name}: {what} is {value!r}, {len(found)} numbers. Give one, or {axes}: one for each axis.")
    if min(found) < least:
        raise DomainError(f"{name}: {what} is {value!r}. Use {least} or more.")
    return found


def share(name: str, **values: object) -> list[float]:
    """Named settings as probabilities."""
    for what, value in values.items():
        if not isinstance(value, SupportsFloat):
            raise DTypeError(f"{name}: {what} is {value!r}, a {type(value).__name__}. Use a probability from 0 to 1.")
        if not 0.0 <= float(value) <= 1.0:
            raise DomainError(f"{name}: {what} is {value}. Use a probability from 0 to 1.")
    return [float(cast("SupportsFloat", value)) for value in values.values()]


def whole(name: str, least: int | None = None, **values: object) -> list[int]:
    """Named settings as whole numbers, none below `least`."""
    found: list[int] = []
    for what, value in values.items():
        try:
            found.append(index(cast("SupportsIndex", value)))
        except TypeError:
            raise DTypeError(f"{name}: {what} is {value!r}, a {type(value).__name__}. Use an int.") from None
        if least is not None and found[-1] < least:
            raise DomainError(f"{name}: {what} is {value}. Use {least} or more.")
    return found


def windows(
    name: str,
    axes: int,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None,
    padding: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> Windows:
    """The windows of a pooling; the stride is the kernel's size where none is given."""
    kernel = numbers(name, "kernel_size", kernel_size, axes, 1)
    strides = kernel if stride is None or stride == () else numbers(name, "stride", stride, axes, 1)
    around = numbers(name, "padding", padding, axes, 0)
    between = numbers(name, "dilation", dilation, axes, 1)
    for size, amount, distance in zip(kernel, around, between, strict=True):
        reach = (size - 1) * distance + 1
        if amount > reach // 2:
            raise DomainError(
                f"{name}: padding is {padding!r}, more than half the window of {reach}. "
                f"Use {reach // 2} at most, or pad the input first."
            )
    return kernel, strides, around, between, bool(ceil_mode)


def counts(name: str, output_size: int | Sequence[int | None] | None, axes: int) -> list[int | None]:
    """How many windows each axis is shared by; None leaves it as it is."""
    given = list(output_size) if isinstance(output_size, Sequence) else [output_size]
    if len(given) == 1:
        given *= axes
    found = [None if number is None else numbers(name, "output_size", number, 1, 0)[0] for number in given]
    if len(found) != axes:
        raise DomainError(
            f"{name}: output_size is {output_size!r}, {len(found)} numbers. Give one, or {axes}: one for each axis."
        )
    return found
