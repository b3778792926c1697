"""Indexing against NumPy: reading, writing and gradients.

Depends on NumPy and hypothesis. Invariant: integers, slices, `...`, `None` and arrays mean what they mean to NumPy.
"""

from __future__ import annotations

import itertools
import random

import adret as ad
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5)


@st.composite
def cases(draw: st.DrawFn) -> tuple[tuple[int, ...], object]:
    shape = draw(SHAPES)
    return shape, draw(hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True))


def numbers(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape)


@given(cases())
@settings(max_examples=300, deadline=None)
def test_reading(case: tuple[tuple[int, ...], object]) -> None:
    shape, index = case
    array = numbers(shape)
    result = ad.tensor(array)[index]
    assert result.shape == np.shape(array[index])
    np.testing.assert_array_equal(result.numpy(), array[index])


@given(cases())
@settings(max_examples=200, deadline=None)
def test_writing(case: tuple[tuple[int, ...], object]) -> None:
    shape, index = case
    array = numbers(shape)
    tensor = ad.tensor(array)
    before = tensor.numpy()
    tensor[index] = -1
    expected = array.copy()
    expected[index] = -1
    np.testing.assert_array_equal(tensor.numpy(), expected)
    np.testing.assert_array_equal(before, array)


@given(cases())
@settings(max_examples=60, deadline=None)
def test_gradients_go_back_to_their_places(case: tuple[tuple[int, ...], object]) -> None:
    shape, index = case
    x = ad.tensor(numbers(shape), requires_grad=True)
    part = x[index]
    part.backward(ad.ones(part.shape))
    expected = np.zeros(shape, np.float32)
    expected[index] = 1
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), expected)


@st.composite
def gathers(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[object, ...]]:
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=5))
    axis = draw(st.integers(0, len(shape) - 1))
    positions = draw(
        hnp.arrays(
            np.int64, hnp.array_shapes(max_dims=2, max_side=4), elements=st.integers(-shape[axis], shape[axis] - 1)
        )
    )
    return shape, (*(slice(None),) * axis, positions)


@given(gathers())
@settings(max_examples=100, deadline=None)
def test_integer_arrays(case: tuple[tuple[int, ...], tuple[object, ...]]) -> None:
    shape, index = case
    array = numbers(shape)
    np.testing.assert_array_equal(ad.tensor(array)[index].numpy(), array[index])
    mine = (*index[:-1], ad.tensor(index[-1]))
    np.testing.assert_array_equal(ad.tensor(array)[mine].numpy(), array[index])


def test_several_integer_arrays() -> None:
    array = numbers((4, 5, 6))
    rows, columns = np.array([0, 2, 3]), np.array([1, -1, 0])
    np.testing.assert_array_equal(ad.tensor(array)[rows, columns].numpy(), array[rows, columns])
    np.testing.assert_array_equal(ad.tensor(array)[rows[:, None], columns].numpy(), array[rows[:, None], columns])
    np.testing.assert_array_equal(ad.tensor(array)[rows, :, columns].numpy(), array[rows, :, columns])


@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=6)))
@settings(max_examples=60, deadline=None)
def test_masks(mask: np.ndarray) -> None:
    array = numbers((*mask.shape, 2))
    tensor = ad.tensor(array)
    np.testing.assert_array_equal(tensor[mask].numpy(), array[mask])
    np.testing.assert_array_equal(tensor[ad.tensor(mask)].numpy(), array[mask])
    tensor[ad.tensor(mask)] = 7
    array[mask] = 7
    np.testing.assert_array_equal(tensor.numpy(), array)


def test_a_mask_computed_from_the_tensor() -> None:
    x = ad.tensor([3.0, -1.0, 2.0, -5.0])
    x[x < 0] = 0
    assert x.tolist() == [3.0, 0.0, 2.0, 0.0]
    assert x[x > 2].tolist() == [3.0]


TRUTHS = (
    True,
    False,
    None,
    ...,
    0,
    slice(None),
    slice(None, None, -1),
    np.array([0, 2, 1]),
    np.array([[True, False, True]]),
)


@pytest.mark.parametrize("shape", [(), (3,), (1, 3), (4, 3, 2)])
def test_single_truths_keep_or_empty_an_axis(shape: tuple[int, ...]) -> None:
    """`x[True]`, alone and among other entries, reads, writes and leads gradients back as in NumPy."""
    array = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    tried = 0
    triples = random.Random(1).sample(list(itertools.product(TRUTHS, repeat=3)), 40)
    for key in [*itertools.product(TRUTHS, repeat=2), *triples]:
        if not any(isinstance(entry, bool) for entry in key):
            continue
        try:
            expected = array[key]
        except (IndexError, ValueError):
            with pytest.raises((ad.OutOfRangeError, ad.ShapeError)):
                ad.tensor(array)[key]
            continue
        tried += 1
        x = ad.tensor(array, requires_grad=True)
        np.testing.assert_array_equal((x * 1)[key].detach().numpy(), expected)
        (x[key] * 3).sum().backward()
        assert x.grad is not None
        np.testing.assert_array_equal(x.grad.numpy(), 3.0 * np.isin(array, expected))
        y, written = ad.tensor(array), array.copy()
        y[key] = -1
        written[key] = -1
        np.testing.assert_array_equal(y.numpy(), written)
    assert tried > 0
    assert ad.tensor(array)[ad.tensor(True)].shape == (1, *shape)


def test_lists_are_arrays() -> None:
    x = ad.arange(5)
    assert x[[0, -1]].tolist() == [0, 4]
    assert x[[True, False, True, False, False]].tolist() == [0, 2]
    assert x[[]].shape == (0,)


def test_tensors_and_numpy_integers_are_indices() -> None:
    x = ad.arange(5)
    assert x[ad.tensor(3)].item() == 3
    assert x[np.int32(2)].item() == 2
    assert x[: np.int64(2)].tolist() == [0, 1]
    assert [10, 20, 30][ad.tensor(1)] == 20


def test_writing_arrays_broadcasts_and_converts() -> None:
    x = ad.zeros((2, 3))
    x[:, 1] = ad.tensor([5, 6])
    x[0] = [1, 2, 3]
    x[1, 2] = np.float64(9)
    assert x.tolist() == [[1.0, 2.0, 3.0], [0.0, 6.0, 9.0]]


def test_views_are_snapshots() -> None:
    x = ad.zeros(3)
    first = x[0]
    x[0] = 5
    assert first.item() == 0
    first += 1
    assert x.tolist() == [5.0, 0.0, 0.0]


def test_slices_beyond_every_integer() -> None:
    x = ad.arange(3)
    assert x[-(10**30) : 10**30].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("index", "error", "words"),
    [
        (3, ad.OutOfRangeError, "3"),
        (-4, ad.OutOfRangeError, "-4"),
        ((0, 0), ad.OutOfRangeError, "index"),
        ([0, 7], ad.OutOfRangeError, "7"),
        (slice(None, None, 0), ad.DomainError, "step"),
        ("a", TypeError, "str"),
        (1.5, (TypeError, ad.AdretError), "index"),
        (10**30, ad.OutOfRangeError, "index"),
        ([True, False], (ad.ShapeError, ad.OutOfRangeError), "index"),
    ],
)
def test_errors(index: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        ad.arange(3)[index]


def test_iteration_unpacks_rows() -> None:
    rows = list(ad.tensor([[1, 2], [3, 4]]))
    assert [row.tolist() for row in rows] == [[1, 2], [3, 4]]
    a, b = ad.tensor([1, 2])
    assert (a.item(), b.item()) == (1, 2)
    with pytest.raises(TypeError, match="0-d"):
        iter(ad.tensor(1))
    assert 2 in ad.tensor([1, 2])
    assert 3 not in ad.tensor([1, 2])
