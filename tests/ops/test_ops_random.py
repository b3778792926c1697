"""Random tensors: distributions, reproducibility, independence of layout and evaluation order.

Depends on adret and NumPy. Seeds are fixed, so that statistical bounds either hold or do not.
"""

from __future__ import annotations

import math

import adret as ad
import numpy as np
import pytest

COUNT = 200_000


def seeded(call, seed: int = 1):
    """The values of a call after seeding."""
    ad.manual_seed(seed)
    return call().to("cpu").numpy()


def test_uniform() -> None:
    """In [low, high), evenly."""
    values = seeded(lambda: ad.random.uniform((COUNT,), low=-1.0, high=3.0))
    assert values.min() >= -1 and values.max() < 3
    assert abs(values.mean() - 1) < 0.02
    histogram, _ = np.histogram(values, bins=16, range=(-1, 3))
    assert (np.abs(histogram - COUNT / 16) < 6 * math.sqrt(COUNT / 16)).all()


def test_normal() -> None:
    """Mean, deviation, tails and symmetry."""
    values = seeded(lambda: ad.random.normal((COUNT,), mean=2.0, std=3.0))
    assert abs(values.mean() - 2) < 0.04
    assert abs(values.std() - 3) < 0.03
    inside = np.mean(np.abs(values - 2) < 3)
    assert abs(inside - 0.6827) < 0.005
    assert np.abs((values - 2) / 3).max() > 4


def test_bernoulli() -> None:
    """Truths with the wanted frequency; none and all at the ends."""
    values = seeded(lambda: ad.random.bernoulli((COUNT,), p=0.3))
    assert values.dtype == np.bool_
    assert abs(values.mean() - 0.3) < 0.005
    assert not seeded(lambda: ad.random.bernoulli((1000,), p=0.0)).any()
    assert seeded(lambda: ad.random.bernoulli((1000,), p=1.0)).all()


def test_integers() -> None:
    """Every value of [low, high) about equally often."""
    values = seeded(lambda: ad.random.integers(-3, 7, shape=(COUNT,)))
    counts = np.bincount(values + 3, minlength=10)
    assert values.min() == -3 and values.max() == 6
    assert (np.abs(counts - COUNT / 10) < 6 * math.sqrt(COUNT / 10)).all()


def test_permutation() -> None:
    """Every number once, in another order."""
    values = seeded(lambda: ad.random.permutation(1000))
    assert sorted(values.tolist()) == list(range(1000))
    assert values.tolist() != list(range(1000))
    assert seeded(lambda: ad.random.permutation(0)).tolist() == []
    places = np.stack([seeded(lambda: ad.random.permutation(5), seed) for seed in range(400)])
    assert (np.abs(places.mean(0) - 2) < 0.3).all()


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_float_dtypes(dtype: str) -> None:
    """The wanted dtype, finite, and never the upper bound."""
    values = seeded(lambda: ad.random.uniform((10_000,), dtype=dtype))
    assert values.dtype == np.dtype(dtype)
    assert (values >= 0).all() and (values < 1).all()
    assert np.isfinite(seeded(lambda: ad.random.normal((10_000,), dtype=dtype))).all()


def test_same_seed_same_bits() -> None:
    """Seeds decide; successive calls differ; the shape only arranges."""
    first = seeded(lambda: ad.random.normal((1000,)), 5)
    assert np.array_equal(first, seeded(lambda: ad.random.normal((1000,)), 5))
    assert not np.array_equal(first, seeded(lambda: ad.random.normal((1000,)), 6))
    assert np.array_equal(first, seeded(lambda: ad.random.normal((20, 50)), 5).ravel())
    ad.manual_seed(5)
    again, other = ad.random.normal((1000,)), ad.random.normal((1000,))
    assert np.array_equal(other.numpy(), other.numpy())
    assert not np.array_equal(again.numpy(), other.numpy())
    assert np.array_equal(first, again.numpy())


def test_numbers_do_not_depend_on_how_they_are_read() -> None:
    """A slice, a transpose or a fused reader sees the same elements, whatever is evaluated first."""
    whole = seeded(lambda: ad.random.uniform((64, 48)))
    assert np.array_equal(seeded(lambda: ad.random.uniform((64, 48))[3:9, ::-2]), whole[3:9, ::-2])
    assert np.array_equal(seeded(lambda: ad.random.uniform((64, 48)).T + 0.0), whole.T)
    ad.manual_seed(1)
    x = ad.random.uniform((64, 48))
    y = ad.random.uniform((64, 48))
    late = y.numpy()
    assert np.array_equal(x.numpy(), whole)
    ad.manual_seed(1)
    ad.random.uniform((64, 48)).numpy()
    assert np.array_equal(ad.random.uniform((64, 48)).numpy(), late)


def test_generators_are_independent() -> None:
    """A generator of one's own does not move the global one, and its state can be kept and put back."""
    ad.manual_seed(3)
    expected = ad.random.uniform((8,)).tolist()
    ad.manual_seed(3)
    own = ad.random.Generator(3)
    ad.random.uniform((8,), generator=own).tolist()
    assert ad.random.uniform((8,)).tolist() == expected
    state = own.state
    first = ad.random.uniform((8,), generator=own).tolist()
    own.state = state
    assert ad.random.uniform((8,), generator=own).tolist() == first


def test_dropout() -> None:
    """Keeps with 1 − p, scales the kept, and the gradient uses the same mask."""
    ad.manual_seed(2)
    x = ad.tensor(np.ones(100_000, np.float32), requires_grad=True)
    y = ad.dropout(x, 0.25)
    values = y.detach().numpy()
    assert set(np.unique(values)) == {0.0, np.float32(1 / 0.75)}
    assert abs(values.mean() - 1) < 0.01
    y.sum().backward()
    assert np.array_equal(x.grad.numpy(), values)


def test_uniform_does_not_repeat_across_calls() -> None:
    """Counters advance by what was used: no overlap between neighbouring calls of odd sizes."""
    ad.manual_seed(9)
    drawn = np.concatenate([ad.random.uniform((size,), dtype="float64").numpy() for size in (1, 2, 3, 5, 7, 4, 9)])
    assert len(np.unique(drawn)) == len(drawn)


@pytest.mark.parametrize("count", [0, 1, 7, 1000, 3000])
def test_permutations_are_the_same_everywhere(count: int, device: str) -> None:
    found, expected = (
        ad.random.permutation(count, device=place, generator=ad.random.Generator(11)) for place in (device, "cpu")
    )
    assert (found.device, found.shape) == (device, (count,))
    assert found.dtype == (ad.int64 if device == "cpu" else ad.int32)
    assert found.tolist() == expected.tolist()
