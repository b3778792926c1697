"""Rows of products of matrices and vectors.

Depends on `record`. Invariant: sums of products are allowed an error that grows with their length.
"""

from __future__ import annotations

import adret as ad
import numpy as np

from .record import ALL, NUMBERS, SMALL, Row

_PRODUCTS = (
    ((3, 4), (4, 2)),
    ((4,), (4,)),
    ((4,), (4, 3)),
    ((3, 4), (4,)),
    ((2, 3, 4), (4, 2)),
    ((2, 1, 3, 4), (5, 4, 2)),
    ((0, 4), (4, 2)),
    ((3, 0), (0, 2)),
    ((1, 4), (4, 1)),
    ((33, 70), (70, 45)),
)


def _row(name, reference, shapes, dtypes=NUMBERS, call=None, variant="", **rest) -> Row:
    call = call or getattr(ad, name)
    return Row(
        name,
        call,
        reference,
        (SMALL,) * len(shapes[0]),
        shapes,
        dtypes,
        gradient=True,
        ulps=2,
        variant=variant,
        magnitude=lambda *x: reference(*map(np.abs, x)),
        **rest,
    )


ROWS = [
    _row("matmul", np.matmul, _PRODUCTS),
    _row(
        "matmul",
        lambda a, b: a @ np.swapaxes(b, -1, -2),
        (((3, 4), (2, 4)), ((2, 3, 4), (2, 5, 4))),
        call=lambda a, b: a @ b.mT,
        variant="transposed",
    ),
    _row("matmul", lambda a: a @ a.T, (((3, 4),), ((40, 30),)), call=lambda a: a @ a.T, variant="with itself"),
    _row("vecdot", lambda a, b: (a * b).sum(-1, dtype=a.dtype), (((3, 4), (3, 4)), ((4,), (4,)), ((2, 3), (3,))), ALL),
    _row("dot", lambda a, b: (a * b).sum(dtype=a.dtype), (((4,), (4,)), ((0,), (0,)))),
    _row("outer", np.multiply.outer, (((3,), (4,)), ((0,), (2,))), dtypes=ALL),
    _row(
        "linear", lambda x, w, b: x @ w.T + b, (((3, 4), (2, 4), (2,)), ((4,), (2, 4), (2,)), ((2, 3, 4), (5, 4), (5,)))
    ),
    _row("linear", lambda x, w: x @ w.T, (((3, 4), (2, 4)), ((0, 4), (2, 4))), variant="no bias"),
]
