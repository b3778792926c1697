"""Networks that learn the same on a GPU as on the CPU: LeNet's layers and an MLP on handwritten digits.

Depends on scikit-learn's digits (a third held out, seeded). Invariant: weights and batches are the same on both,
so accuracies differ by what rounding does.
"""

from __future__ import annotations

import functools

import adret as ad
import numpy as np
import pytest
from adret import nn, optim

pytestmark = pytest.mark.parametrize("device", ["gpu"], indirect=True)


@functools.cache
def digits() -> list[np.ndarray]:
    """Images `[n, 1, 8, 8]` in [0, 1] and labels, two thirds to train with, then the held-out third."""
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn has the digits")
    selection = pytest.importorskip("sklearn.model_selection", reason="scikit-learn splits the digits")
    x, y = datasets.load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    return selection.train_test_split(x, y.astype(np.int32), test_size=1 / 3, random_state=0, stratify=y)


def lenet() -> nn.Module:
    """LeNet-5's layers, with paddings that suit images of 8 × 8."""
    first = [nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2)]
    second = [nn.Conv2d(6, 16, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten()]
    return nn.Sequential(*first, *second, nn.Linear(64, 84), nn.Tanh(), nn.Linear(84, 10))


def mlp() -> nn.Module:
    """Two hidden layers."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def accuracy(network: str, device: str, epochs: int) -> float:
    """The share of held-out digits that are recognised after training on the device."""
    train, held_out, labels, held_out_labels = digits()
    ad.manual_seed(0)
    model = {"lenet": lenet, "mlp": mlp}[network]().to(device)
    optimizer = optim.Adam(model.parameters(), lr=4e-3)

    @ad.compile
    def step(x: ad.Tensor, y: ad.Tensor) -> ad.Tensor:
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    for epoch in range(epochs):
        order = np.random.default_rng(epoch).permutation(len(train))
        for start in range(0, len(train) - 63, 64):
            rows = order[start : start + 64]
            step(ad.tensor(train[rows], device=device), ad.tensor(labels[rows], device=device))
    with ad.no_grad():
        found = ad.argmax(model(ad.tensor(held_out, device=device)), axis=1).numpy()
    return float((found == held_out_labels).mean())


@pytest.mark.parametrize(("network", "epochs", "least"), [("mlp", 6, 0.92), ("lenet", 12, 0.92)])
def test_both_devices_learn_the_same(device: str, network: str, epochs: int, least: float) -> None:
    here, there = (accuracy(network, place, epochs) for place in ("cpu", device))
    assert here >= least and there >= least, (here, there)
    assert abs(here - there) <= 0.02, (here, there)
