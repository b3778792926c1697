"""Padding: NumPy's modes, gradients, cropping, layers and mistakes.

Depends on NumPy. Invariant: every mode is compared on random amounts, negative ones where PyTorch defines them.
"""

from __future__ import annotations

import adret as ad
import numpy as np
import pytest
from adret import nn
from adret.nn import functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

NAMES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def reference(x: np.ndarray, amounts: tuple[int, ...], mode: str) -> np.ndarray:
    """NumPy's padding; negative amounts crop: before the wrapping, after anything else."""
    pairs = [(0, 0)] * (x.ndim - len(amounts) // 2) + list(zip(amounts[::2], amounts[1::2], strict=True))[::-1]

    def crop(x: np.ndarray) -> np.ndarray:
        return x[tuple(slice(max(-b, 0), n - max(-a, 0)) for n, (b, a) in zip(x.shape, pairs, strict=True))]

    if mode == "circular":
        x = crop(x)
    padded = np.pad(x, [(max(b, 0), max(a, 0)) for b, a in pairs], mode=NAMES[mode])
    return padded if mode == "circular" else crop(padded)


@st.composite
def cases(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], str]:
    """A shape, amounts that fit it, and a mode."""
    shape = tuple(draw(st.lists(st.integers(3, 5), min_size=1, max_size=4)))
    count = draw(st.integers(0, min(3, len(shape))))
    return shape, tuple(draw(st.integers(-1, 2)) for _ in range(2 * count)), draw(st.sampled_from(sorted(NAMES)))


@settings(deadline=None)
@given(cases())
def test_values_and_gradients(case: tuple[tuple[int, ...], tuple[int, ...], str]) -> None:
    shape, amounts, mode = case
    rng = np.random.default_rng(0)
    values = rng.standard_normal(shape)
    x = ad.tensor(values, requires_grad=True)
    got = F.pad(x, amounts, mode)
    expected = reference(values, amounts, mode)
    np.testing.assert_array_equal(got.detach().numpy(), expected)
    # The adjoint: every element gathers the weights of the places it was put to.
    weights = rng.standard_normal(expected.shape)
    (got * ad.tensor(weights)).sum().backward()
    numbers = reference(np.arange(1.0, values.size + 1).reshape(shape), amounts, mode).astype(int)
    gathered = np.bincount(numbers.ravel(), weights.ravel(), values.size + 1)[1:].reshape(shape)
    np.testing.assert_allclose(x.grad.numpy(), gathered, atol=1e-12)


@pytest.mark.parametrize("mode", sorted(NAMES))
def test_second_derivatives(mode: str) -> None:
    x = ad.tensor(np.random.default_rng(1).standard_normal((2, 4)))
    assert ad.gradcheck(lambda x: F.pad(x, (2, 1), mode) ** 3, x, second_order=True)


@pytest.mark.parametrize("dtype", ["float16", "int8", "uint64", "bool"])
def test_any_dtype_and_value(dtype: str) -> None:
    x = ad.ones((1, 2), dtype=dtype)
    padded = F.pad(x, (1, 0), value=1)
    assert str(padded.dtype).endswith(dtype)
    assert padded.astype("float32").tolist() == [[1.0, 1.0, 1.0]]
    assert F.pad(x, (1, 0), "reflect").dtype == x.dtype


def test_cropping_away_and_padding_nothing() -> None:
    assert F.pad(ad.ones(3), (-3, 0)).shape == (0,)
    assert F.pad(ad.ones((2, 0)), (1, 1), value=2.0).tolist() == [[2.0, 2.0], [2.0, 2.0]]
    assert F.pad(ad.ones((0, 3)), (1, 1), "reflect").shape == (0, 5)
    assert F.pad(ad.ones(()), ()).shape == ()


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("kind", ["Zero", "Constant", "Reflection", "Replication", "Circular"])
def test_layers(kind: str, axes: int) -> None:
    layer = getattr(nn, f"{kind}Pad{axes}d")
    amounts = (1, 0, 2, 1, 0, 1)[: 2 * axes]
    module = layer(amounts, 5.0) if kind == "Constant" else layer(amounts)
    mode = {"Zero": "constant", "Constant": "constant", "Reflection": "reflect", "Replication": "replicate"}
    x = np.random.default_rng(2).standard_normal((2, 1, 3, 4, 5)[: 2 + axes])
    expected = F.pad(ad.tensor(x), amounts, mode.get(kind, "circular"), 5.0 if kind == "Constant" else None)
    np.testing.assert_array_equal(module(ad.tensor(x)).numpy(), expected.numpy())
    np.testing.assert_array_equal(module(ad.tensor(x[0])).numpy(), expected.numpy()[0])
    assert repr(module).startswith(f"{kind}Pad{axes}d(")
    one = layer(1, 5.0) if kind == "Constant" else layer(1)
    assert one(ad.tensor(x)).shape == (2, 1, *(size + 2 for size in x.shape[2:]))


MISTAKES = [
    (lambda: F.pad(ad.ones(3), (1,)), ad.DomainError, ("pad", "(1,)", "before, after")),
    (lambda: F.pad(ad.ones(3), (1, 1, 1, 1)), ad.ShapeError, ("pad", "(1, 1, 1, 1)", "(3,)")),
    (lambda: F.pad(ad.ones(3), (1, 1), "mirror"), ad.DomainError, ("pad", "'mirror'", "'reflect'")),
    (lambda: F.pad(ad.ones(3), (1, 1), "reflect", 1.0), ad.DomainError, ("'reflect'", "1.0", "Leave")),
    (lambda: F.pad(ad.ones((2, 3)), (3, 0), "reflect"), ad.ShapeError, ("axis 1", "(2, 3)", "less than 3")),
    (lambda: F.pad(ad.ones((2, 3)), (0, 4), "circular"), ad.ShapeError, ("axis 1", "(2, 3)", "3 at most")),
    (lambda: F.pad(ad.ones((2, 0)), (0, 1), "replicate"), ad.ShapeError, ("axis 1", "(2, 0)", "one element")),
    (lambda: F.pad(ad.ones((2, 3)), (-2, -2)), ad.ShapeError, ("axis 1", "(-2, -2)", "Cut fewer")),
    (lambda: F.pad(ad.ones(3), (1, 1), value="a"), TypeError, ()),
    (lambda: F.pad(ad.ones(3), (1.5, 1)), TypeError, ()),
    (lambda: F.pad(ad.ones(3), (2**62, 2**62)), (ad.ShapeError, ad.OutOfMemoryError), ()),
    (lambda: nn.ZeroPad2d((1, 2)), ad.DomainError, ("ZeroPad2d", "(1, 2)", "4")),
    (lambda: nn.ReflectionPad2d(1)(ad.ones((3, 3))), ad.ShapeError, ("ReflectionPad2d", "(3, 3)", "4, or 3")),
]


@pytest.mark.parametrize(("call", "kind", "says"), MISTAKES)
def test_mistakes(call: object, kind: type[Exception], says: tuple[str, ...]) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert all(part in str(caught.value) for part in says), str(caught.value)
