"""Schedules of rates against vectors of PyTorch, step by step; their states; mistakes.

Depends on schedules.json, which make_schedule_vectors.py writes. Invariant: agreement to 1e-12.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import adret as ad
import numpy as np
import pytest
from adret import optim
from adret.optim import lr_scheduler

VECTORS = json.loads(Path(__file__).with_name("schedules.json").read_text(encoding="utf-8"))
SAVED_AFTER = 5


def optimizer_of(rates: list[float], as_tensors: bool = False) -> optim.SGD:
    """An optimiser with a group per rate."""
    given = [ad.tensor(rate, dtype=ad.float64) if as_tensors else rate for rate in rates]
    return optim.SGD([{"params": [ad.ones(1, requires_grad=True)], "lr": rate} for rate in given], lr=9.0, momentum=0.9)


def schedule_of(case: dict[str, Any], optimizer: optim.Optimizer) -> Any:
    """A case's schedule."""
    return getattr(lr_scheduler, case["schedule"])(optimizer, **case["settings"])


def advance(case: dict[str, Any], schedule: Any, number: int) -> None:
    """Makes the step of that number."""
    schedule.optimizer.step()
    if case["schedule"] == "ReduceLROnPlateau":
        schedule.step(VECTORS["metrics"][number])
    else:
        schedule.step()


def check(case: dict[str, Any], optimizer: optim.Optimizer, number: int) -> None:
    """Compares with the vectors after that many steps."""
    rates = [float(group["lr"]) for group in optimizer.param_groups]
    np.testing.assert_allclose(rates, case["rates"][number], rtol=1e-12, err_msg=f"rates after {number} steps")
    momenta = [group["momentum"] for group in optimizer.param_groups]
    np.testing.assert_allclose(momenta, case["momenta"][number], rtol=1e-12, err_msg=f"momenta after {number} steps")


def name_of(case: dict[str, Any]) -> str:
    """A case's schedule and settings."""
    return f"{case['schedule']}({','.join(f'{key}={value}' for key, value in case['settings'].items())})"


@pytest.mark.parametrize("as_tensors", [False, True])
@pytest.mark.parametrize("case", VECTORS["cases"], ids=name_of)
def test_agrees_with_pytorch(case: dict[str, Any], as_tensors: bool) -> None:
    optimizer = optimizer_of(VECTORS["start"], as_tensors)
    before = [group["lr"] for group in optimizer.param_groups]
    schedule = schedule_of(case, optimizer)
    check(case, optimizer, 0)
    for number in range(len(VECTORS["metrics"])):
        advance(case, schedule, number)
        check(case, optimizer, number + 1)
        assert schedule.get_last_lr() == [float(group["lr"]) for group in optimizer.param_groups]
    if as_tensors:
        assert all(group["lr"] is rate for group, rate in zip(optimizer.param_groups, before, strict=True))


@pytest.mark.parametrize("case", VECTORS["cases"], ids=name_of)
def test_goes_on_after_saving_and_loading(case: dict[str, Any]) -> None:
    optimizer = optimizer_of(VECTORS["start"])
    schedule = schedule_of(case, optimizer)
    for number in range(SAVED_AFTER):
        advance(case, schedule, number)
    saved = optimizer.state_dict(), schedule.state_dict()
    assert json.loads(json.dumps(saved[1], default=str)), "a schedule's state is plain data"

    optimizer = optimizer_of(VECTORS["start"])
    schedule = schedule_of(case, optimizer)
    optimizer.load_state_dict(saved[0])
    schedule.load_state_dict(saved[1])
    for number in range(SAVED_AFTER, len(VECTORS["metrics"])):
        advance(case, schedule, number)
        check(case, optimizer, number + 1)


def test_lambdas() -> None:
    optimizer = optimizer_of([1.0, 0.5])
    schedule = lr_scheduler.LambdaLR(optimizer, [lambda epoch: 0.5**epoch, lambda epoch: 1 + epoch])
    for _ in range(3):
        schedule.step()
    assert schedule.get_last_lr() == [0.125, 2.0]
    assert set(schedule.state_dict()).isdisjoint({"optimizer", "lr_lambdas"})


def test_going_on_from_an_epoch() -> None:
    optimizer = optimizer_of([1.0])
    schedule = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    for _ in range(4):
        schedule.step()
    again = lr_scheduler.ExponentialLR(optimizer, gamma=0.5, last_epoch=schedule.last_epoch)
    assert again.last_epoch == 5
    assert again.base_lrs == [1.0]
    assert again.get_last_lr() == [0.5**5]


def test_a_metric_may_be_a_tensor() -> None:
    schedule = lr_scheduler.ReduceLROnPlateau(optimizer_of([1.0]), patience=0)
    schedule.step(ad.tensor(1.0))
    schedule.step(ad.tensor(2.0))
    assert schedule.get_last_lr() == [0.1]


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda o: lr_scheduler.StepLR(None, 1), TypeError, "NoneType is not an Optimizer"),
        (lambda o: lr_scheduler.StepLR(o, 0), ValueError, "step_size is 0"),
        (lambda o: lr_scheduler.StepLR(o, 2, last_epoch=3), ValueError, "initial_lr"),
        (lambda o: lr_scheduler.LambdaLR(o, [abs, abs]), ValueError, "2 functions and 1 groups"),
        (lambda o: lr_scheduler.ConstantLR(o, factor=2.0), ValueError, "factor is 2.0"),
        (lambda o: lr_scheduler.LinearLR(o, start_factor=0.0), ValueError, "factors are 0.0"),
        (lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=0), ValueError, "T_max is 0"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=1.0), ValueError, "factor is 1.0"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, mode="low"), ValueError, "mode is 'low'"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, threshold_mode="x"), ValueError, "threshold_mode"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, min_lr=[0.1, 0.2]), ValueError, "2 entries for 1 groups"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0), ValueError, "0 steps"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0, 10, pct_start=2.0), ValueError, "pct_start is 2.0"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0, 10, anneal_strategy="x"), ValueError, "anneal_strategy"),
        (lambda o: lr_scheduler.OneCycleLR(o, [1.0, 1.0], 10), ValueError, "2 entries for 1 groups"),
        (
            lambda o: lr_scheduler.OneCycleLR(optim.Adagrad([ad.ones(1, requires_grad=True)]), 1.0, 10),
            ValueError,
            "no momentum",
        ),
        (lambda o: lr_scheduler.StepLR(o, 1).load_state_dict({"T_max": 3}), ValueError, "no T_max"),
        (lambda o: optim.RMSprop([ad.ones(1, requires_grad=True)], alpha=2.0), ValueError, "alpha is 2.0"),
        (lambda o: optim.Adagrad([ad.ones(1, requires_grad=True)], lr_decay=-1.0), ValueError, "lr_decay is -1.0"),
        (lambda o: optim.AdamW([ad.ones(1, requires_grad=True)], weight_decay=-1.0), ValueError, "weight_decay"),
    ],
)
def test_mistakes_are_explained(make: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make(optimizer_of([1.0]))


def test_a_cycle_ends() -> None:
    schedule = lr_scheduler.OneCycleLR(optimizer_of([1.0]), 1.0, total_steps=2)
    schedule.step()
    schedule.step()
    with pytest.raises(ad.DomainError, match="over"):
        schedule.step()


def test_sequential_and_chained_schedules() -> None:
    def made() -> tuple[optim.SGD, lr_scheduler.SequentialLR]:
        optimizer = optimizer_of([1.0, 0.5])
        parts = [
            lr_scheduler.LinearLR(optimizer, start_factor=0.25, total_iters=3),
            lr_scheduler.CosineAnnealingLR(optimizer, T_max=4),
            lr_scheduler.ExponentialLR(optimizer, gamma=0.5),
        ]
        return optimizer, lr_scheduler.SequentialLR(optimizer, parts, milestones=[3, 6])

    optimizer, schedule = made()
    rates = [schedule.get_last_lr()[0]]
    for number in range(8):
        if number == 4:
            saved = (optimizer.state_dict(), schedule.state_dict())
        optimizer.step()
        schedule.step()
        rates.append(optimizer.param_groups[0]["lr"])
    # PyTorch 2's rates for the same three schedules.
    expected = [0.25, 0.5, 0.75, 1.0, 0.8535533905932737, 0.5, 1.0, 0.5, 0.25]
    np.testing.assert_allclose(rates, expected, rtol=1e-12)

    other, again = made()
    other.load_state_dict(saved[0])
    again.load_state_dict(saved[1])
    for expected_rate in rates[5:]:
        again.step()
        np.testing.assert_allclose(again.get_last_lr()[0], expected_rate, rtol=1e-12)

    optimizer = optimizer_of([1.0])
    chained = lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(optimizer, factor=0.1, total_iters=2), lr_scheduler.ExponentialLR(optimizer, 0.9)]
    )
    found = [chained.get_last_lr()[0]]
    for _ in range(3):
        chained.step()
        found += chained.get_last_lr()
    np.testing.assert_allclose(found, [0.1, 0.09, 0.81, 0.729], rtol=1e-12)


def test_multiplicative_rates() -> None:
    optimizer = optimizer_of([1.0, 0.5])
    schedule = lr_scheduler.MultiplicativeLR(optimizer, lambda epoch: 1 / (1 + epoch))
    for _ in range(3):
        schedule.step()
    np.testing.assert_allclose(schedule.get_last_lr(), [1 / 24, 1 / 48], rtol=1e-12)


def test_warm_restarts_go_to_fractions_of_epochs() -> None:
    optimizer = optimizer_of([1.0])
    schedule = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2, T_mult=2)
    schedule.step(0.5)
    np.testing.assert_allclose(schedule.get_last_lr(), [(1 + np.cos(np.pi / 4)) / 2], rtol=1e-12)
    schedule.step(4)
    np.testing.assert_allclose(schedule.get_last_lr(), [0.5], rtol=1e-12)


@pytest.mark.parametrize(
    ("text", "make"),
    [
        ("2 schedules and 0 milestones", lambda o, s: lr_scheduler.SequentialLR(o, [s, s], [])),
        ("milestones are [3, 2]", lambda o, s: lr_scheduler.SequentialLR(o, [s, s, s], [3, 2])),
        ("schedule 0 is of another optimiser", lambda o, s: lr_scheduler.SequentialLR(optimizer_of([1.0]), [s], [])),
        ("there are no schedules", lambda o, s: lr_scheduler.ChainedScheduler([])),
        ("T_0 is 0", lambda o, s: lr_scheduler.CosineAnnealingWarmRestarts(o, 0)),
        ("mode is 'up'", lambda o, s: lr_scheduler.CyclicLR(o, 0.1, 1.0, mode="up")),
        ("max_lr has 2 entries for 1 groups", lambda o, s: lr_scheduler.CyclicLR(o, 0.1, [1.0, 2.0])),
        ("total_iters is 0", lambda o, s: lr_scheduler.PolynomialLR(o, 0)),
    ],
)
def test_mistakes_of_composed_schedules(text: str, make: Any) -> None:
    optimizer = optimizer_of([1.0])
    with pytest.raises(ad.DomainError) as raised:
        make(optimizer, lr_scheduler.ExponentialLR(optimizer, 0.9))
    assert text in str(raised.value)
