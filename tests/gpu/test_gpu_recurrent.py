"""Recurrent layers whose steps are launches of one routine, against the CPU; how many launches they take.

Depends on the `device` fixture. Invariant: outputs, last states and all gradients are the CPU's, to the
dtype's precision.
"""

from __future__ import annotations

from typing import Any

import adret as ad
import numpy as np
import pytest
from adret import nn

pytestmark = pytest.mark.parametrize("device", ["gpu"], indirect=True)

UNITS: dict[str, tuple[type[nn.Module], dict[str, object]]] = {
    "tanh": (nn.RNN, {}),
    "relu": (nn.RNN, {"nonlinearity": "relu"}),
    "lstm": (nn.LSTM, {}),
    "gru": (nn.GRU, {}),
}
# Steps, batch, hidden: less than a tile, exactly tiles, more than tiles.
SIZES = [(1, 1, 1), (3, 2, 5), (4, 16, 16), (3, 33, 18)]
LAYERS: list[dict[str, object]] = [{}, {"bidirectional": True, "batch_first": True}, {"num_layers": 2, "bias": False}]


def values(layer: Any, x: np.ndarray, hx: list[np.ndarray], device: str, dtype: str) -> list[np.ndarray]:
    """Results and gradients of a layer on a device, to which it is moved."""
    layer.to(device)
    inputs = [ad.tensor(array.astype(dtype), device=device) for array in (x, *hx)]
    for tensor in inputs:
        tensor.requires_grad = True
    output, last = layer(inputs[0], tuple(inputs[1:]) if len(hx) == 2 else inputs[1])
    made = [output, *(last if len(hx) == 2 else [last])]
    loss = made[0].sin().sum()
    for state in made[1:]:
        loss = loss + (2 * state).cos().sum()
    loss.backward()
    found = [*made, *(tensor.grad for tensor in (*inputs, *layer.parameters()))]
    layer.zero_grad()
    return [value.detach().numpy() for value in found]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("settings", LAYERS, ids=["plain", "both ways", "two layers"])
@pytest.mark.parametrize("unit", UNITS)
def test_as_on_the_cpu(device: str, unit: str, settings: dict[str, object], sizes: tuple[int, int, int]) -> None:
    steps, batch, hidden = sizes
    rng = np.random.default_rng(7)
    dtypes = ["float32", *(["float64"] if "float64" in ad.devices()[device]["features"] else [])]
    for dtype in dtypes:
        kind, own = UNITS[unit]
        layer: Any = kind(3, hidden, **own, **settings, dtype=getattr(ad, dtype))
        x = rng.standard_normal((batch, steps, 3) if layer.batch_first else (steps, batch, 3))
        count = layer.num_layers * (1 + layer.bidirectional)
        hx = [rng.standard_normal((count, batch, hidden)) for _ in range(1 + (unit == "lstm"))]
        wanted = values(layer, x, hx, "cpu", dtype)
        for got, want in zip(values(layer, x, hx, device, dtype), wanted, strict=True):
            np.testing.assert_allclose(got, want, rtol=2e-4 if dtype == "float32" else 1e-11, atol=1e-4)


@pytest.mark.parametrize("unit", UNITS)
def test_operands_of_any_layout(device: str, unit: str) -> None:
    rng = np.random.default_rng(1)
    kind, own = UNITS[unit]
    layer: Any = kind(3, 20, **own).to(device)
    x = ad.tensor(rng.standard_normal((3, 9, 2, 6)).astype(np.float32), device=device).permute(2, 1, 3, 0)[1, ::-2]
    states = [ad.tensor(rng.standard_normal((1, 1, 20)).astype(np.float32), device=device) for _ in "hc"]
    wide = [state.expand((1, x.shape[1], 20)) for state in states]
    with ad.no_grad():
        for parameter in layer.parameters():
            parameter.assign(ad.tensor(parameter.detach().numpy()[::-1].copy(), device=device)[::-1])
    got = layer(x, tuple(wide) if unit == "lstm" else wide[0])
    cpu = [state.to("cpu") for state in wide]
    want = layer.to("cpu")(x.to("cpu"), tuple(cpu) if unit == "lstm" else cpu[0])
    np.testing.assert_allclose(got[0].detach().numpy(), want[0].detach().numpy(), rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("unit", UNITS)
def test_gradients_of_gradients(device: str, unit: str) -> None:
    rng = np.random.default_rng(3)
    kind, own = UNITS[unit]
    layer: Any = kind(3, 2, **own)
    names = [name for name, _ in layer.named_parameters()]
    arrays = [rng.standard_normal((3, 2, 3)).astype(np.float32)]
    arrays += [parameter.detach().numpy() for parameter in layer.parameters()]
    all_of_them = tuple(range(len(arrays)))

    def loss(x: ad.Tensor, *own: ad.Tensor) -> ad.Tensor:
        return ad.functional_call(layer, dict(zip(names, own, strict=True)), (x,))[0].sin().sum()

    def squares(*given: ad.Tensor) -> ad.Tensor:
        grads = ad.grad(loss, argnums=all_of_them)(*given)
        return sum(((grad * grad).sum() for grad in grads[1:]), start=grads[0].sum())

    def twice(where: str) -> list[np.ndarray]:
        grads = ad.grad(squares, argnums=all_of_them)(*[ad.tensor(array, device=where) for array in arrays])
        return [grad.numpy() for grad in grads]

    for got, want in zip(twice(device), twice("cpu"), strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("unit", UNITS)
def test_a_step_is_a_launch_each_way(device: str, unit: str) -> None:
    kind, own = UNITS[unit]
    layer: Any = kind(3, 8, **own).to(device)
    parameters = list(layer.parameters())

    def launches(steps: int) -> int:
        x = ad.ones((steps, 3, 3), device=device)
        for _ in range(2):
            before = ad.stats()["launches"]
            layer(x)[0].sum().backward()
            ad.eval(*(parameter.grad for parameter in parameters))
            layer.zero_grad()
        return ad.stats()["launches"] - before

    assert launches(23) - launches(11) == 2 * 12


def test_what_the_routine_does_not_know_goes_step_by_step(device: str) -> None:
    rng = np.random.default_rng(5)
    x = rng.standard_normal((4, 3, 3)).astype(np.float32)
    for layer, lengths in ((nn.LSTM(3, 4, proj_size=2), None), (nn.GRU(3, 4, bidirectional=True), [4, 1, 2])):
        want = layer(ad.tensor(x), lengths=lengths)[0].detach().numpy()
        got = layer.to(device)(ad.tensor(x, device=device), lengths=lengths)[0].detach().numpy()
        np.testing.assert_allclose(got, want, rtol=2e-4, atol=1e-5)
