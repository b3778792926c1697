"""Dropout of whole channels, and dropout that keeps mean and variance of SELU's output.

Depends on the core only. Invariant: nothing is done unless training.
"""

# The core is private to the package, of which this is a part.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import math

from ... import _core
from ..._core import DomainError, ShapeError, Tensor
from ._windows import share

__all__ = ["alpha_dropout", "dropout1d", "dropout2d", "dropout3d"]


def _channels(name: str, input: Tensor, p: float, training: bool, ranks: tuple[int, int], batched: int) -> Tensor:
    """Whole channels to zero; a tensor of `batched` axes or more has a batch in front."""
    share(name, p=p)
    if input.ndim not in ranks:
        raise ShapeError(f"{name}: input {input.shape} has {input.ndim} axes. Give {ranks[1]}, or {ranks[0]}.")
    if not training or p == 0.0:
        return input
    lead = 2 if input.ndim >= batched else 1
    shape = (*input.shape[:lead], *(1,) * (input.ndim - lead))
    return input * _core.dropout(_core.ones(shape, dtype=input.dtype, device=input.device), p)


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Zeroes whole channels with probability p and scales the others by 1 / (1 - p); nothing unless `training`.

    Args:
        input: A tensor `[batch, channels, width]`, or without a batch.
        p: The probability of a zero.
        training: Whether anything is done.

    Raises:
        ShapeError: If the input has another number of axes.
        DomainError: If p is no probability.

    Example:
        >>> dropout1d(ad.ones((1, 1, 2)), training=False).tolist()
        [[[1.0, 1.0]]]
    """
    return _channels("dropout1d", input, p, training, (2, 3), 3)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Zeroes whole channels with probability p and scales the others by 1 / (1 - p); nothing unless `training`.

    Args:
        input: A tensor `[batch, channels, height, width]`, or `[batch, channels, width]`.
        p: The probability of a zero.
        training: Whether anything is done.

    Raises:
        ShapeError: If the input has another number of axes.
        DomainError: If p is no probability.

    Source:
        Tompson et al. (2015), Efficient Object Localization Using Convolutional Networks.

    Example:
        >>> dropout2d(ad.ones((1, 1, 1, 2)), training=False).tolist()
        [[[[1.0, 1.0]]]]
    """
    return _channels("dropout2d", input, p, training, (3, 4), 3)


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Zeroes whole channels with probability p and scales the others by 1 / (1 - p); nothing unless `training`.

    Args:
        input: A tensor `[batch, channels, depth, height, width]`, or without a batch.
        p: The probability of a zero.
        training: Whether anything is done.

    Raises:
        ShapeError: If the input has another number of axes.
        DomainError: If p is no probability.

    Example:
        >>> dropout3d(ad.ones((1, 1, 1, 2)), training=False).tolist()
        [[[[1.0, 1.0]]]]
    """
    return _channels("dropout3d", input, p, training, (4, 5), 5)


# What SELU tends to for large negative numbers.
_LOWEST = -1.7580993408473766


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False) -> Tensor:
    """Puts SELU's lowest value for elements with probability p, and keeps mean 0 and variance 1.

    y = a * (x * mask + low * (1 - mask)) + b, a = 1 / sqrt((1 - p) * (1 + p * low^2)), b = -a * low * p

    Args:
        input: A tensor.
        p: The probability of the lowest value.
        training: Whether anything is done.

    Raises:
        DomainError: If p is no probability.

    Source:
        Klambauer et al. (2017), Self-Normalizing Neural Networks.

    Example:
        >>> alpha_dropout(ad.ones(2)).tolist()
        [1.0, 1.0]
    """
    if not 0.0 <= p <= 1.0:
        raise DomainError(f"alpha_dropout: p is {p}. Use a probability from 0 to 1.")
    if not training or p == 0.0:
        return input
    if p == 1.0:
        return input * 0.0
    scale = 1.0 / math.sqrt((1.0 - p) * (1.0 + p * _LOWEST**2))
    kept = _core.dropout(_core.ones(input.shape, dtype=input.dtype, device=input.device), p) > 0.0
    return _core.where(kept, input, _LOWEST) * scale - scale * _LOWEST * p
