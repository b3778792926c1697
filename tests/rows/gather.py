"""Rows of functions that take indices.

Depends on `record`. Invariant: indices are inside the axis; what happens outside stands in the table of errors.
"""

from __future__ import annotations

import adret as ad
import numpy as np

from .record import ALL, SMALL, Row, Values, always, indices, same


def _scatter_add(x: np.ndarray, places: np.ndarray, updates: np.ndarray) -> np.ndarray:
    result = x.copy()
    for column in range(x.shape[1]):
        for row in range(places.shape[0]):
            result[places[row, column], column] += updates[row, column]
    return result


def _written(x, key, value):
    if isinstance(x, ad.Tensor):
        x = x.clone()
    else:
        x = x.copy()
    x[key] = value
    return x


def _sorted(name, function, result, **settings) -> list[Row]:
    ours, distinct = getattr(ad, name), Values(distinct=True, integers=(-9, 9))
    shapes = (((3, 4),), ((5,),), ((0, 3),), ((2, 3, 70),), ((1037,),))
    return [
        Row(
            name,
            lambda x: ours(x),
            lambda x: function(x, axis=-1, kind="stable"),
            (distinct,),
            shapes,
            ALL,
            result,
            **settings,
        ),
        Row(
            name,
            lambda x: ours(x, axis=0),
            lambda x: function(x, axis=0, kind="stable"),
            (distinct,),
            shapes,
            ALL,
            result,
            variant="axis=0",
            **settings,
        ),
    ]


ROWS = [
    *_sorted("sort", np.sort, same, gradient=True, ulps=0),
    *_sorted("argsort", np.argsort, always("int64")),
    Row(
        "sort",
        lambda x: ad.sort(x, descending=True),
        lambda x: np.sort(x)[..., ::-1],
        (Values(distinct=True),),
        (((3, 4),),),
        ALL,
        gradient=True,
        ulps=0,
        variant="descending",
    ),
    Row(
        "take",
        lambda x, i: ad.take(x, i, axis=0),
        lambda x, i: np.take(x, i, 0),
        (SMALL, indices(3, -3)),
        (((3, 4), (5,)), ((3, 2), (2, 2)), ((3,), ()), ((3, 0), (2,)), ((3, 40), (0,))),
        gradient=True,
        ulps=0,
    ),
    Row(
        "take",
        lambda x, i: ad.take(x, i, axis=-1),
        lambda x, i: np.take(x, i, -1),
        (SMALL, indices(4)),
        (((3, 4), (5,)), ((2, 3, 4), (2, 2))),
        gradient=True,
        ulps=0,
        variant="last axis",
    ),
    Row(
        "take_along_axis",
        lambda x, i: ad.take_along_axis(x, i, axis=1),
        lambda x, i: np.take_along_axis(x, i, 1),
        (SMALL, indices(4, -4)),
        (((3, 4), (3, 2)), ((2, 4, 3), (2, 5, 3)), ((0, 4), (0, 2))),
        gradient=True,
        ulps=0,
    ),
    Row(
        "scatter_add",
        lambda x, i, u: ad.scatter_add(x, i, u, axis=0),
        _scatter_add,
        (SMALL, indices(3), SMALL),
        (((3, 2), (4, 2), (4, 2)), ((3, 4), (5, 4), (5, 4)), ((3, 2), (0, 2), (0, 2))),
        ALL,
        gradient=True,
        ulps=8,
        scale=4,
    ),
    Row(
        "one_hot",
        lambda i: ad.one_hot(i, 4),
        lambda i: np.eye(4)[i.astype(int)],
        (Values(fixed="int64", integers=(0, 3)),),
        (((5,),), ((2, 3),), ((),), ((0,),)),
        ("int64",),
        always("float32"),
    ),
    Row(
        "getitem",
        lambda x, i: x[i],
        lambda x, i: x[i],
        (SMALL, indices(3, -3)),
        (((3, 4), (5,)), ((3,), (2, 2))),
        gradient=True,
        ulps=0,
        variant="integer array",
    ),
    Row(
        "getitem",
        lambda x, i: x[1:, i],
        lambda x, i: x[1:, i],
        (SMALL, indices(4)),
        (((3, 4), (5,)),),
        gradient=True,
        ulps=0,
        variant="slice and integer array",
    ),
    Row(
        "setitem",
        lambda x, i, v: _written(x, i, v),
        lambda x, i, v: _written(x, i, v),
        (SMALL, Values(integers=(1, 1), fixed="int64", constant=True), SMALL),
        (((3, 4), (1,), (1, 4)), ((3,), (1,), ())),
        gradient=True,
        ulps=0,
        variant="integer array",
    ),
]
