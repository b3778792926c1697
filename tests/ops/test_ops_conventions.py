"""Values and gradients at the points where a convention decides: ties, kinks, zeros, infinities, NaN.

Depends on adret and NumPy. Invariant: a convention tested here stands in the documentation of the function.
"""

from __future__ import annotations

import math

import adret as ad
import numpy as np
import pytest

NAN, INFINITY = float("nan"), float("inf")


def gradient(function, values, dtype: str = "float64") -> list:
    """d sum(function(x)) / dx."""
    x = ad.tensor(values, dtype=dtype, requires_grad=True)
    function(x).sum().backward()
    return x.grad.tolist()


def test_ties_of_reductions_share_the_gradient() -> None:
    """max and min: equal extremes get equal parts."""
    assert gradient(ad.max, [3.0, 1.0, 3.0]) == [0.5, 0.0, 0.5]
    assert gradient(ad.min, [1.0, 1.0, 1.0, 1.0]) == [0.25] * 4
    assert gradient(lambda x: ad.max(x, axis=1), [[2.0, 2.0], [0.0, 1.0]]) == [[0.5, 0.5], [0.0, 1.0]]


def test_ties_of_two_operands_share_the_gradient() -> None:
    """maximum, minimum and clip at a bound."""
    assert gradient(lambda x: ad.maximum(x, 1.0), [1.0, 2.0, 0.0]) == [0.5, 1.0, 0.0]
    assert gradient(lambda x: ad.minimum(x, x), [1.0]) == [1.0]
    assert gradient(lambda x: ad.clip(x, -1.0, 1.0), [-1.0, 0.0, 1.0, 2.0]) == [0.5, 1.0, 0.5, 0.0]


def test_kinks() -> None:
    """abs, relu, sign, norm and sqrt at 0."""
    assert gradient(ad.abs, [0.0, -2.0]) == [0.0, -1.0]
    assert gradient(ad.relu, [0.0, -1.0, 1.0]) == [0.0, 0.0, 1.0]
    assert gradient(ad.norm, [0.0, 0.0]) == [0.0, 0.0]
    assert gradient(lambda x: ad.leaky_relu(x, 0.1), [-1.0, 1.0]) == [0.1, 1.0]
    assert gradient(ad.sqrt, [0.0]) == [INFINITY]


def test_powers_at_zero() -> None:
    """Finite wherever the function is smooth."""
    assert gradient(lambda x: x**2, [0.0]) == [0.0]
    assert gradient(lambda x: x**1, [0.0]) == [1.0]
    assert gradient(lambda x: x**0, [0.0, 2.0]) == [0.0, 0.0]
    assert gradient(lambda x: x**3.0, [0.0, -2.0]) == [0.0, 12.0]
    base = ad.tensor([0.0, 0.0, 2.0], dtype="float64", requires_grad=True)
    exponent = ad.tensor([0.0, 2.0, 3.0], dtype="float64", requires_grad=True)
    (base**exponent).sum().backward()
    assert base.grad.tolist() == [0.0, 0.0, 12.0]
    assert exponent.grad.tolist()[:2] == [0.0, 0.0]
    assert math.isclose(exponent.grad.tolist()[2], 8 * math.log(2))


@pytest.mark.parametrize("zeros", [0, 1, 2, 3])
def test_products_with_zeros(zeros: int) -> None:
    """The gradient of a product is the product of the others, also when some are 0, to second order."""
    values = np.array([2.0, -3.0, 0.5, 4.0])
    values[:zeros] = 0.0
    others = [float(np.prod(np.delete(values, i))) for i in range(4)]
    assert np.allclose(gradient(ad.prod, values), others, rtol=1e-14)
    x = ad.tensor(values)
    assert ad.gradcheck(ad.prod, (x,), second_order=True)


def test_where_hides_what_it_does_not_choose() -> None:
    """A NaN or infinite derivative of the branch not taken does not leak."""
    assert gradient(lambda x: ad.where(x > 0, ad.log(ad.where(x > 0, x, 1.0)), 0.0), [0.0, 1.0]) == [0.0, 1.0]
    assert gradient(lambda x: ad.where(x > 0, x, x * 2), [NAN, 1.0]) == [2.0, 1.0]
    assert ad.where(ad.tensor([True, True]), ad.tensor([1.0, 2.0]), ad.tensor([INFINITY, NAN])).tolist() == [1.0, 2.0]


def test_nan_wins_in_extremes() -> None:
    """max, min, maximum, minimum, argmax and argmin carry NaN."""
    x = ad.tensor([1.0, NAN, 3.0])
    assert math.isnan(ad.max(x).item())
    assert math.isnan(ad.min(x).item())
    assert math.isnan(ad.maximum(x, 5.0).tolist()[1])
    assert math.isnan(ad.minimum(2.0, x).tolist()[1])
    assert math.isnan(ad.relu(x).tolist()[1])
    assert math.isnan(ad.clip(x, 0, 1).tolist()[1])
    assert (ad.argmax(x).item(), ad.argmin(x).item()) == (1, 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_special_values_of_functions(dtype: str) -> None:
    """±0, ±∞ and NaN go where IEEE 754 and NumPy send them."""
    values = np.array(
        [0.0, -0.0, 1.0, -1.0, INFINITY, -INFINITY, NAN, 1e-40, 3e38, -3e38, 1e-300 if dtype == "float64" else 1e-45],
        dtype=dtype,
    )
    x = ad.tensor(values)
    pairs = {
        "exp": np.exp,
        "expm1": np.expm1,
        "log": np.log,
        "log1p": np.log1p,
        "log2": np.log2,
        "log10": np.log10,
        "sqrt": np.sqrt,
        "tanh": np.tanh,
        "abs": np.abs,
        "floor": np.floor,
        "sign": np.sign,
        "atan": np.arctan,
        "asinh": np.arcsinh,
        "sinh": np.sinh,
        "cosh": np.cosh,
        "isnan": np.isnan,
        "isinf": np.isinf,
    }
    for name, reference in pairs.items():
        with np.errstate(all="ignore"):
            expected = reference(values.astype(np.float64)).astype(dtype if name not in ("isnan", "isinf") else bool)
        got = getattr(ad, name)(x).numpy()
        tolerance = 1e-6 if dtype == "float32" else 1e-13
        assert np.allclose(got, expected, rtol=tolerance, atol=0, equal_nan=True), (name, got, expected)
        if name in ("tanh", "sqrt", "atan", "expm1"):
            assert np.signbit(got[1]), f"{name}(-0.0) lost its sign"


def test_large_arguments_of_sine() -> None:
    """Reduced exactly enough that the result is within a few ULP."""
    values = np.array([1e3, 1e5, 1e7, -12345.678, 2.0**40], dtype=np.float32)
    expected = np.sin(values.astype(np.float64))
    assert np.allclose(ad.sin(ad.tensor(values)).numpy(), expected, rtol=2e-6, atol=1e-7)


def test_softmax_of_extremes() -> None:
    """Large logits neither overflow nor lose the others; −∞ is a probability of 0."""
    x = ad.tensor([[1000.0, 0.0, -1000.0], [-INFINITY, 0.0, 0.0]])
    assert ad.softmax(x, axis=-1).tolist() == [[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]]
    assert np.allclose(ad.log_softmax(x, axis=-1).numpy()[0], [0.0, -1000.0, -2000.0])
    assert ad.logsumexp(ad.tensor([-INFINITY, -INFINITY])).item() == -INFINITY
    assert math.isclose(ad.logsumexp(ad.tensor([1000.0, 1000.0])).item(), 1000 + math.log(2), rel_tol=1e-6)


def test_losses_at_infinity() -> None:
    """Binary cross-entropy from logits is finite for finite logits, gradients in [−1, 1]; logs are held at −100."""
    logits = ad.tensor([-1e4, -50.0, 0.0, 50.0, 1e4], requires_grad=True)
    for target in (0.0, 1.0):
        loss = ad.bce_with_logits(logits, ad.full((5,), target), reduction="none")
        assert np.isfinite(loss.detach().numpy()).all()
        logits.grad = None
        loss.sum().backward()
        assert (np.abs(logits.grad.numpy()) <= 1).all()
    assert ad.bce_loss(ad.tensor([0.0]), ad.tensor([1.0])).item() == 100.0
    assert ad.bce_loss(ad.tensor([1.0]), ad.tensor([0.0])).item() == 100.0


def test_ignored_labels() -> None:
    """An ignored label has neither loss nor gradient, whatever its value."""
    logits = ad.tensor(np.arange(12.0).reshape(3, 4), requires_grad=True)
    labels = ad.tensor([1, -100, 3])
    loss = ad.cross_entropy(logits, labels)
    kept = ad.cross_entropy(ad.tensor(np.arange(12.0).reshape(3, 4)[[0, 2]]), ad.tensor([1, 3]))
    assert math.isclose(loss.item(), kept.item(), rel_tol=1e-12)
    loss.backward()
    assert logits.grad.tolist()[1] == [0.0] * 4


def test_empty_reductions() -> None:
    """Identities where there are any."""
    empty = ad.zeros((0, 3))
    assert ad.sum(empty, axis=0).tolist() == [0.0] * 3
    assert ad.prod(empty, axis=0).tolist() == [1.0] * 3
    assert ad.all(empty, axis=0).tolist() == [True] * 3
    assert ad.any(empty, axis=0).tolist() == [False] * 3
    assert ad.max(empty, axis=1).shape == (0,)
    assert math.isnan(ad.mean(empty).item())


def test_positions_of_ties_are_the_first() -> None:
    """argmax and argmin, along any axis and over all."""
    values = np.array([[1, 3, 3, 0], [3, 0, 0, 3]])
    x = ad.tensor(values)
    for name in ("argmax", "argmin"):
        for axis in (None, 0, 1):
            assert np.array_equal(getattr(ad, name)(x, axis=axis).numpy(), getattr(np, name)(values, axis=axis))


@pytest.mark.parametrize("length", [1, 31, 32, 33, 4095, 4096, 4097, 70000])
def test_lengths_of_reductions(length: int) -> None:
    """Sums are as exact as their tree promises at every boundary of it, along each axis."""
    values = np.random.default_rng(length).standard_normal((3, length)).astype(np.float32)
    exact = values.astype(np.float64).sum(1)
    bound = 1e-6 * np.abs(values).sum(1)
    rows, columns = ad.tensor(values), ad.tensor(values.T.copy())
    assert (np.abs(ad.sum(rows, axis=1).numpy() - exact) <= bound).all()
    assert np.array_equal(ad.sum(rows, axis=1).numpy(), ad.sum(columns, axis=0).numpy()), (
        "rows and columns differ in bits"
    )
    assert np.array_equal(ad.max(rows, axis=1).numpy(), values.max(1))
    assert np.array_equal(ad.argmin(columns, axis=0).numpy(), values.argmin(1))
    assert ad.sum(ad.ones(length, dtype="bool")).item() == length


def test_sorting_puts_nan_last_and_keeps_ties_in_order() -> None:
    """Ascending and descending; places of equal elements stay in order."""
    x = ad.tensor([2.0, NAN, 1.0, 2.0, -INFINITY])
    assert ad.sort(x).tolist()[:4] == [-INFINITY, 1.0, 2.0, 2.0]
    assert math.isnan(ad.sort(x).tolist()[4])
    assert ad.argsort(x).tolist() == [4, 2, 0, 3, 1]
    assert ad.argsort(x, descending=True).tolist() == [0, 3, 2, 4, 1]
    ties = np.random.default_rng(0).integers(0, 5, 1000)
    assert np.array_equal(ad.argsort(ad.tensor(ties)).numpy(), np.argsort(ties, kind="stable"))
