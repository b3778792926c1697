"""Tensors that are larger than one binding, and launches of more workgroups than one axis takes.

Depends on the `device` fixture. The limits are set low, so that small tensors meet them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import adret as ad
import numpy as np
import pytest

pytestmark = pytest.mark.parametrize("device", ["gpu"], indirect=True)

LENGTH = 60_000


@pytest.fixture(params=["windows", "grid"], autouse=True)
def _low_limits(request: pytest.FixtureRequest, device: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Opens the device with low limits, and afterwards anew without them."""
    name, value = {"windows": ("ADRET_GPU_BINDING_BYTES", "65536"), "grid": ("ADRET_GPU_GRID", "60")}[request.param]
    with monkeypatch.context() as patch:
        patch.setenv(name, value)
        ad.reset_device(device)
        yield
    ad.reset_device(device)


def data(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def indices(size: int, count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, size, count).astype(np.int32)


PROGRAMS: dict[str, Callable[[Callable[[np.ndarray], ad.Tensor]], ad.Tensor]] = {
    "pointwise": lambda t: (t(data(LENGTH)) * 2 + t(data(LENGTH))).tanh(),
    "sum": lambda t: t(data(LENGTH)).sum(),
    "rows": lambda t: t(data(300, 200)).max(axis=1),
    "columns": lambda t: t(data(300, 200)).sum(axis=0),
    "argmax": lambda t: ad.argmax(t(data(3, LENGTH // 3)), axis=1),
    "softmax": lambda t: ad.softmax(t(data(200, 300)), axis=1),
    "transposed": lambda t: t(data(200, 300)).T + t(data(300, 200)),
    "slice near the end": lambda t: t(data(LENGTH))[LENGTH - 1000 :] * 2,
    "slice across": lambda t: t(data(LENGTH))[10_001:50_003:3] + 1,
    "flip": lambda t: ad.flip(t(data(LENGTH)), axis=0) + 0,
    "product": lambda t: t(data(210, 290)) @ t(data(290, 190)),
    "batch of products": lambda t: t(data(8, 60, 50)) @ t(data(8, 50, 60)),
    "matrix times vector": lambda t: t(data(300, 200)) @ t(data(200)),
    "take": lambda t: ad.take(t(data(3000, 20)), t(indices(3000, 2500)), axis=0),
    "concat": lambda t: ad.concat([t(data(100, 300)), t(data(120, 300))], axis=0),
    "half": lambda t: t(data(LENGTH)).astype("float16") * 3,
    "bool": lambda t: (t(data(LENGTH)) > 0).astype("float32"),
    "sort": lambda t: ad.sort(t(data(300, 200)), axis=1),
    "random": lambda t: (
        t(data(LENGTH)) * 0 + ad.random.uniform((LENGTH,), generator=ad.random.Generator(3)).to(t(data(1)).device)
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_values_are_those_of_the_processor(name: str, device: str) -> None:
    results = [PROGRAMS[name](lambda array, where=where: ad.tensor(array, device=where)) for where in ("cpu", device)]
    expected, found = (result.astype("float32").numpy() for result in results)
    np.testing.assert_allclose(found, expected, rtol=2e-3 if name == "half" else 1e-5, atol=2e-5)


def test_gradients_of_large_tensors(device: str) -> None:
    found = []
    for where in ("cpu", device):
        x = ad.tensor(data(3000, 20), device=where, requires_grad=True)
        w = ad.tensor(data(20, 30), device=where, requires_grad=True)
        chosen = ad.take(x, ad.tensor(indices(3000, 2500), device=where), axis=0)
        ((chosen @ w).tanh() ** 2).mean().backward()
        assert x.grad is not None and w.grad is not None
        found.append((x.grad.numpy(), w.grad.numpy()))
    for expected, gradient in zip(*found, strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)


def test_more_windows_than_bindings_is_an_error(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("ADRET_GPU_BINDING_BYTES", "4096")
        ad.reset_device(device)
        x = ad.ones(200_000, device=device)
        with pytest.raises(ad.DeviceError, match=r"buffers .*windows.* this adapter binds"):
            (x + 1).sum().item()
        assert (ad.ones(3, device=device) + 1).tolist() == [2.0, 2.0, 2.0]


def test_more_workgroups_than_the_grid_holds_is_an_error(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("ADRET_GPU_GRID", "2")
        ad.reset_device(device)
        with pytest.raises(ad.DeviceError, match="Split it"):
            ad.eval(ad.ones(5000, device=device) + 1)
