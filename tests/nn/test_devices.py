"""Networks on every device: moved, trained, saved.

Depends on the suite's `device` fixture. Invariant: a device computes what the CPU computes, to float32's precision.
"""

from __future__ import annotations

import adret as ad
import numpy as np
from adret import nn, optim


def steps(device: str) -> tuple[nn.Module, optim.Optimizer, list[float]]:
    """A small network, moved to the device and trained there for five steps."""
    ad.manual_seed(3)
    net = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 3))
    x = ad.random.normal((6, 4)).to(device)
    y = ad.tensor([0, 1, 2, 2, 1, 0], dtype=ad.int32).to(device)
    net.to(device)
    optimizer = optim.Adam(net.parameters(), lr=0.05)
    loss_function = nn.CrossEntropyLoss()
    losses = []
    for _ in range(5):
        loss = loss_function(net(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return net, optimizer, losses


def test_training_agrees_with_the_cpu(device: str) -> None:
    net, optimizer, losses = steps(device)
    reference, _, expected = steps("cpu")
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    assert losses[-1] < losses[0]
    for mine, theirs in zip(net.parameters(), reference.parameters(), strict=True):
        assert mine.device == device
        assert optimizer.state[mine]["exp_avg"].device == device
        np.testing.assert_allclose(mine.detach().numpy(), theirs.detach().numpy(), rtol=2e-3, atol=2e-4)


def test_states_travel(device: str) -> None:
    net, _, _ = steps(device)
    other = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 3))
    other.load_state_dict(net.state_dict())
    assert {p.device for p in other.parameters()} == {"cpu"}
    net.cpu()
    for mine, theirs in zip(net.parameters(), other.parameters(), strict=True):
        assert mine.tolist() == theirs.tolist()


def test_layers_are_made_where_they_are_asked_for(device: str) -> None:
    for layer in (
        nn.Linear(2, 3, device=device),
        nn.LayerNorm(2, device=device),
        nn.Embedding(3, 2, device=device),
        nn.PReLU(device=device),
    ):
        assert {p.device for p in layer.parameters()} == {device}
