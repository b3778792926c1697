"""200 steps from the same weights give PyTorch's losses and weights.

Depends on `vectors.npz`, which `tests/peers/make_vectors.py` makes with PyTorch.
"""

from __future__ import annotations

import pathlib

import adret as ad
import numpy as np
import pytest
from adret import nn, optim

STORED = {key: value for key, value in np.load(pathlib.Path(__file__).with_name("vectors.npz")).items()}  # noqa: C416
GIVEN = {key.removeprefix("given|"): value for key, value in STORED.items() if key.startswith("given|")}

OPTIMISERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.05, momentum=0.9),
    "nesterov": lambda p: optim.SGD(p, lr=0.02, momentum=0.8, nesterov=True, weight_decay=1e-3),
    "adam": lambda p: optim.Adam(p, lr=0.01),
    "amsgrad": lambda p: optim.Adam(p, lr=0.02, betas=(0.8, 0.99), eps=1e-6, weight_decay=1e-2, amsgrad=True),
}
LOSSES = {
    "classes": lambda y, labels, targets: nn.CrossEntropyLoss()(y, labels),
    "values": lambda y, labels, targets: nn.MSELoss()(y, targets),
}


def model(dtype: str) -> nn.Module:
    """The network with the stored first weights."""
    first = {name[2:]: ad.tensor(values, dtype=dtype) for name, values in GIVEN.items() if name.startswith("w:")}
    network = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 4)).to(dtype)
    network.load_state_dict(first)
    return network


def train(optimiser: str, loss: str, dtype: str, ask: bool = True) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Losses of every step and the last weights."""
    network = model(dtype)
    x, targets = ad.tensor(GIVEN["x"], dtype=dtype), ad.tensor(GIVEN["targets"], dtype=dtype)
    labels = ad.tensor(GIVEN["labels"])
    stepper = OPTIMISERS[optimiser](network.parameters())
    losses = []
    for step in range(200):
        batch = slice(step % 3 * 16, step % 3 * 16 + 16)
        stepper.zero_grad()
        value = LOSSES[loss](network(x[batch]), labels[batch], targets[batch])
        value.backward()
        stepper.step()
        losses.append(value.item() if ask else value)
    last = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    return np.array([float(value) for value in losses]), last


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_training_equals_pytorch(optimiser: str, loss: str, dtype: str) -> None:
    """Every loss on the way and every weight at the end."""
    losses, weights = train(optimiser, loss, dtype)
    tolerance = {"rtol": 1e-9, "atol": 1e-9} if dtype == "float64" else {"rtol": 1e-4, "atol": 1e-5}
    key = f"{optimiser}|{loss}|{dtype}"
    expected = STORED[f"{key}|losses"]
    assert np.allclose(losses, expected, **tolerance), np.abs(losses - expected).max()
    for name, values in weights.items():
        last = STORED[f"{key}|last:{name}"]
        assert values.dtype == last.dtype
        assert np.allclose(values, last, **tolerance), (name, np.abs(values - last).max())


@pytest.mark.parametrize("optimiser", ["nesterov", "amsgrad"])
def test_same_bits_whenever_losses_are_read(optimiser: str) -> None:
    """Reading every loss at once, or all of them at the end, trains the same network to the bit, for any threads."""
    first = train(optimiser, "classes", "float32")
    ad.set_num_threads(1)
    try:
        second = train(optimiser, "classes", "float32", ask=False)
    finally:
        ad.set_num_threads(0)
    assert first[0].tobytes() == second[0].tobytes()
    assert all(first[1][name].tobytes() == second[1][name].tobytes() for name in first[1])


def test_optimiser_state_survives_a_round_trip() -> None:
    """Stopping half-way, saving and loading model and optimiser changes no bit."""

    def run(interrupted: bool) -> dict[str, np.ndarray]:
        network = model("float64")
        stepper = OPTIMISERS["adam"](network.parameters())
        x, labels = ad.tensor(GIVEN["x"]), ad.tensor(GIVEN["labels"])
        for step in range(20):
            if step == 10 and interrupted:
                saved = network.state_dict(), stepper.state_dict()
                network = model("float64")
                network.load_state_dict(saved[0])
                stepper = OPTIMISERS["adam"](network.parameters())
                stepper.load_state_dict(saved[1])
            stepper.zero_grad()
            nn.CrossEntropyLoss()(network(x), labels).backward()
            stepper.step()
        return {name: tensor.numpy() for name, tensor in network.state_dict().items()}

    whole, parts = run(False), run(True)
    assert all(whole[name].tobytes() == parts[name].tobytes() for name in whole)
