"""Which dtype two operands meet in: NumPy 2's table for arrays, weak Python scalars.

Depends on adret and NumPy. NumPy has no bfloat16; its rows are written out.
"""

from __future__ import annotations

import operator

import adret as ad
import numpy as np
import pytest

NAMES = (
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
)
WITH_BFLOAT16 = {
    "bool": "bfloat16",
    "int8": "bfloat16",
    "uint8": "bfloat16",
    "int16": "float32",
    "uint16": "float32",
    "int32": "float64",
    "uint32": "float64",
    "int64": "float64",
    "uint64": "float64",
    "float16": "float32",
    "bfloat16": "bfloat16",
    "float32": "float32",
    "float64": "float64",
}


def dtype(name: str) -> ad.DType:
    """The dtype of that name."""
    return getattr(ad, name)


@pytest.mark.parametrize("left", NAMES)
@pytest.mark.parametrize("right", NAMES)
def test_arrays_promote_as_in_numpy(left: str, right: str) -> None:
    """add, where, concat and comparison meet in NumPy's dtype, and the values survive."""
    expected = np.result_type(np.dtype(left), np.dtype(right)).name
    a, b = ad.ones(2, dtype=left), ad.ones(2, dtype=right)
    assert (a + b).dtype == dtype(expected)
    assert ad.where(ad.tensor([True, False]), a, b).dtype == dtype(expected)
    assert ad.concat([a, b]).dtype == dtype(expected)
    assert ad.maximum(a, b).dtype == dtype(expected)
    assert (a == b).dtype == ad.bool
    assert (a + b).astype("float64").tolist() == (np.ones(2, left) + np.ones(2, right)).astype("float64").tolist()


@pytest.mark.parametrize("other", WITH_BFLOAT16)
def test_bfloat16_promotes(other: str) -> None:
    """bfloat16 yields to wider types and takes in narrow integers."""
    a, b = ad.ones(2, dtype="bfloat16"), ad.ones(2, dtype=other)
    expected = dtype(WITH_BFLOAT16[other])
    assert ((a + b).dtype, (b + a).dtype) == (expected, expected)


@pytest.mark.parametrize("name", (*NAMES, "bfloat16"))
def test_python_scalars_are_weak(name: str) -> None:
    """A Python number takes the tensor's dtype where its kind allows it."""
    x = ad.ones(2, dtype=name)
    floating = name.startswith(("float", "bfloat"))
    for number, expected in (
        (True, name),
        (3, "int64" if name == "bool" else name),
        (0.5, name if floating else "float32"),
    ):
        for result in (ad.add(x, number), ad.add(number, x), x + number, number + x, ad.maximum(x, number)):
            assert result.dtype == dtype(expected), (number, result.dtype)


@pytest.mark.parametrize("name", (*NAMES, "bfloat16"))
def test_division_is_real(name: str) -> None:
    """Integers divide in float32, floats in their own dtype."""
    x = ad.ones(2, dtype=name)
    expected = name if name.startswith(("float", "bfloat")) else "float32"
    assert (x / x).dtype == dtype(expected)
    assert (x / 2).dtype == dtype(expected)
    assert (1 / x).dtype == dtype(expected)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("uint8", -1),
        ("uint8", 256),
        ("int8", 128),
        ("int16", -40000),
        ("int32", 2**31),
        ("int64", 2**63),
        ("uint64", -1),
    ],
)
def test_numbers_outside_the_range_raise(name: str, number: int) -> None:
    """An integer that the dtype cannot hold is refused with both named, not wrapped."""
    x = ad.ones(2, dtype=name)
    for call in (lambda: x + number, lambda: number - x, lambda: ad.maximum(x, number), lambda: x.multiply(number)):
        with pytest.raises(ad.AdretError) as caught:
            call()
        assert str(number) in str(caught.value)
        assert name in str(caught.value)
    assert x.tolist() == [1, 1]


def test_operators_follow_the_same_rules() -> None:
    """NumPy arrays and scalars on either side give tensors."""
    x = ad.ones(3, dtype="float32")
    for result in (np.ones(3, np.float64) + x, x + np.ones(3, np.float64)):
        assert isinstance(result, ad.Tensor)
        assert result.dtype == ad.float64
    assert (np.float32(2) * x).tolist() == [2, 2, 2]
    assert (x * np.float64(2)).dtype == ad.float32
    assert ((x > 0) & (x < 2)).tolist() == [True] * 3


@pytest.mark.parametrize("name", NAMES)
def test_integers_wrap(name: str) -> None:
    """Overflow is defined: two's complement, as in NumPy."""
    if np.dtype(name).kind not in "iu":
        return
    limits = np.iinfo(name)
    values = np.array([limits.min, limits.max, limits.max - 1, 1, 0], dtype=name)
    x = ad.tensor(values)
    with np.errstate(all="ignore"):
        assert np.array_equal((x + 1).numpy(), values + np.array(1, name))
        assert np.array_equal((x * x).numpy(), values * values)
        assert np.array_equal((-x).numpy(), -values)
        assert np.array_equal(ad.subtract(x, ad.tensor(values[::-1].copy())).numpy(), values - values[::-1])
        assert np.array_equal(abs(x).numpy(), np.abs(values))


@pytest.mark.parametrize("name", [n for n in NAMES if "int" in n])
def test_integer_division_is_defined(name: str) -> None:
    """Division by zero gives 0; the smallest by −1 wraps; signs follow Python."""
    signed = not name.startswith("u")
    values = np.array(
        [7, -7, 0, 5, np.iinfo(name).min, np.iinfo(name).max] if signed else [7, 0, 5, 200, 3, 9], dtype=name
    )
    for divisor in (0, 2, 3) + ((-1, -2) if signed else ()):
        x, d = ad.tensor(values), ad.full((6,), divisor, dtype=name)
        quotient, rest = ad.floor_divide(x, d).tolist(), ad.remainder(x, d).tolist()
        with np.errstate(all="ignore"):
            assert quotient == np.floor_divide(values, np.array(divisor, name)).tolist(), divisor
            assert rest == np.remainder(values, np.array(divisor, name)).tolist(), divisor


def test_shifts_beyond_the_width_are_defined() -> None:
    """0, or −1 for negative numbers to the right; negative shifts count as too large."""
    x = ad.tensor([1, -8, 100], dtype="int32")
    assert ad.bitwise_left_shift(x, 32).tolist() == [0, 0, 0]
    assert ad.bitwise_left_shift(x, 31).tolist() == [-(2**31), 0, 0]
    assert ad.bitwise_right_shift(x, 40).tolist() == [0, -1, 0]
    assert ad.bitwise_left_shift(x, ad.full((3,), -1, dtype="int32")).tolist() == [0, 0, 0]


def test_casts_of_what_does_not_fit_are_defined() -> None:
    """NaN and infinities become integers without harm, the same each time."""
    x = ad.tensor([float("nan"), float("inf"), -float("inf"), 1e30, -1e30, 3.9, -3.9], dtype="float64")
    for name in ("int8", "int16", "int32", "int64", "uint8", "uint64", "bool"):
        first, second = x.astype(name).tolist(), x.astype(name).tolist()
        assert first == second
    assert x.astype("int32").tolist()[5:] == [3, -3]
    assert x.astype("bool").tolist() == [True] * 7


def test_integer_powers() -> None:
    """Powers by repeated multiplication; negative exponents give 0 but for ±1."""
    base = ad.tensor([2, -3, 1, -1, 0], dtype="int64")
    assert (base**5).tolist() == [32, -243, 1, -1, 0]
    assert ad.pow(base, ad.tensor([-1] * 5)).tolist()[:4] == [0, 0, 1, -1]
    assert (base**0).tolist() == [1, 1, 1, 1, 1]


@pytest.mark.parametrize("left", NAMES)
def test_questions_about_dtypes(left: str) -> None:
    """promote_types, result_type and can_cast answer as operations behave, for objects and for names."""
    for right in NAMES:
        expected = dtype(np.promote_types(left, right).name)
        assert ad.promote_types(dtype(left), dtype(right)) == expected
        assert ad.promote_types(left, right) == expected
        assert ad.result_type(ad.ones(1, dtype=left), dtype(right)) == expected
        assert ad.can_cast(dtype(left), dtype(right)) == (expected == dtype(right))
        assert ad.can_cast(left, right) == (expected == dtype(right))


@pytest.mark.parametrize("name", ["float16", "float32", "float64"])
def test_limits_of_floats(name: str) -> None:
    """finfo has NumPy's numbers."""
    ours, theirs = ad.finfo(dtype(name)), np.finfo(name)
    assert (ours.bits, ours.eps, ours.max, ours.min) == (theirs.bits, theirs.eps, theirs.max, theirs.min)
    assert ours.smallest_normal == theirs.smallest_normal


@pytest.mark.parametrize("name", [n for n in NAMES if "int" in n])
def test_limits_of_integers(name: str) -> None:
    """iinfo has NumPy's numbers."""
    ours, theirs = ad.iinfo(dtype(name)), np.iinfo(name)
    assert (ours.bits, ours.max, ours.min) == (theirs.bits, theirs.max, theirs.min)


def test_shapes_broadcast_as_in_numpy() -> None:
    """broadcast_shapes, also with zeros and ones."""
    for shapes in (((2, 1), (3,)), ((), (4,)), ((0, 1), (5,)), ((3, 1, 2), (1, 4, 1), (2,))):
        assert ad.broadcast_shapes(*shapes) == np.broadcast_shapes(*shapes)
    with pytest.raises(ad.ShapeError):
        ad.broadcast_shapes((2,), (3,))


COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]


@pytest.mark.parametrize("name", ["bool", "int8", "uint8", "int32", "uint64", "int64"])
def test_comparisons_with_numbers_outside_the_range(name: str) -> None:
    """As mathematics has it, whichever side the number is on."""
    array = np.array([0, 1, 1], dtype=name)
    for compare in COMPARISONS:
        for number in (-(2**70), -(2**63) - 1, 2**64, 2**70):
            expected = [compare(int(element), number) for element in array]
            assert compare(ad.tensor(array), number).tolist() == expected
            assert compare(number, ad.tensor(array)).tolist() == [compare(number, int(element)) for element in array]
    assert (ad.tensor(array) == 2).tolist() == [False] * 3
    assert ((ad.zeros(2, dtype="uint8") == -1) | (ad.ones(2, dtype="uint8") < 300)).tolist() == [True, True]


def test_negative_powers_of_integers() -> None:
    """A number as exponent is refused, since the result is no integer; floats take it."""
    with pytest.raises(ad.DomainError, match=r"pow: .*int64.*-1.*float32"):
        ad.arange(3) ** -1
    assert (ad.tensor([1.0, 2.0]) ** -1).tolist() == [1.0, 0.5]
    assert (ad.tensor([1, 2]) ** -1.0).tolist() == [1.0, 0.5]
    assert (2 ** ad.tensor([-1, 3])).tolist() == [0, 8]
