"""Losses of classifiers: labels are looked up without a gradient, compared with one; the values are the same."""

from __future__ import annotations

import adret as ad
import numpy as np
import pytest
from adret.nn import functional as F

CASES = range(40)


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray, dict[str, object]]:
    """Logits `[classes]` or `[batch, classes, …]`, labels, and options."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 9, rng.integers(1, 4)))
    axis = min(1, len(shape) - 1)
    logits = (3 * rng.standard_normal(shape)).astype(rng.choice(["float32", "float64"]))
    samples = tuple(size for other, size in enumerate(shape) if other != axis)
    labels = np.asarray(rng.integers(0, shape[axis], samples)).astype(rng.choice(["int32", "int64"]))
    ignored = int(rng.choice([-100, rng.integers(shape[axis])]))
    if ignored == -100:
        labels = np.where(rng.random(samples) < 0.3, ignored, labels)
    weight = ad.asarray(rng.random(shape[axis]).astype(logits.dtype)) if rng.random() < 0.5 else None
    return logits, labels, {"ignore_index": ignored, "reduction": str(rng.choice(["none", "sum"])), "weight": weight}


@pytest.mark.parametrize("seed", CASES)
@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
def test_values_do_not_depend_on_the_gradient(loss, seed: int) -> None:
    logits, labels, options = drawn(seed)
    plain = loss(ad.asarray(logits), ad.asarray(labels), **options)
    tracked = loss(ad.tensor(logits, requires_grad=True), ad.asarray(labels), **options)
    np.testing.assert_array_equal(plain.numpy(), tracked.detach().numpy())


def test_logits_of_any_strides_are_looked_up() -> None:
    logits = np.random.default_rng(0).standard_normal((5, 6))
    labels = np.arange(6) % 5
    view = ad.asarray(logits).T
    expected = np.log(np.exp(logits).sum(0)) - logits[labels, np.arange(6)]
    np.testing.assert_allclose(
        F.cross_entropy(view, ad.asarray(labels), reduction="none").numpy(), expected, rtol=1e-12
    )


def test_labels_out_of_range_are_refused_without_a_gradient() -> None:
    with pytest.raises(IndexError, match="7 is out of range for size 3"):
        F.cross_entropy(ad.zeros((2, 3)), ad.asarray([0, 7]))
