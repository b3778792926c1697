"""Random numbers: streams, states, distributions.

Depends on adret. Invariant: the same seed gives the same numbers, whenever they are evaluated.
"""

from __future__ import annotations

import adret as ad
import numpy as np
import pytest


def test_seeds_repeat() -> None:
    ad.manual_seed(3)
    first = [ad.random.rand(5).tolist(), ad.random.randn(3).tolist()]
    ad.manual_seed(3)
    assert [ad.random.rand(5).tolist(), ad.random.randn(3).tolist()] == first
    ad.manual_seed(4)
    assert ad.random.rand(5).tolist() != first[0]


def test_evaluation_order_does_not_matter() -> None:
    ad.manual_seed(1)
    a, b = ad.random.rand(7), ad.random.rand(7)
    later = [b.tolist(), a.tolist()]
    ad.manual_seed(1)
    assert [ad.random.rand(7).tolist(), ad.random.rand(7).tolist()] == later[::-1]


def test_generators_are_streams_of_their_own() -> None:
    one, other = ad.random.Generator(5), ad.random.Generator(5)
    first = ad.random.uniform(4, generator=one)
    assert first.tolist() == ad.random.uniform(4, generator=other).tolist()
    state = one.state
    second = ad.random.uniform(4, generator=one)
    assert second.tolist() != first.tolist()
    one.state = state
    assert ad.random.uniform(4, generator=one).tolist() == second.tolist()
    assert "5" in repr(one)


def test_distributions() -> None:
    ad.manual_seed(0)
    n = 40_000
    assert abs(ad.random.uniform(n, 2, 4).mean().item() - 3) < 0.02
    normal = ad.random.normal(n, 1.0, 2.0).numpy()
    assert abs(normal.mean() - 1) < 0.05
    assert abs(normal.std() - 2) < 0.05
    assert abs(ad.random.bernoulli(n, 0.3).numpy().mean() - 0.3) < 0.02
    dice = ad.random.integers(1, 7, (n,)).numpy()
    assert sorted(set(dice.tolist())) == [1, 2, 3, 4, 5, 6]
    assert np.bincount(dice)[1:].min() > n / 6 * 0.9
    assert sorted(ad.random.permutation(1000).tolist()) == list(range(1000))
    assert np.abs(ad.random.truncated_normal(n).numpy()).max() <= 2


def test_dropout_uses_the_stream() -> None:
    ad.manual_seed(2)
    first = ad.dropout(ad.ones(1000), 0.5)
    ad.manual_seed(2)
    assert ad.dropout(ad.ones(1000), 0.5).tolist() == first.tolist()
    assert set(first.tolist()) == {0.0, 2.0}


def test_errors() -> None:
    with pytest.raises(ad.DomainError):
        ad.random.integers(3, 3)
    with pytest.raises(ad.DTypeError):
        ad.random.uniform(3, dtype="int32")
    with pytest.raises(ad.DomainError):
        ad.random.bernoulli(3, 1.5)
