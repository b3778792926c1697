"""Every row against its reference: each claimed dtype in each layout, and each dtype not claimed.

Depends on the table and the layouts.
"""

from __future__ import annotations

import os

import adret as ad
import numpy as np
import pytest
from layouts import LAYOUTS, SHORT, download, place
from rows.creation import Creation
from rows.record import ALL, Row, Values
from table import CREATIONS, ROWS

GPU_DTYPES = ("float32", "float16", "int32", "bool")
DISABLED = os.environ.get("ADRET_GPU_DISABLE", "").replace("f64", "float64").split(",")
GPU_MORE = ("bfloat16", "uint32", "int16", "uint16", "int8", "uint8")


def lacks(device: str) -> set[str]:
    """What the adapter does not have."""
    features = ad.devices()[device]["features"]
    wide = {"float64": "float64", "int64": "int64", "uint64": "int64"}
    return {dtype for dtype, feature in wide.items() if feature not in features or feature in DISABLED}


def on_device(dtype: str, device: str) -> str:
    """The dtype that stands for another on a device: GPUs have 32-bit integers in place of 64-bit ones."""
    return {"int64": "int32", "uint64": "uint32"}.get(dtype, dtype) if device == "gpu" else dtype


def dtype_of(values: Values, dtype: str, device: str = "cpu") -> str:
    """What an operand's dtype is when the row's is `dtype`."""
    return on_device(values.fixed or dtype, device)


def results(row: Row, tensors: list[ad.Tensor]) -> list[ad.Tensor]:
    """The call's results as a list."""
    result = row.call(*tensors)
    return list(result) if isinstance(result, tuple | list) else [result]


def compare(row: Row, dtype: str, shapes: tuple, layout: str, device: str) -> str:
    """What is wrong with one call, or nothing."""
    values = row.sample(len(shapes[0]), dtype, shapes)
    placed = [
        place(v, dtype_of(domain, dtype, device), layout, device) for v, domain in zip(values, row.inputs, strict=True)
    ]
    operands = [v for _, v in placed]
    expected, scale = row.expected(operands), row.cancelling(operands)
    got = results(row, [tensor for tensor, _ in placed])
    if len(got) != len(expected):
        return f"{len(got)} results, expected {len(expected)}"
    for tensor, reference in zip(got, expected, strict=True):
        wanted = row.result(dtype) if row.name == "astype" else on_device(row.result(dtype), device)
        if str(tensor.dtype).removeprefix("adret.") != wanted:
            return f"dtype {tensor.dtype}, expected {wanted}"
        if tensor.shape != reference.shape:
            return f"shape {tensor.shape}, expected {reference.shape}"
        if tensor.device != ("gpu:0" if device == "gpu" else device) and tensor.device != device:
            return f"device {tensor.device}"
        problem = row.mismatch(download(tensor), reference, wanted, scale)
        if problem:
            return problem
    return ""


def failures(row: Row, dtypes: tuple[str, ...], layouts: tuple[str, ...], device: str, shapes_of: tuple) -> list[str]:
    """All failing combinations."""
    found = []
    for dtype in dtypes:
        for shapes in shapes_of:
            for layout in layouts:
                try:
                    problem = compare(row, dtype, shapes, layout, device)
                except Exception as error:
                    problem = f"{type(error).__name__}: {error}"
                if problem:
                    found.append(f"{dtype} {shapes} {layout}: {problem}")
    return found


def report(found: list[str]) -> str:
    """The first failures, and how many."""
    return f"{len(found)} failures\n" + "\n".join(found[:8])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.label)
def test_forward(row: Row, device: str, full: bool) -> None:
    """Values, dtype, shape and device of the result."""
    if device == "cpu":
        found = failures(row, row.dtypes, LAYOUTS, device, row.shapes)
    else:
        tried = [d for d in GPU_DTYPES + (GPU_MORE if full else ()) if d in {on_device(d, device) for d in row.dtypes}]
        asked = lacks(device) if row.name == "astype" else lacks(device) & {"float64"}
        lacking = tuple(d for d in tried if row.result(d) in asked)
        # The first shape, and the last, which is the largest.
        shapes = row.shapes if full else (row.shapes[0], *row.shapes[1:][-1:])
        found = failures(row, tuple(d for d in tried if d not in lacking), LAYOUTS if full else SHORT, device, shapes)
        for dtype in lacking:
            values = row.sample(0, dtype, row.shapes[0])
            tensors = [
                place(v, dtype_of(d, dtype, device), "contiguous", device)[0]
                for v, d in zip(values, row.inputs, strict=True)
            ]
            with pytest.raises(ad.DTypeError, match=r"gpu.*astype"):
                row.call(*tensors)
    assert not found, report(found)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.label)
def test_unclaimed_dtypes_raise(row: Row) -> None:
    """A dtype that a row does not claim gives a DTypeError that names it."""
    found = []
    follows = [domain.fixed is None for domain in row.inputs]
    for dtype in ALL if any(follows) and row.refuses else ():
        if dtype in row.dtypes:
            continue
        values = row.sample(0, dtype, row.shapes[0])
        tensors = [place(v, dtype_of(d, dtype), "contiguous")[0] for v, d in zip(values, row.inputs, strict=True)]
        try:
            row.call(*tensors)
        except ad.DTypeError as error:
            if dtype not in str(error) and not str(error).startswith(("bce", "cross", "nll")):
                found.append(f"{dtype}: not named in {error}")
        except Exception as error:
            found.append(f"{dtype}: {type(error).__name__}: {error}")
        else:
            found.append(f"{dtype}: accepted")
    assert not found, report(found)


@pytest.mark.parametrize("row", CREATIONS, ids=lambda row: row.label)
def test_creation(row: Creation, device: str) -> None:
    """Every dtype that can be made holds the reference's values."""
    found = []
    for dtype in row.dtypes if device == "cpu" else tuple(d for d in GPU_DTYPES if d in row.dtypes):
        tensor, expected = row.call(dtype, device), row.expected(dtype)
        got = download(tensor)
        close = np.allclose(
            got, expected, rtol=1e-6 if dtype == "float32" else 1e-2 if "16" in dtype else 1e-15, atol=0
        )
        if tensor.shape != expected.shape or not (np.array_equal(got, expected) or (row.name == "linspace" and close)):
            found.append(f"{dtype}: {got!r}, expected {expected!r}")
        if tensor.dtype != getattr(ad, dtype):
            found.append(f"{dtype}: made {tensor.dtype}")
    assert not found, report(found)


@pytest.mark.parametrize("row", CREATIONS, ids=lambda row: row.label)
def test_creation_refuses_other_dtypes(row: Creation) -> None:
    """What a creation function cannot make raises."""
    accepted = []
    for dtype in ALL:
        if dtype in row.dtypes or not row.refuses:
            continue
        try:
            ad.eval(row.call(dtype, "cpu"))
        except (ad.DTypeError, ad.DomainError):
            continue
        accepted.append(dtype)
    assert not accepted


@pytest.mark.parametrize("dtype", ALL)
def test_empty(dtype: str) -> None:
    """Shape and dtype; the values are anyone's."""
    for tensor in (ad.empty((2, 3), dtype=dtype), ad.empty_like(ad.zeros((2, 3)), dtype=getattr(ad, dtype))):
        assert (tensor.shape, tensor.dtype) == ((2, 3), getattr(ad, dtype))
        download(tensor)
