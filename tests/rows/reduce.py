"""Rows of reductions, scans of positions and statistics.

Depends on `record`. Invariant: extremes are checked on distinct values, where they have a derivative.
"""

from __future__ import annotations

import adret as ad
import numpy as np

from .record import ALL, Row, Values, always, real, same, total

FULL = (((3, 4),), ((),), ((2, 3, 5),), ((1037,),), ((130, 70),))
EMPTY = (((0, 3),), ((2, 0),))
AXES = (((3, 4),), ((2, 3, 5),), ((70, 130),), ((4100, 3),))
SMALL = Values(integers=(-9, 9))
DISTINCT = Values(-2, 2, distinct=True, integers=(-9, 9))
FACTORS = Values(0.95, 1.05, integers=(1, 3))
PRODUCTS = (((3, 4),), ((),), ((2, 3, 5),), ((300, 3),))


def _exact(function):
    """NumPy's function in its longest float: its float64 sums along the first axis are naive ones."""
    return lambda x, **settings: function(np.asarray(x, np.longdouble), **settings)


def _sum(function):
    """NumPy's sum or product, 64 bits wide for integers."""

    def reference(x: np.ndarray, *rest, **settings):
        if x.dtype.kind == "f":
            x = x.astype(np.longdouble)
        else:
            x = x.astype(np.uint64 if x.dtype.kind == "u" else np.int64)
        return function(x, *rest, **settings)

    return reference


def _row(
    name,
    reference,
    *,
    shapes=AXES,
    settings=None,
    values=SMALL,
    dtypes=ALL,
    result=same,
    gradient=True,
    magnitude=None,
    **rest,
):
    function, settings = getattr(ad, name), settings or {}
    variant = ", ".join(f"{key}={value}" for key, value in settings.items())
    return Row(
        name,
        lambda x: function(x, **settings),
        lambda x: reference(x, **settings),
        (values,),
        shapes,
        dtypes,
        result,
        gradient,
        variant=variant,
        magnitude=magnitude and (lambda x: magnitude(x, **settings)),
        **rest,
    )


_VARIANTS = ({"axis": 0}, {"axis": -1, "keepdims": True}, {"axis": (0, 1)})


# Lanes add up to 128 values one after the other: where they are equal, every addition rounds the same way.
def _sizes(function):
    return lambda x, **settings: function(np.abs(x), **settings)


def _squares(x, **settings):
    return np.mean(np.square(x), **settings)


def _family(
    name, reference, values=SMALL, dtypes=ALL, result=same, gradient=True, empty=False, full=FULL, axes=AXES, **rest
) -> list[Row]:
    rows = [
        _row(
            name,
            reference,
            shapes=full + (EMPTY if empty else ()),
            values=values,
            dtypes=dtypes,
            result=result,
            gradient=gradient,
            **rest,
        )
    ]
    for settings in _VARIANTS:
        shapes = axes + (EMPTY if empty else ())
        rows.append(
            _row(
                name,
                reference,
                shapes=shapes,
                settings=settings,
                values=values,
                dtypes=dtypes,
                result=result,
                gradient=gradient,
                **rest,
            )
        )
    return rows


def _logsumexp(x, axis=None, keepdims=False):
    x = np.asarray(x, np.longdouble)
    top = x.max(axis=axis, keepdims=True)
    result = top + np.log(np.exp(x - top).sum(axis=axis, keepdims=True))
    return result if keepdims else result.squeeze() if axis is None else result.squeeze(axis)


def _norm(x, axis=None, keepdims=False):
    x = np.asarray(x, np.longdouble)
    return np.sqrt((x * x).sum(axis=axis, keepdims=keepdims))


def _position(name):
    function = getattr(np, name)
    return [
        _row(name, function, shapes=FULL, values=DISTINCT, dtypes=ALL, result=always("int64"), gradient=False),
        _row(name, function, settings={"axis": 0}, values=SMALL, result=always("int64"), gradient=False),
        _row(
            name,
            function,
            settings={"axis": -1, "keepdims": True},
            values=SMALL,
            result=always("int64"),
            gradient=False,
        ),
    ]


def _scans(name: str, reference, standard: str, values: Values, shapes) -> list[Row]:
    """A running fold along each axis, of the flattened tensor, and with what precedes the first element."""

    def along(axis):
        return lambda x: _sum(reference)(x, axis=axis)

    def begun(x: np.ndarray) -> np.ndarray:
        neutral = reference(np.ones(1))[0] if name == "cumprod" else 0
        return np.concatenate([np.full_like(_sum(reference)(x, axis=0)[:1], neutral), _sum(reference)(x, axis=0)])

    calls = [
        ("axis=0", lambda x: getattr(ad, name)(x, axis=0), along(0)),
        ("axis=-1", lambda x: getattr(ad, standard)(x, axis=-1), along(-1)),
        ("flat", lambda x: getattr(ad, name)(x), along(None)),
        ("initial", lambda x: getattr(ad, standard)(x, axis=0, include_initial=True), begun),
    ]
    names = [name, standard, name, standard]
    return [
        Row(
            names[i],
            call,
            expected,
            (values,),
            shapes,
            ALL,
            total,
            gradient=True,
            ulps=64,
            # Errors grow with what was added, not with the sum.
            magnitude=lambda x, expected=expected: np.abs(expected(np.abs(x))),
            variant=variant,
        )
        for i, (variant, call, expected) in enumerate(calls)
    ]


ROWS = [
    *_family("sum", _sum(np.sum), result=total, empty=True, ulps=10, magnitude=_sizes(np.sum)),
    # 900 factors, each of whose roundings may go the same way.
    *_family(
        "prod",
        _sum(np.prod),
        FACTORS,
        result=total,
        empty=True,
        ulps=64,
        full=PRODUCTS,
        axes=PRODUCTS[:1] + PRODUCTS[2:],
    ),
    *_family("max", np.max, DISTINCT, ulps=0),
    *_family("min", np.min, DISTINCT, ulps=0),
    *_family("mean", _exact(np.mean), result=real, ulps=10, magnitude=_sizes(np.mean)),
    *_family("any", np.any, Values(-0.6, 0.6), result=always("bool"), gradient=False, empty=True),
    *_family("all", np.all, Values(-0.6, 0.6), result=always("bool"), gradient=False, empty=True),
    *_family("var", _exact(np.var), result=real, ulps=16, magnitude=_squares),
    *_family("std", _exact(np.std), DISTINCT, result=real, ulps=16, scale=4),
    *_family("logsumexp", _logsumexp, result=real, ulps=8, scale=4),
    *_family("norm", _norm, DISTINCT, result=real, ulps=10),
    *_family(
        "count_nonzero",
        lambda x, **s: np.count_nonzero(x, **s),
        Values(-0.6, 0.6, integers=(-1, 1)),
        result=always("int64"),
        gradient=False,
        empty=True,
    ),
    *_scans("cumsum", np.cumsum, "cumulative_sum", SMALL, AXES[:3]),
    *_scans("cumprod", np.cumprod, "cumulative_prod", FACTORS, PRODUCTS[:1] + PRODUCTS[2:]),
    *_position("argmax"),
    *_position("argmin"),
    Row(
        "var",
        lambda x: ad.var(x, axis=1, correction=1),
        lambda x: np.var(x, axis=1, ddof=1, dtype=np.float64),
        (SMALL,),
        AXES,
        ALL,
        real,
        gradient=True,
        ulps=16,
        magnitude=lambda x: _squares(x, axis=1),
        variant="correction=1",
    ),
    Row(
        "sum",
        lambda x: ad.sum(x, dtype=ad.float64),
        lambda x: np.sum(x, dtype=np.float64),
        (SMALL,),
        FULL,
        ALL,
        always("float64"),
        gradient=True,
        ulps=10,
        magnitude=_sizes(np.sum),
        variant="dtype=float64",
    ),
]
