"""Compiled functions that return gradients, and leaves whose gradient is gathered elsewhere than when recorded."""

from __future__ import annotations

import math
from collections.abc import Callable

import adret as ad
import numpy as np
import pytest


def _both(run: Callable[[Callable], list]) -> None:
    assert run(ad.compile) == run(lambda f: f)


@pytest.mark.parametrize("replaced", [1, 2, 3])
def test_a_returned_gradient_is_the_one_that_is_there_now(replaced: int) -> None:
    def run(wrap: Callable) -> list:
        p = ad.tensor([1.0, 2.0], requires_grad=True)

        def f(x: ad.Tensor) -> ad.Tensor:
            (p * x).sum().backward()
            return p.grad

        step, seen = wrap(f), []
        for number in range(6):
            if number == replaced:
                p.grad = ad.tensor([0.5, 0.25])
            seen.append((step(ad.ones(2)).tolist(), p.grad.tolist()))
        return seen

    _both(run)


def test_a_gradient_that_is_taken_out_is_returned() -> None:
    def run(wrap: Callable) -> list:
        p = ad.tensor([1.0, 2.0], requires_grad=True)

        def f(x: ad.Tensor) -> tuple[ad.Tensor, dict[str, ad.Tensor]]:
            old = p.grad
            p.grad = None
            (p * p * x).sum().backward()
            return old, {"new": p.grad}

        step, seen = wrap(f), []
        for number in range(6):
            p.grad = ad.full(2, float(number))
            old, new = step(ad.full(2, number + 1.0))
            seen.append((old.tolist(), new["new"].tolist(), p.grad.tolist()))
        return seen

    _both(run)


def test_a_returned_gradient_shares_its_name_with_the_leaf() -> None:
    p = ad.tensor([1.0, 2.0], requires_grad=True)

    @ad.compile
    def step(x: ad.Tensor) -> ad.Tensor:
        p.grad = None
        (p * x).sum().backward()
        return p.grad

    for _ in range(4):
        grad = step(ad.ones(2))
        grad *= 3.0
        assert p.grad.tolist() == [3.0, 3.0]


def test_one_result_returned_twice_is_one_tensor() -> None:
    @ad.compile
    def twice(x: ad.Tensor) -> tuple:
        y = x * 2
        return y, [y]

    for _ in range(4):
        first, (second,) = twice(ad.ones(1))
        first += 1
        assert first is second
        assert second.tolist() == [3.0]


@pytest.mark.parametrize("zero", [False, True])
def test_a_leaf_that_was_frozen_for_a_while_gathers_its_gradient(zero: bool) -> None:
    def run(wrap: Callable) -> list:
        p, q = (ad.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
        optimizer = ad.optim.SGD([p, q], lr=0.1)

        def f(x: ad.Tensor) -> None:
            if zero:
                optimizer.zero_grad()
            (p * q * x).sum().backward()
            optimizer.step()

        step, seen = wrap(f), []
        for number in range(12):
            frozen = number in (3, 4, 7, 9)
            if frozen:
                p.requires_grad_(False)
            step(ad.full(2, 0.5 + number))
            if frozen:
                p.requires_grad_(True)
            grads = [leaf.grad.tolist() if leaf.grad is not None else None for leaf in (p, q)]
            seen.append((p.tolist(), q.tolist(), grads))
        return seen

    _both(run)


def test_each_argument_gets_its_own_gradient() -> None:
    def run(wrap: Callable) -> list:
        w = ad.tensor([1.0, 2.0], requires_grad=True)

        def f(x: ad.Tensor) -> ad.Tensor:
            loss = (w * x * x).sum()
            loss.backward()
            return loss.detach()

        step, seen, kept = wrap(f), [], []
        for number in range(8):
            x = ad.tensor([float(number), 1.0], requires_grad=True)
            if number == 5:
                x.register_hook(lambda grad: grad * 2)
            step(x)
            # What was passed in the recorded call is as free as any other.
            for leaf in kept:
                leaf.grad = None
            kept.append(x)
            seen.append((x.grad.tolist(), w.grad.tolist()))
        assert all(leaf.grad is None for leaf in kept[:-1])
        return seen

    _both(run)


def test_numbers_that_are_equal_but_not_the_same_are_told_apart() -> None:
    @ad.compile
    def scale(x: ad.Tensor, factor: float) -> ad.Tensor:
        return x * factor

    signs = [math.copysign(1, scale(ad.ones(1), factor).item()) for factor in (0.0, 0.0, 0.0, -0.0, -0.0, -0.0, 0.0)]
    assert signs == [1, 1, 1, -1, -1, -1, 1]
    for _ in range(3):
        assert np.isnan(scale(ad.ones(1), math.nan).item())
    assert scale.recordings() == 3
