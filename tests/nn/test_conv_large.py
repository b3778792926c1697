"""Convolutions large enough for routines of their own: three by three taps by squares, few pixels by matrix products.

Depends on adret and NumPy. Invariant: float32 is compared with float64, which knows no squares; the tolerance is what
a direct float32 sum of that length needs.
"""

from __future__ import annotations

from typing import NamedTuple

import adret as ad
import adret.nn.functional as F
import numpy as np
import pytest


class Sizes(NamedTuple):
    """Images, channels and sizes of a convolution."""

    batch: int
    inputs: int
    high: int
    wide: int
    outputs: int
    padding: int = 1
    groups: int = 1
    stride: int = 1
    kernel: int = 3
    dilation: tuple[int, int] = (1, 1)


SQUARES = [
    Sizes(4, 32, 16, 16, 32),
    Sizes(2, 64, 15, 17, 48),
    Sizes(3, 40, 28, 28, 33, padding=0),
    Sizes(8, 64, 8, 8, 96, padding=2),
    Sizes(4, 64, 20, 20, 64, groups=2),
    Sizes(2, 24, 31, 14, 200),
    Sizes(64, 32, 4, 4, 32),
    Sizes(2, 32, 12, 12, 40, padding=4),
    Sizes(1, 32, 7, 301, 32),
    Sizes(1, 140, 9, 130, 24),
]
APART = [
    Sizes(4, 32, 16, 16, 32, padding=2, dilation=(2, 2)),
    Sizes(2, 64, 27, 29, 48, padding=2, dilation=(2, 2)),
    Sizes(2, 40, 23, 31, 33, padding=1, dilation=(3, 3)),
    Sizes(2, 32, 21, 30, 40, padding=0, dilation=(1, 2)),
    Sizes(2, 32, 22, 19, 40, padding=3, dilation=(3, 1)),
    Sizes(2, 64, 33, 17, 64, padding=4, dilation=(5, 2), groups=2),
    Sizes(2, 32, 14, 50, 24, padding=9, dilation=(2, 4)),
    Sizes(1, 24, 9, 301, 200, padding=2, dilation=(2, 2)),
]
FEW = [
    Sizes(8, 40, 5, 5, 40),
    Sizes(8, 48, 4, 4, 64),
    Sizes(8, 64, 2, 2, 64),
    Sizes(4, 48, 7, 7, 40, stride=2),
    Sizes(3, 256, 6, 6, 32, padding=0, kernel=1, stride=2),
    Sizes(2, 80, 5, 5, 96, groups=2, kernel=5, padding=2),
]


def arrays(sizes: Sizes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((sizes.batch, sizes.inputs, sizes.high, sizes.wide))
    kernel = rng.standard_normal((sizes.outputs, sizes.inputs // sizes.groups, sizes.kernel, sizes.kernel))
    return x, kernel, rng.standard_normal(sizes.outputs)


def results(sizes: Sizes, dtype: str, x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
    """The convolution, and its gradients by input, kernel and bias."""
    leaves = [ad.tensor(values, dtype=dtype, requires_grad=True) for values in (x, kernel, bias)]
    y = F.conv2d(*leaves, sizes.stride, sizes.padding, sizes.dilation, sizes.groups)
    grad = np.random.default_rng(1).standard_normal(y.shape)
    (y * ad.tensor(grad, dtype=dtype)).sum().backward()
    grads = [leaf.grad.numpy() for leaf in leaves if leaf.grad is not None]
    return [y.detach().numpy(), *grads]


@pytest.mark.parametrize("sizes", SQUARES + APART + FEW)
def test_float32_is_as_near_to_float64_as_a_direct_sum(sizes: Sizes) -> None:
    data = arrays(sizes)
    for ours, exact in zip(results(sizes, "float32", *data), results(sizes, "float64", *data), strict=True):
        assert ours.shape == exact.shape
        assert np.abs(ours - exact).max() <= 1.5e-6 * np.abs(exact).max()


@pytest.mark.parametrize("sizes", SQUARES[:3] + FEW[:4])
@pytest.mark.parametrize("bad", [np.inf, np.nan, 3e38])
def test_what_is_not_finite_stays_in_its_windows(sizes: Sizes, bad: float) -> None:
    x, kernel, bias = arrays(sizes)
    x = x.astype("float32")
    x[0, 1, 1, 1] = bad
    kernel = (kernel * 4).astype("float32")
    moves = {"stride": sizes.stride, "padding": sizes.padding}
    found = F.conv2d(ad.tensor(x), ad.tensor(kernel), ad.tensor(bias, dtype="float32"), **moves).numpy()
    x[0, 1, 1, 1] = 0
    wide = [ad.tensor(values, dtype="float64") for values in (x, kernel, bias)]
    without = F.conv2d(*wide, **moves).numpy()
    touched = np.zeros(without.shape, bool)
    low = max(0, -((sizes.kernel - 2 - sizes.padding) // sizes.stride))
    high = (1 + sizes.padding) // sizes.stride + 1
    touched[0, :, low:high, low:high] = True
    assert np.allclose(found[~touched], without[~touched], rtol=1e-4, atol=1e-3)
    assert not np.isfinite(found[touched]).all()


@pytest.mark.parametrize("bad", [np.inf, np.nan, 3e38])
def test_what_is_not_finite_stays_in_its_windows_apart(bad: float) -> None:
    sizes = APART[0]
    x, kernel, bias = (values.astype("float32") for values in arrays(sizes))
    x[0, 1, 4, 5] = bad
    moves = {"padding": sizes.padding, "dilation": sizes.dilation}
    found = F.conv2d(ad.tensor(x), ad.tensor(kernel * 4), ad.tensor(bias), **moves).numpy()
    x[0, 1, 4, 5] = 0
    wide = [ad.tensor(values, dtype="float64") for values in (x, kernel * 4, bias)]
    without = F.conv2d(*wide, **moves).numpy()
    touched = np.zeros(without.shape, bool)
    touched[0, :, 2:7:2, 3:8:2] = True
    assert np.allclose(found[~touched], without[~touched], rtol=1e-4, atol=1e-3)
    assert not np.isfinite(found[touched]).all()


@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_any_layout_gives_the_same(dilation: int) -> None:
    x, kernel, bias = (values.astype("float32") for values in arrays(SQUARES[0]))
    moves = {"padding": 1, "dilation": dilation}
    expected = F.conv2d(ad.tensor(x), ad.tensor(kernel), ad.tensor(bias), **moves).numpy()
    last = ad.tensor(np.ascontiguousarray(x.transpose(0, 2, 3, 1))).permute(0, 3, 1, 2)
    turned = ad.tensor(np.ascontiguousarray(kernel.transpose(1, 0, 2, 3))).permute(1, 0, 2, 3)
    assert np.array_equal(F.conv2d(last, turned, ad.tensor(bias), **moves).numpy(), expected)
    flipped = ad.flip(ad.tensor(np.ascontiguousarray(x[..., ::-1])), 3)
    assert np.array_equal(F.conv2d(flipped, ad.tensor(kernel), ad.tensor(bias), **moves).numpy(), expected)


@pytest.mark.parametrize("sizes", [SQUARES[1], SQUARES[4], APART[1], APART[5], FEW[0], FEW[3]])
def test_bits_depend_on_no_thread(sizes: Sizes) -> None:
    before = ad.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 5):
            ad.set_num_threads(threads)
            found.append(results(sizes, "float32", *arrays(sizes)))
    finally:
        ad.set_num_threads(before)
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("sizes", [SQUARES[0], SQUARES[4], FEW[2]])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_are_computed_in_float32(sizes: Sizes, dtype: str) -> None:
    x, kernel, bias = (ad.tensor(values).astype(dtype) for values in arrays(sizes))
    moves = {"stride": sizes.stride, "padding": sizes.padding, "groups": sizes.groups}
    ours = F.conv2d(x, kernel, bias, **moves)
    wide = F.conv2d(x.astype("float32"), kernel.astype("float32"), bias.astype("float32"), **moves)
    assert ours.dtype == x.dtype
    assert np.array_equal(ours.astype("float32").numpy(), wide.astype(dtype).astype("float32").numpy())
