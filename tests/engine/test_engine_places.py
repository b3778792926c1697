"""One value read in several places: where it is made, transposed, reversed, shifted, and beside a write.

Depends on adret and NumPy. A kernel that makes a value may read it at the place that it is at, nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable

import adret as ad
import numpy as np
import pytest

RNG = np.random.default_rng(3)

# Values `[n, n]` of `a` and `b`, by the module given: each is a kernel, or part of one.
MADE: dict[str, Callable] = {
    "cheap": lambda m, a, b: a * b + 1,
    "dear": lambda m, a, b: m.tanh(a) * b,
    "product": lambda m, a, b: a @ b,
    "product, epilogue": lambda m, a, b: (a @ b) * 0.5 - a,
    "rows": lambda m, a, b: (a - a.mean(axis=1, keepdims=True)) * b,
    "columns": lambda m, a, b: a * b.max(axis=0, keepdims=True),
    "chain": lambda m, a, b: (
        m.exp(a - a.max(axis=1, keepdims=True)) / m.exp(a - a.max(axis=1, keepdims=True)).sum(axis=1, keepdims=True)
    ),
}


def written(m: object, y: ad.Tensor) -> ad.Tensor:
    """`y` with its last columns doubled."""
    copy = y.clone() if isinstance(y, ad.Tensor) else y.copy()
    copy[:, -2:] *= 2.0
    return copy


READ: dict[str, Callable] = {
    "transposed": lambda m, y: y + y.T,
    "reversed": lambda m, y: y * m.flip(y, axis=0),
    "mirrored": lambda m, y: y - m.flip(y, axis=1),
    "shifted": lambda m, y: y + m.roll(y, 3, axis=0),
    "last row": lambda m, y: y - y[-1:],
    "first column": lambda m, y: y * y[:, :1],
    "every second": lambda m, y: y[::2] + y[1::2],
    "three times": lambda m, y: y.T + m.flip(y, axis=0) * y,
    "other rows": lambda m, y: y + m.reshape(y.T, (-1,))[::-1].reshape(y.shape),
    "with its mean": lambda m, y: m.flip(y, axis=0) - y.mean(axis=1, keepdims=True) + y,
    "written": written,
    "written and read": lambda m, y: written(m, y) + m.flip(y, axis=1),
}


@pytest.mark.parametrize("size", [6, 130])
@pytest.mark.parametrize("read", READ)
@pytest.mark.parametrize("made", MADE)
def test_a_value_in_several_places(made: str, read: str, size: int) -> None:
    """The same as NumPy's, whether a name holds the value (and so it is stored) or not."""
    a, b = RNG.uniform(-1, 1, (2, size, size))
    value = MADE[made](np, a, b)
    expected = READ[read](np, value)
    x, y = ad.tensor(a), ad.tensor(b)
    assert np.allclose(READ[read](ad, MADE[made](ad, x, y)).numpy(), expected, rtol=1e-12, atol=1e-12), "dropped"
    held = MADE[made](ad, x, y)
    result = READ[read](ad, held)
    ad.eval(result)
    assert np.allclose(result.numpy(), expected, rtol=1e-12, atol=1e-12), "held"
    assert np.allclose(held.numpy(), value, rtol=1e-12, atol=1e-12), "the held value itself"


@pytest.mark.parametrize("read", READ)
@pytest.mark.parametrize("made", MADE)
def test_gradients_that_are_held(made: str, read: str) -> None:
    """A gradient does not depend on whether the one that it is computed from is kept."""
    a, b = RNG.uniform(-1, 1, (2, 6, 6))
    weights = ad.tensor(RNG.uniform(-1, 1, (6, 6)))

    def gradients(keep: bool) -> list[np.ndarray]:
        x, y = ad.tensor(a, requires_grad=True), ad.tensor(b, requires_grad=True)
        value = MADE[made](ad, x, y)
        if keep:
            value.retain_grad()
        (READ[read](ad, value)[:3] * weights[:3]).sum().backward()
        return [np.zeros(()) if leaf.grad is None else leaf.grad.numpy() for leaf in (x, y)]

    for kept, dropped in zip(gradients(True), gradients(False), strict=True):
        assert np.allclose(kept, dropped, rtol=1e-10, atol=1e-12)
