"""Products of few results, whose long sums are cut into pieces: values of all dtypes and layouts, bits for any threads.

Depends on adret and NumPy. Invariant: integers wrap, so they are exact; sums of 16-bit floats are made in float32.
"""

from __future__ import annotations

import adret as ad
import numpy as np
import pytest

# Rows, columns, length of the sums.
SHAPES = [
    (1, 1, 300_001),
    (1, 5, 70_003),
    (5, 1, 70_003),
    (3, 10, 40_000),
    (40, 8, 30_001),
    (61, 60, 20_001),
    (300, 2, 9_000),
]
FLOATS = [ad.float16, ad.bfloat16, ad.float32, ad.float64]
INTEGERS = [ad.int8, ad.uint8, ad.int16, ad.uint16, ad.int32, ad.uint32, ad.int64, ad.uint64]


def _layouts(x: np.ndarray, dtype: ad.DType) -> list[ad.Tensor]:
    """Row by row, column by column, and backwards with gaps."""
    spread = np.zeros((2 * x.shape[0], 3 * x.shape[1]), dtype=x.dtype)
    spread[::2, ::3] = x[::-1, ::-1]
    return [
        ad.tensor(x, dtype=dtype),
        ad.tensor(np.ascontiguousarray(x.T), dtype=dtype).T,
        ad.tensor(spread, dtype=dtype)[::2, ::3].flip([0, 1]),
    ]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_long_sums_of_floats_match_numpy(dtype: ad.DType, shape: tuple[int, int, int]) -> None:
    m, n, k = shape
    rng = np.random.default_rng(k)
    # Numbers that every dtype has, of both signs.
    a, b = rng.integers(-8, 9, (m, k)) / 64, rng.integers(-8, 9, (k, n)) / 8
    exact, scale = a @ b, np.abs(a) @ np.abs(b)
    # Rounded once at the end; and a rounding for each of the sums that a number passes, which are far fewer than k.
    rounding = {ad.float16: 2.0**-11, ad.bfloat16: 2.0**-8}.get(dtype, 0.0)
    epsilon = 2.0**-52 if dtype == ad.float64 else 2.0**-23
    for left in _layouts(a, dtype):
        for right in _layouts(b, dtype):
            found = (left @ right).astype(ad.float64).numpy()
            assert (np.abs(found - exact) <= rounding * np.abs(exact) + epsilon * k**0.5 * scale / 8 + epsilon).all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_long_sums_of_integers_are_exact(dtype: ad.DType, shape: tuple[int, int, int]) -> None:
    m, n, k = shape
    rng = np.random.default_rng(k)
    info = ad.iinfo(dtype)
    numpy_dtype = np.dtype(str(dtype).removeprefix("adret."))
    a = rng.integers(info.min, info.max, (m, k), dtype=numpy_dtype, endpoint=True)
    b = rng.integers(info.min, info.max, (k, n), dtype=numpy_dtype, endpoint=True)
    wide = a.astype(np.uint64) @ b.astype(np.uint64)
    for left in _layouts(a, dtype):
        for right in _layouts(b, dtype):
            assert np.array_equal((left @ right).numpy(), wide.astype(numpy_dtype))


@pytest.mark.parametrize("dtype", [*FLOATS, ad.int32, ad.int64], ids=str)
@pytest.mark.parametrize("shape", SHAPES)
def test_long_sums_do_not_depend_on_threads(shape: tuple[int, int, int], dtype: ad.DType) -> None:
    m, n, k = shape
    rng = np.random.default_rng(k)
    a, b = (ad.tensor(rng.standard_normal(size) * 9).astype(dtype) for size in [(m, k), (k, n)])
    threads, found = ad.get_num_threads(), []
    try:
        for count in (1, 2, 3, 4):
            ad.set_num_threads(count)
            found.append(((a @ b) * 2 + 1).astype(ad.float64).numpy())
    finally:
        ad.set_num_threads(threads)
    assert all(np.array_equal(value, found[0]) for value in found)


def test_a_long_sum_is_finished_by_what_follows() -> None:
    x, weight = ad.ones((2, 200_000), requires_grad=True), ad.full((200_000, 3), 0.5)
    y = (x @ weight - 99_999).relu()
    assert y.detach().numpy().tolist() == [[1.0] * 3] * 2
    y.sum().backward()
    assert x.grad.numpy().min() == x.grad.numpy().max() == 1.5
