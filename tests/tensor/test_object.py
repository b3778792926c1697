"""The Tensor object: printing, numbers, in-place writing, attributes.

Depends on adret. Invariant: in-place writing keeps identity, shape and dtype.
"""

from __future__ import annotations

import operator

import adret as ad
import numpy as np
import pytest


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (ad.tensor(1.0), "tensor(1.)"),
        (ad.tensor([1.0, 2.5]), "tensor([1.0000, 2.5000])"),
        (ad.tensor([[1.0, 2.0], [3.0, 4.0]], dtype="float64", requires_grad=True),
         "tensor([[1., 2.],\n        [3., 4.]], dtype=float64, requires_grad=True)"),
        (ad.tensor([1, -20]), "tensor([  1, -20])"),
        (ad.tensor([1, 2], dtype="int8"), "tensor([1, 2], dtype=int8)"),
        (ad.tensor([True, False]), "tensor([ True, False])"),
        (ad.tensor([float("nan"), float("inf"), -1.0]), "tensor([nan, inf, -1.])"),
        (ad.tensor([1e-8, 1.5]), "tensor([1.0000e-08, 1.5000e+00])"),
        (ad.tensor([1e10]), "tensor([1.0000e+10])"),
        (ad.zeros(0), "tensor([])"),
        (ad.zeros((2, 0)), "tensor([], shape=(2, 0))"),
        (ad.zeros(0, dtype="int64"), "tensor([], dtype=int64)"),
        (ad.zeros((1, 2, 2)), "tensor([[[0., 0.],\n         [0., 0.]]])"),
        (ad.zeros((2, 1, 1)), "tensor([[[0.]],\n\n        [[0.]]])"),
        (ad.arange(1001), "tensor([   0,    1,    2, ...,  998,  999, 1000])"),
    ],
)  # fmt: skip
def test_printing(tensor: ad.Tensor, text: str) -> None:
    if "nan" in text:
        text = "tensor([nan, inf, -1.])".replace(", -1.", ", -1.")
    assert repr(tensor) == text


def test_long_rows_wrap() -> None:
    lines = repr(ad.arange(100)).splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[1].startswith("        ")


def test_formatting() -> None:
    assert f"{ad.tensor(3.14159):.2f}" == "3.14"
    assert f"{ad.tensor([1, 2])}" == "tensor([1, 2])"
    assert f"{ad.tensor(5)}" == "tensor(5)"
    assert f"{ad.tensor(5):03d}" == "005"


def test_numbers() -> None:
    assert (float(ad.tensor([2.5])), int(ad.tensor(2.9)), bool(ad.tensor(0)), operator.index(ad.tensor(7))) == (
        2.5,
        2,
        False,
        7,
    )
    for function in (float, int, ad.Tensor.item, bool):
        with pytest.raises(ad.DomainError, match="2"):
            function(ad.tensor([1, 2]))
    with pytest.raises(TypeError):
        operator.index(ad.tensor(1.0))
    assert ad.tensor(2**63, dtype="uint64").item() == 2**63
    assert round(ad.tensor(1.6)).item() == 2


def test_attributes() -> None:
    x = ad.zeros((2, 3), dtype="int16")
    assert (x.shape, x.ndim, x.size, x.itemsize, x.nbytes, x.device, len(x)) == ((2, 3), 2, 6, 2, 12, "cpu", 2)
    assert x.T.shape == (3, 2)
    assert ad.zeros((4, 2, 3)).mT.shape == (4, 3, 2)
    with pytest.raises(ad.ShapeError, match="mT"):
        _ = ad.zeros((4, 2, 3)).T
    assert x.__array_namespace__() is ad
    with pytest.raises(AttributeError):
        x.shape = (3, 2)


def test_tensors_are_keys_by_identity() -> None:
    x, y = ad.ones(2), ad.ones(2)
    table = {x: 1, y: 2}
    assert (table[x], table[y]) == (1, 2)


def test_dtype_objects() -> None:
    assert ad.float32 is ad.zeros(1).dtype
    assert repr(ad.float32) == "adret.float32"
    assert {ad.float32: 1}[ad.zeros(1).dtype] == 1
    assert ad.float32 != ad.float64
    assert (ad.int8.name, ad.int8.itemsize, ad.int8.is_floating_point) == ("int8", 1, False)


def test_in_place_keeps_identity() -> None:
    x = ad.ones(3)
    y = x
    x += 1
    x *= ad.tensor([1.0, 2.0, 3.0])
    x -= 1
    x /= 2
    x **= 2
    assert x is y
    np.testing.assert_allclose(y.numpy(), [0.25, 2.25, 6.25])
    i = ad.tensor([5, 6])
    i //= 2
    i %= 2
    i |= 4
    i <<= 1
    assert i.tolist() == [8, 10]


@pytest.mark.parametrize(
    ("write", "error"),
    [
        (lambda x: operator.iadd(x, ad.ones((2, 3))), ad.ShapeError),
        (lambda x: operator.iadd(x, ad.ones(3, dtype="float64")), ad.DTypeError),
        (lambda x: operator.iadd(x, "a"), TypeError),
        (lambda x: x.assign(ad.ones(2)), ad.ShapeError),
        (lambda x: x.assign(ad.ones(3, dtype="float64")), ad.DTypeError),
    ],
)
def test_in_place_keeps_shape_and_dtype(write, error: type[Exception]) -> None:
    x = ad.ones(3)
    with pytest.raises(error):
        write(x)
    assert x.tolist() == [1.0, 1.0, 1.0]


def test_integers_stay_integers_in_place() -> None:
    x = ad.tensor([1, 2])
    with pytest.raises(ad.DTypeError, match="float32"):
        x += 1.5
    with pytest.raises(ad.DTypeError):
        x /= 2


@pytest.mark.parametrize(
    "write",
    [lambda x: operator.iadd(x, 1), lambda x: operator.setitem(x, 0, 1.0), ad.Tensor.zero_, lambda x: x.assign(0)],
)
def test_leaves_are_written_under_no_grad_only(write) -> None:
    x = ad.ones(3, requires_grad=True)
    with pytest.raises(ad.GradError, match="no_grad"):
        write(x)
    with ad.no_grad():
        write(x)
    assert (x.requires_grad, x.is_leaf) == (True, True)


def test_a_written_leaf_keeps_gathering() -> None:
    x = ad.ones(2, requires_grad=True)
    (x * 3).sum().backward()
    with ad.no_grad():
        x -= x.grad
    assert x.tolist() == [-2.0, -2.0]
    (x * x).sum().backward()
    assert x.grad.tolist() == [-1.0, -1.0]


def test_what_was_computed_keeps_the_old_value() -> None:
    x = ad.ones(2)
    y = x * 2
    x += 5
    assert y.tolist() == [2.0, 2.0]


def test_assigning_under_no_grad_records_nothing() -> None:
    w = ad.ones(2, requires_grad=True)
    x = ad.zeros(2)
    with ad.no_grad():
        x.assign(w)
    assert not x.requires_grad
    x.assign(w)
    assert (x.requires_grad, x.is_leaf) == (True, False)


def test_clones_of_leaves_are_not_leaves() -> None:
    w = ad.ones(2, requires_grad=True)
    for y in (w.clone(), +w, w.reshape(2), w.astype(ad.float32)):
        assert (y.requires_grad, y.is_leaf) == (True, False)
        y.sum().backward()
    assert w.grad.tolist() == [4.0, 4.0]
    assert w.to("cpu") is w
    assert w.float() is w


def test_requires_grad() -> None:
    x = ad.ones(2)
    x.requires_grad = True
    assert x.requires_grad_() is x
    y = x * 2
    with pytest.raises(ad.GradError, match="detach"):
        y.requires_grad = False
    x.requires_grad = False
    assert not (x * 2).requires_grad
    with pytest.raises(ad.DTypeError, match="astype"):
        ad.tensor([1], requires_grad=True)


def test_grad_can_be_set() -> None:
    x = ad.ones(2, requires_grad=True)
    x.grad = ad.zeros(2)
    x.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]
    with pytest.raises(ad.ShapeError):
        x.grad = ad.zeros(3)
    x.grad = None
    assert x.grad is None
    with pytest.raises(ad.GradError):
        ad.ones(2).grad = ad.zeros(2)


def test_weak_scalars() -> None:
    assert (ad.ones(1, dtype="float16") + 1.5).dtype == ad.float16
    assert (ad.ones(1, dtype="int8") + 1).dtype == ad.int8
    assert (ad.ones(1, dtype="int8") + 1.5).dtype == ad.float32
    assert (ad.tensor([True]) + 1).dtype == ad.int64
    assert (2 ** ad.tensor([3])).tolist() == [8]
    assert (1 - ad.tensor([3])).tolist() == [-2]
    with pytest.raises(ad.DomainError):
        ad.ones(1, dtype="int8") + 300


def test_errors_are_builtin_errors_too() -> None:
    for error, builtin in [
        (ad.ShapeError, ValueError), (ad.DTypeError, TypeError), (ad.DeviceError, RuntimeError),
        (ad.OutOfRangeError, IndexError), (ad.DomainError, ValueError), (ad.GradError, RuntimeError),
        (ad.OutOfMemoryError, MemoryError), (ad.InternalError, RuntimeError),
    ]:  # fmt: skip
        assert issubclass(error, ad.AdretError)
        assert issubclass(error, builtin)
        assert error.__module__ == "adret"


def test_conversions() -> None:
    x = ad.tensor([1.5, 0.0])
    assert [x.double().dtype, x.half().dtype, x.long().dtype, x.int().dtype, x.bool().dtype] == [
        ad.float64, ad.float16, ad.int64, ad.int32, ad.bool,
    ]  # fmt: skip
    assert x.to(ad.int8).tolist() == [1, 0]
    assert x.to("float64").dtype == ad.float64
    assert x.to(ad.zeros(1, dtype="int16")).dtype == ad.int16


def test_info() -> None:
    assert ad.isdtype(ad.float32, ("integral", "real floating"))
    assert ad.finfo(ad.float32).max == np.finfo(np.float32).max
    assert ad.finfo("float16").smallest_normal == np.finfo(np.float16).smallest_normal
    assert ad.result_type(ad.ones(1, dtype="int32"), ad.float32, 1.0) == ad.float64
    assert [x.shape for x in ad.meshgrid(ad.arange(2), ad.arange(3), indexing="ij")] == [(2, 3), (2, 3)]
    assert set(ad.__array_namespace_info__().dtypes(kind="signed integer")) == {"int8", "int16", "int32", "int64"}
