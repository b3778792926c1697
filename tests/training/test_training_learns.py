"""Networks that must learn: XOR, handwritten digits; and seeds that must decide everything.

Depends on scikit-learn's digits (a third held out, seeded). Accuracies are stated by the tests.
"""

from __future__ import annotations

import functools

import adret as ad
import numpy as np
import pytest
from adret import nn, optim


@functools.cache
def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training and held-out images in [0, 1] with their labels."""
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn has the digits")
    selection = pytest.importorskip("sklearn.model_selection", reason="scikit-learn splits the digits")
    x, y = datasets.load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    train, held_out, labels, held_out_labels = selection.train_test_split(
        x, y, test_size=1 / 3, random_state=0, stratify=y
    )
    return train, labels, held_out, held_out_labels


def classifier(epochs: int, seed: int = 0, device: str = "cpu") -> tuple[nn.Module, list[float]]:
    """A network with dropout trained on the digits, and its losses."""
    x, y, *_ = digits()
    ad.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
    )
    model.to(device)
    inputs = ad.tensor(x, device=device)
    labels = ad.tensor(y.astype(np.int32), device=device)
    stepper = optim.Adam(model.parameters(), lr=2e-3)
    losses = []
    for epoch in range(epochs):
        order = ad.tensor(np.random.default_rng([seed, epoch]).permutation(len(x)).astype(np.int32), device=device)
        for start in range(0, len(x), 64):
            rows = order[start : start + 64]
            stepper.zero_grad()
            loss = nn.functional.cross_entropy(model(inputs[rows]), labels[rows])
            loss.backward()
            stepper.step()
            losses.append(loss)
    return model, [loss.item() for loss in losses]


def accuracy(model: nn.Module) -> float:
    """The share of held-out digits that are recognised."""
    *_, x, y = digits()
    model.eval()
    with ad.no_grad():
        predicted = ad.argmax(model(ad.tensor(x)), axis=1).numpy()
    model.train()
    return float((predicted == y).mean())


def test_digits() -> None:
    """At least 97 % of the held-out digits, on average over three seeds; the losses fall to a tenth."""
    found = []
    for seed in range(3):
        model, losses = classifier(epochs=25, seed=seed)
        assert np.mean(losses[-10:]) < 0.1 * losses[0]
        found.append(accuracy(model))
    assert np.mean(found) >= 0.97, found


def test_digits_on_each_device(device: str) -> None:
    """A short training falls as far on every device, from the same weights, batches and dropout masks."""
    _, reference = classifier(epochs=2, seed=1)
    model, losses = classifier(epochs=2, seed=1, device=device)
    assert np.allclose(losses[:5], reference[:5], rtol=1e-3)
    assert abs(np.mean(losses[-8:]) - np.mean(reference[-8:])) < 0.05
    assert model.state_dict()["0.weight"].device.startswith(device)


def test_same_seed_same_bits() -> None:
    """Weights, dropout and batches come from the seed alone; another seed gives another network."""
    first, losses = classifier(epochs=2, seed=3)
    ad.set_num_threads(1)
    try:
        second, again = classifier(epochs=2, seed=3)
    finally:
        ad.set_num_threads(0)
    assert losses == again
    for name, tensor in first.state_dict().items():
        assert tensor.numpy().tobytes() == second.state_dict()[name].numpy().tobytes(), name
    assert classifier(epochs=1, seed=4)[1][0] != losses[0]


@pytest.mark.parametrize("seed", range(3))
def test_xor(seed: int) -> None:
    """Four points, eight hidden units: learned from every seed."""
    ad.manual_seed(seed)
    x = ad.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = ad.tensor([[0.0], [1.0], [1.0], [0.0]])
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    stepper = optim.Adam(model.parameters(), lr=0.05)
    for _ in range(300):
        stepper.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(model(x), y)
        loss.backward()
        stepper.step()
    assert loss.item() < 0.05
    assert ((model(x) > 0) == (y > 0.5)).all().item()


def test_regression_by_hand() -> None:
    """Gradient descent written out on tensors finds a line."""
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, 200)
    y = 3 * x - 0.5 + 0.01 * rng.standard_normal(200)
    inputs, targets = ad.tensor(x), ad.tensor(y)
    w, b = (ad.tensor(0.0, dtype="float64", requires_grad=True) for _ in range(2))
    for _ in range(300):
        loss = ((inputs * w + b - targets) ** 2).mean()
        w.grad = b.grad = None
        loss.backward()
        with ad.no_grad():
            w -= 0.5 * w.grad
            b -= 0.5 * b.grad
    slope, offset = np.polyfit(x, y, 1)
    assert abs(w.item() - slope) < 1e-9
    assert abs(b.item() - offset) < 1e-9


def test_functional_gradients_train_as_well() -> None:
    """`value_and_grad` on a tree of weights equals `backward` on leaves."""
    rng = np.random.default_rng(2)
    x = ad.tensor(rng.standard_normal((32, 3)))
    y = ad.tensor(rng.standard_normal((32, 2)))
    weights = {"w": ad.tensor(rng.standard_normal((3, 2))), "b": ad.zeros(2, dtype="float64")}

    def loss(weights: dict, x: ad.Tensor, y: ad.Tensor) -> ad.Tensor:
        return ((ad.tanh(x @ weights["w"] + weights["b"]) - y) ** 2).mean()

    value, gradients = ad.value_and_grad(loss)(weights, x, y)
    leaves = {name: ad.tensor(tensor.numpy(), requires_grad=True) for name, tensor in weights.items()}
    direct = loss(leaves, x, y)
    direct.backward()
    assert value.item() == direct.item()
    for name, leaf in leaves.items():
        assert np.allclose(gradients[name].numpy(), leaf.grad.numpy(), rtol=1e-14)
