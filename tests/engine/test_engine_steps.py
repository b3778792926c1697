"""Training loops from the third step on: no new plan, no new buffer, no growth.

Depends on the counters, `nn` and `optim`.
"""

from __future__ import annotations

import gc
import pathlib

import adret as ad
import numpy as np
import pytest
from adret import nn, optim
from counters import Counters

FEATURES, CLASSES, BATCH = 20, 5, 16


def data(rows: int = 160) -> tuple[ad.Tensor, ad.Tensor]:
    """Evaluated inputs and labels."""
    rng = np.random.default_rng(0)
    x = ad.tensor(rng.standard_normal((rows, FEATURES)).astype(np.float32))
    y = ad.tensor(rng.integers(0, CLASSES, rows))
    ad.eval(x, y)
    return x, y


def network() -> nn.Module:
    """A small classifier."""
    ad.manual_seed(0)
    return nn.Sequential(nn.Linear(FEATURES, 32), nn.ReLU(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, CLASSES))


OPTIMISERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1),
    "SGD, momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-4, nesterov=True),
    "Adam": lambda p: optim.Adam(p, lr=1e-3),
}


@pytest.mark.parametrize("name", OPTIMISERS)
@pytest.mark.parametrize("ask", [False, True], ids=["silent", "printing the loss"])
@pytest.mark.parametrize("dropout", [False, True], ids=["plain", "dropout"])
def test_steps_reuse_plans_and_buffers(name: str, ask: bool, dropout: bool) -> None:
    """A changing learning rate and batches cut from one array miss neither the plan cache nor the pool."""
    model, (x, y) = network(), data()
    if dropout:
        model.append(nn.Dropout(0.2))
    optimiser = OPTIMISERS[name](model.parameters())

    def step(number: int) -> ad.Tensor:
        start = (number * BATCH) % 160
        optimiser.param_groups[0]["lr"] = 0.1 / (1 + number)
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(model(x[start : start + BATCH]), y[start : start + BATCH])
        if ask:
            loss.item()
        loss.backward()
        optimiser.step()
        return loss

    for number in range(3):
        step(number)
    gc.collect()
    counted = Counters()
    for number in range(3, 12):
        step(number)
    assert counted.since("plan_misses") == 0
    assert counted.since("pool_misses") == 0
    assert abs(counted.since("bytes_in_use")) <= 1024
    assert counted.since("pending_nodes") <= 200


def test_a_step_is_few_runs() -> None:
    """Gradients, updates and the loss are one plan."""
    model, (x, y) = network(), data()
    optimiser = optim.SGD(model.parameters(), lr=0.1)
    for _ in range(4):
        optimiser.zero_grad()
        counted = Counters()
        loss = nn.functional.cross_entropy(model(x[:BATCH]), y[:BATCH])
        loss.backward()
        optimiser.step()
        loss.item()
    assert counted.since("runs") == 1


def test_the_tail_of_an_epoch_has_its_own_plan() -> None:
    """A last, smaller batch makes one more plan, once."""
    model, (x, y) = network(), data(40)
    optimiser = optim.SGD(model.parameters(), lr=0.1)

    def epoch() -> None:
        for start in range(0, 40, BATCH):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x[start : start + BATCH]), y[start : start + BATCH]).backward()
            optimiser.step()

    epoch()
    epoch()
    counted = Counters()
    epoch()
    assert counted.since("plan_misses") == 0


def resident() -> int:
    """Bytes of this process in memory."""
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(not pathlib.Path("/proc/self/statm").exists(), reason="needs /proc to measure memory")
def test_memory_stays_flat(full: bool) -> None:
    """Tiny steps, many of them: the process does not grow."""
    steps = 100_000 if full else 20_000
    w = ad.tensor([0.5, -0.5], requires_grad=True)
    optimiser = optim.SGD([w], lr=1e-3)
    x = ad.tensor([1.0, 2.0])

    def run(count: int) -> None:
        for _ in range(count):
            optimiser.zero_grad()
            (w * x).sum().backward()
            optimiser.step()

    run(2000)
    gc.collect()
    before, counted = resident(), Counters()
    run(steps)
    gc.collect()
    assert counted.since("plan_misses") == 0
    assert abs(counted.since("bytes_in_use")) <= 1024
    assert resident() - before <= 1 << 20, f"grew by {(resident() - before) / 1024:.0f} KiB in {steps} steps"


def test_many_plans_stay_bounded() -> None:
    """Ever new shapes: the cache of plans and the memory do not grow without end."""

    def run(sizes: range) -> None:
        for size in sizes:
            ad.sum(ad.exp(ad.ones(size) * 0.5)).item()

    run(range(1, 600))
    gc.collect()
    before = resident()
    run(range(600, 1400))
    gc.collect()
    assert resident() - before <= 4 << 20
