"""Searches whose shapes depend on values, comparisons with a tolerance, and the mistakes that contractions name."""

from __future__ import annotations

import itertools

import adret as ad
import numpy as np
import pytest

ODD = [0.0, 1.0, 1.000001, 1e-9, np.inf, -np.inf, np.nan]


@pytest.mark.parametrize("shape", [(4, 5, 6), (7,), (0, 3), (1, 1)])
@pytest.mark.parametrize("dtype", ["float32", "int64", "bool", "uint8"])
def test_nonzero_and_unique_are_those_of_numpy(dtype: str, shape: tuple[int, ...]) -> None:
    numbers = np.random.default_rng(0).integers(0, 3, shape).astype(dtype)
    x = ad.tensor(numbers)
    for mine, other in zip(ad.nonzero(x), np.nonzero(numbers), strict=True):
        assert np.array_equal(mine.numpy(), other)
    values, indices, inverse, counts = np.unique(numbers, True, True, True)
    found = ad.unique_all(x)
    for mine, other in zip(found, (values, indices, inverse.reshape(shape), counts), strict=True):
        assert mine.shape == other.shape
        assert np.array_equal(mine.numpy(), other)
    assert found.values.dtype == x.dtype
    assert np.array_equal(ad.unique_values(x).numpy(), values)
    assert np.array_equal(ad.unique_counts(x).counts.numpy(), counts)
    assert np.array_equal(ad.unique_inverse(x).inverse_indices.numpy().ravel(), inverse.ravel())


def test_every_nan_is_a_value_of_its_own() -> None:
    found = ad.unique_counts(ad.tensor([np.nan, 1.0, np.nan, 1.0]))
    assert found.counts.tolist() == [2, 1, 1]


def test_the_gradient_of_distinct_values_goes_to_where_they_came_from() -> None:
    x = ad.tensor([3.0, 1.0, 2.0], requires_grad=True)
    (ad.unique_values(x) * ad.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [100.0, 1.0, 10.0]


@pytest.mark.parametrize("equal_nan", [False, True])
def test_closeness_is_that_of_numpy(equal_nan: bool) -> None:
    for a, b in itertools.product(ODD, repeat=2):
        with np.errstate(all="ignore"):
            expected = np.isclose(a, b, equal_nan=equal_nan)
        operands = ad.tensor([a], dtype="float64"), ad.tensor([b], dtype="float64")
        assert ad.isclose(*operands, equal_nan=equal_nan).item() == expected, (a, b)
        assert ad.allclose(*operands, equal_nan=equal_nan) is bool(expected)
    assert ad.allclose(ad.tensor([2**62, 5]), ad.tensor([2**62, 5]), 0.0, 0.0)


def test_logaddexp_at_infinities() -> None:
    for a, b in itertools.product([0.0, 1000.0, np.inf, -np.inf], repeat=2):
        with np.errstate(all="ignore"):
            expected = np.logaddexp(np.float32(a), np.float32(b))
        first, second = ad.tensor(a, requires_grad=True), ad.tensor(b, requires_grad=True)
        result = ad.logaddexp(first, second)
        assert np.allclose(result.item(), expected)
        # The larger one takes the gradient, equal ones share it.
        result.backward()
        share = 0.5 if a == b else float(a > b)
        assert (first.grad.item(), second.grad.item()) == pytest.approx((share, 1 - share), abs=1e-4)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("length", [0, 1, 2, 8, 37])
def test_searchsorted_with_nan_and_a_sorter(side: str, length: int) -> None:
    rng = np.random.default_rng(length)
    numbers = rng.integers(0, 20, length).astype("float64")
    numbers[length // 2 + 1 :: 3] = np.nan
    sought = np.array([*range(-1, 22), np.nan, np.inf, -np.inf])
    order = np.argsort(numbers)
    found = ad.searchsorted(ad.tensor(numbers), ad.tensor(sought), side=side, sorter=ad.tensor(order))
    assert np.array_equal(found.numpy(), np.searchsorted(numbers, sought, side, order))  # pyright: ignore


@pytest.mark.parametrize(
    ("equation", "shapes", "message"),
    [
        ("ij,jk", [(2, 3)], "einsum: 'ij,jk' has 2 groups"),
        ("ij", [(2, 3, 4)], "does not fit"),
        ("ij,jk", [(2, 3), (4, 5)], "j of 'ij,jk' is 3 and 4"),
        ("ij->k", [(2, 3)], "has k, no operand does"),
        ("ij->ii", [(2, 3)], "names an axis twice"),
        ("i1", [(2, 3)], "other signs than letters"),
        ("i.j", [(2, 3)], "other signs than letters"),
    ],
)
def test_einsum_names_what_does_not_fit(equation: str, shapes: list[tuple[int, ...]], message: str) -> None:
    with pytest.raises(ad.ShapeError, match=message):
        ad.einsum(equation, *map(ad.ones, shapes))


def test_einsum_repeats_axes_of_size_one() -> None:
    x = ad.ones((2, 1), requires_grad=True)
    assert ad.einsum("ij,jk->ik", x, ad.ones((3, 4))).tolist() == [[3.0] * 4] * 2
    assert ad.einsum("ii->i", ad.ones((1, 3))).shape == (3,)


def test_mistakes_are_named() -> None:
    with pytest.raises(ad.ShapeError, match="differ in size"):
        ad.tensordot(ad.ones((2, 3)), ad.ones((2, 3)), axes=1)
    with pytest.raises(ad.OutOfRangeError, match="tensordot: 3 axes"):
        ad.tensordot(ad.ones((2, 3)), ad.ones((2, 3)), axes=3)
    with pytest.raises(ad.OutOfRangeError, match="each once"):
        ad.tensordot(ad.ones((2, 2)), ad.ones((2, 2)), axes=([0, 0], [0, 1]))
    with pytest.raises(ad.OutOfRangeError, match="topk: k is 4"):
        ad.topk(ad.ones((2, 3)), 4)
    with pytest.raises(ad.OutOfRangeError, match="topk: axis 2"):
        ad.topk(ad.ones((2, 3)), 1, axis=2)
    with pytest.raises(ad.ShapeError, match="Give a vector"):
        ad.searchsorted(ad.ones((2, 3)), ad.ones(3))
    with pytest.raises(ad.DomainError, match="side is 'middle'"):
        ad.searchsorted(ad.ones(3), ad.ones(3), side="middle")
    with pytest.raises(ad.ShapeError, match="without axes"):
        ad.nonzero(ad.tensor(1.0))
    with pytest.raises(ad.DomainError, match="diff: n is -1"):
        ad.diff(ad.ones(3), n=-1)
    with pytest.raises(ad.OutOfRangeError, match="diff: axis 1"):
        ad.diff(ad.ones(3), axis=1)
    with pytest.raises(ad.DTypeError, match="bool has no differences"):
        ad.diff(ad.tensor([True, False]))


def test_shapes_that_depend_on_values_cannot_be_recorded() -> None:
    @ad.compile
    def count(x: ad.Tensor) -> ad.Tensor:
        return ad.nonzero(x)[0]

    x = ad.tensor([1.0, 0.0])
    assert count(x).tolist() == [0]
    with pytest.raises(ad.CompileError):
        count(x)
