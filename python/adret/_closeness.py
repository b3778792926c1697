"""Comparisons that allow for rounding: `isclose`, `allclose`.

Depends on the core only. Invariant: an infinity is close to itself alone, NaN to nothing unless asked for.
"""

from __future__ import annotations

from . import _core
from ._array_api import isdtype
from ._core import Tensor


def _real(x: Tensor) -> Tensor:
    """Integers and bool as the widest float of their device, which differences do not overflow."""
    if isdtype(x.dtype, "real floating"):
        return x
    return x.astype("float64" if x.device == "cpu" else "float32")


def isclose(x1: Tensor, x2: Tensor, /, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Whether elements differ by no more than rounding may explain.

    |x1 - x2| <= atol + rtol * |x2|

    Args:
        x1: Values to judge.
        x2: Values to judge them by.
        rtol: Difference allowed, relative to `x2`.
        atol: Difference allowed in any case.
        equal_nan: Whether NaN is close to NaN.

    Shape:
        inputs of shapes that broadcast, output `bool` of the broadcast shape.

    Raises:
        ShapeError: If the shapes do not broadcast.

    Example:
        >>> ad.isclose(ad.tensor([1.0, 1.0]), ad.tensor([1.000001, 1.1]))
        tensor([ True, False])
    """
    same = x1 == x2
    a, b = _real(x1), _real(x2)
    close = same | (_core.isfinite(b) & (_core.abs(a - b) <= atol + rtol * _core.abs(b)))
    return close | (_core.isnan(a) & _core.isnan(b)) if equal_nan else close


def allclose(x1: Tensor, x2: Tensor, /, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether all elements are close, see `isclose`; computes the values.

    Args:
        x1: Values to judge.
        x2: Values to judge them by.
        rtol: Difference allowed, relative to `x2`.
        atol: Difference allowed in any case.
        equal_nan: Whether NaN is close to NaN.

    Raises:
        ShapeError: If the shapes do not broadcast.

    Example:
        >>> ad.allclose(ad.tensor([0.1 + 0.2]), ad.tensor([0.3]))
        True
    """
    return bool(_core.all(isclose(x1, x2, rtol, atol, equal_nan)))
