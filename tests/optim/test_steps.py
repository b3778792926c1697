"""Optimisers against vectors of PyTorch, step by step.

Depends on vectors.json, which make_vectors.py writes. Invariant: float64 throughout, agreement to 1e-12.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import adret as ad
import numpy as np
import pytest
from adret import optim

VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_text(encoding="utf-8"))
SAVED_AFTER = 2


def start() -> list[ad.Tensor]:
    """The parameters before the first step."""
    return [ad.tensor(values, dtype=ad.float64, requires_grad=True) for values in VECTORS["start"]]


def advance(optimizer: optim.Optimizer, parameters: list[ad.Tensor], number: int) -> None:
    """Makes the step of that number."""
    for parameter, values in zip(parameters, VECTORS["grads"][number], strict=True):
        parameter.grad = ad.tensor(values, dtype=ad.float64)
    if number == 3:
        optimizer.param_groups[0]["lr"] /= 2
    optimizer.step()


def check(parameters: list[ad.Tensor], expected: list[list[float]], number: int) -> None:
    """Compares with the vectors."""
    for parameter, values in zip(parameters, expected, strict=True):
        np.testing.assert_allclose(
            parameter.detach().numpy(), np.asarray(values), rtol=1e-12, atol=1e-14, err_msg=f"after step {number}"
        )


def name_of(case: dict[str, Any]) -> str:
    """A case's optimiser and settings."""
    return f"{case['optimizer']}({','.join(f'{key}={value}' for key, value in case['settings'].items())})"


@pytest.mark.parametrize("case", VECTORS["cases"], ids=name_of)
def test_agrees_with_pytorch(case: dict[str, Any]) -> None:
    parameters = start()
    optimizer = getattr(optim, case["optimizer"])(parameters, **case["settings"])
    for number, expected in enumerate(case["path"]):
        advance(optimizer, parameters, number)
        check(parameters, expected, number)


@pytest.mark.parametrize("case", VECTORS["cases"], ids=name_of)
def test_goes_on_after_saving_and_loading(case: dict[str, Any]) -> None:
    parameters = start()
    optimizer = getattr(optim, case["optimizer"])(parameters, **case["settings"])
    for number in range(SAVED_AFTER):
        advance(optimizer, parameters, number)
    saved = optimizer.state_dict()
    values = [parameter.detach() for parameter in parameters]
    # The old optimiser goes on: the snapshot must not see it.
    advance(optimizer, parameters, SAVED_AFTER)

    parameters = start()
    with ad.no_grad():
        for parameter, value in zip(parameters, values, strict=True):
            parameter.assign(value)
    optimizer = getattr(optim, case["optimizer"])(parameters, lr=99.0)
    optimizer.load_state_dict(saved)
    for number in range(SAVED_AFTER, len(case["path"])):
        advance(optimizer, parameters, number)
        check(parameters, case["path"][number], number)


@pytest.mark.parametrize("case", VECTORS["cases"], ids=name_of)
def test_replayed_steps_are_the_same(case: dict[str, Any]) -> None:
    parameters = start()
    optimizer = getattr(optim, case["optimizer"])(parameters, **case["settings"])

    @ad.compile
    def step(*grads: ad.Tensor) -> None:
        for parameter, grad in zip(parameters, grads, strict=True):
            (parameter * grad).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    for number, expected in enumerate(case["path"]):
        if number == 3:
            optimizer.param_groups[0]["lr"] /= 2
        step(*(ad.tensor(values, dtype=ad.float64) for values in VECTORS["grads"][number]))
        check(parameters, expected, number)
    assert step.recordings() == 1  # type: ignore[attr-defined]
