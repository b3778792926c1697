"""A training that was saved, ended and resumed in a new process is the training that was never ended, bit for bit.

Depends on adret. Everything that a step depends on is in the state: weights, moments, the rate's schedule, the random
stream (dropout), and the place in the order of the data.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import adret as ad
import pytest
from adret import nn, optim
from adret.data import DataLoader

EPOCHS, BATCH, ROWS = 3, 8, 40
STEPS = EPOCHS * (ROWS // BATCH)


class Training:
    """Rows in random order, dropout, Adam with two groups, rates and momenta that rise and fall."""

    def __init__(self, device: str = "cpu") -> None:
        """The beginning, the same every time."""
        self.device = device
        ad.manual_seed(5)
        data = ad.random.Generator(1)
        self.rows = ad.random.normal((ROWS, 6), generator=data).to(device)
        self.labels = (self.rows.sum(axis=1) > 0).astype(ad.int32)
        self.model = nn.Sequential(nn.Linear(6, 16), nn.Dropout(0.3), nn.ReLU(), nn.LayerNorm(16), nn.Linear(16, 2))
        self.model.to(device)
        groups = [
            {"params": [*self.model[0].parameters()], "lr": 0.02},
            {"params": [*self.model[3].parameters(), *self.model[4].parameters()]},
        ]
        self.optimizer = optim.Adam(groups, lr=0.01, amsgrad=True, weight_decay=0.01)
        self.rates = optim.lr_scheduler.OneCycleLR(self.optimizer, max_lr=[0.02, 0.01], total_steps=STEPS + 1)
        self.loader = DataLoader((self.rows, self.labels), batch_size=BATCH, shuffle=True, seed=9)
        self.batches: Iterator[Any] = iter(())
        self.losses: list[float] = []

    def batch(self) -> tuple[ad.Tensor, ad.Tensor]:
        """The next batch, of the next epoch where this one has ended."""
        for batch in self.batches:
            return batch
        self.batches = iter(self.loader)
        return self.batch()

    def step(self) -> None:
        """One step."""
        rows, labels = self.batch()
        loss = nn.functional.cross_entropy(self.model(rows), labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.rates.step()
        self.losses.append(loss.item())

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": ad.random.get_state(),
            "rates": self.rates.state_dict(),
            "loader": self.loader.state_dict(),
            "losses": self.losses,
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Goes on from a state."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        ad.random.set_state(state["random"])
        self.rates.load_state_dict(state["rates"])
        self.loader.load_state_dict(state["loader"])
        self.losses = state["losses"]


def _bytes(path: Path, training: Training) -> bytes:
    """The whole state as the bytes of a file."""
    ad.save(path, training.state())
    return path.read_bytes()


@pytest.mark.parametrize("step", [1, 7, 10])
def test_a_resumed_training_is_the_uninterrupted_one(step: int, tmp_path: Path, device: str) -> None:
    whole = Training(device)
    for _ in range(STEPS):
        whole.step()
    expected = _bytes(tmp_path / "whole", whole)
    first = Training(device)
    for _ in range(step):
        first.step()
    ad.save(tmp_path / "half", first.state())
    # A new process: nothing but the file carries over.
    again = [sys.executable, __file__, str(tmp_path / "half"), str(tmp_path / "resumed"), device]
    done = subprocess.run(again, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "resumed").read_bytes() == expected
    # Saving harms nothing: the one that was saved goes on as well.
    for _ in range(step, STEPS):
        first.step()
    assert _bytes(tmp_path / "first", first) == expected


def test_the_state_is_a_snapshot(tmp_path: Path) -> None:
    training = Training()
    training.step()
    state = training.state()
    before = {name: value.tolist() for name, value in state["model"].items()}
    training.step()
    assert {name: value.tolist() for name, value in state["model"].items()} == before
    ad.save(tmp_path / "x", state)
    loaded = ad.load(tmp_path / "x")
    other = Training()
    other.resume(loaded)
    other.step()
    # Training on does not change what was loaded.
    assert {name: value.tolist() for name, value in loaded["model"].items()} == before


def test_every_part_of_the_state_matters(tmp_path: Path) -> None:
    whole = Training()
    for _ in range(STEPS):
        whole.step()
    expected = whole.losses
    first = Training()
    for _ in range(7):
        first.step()
    ad.save(tmp_path / "half", first.state())
    for part in ("model", "optimizer", "random", "rates", "loader"):
        state = ad.load(tmp_path / "half")
        state[part] = Training().state()[part]
        resumed = Training()
        resumed.resume(state)
        for _ in range(7, STEPS):
            resumed.step()
        assert resumed.losses != expected, part


if __name__ == "__main__":
    saved, result, where = sys.argv[1:]
    going_on = Training(where)
    going_on.resume(ad.load(saved))
    while len(going_on.losses) < STEPS:
        going_on.step()
    ad.save(result, going_on.state())
