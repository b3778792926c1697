"""Rows of losses.

Depends on `record`. Invariant: references are PyTorch's formulae in float64, written out.
"""

from __future__ import annotations

import adret as ad
import numpy as np

from .record import ALL, FLOATS, Row, Values, indices, real, wide

REALS = Values(-3, 3)
OTHERS = Values(-2.9, 3.1, distinct=True)
SHARES = Values(0.05, 0.95, integers=(0, 1))
PAIR = (((3, 4), (3, 4)), ((), ()), ((5,), (5,)), ((70, 33), (70, 33)))
CLASSES = (((3, 4), (3,)), ((4,), ()), ((2, 4, 3), (2, 3)), ((65, 4), (65,)))
LABELS = indices(4)


def _reduce(values: np.ndarray, reduction: str) -> np.ndarray:
    return {"none": values, "sum": values.sum(), "mean": values.mean()}[reduction]


def _pair(name, formula, *arguments, inputs=(OTHERS, OTHERS), variant="", **rest) -> list[Row]:
    function = getattr(ad, name)
    return [
        Row(
            name,
            lambda x, y, reduction=reduction: function(x, y, *arguments, reduction=reduction),
            lambda x, y, reduction=reduction: _reduce(wide(formula)(x, y), reduction),
            inputs,
            PAIR,
            ALL,
            real,
            gradient=True,
            ulps=8,
            scale=8,
            variant=f"{variant}{reduction}",
            **rest,
        )
        for reduction in ("mean", "sum", "none")
    ]


def _smooth(beta: float):
    def formula(x, y):
        distance = np.abs(x - y)
        return np.where(distance < beta, 0.5 * distance**2 / beta, distance - 0.5 * beta)

    return formula


def _huber(delta: float):
    def formula(x, y):
        distance = np.abs(x - y)
        return np.where(distance < delta, 0.5 * distance**2, delta * (distance - 0.5 * delta))

    return formula


def _bce(x, y):
    return -(y * np.maximum(np.log(x), -100) + (1 - y) * np.maximum(np.log1p(-x), -100))


def _bce_logits(x, y, positive=1.0):
    soft = np.log1p(np.exp(-np.abs(x)))
    return (1 - y) * (np.maximum(x, 0) + soft) + positive * y * (np.maximum(-x, 0) + soft)


def _log_softmax(x, axis):
    shifted = x - x.max(axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))


def _labelled(scores, labels, weight=None, ignore=-100, smoothing=0.0, reduction="mean"):
    """Cross-entropy of log-probabilities, with PyTorch's weights and means."""
    scores = np.asarray(scores, np.float64)
    axis = 0 if scores.ndim == 1 else 1
    classes = scores.shape[axis]
    scores = np.moveaxis(scores, axis, -1)
    weight = np.ones(classes) if weight is None else weight
    kept = labels != ignore
    chosen = np.where(kept, labels, 0)
    picked = np.where(kept, weight[chosen], 0.0)
    hard = -np.take_along_axis(scores, chosen[..., None], -1)[..., 0] * picked
    soft = -(scores * weight).sum(-1) * kept
    losses = (1 - smoothing) * hard + smoothing / classes * soft
    return losses.sum() / picked.sum() if reduction == "mean" else _reduce(losses, reduction)


def _cross(x, *rest, **settings):
    x = np.asarray(x, np.float64)
    return _labelled(_log_softmax(x, 0 if x.ndim == 1 else 1), *rest, **settings)


def _shares(x, y, smoothing=0.0):
    y = y * (1 - smoothing) + smoothing / x.shape[1]
    return -(y * _log_softmax(x, 1)).sum(1).mean()


def _classes(name, reference, variant="", inputs=(REALS, LABELS), shapes=CLASSES, dtypes=ALL, **settings) -> Row:
    function = getattr(ad, name)
    named = {"ignore_index": "ignore", "label_smoothing": "smoothing"}
    understood = {named.get(key, key): value for key, value in settings.items()}
    return Row(
        name,
        lambda x, y: function(x, y, **settings),
        lambda x, y: reference(x, y, **understood),
        inputs,
        shapes,
        dtypes,
        real,
        gradient=True,
        ulps=8,
        scale=8,
        refuses=dtypes is ALL,
        variant=variant or ", ".join(f"{k}={v}" for k, v in settings.items()),
    )


_WEIGHTED = (((3, 4), (3,), (4,)), ((2, 4, 3), (2, 3), (4,)))
_WEIGHTS = Values(0.5, 1.5, constant=True)

ROWS = [
    *_pair("mse_loss", lambda x, y: (x - y) ** 2),
    *_pair("l1_loss", lambda x, y: np.abs(x - y), second=False),
    *_pair("smooth_l1_loss", _smooth(0.7), 0.7),
    *_pair("huber_loss", _huber(1.3), 1.3),
    *_pair("bce_loss", _bce, inputs=(SHARES, SHARES)),
    *_pair("bce_with_logits", _bce_logits, inputs=(Values(-3, 3, away=(0.0,)), SHARES)),
    *_pair("kl_div", lambda x, y: np.where(y > 0, y * (np.log(np.where(y > 0, y, 1)) - x), 0), inputs=(REALS, SHARES)),
    Row(
        "bce_with_logits",
        lambda x, y, p: ad.bce_with_logits(x, y, pos_weight=p),
        wide(lambda x, y, p: _bce_logits(x, y, p).mean()),
        (REALS, SHARES, _WEIGHTS),
        (((3, 4), (3, 4), (4,)),),
        ALL,
        real,
        gradient=True,
        ulps=8,
        scale=8,
        variant="pos_weight",
    ),
    Row(
        "bce_loss",
        lambda x, y, w: ad.bce_loss(x, y, w),
        wide(lambda x, y, w: (_bce(x, y) * w).mean()),
        (SHARES, SHARES, _WEIGHTS),
        (((3, 4), (3, 4), (3, 4)),),
        FLOATS,
        real,
        gradient=True,
        ulps=8,
        scale=8,
        refuses=False,
        variant="weight",
    ),
    _classes("nll_loss", _labelled),
    _classes("nll_loss", _labelled, reduction="none"),
    _classes("nll_loss", _labelled, reduction="sum", ignore_index=2),
    Row(
        "nll_loss",
        lambda x, y, w: ad.nll_loss(x, y, w),
        _labelled,
        (REALS, LABELS, _WEIGHTS),
        _WEIGHTED,
        ALL,
        real,
        gradient=True,
        ulps=8,
        scale=8,
        variant="weight",
    ),
    _classes("cross_entropy", _cross),
    _classes("cross_entropy", _cross, reduction="none"),
    _classes("cross_entropy", _cross, reduction="sum", label_smoothing=0.1),
    _classes(
        "cross_entropy",
        _cross,
        reduction="mean",
        ignore_index=3,
        label_smoothing=0.2,
        shapes=(((6, 4), (6,)), ((2, 4, 3), (2, 3))),
    ),
    Row(
        "cross_entropy",
        lambda x, y, w: ad.cross_entropy(x, y, w),
        _cross,
        (REALS, LABELS, _WEIGHTS),
        _WEIGHTED,
        ALL,
        real,
        gradient=True,
        ulps=8,
        scale=8,
        variant="weight",
    ),
    Row(
        "cross_entropy",
        lambda x, y, w: ad.cross_entropy(x, y, w, label_smoothing=0.1),
        lambda x, y, w: _cross(x, y, w, smoothing=0.1),
        (REALS, LABELS, _WEIGHTS),
        _WEIGHTED,
        ALL,
        real,
        gradient=True,
        ulps=8,
        scale=8,
        variant="weight, smoothing",
    ),
    _classes("cross_entropy", _shares, "probabilities", (REALS, SHARES), (((3, 4), (3, 4)),), FLOATS),
    _classes(
        "cross_entropy",
        _shares,
        "probabilities, smoothing",
        (REALS, SHARES),
        (((3, 4), (3, 4)),),
        FLOATS,
        label_smoothing=0.1,
    ),
]
