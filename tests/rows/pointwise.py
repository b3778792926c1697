"""Rows of functions that work element by element.

Depends on `record`. Invariant: gradients are checked away from kinks and poles.
"""

from __future__ import annotations

import math

import adret as ad
import numpy as np

from .record import (
    ALL,
    BOOL,
    INTEGERS,
    KINKED,
    NUMBERS,
    POSITIVE,
    REALS,
    SMALL,
    TRUTHS,
    Row,
    Values,
    always,
    arithmetic,
    real,
    same,
    wide,
)

ONE = (((3, 4),), ((),), ((0, 3),), ((2, 3, 5),), ((1037,),))
TWO = (
    ((3, 4), (3, 4)),
    ((3, 4), (4,)),
    ((2, 1, 3), (4, 1)),
    ((), (3,)),
    ((), ()),
    ((0, 3), (3,)),
    ((1037,), (1,)),
)

_erf = np.vectorize(math.erf, otypes=[float])


def _sigmoid(x: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


def _whole_only(x: np.ndarray, function) -> np.ndarray:
    return function(x) if x.dtype.kind == "f" else x


def _one(name, reference, values=REALS, dtypes=ALL, result=real, gradient=True, **rest) -> Row:
    return Row(name, getattr(ad, name), reference, (values,), ONE, dtypes, result, gradient, **rest)


def _two(name, reference, left=SMALL, right=SMALL, dtypes=ALL, result=same, gradient=True, **rest) -> Row:
    return Row(name, getattr(ad, name), reference, (left, right), TWO, dtypes, result, gradient, **rest)


_UNARY = [
    _one("negative", np.negative, SMALL, NUMBERS, same, ulps=0),
    _one("positive", lambda x: x, SMALL, ALL, same, ulps=0),
    _one("abs", np.abs, KINKED, NUMBERS, same, ulps=0),
    _one("sign", np.sign, KINKED, NUMBERS, same, False, ulps=0),
    _one("floor", lambda x: _whole_only(x, np.floor), Values(-5, 5), NUMBERS, same, False, ulps=0),
    _one("ceil", lambda x: _whole_only(x, np.ceil), Values(-5, 5), NUMBERS, same, False, ulps=0),
    _one("round", lambda x: _whole_only(x, np.round), Values(-5, 5), NUMBERS, same, False, ulps=0),
    _one("trunc", lambda x: _whole_only(x, np.trunc), Values(-5, 5), NUMBERS, same, False, ulps=0),
    _one("square", np.square, SMALL, ALL, same),
    _one("relu", lambda x: np.maximum(x, np.zeros_like(x)), KINKED, ALL, arithmetic, ulps=0),
    _one("sqrt", wide(np.sqrt), POSITIVE),
    _one("rsqrt", wide(lambda x: 1 / np.sqrt(x)), POSITIVE, ulps=6),
    _one("reciprocal", wide(lambda x: 1 / x), POSITIVE),
    _one("exp", wide(np.exp), SMALL, ulps=6),
    _one("expm1", wide(np.expm1), SMALL, ulps=6),
    _one("log", wide(np.log), POSITIVE),
    _one("log1p", wide(np.log1p), Values(-0.8, 4, integers=(0, 9))),
    _one("log2", wide(np.log2), POSITIVE),
    _one("log10", wide(np.log10), POSITIVE),
    _one("sin", wide(np.sin), Values(-7, 7)),
    _one("cos", wide(np.cos), Values(-7, 7), scale=0.1),
    _one("tan", wide(np.tan), Values(-1.3, 1.3), ulps=6),
    _one("asin", wide(np.arcsin), Values(-0.9, 0.9)),
    _one("acos", wide(np.arccos), Values(-0.9, 0.9)),
    _one("atan", wide(np.arctan), Values(-5, 5)),
    _one("sinh", wide(np.sinh), Values(-3, 3), ulps=6),
    _one("cosh", wide(np.cosh), Values(-3, 3), ulps=6),
    _one("tanh", wide(np.tanh), Values(-3, 3)),
    _one("asinh", wide(np.arcsinh), Values(-5, 5)),
    _one("acosh", wide(np.arccosh), Values(1.2, 5, integers=(1, 9))),
    _one("atanh", wide(np.arctanh), Values(-0.9, 0.9)),
    _one("sigmoid", wide(_sigmoid), Values(-6, 6)),
    _one("erf", wide(_erf), Values(-3, 3)),
    _one("isnan", wide(np.isnan), SMALL, ALL, always("bool"), False),
    _one("isinf", wide(np.isinf), SMALL, ALL, always("bool"), False),
    _one("isfinite", wide(np.isfinite), SMALL, ALL, always("bool"), False),
    _one("bitwise_invert", np.invert, SMALL, INTEGERS + BOOL, same, False),
    _one("logical_not", np.logical_not, SMALL, ALL, always("bool"), False),
]

_DIVISOR = Values(0.5, 3.0, integers=(1, 7))
_POWER = Values(-2, 3, integers=(0, 5))
_SHIFT = Values(integers=(0, 9))
# Quotients between 2.2 and 2.8: clear of whole numbers, where rounding down jumps.
_DIVIDEND, _MODULUS = Values(3.1, 3.3, integers=(-9, 9)), Values(1.2, 1.4, integers=(1, 7))

_BINARY = [
    _two("add", np.add),
    _two("subtract", np.subtract, dtypes=NUMBERS, scale=1),
    _two("multiply", np.multiply),
    _two("divide", wide(np.divide), SMALL, _DIVISOR, result=real),
    _two("floor_divide", np.floor_divide, Values(-4, 4, integers=(-9, 9)), _DIVISOR, NUMBERS, gradient=False),
    _two("remainder", np.remainder, _DIVIDEND, _MODULUS, NUMBERS, scale=4),
    _two("pow", np.power, POSITIVE, _POWER, NUMBERS, ulps=16),
    _two("atan2", wide(np.arctan2), KINKED, KINKED, result=real),
    _two("maximum", np.maximum, Values(distinct=True), Values(-1.99, 2.01, distinct=True), ulps=0),
    _two("minimum", np.minimum, Values(distinct=True), Values(-1.99, 2.01, distinct=True), ulps=0),
    _two("equal", np.equal, Values(-1, 1, integers=(-1, 1)), Values(-1, 1), result=always("bool"), gradient=False),
    _two("not_equal", np.not_equal, Values(-1, 1), Values(-1, 1), result=always("bool"), gradient=False),
    _two("less", np.less, result=always("bool"), gradient=False),
    _two("less_equal", np.less_equal, result=always("bool"), gradient=False),
    _two("greater", np.greater, result=always("bool"), gradient=False),
    _two("greater_equal", np.greater_equal, result=always("bool"), gradient=False),
    _two("bitwise_and", np.bitwise_and, dtypes=INTEGERS + BOOL, gradient=False),
    _two("bitwise_or", np.bitwise_or, dtypes=INTEGERS + BOOL, gradient=False),
    _two("bitwise_xor", np.bitwise_xor, dtypes=INTEGERS + BOOL, gradient=False),
    _two("bitwise_left_shift", np.left_shift, right=_SHIFT, dtypes=INTEGERS, gradient=False),
    _two("bitwise_right_shift", np.right_shift, right=_SHIFT, dtypes=INTEGERS, gradient=False),
    _two("logical_and", np.logical_and, result=always("bool"), gradient=False),
    _two("logical_or", np.logical_or, result=always("bool"), gradient=False),
    _two("logical_xor", np.logical_xor, result=always("bool"), gradient=False),
]

_WHERE = (
    ((3, 4), (3, 4), (3, 4)),
    ((4,), (3, 4), (3, 1)),
    ((), (2,), ()),
    ((0,), (1,), (1,)),
    ((1037,), (1037,), ()),
)


def _weak(name: str, number: float, reference, reflected: bool = False, **rest) -> Row:
    function = getattr(ad, name)
    call = (lambda x: function(number, x)) if reflected else (lambda x: function(x, number))
    variant = f"{number} · x" if reflected else f"x · {number}"
    return Row(name, call, reference, (POSITIVE,), ONE[:3], variant=variant, gradient=True, **rest)


_OTHERS = [
    Row("where", ad.where, np.where, (TRUTHS, SMALL, SMALL), _WHERE, gradient=True, ulps=0),
    Row(
        "where",
        lambda c, x: ad.where(c, x, 0),
        lambda c, x: np.where(c, x, np.zeros_like(x)),
        (TRUTHS, SMALL),
        (((3, 4), (4,)), ((), ())),
        result=arithmetic,
        gradient=True,
        ulps=0,
        variant="weak zero",
    ),
    Row(
        "clip",
        lambda x: ad.clip(x, 1, 3),
        lambda x: np.clip(x, 1, 3),
        (Values(-1, 5, away=(1.0, 3.0), integers=(-3, 7)),),
        ONE[:3],
        NUMBERS,
        gradient=True,
        ulps=0,
    ),
    Row(
        "clip",
        lambda x, low, high: ad.clip(x, min=low, max=high),
        np.clip,
        (Values(-3, 3), Values(-1.5, -0.5, integers=(0, 1)), Values(0.5, 1.5, integers=(2, 3))),
        (((3, 4), (4,), (3, 1)), ((5,), (), ())),
        NUMBERS,
        gradient=True,
        ulps=0,
        variant="tensors",
    ),
    Row(
        "clip",
        lambda x: ad.clip(x, max=2),
        lambda x: np.minimum(x, np.asarray(2, x.dtype)),
        (Values(-1, 5, away=(2.0,)),),
        ONE[:2],
        NUMBERS,
        gradient=True,
        ulps=0,
        variant="upper",
    ),
    _weak("pow", 2, lambda x: x * x, result=arithmetic),
    _weak("pow", 3, lambda x: x * x * x, result=arithmetic),
    _weak("pow", 0.5, wide(np.sqrt), dtypes=ALL, result=real),
    _weak("pow", -1.0, wide(lambda x: 1 / x), dtypes=ALL, result=real),
    _weak("pow", 1.7, wide(lambda x: x**1.7), dtypes=ALL, result=real, ulps=16),
    _weak("pow", 2.0, wide(lambda x: 2.0**x), reflected=True, result=real, ulps=8),
    _weak("add", 1, lambda x: x + np.asarray(1, x.dtype if x.dtype.kind != "b" else int), result=arithmetic),
    _weak("subtract", 2.5, wide(lambda x: 2.5 - x), reflected=True, result=real, scale=2),
    _weak("divide", 3.0, wide(lambda x: 3.0 / x), reflected=True, result=real),
    _weak("multiply", 0.5, wide(lambda x: x * 0.5), result=real),
    _weak("maximum", 1.1, wide(lambda x: np.maximum(x, 1.1)), result=real, second=False),
]

ROWS = _UNARY + _BINARY + _OTHERS
