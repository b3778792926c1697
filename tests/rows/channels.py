"""Rows of normalisations of channels: functions of `nn.functional`.

Depends on `record`. Invariant: references are the formulae in float64, written out.
"""

from __future__ import annotations

import numpy as np
from adret.nn import functional as F

from .record import ALL, FLOATS, Row, Values, real, wide

REALS = Values(-4, 4)
POSITIVE = Values(0.5, 2.0)


def _along(vector: np.ndarray, x: np.ndarray) -> np.ndarray:
    return vector.reshape(-1, *(1,) * (x.ndim - 2))


def _normalized(x: np.ndarray, axes: tuple[int, ...], eps: float) -> np.ndarray:
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def _batch(x, weight=None, bias=None, eps=0.1):
    y = _normalized(x, tuple(axis for axis in range(x.ndim) if axis != 1), eps)
    return y if weight is None else y * _along(weight, x) + _along(bias, x)


def _fixed(x, mean, variance, weight, bias):
    return (x - _along(mean, x)) / np.sqrt(_along(variance, x) + 0.1) * _along(weight, x) + _along(bias, x)


def _group(x, weight, bias):
    grouped = x.reshape(x.shape[0], 2, -1)
    return _normalized(grouped, (2,), 0.1).reshape(x.shape) * _along(weight, x) + _along(bias, x)


def _instance(x, weight, bias):
    return _normalized(x, tuple(range(2, x.ndim)), 0.1) * _along(weight, x) + _along(bias, x)


def _row(name, call, reference, inputs, shapes, variant="", dtypes=ALL) -> Row:
    return Row(
        name,
        call,
        wide(reference),
        inputs,
        shapes,
        dtypes,
        real,
        gradient=True,
        ulps=32,
        scale=12,
        variant=variant,
        refuses=False,
    )


ROWS = [
    _row(
        "batch_norm",
        lambda x: F.batch_norm(x, None, None, training=True, eps=0.1),
        _batch,
        (REALS,),
        (((4, 3),), ((2, 1, 9),), ((3, 2, 2, 5),), ((2, 3, 1, 2, 2),), ((4, 3, 1, 70),)),
    ),
    _row(
        "batch_norm",
        lambda x, w, b: F.batch_norm(x, None, None, w, b, True, eps=0.1),
        _batch,
        (REALS, REALS, REALS),
        (
            ((2, 1, 9), (1,), (1,)),
            ((2, 2, 3), (2,), (2,)),
            ((3, 5, 4, 4), (5,), (5,)),
            ((2, 3, 70, 65), (3,), (3,)),
            ((300, 1, 8), (1,), (1,)),
        ),
        "affine",
    ),
    _row(
        "batch_norm",
        lambda x, m, v, w, b: F.batch_norm(x, m.detach(), v.detach(), w, b, eps=0.1),
        _fixed,
        (
            REALS,
            Values(constant=True),
            Values(0.5, 2.0, integers=(1, 3), constant=True),
            REALS,
            REALS,
        ),
        (((2, 1, 8), (1,), (1,), (1,), (1,)), ((2, 3), (3,), (3,), (3,), (3,)), ((3, 5, 4, 4), *((5,),) * 4)),
        "running statistics",
        FLOATS,
    ),
    _row(
        "group_norm",
        lambda x, w, b: F.group_norm(x, 2, w, b, 0.1),
        _group,
        (REALS, REALS, REALS),
        (((1, 2, 8), (2,), (2,)), ((2, 4, 3, 3), (4,), (4,)), ((3, 4), (4,), (4,))),
    ),
    _row(
        "instance_norm",
        lambda x, w, b: F.instance_norm(x, None, None, w, b, eps=0.1),
        _instance,
        (REALS, REALS, REALS),
        (((1, 2, 8), (2,), (2,)), ((2, 3, 3, 2), (3,), (3,)), ((2, 3, 17, 20), (3,), (3,))),
    ),
    _row(
        "rms_norm",
        lambda x, w: F.rms_norm(x, (4,), w, 0.1),
        lambda x, w: x / np.sqrt((x * x).mean(-1, keepdims=True) + 0.1) * w,
        (REALS, REALS),
        (((3, 4), (4,)),),
        "functional",
    ),
]
