"""Lengths, distances and angles of rows.

Depends on the core. Invariant: a length's gradient is 0 where the length is 0.
"""

# The core is private to the package, of which this is a part.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import math

from ... import _core
from ..._core import DomainError, Tensor

__all__ = ["cosine_similarity", "length", "normalize", "pairwise_distance"]


def length(x: Tensor, p: float, axis: int, keepdims: bool) -> Tensor:
    """(sum |x|^p)^(1/p) along an axis; the largest |x| for p = inf."""
    if not p > 0:
        raise DomainError(f"norm: p is {p}. Use a positive number, or float('inf').")
    if p == 2:
        return _core.norm(x, axis=axis, keepdims=keepdims)
    size = _core.abs(x)
    if math.isinf(p):
        return _core.max(size, axis=axis, keepdims=keepdims)
    if p == 1:
        return _core.sum(size, axis=axis, keepdims=keepdims)
    # Where nothing is, the power's slope would be infinite for p < 1, and the root's is.
    powers = _core.where(size == 0, 0.0, _core.pow(_core.where(size == 0, 1.0, size), p))
    total = _core.sum(powers, axis=axis, keepdims=keepdims)
    return _core.where(total == 0, 0.0, _core.pow(_core.where(total == 0, 1.0, total), 1 / p))


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """X / max(|x|_p, eps) along an axis: rows of length 1.

    Args:
        input: A tensor.
        p: Which norm: positive, or infinite.
        dim: The axis whose elements make a vector.
        eps: The least divisor; keeps rows of zeros finite.

    Raises:
        DomainError: If `p` is not positive.

    Example:
        >>> normalize(ad.tensor([[3.0, 4.0]])).tolist()
        [[0.6000000238418579, 0.800000011920929]]
    """
    return input / _core.maximum(length(input, p, dim, True), eps)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along an axis.

    Args:
        x1: A tensor.
        x2: A tensor whose shape broadcasts with that of `x1`.
        dim: The axis that is summed, counted after broadcasting.
        eps: The least length.

    Raises:
        ShapeError: If the shapes do not broadcast.

    Example:
        >>> cosine_similarity(ad.tensor([[1.0, 0.0]]), ad.tensor([[2.0, 0.0]])).tolist()
        [1.0]
    """
    # Shapes are made equal first, so that the axis means the same in both.
    shape = (x1 + x2).shape
    x1, x2 = _core.broadcast_to(x1, shape), _core.broadcast_to(x2, shape)
    lengths = [_core.maximum(_core.norm(x, axis=dim), eps) for x in (x1, x2)]
    return _core.sum(x1 * x2, axis=dim) / (lengths[0] * lengths[1])


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """|x1 - x2 + eps|_p along the last axis.

    Args:
        x1: A tensor `[..., size]`.
        x2: A tensor that broadcasts with it.
        p: Which norm: positive, or infinite.
        eps: Added to every difference; keeps the gradient finite where rows are equal.
        keepdim: Whether the last axis stays, of size 1.

    Raises:
        DomainError: If `p` is not positive.
        ShapeError: If the shapes do not broadcast.

    Example:
        >>> pairwise_distance(ad.tensor([[3.0, 4.0]]), ad.zeros((1, 2)), eps=0.0).tolist()
        [5.0]
    """
    return length(x1 - x2 + eps, p, -1, keepdim)
