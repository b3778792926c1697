"""The gradient of a matrix that many products share is one product of the joined factors.

Depends on adret and NumPy. Invariant: however a matrix is used, its gradient is the sum over its uses.
"""

from __future__ import annotations

import adret as ad
import numpy as np
import pytest

WAYS = {
    "right": (lambda x, w: x @ w, lambda x, w: x @ w),
    "transposed": (lambda x, w: x.mT @ w.mT, lambda x, w: x.T @ w.T),
    "left": (lambda x, w: w @ x.mT, lambda x, w: w @ x.T),
    "vector": (lambda x, w: x[0] @ w, lambda x, w: x[0] @ w),
}


def shapes(way: str, rows: int) -> tuple[int, int]:
    """The other factor's shape, for a matrix of 4 by 5."""
    return {"right": (rows, 4), "transposed": (5, rows), "left": (rows, 5), "vector": (1, 4)}[way]


def factors(way: str, sizes: list[int]) -> list[np.ndarray]:
    """Random other factors, one for each number of rows."""
    rng = np.random.default_rng(len(sizes))
    return [rng.standard_normal(shapes(way, rows)) for rows in sizes]


@pytest.mark.parametrize("sizes", [[3], [3, 2], [1, 4, 2], [2] * 9, [3, 600, 2, 1], [0, 2, 3]], ids=str)
@pytest.mark.parametrize("way", WAYS)
def test_gradients_add_up(way: str, sizes: list[int]) -> None:
    ours, theirs = WAYS[way]
    others = factors(way, sizes)
    matrix = np.random.default_rng(0).standard_normal((4, 5))
    w = ad.tensor(matrix, requires_grad=True)
    xs = [ad.tensor(x, requires_grad=True) for x in others]
    # One factor that is not shared, so that the sum has terms of other kinds.
    loss = sum((ours(x, w) ** 2).sum() for x in xs) + (w * w).sum() + 3 * w[1].sum()
    loss.backward()
    expected = 2 * matrix
    expected[1] += 3
    step = 1e-6
    for at in np.ndindex(4, 5):
        move = np.zeros((4, 5))
        move[at] = step
        ends = [sum((theirs(x, matrix + sign * move) ** 2).sum() for x in others) for sign in (1, -1)]
        expected[at] += (ends[0] - ends[1]) / (2 * step)
    np.testing.assert_allclose(w.grad.numpy(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("way", WAYS)
def test_second_derivatives(way: str) -> None:
    ours, _ = WAYS[way]
    xs = [ad.tensor(x) for x in factors(way, [2, 1, 3, 2])]

    def slope(w: ad.Tensor) -> ad.Tensor:
        return ad.grad(lambda w: sum(ad.tanh(ours(x, w)).sum() for x in xs))(w)

    assert ad.gradcheck(slope, (ad.tensor(np.random.default_rng(1).standard_normal((4, 5))),))


@pytest.mark.parametrize("dtype", [ad.float32, ad.float16, ad.bfloat16])
def test_other_dtypes(dtype: ad.DType) -> None:
    w = ad.ones((4, 5), dtype=dtype, requires_grad=True)
    sum((ad.full((2, 4), number, dtype=dtype) @ w).sum() for number in range(5)).backward()
    assert w.grad.dtype == dtype
    assert w.grad.tolist() == [[20.0] * 5] * 4


def products(steps: int) -> int:
    """How many matrix products a backward pass through so many steps has."""
    w, x = ad.random.normal((6, 6)).requires_grad_(), ad.random.normal((3, 6))
    y = x
    for _ in range(steps):
        y = ad.tanh(y @ w)
    y.sum().backward()
    with ad.profile() as profile:
        ad.eval(w.grad)
    return sum(record.name.startswith("matmul") for record in profile.records)


def test_one_product_for_all_steps() -> None:
    # Forward, backward to each state but the first, and one for the matrix.
    assert products(12) == 12 + 11 + 1
    assert products(24) == 24 + 23 + 1
