"""Layers that pad.

Depends on `functional`. Invariant: they have no parameters; the order of amounts begins with the last axis.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import index
from typing import Any

from .._core import DomainError, DTypeError, ShapeError, Tensor
from . import functional as F
from ._module import Module


class _Pad(Module):
    """What all of them are: amounts for the last `_axes` axes and a mode."""

    _axes: int
    _mode: str

    def __init__(self, padding: int | Sequence[int]) -> None:
        """Takes one amount for all sides, or (before, after) of each axis, beginning with the last."""
        name = type(self).__name__
        sides = 2 * self._axes
        many = isinstance(padding, Iterable) and not isinstance(padding, str)
        each: Any = padding if many else (padding,) * sides
        try:
            amounts = tuple(index(amount) for amount in each)
        except TypeError:
            raise DTypeError(f"{name}: padding is {padding!r}. Use an int, or {2 * self._axes} of them.") from None
        if len(amounts) != 2 * self._axes:
            raise DomainError(
                f"{name}: padding is {amounts}, {len(amounts)} numbers. "
                f"Give one, or {2 * self._axes}: (before, after) of each axis, beginning with the last."
            )
        self.padding = amounts

    def _check(self, input: Tensor) -> None:
        if input.ndim not in (self._axes + 1, self._axes + 2):
            raise ShapeError(
                f"{type(self).__name__}: input {input.shape} has {input.ndim} axes. "
                f"Give {self._axes + 2}, or {self._axes + 1} without a batch."
            )

    def forward(self, input: Tensor) -> Tensor:
        """The input, padded."""
        self._check(input)
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        """The amounts."""
        return f"{self.padding}"


class _ConstantPad(_Pad):
    """Any number of axes before the padded ones, and a value."""

    _mode = "constant"

    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        """Takes the amounts and the value."""
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """The input, padded with the value."""
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        """The amounts and the value."""
        return f"padding={self.padding}, value={self.value}"


class _ZeroPad(_ConstantPad):
    """Zeros."""

    def __init__(self, padding: int | Sequence[int]) -> None:
        """Takes the amounts."""
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        """The amounts."""
        return f"{self.padding}"


class ConstantPad1d(_ConstantPad):
    """Puts a value around the last axis.

    Args:
        padding: `(left, right)`, or one amount for all; negative ones cut off.
        value: What is put there.

    Shape:
        input of any number of axes, the last ones padded in the output.

    Raises:
        ShapeError: If the input has fewer axes than are padded, or a negative amount cuts more than there is.
        DomainError: If there are not 2 amounts.

    Example:
        >>> ConstantPad1d(1, 5.0)(ad.tensor([[[1.0, 2.0]]])).tolist()
        [[[5.0, 1.0, 2.0, 5.0]]]
    """

    _axes = 1


class ConstantPad2d(_ConstantPad):
    """Puts a value around the last two axes.

    Args:
        padding: `(left, right, top, bottom)`, or one amount for all; negative ones cut off.
        value: What is put there.

    Shape:
        input of any number of axes, the last ones padded in the output.

    Raises:
        ShapeError: If the input has fewer axes than are padded, or a negative amount cuts more than there is.
        DomainError: If there are not 4 amounts.

    Example:
        >>> ConstantPad2d(1, 5.0)(ad.ones((1, 1, 2, 2))).shape
        (1, 1, 4, 4)
    """

    _axes = 2


class ConstantPad3d(_ConstantPad):
    """Puts a value around the last three axes.

    Args:
        padding: `(left, right, top, bottom, front, back)`, or one amount for all; negative ones cut off.
        value: What is put there.

    Shape:
        input of any number of axes, the last ones padded in the output.

    Raises:
        ShapeError: If the input has fewer axes than are padded, or a negative amount cuts more than there is.
        DomainError: If there are not 6 amounts.

    Example:
        >>> ConstantPad3d(1, 5.0)(ad.ones((1, 1, 2, 2, 2))).shape
        (1, 1, 4, 4, 4)
    """

    _axes = 3


class ZeroPad1d(_ZeroPad):
    """Puts zeros around the last axis.

    Args:
        padding: `(left, right)`, or one amount for all; negative ones cut off.

    Shape:
        input of any number of axes, the last ones padded in the output.

    Raises:
        ShapeError: If the input has fewer axes than are padded, or a negative amount cuts more than there is.
        DomainError: If there are not 2 amounts.

    Example:
        >>> ZeroPad1d(1)(ad.tensor([[[1.0, 2.0]]])).tolist()
        [[[0.0, 1.0, 2.0, 0.0]]]
    """

    _axes = 1


class ZeroPad2d(_ZeroPad):
    """Puts zeros around the last two axes.

    Args:
        padding: `(left, right, top, bottom)`, or one amount for all; negative ones cut off.

    Shape:
        input of any number of axes, the last ones padded in the output.

    Raises:
        ShapeError: If the input has fewer axes than are padded, or a negative amount cuts more than there is.
        DomainError: If there are not 4 amounts.

    Example:
        >>> ZeroPad2d(1)(ad.ones((1, 1, 2, 2))).shape
        (1, 1, 4, 4)
    """

    _axes = 2


class ZeroPad3d(_ZeroPad):
    """Puts zeros around the last three axes.

    Args:
        padding: `(left, right, top, bottom, front, back)`, or one amount for all; negative ones cut off.

    Shape:
        input of any number of axes, the last ones padded in the output.

    Raises:
        ShapeError: If the input has fewer axes than are padded, or a negative amount cuts more than there is.
        DomainError: If there are not 6 amounts.

    Example:
        >>> ZeroPad3d(1)(ad.ones((1, 1, 2, 2, 2))).shape
        (1, 1, 4, 4, 4)
    """

    _axes = 3


class ReflectionPad1d(_Pad):
    """Mirrors the last axis at its outermost elements, which are not repeated.

    Args:
        padding: `(left, right)`, or one amount for all; negative ones cut off.

    Shape:
        input `[batch, channels, width]`, or without a batch; output the same, padded.

    Raises:
        ShapeError: If the input has another number of axes, or an axis has no more elements than are mirrored.
        DomainError: If there are not 2 amounts.

    Example:
        >>> ReflectionPad1d(1)(ad.tensor([[[1.0, 2.0]]])).tolist()
        [[[2.0, 1.0, 2.0, 1.0]]]
    """

    _axes = 1
    _mode = "reflect"


class ReflectionPad2d(_Pad):
    """Mirrors the last two axes at their outermost elements, which are not repeated.

    Args:
        padding: `(left, right, top, bottom)`, or one amount for all; negative ones cut off.

    Shape:
        input `[batch, channels, height, width]`, or without a batch; output the same, padded.

    Raises:
        ShapeError: If the input has another number of axes, or an axis has no more elements than are mirrored.
        DomainError: If there are not 4 amounts.

    Example:
        >>> ReflectionPad2d(1)(ad.ones((1, 1, 2, 2))).shape
        (1, 1, 4, 4)
    """

    _axes = 2
    _mode = "reflect"


class ReflectionPad3d(_Pad):
    """Mirrors the last three axes at their outermost elements, which are not repeated.

    Args:
        padding: `(left, right, top, bottom, front, back)`, or one amount for all; negative ones cut off.

    Shape:
        input `[batch, channels, depth, height, width]`, or without a batch; output the same, padded.

    Raises:
        ShapeError: If the input has another number of axes, or an axis has no more elements than are mirrored.
        DomainError: If there are not 6 amounts.

    Example:
        >>> ReflectionPad3d(1)(ad.ones((1, 1, 2, 2, 2))).shape
        (1, 1, 4, 4, 4)
    """

    _axes = 3
    _mode = "reflect"


class ReplicationPad1d(_Pad):
    """Repeats the outermost elements of the last axis.

    Args:
        padding: `(left, right)`, or one amount for all; negative ones cut off.

    Shape:
        input `[batch, channels, width]`, or without a batch; output the same, padded.

    Raises:
        ShapeError: If the input has another number of axes, or a padded axis is empty.
        DomainError: If there are not 2 amounts.

    Example:
        >>> ReplicationPad1d(1)(ad.tensor([[[1.0, 2.0]]])).tolist()
        [[[1.0, 1.0, 2.0, 2.0]]]
    """

    _axes = 1
    _mode = "replicate"


class ReplicationPad2d(_Pad):
    """Repeats the outermost elements of the last two axes.

    Args:
        padding: `(left, right, top, bottom)`, or one amount for all; negative ones cut off.

    Shape:
        input `[batch, channels, height, width]`, or without a batch; output the same, padded.

    Raises:
        ShapeError: If the input has another number of axes, or a padded axis is empty.
        DomainError: If there are not 4 amounts.

    Example:
        >>> ReplicationPad2d(1)(ad.ones((1, 1, 2, 2))).shape
        (1, 1, 4, 4)
    """

    _axes = 2
    _mode = "replicate"


class ReplicationPad3d(_Pad):
    """Repeats the outermost elements of the last three axes.

    Args:
        padding: `(left, right, top, bottom, front, back)`, or one amount for all; negative ones cut off.

    Shape:
        input `[batch, channels, depth, height, width]`, or without a batch; output the same, padded.

    Raises:
        ShapeError: If the input has another number of axes, or a padded axis is empty.
        DomainError: If there are not 6 amounts.

    Example:
        >>> ReplicationPad3d(1)(ad.ones((1, 1, 2, 2, 2))).shape
        (1, 1, 4, 4, 4)
    """

    _axes = 3
    _mode = "replicate"


class CircularPad1d(_Pad):
    """Goes on at the other end of the last axis.

    Args:
        padding: `(left, right)`, or one amount for all; negative ones cut off.

    Shape:
        input `[batch, channels, width]`, or without a batch; output the same, padded.

    Raises:
        ShapeError: If the input has another number of axes, or an axis has fewer elements than are repeated.
        DomainError: If there are not 2 amounts.

    Example:
        >>> CircularPad1d(1)(ad.tensor([[[1.0, 2.0]]])).tolist()
        [[[2.0, 1.0, 2.0, 1.0]]]
    """

    _axes = 1
    _mode = "circular"


class CircularPad2d(_Pad):
    """Goes on at the other end of the last two axes.

    Args:
        padding: `(left, right, top, bottom)`, or one amount for all; negative ones cut off.

    Shape:
        input `[batch, channels, height, width]`, or without a batch; output the same, padded.

    Raises:
        ShapeError: If the input has another number of axes, or an axis has fewer elements than are repeated.
        DomainError: If there are not 4 amounts.

    Example:
        >>> CircularPad2d(1)(ad.ones((1, 1, 2, 2))).shape
        (1, 1, 4, 4)
    """

    _axes = 2
    _mode = "circular"


class CircularPad3d(_Pad):
    """Goes on at the other end of the last three axes.

    Args:
        padding: `(left, right, top, bottom, front, back)`, or one amount for all; negative ones cut off.

    Shape:
        input `[batch, channels, depth, height, width]`, or without a batch; output the same, padded.

    Raises:
        ShapeError: If the input has another number of axes, or an axis has fewer elements than are repeated.
        DomainError: If there are not 6 amounts.

    Example:
        >>> CircularPad3d(1)(ad.ones((1, 1, 2, 2, 2))).shape
        (1, 1, 4, 4, 4)
    """

    _axes = 3
    _mode = "circular"
