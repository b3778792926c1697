"""Losses of distances, margins and distributions.

Depends on the core, `_activations` and `_distances`. Invariant: `reduction` is "mean", "sum" or "none".
"""

# The core is private to the package, of which this is a part.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import math

from ... import _core
from ..._array_api import isdtype
from ..._core import DomainError, ShapeError, Tensor
from ._distances import pairwise_distance

__all__ = [
    "cosine_embedding_loss",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "kl_div",
    "margin_ranking_loss",
    "multi_margin_loss",
    "multilabel_soft_margin_loss",
    "poisson_nll_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
]


def _reduced(name: str, losses: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return losses
    if reduction == "sum":
        return _core.sum(losses)
    if reduction == "mean":
        return _core.mean(losses)
    raise DomainError(f"{name}: reduction is {reduction!r}. Use 'mean', 'sum' or 'none'.")


def _alike(name: str, input: Tensor, target: Tensor) -> None:
    if input.shape != target.shape:
        raise ShapeError(f"{name}: input is {input.shape} and target {target.shape}. Give both the same shape.")


def _in_kind(target: Tensor, input: Tensor) -> Tensor:
    """Whole-number targets in the input's dtype, so that they do not widen the loss."""
    return target if isdtype(target.dtype, "real floating") else _core.astype(target, input.dtype)


def kl_div(input: Tensor, target: Tensor, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """Target * (log(target) - input), the Kullback-Leibler divergence of log-probabilities `input` from `target`.

    Args:
        input: Log-probabilities.
        target: Probabilities, or log-probabilities with `log_target`.
        reduction: "mean", "sum", "none", or "batchmean": the sum over the first axis's size, which is the divergence.
        log_target: Whether the target holds logarithms.

    Raises:
        ShapeError: If the shapes differ.

    Example:
        >>> kl_div(ad.log(ad.tensor([[0.5, 0.5]])), ad.tensor([[0.5, 0.5]]), "batchmean").item()
        0.0
    """
    kind = "sum" if reduction == "batchmean" else reduction
    if log_target:
        _alike("kl_div", input, target)
        loss = _reduced("kl_div", _core.exp(target) * (target - input), kind)
    else:
        loss = _core.kl_div(input, target, kind)
    if reduction != "batchmean":
        return loss
    if input.ndim == 0:
        raise ShapeError("kl_div: reduction is 'batchmean' and the input has no axis. Use 'sum'.")
    return loss / input.shape[0]


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """max(0, -target * (input1 - input2) + margin), reduced.

    Args:
        input1: A tensor.
        input2: A tensor that broadcasts with it.
        target: 1 where `input1` shall be the larger, -1 where `input2`.
        margin: By how much.
        reduction: "mean", "sum" or "none".

    Example:
        >>> margin_ranking_loss(ad.tensor([1.0]), ad.tensor([3.0]), ad.tensor([1.0])).item()
        2.0
    """
    return _reduced(
        "margin_ranking_loss", _core.relu(-_in_kind(target, input1) * (input1 - input2) + margin), reduction
    )


def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, reduction: str = "mean") -> Tensor:
    """X where the target is 1, max(0, margin - x) where it is -1, reduced.

    Args:
        input: Distances.
        target: 1 or -1.
        margin: How far apart pairs of target -1 shall be.
        reduction: "mean", "sum" or "none".

    Example:
        >>> hinge_embedding_loss(ad.tensor([0.25, 0.25]), ad.tensor([1, -1]), reduction="none").tolist()
        [0.25, 0.75]
    """
    near = _core.where(target != -1, input, 0.0)
    far = _core.where(target != 1, _core.relu(margin - input), 0.0)
    return _reduced("hinge_embedding_loss", near + far, reduction)


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """1 - cos(x1, x2) where the target is 1, max(0, cos(x1, x2) - margin) where it is -1, reduced.

    Args:
        input1: `[batch, size]`, or `[size]`.
        input2: The same.
        target: 1 or -1, `[batch]` or `[]`.
        margin: The greatest cosine that pairs of target -1 may have.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError: If the shapes do not fit together.

    Example:
        >>> x = ad.tensor([[1.0, 0.0]])
        >>> cosine_embedding_loss(x, x, ad.tensor([-1])).item()
        1.0
    """
    _alike("cosine_embedding_loss", input1, input2)
    if input1.ndim not in (1, 2) or target.shape != input1.shape[:-1]:
        raise ShapeError(
            f"cosine_embedding_loss: the inputs are {input1.shape} and the target {target.shape}. "
            "Give (batch, size) and (batch,), or (size,) and ()."
        )
    square1, square2 = (_core.sum(x * x, axis=-1) + 1e-12 for x in (input1, input2))
    cosine = _core.sum(input1 * input2, axis=-1) / _core.sqrt(square1 * square2)
    near = _core.where(target == 1, 1.0 - cosine, 0.0)
    far = _core.where(target == -1, _core.relu(cosine - margin), 0.0)
    return _reduced("cosine_embedding_loss", near + far, reduction)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin) of the p-norm's distances, reduced.

    Args:
        anchor: `[..., size]`.
        positive: What shall be near.
        negative: What shall be far.
        margin: How much farther.
        p: Which norm.
        eps: Added to every difference.
        swap: Whether the negative's distance from the positive counts where it is the smaller one.
        reduction: "mean", "sum" or "none".

    Source:
        Balntas et al. (2016), Learning shallow convolutional feature descriptors with triplet losses.

    Example:
        >>> near, far = ad.zeros((1, 2)), ad.tensor([[3.0, 4.0]])
        >>> round(triplet_margin_loss(near, far, near).item(), 4)
        6.0
    """
    wanted = pairwise_distance(anchor, positive, p, eps)
    other = pairwise_distance(anchor, negative, p, eps)
    if swap:
        other = _core.minimum(other, pairwise_distance(positive, negative, p, eps))
    return _reduced("triplet_margin_loss", _core.relu(wanted - other + margin), reduction)


def soft_margin_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """log(1 + exp(-target * input)), reduced, for targets 1 and -1.

    Args:
        input: A tensor.
        target: 1 or -1, of its shape.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError: If the shapes differ.

    Example:
        >>> round(soft_margin_loss(ad.zeros(1), ad.ones(1)).item(), 4)
        0.6931
    """
    _alike("soft_margin_loss", input, target)
    return _reduced("soft_margin_loss", _core.softplus(-_in_kind(target, input) * input), reduction)


def multilabel_soft_margin_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """Mean over the classes of the cross-entropies of sigmoid(input), reduced over the samples.

    Args:
        input: Logits `[..., classes]`.
        target: 0 and 1, of its shape.
        weight: Weights of the classes.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError: If the shapes differ.

    Example:
        >>> round(multilabel_soft_margin_loss(ad.zeros((1, 2)), ad.ones((1, 2))).item(), 4)
        0.6931
    """
    _alike("multilabel_soft_margin_loss", input, target)
    target = _in_kind(target, input)
    losses = -(target * _core.logsigmoid(input) + (1 - target) * _core.logsigmoid(-input))
    if weight is not None:
        losses = losses * weight
    return _reduced("multilabel_soft_margin_loss", _core.mean(losses, axis=-1), reduction)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Sum over the other classes i of max(0, margin - x[target] + x[i])^p / classes, reduced.

    Args:
        input: Scores `[batch, classes]`, or `[classes]`.
        target: Labels `[batch]`, or `[]`.
        p: 1 or 2.
        margin: How far the right class shall be ahead.
        weight: Weights of the classes, before the power.
        reduction: "mean", "sum" or "none".

    Raises:
        DomainError: If `p` is neither 1 nor 2.
        ShapeError: If the shapes do not fit together.
        OutOfRangeError: If a label names no class.

    Example:
        >>> multi_margin_loss(ad.tensor([[0.0, 0.5]]), ad.tensor([1])).item()
        0.25
    """
    if p not in (1, 2):
        raise DomainError(f"multi_margin_loss: p is {p}. Use 1 or 2.")
    if input.ndim not in (1, 2) or target.shape != input.shape[:-1]:
        raise ShapeError(
            f"multi_margin_loss: input is {input.shape} and target {target.shape}. "
            "Give (batch, classes) and (batch,), or (classes,) and ()."
        )
    classes = input.shape[-1]
    column = _core.expand_dims(target, axis=-1)
    own = _core.take_along_axis(input, column, axis=-1)
    terms = _core.relu(margin - own + input)
    if p == 2:
        terms = _core.square(terms)
    if weight is not None:
        terms = terms * _core.expand_dims(_core.take(weight, target), axis=-1)
    others = _core.arange(classes, device=input.device) != column
    return _reduced("multi_margin_loss", _core.sum(_core.where(others, terms, 0.0), axis=-1) / classes, reduction)


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """exp(input) - target * input, the negative log-likelihood of counts, up to a constant; reduced.

    Args:
        input: Logarithms of the rates, or the rates with `log_input=False`: input - target * log(input + eps).
        target: Counts.
        log_input: Whether the input holds logarithms.
        full: Whether Stirling's formula for log(target!) is added, for targets above 1.
        eps: Keeps the logarithm of a rate 0 finite.
        reduction: "mean", "sum" or "none".

    Example:
        >>> poisson_nll_loss(ad.zeros(1), ad.ones(1)).item()
        1.0
    """
    target = _in_kind(target, input)
    losses = _core.exp(input) - target * input if log_input else input - target * _core.log(input + eps)
    if full:
        counts = _core.where(target > 1, target, 1.0)
        stirling = counts * _core.log(counts) - counts + 0.5 * _core.log(2 * math.pi * counts)
        losses = losses + _core.where(target > 1, stirling, 0.0)
    return _reduced("poisson_nll_loss", losses, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """(log(var) + (input - target)^2 / var) / 2, the negative log-likelihood up to a constant; reduced.

    Args:
        input: Means.
        target: Values.
        var: Variances: of the input's shape, or with a last axis of size 1 or none; or one number.
        full: Whether the constant log(2 pi) / 2 is added.
        eps: The least variance; has no part in the gradient.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError: If the variances do not fit the input.
        DomainError: If `eps` is not positive, or the one variance is negative.

    Example:
        >>> gaussian_nll_loss(ad.tensor([1.0]), ad.tensor([3.0]), ad.tensor([1.0])).item()
        2.0
    """
    if not eps > 0:
        raise DomainError(f"gaussian_nll_loss: eps is {eps}. Use a positive number.")
    if not isinstance(var, Tensor):
        if var < 0:
            raise DomainError(f"gaussian_nll_loss: var is {var}. Use 0 or more.")
        var = _core.full_like(input, var)
    if var.shape != input.shape:
        if var.shape == input.shape[:-1]:
            var = _core.expand_dims(var, axis=-1)
        elif var.shape != (*input.shape[:-1], 1):
            raise ShapeError(
                f"gaussian_nll_loss: input is {input.shape} and var {var.shape}. "
                "Give variances of the input's shape, or one per row."
            )
    # Held above eps in value; the gradient passes as if it were not.
    var = var + (_core.maximum(var, eps) - var).detach()
    losses = 0.5 * (_core.log(var) + _core.square(input - _in_kind(target, input)) / var)
    if full:
        losses = losses + 0.5 * math.log(2 * math.pi)
    return _reduced("gaussian_nll_loss", losses, reduction)
