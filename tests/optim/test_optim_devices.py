"""Every optimiser on every device, plain and compiled, with a schedule and clipping; its state saved and taken up.

Depends on the suite's `device` fixture. Invariant: parameters after some steps are the CPU's, to float32's precision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import adret as ad
import numpy as np
import pytest
from adret import nn, optim
from adret.optim import lr_scheduler

pytestmark = pytest.mark.parametrize("device", ["gpu"], indirect=True)

Make = Callable[[Iterable[ad.Tensor]], optim.Optimizer]

OPTIMIZERS: dict[str, Make] = {
    "SGD": lambda p: optim.SGD(p, lr=0.1),
    "SGD nesterov": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "SGD dampened": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, dampening=0.3, maximize=True),
    "Adam": lambda p: optim.Adam(p, lr=0.02),
    "Adam amsgrad": lambda p: optim.Adam(p, lr=0.02, amsgrad=True, weight_decay=0.02),
    "AdamW": lambda p: optim.AdamW(p, lr=0.02),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.01),
    "RMSprop centered": lambda p: optim.RMSprop(p, lr=0.01, centered=True, momentum=0.9),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.1, lr_decay=0.1),
}
SCHEDULES: dict[str, Callable[[optim.Optimizer], lr_scheduler.LRScheduler]] = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, 2),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [1, 3]),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 1 / (1 + epoch)),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 6),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.1, total_steps=7),
}


def trained(
    device: str,
    make: Make,
    compiled: bool = False,
    schedule: Callable[[optim.Optimizer], lr_scheduler.LRScheduler] | None = None,
    taken_up: bool = False,
) -> list[np.ndarray]:
    """Parameters after six steps; `taken_up` goes on with other objects after three."""
    ad.manual_seed(2)

    def built() -> tuple[nn.Module, optim.Optimizer]:
        model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).to(device)
        return model, make(model.parameters())

    model, optimizer = built()
    rates = None if schedule is None else schedule(optimizer)
    rng = np.random.default_rng(4)
    x = ad.tensor(rng.standard_normal((8, 4)).astype(np.float32), device=device)
    y = ad.tensor(rng.integers(0, 3, 8).astype(np.int32), device=device)

    def step(x: ad.Tensor, y: ad.Tensor) -> ad.Tensor:
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        optimizer.zero_grad()
        return loss

    run = ad.compile(step) if compiled else step
    for number in range(6):
        if taken_up and number == 3:
            old = model.state_dict(), optimizer.state_dict()
            model, optimizer = built()
            model.load_state_dict(old[0])
            optimizer.load_state_dict(old[1])
        run(x, y)
        if rates is not None:
            rates.step()
    assert {
        value.device for values in optimizer.state.values() for value in values.values() if isinstance(value, ad.Tensor)
    } <= {device}
    return [parameter.detach().to("cpu").numpy() for parameter in model.parameters()]


def agree(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=5e-4, atol=5e-4)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimisers_agree_with_the_cpu(name: str, device: str) -> None:
    expected = trained("cpu", OPTIMIZERS[name])
    plain, compiled = (trained(device, OPTIMIZERS[name], compiled) for compiled in (False, True))
    agree(plain, expected)
    for one, other in zip(plain, compiled, strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_agree_with_the_cpu(name: str, device: str) -> None:
    adam, schedule = OPTIMIZERS["Adam"], SCHEDULES[name]
    agree(trained(device, adam, True, schedule), trained("cpu", adam, False, schedule))


@pytest.mark.parametrize("name", ["SGD nesterov", "Adam amsgrad"])
def test_states_are_taken_up(name: str, device: str) -> None:
    whole, parts = (trained(device, OPTIMIZERS[name], taken_up=taken_up) for taken_up in (False, True))
    for one, other in zip(whole, parts, strict=True):
        assert one.tobytes() == other.tobytes()
