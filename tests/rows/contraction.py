"""Rows of what is composed in Python: contractions, differences, comparisons with a tolerance, searches.

Depends on `record`. Invariant: as in the other rows.
"""

from __future__ import annotations

import adret as ad
import numpy as np

from .record import ALL, NUMBERS, SMALL, Row, Values, always, real, wide

_EQUATIONS: dict[str, tuple[tuple[int, ...], ...]] = {
    "ij,jk->ik": ((2, 3), (3, 2)),
    "...ij,jk": ((2, 1, 2), (2, 3)),
    "bij,bkj->bik": ((2, 1, 2), (2, 2, 2)),
    "i,j": ((2,), (3,)),
    "ij,ij->i": ((2, 3), (2, 3)),
    "iij->j": ((2, 2, 3),),
    "ij->": ((2, 3),),
    "ij,jk,kl->li": ((2, 1), (1, 2), (2, 3)),
    "i...,i...->...": ((3, 2), (3, 2)),
}


def _einsum(equation: str, shapes: tuple[tuple[int, ...], ...]) -> Row:
    return Row(
        "einsum",
        lambda *x: ad.einsum(equation, *x),
        lambda *x: np.einsum(equation, *x),
        (SMALL,) * len(shapes),
        (shapes,),
        NUMBERS,
        gradient=True,
        ulps=4,
        magnitude=lambda *x: np.einsum(equation, *map(np.abs, x)),
        variant=equation,
        refuses=False,
    )


def _tensordot(axes, shapes) -> Row:
    return Row(
        "tensordot",
        lambda a, b: ad.tensordot(a, b, axes=axes),
        lambda a, b: np.tensordot(a, b, axes),
        (SMALL, SMALL),
        (shapes,),
        NUMBERS,
        gradient=True,
        ulps=4,
        magnitude=lambda a, b: np.tensordot(np.abs(a), np.abs(b), axes),
        variant=f"axes {axes}",
    )


def _best(x: np.ndarray, axis: int) -> np.ndarray:
    return np.flip(np.sort(x, axis), axis).take([0, 1], axis)


ROWS = [
    *(_einsum(equation, shapes) for equation, shapes in _EQUATIONS.items()),
    _tensordot(2, ((1, 3, 2), (3, 2))),
    _tensordot(0, ((2,), (3,))),
    _tensordot(([-1, 0], [0, 1]), ((2, 1, 3), (3, 2))),
    Row(
        "diff",
        ad.diff,
        np.diff,
        (SMALL,),
        (((3, 4),), ((5,),), ((2, 1),), ((0, 3),)),
        NUMBERS,
        gradient=True,
        ulps=1,
        scale=4,
    ),
    Row(
        "diff",
        lambda x: ad.diff(x, n=2, axis=0, prepend=x[:1]),
        lambda x: np.diff(x, 2, 0, prepend=x[:1]),
        (SMALL,),
        (((3, 4),),),
        NUMBERS,
        gradient=True,
        ulps=2,
        scale=8,
        variant="twice",
    ),
    Row(
        "logaddexp",
        ad.logaddexp,
        wide(np.logaddexp),
        (SMALL, SMALL),
        (((3, 4), (3, 4)), ((3, 1), (4,)), ((), ()), ((0,), (0,))),
        ALL,
        real,
        gradient=True,
        scale=4,
    ),
    Row(
        "isclose",
        lambda a, b: ad.isclose(a, b, rtol=0.25, atol=0.25),
        wide(lambda a, b: np.isclose(a, b, 0.25, 0.25)),
        (SMALL, Values(-2.01, 1.97, integers=(-9, 9))),
        (((3, 4), (3, 4)), ((3, 1), (4,)), ((0,), (0,))),
        ALL,
        always("bool"),
    ),
    Row(
        "topk",
        lambda x: ad.topk(x, 2).values,
        lambda x: _best(x, -1),
        (Values(distinct=True),),
        (((3, 4),), ((2,),), ((0, 2),)),
        ALL,
        gradient=True,
        ulps=0,
        variant="values",
    ),
    Row(
        "topk",
        lambda x: ad.topk(x, 2, axis=0, largest=False).indices,
        lambda x: np.argsort(x, 0, kind="stable")[:2],
        (SMALL,),
        (((3, 4),), ((2,),)),
        ALL,
        always("int64"),
        variant="indices",
    ),
    *(
        Row(
            "searchsorted",
            lambda x, v, side=side: ad.searchsorted(ad.sort(x), v, side=side),
            lambda x, v, side=side: np.searchsorted(np.sort(x), v, side),
            (SMALL, SMALL),
            (((9,), (3, 4)), ((1,), (4,)), ((0,), (3,)), ((16,), ())),
            ALL,
            always("int64"),
            variant=side,
        )
        for side in ("left", "right")
    ),
]
