"""Where results lie: pointwise work, joins and folds follow the order of axes that their operands have in memory.

Depends on NumPy, which decides alike. Invariant: values never depend on where they lie.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import adret as ad
import numpy as np
import pytest

# Large enough to be laid out with care: smaller ones are row-major.
SHAPE = (40, 30, 20)
ORDERS = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]


def _data(shape: tuple[int, ...] = SHAPE, dtype: Any = np.float32, seed: int = 0) -> Any:
    return np.random.default_rng(seed).uniform(-2, 2, shape).astype(dtype)


def _strides(x: ad.Tensor) -> tuple[int, ...]:
    return x.numpy().strides


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "bool", "float16"])
def test_results_lie_as_their_operands(order: tuple[int, ...], dtype: str) -> None:
    a, b = _data(dtype=dtype), _data(dtype=dtype, seed=1)
    x, y = ad.permute_dims(ad.tensor(a), order), ad.permute_dims(ad.tensor(b), order)
    p, q = a.transpose(order), b.transpose(order)
    sum_ = x | y if dtype == "bool" else x + y
    assert _strides(sum_) == (p | q if dtype == "bool" else p + q).strides
    np.testing.assert_array_equal(sum_.numpy(), p | q if dtype == "bool" else p + q)
    less = x < y
    assert _strides(less) == (p < q).strides
    np.testing.assert_array_equal(less.numpy(), p < q)
    chosen = ad.where(less, x, y)
    assert [stride // chosen.numpy().itemsize for stride in _strides(chosen)] == list(less.numpy().strides)
    np.testing.assert_array_equal(chosen.numpy(), np.where(p < q, p, q))
    cast = x.astype(ad.float64)
    assert _strides(cast) == p.astype(np.float64).strides
    np.testing.assert_array_equal(cast.numpy(), p.astype(np.float64))


@pytest.mark.parametrize("order", ORDERS)
def test_a_value_that_is_there_keeps_its_order(order: tuple[int, ...]) -> None:
    a = _data()
    x = ad.permute_dims(ad.tensor(a), order) * 2
    ad.eval(x)
    for make in (lambda x: x + 1, lambda x: -x, lambda x: x * x[:1] + x[:, :1]):
        assert _strides(make(x)) == make(a.transpose(order) * 2).strides
        np.testing.assert_allclose(make(x).numpy(), make(a.transpose(order) * 2), rtol=1e-6)


def test_operands_in_several_orders_give_row_major_results() -> None:
    a = _data((70, 70))
    x = ad.tensor(a)
    assert _strides(x + x.T) == (280, 4)
    np.testing.assert_array_equal((x + x.T).numpy(), a + a.T)
    np.testing.assert_array_equal((x.T * x - x.T).numpy(), a.T * a - a.T)


def test_slices_and_flips_have_an_order_too() -> None:
    a = _data((120, 110))
    x = ad.tensor(a)
    cases: list[Callable[[Any], Any]] = [
        lambda x: x.T[::2] * 3,
        lambda x: x.T[:, ::-1] - 1,
        lambda x: x[5:, 3:-2].T + x[5:, 3:-2].T,
        lambda x: x.T[None] + 1,
        lambda x: x.T[:, None, :] * 2,
    ]
    for make in cases:
        result, expected = make(x), make(a)
        np.testing.assert_array_equal(result.numpy(), expected)
        long = [axis for axis, size in enumerate(expected.shape) if size > 1]
        lies = sorted(long, key=lambda axis: -abs(result.numpy().strides[axis]))
        assert lies == sorted(long, key=lambda axis: -abs(expected.strides[axis]))


def test_broadcast_operands_do_not_decide() -> None:
    a, row, column = _data((90, 80)), _data((90,)), _data((80, 1))
    x = ad.tensor(a)
    result = x.T * ad.tensor(row) + ad.tensor(column)
    assert _strides(result) == (4, 320)
    np.testing.assert_array_equal(result.numpy(), a.T * row + column)
    spread = ad.broadcast_to(ad.tensor(row), (80, 90)) * ad.broadcast_to(ad.tensor(column), (80, 90))
    np.testing.assert_array_equal(spread.numpy(), row * column)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("axes", [None, 0, 1, 2, (0, 1), (0, 2), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("name", ["sum", "max", "min", "mean", "var", "prod", "any", "all"])
def test_folds_of_permuted_tensors(name: str, axes: Any, order: tuple[int, ...]) -> None:
    a = _data(dtype=np.float64) / 100 + 1
    x, p = ad.permute_dims(ad.tensor(a), order), a.transpose(order)
    for keepdims in (False, True):
        result = getattr(ad, name)(x, axis=axes, keepdims=keepdims)
        expected = getattr(np, name)(p, axis=axes, keepdims=keepdims)
        np.testing.assert_allclose(result.numpy(), expected, rtol=1e-10)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("axis", [None, 0, 1, 2])
def test_positions_are_those_of_the_logical_order(order: tuple[int, ...], axis: int | None) -> None:
    a = np.random.default_rng(0).integers(0, 5, SHAPE)
    x, p = ad.permute_dims(ad.tensor(a), order), a.transpose(order)
    np.testing.assert_array_equal(ad.argmax(x, axis=axis).numpy(), np.argmax(p, axis=axis))
    np.testing.assert_array_equal(ad.argmin(x + 1, axis=axis).numpy(), np.argmin(p, axis=axis))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_joins_lie_as_their_parts(axis: int) -> None:
    a, b = _data(), _data(seed=1)
    for order in ORDERS:
        x, y = ad.permute_dims(ad.tensor(a), order), ad.permute_dims(ad.tensor(b), order)
        joined = ad.concat([x, y], axis=axis)
        np.testing.assert_array_equal(
            joined.numpy(), np.concatenate([a.transpose(order), b.transpose(order)], axis=axis)
        )
        assert sorted(range(3), key=lambda i: -_strides(joined)[i]) == sorted(range(3), key=lambda i: -_strides(x)[i])
        np.testing.assert_array_equal(
            ad.stack([x, y], axis=axis).numpy(), np.stack([a.transpose(order), b.transpose(order)], axis=axis)
        )


def test_gradients_of_permuted_operands() -> None:
    a, b = _data((70, 80), np.float64), _data((80, 70), np.float64, seed=1)
    results: list[Any] = []
    for copied in (False, True):
        x, y = ad.tensor(a, requires_grad=True), ad.tensor(b, requires_grad=True)
        turned = ad.tensor(np.ascontiguousarray(a.T), requires_grad=True) if copied else x.T
        loss = (ad.exp(turned * 0.1) * y + ad.where(turned > 0, turned, y) ** 2).sum()
        loss.backward()
        gradient = turned.grad.numpy().T if copied else x.grad.numpy()
        results.append((loss.item(), gradient, y.grad.numpy()))
    (loss, gradient, other), expected = results
    assert loss == pytest.approx(expected[0], rel=1e-12)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-12)
    np.testing.assert_allclose(other, expected[2], rtol=1e-12)


def test_second_derivatives_through_the_order() -> None:
    a = _data((70, 80), np.float64)

    def f(x: ad.Tensor) -> ad.Tensor:
        return (x.T * x.T * x.T).sum()

    _, (product,) = ad.hvp(f, (ad.tensor(a),), (ad.ones(a.shape, dtype=ad.float64),))
    np.testing.assert_allclose(product.numpy(), 6 * a, rtol=1e-12)


def test_compiled_functions_keep_order_and_bits() -> None:
    a = _data((90, 80))

    def f(x: ad.Tensor) -> ad.Tensor:
        return ad.tanh(x.T) * 2 + x.T

    compiled = ad.compile(f)
    x = ad.tensor(a)
    for _ in range(4):
        result = compiled(x)
        assert _strides(result) == (4, 320)
        np.testing.assert_array_equal(result.numpy(), f(x).numpy())


def test_updates_of_transposed_memory() -> None:
    a = _data((90, 80))
    x = ad.tensor(a).T
    expected = a.T.copy()
    for _ in range(3):
        x += 1
        x *= 0.5
        ad.eval(x)
        expected = (expected + 1) * np.float32(0.5)
    np.testing.assert_array_equal(x.numpy(), expected)
    assert _strides(x) == (4, 320)


def test_a_reshape_of_a_permuted_result_copies() -> None:
    a = _data()
    x = ad.permute_dims(ad.tensor(a), (2, 0, 1)) + 1
    np.testing.assert_array_equal(x.reshape(-1).numpy(), (a.transpose(2, 0, 1) + 1).reshape(-1))
    p = a.transpose(2, 0, 1) + 1
    np.testing.assert_allclose((x @ x.mT).numpy(), p @ p.swapaxes(1, 2), rtol=1e-4)


@pytest.mark.parametrize("axis", [0, 1])
def test_softmax_of_transposed_tensors(axis: int) -> None:
    a = _data((90, 80), np.float64)
    x = ad.tensor(a).T
    shifted = np.exp(a.T - a.T.max(axis=axis, keepdims=True))
    np.testing.assert_allclose(
        ad.softmax(x, axis=axis).numpy(), shifted / shifted.sum(axis=axis, keepdims=True), rtol=1e-12
    )
