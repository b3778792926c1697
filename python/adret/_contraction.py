"""Products of tensors summed over chosen axes: `tensordot`, `einsum`.

Depends on the core only. Invariant: every product of two operands is one matrix product, or pointwise where nothing is
summed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import index

from . import _core
from ._core import DTypeError, OutOfRangeError, ShapeError, Tensor

# A letter of an equation, or an axis that stands under its dots, counted from the last one.
_Label = str | int


def tensordot(x1: Tensor, x2: Tensor, /, axes: int | tuple[Sequence[int], Sequence[int]] = 2) -> Tensor:
    """The sum of products over pairs of axes.

    Args:
        x1: First factor.
        x2: Second factor.
        axes: The number of last axes of `x1` that meet as many first axes of `x2`; or the axes of each, in pairs.

    Shape:
        output: the other axes of `x1`, then those of `x2`.

    Raises:
        ShapeError: If sizes of a pair differ, or the numbers of axes do.
        OutOfRangeError: If an axis does not exist.

    Example:
        >>> ad.tensordot(ad.ones((2, 3, 4)), ad.ones((4, 3, 5)), axes=([1, 2], [1, 0])).shape
        (2, 5)
    """
    _check_tensors("tensordot", x1, x2)
    if isinstance(axes, int):
        if not 0 <= axes <= min(x1.ndim, x2.ndim):
            raise OutOfRangeError(
                f"tensordot: {axes} axes of {x1.shape} and {x2.shape}. Name at most as many as both have."
            )
        first, second = list(range(x1.ndim - axes, x1.ndim)), list(range(axes))
    else:
        try:
            first, second = (
                _axes(x, [index(axis) for axis in chosen]) for x, chosen in zip((x1, x2), axes, strict=True)
            )
        except (TypeError, ValueError) as error:
            if isinstance(error, OutOfRangeError):
                raise
            raise DTypeError(
                f"tensordot: axes is {axes!r}. Use a number of axes, or two lists of them, as in ([0], [1])."
            ) from None
    if [x1.shape[axis] for axis in first] != [x2.shape[axis] for axis in second]:
        raise ShapeError(
            f"tensordot: axes {tuple(first)} of {x1.shape} and {tuple(second)} of {x2.shape} differ in size or number. "
            "Pair axes of equal sizes."
        )
    left = [axis for axis in range(x1.ndim) if axis not in first]
    right = [axis for axis in range(x2.ndim) if axis not in second]
    inner = math.prod(x1.shape[axis] for axis in first)
    outer = [x1.shape[axis] for axis in left] + [x2.shape[axis] for axis in right]
    a = _core.permute_dims(x1, (*left, *first)).reshape((math.prod(outer[: len(left)]), inner))
    b = _core.permute_dims(x2, (*second, *right)).reshape((inner, math.prod(outer[len(left) :])))
    return (a @ b).reshape(tuple(outer))


def _check_tensors(name: str, *operands: object) -> None:
    for place, operand in enumerate(operands):
        if not isinstance(operand, Tensor):
            raise DTypeError(
                f"{name}: operand {place} is {operand!r}, a {type(operand).__name__}. Make a tensor with ad.tensor(…)."
            )


def _axes(x: Tensor, axes: Sequence[int]) -> list[int]:
    """Axes counted from the first."""
    found = [axis + x.ndim if axis < 0 else axis for axis in axes]
    if len(set(found)) < len(found) or any(not 0 <= axis < x.ndim for axis in found):
        raise OutOfRangeError(f"tensordot: axes {tuple(axes)} of {x.shape}. Name existing axes, each once.")
    return found


def einsum(equation: str, /, *operands: Tensor) -> Tensor:
    """Products summed as an equation of axes says.

    Every letter is an axis. Axes of one letter have one size, or 1. The result has the axes to the right of `->`, and
    is summed over all others; without `->` it has the letters that occur once, in the order of the alphabet. Dots
    stand for any number of axes more, which broadcast and come first where there is no `->`. A letter twice in one
    operand is its diagonal. Operands are multiplied from left to right.

    Args:
        equation: One group of letters per operand, with commas between them, as in `"ij,jk->ik"`.
        operands: As many tensors.

    Raises:
        ShapeError: If the equation does not fit the operands.
        DTypeError: If the equation is no text, or an operand no tensor.

    Example:
        >>> a, b = ad.ones((2, 3)), ad.ones((3, 4))
        >>> ad.einsum("ij,jk->ki", a, b).shape
        (4, 2)
    """
    if not isinstance(equation, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise DTypeError(f"einsum: the equation is {equation!r}. Give text first, as in 'ij,jk->ik', then the tensors.")
    _check_tensors("einsum", *operands)
    groups, result = _parsed(equation, operands)
    sizes: dict[_Label, int] = {}
    factors: list[tuple[Tensor, list[_Label]]] = []
    for operand, group in zip(operands, groups, strict=True):
        for label, size in zip(group, operand.shape, strict=True):
            known = sizes.setdefault(label, size)
            if known != size and 1 not in (known, size):
                name = label if isinstance(label, str) else "..."
                raise ShapeError(f"einsum: {name} of '{equation}' is {known} and {size}. Give it one size.")
            if known == 1:
                sizes[label] = size
        factors.append(_diagonal(operand, group))
    product, labels = factors[0]
    for place, (factor, other) in enumerate(factors[1:], 2):
        needed = {*result, *(label for _, later in factors[place:] for label in later)}
        product, labels = _product((product, labels), (factor, other), needed, sizes)
    product, labels = _summed(product, labels, set(result))
    for label in result:
        if label not in labels:
            raise ShapeError(f"einsum: the result of '{equation}' has {label}, no operand does. Name it in one.")
    product = _core.permute_dims(product, tuple(labels.index(label) for label in result))
    return _core.broadcast_to(product, tuple(sizes[label] for label in result))


def _parsed(equation: str, operands: Sequence[Tensor]) -> tuple[list[list[_Label]], list[_Label]]:
    """Labels of the axes of each operand, and of the result."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        raise ShapeError(
            f"einsum: '{equation}' has {len(terms)} groups, and operands are {len(operands)}. Give a group per operand."
        )
    groups = [_labels(equation, term, operand.shape) for term, operand in zip(terms, operands, strict=True)]
    dots = sorted({label for group in groups for label in group if isinstance(label, int)})
    if not arrow:
        letters = [label for group in groups for label in group if isinstance(label, str)]
        return groups, [*dots, *sorted(letter for letter in set(letters) if letters.count(letter) == 1)]
    before, found, after = right.partition("...")
    result: list[_Label] = [*before, *(dots if found else []), *after]
    _check_letters(equation, before + after)
    if len(set(result)) < len(result):
        raise ShapeError(f"einsum: the result of '{equation}' names an axis twice. Name each once.")
    return groups, result


def _labels(equation: str, term: str, shape: tuple[int, ...]) -> list[_Label]:
    """Labels of the axes of one operand."""
    before, dots, after = term.partition("...")
    _check_letters(equation, before + after)
    more = len(shape) - len(before) - len(after)
    if more < 0 or (more > 0 and not dots):
        raise ShapeError(f"einsum: '{term}' of '{equation}' does not fit {shape}. Give a letter per axis, or dots.")
    return [*before, *range(-more, 0), *after]


def _check_letters(equation: str, letters: str) -> None:
    if letters and not (letters.isascii() and letters.isalpha()):
        raise ShapeError(
            f"einsum: '{equation}' has other signs than letters, commas, '->' and '...'. Name axes by letters."
        )


def _diagonal(x: Tensor, labels: Sequence[_Label]) -> tuple[Tensor, list[_Label]]:
    """Labels that occur once, with the diagonal of axes that share one."""
    left = list(labels)
    for label in dict.fromkeys(labels):
        while left.count(label) > 1:
            first = left.index(label)
            second = left.index(label, first + 1)
            size = max(x.shape[first], x.shape[second])
            if x.shape[first] != x.shape[second]:
                shape = list(x.shape)
                shape[first] = shape[second] = size
                x = _core.broadcast_to(x, tuple(shape))
            del left[second], left[first]
            x = _core.moveaxis(_core.moveaxis(x, second, -1), first, -1)
            x = x.reshape((*x.shape[:-2], size * size))[..., :: size + 1]
            left.append(label)
    return x, left


def _summed(x: Tensor, labels: list[_Label], needed: set[_Label]) -> tuple[Tensor, list[_Label]]:
    """Without the axes that nobody needs."""
    axes = tuple(axis for axis, label in enumerate(labels) if label not in needed)
    if axes:
        x = _core.sum(x, axis=axes, dtype=x.dtype)
    return x, [label for label in labels if label in needed]


def _product(
    a: tuple[Tensor, list[_Label]], b: tuple[Tensor, list[_Label]], needed: set[_Label], sizes: dict[_Label, int]
) -> tuple[Tensor, list[_Label]]:
    """The product of two factors, summed over what only they have."""
    (x, left), (y, right) = _summed(*a, needed.union(b[1])), _summed(*b, needed.union(a[1]))
    both = [label for label in left if label in right and label in needed]
    inner = [label for label in left if label in right and label not in needed]
    rows = [label for label in left if label not in right]
    columns = [label for label in right if label not in left]
    if not inner:
        x = _arranged(x, left, [*both, *rows]).reshape(
            (*_shape(x, left, both), *_shape(x, left, rows), *[1] * len(columns))
        )
        y = _arranged(y, right, [*both, *columns]).reshape(
            (*_shape(y, right, both), *[1] * len(rows), *_shape(y, right, columns))
        )
        return x * y, [*both, *rows, *columns]
    known = {label: sizes[label] for label in [*both, *inner]}
    x, y = _widened(x, left, known), _widened(y, right, known)
    batch, k = tuple(known[label] for label in both), math.prod(known[label] for label in inner)
    high, wide = _shape(x, left, rows), _shape(y, right, columns)
    x = _arranged(x, left, [*both, *rows, *inner]).reshape((*batch, math.prod(high), k))
    y = _arranged(y, right, [*both, *inner, *columns]).reshape((*batch, k, math.prod(wide)))
    return (x @ y).reshape((*batch, *high, *wide)), [*both, *rows, *columns]


def _shape(x: Tensor, labels: list[_Label], chosen: list[_Label]) -> tuple[int, ...]:
    return tuple(x.shape[labels.index(label)] for label in chosen)


def _arranged(x: Tensor, labels: list[_Label], order: list[_Label]) -> Tensor:
    return _core.permute_dims(x, tuple(labels.index(label) for label in order))


def _widened(x: Tensor, labels: list[_Label], known: dict[_Label, int]) -> Tensor:
    """Axes of size 1 repeated to the size that their letter has elsewhere."""
    return _core.broadcast_to(x, tuple(known.get(label, size) for label, size in zip(labels, x.shape, strict=True)))
