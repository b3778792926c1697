"""Small compositions: `diff`, `logaddexp`.

Depends on the core only. Invariant: gradients are those of the operations that they are made of.
"""

from __future__ import annotations

from . import _core
from ._array_api import broadcast_arrays
from ._core import DomainError, DTypeError, OutOfRangeError, Tensor


def diff(
    x: Tensor, /, *, axis: int = -1, n: int = 1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """Differences of neighbours along an axis, `n` times.

    Args:
        x: Numbers.
        axis: Where neighbours lie.
        n: How often; 0 leaves `x`.
        prepend: What comes before `x` along the axis.
        append: What comes after it.

    Shape:
        output: `x`'s with `n` fewer along the axis, with what was put before and after it.

    Raises:
        DTypeError: For bool.
        DomainError: If n is negative.
        OutOfRangeError: If there is no such axis.

    Example:
        >>> ad.diff(ad.tensor([1.0, 4.0, 9.0]))
        tensor([3., 5.])
    """
    if n < 0:
        raise DomainError(f"diff: n is {n}. Take differences 0 times or more.")
    if x.dtype == _core.bool:
        raise DTypeError("diff: bool has no differences. Use an integer dtype.")
    if not -x.ndim <= axis < x.ndim:
        raise OutOfRangeError(f"diff: axis {axis} of {x.shape}. Name an existing axis.")
    parts = [part for part in (prepend, x, append) if part is not None]
    if len(parts) > 1:
        x = _core.concat(parts, axis=axis)
    before = (slice(None),) * (axis % x.ndim)
    for _ in range(n):
        x = x[(*before, slice(1, None))] - x[(*before, slice(None, -1))]
    return x


def logaddexp(x1: Tensor, x2: Tensor, /) -> Tensor:
    """ln(exp(x1) + exp(x2)), without overflow.

    Args:
        x1: Logarithms.
        x2: Logarithms.

    Shape:
        inputs of shapes that broadcast, output of the broadcast shape.

    Raises:
        ShapeError: If the shapes do not broadcast.

    Example:
        >>> ad.logaddexp(ad.tensor([1000.0]), ad.tensor([1000.0]))
        tensor([1000.6932])
    """
    x1, x2 = broadcast_arrays(x1, x2)
    top = _core.maximum(x1, x2)
    # The difference of two infinities is no number: where the larger one is infinite, it is the result itself.
    infinite = _core.isinf(top)
    finite = _core.logsumexp(_core.stack([_core.where(infinite, 0, x) for x in (x1, x2)]), axis=0)
    return _core.where(infinite, top.astype(finite.dtype), finite)
