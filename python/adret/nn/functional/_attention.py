"""Scaled dot-product attention as a function.

Depends on the core and on `_layers`. Invariant: a position that may look nowhere gets zeros, and gradients of zero.
"""

# The core is private to the package, of which this is a part.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import math

from ... import _core
from ..._core import DomainError, DTypeError, ShapeError, Tensor
from ._layers import dropout

__all__ = ["scaled_dot_product_attention"]


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    allowed: Tensor | None = None,
    bias: Tensor | None = None,
    dropout_p: float = 0.0,
    scale: float | None = None,
) -> tuple[Tensor, Tensor]:
    """The result and the weights of attention, without checks.

    Args:
        query: `[..., target, size]`.
        key: `[..., source, size]`.
        value: `[..., source, value size]`.
        allowed: Booleans that broadcast to `[..., target, source]`: who may look where.
        bias: Added to the scores; of the same shape. Minus infinity forbids.
        dropout_p: Probability that a weight is dropped.
        scale: Factor of the scores; 1 / sqrt(size) for None.
    """
    if scale is None:
        scale = 1 / math.sqrt(query.shape[-1]) if query.shape[-1] else 1.0
    scores = (query * scale) @ key.mT
    if bias is not None:
        scores = scores + bias.astype(scores.dtype)
        open_ = bias != -math.inf
        allowed = open_ if allowed is None else _core.logical_and(allowed, open_)
    if allowed is None:
        weights = _core.softmax(scores, -1)
    else:
        # Masked before and after, so that a row without any allowed place is zero instead of 0 / 0.
        weights = _core.softmax(_core.where(allowed, scores, -math.inf), -1)
        weights = _core.where(allowed, weights, 0.0)
    weights = dropout(weights, dropout_p)
    return weights @ value, weights


def causal(target: int, source: int, device: str) -> Tensor:
    """Booleans `[target, source]`: each place may look at itself and what is before it."""
    rows, columns = _core.arange(target, device=device), _core.arange(source, device=device)
    return _core.expand_dims(rows, 1) >= columns


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(query @ key.T * scale + mask) @ value over the last two axes.

    A place that may look nowhere gets zeros.

    Args:
        query: `[..., target, size]`.
        key: `[..., source, size]`.
        value: `[..., source, value size]`.
        attn_mask: Broadcasts to `[..., target, source]`: booleans, true where a place may look, or what is added to the
            scores.
        dropout_p: Probability that a weight is dropped; give 0 when not training.
        is_causal: Whether each place looks only at itself and what is before it.
        scale: Factor of the scores; 1 / sqrt(size) for None.
        enable_gqa: Whether key and value may have fewer heads (axis -3), each for a group of the query's.

    Shape:
        result `[..., target, value size]`.

    Raises:
        ShapeError: If the sizes do not fit together.
        DomainError: If there is a mask and `is_causal`, or dropout_p is no probability.

    Source:
        Vaswani et al. (2017), Attention Is All You Need.

    Example:
        >>> q, k, v = ad.zeros((1, 2, 4)), ad.zeros((1, 2, 4)), ad.tensor([[[1.0], [3.0]]])
        >>> scaled_dot_product_attention(q, k, v).tolist()
        [[[2.0], [2.0]]]
        >>> scaled_dot_product_attention(q, k, v, is_causal=True).tolist()
        [[[1.0], [2.0]]]
    """
    name = "scaled_dot_product_attention"
    shapes = f"{name}: query is {query.shape}, key {key.shape} and value {value.shape}"
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise ShapeError(f"{shapes}. Use two axes or more: [..., positions, size].")
    if query.shape[-1] != key.shape[-1]:
        raise ShapeError(f"{shapes}: the last axes of query and key must agree.")
    if key.shape[-2] != value.shape[-2]:
        raise ShapeError(f"{shapes}: key and value must have equally many positions, axis -2.")
    if enable_gqa:
        key, value = _for_every_head(shapes, query, key), _for_every_head(shapes, query, value)
    leading = _broadcast(shapes, query.shape[:-2], key.shape[:-2], value.shape[:-2])
    if not 0.0 <= dropout_p <= 1.0:
        raise DomainError(f"{name}: dropout_p is {dropout_p}. Use a probability from 0 to 1.")
    allowed = bias = None
    if is_causal:
        if attn_mask is not None:
            raise DomainError(f"{name}: there is a mask and is_causal is true. Give one of them.")
        allowed = causal(query.shape[-2], key.shape[-2], query.device)
    elif attn_mask is not None:
        scores = (*leading, query.shape[-2], key.shape[-2])
        if not _fits(attn_mask.shape, scores):
            raise ShapeError(f"{name}: attn_mask is {attn_mask.shape} and the scores {scores}. It must broadcast.")
        if attn_mask.dtype == _core.bool:
            allowed = attn_mask
        elif attn_mask.dtype.is_floating_point:
            bias = attn_mask
        else:
            raise DTypeError(f"{name}: attn_mask is {attn_mask.dtype}. Use booleans or floats.")
    return attention(query, key, value, allowed, bias, dropout_p, scale)[0]


def _fits(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """Whether a shape broadcasts to another without changing it."""
    if len(shape) > len(whole):
        return False
    return all(size in (1, full) for size, full in zip(reversed(shape), reversed(whole), strict=False))


def _broadcast(text: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The common shape of leading axes."""
    rank = max(len(shape) for shape in shapes)
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    common: list[int] = []
    for sizes in zip(*padded, strict=True):
        others = {size for size in sizes if size != 1}
        if len(others) > 1:
            raise ShapeError(f"{text}: the axes before the last two must agree.")
        common.append(others.pop() if others else 1)
    return tuple(common)


def _for_every_head(text: str, query: Tensor, given: Tensor) -> Tensor:
    """Key or value with each head repeated for the query's heads that share it."""
    if query.ndim < 3 or given.ndim < 3 or not given.shape[-3] or query.shape[-3] % given.shape[-3]:
        raise ShapeError(f"{text}: with enable_gqa the query's heads, axis -3, must be a multiple of the others'.")
    heads = query.shape[-3] // given.shape[-3]
    return given if heads == 1 else _core.repeat(given, heads, axis=-3)
