"""`Function`: gradients written by users.

Depends on adret and NumPy. Invariant of the tests: a function with a right rule has the gradients of its composition.
"""

from __future__ import annotations

import gc
import threading
import weakref

import adret as ad
import numpy as np
import pytest


class Exp(ad.Function):
    """Saves its output."""

    @staticmethod
    def forward(ctx, x):
        y = ad.exp(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, grad):
        (y,) = ctx.saved_tensors
        return grad * y


class Polar(ad.Function):
    """Two outputs, of two arguments and a number."""

    @staticmethod
    def forward(ctx, r, angle, scale):
        ctx.save_for_backward(r, angle)
        ctx.scale = scale
        return scale * r * ad.cos(angle), scale * r * ad.sin(angle)

    @staticmethod
    def backward(ctx, dx, dy):
        r, angle = ctx.saved_tensors
        dr = (dx * ad.cos(angle) + dy * ad.sin(angle)) * ctx.scale
        da = (dy * ad.cos(angle) - dx * ad.sin(angle)) * r * ctx.scale
        return dr, da, None


def f64(*numbers: float) -> ad.Tensor:
    return ad.tensor(numbers, dtype=ad.float64)


def test_against_differences_to_second_order() -> None:
    assert ad.gradcheck(Exp.apply, f64(0.1, -0.7), second_order=True)
    assert ad.gradcheck(lambda r, a: Polar.apply(r, a, 3.0), [f64(1.0, 2.0), f64(0.3, -0.2)], second_order=True)
    # One of the outputs unused, and one used twice.
    assert ad.gradcheck(lambda r, a: Polar.apply(r, a, 3.0)[1], [f64(1.0), f64(0.3)], second_order=True)
    assert ad.gradcheck(lambda r, a: Polar.apply(r, a, 1.0)[0] ** 2, [f64(1.0), f64(0.3)], second_order=True)


def test_any_order() -> None:
    f = Exp.apply
    for _ in range(4):
        f = ad.grad(f)
    assert abs(f(ad.tensor(1.0, dtype=ad.float64)).item() - np.e) < 1e-14


def test_values_and_flags() -> None:
    x = ad.ones(2, requires_grad=True)
    assert Exp.apply(x).requires_grad
    assert not Exp.apply(ad.ones(2)).requires_grad
    with ad.no_grad():
        assert not Exp.apply(x).requires_grad
    y = Exp.apply(Exp.apply(x))
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.exp(np.e) * np.e, rtol=1e-6)
    with pytest.raises(ad.GradError, match="used up"):
        y.sum().backward()


def test_backward_twice_with_the_graph_kept() -> None:
    x = ad.ones(2, requires_grad=True)
    y = Exp.apply(x).sum()
    y.backward(retain_graph=True)
    first = x.grad.tolist()
    y.backward()
    assert x.grad.tolist() == [2 * number for number in first]


def test_needs_input_grad_and_none() -> None:
    seen = []

    class Both(ad.Function):
        @staticmethod
        def forward(ctx, a, b, name):
            seen.append(ctx.needs_input_grad)
            ctx.save_for_backward(a, None, b)
            return a * b

        @staticmethod
        def backward(ctx, grad):
            a, nothing, b = ctx.saved_tensors
            assert nothing is None
            return grad * b, None, None

    a, b = ad.ones(2, requires_grad=True), ad.full((2,), 3.0)
    Both.apply(a, b, "name").sum().backward()
    assert a.grad.tolist() == [3.0, 3.0]
    b.requires_grad_()
    Both.apply(a.detach(), b, "name").sum().backward()
    assert b.grad is None
    assert seen == [(True, False, False), (False, True, False)]


def test_unused_outputs_and_materialized_gradients() -> None:
    seen = []

    class Two(ad.Function):
        @staticmethod
        def forward(ctx, x, materialize):
            ctx.set_materialize_grads(materialize)
            return x * 1.0, x * 2.0, (x * 3.0).astype(ad.int32), "note"

        @staticmethod
        def backward(ctx, first, second, third, note):
            seen.append((first is None, second is None, third, note))
            return (second if first is None else first + second), None

    for materialize in (True, False):
        x = ad.ones(2, requires_grad=True)
        _, second, whole, note = Two.apply(x, materialize)
        assert (whole.tolist(), whole.requires_grad, note) == ([3, 3], False, "note")
        second.sum().backward()
        assert x.grad.tolist() == [1.0, 1.0]
    assert seen == [(False, False, None, None), (True, False, None, None)]


def test_not_differentiable_outputs() -> None:
    class Split(ad.Function):
        @staticmethod
        def forward(ctx, x):
            kept, lost = x * 2.0, x * 5.0
            ctx.mark_non_differentiable(lost)
            return kept, lost

        @staticmethod
        def backward(ctx, kept, lost):
            assert lost is None
            return kept * 2.0

    x = ad.ones(2, requires_grad=True)
    kept, lost = Split.apply(x)
    assert (kept.requires_grad, lost.requires_grad) == (True, False)
    (kept.sum() + lost.sum()).backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_setup_context() -> None:
    class Square(ad.Function):
        @staticmethod
        def forward(x):
            return x * x

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx, grad):
            return grad * 2 * ctx.saved_tensors[0]

    assert ad.gradcheck(Square.apply, f64(1.0, 2.0), second_order=True)


def test_an_argument_handed_through_and_host_code() -> None:
    class Through(ad.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, grad):
            return -grad

    class OnTheHost(ad.Function):
        @staticmethod
        def forward(ctx, x):
            values = x.detach().numpy()
            ctx.slope = np.cos(values)
            return ad.tensor(np.sin(values))

        @staticmethod
        def backward(ctx, grad):
            return ad.tensor(grad.numpy() * ctx.slope)

    x = ad.ones(2, requires_grad=True)
    Through.apply(x).sum().backward()
    assert x.grad.tolist() == [-1.0, -1.0]
    assert ad.gradcheck(OnTheHost.apply, f64(0.2, 0.9))


def test_saved_tensors_do_not_follow_in_place_writes() -> None:
    class Square(ad.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, grad):
            return grad * 2 * ctx.saved_tensors[0]

    x = ad.ones(2, requires_grad=True)
    h = x * 3.0
    y = Square.apply(h)
    h *= 100.0
    y.sum().backward()
    assert x.grad.tolist() == [18.0, 18.0]


def test_gradients_take_the_argument_s_dtype() -> None:
    class Wide(ad.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2.0

        @staticmethod
        def backward(ctx, grad):
            return grad.astype(ad.float64) * 2.0

    x = ad.ones(2, requires_grad=True)
    Wide.apply(x).sum().backward()
    assert x.grad.dtype == ad.float32


def test_exceptions_of_the_rule_arrive_and_change_nothing() -> None:
    class Broken(ad.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1.0

        @staticmethod
        def backward(ctx, grad):
            raise KeyError("mine")

    x = ad.ones(2, requires_grad=True)
    y = (Broken.apply(x) + x).sum()
    with pytest.raises(KeyError, match="mine"):
        y.backward()
    assert x.grad is None
    assert ad.is_grad_enabled()
    Exp.apply(x).sum().backward()
    assert x.grad is not None


def test_a_backward_pass_inside_of_a_rule_and_on_another_thread() -> None:
    class Inner(ad.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, grad):
            return grad * ad.grad(lambda x: (x**3).sum())(ctx.saved_tensors[0].detach())

    found = []

    def work() -> None:
        x = ad.full((2,), 2.0, requires_grad=True)
        Inner.apply(x).sum().backward()
        found.append(x.grad.tolist())

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[12.0, 12.0]] * 3


def test_nothing_is_left_behind() -> None:
    class Marker:
        pass

    class Keeping(Exp):
        @staticmethod
        def forward(ctx, x):
            ctx.marker = markers[-1]
            return Exp.forward(ctx, x)

    markers: list[Marker] = []
    alive = []
    gc.disable()
    try:
        for create_graph in (False, True, None):
            markers.append(Marker())
            alive.append(weakref.ref(markers[-1]))
            x = ad.ones(2, requires_grad=True)
            y = Keeping.apply(Keeping.apply(x))
            if create_graph is not None:
                y.sum().backward(create_graph=create_graph)
                # A gradient with a history leads back to the tensor that holds it.
                x.grad = None
            markers.clear()
            del x, y
            assert alive[-1]() is None, f"create_graph={create_graph}"
    finally:
        gc.enable()


def test_long_chains_are_freed() -> None:
    x = ad.ones(1, requires_grad=True)
    y = x
    for _ in range(20_000):
        y = Exp.apply(y * 0.0)
    del y
    assert Exp.apply(x).requires_grad


def test_the_same_graph_makes_no_new_plan() -> None:
    def step() -> None:
        x = ad.ones(3, requires_grad=True)
        y = Exp.apply(x * 2.0).sum()
        y.backward()
        ad.eval(y, x.grad)

    step()
    step()
    before = ad.stats()["plan_misses"]
    step()
    assert ad.stats()["plan_misses"] == before


def test_a_long_backward_pass_is_not_cut_by_evaluations() -> None:
    x = ad.ones(3, requires_grad=True)
    y, steps = x, []
    for _ in range(4000):
        y = Exp.apply(y * 0.5 - 1)
        steps.append(y)
    total = ad.stack(steps).sum()
    before = ad.stats()["runs"]
    total.backward()
    # Enough nodes wait for several evaluations: there is one at most, at the end (none if others had raised the mark).
    assert ad.stats()["runs"] - before <= 1
    assert np.isfinite(x.grad.numpy()).all()
