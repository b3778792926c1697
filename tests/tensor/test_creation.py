"""Tensors from Python data.

Depends on NumPy. Invariant: floats become float32, integers int64, truths bool; arrays keep their dtype.
"""

from __future__ import annotations

import array
import copy
import math
import pickle

import adret as ad
import numpy as np
import pytest


@pytest.mark.parametrize(
    ("data", "dtype", "shape"),
    [
        (1, "int64", ()),
        (1.5, "float32", ()),
        (True, "bool", ()),
        ([1, 2], "int64", (2,)),
        ([1, 2.5], "float32", (2,)),
        ([True, 2], "int64", (2,)),
        ([[True], [False]], "bool", (2, 1)),
        ([], "float32", (0,)),
        ([[], []], "float32", (2, 0)),
        (((1.0,), (2.0,)), "float32", (2, 1)),
        (2**63, "uint64", ()),
        ([2**63], "uint64", (1,)),
        (np.float64(1), "float64", ()),
        (np.int8(1), "int8", ()),
        ([np.float64(1), 2], "float64", (2,)),
        (np.arange(3, dtype=np.uint16), "uint16", (3,)),
        ([np.arange(2, dtype=np.int8), [3, 4]], "int8", (2, 2)),
        (array.array("d", [1, 2]), "float64", (2,)),
        (b"ab" and memoryview(b"ab"), "uint8", (2,)),
        (bytearray(b"abc"), "uint8", (3,)),
        (range(3) and list(range(3)), "int64", (3,)),
        (np.array(2.0), "float64", ()),
        (np.arange(4.0)[::-2], "float64", (2,)),
    ],
)
def test_dtypes_and_shapes(data: object, dtype: str, shape: tuple[int, ...]) -> None:
    tensor = ad.tensor(data)
    assert (tensor.dtype.name, tensor.shape) == (dtype, shape)
    np.testing.assert_array_equal(tensor.numpy(), np.asarray(data, dtype=dtype))


def test_tensors_inside_lists() -> None:
    assert ad.tensor([ad.tensor([1, 2]), ad.tensor([3, 4])]).tolist() == [[1, 2], [3, 4]]
    assert ad.tensor([ad.tensor(1.5, dtype="float64"), 2]).dtype == ad.float64


def test_a_dtype_converts() -> None:
    assert ad.tensor([1.7, -1.7], dtype=ad.int32).tolist() == [1, -1]
    assert ad.tensor([0, 2], dtype="bool").tolist() == [False, True]
    assert ad.tensor([1, 2], dtype=np.float64).dtype == ad.float64
    assert ad.tensor([1, 2], dtype=np.dtype("int8")).dtype == ad.int8
    assert ad.tensor(2**63, dtype=ad.float64).item() == 2.0**63
    assert ad.tensor(1, dtype=float).dtype == ad.float32


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ([[1, 2], [3]], r"\[1\]"),
        ([[1], 2], r"\[1\]"),
        ([1, [2]], r"\[1\]"),
        ([[[1], [2]], [[3], [4, 5]]], r"\[1\]\[1\]"),
    ],
)
def test_ragged_lists_name_the_place(data: object, place: str) -> None:
    with pytest.raises(ad.ShapeError, match=place):
        ad.tensor(data)


@pytest.mark.parametrize(
    "data", ["abc", ["a"], 1j, [1j], None, [None], {1: 2}, {1}, object(), np.array(["a"]), np.array([1j])]
)
def test_what_is_no_number_is_refused(data: object) -> None:
    with pytest.raises(ad.DTypeError, match=r"\. .+\."):
        ad.tensor(data)


def test_a_list_that_contains_itself() -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(ad.ShapeError, match="deep"):
        ad.tensor(loop)


@pytest.mark.parametrize(
    ("value", "dtype"), [(300, "uint8"), (-1, "uint32"), (2**31, "int32"), (2**64, "uint64"), ([1, 2**100], None)]
)
def test_integers_that_do_not_fit(value: object, dtype: str | None) -> None:
    with pytest.raises(ad.DomainError):
        ad.tensor(value, dtype=dtype)


def test_special_numbers() -> None:
    assert ad.tensor([math.inf, -math.inf]).tolist() == [math.inf, -math.inf]
    assert math.isnan(ad.tensor(math.nan).item())


def test_copies_of_tensors_have_no_history() -> None:
    x = ad.ones(2, requires_grad=True)
    assert not ad.tensor(x * 2).requires_grad
    assert ad.tensor(x, requires_grad=True).is_leaf


def test_pickles() -> None:
    for tensor in (ad.arange(6).reshape(2, 3).T, ad.ones(2, dtype=ad.bfloat16), ad.tensor(1.5, requires_grad=True)):
        again = pickle.loads(pickle.dumps(tensor))
        assert (again.tolist(), again.dtype, again.requires_grad) == (
            tensor.tolist(),
            tensor.dtype,
            tensor.requires_grad,
        )
    assert pickle.loads(pickle.dumps(ad.float32)) == ad.float32
    parameter = pickle.loads(pickle.dumps(ad.nn.Parameter(ad.ones(2))))
    assert isinstance(parameter, ad.nn.Parameter)
    assert parameter.requires_grad


def test_copies() -> None:
    x = ad.ones(2, requires_grad=True)
    y = copy.deepcopy(x)
    assert (y is not x, y.is_leaf, y.requires_grad) == (True, True, True)
    y.sum().backward()
    assert x.grad is None
    with pytest.raises(ad.GradError, match="detach"):
        copy.deepcopy(x * 2)
    model = copy.deepcopy(ad.nn.Linear(2, 1))
    assert isinstance(model.weight, ad.nn.Parameter)


def test_sizes() -> None:
    assert ad.zeros(()).shape == ()
    assert ad.zeros([2, np.int64(3)]).shape == (2, 3)
    with pytest.raises(ad.ShapeError, match="-1"):
        ad.zeros(-1)
    with pytest.raises(ad.ShapeError):
        ad.zeros((2**40, 2**40))
    with pytest.raises(TypeError):
        ad.zeros(1.5)


def test_unknown_names() -> None:
    with pytest.raises(ad.DTypeError, match="float32"):
        ad.zeros(1, dtype="float31")
    with pytest.raises(ad.DeviceError, match="cuda"):
        ad.zeros(1, device="cuda")


def test_the_default_dtype() -> None:
    ad.set_default_dtype(ad.float64)
    try:
        assert [x.dtype for x in (ad.tensor(1.5), ad.zeros(1), ad.tensor([1.0]), ad.random.rand(1))] == [ad.float64] * 4
    finally:
        ad.set_default_dtype(ad.float32)
    with pytest.raises(ad.DTypeError):
        ad.set_default_dtype(ad.int64)
