"""Chains and folds over rows and columns at many sizes: several rows in a tile, columns folded straight from memory.

Depends on NumPy. Invariant: a chain gives the same bits whether its steps share a kernel or not.
"""

from __future__ import annotations

import adret as ad
import numpy as np
import pytest

SIZES = [(1, 1), (3, 130), (9, 127), (16, 128), (17, 1000), (70, 33), (100, 1024), (33, 4097), (1000, 65), (4100, 130)]
FOLDS = ["sum", "prod", "max", "min", "argmax", "argmin", "mean", "any", "all"]


def _array(shape: tuple[int, ...], dtype: str = "float32") -> np.ndarray:
    """Numbers without order; small integers, so that sums are exact, where the dtype asks for it."""
    rng = np.random.default_rng(sum(shape))
    if dtype == "int32":
        return rng.integers(-9, 10, shape).astype(dtype)
    return rng.standard_normal(shape).astype(dtype)


def _layouts(array: np.ndarray) -> list[tuple[ad.Tensor, np.ndarray]]:
    """The array as it is, transposed, with gaps between rows, and backwards."""
    wide = np.concatenate([array, array], axis=1)
    size = array.shape[1]
    return [
        (ad.tensor(array), array),
        (ad.tensor(np.ascontiguousarray(array.T)).T, array),
        (ad.tensor(wide)[:, :size], array),
        (ad.tensor(wide)[::-1, ::2], wide[::-1, ::2]),
    ]


def _known(tensor: ad.Tensor) -> ad.Tensor:
    """The tensor, evaluated: nothing after it shares its kernel."""
    ad.eval(tensor)
    return tensor


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_folds_of_rows_and_columns(shape: tuple[int, int], dtype: str) -> None:
    for tensor, array in _layouts(_array(shape, dtype)):
        for axis in (0, 1, None):
            for name in FOLDS:
                if name == "prod" and dtype == "int32":
                    continue
                got = getattr(ad, name)(tensor, axis=axis).numpy()
                exact = getattr(np, name)(array.astype(np.float64) if dtype != "int32" else array, axis=axis)
                # Sums of n numbers of size 1; products come out near 0.
                tolerance = 1e-12 if dtype == "float64" else 1e-5
                np.testing.assert_allclose(got, exact, rtol=tolerance, atol=tolerance * array.size**0.5, err_msg=name)


@pytest.mark.parametrize("shape", SIZES)
def test_nan_wins_wherever_it_stands(shape: tuple[int, int]) -> None:
    for place in {0, shape[1] // 2, shape[1] - 1}:
        array = _array(shape)
        array[shape[0] // 2, place] = np.nan
        tensor = ad.tensor(array)
        for name in ["max", "min", "argmax", "argmin", "sum"]:
            for axis in (0, 1, None):
                got, exact = getattr(ad, name)(tensor, axis=axis).numpy(), getattr(np, name)(array, axis=axis)
                np.testing.assert_allclose(got, exact, rtol=1e-5, atol=1e-3, err_msg=f"{name} {axis} {place}")


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("axis", [0, 1])
def test_chains_have_the_bits_of_their_steps(shape: tuple[int, int], axis: int) -> None:
    for tensor, _ in _layouts(_array(shape)):
        largest = _known(ad.max(tensor, axis=axis, keepdims=True))
        centred = _known(tensor - largest)
        terms = _known(ad.exp(centred))
        total = _known(ad.sum(terms, axis=axis, keepdims=True))
        steps = _known(terms * _known(1 / total))
        np.testing.assert_array_equal(ad.softmax(tensor, axis).numpy(), steps.numpy())
        # A difference that somebody else reads, too.
        difference = tensor - largest
        both = ad.exp(difference) + difference
        np.testing.assert_array_equal(both.numpy(), (terms + centred).numpy())


@pytest.mark.parametrize("shape", SIZES)
def test_rows_meet_what_all_rows_share(shape: tuple[int, int]) -> None:
    rows, columns = shape
    weight = ad.tensor(_array((1, columns))[0])
    bias = ad.tensor(_array((1, columns + 1))[0, 1:])
    place = ad.arange(columns)
    label = ad.tensor(np.arange(rows) * 7 % columns)
    for tensor, array in _layouts(_array(shape)):
        mean, variance = array.mean(1, keepdims=True, dtype=np.float64), array.var(1, keepdims=True, dtype=np.float64)
        exact = (array - mean) / np.sqrt(variance + 1e-5) * weight.numpy() + bias.numpy()
        got = ad.layer_norm(tensor, weight=weight, bias=bias)
        np.testing.assert_allclose(got.numpy(), exact, rtol=1e-3, atol=1e-4)
        chosen = ad.where(label.reshape(rows, 1) == place, tensor, 0.0)
        np.testing.assert_array_equal(ad.sum(chosen, axis=1).numpy(), array[np.arange(rows), label.numpy()])
        scaled = tensor * ad.sum(tensor, axis=1, keepdims=True)
        sums = _known(ad.sum(tensor, axis=1, keepdims=True))
        np.testing.assert_array_equal(scaled.numpy(), (tensor * sums).numpy())


@pytest.mark.parametrize("shape", [(17, 1000), (4100, 130), (300, 300)])
def test_cross_entropy_with_gradient(shape: tuple[int, int]) -> None:
    rows, classes = shape
    array = _array(shape)
    labels = np.arange(rows) * 3 % classes
    logits = ad.tensor(array, requires_grad=True)
    loss = ad.cross_entropy(logits, ad.tensor(labels))
    loss.backward()
    wide = array.astype(np.float64)
    terms = np.exp(wide - wide.max(1, keepdims=True))
    probabilities = terms / terms.sum(1, keepdims=True)
    np.testing.assert_allclose(loss.item(), -np.log(probabilities[np.arange(rows), labels]).mean(), rtol=1e-5)
    probabilities[np.arange(rows), labels] -= 1
    assert logits.grad is not None
    np.testing.assert_allclose(logits.grad.numpy(), probabilities / rows, rtol=1e-3, atol=1e-8)
