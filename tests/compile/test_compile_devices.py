"""Compiled steps on every device: the same bits as plain ones, no transfers in recordings.

Depends on adret; a GPU is the software one where no other is admitted.
"""

from __future__ import annotations

import adret as ad
import numpy as np
import pytest
from adret import nn, optim


def train(device: str, compiled: bool) -> list[list[float]]:
    ad.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3)).to(device)
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    rng = np.random.default_rng(0)

    def step(x: ad.Tensor, y: ad.Tensor) -> ad.Tensor:
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    run = ad.compile(step) if compiled else step
    losses = []
    for _ in range(6):
        x = ad.tensor(rng.standard_normal((5, 6)).astype(np.float32), device=device)
        y = ad.tensor(rng.integers(0, 3, 5).astype(np.int32), device=device)
        losses.append(run(x, y).item())
    return [losses, *(p.detach().cpu().reshape(-1).tolist() for p in model.parameters())]


def test_compiled_training_is_plain_training(device: str) -> None:
    assert train(device, True) == train(device, False)


@pytest.mark.parametrize("device", ["gpu"], indirect=True)
def test_moving_between_devices_is_refused(device: str) -> None:
    compiled = ad.compile(lambda x: (x + 1).to("cpu") * 2)
    x = ad.ones(3, device=device)
    assert compiled(x).tolist() == [4, 4, 4]
    with pytest.raises(ad.CompileError, match="between devices"):
        compiled(x)
