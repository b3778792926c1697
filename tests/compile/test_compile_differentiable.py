"""Compiled functions whose results can still be differentiated: they are called themselves, with right values.

Depends on the installed package. Invariant: values, gradients and random numbers are those of the plain function.
"""

from __future__ import annotations

from typing import Any

import adret as ad
import pytest
from adret import nn, optim


def trained(compiled: bool) -> tuple[list[float], list[Any], int]:
    """Losses and state of a training whose forward pass may be compiled, and how often that was called."""
    ad.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 2))
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    calls = 0

    def forward(x: ad.Tensor) -> ad.Tensor:
        nonlocal calls
        calls += 1
        return model(x)

    function = ad.compile(forward) if compiled else forward
    losses: list[float] = []
    x = ad.random.randn(6, 4)
    for _ in range(5):
        loss = function(x).square().sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses, [value.tolist() for value in model.state_dict().values()], calls


def test_a_compiled_model_can_be_trained_through() -> None:
    assert trained(True) == trained(False)


def test_under_no_grad_the_same_function_is_replayed() -> None:
    model = nn.Linear(3, 2)
    calls: list[int] = []

    @ad.compile
    def predict(x: ad.Tensor) -> ad.Tensor:
        calls.append(1)
        return model(x)

    x = ad.ones((4, 3))
    for _ in range(4):
        assert predict(x).requires_grad
    assert (len(calls), predict.recordings()) == (4, 0)  # type: ignore[attr-defined]
    with ad.no_grad():
        values = [predict(x).tolist() for _ in range(4)]
    assert (len(calls), predict.recordings()) == (6, 1)  # type: ignore[attr-defined]
    assert values[3] == predict(x).tolist()


def test_a_module_whose_training_is_switched_off_is_recorded_from_then_on() -> None:
    model = nn.Linear(3, 2)
    calls: list[int] = []

    @ad.compile
    def forward(x: ad.Tensor) -> ad.Tensor:
        calls.append(1)
        y = model(x)
        return y if model.training else y.detach()

    x = ad.ones((1, 3))
    for _ in range(3):
        forward(x).sum().backward()
    model.eval()
    for _ in range(4):
        assert not forward(x).requires_grad
    # Three plain ones, one that met gradients without a value, one recorded.
    assert len(calls) == 5


def test_gradients_of_arguments_and_higher_orders() -> None:
    cube = ad.compile(lambda x: (x**3).sum())
    x = ad.tensor([1.0, 2.0])
    for _ in range(3):
        assert ad.grad(cube)(x).tolist() == [3.0, 12.0]
        assert ad.hvp(cube, (x,), (ad.ones(2),))[1][0].tolist() == [6.0, 12.0]


def test_a_result_beside_a_finished_step() -> None:
    w = ad.tensor([2.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.25)

    @ad.compile
    def step(x: ad.Tensor) -> tuple[ad.Tensor, ad.Tensor]:
        loss = (w * x).sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach(), w * 10.0

    found = [(float(loss), float(after)) for loss, after in (step(ad.ones(1)) for _ in range(4))]
    assert found == [(2.0, 17.5), (1.75, 15.0), (1.5, 12.5), (1.25, 10.0)]
    loss, after = step(ad.ones(1))
    after.backward()
    assert w.grad is not None
    assert (float(loss), w.grad.tolist()) == (1.0, [10.0])


def test_what_cannot_be_recorded_is_refused_here_too() -> None:
    w = ad.tensor([2.0], requires_grad=True)
    compiled = ad.compile(lambda x: w * x * x.sum().item())
    compiled(ad.ones(1))
    with pytest.raises(ad.CompileError, match="freeze"):
        compiled(ad.ones(1))
