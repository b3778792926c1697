"""Transforms of functions on every device: derivatives, checkpoints, gradients of one's own, hooks.

Depends on the suite's `device` fixture. Invariant: a device computes what the CPU computes, and where its tensors are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import adret as ad
import numpy as np
import pytest
from adret import nn

pytestmark = pytest.mark.parametrize("device", ["gpu"], indirect=True)


class Cube(ad.Function):
    """x³ with a gradient of its own."""

    @staticmethod
    def forward(ctx: Any, x: ad.Tensor) -> ad.Tensor:
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx: Any, grad: ad.Tensor) -> ad.Tensor:
        (x,) = ctx.saved_tensors
        return 3 * x * x * grad


def f(x: ad.Tensor) -> ad.Tensor:
    return (ad.sin(x) * x.sum()).sum()


def rows(x: ad.Tensor) -> ad.Tensor:
    return ad.tanh(x * x)[:2]


def hooked(x: ad.Tensor) -> ad.Tensor:
    y = x * 2
    y.register_hook(lambda grad: grad * 3)
    (y * y).sum().backward()
    return x.grad


def checkpointed(x: ad.Tensor) -> ad.Tensor:
    ad.manual_seed(0)
    layer = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.3), nn.Tanh()).to(x.device)
    ad.checkpoint(layer, x).sum().backward()
    return x.grad


CASES: dict[str, Callable[[ad.Tensor], Any]] = {
    "grad": lambda x: ad.grad(f)(x),
    "value_and_grad": lambda x: ad.value_and_grad(f)(x),
    "vjp": lambda x: ad.vjp(rows, x)[1](ad.ones(2, device=x.device)),
    "jvp": lambda x: ad.jvp(rows, (x,), (ad.ones_like(x),)),
    "jacobian": lambda x: ad.jacobian(rows)(x),
    "hessian": lambda x: ad.hessian(f)(x),
    "hvp": lambda x: ad.hvp(f, (x,), (ad.ones_like(x),)),
    "third order": lambda x: ad.grad(lambda x: ad.grad(lambda x: ad.grad(f)(x).sum())(x).sum())(x),
    "Function": lambda x: ad.grad(lambda x: (Cube.apply(x) ** 2).sum())(x),
    "Function, second order": lambda x: ad.grad(lambda x: ad.grad(lambda x: Cube.apply(x).sum())(x).sum())(x),
    "hook": lambda x: hooked(x.detach().requires_grad_()),
    "checkpoint": lambda x: checkpointed(x.detach().requires_grad_()),
    "clip": lambda x: nn.utils.clip_grad_norm_([_with_grad(x)], 0.1),
}


def _with_grad(x: ad.Tensor) -> ad.Tensor:
    x = x.detach().requires_grad_()
    f(x).backward()
    return x


def tensors_of(tree: Any) -> list[ad.Tensor]:
    """The tensors in nested tuples."""
    if isinstance(tree, tuple | list):
        return [tensor for part in tree for tensor in tensors_of(part)]
    return [tree]


@pytest.mark.parametrize("name", CASES)
def test_transforms_agree_with_the_cpu(name: str, device: str) -> None:
    found = {}
    for place in ("cpu", device):
        results = tensors_of(CASES[name](ad.tensor([0.3, -0.8, 1.2, 0.5], device=place)))
        assert {result.device for result in results} == {place}
        found[place] = [result.detach().to("cpu").numpy() for result in results]
    assert len(found[device]) == len(found["cpu"])
    for mine, theirs in zip(found[device], found["cpu"], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=2e-5, atol=2e-5)


def test_gradcheck_takes_tensors_of_a_gpu(device: str) -> None:
    if "float64" not in ad.devices()[device]["features"]:
        pytest.skip("the adapter has no float64")
    x = ad.tensor([0.3, -0.8], dtype="float64", device=device)
    assert ad.gradcheck(f, (x,), second_order=True)
    assert not ad.gradcheck(lambda x: x * x.detach(), (x,), raise_exception=False)
