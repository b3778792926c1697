"""Running sums and products: long lines, zeros among factors, and what is refused.

Depends on NumPy. Invariant: a scan gives the same on every device within the rounding of its sums.
"""

from __future__ import annotations

import adret as ad
import numpy as np
import pytest


@pytest.mark.parametrize(("shape", "axis"), [((3, 2000), 1), ((5000,), 0), ((700, 3), 0), ((2, 600, 5), -2)])
def test_long_lines(device: str, shape: tuple[int, ...], axis: int) -> None:
    rng = np.random.default_rng(0)
    terms, weights = rng.uniform(-1, 1, (2, *shape)).astype(np.float32)
    for scan, reference, x in [
        (ad.cumsum, np.cumsum, terms),
        (ad.cumprod, np.cumprod, 1 + terms / np.float32(shape[axis])),
    ]:
        known = ad.tensor(weights, device=device)
        value, gradient = ad.value_and_grad(lambda x, scan=scan, known=known: (scan(x, axis=axis) * known).sum())(
            ad.tensor(x, device=device)
        )
        exact = reference(x.astype(np.float64), axis=axis)
        np.testing.assert_allclose(scan(ad.tensor(x, device=device), axis=axis).numpy(), exact, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(value.item(), (exact * weights).sum(), rtol=1e-4, atol=1e-2)
        behind = np.flip(np.cumsum(np.flip(weights * (exact if scan is ad.cumprod else 1), axis), axis=axis), axis)
        slope = behind / x if scan is ad.cumprod else behind
        np.testing.assert_allclose(gradient.numpy(), slope, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("zeros", [[], [0], [4], [1, 3], [0, 1, 2, 3, 4]])
def test_products_through_zeros_have_their_gradient(zeros: list[int]) -> None:
    x = np.array([2.0, -3.0, 0.5, 4.0, 1.5])
    x[zeros] = 0
    weights = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    gradient = ad.grad(lambda x: (ad.cumprod(x, 0) * ad.tensor(weights)).sum())(ad.tensor(x)).numpy()
    for i in range(5):
        # The sum is linear in each factor: the difference of its values at 1 and 0 is the derivative.
        ends = [np.concatenate([x[:i], [end], x[i + 1 :]]) for end in (0.0, 1.0)]
        low, high = ((np.cumprod(end) * weights).sum() for end in ends)
        np.testing.assert_allclose(gradient[i], high - low, rtol=1e-12, atol=1e-12)


def test_forms_and_refusals() -> None:
    x = ad.tensor([[1, 2], [3, 4]])
    np.testing.assert_array_equal(ad.cumsum(x).numpy(), [1, 3, 6, 10])
    np.testing.assert_array_equal(x.cumprod(axis=1).numpy(), [[1, 2], [3, 12]])
    assert ad.cumsum(ad.tensor([200, 100], dtype="uint8")).dtype == ad.uint64
    np.testing.assert_array_equal(ad.cumsum(ad.tensor([200, 100], dtype="uint8"), dtype="uint8").numpy(), [200, 44])
    assert ad.cumsum(ad.zeros((0, 3)), axis=0).shape == (0, 3)
    assert ad.cumulative_sum(ad.zeros((0, 3)), axis=0, include_initial=True).shape == (1, 3)
    with pytest.raises(ad.OutOfRangeError, match="cumulative_sum"):
        ad.cumsum(x, axis=2)
    with pytest.raises(ad.DomainError, match="axis=0"):
        ad.cumulative_prod(x)
    with pytest.raises(ad.DTypeError, match="bool"):
        ad.cumsum(x, dtype=ad.bool)
