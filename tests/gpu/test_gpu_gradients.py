"""The table of operations on a GPU: gradients to second order, plain and compiled, and where the work is done.

Depends on the table and `ad.profile()`. Invariant: nothing of the table is computed by the CPU where the operands are
on a GPU; ELSEWHERE names what else is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import adret as ad
import numpy as np
import pytest
from layouts import download, place
from rows.record import Row
from table import ROWS

pytestmark = pytest.mark.parametrize("device", ["gpu"], indirect=True)

DIFFERENTIABLE = [row for row in ROWS if row.gradient]
WIDE = {"int64": "int32", "uint64": "uint32"}

# What asks the CPU although its tensors are on a GPU, as docs/gpu.md says. To be kept short.
ELSEWHERE: dict[str, Callable[[str], Any]] = {
    "a boolean mask that selects": lambda device: ad.ones(4, device=device)[ad.arange(4, device=device) > 1],
    "nonzero": lambda device: ad.nonzero(ad.arange(4, device=device))[0],
    "unique": lambda device: ad.unique_all(ad.tensor([2.0, 1.0, 2.0], device=device)).counts,
}


def operands(row: Row, device: str, dtype: str, layout: str, shapes: tuple) -> list[ad.Tensor]:
    """A row's operands on a device."""
    made = []
    for values, domain in zip(row.sample(3, "float32", shapes), row.inputs, strict=True):
        kind = domain.fixed or dtype
        made.append(place(values, WIDE.get(kind, kind), layout, device)[0])
    return made


def loss_of(row: Row, dtype: str) -> Callable[..., ad.Tensor]:
    """A number that depends on all results, each with a weight of its own."""

    def loss(*tensors: ad.Tensor) -> ad.Tensor:
        result = row.call(*tensors)
        parts = result if isinstance(result, tuple | list) else [result]
        squares = [(part.astype(dtype) ** 2).sum() * (1.0 + 0.5 * n) for n, part in enumerate(parts)]
        return sum(squares[1:], start=squares[0])

    return loss


def first_and_second(row: Row, dtype: str, tensors: list[ad.Tensor], compiled: bool = False) -> list[np.ndarray]:
    """The gradients, and those of the sum of their squares."""
    wanted = tuple(number for number, domain in enumerate(row.inputs) if domain.differentiable)
    gradients = ad.grad(loss_of(row, dtype), argnums=wanted)

    def squares(*tensors: ad.Tensor) -> ad.Tensor:
        found = gradients(*tensors)
        return sum(((part * part).mean() for part in found[1:]), start=(found[0] * found[0]).mean())

    functions = [gradients, ad.grad(squares, argnums=wanted)] if row.second else [gradients]
    functions = [ad.compile(function) for function in functions] if compiled else functions
    # A compiled function is recorded by its second call and replayed from the third on.
    for _ in range(2 if compiled else 0):
        for function in functions:
            function(*tensors)
    return [download(part) for function in functions for part in function(*tensors)]


@pytest.mark.parametrize("row", DIFFERENTIABLE, ids=lambda row: row.label)
def test_gradients_agree_with_the_cpu(row: Row, device: str, full: bool) -> None:
    shapes, layout = row.shapes[0], "contiguous"
    for shapes, layout in [(s, n) for s in (row.shapes if full else row.shapes[:1]) for n in ("contiguous", "sliced")]:
        if 0 in [size for shape in shapes for size in shape]:
            continue
        narrow = first_and_second(row, "float32", operands(row, "cpu", "float32", layout, shapes))
        exact = first_and_second(row, "float64", operands(row, "cpu", "float64", layout, shapes))
        there = operands(row, device, "float32", layout, shapes)
        ad.eval(*there)
        with ad.profile() as profile:
            plain = first_and_second(row, "float32", there)
        assert {record.device for record in profile.records} <= {device}, "computed elsewhere"
        compiled = first_and_second(row, "float32", there, compiled=True)
        for what, found in (("plain", plain), ("compiled", compiled)):
            for mine, theirs, reference in zip(found, narrow, exact, strict=True):
                assert mine.shape == theirs.shape
                # How far the CPU is from float64 shows what rounding does to this row.
                allowed = 24 * np.abs(theirs - reference).max(initial=0) + 1e-5 * np.abs(reference).max(initial=0)
                wrong = ~((np.abs(mine - theirs) <= allowed) | (mine == theirs) | (np.isnan(mine) & np.isnan(theirs)))
                assert not wrong.any(), f"{what} {layout} {shapes}: {mine[wrong][:4]}, expected {theirs[wrong][:4]}"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.label)
def test_nothing_is_computed_elsewhere(row: Row, device: str) -> None:
    dtype = next((dtype for dtype in ("float32", "int32", "bool") if dtype in row.dtypes), row.dtypes[0])
    made = []
    for values, domain in zip(row.sample(3, dtype, row.shapes[0]), row.inputs, strict=True):
        kind = domain.fixed or dtype
        made.append(place(values, WIDE.get(kind, kind), "contiguous", device)[0])
    ad.eval(*made)
    with ad.profile() as profile:
        result = row.call(*made)
        parts = result if isinstance(result, tuple | list) else [result]
        ad.eval(*parts)
    assert {part.device for part in parts} == {device}
    assert {record.device for record in profile.records} <= {device}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_asks_the_cpu(name: str, device: str) -> None:
    with ad.profile() as profile:
        result = ELSEWHERE[name](device)
        ad.eval(result)
    assert result.device == device
    asked = {record.name.split()[0] for record in profile.records if record.device == "cpu"}
    # The positions, and their conversion to the device's integers.
    assert asked <= {"nonzero", "group"} and "nonzero" in asked


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("permutation", lambda device: ad.random.permutation(100, device=device)),
        ("normal", lambda device: ad.random.normal((50,), device=device)),
        ("integers", lambda device: ad.random.integers(0, 9, shape=(50,), device=device)),
        ("a mask that is written through", lambda device: _masked(ad.ones(4, device=device))),
    ],
)
def test_drawing_and_writing_stay_there(name: str, call: Callable[[str], ad.Tensor], device: str) -> None:
    with ad.profile() as profile:
        result = call(device)
        ad.eval(result)
    assert result.device == device
    assert {record.device for record in profile.records} <= {device}


def _masked(x: ad.Tensor) -> ad.Tensor:
    x[x > 0] = 2.0
    return x
