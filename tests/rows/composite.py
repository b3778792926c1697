"""Rows of functions composed of others: activations, softmax, layer norm.

Depends on `record`. Invariant: references are the formulae in float64, written out.
"""

from __future__ import annotations

import math

import adret as ad
import numpy as np

from .record import ALL, Row, Values, real, wide

REALS = Values(-4, 4, away=(0.0,))
ONE = (((3, 4),), ((),), ((0, 3),), ((2, 3, 5),), ((1037,),))
ROWS_OF = (((3, 4),), ((2, 3, 5),), ((0, 3),), ((3, 130),), ((2, 5000),))

_erf = np.vectorize(math.erf, otypes=[float])


def _softmax(x: np.ndarray, axis: int) -> np.ndarray:
    weights = np.exp(x - x.max(axis, keepdims=True, initial=-np.inf))
    return weights / weights.sum(axis, keepdims=True)


def _log_softmax(x: np.ndarray, axis: int) -> np.ndarray:
    shifted = x - x.max(axis, keepdims=True, initial=-np.inf)
    return shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))


def _layer_norm(x, weight=1.0, bias=0.0, axes=(-1,), eps=1e-5):
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + eps) * weight + bias


def _stretched(x, eps=1e-5):
    """What rounding errors of the mean are multiplied by: much, in rows of equal values."""
    return np.abs(x).max(-1, keepdims=True) / np.sqrt(x.var(-1, keepdims=True) + eps)


def _gelu_tanh(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _row(name, call, reference, shapes=ONE, inputs=(REALS,), ulps=8.0, scale=1.0, **rest) -> Row:
    return Row(name, call, wide(reference), inputs, shapes, ALL, real, gradient=True, ulps=ulps, scale=scale, **rest)


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0)


def _selu(x: np.ndarray) -> np.ndarray:
    return 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x))


_BENT = Values(-8, 8, away=(-3.0, -1.0, 0.0, 1.0, 3.0, 6.0))

ROWS = [
    _row("softmax", lambda x: ad.softmax(x, axis=-1), lambda x: _softmax(x, -1), ROWS_OF),
    _row("softmax", lambda x: ad.softmax(x, axis=0), lambda x: _softmax(x, 0), ROWS_OF[:2], variant="axis=0"),
    _row("log_softmax", lambda x: ad.log_softmax(x, axis=-1), lambda x: _log_softmax(x, -1), ROWS_OF, scale=8),
    _row(
        "log_softmax",
        lambda x: ad.log_softmax(x, axis=0),
        lambda x: _log_softmax(x, 0),
        ROWS_OF[:2],
        scale=8,
        variant="axis=0",
    ),
    _row("softplus", ad.softplus, _softplus),
    _row("silu", ad.silu, lambda x: x / (1 + np.exp(-x))),
    _row("gelu", ad.gelu, lambda x: 0.5 * x * (1 + _erf(x / math.sqrt(2))), scale=4),
    _row("gelu", lambda x: ad.gelu(x, True), _gelu_tanh, scale=4, variant="tanh"),
    _row("leaky_relu", lambda x: ad.leaky_relu(x, 0.1), lambda x: np.where(x > 0, x, 0.1 * x)),
    _row("elu", lambda x: ad.elu(x, 1.5), lambda x: np.where(x > 0, x, 1.5 * np.expm1(x))),
    _row(
        "celu",
        lambda x: ad.celu(x, 1.5),
        lambda x: np.maximum(x, 0) + np.minimum(0, 1.5 * np.expm1(x / 1.5)),
        second=False,
    ),
    _row("selu", ad.selu, _selu),
    _row("mish", ad.mish, lambda x: x * np.tanh(_softplus(x)), scale=4),
    _row("logsigmoid", ad.logsigmoid, lambda x: -_softplus(-x)),
    _row("softsign", ad.softsign, lambda x: x / (1 + np.abs(x))),
    _row("relu6", ad.relu6, lambda x: np.clip(x, 0, 6), inputs=(_BENT,)),
    _row("hardtanh", ad.hardtanh, lambda x: np.clip(x, -1, 1), inputs=(_BENT,)),
    _row("hardsigmoid", ad.hardsigmoid, lambda x: np.clip(x / 6 + 0.5, 0, 1), inputs=(_BENT,)),
    _row("hardswish", ad.hardswish, lambda x: x * np.clip(x / 6 + 0.5, 0, 1), inputs=(_BENT,), scale=4),
    _row(
        "rms_norm",
        lambda x, w: ad.rms_norm(x, 1, w, 1e-3),
        lambda x, w: x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-3) * w,
        (((3, 4), (4,)), ((2, 2, 70), (70,))),
        (REALS, REALS),
        ulps=16,
        scale=4,
    ),
    _row(
        "layer_norm",
        lambda x: ad.layer_norm(x, 1),
        _layer_norm,
        ROWS_OF[:2] + ROWS_OF[3:],
        ulps=16,
        magnitude=_stretched,
    ),
    _row(
        "layer_norm",
        lambda x, w, b: ad.layer_norm(x, 2, w, b, 1e-3),
        lambda x, w, b: _layer_norm(x, w, b, (-2, -1), 1e-3),
        (((2, 2, 3), (2, 3), (2, 3)), ((3, 4), (3, 4), (3, 4))),
        (REALS, REALS, REALS),
        ulps=16,
        scale=12,
        variant="two axes, affine",
    ),
]
