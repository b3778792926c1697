"""Convolutions as tiled products on GPUs, in every size of square, against the processor's.

Depends on the `device` fixture. Invariant: random steps, padding, dilation, groups and views agree, result and
gradients alike.
"""

from __future__ import annotations

from collections.abc import Iterator

import adret as ad
import numpy as np
import pytest
from adret.nn import functional

pytestmark = pytest.mark.parametrize("device", ["gpu"], indirect=True)


@pytest.fixture
def square(device: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The device with squares of this size for every product; 0: as it chooses."""
    if request.param:
        monkeypatch.setenv("ADRET_GPU_TILE", str(request.param))
    ad.reset_device(device)
    yield request.param
    monkeypatch.undo()
    ad.reset_device(device)


def gradients(device: str, call, *arrays: np.ndarray) -> list[np.ndarray]:
    """The result and the gradients of a weighted sum of it."""
    tensors = [ad.tensor(array, device=device, requires_grad=True) for array in arrays]
    y = call(*tensors)
    weight = np.cos(np.arange(np.prod(y.shape))).reshape(y.shape)
    (y * ad.tensor(weight.astype(np.float32), device=device)).sum().backward()
    return [t.detach().numpy() for t in (y, *(t.grad for t in tensors))]


def agree(device: str, call, *arrays: np.ndarray) -> None:
    for here, there in zip(gradients("cpu", call, *arrays), gradients(device, call, *arrays), strict=True):
        scale = np.abs(here).max(initial=1.0)
        np.testing.assert_allclose(there, here, rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.parametrize("square", [16, 32, 64, 0], indirect=True)
@pytest.mark.parametrize("rank", [1, 2])
def test_random_convolutions(device: str, square: int, rank: int) -> None:
    rng = np.random.default_rng([rank, square])
    for _ in range(6):
        groups = int(rng.integers(1, 3))
        inputs, outputs = (int(rng.integers(1, 9)) for _ in range(2))
        kernel, stride, dilation = (tuple(int(n) for n in rng.integers(1, top, rank)) for top in (4, 3, 3))
        padding = tuple(int(n) for n in rng.integers(0, 3, rank))
        sizes = tuple(int(n) for n in rng.integers(7, 13, rank))
        x = rng.standard_normal((int(rng.integers(1, 4)), groups * inputs, *sizes)).astype(np.float32)
        weight = rng.standard_normal((groups * outputs, inputs, *kernel)).astype(np.float32)
        bias = rng.standard_normal(groups * outputs).astype(np.float32)
        convolve = (functional.conv1d, functional.conv2d)[rank - 1]
        transposed = (functional.conv_transpose1d, functional.conv_transpose2d)[rank - 1]
        agree(device, lambda x, w, b: convolve(x, w, b, stride, padding, dilation, groups), x, weight, bias)
        y = rng.standard_normal((2, groups * outputs, *sizes)).astype(np.float32)
        more = rng.standard_normal(groups * inputs).astype(np.float32)
        extra = {"stride": stride, "padding": 0, "dilation": dilation, "groups": groups}
        agree(device, lambda x, w, b, extra=extra: transposed(x, w, b, **extra), y, weight, more)


@pytest.mark.parametrize("square", [0], indirect=True)
@pytest.mark.parametrize(
    ("batch", "inputs", "outputs", "size", "kernel", "stride", "padding", "groups"),
    [
        (2, 16, 32, 14, 3, 1, 1, 1),
        (4, 3, 20, 17, 5, 2, 2, 1),
        (2, 64, 64, 7, 1, 1, 0, 1),
        (1, 32, 48, 9, 3, 2, 1, 2),
        (3, 24, 24, 8, 3, 1, 1, 24),
        (8, 12, 13, 13, 3, 1, 0, 1),
    ],
)
def test_layers_as_networks_have_them(
    device: str,
    square: int,
    batch: int,
    inputs: int,
    outputs: int,
    size: int,
    kernel: int,
    stride: int,
    padding: int,
    groups: int,
) -> None:
    rng = np.random.default_rng(7)
    x = rng.standard_normal((batch, inputs, size, size)).astype(np.float32)
    weight = rng.standard_normal((outputs, inputs // groups, kernel, kernel)).astype(np.float32) / kernel
    bias = rng.standard_normal(outputs).astype(np.float32)
    agree(device, lambda x, w, b: functional.conv2d(x, w, b, stride, padding, 1, groups), x, weight, bias)


@pytest.mark.parametrize("square", [0, 16], indirect=True)
def test_three_axes_views_and_second_derivatives(device: str, square: int) -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2, 13, 5, 6, 7)).astype(np.float32)
    weight = rng.standard_normal((14, 13, 2, 3, 2)).astype(np.float32)
    agree(device, lambda x, w: functional.conv3d(x, w, padding=1), x, weight)
    turned = rng.standard_normal((6, 6, 2, 16)).astype(np.float32)
    square_weight = rng.standard_normal((16, 16, 3, 3)).astype(np.float32)

    def of_views(x: ad.Tensor, w: ad.Tensor) -> ad.Tensor:
        return functional.conv2d(ad.permute_dims(x, (2, 3, 0, 1)), ad.flip(w, 3), padding=1)

    agree(device, of_views, turned, square_weight)
    found = []
    for place in ("cpu", device):
        a, b = (ad.tensor(v, device=place, requires_grad=True) for v in (turned, square_weight))
        (of_views(a, b) ** 2).sum().backward(create_graph=True)
        first, b.grad = a.grad, None
        assert first is not None
        (first * first).sum().backward()
        assert b.grad is not None
        found.append(b.grad.detach().numpy())
    np.testing.assert_allclose(found[1], found[0], rtol=1e-4, atol=1e-4 * np.abs(found[0]).max())


@pytest.mark.parametrize("square", [0], indirect=True)
def test_long_sums_in_parts(device: str, square: int) -> None:
    rng = np.random.default_rng(4)
    x = rng.standard_normal((6, 16, 20, 20)).astype(np.float32)
    weight = rng.standard_normal((16, 16, 3, 3)).astype(np.float32)
    agree(device, lambda x, w: functional.conv2d(x, w, padding=1), x, weight)


@pytest.mark.parametrize("square", [0, 32], indirect=True)
def test_sixteen_bits(device: str, square: int) -> None:
    rng = np.random.default_rng(5)
    x = ad.tensor(rng.standard_normal((2, 16, 8, 8)).astype(np.float16))
    w = ad.tensor(rng.standard_normal((16, 16, 3, 3)).astype(np.float16))
    here, there = functional.conv2d(x, w), functional.conv2d(x.to(device), w.to(device))
    assert there.dtype == ad.float16
    np.testing.assert_allclose(there.numpy().astype(float), here.numpy().astype(float), rtol=2e-3, atol=2e-2)
