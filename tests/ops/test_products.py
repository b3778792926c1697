"""Matrix products: bits for any number of threads; of bfloat16, with gradients, values against NumPy and on every path.

Depends on adret and NumPy. Invariant: the best path may multiply bfloat16 by the processor's instructions for it, the
others convert to float32; both round sums of float32 once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import adret as ad
import numpy as np
import pytest

# Rows, columns, length of the sums, of small and thin products and of those that are cut into blocks.
SHAPES = [(1, 1, 1), (3, 5, 2), (1, 300, 64), (300, 1, 66), (8, 257, 130), (7, 65, 33), (64, 10, 129), (300, 257, 301)]

SCRIPT = """
import json
import adret as ad
import test_products as here
print(json.dumps([[value.tolist() for value in here.product_and_gradients(*shape)] for shape in here.SHAPES]))
"""


def _operands(m: int, n: int, k: int) -> tuple[ad.Tensor, ad.Tensor, ad.Tensor]:
    rng = np.random.default_rng(m + n + k)
    shapes = [(m, k), (n, k), (m, n)]
    a, b, grad = (ad.tensor(rng.standard_normal(shape, dtype=np.float32), dtype=ad.bfloat16) for shape in shapes)
    return a, b, grad


def _array(x: ad.Tensor) -> np.ndarray:
    return x.astype(ad.float64).numpy()


def product_and_gradients(m: int, n: int, k: int) -> list[np.ndarray]:
    """Of a · bᵀ as in a linear layer, with relu and a bias of ones as epilogue."""
    a, b, grad = _operands(m, n, k)
    a.requires_grad = b.requires_grad = True
    y = (a @ b.T + 1).relu()
    y.backward(grad)
    assert y.dtype == a.grad.dtype == ad.bfloat16
    return [_array(x) for x in (y.detach(), a.grad, b.grad)]


def _near(found: np.ndarray, exact: np.ndarray, scale: np.ndarray, roundings: int = 1) -> None:
    bound = 2.0**-8 * roundings * (np.abs(exact) + 1) + 1e-5 * scale
    assert (np.abs(found - exact) <= bound).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_products_match_numpy(shape: tuple[int, int, int]) -> None:
    a, b, grad = (_array(x) for x in _operands(*shape))
    y, a_grad, b_grad = product_and_gradients(*shape)
    # Rounded as a product, and with the bias added.
    _near(y, np.maximum(a @ b.T + 1, 0), np.abs(a) @ np.abs(b.T), roundings=2)
    passed = np.where(y > 0, grad, 0)
    _near(a_grad, passed @ b, np.abs(passed) @ np.abs(b))
    _near(b_grad, passed.T @ a, np.abs(passed.T) @ np.abs(a))


def test_views_and_batches_match_numpy() -> None:
    rng = np.random.default_rng(0)
    a, b = (ad.tensor(rng.standard_normal((5, 90, 71), dtype=np.float32), dtype=ad.bfloat16) for _ in range(2))
    x, y = _array(a), _array(b)
    cut = (slice(None), slice(1, None, 3), slice(None, None, -1))
    for left, right in [
        ((a.mT, b), (x.swapaxes(1, 2), y)),
        ((a[cut], b.mT), (x[cut], y.swapaxes(1, 2))),
        ((a[:, :, 1:], b[0, :70]), (x[:, :, 1:], y[0, :70])),
        ((a[:, 0], b[:, 0, None].mT[0]), (x[:, 0], y[:, 0, None].swapaxes(1, 2)[0])),
    ]:
        _near(_array(left[0] @ left[1]), right[0] @ right[1], np.abs(right[0]) @ np.abs(right[1]))


@pytest.mark.parametrize("dtype", [ad.bfloat16, ad.float32, ad.float64], ids=lambda dtype: str(dtype))
@pytest.mark.parametrize("shape", [(100, 513, 258), (257, 300, 301), (1300, 12, 700), (513, 100, 64)])
def test_sums_do_not_depend_on_threads(shape: tuple[int, int, int], dtype: ad.DType) -> None:
    """Nor do blocks at the edge have another order of sums, because they are thin."""
    m, n, k = shape
    rng = np.random.default_rng(0)
    a, b = (ad.tensor(rng.standard_normal((rows, k)), dtype=dtype) for rows in (m, n))
    threads = ad.get_num_threads()
    found: list[np.ndarray] = []
    for count in (1, 2, 3, 4):
        ad.set_num_threads(count)
        found.append(_array(a @ b.T))
    ad.set_num_threads(threads)
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


@pytest.mark.parametrize("path", ["portable"])
def test_vector_paths_agree_on_bfloat16(path: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "ADRET_CPU": path},
        cwd=os.path.dirname(__file__),
        capture_output=True,
        text=True,
        check=True,
    )
    for shape, values in zip(SHAPES, json.loads(run.stdout), strict=True):
        y, a_grad, b_grad = product_and_gradients(*shape)
        for found, other in zip((y, a_grad, b_grad), values, strict=True):
            # Sums that differ in their last bit may be rounded to neighbours; a mask may then let another element pass.
            far = np.abs(found - np.array(other)) > 2.0**-7 * (1 + np.abs(found))
            assert far.mean() <= 0.01, shape
