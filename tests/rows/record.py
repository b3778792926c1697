"""What a row of the operation table is: a call, its NumPy meaning, and the inputs on which the two must agree.

Depends on NumPy only. Invariant: a reference sees floats as float64 that the dtype under test holds exactly, and
integers in their own dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

FLOATS = ("float64", "float32", "float16", "bfloat16")
SIGNED = ("int64", "int32", "int16", "int8")
UNSIGNED = ("uint64", "uint32", "uint16", "uint8")
INTEGERS = SIGNED + UNSIGNED
BOOL = ("bool",)
NUMBERS = FLOATS + INTEGERS
ALL = NUMBERS + BOOL

EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
SMALLEST = {"float64": 5e-324, "float32": 1.4e-45, "float16": 6e-8, "bfloat16": 9.2e-41}

Shape = tuple[int, ...]


def rounded(values: np.ndarray, dtype: str) -> np.ndarray:
    """The values as `dtype` holds them: float64 for floats, NumPy's own type otherwise."""
    if dtype == "bfloat16":
        bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
        bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
        return bits.astype(np.uint32).view(np.float32).astype(np.float64)
    if dtype in FLOATS:
        return values.astype(dtype).astype(np.float64)
    return values.astype(dtype)


@dataclass(frozen=True)
class Values:
    """A domain of numbers.

    Attributes:
        low: Smallest value (unsigned types: 0 at least).
        high: Largest value.
        distinct: Whether no two values may be closer than finite differences reach.
        away: Points that floats keep clear of, such as kinks.
        integers: Range for integer types, where it differs.
        fixed: A dtype that does not follow the row's.
        constant: Whether no gradient is taken in it, whatever its type.
    """

    low: float = -2.0
    high: float = 2.0
    distinct: bool = False
    away: tuple[float, ...] = ()
    integers: tuple[int, int] | None = None
    fixed: str | None = None
    constant: bool = False

    def sample(self, rng: np.random.Generator, shape: Shape, dtype: str) -> np.ndarray:
        """Random values of the domain as `dtype` holds them."""
        dtype = self.fixed or dtype
        if dtype == "bool":
            return rng.random(shape) < 0.5
        if dtype not in FLOATS:
            low, high = self.integers or (int(np.ceil(self.low)), int(np.floor(self.high)))
            if dtype in UNSIGNED:
                low = max(low, 0)
            return rng.integers(low, high, size=shape, endpoint=True).astype(dtype)
        if self.distinct:
            count = int(np.prod(shape))
            grid = (np.arange(count) + 0.3 + 0.4 * rng.random(count)) / max(count, 1)
            values = self.low + (self.high - self.low) * rng.permutation(grid).reshape(shape)
        else:
            values = rng.uniform(self.low, self.high, size=shape)
        for point in self.away:
            near = np.abs(values - point) < 0.1
            values = np.where(near, point + np.where(values < point, -0.1, 0.1) - (point - values), values)
        return rounded(np.asarray(values), dtype)

    @property
    def differentiable(self) -> bool:
        """Whether a gradient is taken in this input."""
        return not self.constant and (self.fixed is None or self.fixed in FLOATS)


REALS = Values()
POSITIVE = Values(0.2, 4.0, integers=(1, 9))
KINKED = Values(away=(0.0,), integers=(-9, 9))
SMALL = Values(integers=(-9, 9))
TRUTHS = Values(fixed="bool")


def indices(limit: int, low: int = 0) -> Values:
    """Integers from `low` up to, not including, `limit`."""
    return Values(integers=(low, limit - 1), fixed="int64", constant=True)


def wide(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of real numbers: integers count as floats."""
    return lambda *operands: function(*(np.asarray(x, dtype=np.float64) for x in operands))


def same(dtype: str) -> str:
    """The result has the operands' dtype."""
    return dtype


def real(dtype: str) -> str:
    """Floats stay; integers and bool become float32."""
    return dtype if dtype in FLOATS else "float32"


def total(dtype: str) -> str:
    """Sums and products: integers become 64 bits wide."""
    return dtype if dtype in FLOATS else "uint64" if dtype in UNSIGNED else "int64"


def always(dtype: str) -> Callable[[str], str]:
    """The result's dtype does not depend on the operands."""
    return lambda _: dtype


def arithmetic(dtype: str) -> str:
    """The dtype of x · number: bool becomes int64."""
    return "int64" if dtype == "bool" else dtype


@dataclass(frozen=True)
class Row:
    """One operation, or one way to call it.

    Attributes:
        name: Its public name, `nn.functional.…` not included.
        call: Takes tensors.
        reference: Takes arrays, gives an array or a tuple of arrays.
        inputs: Domains of the operands.
        shapes: Combinations of operand shapes; the first is the one for gradients.
        dtypes: What it takes; every other dtype must raise.
        result: The result's dtype from the operands'.
        gradient: Whether gradients are checked, to second order.
        ulps: Allowed error in units of the result's precision, relative to |reference| + `scale`.
        scale: Size of intermediate values that cancel.
        magnitude: The same from the operands, for sums of many.
        variant: Tells rows of one name apart.
        second: Whether second derivatives exist and are checked.
        refuses: Whether other dtypes are a mistake, not another meaning.
    """

    name: str
    call: Callable[..., Any]
    reference: Callable[..., Any]
    inputs: tuple[Values, ...]
    shapes: tuple[tuple[Shape, ...], ...]
    dtypes: tuple[str, ...] = ALL
    result: Callable[[str], str] = same
    gradient: bool = False
    ulps: float = 4.0
    scale: float = 0.0
    variant: str = ""
    second: bool = True
    magnitude: Callable[..., Any] | None = None
    refuses: bool = True

    @property
    def label(self) -> str:
        """The name in test reports."""
        return f"{self.name}[{self.variant}]" if self.variant else self.name

    def sample(self, seed: int, dtype: str, shapes: tuple[Shape, ...]) -> list[np.ndarray]:
        """Operands, the same for the same seed."""
        rng = np.random.default_rng([seed, *self.label.encode()])
        return [values.sample(rng, shape, dtype) for values, shape in zip(self.inputs, shapes, strict=True)]

    def expected(self, operands: list[np.ndarray]) -> list[np.ndarray]:
        """The reference's results."""
        with np.errstate(all="ignore"):
            result = self.reference(*operands)
        return [np.asarray(part) for part in (result if isinstance(result, tuple | list) else (result,))]

    def cancelling(self, operands: list[np.ndarray]) -> np.ndarray | float:
        """The size of intermediate values."""
        if self.magnitude is None:
            return self.scale
        return np.asarray(self.magnitude(*(np.asarray(x, np.float64) for x in operands)))

    def mismatch(self, got: np.ndarray, expected: np.ndarray, dtype: str, scale: np.ndarray | float = 0.0) -> str:
        """What differs from the reference, or nothing; `dtype` is the result's, `scale` what `cancelling` says."""
        if got.shape != expected.shape:
            return f"shape {got.shape}, expected {expected.shape}"
        if dtype not in FLOATS:
            wrong = np.asarray(got != expected.astype(dtype))
        else:
            got, expected = got.astype(np.float64), expected.astype(np.float64)
            with np.errstate(all="ignore"):
                # What overflows in the dtype is infinite there.
                held = rounded(expected, dtype)
            expected = held if self.ulps == 0 else np.where(np.isinf(held), held, expected)
            with np.errstate(all="ignore"):
                allowed = self.ulps * EPSILON[dtype] * (np.abs(expected) + scale) + 2 * SMALLEST[dtype]
                close = np.abs(got - expected) <= np.where(np.isfinite(expected), allowed, 0)
            wrong = np.asarray(~(close | (got == expected) | (np.isnan(got) & np.isnan(expected))))
        if not wrong.any():
            return ""
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        return f"{int(wrong.sum())} of {wrong.size} wrong, at {where} {got[where]!r}, expected {expected[where]!r}"
