"""Losses as functions.

Depends on the core only. Invariant: nothing here holds state; what needs parameters takes them.
"""

# The core is private to the package, of which this is a part.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from ... import _core
from ..._core import Tensor

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "huber_loss",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "smooth_l1_loss",
]


def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """(input - target)^2, reduced: "mean", "sum" or "none".

    Args:
        input: A tensor.
        target: A tensor of its shape.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError: If the shapes differ.

    Example:
        >>> mse_loss(ad.tensor([3.0]), ad.tensor([1.0])).item()
        4.0
    """
    return _core.mse_loss(input, target, reduction)


def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """|input - target|, reduced.

    Args:
        input: A tensor.
        target: A tensor of its shape.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError: If the shapes differ.

    Example:
        >>> l1_loss(ad.tensor([3.0]), ad.tensor([1.0])).item()
        2.0
    """
    return _core.l1_loss(input, target, reduction)


def smooth_l1_loss(input: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """d^2 / (2 beta) where |d| < beta, else |d| - beta / 2, for d = input - target, reduced.

    Args:
        input: A tensor.
        target: A tensor of its shape.
        reduction: "mean", "sum" or "none".
        beta: Where the parabola passes into the straight line.

    Raises:
        ShapeError: If the shapes differ.

    Example:
        >>> smooth_l1_loss(ad.tensor([3.0]), ad.tensor([1.0])).item()
        1.5
    """
    return _core.smooth_l1_loss(input, target, beta, reduction)


def huber_loss(input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """d^2 / 2 where |d| < delta, else delta * (|d| - delta / 2), for d = input - target, reduced.

    Args:
        input: A tensor.
        target: A tensor of its shape.
        reduction: "mean", "sum" or "none".
        delta: Where the parabola passes into the straight line.

    Raises:
        ShapeError: If the shapes differ.

    Example:
        >>> huber_loss(ad.tensor([3.0]), ad.tensor([1.0])).item()
        1.5
    """
    return _core.huber_loss(input, target, delta, reduction)


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """-(target log(input) + (1 - target) log(1 - input)) * weight, reduced; logarithms are held at -100 or above.

    Args:
        input: Probabilities.
        target: Probabilities, or 0 and 1.
        weight: Weights of the elements.
        reduction: "mean", "sum" or "none".

    Example:
        >>> binary_cross_entropy(ad.tensor([1.0]), ad.tensor([1.0])).item()
        0.0
    """
    return _core.bce_loss(input, target, weight, reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """`binary_cross_entropy` of sigmoid(input), finite for every finite input.

    Args:
        input: Logits.
        target: Probabilities, or 0 and 1.
        weight: Weights of the elements.
        reduction: "mean", "sum" or "none".
        pos_weight: Weights of the terms with target 1.

    Example:
        >>> binary_cross_entropy_with_logits(ad.tensor([-1000.0]), ad.tensor([1.0])).item()
        1000.0
    """
    return _core.bce_with_logits(input, target, weight, pos_weight, reduction)


def nll_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    """-weight[target] * input[target] for log-probabilities; the mean is over the weights.

    Args:
        input: Log-probabilities `[batch, classes, ...]`, or `[classes]`.
        target: Labels `[batch, ...]`.
        weight: Weights of the classes.
        ignore_index: A label without loss or gradient.
        reduction: "mean", "sum" or "none".

    Raises:
        OutOfRangeError: If a label names no class.

    Example:
        >>> nll_loss(ad.tensor([[-1.0, -2.0]]), ad.tensor([0])).item()
        1.0
    """
    return _core.nll_loss(input, target, weight, ignore_index, reduction)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-log softmax(input)[target] for logits and labels (or probabilities), classes along axis 1.

    Args:
        input: Logits `[batch, classes, ...]`, or `[classes]`.
        target: Labels `[batch, ...]` as integers, or probabilities of the input's shape.
        weight: Weights of the classes.
        ignore_index: A label without loss or gradient.
        reduction: "mean", "sum" or "none".
        label_smoothing: Share of the target that is spread over all classes, from 0 to 1.

    Raises:
        OutOfRangeError: If a label names no class.

    Example:
        >>> round(cross_entropy(ad.zeros((1, 4)), ad.tensor([2])).item(), 4)
        1.3863
    """
    return _core.cross_entropy(input, target, weight, ignore_index, label_smoothing, reduction)
