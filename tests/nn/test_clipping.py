"""Bounds on gradients: what they leave, and that they stay pending.

Depends on the installed package. Invariant: expected values are NumPy's, in float64.
"""

from __future__ import annotations

import math

import adret as ad
import numpy as np
import pytest
from adret.nn.utils import clip_grad_norm_, clip_grad_value_

GRADS = [np.array([[3.0, -4.0], [0.5, 0.0]]), np.array([-12.0])]


def parameters(grads: list[np.ndarray] = GRADS) -> list[ad.Tensor]:
    """Parameters with these gradients, and one without."""
    made = [ad.zeros(grad.shape, dtype=ad.float64, requires_grad=True) for grad in grads]
    for parameter, grad in zip(made, grads, strict=True):
        parameter.grad = ad.tensor(grad)
    return [*made, ad.zeros(1, requires_grad=True)]


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, math.inf])
@pytest.mark.parametrize("max_norm", [0.0, 1.0, 100.0])
def test_norms(norm_type: float, max_norm: float) -> None:
    given = parameters()
    flat = np.concatenate([grad.ravel() for grad in GRADS])
    expected = np.linalg.norm(flat, norm_type)
    norm = clip_grad_norm_(given, max_norm, norm_type)
    np.testing.assert_allclose(norm.item(), expected, rtol=1e-12)
    scale = min(1.0, max_norm / (expected + 1e-6))
    for parameter, grad in zip(given, GRADS, strict=False):
        np.testing.assert_allclose(parameter.grad.numpy(), grad * scale, rtol=1e-12)
    assert given[-1].grad is None


def test_values() -> None:
    given = parameters()
    clip_grad_value_(given, 3.5)
    for parameter, grad in zip(given, GRADS, strict=False):
        assert parameter.grad.tolist() == np.clip(grad, -3.5, 3.5).tolist()
    clip_grad_value_(given[0], 1.0)
    assert given[0].grad.tolist() == [[1.0, -1.0], [0.5, 0.0]]


def test_one_tensor_no_gradients_and_other_dtypes() -> None:
    assert clip_grad_norm_(ad.zeros(1, requires_grad=True), 1.0).item() == 0.0
    p = ad.zeros(2, dtype=ad.float16, requires_grad=True)
    p.grad = ad.tensor([3.0, 4.0], dtype=ad.float16)
    q = ad.zeros(1, requires_grad=True)
    q.grad = ad.tensor([12.0])
    clip_grad_norm_([p, q], 1.3)
    assert p.grad.dtype == ad.float16
    np.testing.assert_allclose(p.grad.tolist(), [0.3, 0.4], rtol=1e-3)


def test_clipping_is_part_of_the_step() -> None:
    net = ad.nn.Linear(3, 2)
    optimizer = ad.optim.SGD(net.parameters(), lr=0.1)
    runs = []
    for _ in range(3):
        before = ad.stats()["runs"]
        net(ad.ones((4, 3))).sum().backward()
        clip_grad_norm_(net.parameters(), 0.5)
        optimizer.step()
        optimizer.zero_grad()
        runs.append(ad.stats()["runs"] - before)
    assert runs[1:] == [1, 1]


def test_mistakes_are_explained() -> None:
    with pytest.raises(ad.DomainError, match="max_norm is -1"):
        clip_grad_norm_(parameters(), -1.0)
    with pytest.raises(ad.DomainError, match="norm_type 0"):
        clip_grad_norm_(parameters(), 1.0, 0.0)
    with pytest.raises(ad.DomainError, match="clip_value is -1"):
        clip_grad_value_(parameters(), -1.0)
    with pytest.raises(ad.DomainError, match="norm is nan"):
        clip_grad_norm_(parameters([np.array([np.nan])]), 1.0, error_if_nonfinite=True)
