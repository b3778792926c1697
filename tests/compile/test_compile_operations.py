"""The table of operations, compiled: the same bits as plain calls, in layouts that change from call to call.

Depends on the table and the layouts.
"""

from __future__ import annotations

import adret as ad
import pytest
from layouts import download, place
from rows.record import Row
from table import ROWS

CALL_LAYOUTS = ["contiguous", "contiguous", "contiguous", "sliced", "transposed", "contiguous"]


def dtypes(row: Row) -> list[str]:
    """Two dtypes of a row, float32 among them where it is claimed."""
    first = [dtype for dtype in ("float32", "int64", "bool") if dtype in row.dtypes] or list(row.dtypes)
    return [first[0], row.dtypes[-1]] if row.dtypes[-1] != first[0] else first[:2]


def call(row: Row, function, tensors) -> list[bytes]:
    result = function(*tensors)
    return [download(tensor).tobytes() for tensor in (result if isinstance(result, tuple | list) else [result])]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.label)
def test_compiled_is_plain(row: Row) -> None:
    for dtype in dtypes(row):
        for shapes in row.shapes[:2]:
            compiled = ad.compile(row.call)
            for number, layout in enumerate(CALL_LAYOUTS):
                values = row.sample(number, dtype, shapes)
                tensors = [
                    place(v, domain.fixed or dtype, layout, "cpu")[0]
                    for v, domain in zip(values, row.inputs, strict=True)
                ]
                expected = call(row, row.call, tensors)
                got = call(row, compiled, tensors)
                assert got == expected, f"{row.label} {dtype} {shapes} {layout}, call {number + 1}"


@pytest.mark.parametrize("row", [row for row in ROWS if row.gradient], ids=lambda row: row.label)
def test_compiled_gradients_are_plain(row: Row) -> None:
    shapes = row.shapes[0]
    wanted = [number for number, domain in enumerate(row.inputs) if domain.differentiable]

    def loss(*tensors):
        result = row.call(*tensors)
        results = result if isinstance(result, tuple | list) else [result]
        return sum(((r.astype(ad.float32) * r.astype(ad.float32)).sum() for r in results), start=ad.zeros(()))

    gradients = ad.grad(loss, argnums=tuple(wanted))
    compiled = ad.compile(gradients)
    for number, layout in enumerate(CALL_LAYOUTS):
        values = row.sample(number, "float32", shapes)
        tensors = [
            place(v, domain.fixed or "float32", layout, "cpu")[0] for v, domain in zip(values, row.inputs, strict=True)
        ]
        assert call(row, compiled, tensors) == call(row, gradients, tensors), f"{row.label} {layout}, call {number + 1}"
