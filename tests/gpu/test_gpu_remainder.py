"""Quotients rounded down and remainders of floats on a GPU, bit for bit those of the CPU.

Depends on the `device` fixture. Invariant: no quotient is too large for its remainder, and no divisor too small.
"""

from __future__ import annotations

import adret as ad
import numpy as np
import pytest

pytestmark = pytest.mark.parametrize("device", ["gpu"], indirect=True)

RNG = np.random.default_rng(4)
EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, 3.0, -3.0, 7.0, 0.1, -0.3, 1e30, -1e30, np.inf, -np.inf, np.nan]


def pairs(dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Each edge with each, numbers of all sizes, and such as people divide."""
    limits = np.finfo(dtype)
    edges = np.array([*EDGES, limits.max, limits.tiny, limits.smallest_subnormal, -limits.smallest_subnormal], dtype)
    a, b = (part.ravel() for part in np.meshgrid(edges, edges))
    words = RNG.integers(0, 1 << 8 * dtype.itemsize, (2, 20_000), dtype=f"uint{8 * dtype.itemsize}").view(dtype)
    usual = RNG.normal(size=(2, 5000)).astype(dtype) * np.array([[1000], [1]], dtype)
    whole = RNG.integers(-50, 50, (2, 5000)).astype(dtype)
    return np.concatenate([a, words[0], usual[0], whole[0]]), np.concatenate([b, words[1], usual[1], whole[1]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["remainder", "floor_divide"])
def test_equal_the_processors(device: str, name: str, dtype: str) -> None:
    if dtype == "float64" and "float64" not in ad.devices()[device]["features"]:
        pytest.skip("the adapter has no float64")
    function = getattr(ad, name)
    with np.errstate(all="ignore"):
        a, b = pairs(np.dtype(dtype))
    want = function(ad.tensor(a), ad.tensor(b)).numpy()
    got = function(ad.tensor(a, device=device), ad.tensor(b, device=device)).numpy()
    both_nan = np.isnan(want) & np.isnan(got)
    with np.errstate(all="ignore"):
        # A device's own division of beyond 2^24 may be off by its last bits.
        close = (name == "floor_divide") & (np.abs(got - want) <= 4 * np.finfo(dtype).eps * np.abs(want))
    wrong = ~(both_nan | close | ((got == want) & (np.signbit(got) == np.signbit(want))))
    assert not wrong.any(), (a[wrong][:5], b[wrong][:5], got[wrong][:5], want[wrong][:5])


def test_signs_and_infinities(device: str) -> None:
    inf = float("inf")
    a = ad.tensor([1.0, -1.0, 0.0, -0.0, 7.0, -7.0], device=device)
    assert ad.floor_divide(a, -inf).tolist() == [-1.0, 0.0, 0.0, 0.0, -1.0, 0.0]
    assert ad.remainder(a, inf).tolist() == [1.0, inf, 0.0, 0.0, 7.0, inf]
    assert ad.remainder(ad.tensor([1e30], device=device), 7.0).item() == np.remainder(np.float32(1e30), np.float32(7))
