"""Sums of masks, which are counted where they lie, beside other readers of a mask. Depends on adret and NumPy."""

from __future__ import annotations

import adret as ad
import numpy as np
import pytest

CASES = [
    ((1_000_000,), None),
    ((1000, 300), None),
    ((1000, 300), 1),
    ((1000, 300), 0),
    ((7, 4097), 1),
    ((33, 8193), 1),
    ((2, 300_000), 1),
    ((3, 40), 1),
    ((5, 3, 1000), (0, 2)),
]


@pytest.mark.parametrize("threshold", [-1.0, 0.5, 2.0])
@pytest.mark.parametrize(("shape", "axis"), CASES)
def test_true_elements_are_counted(
    shape: tuple[int, ...], axis: int | tuple[int, ...] | None, threshold: float, device: str
) -> None:
    values = np.random.default_rng(len(shape)).random(shape, dtype=np.float32)
    x = ad.tensor(values, device=device)
    expected = (values > threshold).sum(axis=axis)
    # Computed on the way, read from memory, and read by others too.
    assert np.array_equal((x > threshold).sum(axis=axis).numpy(), expected)
    mask = x > threshold
    ad.eval(mask)
    assert np.array_equal(mask.sum(axis=axis).numpy(), expected)
    assert np.array_equal(ad.count_nonzero(mask, axis=axis).numpy(), expected)
    again = x > threshold
    count, ones, other = again.sum(axis=axis), again.astype("int32"), again.astype("int32").sum(axis=axis)
    ad.eval(count, ones, other)
    assert np.array_equal(count.numpy(), expected)
    assert np.array_equal(other.numpy(), expected)
    assert np.array_equal(ones.numpy(), values > threshold)
