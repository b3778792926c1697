"""`checkpoint`: the same gradients for less memory.

Depends on adret.
"""

from __future__ import annotations

import adret as ad
import numpy as np
import pytest
from adret import nn


def segments(count: int = 4, width: int = 16, dropout: float = 0.0) -> list[nn.Module]:
    ad.manual_seed(0)
    block = lambda: nn.Sequential(
        nn.Linear(width, width), nn.Tanh(), nn.Dropout(dropout), nn.Linear(width, width), nn.Tanh()
    )
    return [block() for _ in range(count)]


def trained(layers: list[nn.Module], x: ad.Tensor, checkpointed: bool, early: bool = False) -> list:
    """Loss, the input's gradient and the parameters' after one pass."""
    ad.manual_seed(7)
    h = x.detach().requires_grad_()
    start = h
    for layer in layers:
        h = ad.checkpoint(layer, h) if checkpointed else layer(h)
    loss = (h * h).sum()
    if early:
        loss.item()
    loss.backward()
    parameters = [p for layer in layers for p in layer.parameters()]
    found = [loss, start.grad, *(p.grad for p in parameters)]
    ad.eval(found)
    for parameter in parameters:
        parameter.grad = None
    return [tensor.detach().numpy() for tensor in found]


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_same_numbers(dropout: float, early: bool) -> None:
    layers = segments(dropout=dropout)
    x = ad.random.normal((8, 16))
    for plain, again in zip(trained(layers, x, False), trained(layers, x, True, early), strict=True):
        np.testing.assert_array_equal(plain, again)
    if dropout:
        assert (trained(layers, x, True)[0] != trained([layer.eval() for layer in layers], x, True)[0]).any()


def test_the_random_stream_goes_on_as_without() -> None:
    drop = nn.Dropout(0.5)
    states = []
    for wrap in (lambda f, x: f(x), ad.checkpoint):
        ad.manual_seed(3)
        y = wrap(drop, ad.ones(100, requires_grad=True))
        after = ad.random.get_state()
        ad.random.uniform(10)
        y.sum().backward()
        states.append((after, ad.random.get_state()))
    assert states[0] == states[1]


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("step", [False, True])
def test_peak_of_memory(early: bool, step: bool) -> None:
    layers = segments(8, 32)
    optimizer = ad.optim.SGD([p for layer in layers for p in layer.parameters()], lr=0.01)
    x = ad.random.normal((2048, 32))
    ad.eval(x)
    peaks = {}
    for checkpointed in (False, True):
        for _ in range(2):
            ad.reset_peak_memory()
            before = ad.stats()["bytes_in_use"]
            h = x
            for layer in layers:
                h = ad.checkpoint(layer, h) if checkpointed else layer(h)
            loss = h.mean()
            if early:
                loss.item()
            loss.backward()
            if step:
                optimizer.step()
            else:
                ad.eval([p.grad for layer in layers for p in layer.parameters()])
            optimizer.zero_grad()
            del h, loss
            peaks[checkpointed] = ad.stats()["peak_bytes"] - before
            assert abs(ad.stats()["bytes_in_use"] - before) < x.nbytes, "something was kept"
    one = x.nbytes
    assert peaks[False] > 14 * one
    # A tensor between any two segments, and what one segment needs.
    assert peaks[True] < (8 + 5) * one
    assert peaks[True] < 0.8 * peaks[False]


def test_captured_tensors_and_trees() -> None:
    w = ad.full((3,), 2.0, dtype=ad.float64, requires_grad=True)
    x = ad.tensor([1.0, 2.0, 3.0], dtype=ad.float64, requires_grad=True)
    inner = w * 3.0  # depends on w, and both are captured

    def f(batch: dict, n: int, *, scale: ad.Tensor) -> dict:
        return {"a": batch["x"] * w * n, "b": (inner * batch["x"] * scale, n), "same": batch["x"]}

    scale = ad.tensor(0.5, dtype=ad.float64, requires_grad=True)
    for call in (lambda *args, **kw: f(*args, **kw), lambda *args, **kw: ad.checkpoint(f, *args, **kw)):
        found = call({"x": x}, 2, scale=scale)
        assert found["b"][1] == 2
        (found["a"] + found["b"][0] + found["same"]).sum().backward(retain_graph=True)
        grads = [x.grad.tolist(), w.grad.tolist(), scale.grad.item()]
        assert grads == [[8.0, 8.0, 8.0], [3.5, 7.0, 10.5], 36.0]
        x.grad = w.grad = scale.grad = None


def test_second_order_and_nesting() -> None:
    w = ad.random.normal((3, 3), dtype=ad.float64)
    x = ad.random.normal((3,), dtype=ad.float64)
    f = lambda x, w: ad.tanh(ad.checkpoint(lambda x: ad.tanh(w @ x), x) * x)
    assert ad.gradcheck(lambda x, w: ad.checkpoint(f, x, w), [x, w], second_order=True)
    # Captured tensors, too.
    assert ad.gradcheck(lambda w: ad.checkpoint(lambda x: ad.tanh(w @ x) ** 2, x), w, second_order=True)


def test_functions_inside() -> None:
    class Cube(ad.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return ad.tensor(x.detach().numpy() ** 3)

        @staticmethod
        def backward(ctx, grad):
            return grad * 3 * ctx.saved_tensors[0] ** 2

    w = ad.full((2,), 2.0, requires_grad=True)
    ad.checkpoint(lambda: Cube.apply(w)).sum().backward()
    assert w.grad.tolist() == [12.0, 12.0]


def test_without_gradients_it_is_a_call() -> None:
    w = ad.ones(2, requires_grad=True)
    with ad.no_grad():
        assert not ad.checkpoint(lambda x: x * w, ad.ones(2)).requires_grad
    calls = []
    y = ad.checkpoint(lambda x: calls.append(1) or x * 2, ad.ones(2))
    assert (y.requires_grad, y.tolist(), calls) == (False, [2.0, 2.0], [1])


def test_parameters_written_in_between() -> None:
    w = ad.ones(2, requires_grad=True)
    y = ad.checkpoint(lambda x: x * w, ad.ones(2))
    with ad.no_grad():
        w.assign(w * 2)
    with pytest.raises(ad.GradError, match="checkpoint: the function read 1 tensors"):
        y.sum().backward()


def test_a_function_that_changes_its_mind() -> None:
    shapes = iter([(2,), (3,)])
    y = ad.checkpoint(lambda x: ad.broadcast_to(x, next(shapes)), ad.ones((), requires_grad=True))
    with pytest.raises(ad.GradError, match=r"checkpoint: the function returned \[\(2,\)\] and \[\(3,\)\]"):
        y.sum().backward()


def test_an_exception_leaves_no_watch_behind() -> None:
    def fails(x: ad.Tensor) -> ad.Tensor:
        raise KeyError("mine")

    x = ad.ones(2, requires_grad=True)
    with pytest.raises(KeyError):
        ad.checkpoint(fails, x)
    assert ad.is_grad_enabled()
    ad.checkpoint(lambda x: x * 2, x).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
