"""Sorting of many elements: every key width, both directions, any number of threads; and taking many elements."""

from __future__ import annotations

from collections.abc import Iterator

import adret as ad
import numpy as np
import pytest

DTYPES = ["bool", "int8", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64"]


@pytest.fixture
def threads() -> Iterator[None]:
    before = ad.get_num_threads()
    yield
    ad.set_num_threads(before)


def _numbers(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of the whole range with many ties; NaN, infinities and both zeros among the floats."""
    rng = np.random.default_rng(5)
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if not dtype.startswith("float"):
        limits = np.iinfo(dtype)
        wide = rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
        return np.where(rng.random(shape) < 0.3, wide // 16 * 16, wide).astype(dtype)
    numbers = (rng.standard_normal(shape) * 100).astype(dtype)
    few = rng.integers(0, 40, shape)
    for place, value in enumerate([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0]):
        numbers[few == place] = value
    return numbers


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("shape", [(3, 1000), (200_003,), (5, 7), (100, 16), (33, 31), (2, 40, 1), (7, 10_000)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_sorts_as_numpy(dtype: str, shape: tuple[int, ...], descending: bool) -> None:
    numbers = _numbers(dtype, shape)
    x = ad.tensor(numbers)
    values, order = ad.sort(x, descending=descending).numpy(), ad.argsort(x, descending=descending).numpy()
    expected = np.sort(numbers, axis=-1)
    if descending:
        # NaN stays last.
        rows = [np.concatenate([row[row == row][::-1], row[row != row]]) for row in expected.reshape(-1, shape[-1])]
        expected = np.array(rows).reshape(shape)
    assert np.array_equal(values, expected, equal_nan=dtype.startswith("float"))
    assert np.array_equal(np.take_along_axis(numbers, order, -1), expected, equal_nan=dtype.startswith("float"))
    if not descending:
        assert np.array_equal(order, np.argsort(numbers, axis=-1, kind="stable"))


@pytest.mark.parametrize("dtype", ["int32", "float32", "float64", "uint8"])
@pytest.mark.parametrize("length", [2, 9, 32, 33])
def test_columns_and_slices_are_sorted_where_they_lie(dtype: str, length: int) -> None:
    numbers = _numbers(dtype, (length, 70))
    equal_nan = dtype.startswith("float")
    for part, axis in [(numbers, 0), (numbers[::-1, ::3], 0), (numbers.T, 1), (numbers.T[:, ::-1], 1)]:
        x = ad.tensor(numbers)
        x = {(length, 70): x, (length, 24): x[::-1, ::3], (70, length): x.T}[part.shape]
        assert np.array_equal(ad.sort(x, axis=axis).numpy(), np.sort(part, axis), equal_nan=equal_nan)


@pytest.mark.parametrize("shape", [(0,), (0, 5), (5, 0), (3, 0, 4)])
def test_nothing_is_sorted_to_nothing(shape: tuple[int, ...]) -> None:
    for axis in range(len(shape)):
        assert ad.sort(ad.zeros(shape), axis=axis).numpy().shape == shape
        assert ad.argsort(ad.zeros(shape), axis=axis).numpy().shape == shape


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_order_does_not_depend_on_threads(threads: None, dtype: str) -> None:
    x = ad.tensor(_numbers(dtype, (300_001,)))
    results = []
    for count in [1, 2, 3]:
        ad.set_num_threads(count)
        results.append((ad.sort(x).numpy().tobytes(), ad.argsort(x).numpy().tobytes()))
    assert results[0] == results[1] == results[2]


def test_a_negative_zero_comes_before_zero() -> None:
    values = ad.sort(ad.tensor([0.0, -0.0, 1.0, -0.0])).numpy()
    assert np.signbit(values).tolist() == [True, True, False, False]


def test_the_gradient_of_a_long_sort_goes_back_to_its_places() -> None:
    numbers = np.random.default_rng(1).permutation(2000).astype("float32")
    x = ad.tensor(numbers, requires_grad=True)
    weights = np.arange(2000, dtype="float32")
    (ad.sort(x, descending=True) * ad.tensor(weights)).sum().backward()
    assert x.grad is not None
    assert np.array_equal(x.grad.numpy(), 1999 - numbers)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "uint64"])
def test_many_elements_are_taken_by_any_integers(dtype: str) -> None:
    rng = np.random.default_rng(2)
    x = rng.random(100, dtype="float32")
    indices = rng.integers(0, 100, 200_000).astype(dtype)
    assert np.array_equal(ad.take(ad.tensor(x), ad.tensor(indices)).numpy(), x[indices])
    assert np.array_equal(ad.take_along_axis(ad.tensor(x), ad.tensor(indices), axis=0).numpy(), x[indices])
    # Every other index, backwards: no run of neighbours.
    assert np.array_equal(ad.take(ad.tensor(x), ad.tensor(indices)[::-2]).numpy(), x[indices[::-2]])


@pytest.mark.parametrize("place", [0, 70_000, 199_999])
@pytest.mark.parametrize("bad", [100, -101])
@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_one_bad_index_among_many_is_found_in_the_call(dtype: str, bad: int, place: int) -> None:
    indices = np.zeros(200_000, dtype)
    indices[place] = bad
    with pytest.raises(IndexError, match=f"take: index {bad} is out of range for size 100"):
        ad.take(ad.arange(100), ad.tensor(indices))
