"""`jacobian`, `hessian`, `hvp`: values, structures, higher orders.

Depends on adret and NumPy.
"""

from __future__ import annotations

import adret as ad
import numpy as np
import pytest


def vector(*numbers: float) -> ad.Tensor:
    return ad.tensor(numbers, dtype=ad.float64)


def test_jacobian_of_a_matrix_product() -> None:
    a = ad.random.normal((3, 4), dtype=ad.float64)
    x = ad.random.normal((4,), dtype=ad.float64)
    assert ad.jacobian(lambda x: a @ x)(x).tolist() == a.tolist()
    # Fewer arguments than outputs: the other way of computing it.
    b = ad.random.normal((6, 2), dtype=ad.float64)
    assert ad.jacobian(lambda x: b @ x)(vector(1.0, 2.0)).tolist() == b.tolist()


@pytest.mark.parametrize("outputs", [2, 9])
def test_both_ways_give_jvps_and_vjps(outputs: int) -> None:
    w = ad.random.normal((outputs, 4), dtype=ad.float64)
    f = lambda x: ad.tanh(w @ x) * x.sum()
    x, u = ad.random.normal((4,), dtype=ad.float64), ad.random.normal((4,), dtype=ad.float64)
    matrix = ad.jacobian(f)(x)
    assert matrix.shape == (outputs, 4)
    np.testing.assert_allclose((matrix @ u).numpy(), ad.jvp(f, (x,), (u,))[1].numpy(), rtol=1e-12)
    v = ad.random.normal((outputs,), dtype=ad.float64)
    np.testing.assert_allclose((v @ matrix).numpy(), ad.vjp(f, x)[1](v)[0].numpy(), rtol=1e-12)


def test_structures() -> None:
    f = lambda p, s: {"sum": p["a"].sum() * s, "all": (p["a"] * 2, p["b"][0] * s)}
    p = {"a": ad.ones((2, 3)), "b": [ad.ones(4)]}
    found = ad.jacobian(f)(p, 2.0)
    assert found["sum"]["a"].shape == (2, 3)
    assert found["all"][0]["a"].shape == (2, 3, 2, 3)
    assert found["all"][1]["b"][0].shape == (4, 4)
    assert float(ad.abs(found["all"][1]["a"]).sum()) == 0.0
    both = ad.jacobian(lambda x, y: x * y, argnums=(0, 1))(ad.tensor([1.0, 2.0]), ad.tensor([3.0, 4.0]))
    assert [block.tolist() for block in both] == [[[3.0, 0.0], [0.0, 4.0]], [[1.0, 0.0], [0.0, 2.0]]]
    assert ad.jacobian(lambda x, y: x * y, argnums=-1)(3.0, 2.0).item() == 3.0


def test_empty_and_constant() -> None:
    assert ad.jacobian(lambda x: x[:0])(ad.ones(3)).shape == (0, 3)
    assert ad.jacobian(lambda x: ad.ones(2))(ad.ones(3)).tolist() == [[0.0] * 3] * 2
    assert ad.jacobian(lambda x: ad.ones(5) * x.sum())(ad.ones((0, 2))).shape == (5, 0, 2)


def test_hessian() -> None:
    a = ad.random.normal((3, 3), dtype=ad.float64)
    x = vector(0.3, -1.0, 2.0)
    np.testing.assert_allclose(ad.hessian(lambda x: x @ a @ x)(x).numpy(), (a + a.T).numpy(), rtol=1e-12)
    rosen = lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2
    blocks = ad.hessian(rosen, argnums=(0, 1))(1.0, 1.0)
    assert [[entry.item() for entry in row] for row in blocks] == [[802.0, -400.0], [-400.0, 200.0]]
    tree = ad.hessian(lambda p: (p["a"] * p["b"]).sum())({"a": ad.ones(2), "b": ad.ones(2)})
    assert tree["a"]["b"].tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert tree["a"]["a"].tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_hvp_is_hessian_times_vector() -> None:
    f = lambda x, y: (ad.sin(x) * y**3).sum()
    x, y = vector(0.1, 0.7), vector(1.5, -0.4)
    u, v = vector(1.0, -2.0), vector(0.5, 0.25)
    value, (p, q) = ad.hvp(f, (x, y), (u, v))
    (xx, xy), (yx, yy) = ad.hessian(f, argnums=(0, 1))(x, y)
    assert value.item() == f(x, y).item()
    np.testing.assert_allclose(p.numpy(), (xx @ u + xy @ v).numpy(), rtol=1e-12)
    np.testing.assert_allclose(q.numpy(), (yx @ u + yy @ v).numpy(), rtol=1e-12)
    assert not p.requires_grad


@pytest.mark.parametrize("size", [2, 5])
def test_derivatives_of_derivatives(size: int) -> None:
    w = ad.random.normal((3, size), dtype=ad.float64)
    x = ad.random.normal((size,), dtype=ad.float64)
    assert ad.gradcheck(ad.jacobian(lambda x: ad.tanh(w @ x)), x)
    assert ad.gradcheck(ad.hessian(lambda x: ad.tanh(w @ x).sum()), x)
    assert ad.gradcheck(lambda x: ad.hvp(lambda x: ad.tanh(w @ x).sum(), (x,), (w[0],))[1][0], x)
    weight = ad.tensor(2.0, dtype=ad.float64, requires_grad=True)
    ad.jacobian(lambda x: x * x * weight)(vector(1.0, 3.0).requires_grad_()).sum().backward()
    assert weight.grad.item() == 8.0


def test_no_history_where_none_was_asked_for() -> None:
    weight = ad.ones(2, requires_grad=True)
    assert not ad.jacobian(lambda x: x * weight)(ad.ones(2)).requires_grad
    assert weight.grad is None
    with ad.no_grad():
        assert ad.jacobian(lambda x: x * x)(ad.ones(1)).tolist() == [[2.0]]


def test_what_was_overwritten_has_gradient_zero() -> None:
    x, v = ad.ones(3, requires_grad=True), ad.ones((), requires_grad=True)
    y = x * 2.0
    y[:] = v
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 0.0]
    assert v.grad.item() == 3.0

    def assigned(x: ad.Tensor, v: ad.Tensor) -> ad.Tensor:
        y = x * 2.0
        y[...] = v * v
        return y * y

    assert ad.gradcheck(assigned, [vector(1.0, 2.0), vector(0.5, 0.7)], second_order=True)
