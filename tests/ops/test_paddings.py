"""Paddings of every form, which have loops of their own: shapes, dtypes, values, layouts.

Depends on NumPy. Invariant: a padding alone and one inside a larger expression give the same.
"""

from __future__ import annotations

from typing import Any

import adret as ad
import numpy as np
import pytest

SHAPES = [
    (5, 7),
    (40, 30, 20),
    (3, 16, 12, 9),
    (2, 3, 4, 5, 6),
    (1, 70),
    (70, 1),
    (0, 4),
    (300,),
    (1, 1, 1),
    (64, 33, 3),
]


def _widths(shape: tuple[int, ...], seed: int) -> list[tuple[int, int]]:
    rng = np.random.default_rng(seed)
    return [tuple(int(n) for n in rng.integers(0, 4, 2) * rng.integers(0, 2)) for _ in shape]  # pyright: ignore


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "bool", "float16", "int8", "uint16"])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_form(shape: tuple[int, ...], dtype: str) -> None:
    a = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 100, shape).astype(dtype)
    x = ad.tensor(a)
    for seed in range(6):
        widths = _widths(shape, seed)
        for value in (0, 1):
            result = ad.pad(x, widths, value=value)
            expected = np.pad(a, widths, constant_values=value)
            np.testing.assert_array_equal(result.numpy(), expected)
            assert result.dtype == x.dtype
        if dtype.startswith("float"):
            expected = np.pad(a, widths, constant_values=-1.5) * 2
            np.testing.assert_array_equal((ad.pad(x, widths, value=-1.5) * 2).numpy(), expected)


@pytest.mark.parametrize("seed", range(6))
def test_every_layout(seed: int) -> None:
    a = np.random.default_rng(seed).random((12, 20, 30), dtype=np.float32)
    views: list[tuple[Any, Any]] = [
        (ad.permute_dims(ad.tensor(a), (2, 0, 1)), a.transpose(2, 0, 1)),
        (ad.tensor(a)[::2, 3:, ::-1], a[::2, 3:, ::-1]),
        (ad.broadcast_to(ad.tensor(a[:, :1]), (12, 20, 30)), np.broadcast_to(a[:, :1], (12, 20, 30))),
        (ad.pad(ad.tensor(a), [(1, 2)] * 3), np.pad(a, [(1, 2)] * 3)),
    ]
    for x, p in views:
        widths = _widths(p.shape, seed)
        np.testing.assert_array_equal(ad.pad(x, widths).numpy(), np.pad(p, widths))
        np.testing.assert_array_equal(ad.pad(x, widths, value=3).numpy(), np.pad(p, widths, constant_values=3))


@pytest.mark.parametrize("truth", [True, False])
def test_a_condition_that_is_padded(truth: bool) -> None:
    a = np.random.default_rng(0).random((30, 40), dtype=np.float32)
    widths = [(2, 3), (4, 5)]
    inside = np.pad(np.full(a.shape, truth), widths)
    condition = ad.pad(ad.full(a.shape, truth, dtype=ad.bool), widths)
    chosen = ad.where(condition, ad.pad(ad.tensor(a), widths), 7.0)
    np.testing.assert_array_equal(chosen.numpy(), np.where(inside, np.pad(a, widths), np.float32(7)))
    outside = ad.pad(ad.full(a.shape, truth, dtype=ad.bool), widths, value=True)
    chosen = ad.where(outside, ad.pad(ad.tensor(a), widths), 7.0)
    inside = np.pad(np.full(a.shape, truth), widths, constant_values=True)
    np.testing.assert_array_equal(chosen.numpy(), np.where(inside, np.pad(a, widths), np.float32(7)))


def test_other_amounts_need_no_other_plan() -> None:
    a = np.random.default_rng(0).random((30, 40), dtype=np.float32)
    x = ad.tensor(a)
    before = 0
    for shift in range(5):
        result = ad.pad(x, [(shift, 4 - shift), (4 - shift, shift)])
        np.testing.assert_array_equal(result.numpy(), np.pad(a, [(shift, 4 - shift), (4 - shift, shift)]))
        if shift == 1:
            before = ad.stats()["plan_misses"]
    assert ad.stats()["plan_misses"] - before <= 1
