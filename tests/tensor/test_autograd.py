"""Gradients from Python: modes, functional forms, the check.

Depends on adret. Invariant: a mode is a property of the thread and is restored.
"""

from __future__ import annotations

import threading

import adret as ad
import pytest


def test_modes_nest_and_restore() -> None:
    x = ad.ones(1, requires_grad=True)
    with ad.no_grad():
        assert not (x * 2).requires_grad
        with ad.enable_grad():
            assert (x * 2).requires_grad
        assert not ad.is_grad_enabled()
    assert ad.is_grad_enabled()
    with pytest.raises(ZeroDivisionError), ad.no_grad():
        _ = 1 / 0
    assert ad.is_grad_enabled()
    ad.set_grad_enabled(False)
    assert not ad.is_grad_enabled()
    ad.set_grad_enabled(True)
    with ad.set_grad_enabled(False):
        assert not ad.is_grad_enabled()
    assert ad.is_grad_enabled()


def test_modes_decorate() -> None:
    @ad.no_grad()
    def quiet(x: ad.Tensor) -> ad.Tensor:
        """Doubles."""
        return x * 2

    @ad.no_grad()
    def steps(x: ad.Tensor):
        yield x * 2
        yield ad.is_grad_enabled()
        return 3

    x = ad.ones(1, requires_grad=True)
    assert (quiet.__name__, quiet.__doc__) == ("quiet", "Doubles.")
    assert not quiet(x).requires_grad
    results = []
    for item in steps(x):
        assert ad.is_grad_enabled()
        results.append(item)
    assert (results[0].requires_grad, results[1]) == (False, False)


def test_modes_belong_to_threads() -> None:
    seen = []
    with ad.no_grad():
        thread = threading.Thread(target=lambda: seen.append(ad.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_grad_of_trees() -> None:
    def f(parameters: dict[str, ad.Tensor], scale: float) -> ad.Tensor:
        w, (b, _) = parameters["w"], parameters["b"]
        return (w * scale + b).sum()

    parameters = {"w": ad.ones(2), "b": (ad.zeros(2), None)}
    value, gradient = ad.value_and_grad(f)(parameters, 3.0)
    assert value.item() == 6
    assert gradient["w"].tolist() == [3.0, 3.0]
    assert gradient["b"][0].tolist() == [1.0, 1.0]
    assert gradient["b"][1] is None
    assert not value.requires_grad
    assert not gradient["w"].requires_grad


def test_grad_of_several_arguments() -> None:
    f = lambda x, y: x * y
    assert [g.item() for g in ad.grad(f, argnums=(0, 1))(2.0, 3.0)] == [3.0, 2.0]
    assert ad.grad(f, argnums=-1)(2.0, 3.0).item() == 2.0
    with pytest.raises(ad.GradError, match="argnums"):
        ad.grad(f, argnums=2)(2.0, 3.0)
    with pytest.raises(ad.DTypeError):
        ad.grad(f)(ad.tensor(1), 2.0)
    with pytest.raises(ad.GradError, match="one element"):
        ad.grad(lambda x: x)(ad.ones(2))


def test_any_order() -> None:
    f = ad.tanh
    for _ in range(3):
        f = ad.grad(f)
    x = 0.3
    import math

    t = math.tanh(x)
    expected = -2 * (1 - t**2) * (1 - 3 * t**2)
    assert abs(f(ad.tensor(x, dtype=ad.float64)).item() - expected) < 1e-12


def test_grad_inside_no_grad_and_through_closures() -> None:
    w = ad.tensor(3.0, requires_grad=True)
    with ad.no_grad():
        assert ad.grad(lambda x: x * w)(2.0).item() == 3.0
    penalty = ad.grad(lambda x: x * x * w)(ad.tensor(2.0, requires_grad=True))
    penalty.backward()
    assert w.grad.item() == 4.0
    assert ad.grad(lambda x: ad.tensor(1.0))(2.0).item() == 0.0


def test_history_of_captured_tensors_survives() -> None:
    w = ad.tensor(3.0, requires_grad=True)
    z = w * 2
    assert ad.grad(lambda x: x * z)(2.0).item() == 6.0
    z.backward()
    assert w.grad.item() == 2.0


def test_vjp_and_jvp_agree() -> None:
    f = lambda x, y: (x * y, (x + y).exp())
    x, y = ad.tensor([0.1, 0.2], dtype=ad.float64), ad.tensor([0.3, 0.5], dtype=ad.float64)
    (a, b), pullback = ad.vjp(f, x, y)
    u, v = ad.tensor([1.0, 2.0], dtype=ad.float64), ad.tensor([3.0, -1.0], dtype=ad.float64)
    tangents = (ad.tensor([0.7, 0.1], dtype=ad.float64), ad.tensor([-0.2, 0.4], dtype=ad.float64))
    gradients = pullback((u, v))
    pullback((u, v))
    _, (da, db) = ad.jvp(f, (x, y), tangents)
    left = (u * da).sum() + (v * db).sum()
    right = sum((g * t).sum() for g, t in zip(gradients, tangents, strict=True))
    assert abs(left.item() - right.item()) < 1e-12
    assert not a.requires_grad
    assert not b.requires_grad


def test_gradcheck_passes_and_names_the_worst() -> None:
    x = ad.tensor([0.5, -1.0, 2.0], dtype=ad.float64)
    assert ad.gradcheck(lambda x: (x.exp(), (x * x).sum()), x, second_order=True)
    assert ad.gradcheck(lambda x, n: x * n, [x, ad.tensor([1, 2, 3])])
    wrong = lambda x: x * x.detach()
    with pytest.raises(
        ad.GradError, match=r"input 0 at \(2,\), output 0 at \(2,\): the gradient is 2 and the difference quotient 4"
    ):
        ad.gradcheck(wrong, x)
    assert not ad.gradcheck(wrong, x, raise_exception=False)
    with pytest.raises(ad.DTypeError, match="float64"):
        ad.gradcheck(wrong, ad.ones(2))


def test_backward_twice() -> None:
    x = ad.ones(2, requires_grad=True)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [4.0, 4.0]
    with pytest.raises(ad.GradError):
        y.backward()
    with pytest.raises(ad.GradError):
        ad.ones(1).backward()
    with pytest.raises((ad.GradError, ad.ShapeError)):
        (x * x).backward()


def test_create_graph() -> None:
    x = ad.tensor(3.0, requires_grad=True)
    (x**3).backward(create_graph=True)
    first = x.grad
    assert first.requires_grad
    x.grad = None
    first.backward()
    assert x.grad.item() == 18.0
