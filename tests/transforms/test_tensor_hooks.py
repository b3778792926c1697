"""Hooks of tensors and retained gradients.

Depends on adret.
"""

from __future__ import annotations

import gc
import weakref

import adret as ad
import pytest


def test_hooks_see_and_replace() -> None:
    x = ad.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3.0
    seen = []
    y.register_hook(lambda grad: seen.append(grad.tolist()))
    y.register_hook(lambda grad: grad * 10.0)
    y.register_hook(lambda grad: seen.append(grad.tolist()))
    # The whole gradient of two uses arrives at once.
    (y.sum() + (y * 2.0).sum()).backward()
    assert seen == [[3.0, 3.0], [30.0, 30.0]]
    assert x.grad.tolist() == [90.0, 90.0]


def test_hooks_of_leaves_outlive_writes_and_passes() -> None:
    x = ad.ones(2, requires_grad=True)
    handle = x.register_hook(lambda grad: grad * 2.0)
    for _ in range(2):
        x.grad = None
        (x * 3.0).sum().backward()
        assert x.grad.tolist() == [6.0, 6.0]
        with ad.no_grad():
            x -= 0.1 * x.grad
    # It gets the gradient of each pass, not the sum.
    (x * 3.0).sum().backward()
    assert x.grad.tolist() == [12.0, 12.0]
    handle.remove()
    handle.remove()
    x.grad = None
    (x * 3.0).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_handles_are_blocks() -> None:
    x = ad.ones(1, requires_grad=True)
    with x.register_hook(lambda grad: grad * 0.0) as handle:
        assert handle is not None
        (x * 3.0).sum().backward()
    (x * 3.0).sum().backward()
    assert x.grad.item() == 3.0


def test_functional_gradients_ask_hooks_too() -> None:
    def f(x: ad.Tensor) -> ad.Tensor:
        y = x * x
        y.register_hook(lambda grad: grad * 5.0)
        return y.sum()

    assert ad.grad(f)(ad.tensor([1.0, 2.0])).tolist() == [10.0, 20.0]


def test_hooks_of_one_of_several_outputs() -> None:
    x = ad.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    left, right = ad.split(x * 1.0, 2)
    right.register_hook(lambda grad: grad * 0.0)
    (left.sum() + right.sum()).backward()
    assert x.grad.tolist() == [1.0, 1.0, 0.0, 0.0]


def test_hooks_are_differentiable() -> None:
    x = ad.tensor(3.0, requires_grad=True)
    y = x * x
    y.register_hook(lambda grad: grad * x)
    y.backward(create_graph=True)
    first = x.grad
    assert first.item() == 18.0  # x * 2x
    x.grad = None
    first.backward()
    assert x.grad.item() == 12.0


def test_an_in_place_write_leaves_hooks_behind() -> None:
    x = ad.ones(2, requires_grad=True)
    y = x * 1.0
    y.register_hook(lambda grad: grad * 2.0)
    y *= 3.0
    y.register_hook(lambda grad: grad * 5.0)
    y.sum().backward()
    assert x.grad.tolist() == [30.0, 30.0]


def test_exceptions_and_wrong_results() -> None:
    x = ad.ones(2, requires_grad=True)
    for hook, kind, says in [
        (lambda grad: 1 / 0, ZeroDivisionError, "division"),
        (
            lambda grad: grad.sum(),
            ad.ShapeError,
            r"register_hook: the gradient is \(2,\) .* and the hook returned \(\)",
        ),
        (lambda grad: 3.0, TypeError, "register_hook: the hook returned float"),
    ]:
        with x.register_hook(hook), pytest.raises(kind, match=says):
            (x * 2.0).sum().backward()
        assert x.grad is None


def test_hooks_go_with_the_history() -> None:
    x = ad.ones(2, requires_grad=True)
    y = [x * 2.0]
    y[0].register_hook(lambda grad: grad * y[0].detach())  # names the tensor that it belongs to
    alive = weakref.ref(y[0])
    y[0].sum().backward()
    gc.disable()
    try:
        y.clear()
        assert alive() is None
    finally:
        gc.enable()


def test_retain_grad() -> None:
    x = ad.ones(2, requires_grad=True)
    y = x * 2.0
    z = y * 3.0
    assert (y.grad, y.retains_grad, y.is_leaf) == (None, False, False)
    y.retain_grad()
    y.register_hook(lambda grad: grad * 10.0)  # comes first, though it was added later
    assert y.retains_grad
    z.sum().backward(retain_graph=True)
    assert (y.grad.tolist(), z.grad, x.grad.tolist()) == ([30.0, 30.0], None, [60.0, 60.0])
    z.sum().backward()
    assert y.grad.tolist() == [60.0, 60.0]
    y.grad = None
    assert y.grad is None
    x.retain_grad()
    assert not x.retains_grad
