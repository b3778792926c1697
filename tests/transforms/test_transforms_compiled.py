"""Transforms inside of compiled functions: the same bits as without.

Depends on adret.
"""

from __future__ import annotations

from collections.abc import Callable

import adret as ad
import pytest
from adret import nn


class Square(ad.Function):
    @staticmethod
    def forward(ctx, x):
        y = x * x
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx, grad):
        x, y = ctx.saved_tensors
        return grad * 2 * x + 0.0 * y


def losses(step: Callable[[ad.Tensor], ad.Tensor], count: int = 6) -> list[float]:
    ad.manual_seed(5)
    data = ad.linspace(-1.0, 1.0, 24).reshape((6, 4))
    found = []
    for _ in range(count):
        found.append(step(data).item())
    return found


def build(kind: str, dropout: float = 0.0) -> Callable[[ad.Tensor], ad.Tensor]:
    """One step of training a small network, by way of `kind`."""
    ad.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 4), nn.Tanh())
    optimizer = ad.optim.SGD(net.parameters(), lr=0.1)

    def output(x: ad.Tensor) -> ad.Tensor:
        if kind == "function":
            return Square.apply(net(x))
        if kind == "checkpoint":
            return ad.checkpoint(net, x) ** 2
        if kind == "functional":
            return ad.functional_call(net, {"0.bias": ad.ones(8)}, x) ** 2
        h = net(x)
        h.register_hook(lambda grad: grad * 0.5)
        return h**2

    def step(x: ad.Tensor) -> ad.Tensor:
        loss = output(x).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return step


@pytest.mark.parametrize("kind", ["function", "checkpoint", "functional", "hook"])
def test_steps(kind: str) -> None:
    plain, compiled = losses(build(kind)), losses(ad.compile(build(kind)))
    assert plain == compiled
    assert plain[-1] < plain[0]


def test_checkpoints_repeat_their_masks() -> None:
    assert losses(build("checkpoint", 0.5)) == losses(ad.compile(build("checkpoint", 0.5)))


def test_a_new_hook_is_recorded() -> None:
    w = ad.ones(2, requires_grad=True)

    @ad.compile
    def gradient(x: ad.Tensor) -> ad.Tensor:
        (w * x).sum().backward()
        found, w.grad = w.grad, None
        return found

    x = ad.ones(2)
    assert [gradient(x).tolist() for _ in range(4)] == [[1.0, 1.0]] * 4
    with w.register_hook(lambda grad: grad * 3.0):
        assert [gradient(x).tolist() for _ in range(3)] == [[3.0, 3.0]] * 3
    assert gradient(x).tolist() == [1.0, 1.0]
