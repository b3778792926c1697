"""Losses of distances, margins and distributions as modules; the formulae are in `functional`.

Depends on `_losses` and `functional`. Invariant: as there.
"""

from __future__ import annotations

from .._core import DomainError, Tensor
from . import functional as F
from ._losses import Loss
from ._module import Module


class KLDivLoss(Module):
    """target * (log(target) - input), averaged, for log-probabilities `input`.

    Args:
        reduction: "mean", "sum", "none", or "batchmean": the sum over the batch's size, which is the divergence.
        log_target: Whether the target holds logarithms.

    Shape:
        input and target of one shape; the result `[]`, or that shape with "none".

    Raises:
        ShapeError: If the shapes differ.

    Example:
        >>> KLDivLoss("batchmean")(ad.log(ad.tensor([[0.5, 0.5]])), ad.tensor([[0.5, 0.5]])).item()
        0.0
    """

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        """Takes the settings."""
        if reduction not in ("mean", "sum", "none", "batchmean"):
            raise DomainError(f"KLDivLoss: reduction is {reduction!r}. Use 'batchmean', 'mean', 'sum' or 'none'.")
        self.reduction = reduction
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The divergences, reduced."""
        return F.kl_div(input, target, self.reduction, self.log_target)


class MarginRankingLoss(Loss):
    """max(0, -target * (input1 - input2) + margin), averaged.

    Args:
        margin: By how much one shall be the larger.
        reduction: "mean", "sum" or "none".

    Example:
        >>> MarginRankingLoss()(ad.tensor([1.0]), ad.tensor([3.0]), ad.tensor([1.0])).item()
        2.0
    """

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        """Takes the settings."""
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        """The violations of the order, reduced."""
        return F.margin_ranking_loss(input1, input2, target, self.margin, self.reduction)


class HingeEmbeddingLoss(Loss):
    """x where the target is 1, max(0, margin - x) where it is -1, averaged.

    Args:
        margin: How far apart pairs of target -1 shall be.
        reduction: "mean", "sum" or "none".

    Example:
        >>> HingeEmbeddingLoss()(ad.tensor([0.25]), ad.tensor([-1])).item()
        0.75
    """

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        """Takes the settings."""
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The distances that are wrong, reduced."""
        return F.hinge_embedding_loss(input, target, self.margin, self.reduction)


class CosineEmbeddingLoss(Loss):
    """1 - cos(x1, x2) where the target is 1, max(0, cos(x1, x2) - margin) where it is -1, averaged.

    Args:
        margin: The greatest cosine that pairs of target -1 may have.
        reduction: "mean", "sum" or "none".

    Example:
        >>> CosineEmbeddingLoss()(ad.ones((1, 2)), ad.ones((1, 2)), ad.tensor([1])).item() < 1e-6
        True
    """

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        """Takes the settings."""
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        """The angles that are wrong, reduced."""
        return F.cosine_embedding_loss(input1, input2, target, self.margin, self.reduction)


class TripletMarginLoss(Loss):
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), averaged.

    Args:
        margin: How much farther the negative shall be.
        p: Which norm the distances are of.
        eps: Added to every difference.
        swap: Whether the negative's distance from the positive counts where it is the smaller one.
        reduction: "mean", "sum" or "none".

    Example:
        >>> TripletMarginLoss()(ad.zeros((1, 2)), ad.zeros((1, 2)), ad.zeros((1, 2))).item()
        1.0
    """

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False, reduction: str = "mean"
    ) -> None:
        """Takes the settings."""
        super().__init__(reduction)
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """The distances that are wrong, reduced."""
        return F.triplet_margin_loss(
            anchor, positive, negative, self.margin, self.p, self.eps, self.swap, self.reduction
        )


class SoftMarginLoss(Loss):
    """log(1 + exp(-target * input)), averaged, for targets 1 and -1.

    Args:
        reduction: "mean", "sum" or "none".

    Example:
        >>> round(SoftMarginLoss()(ad.zeros(1), ad.ones(1)).item(), 4)
        0.6931
    """

    def __init__(self, reduction: str = "mean") -> None:
        """Takes the settings."""
        super().__init__(reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The logistic losses, reduced."""
        return F.soft_margin_loss(input, target, self.reduction)


class PoissonNLLLoss(Loss):
    """exp(input) - target * input, averaged: the negative log-likelihood of counts, up to a constant.

    Args:
        log_input: Whether the input holds logarithms of rates, else the rates.
        full: Whether Stirling's formula for log(target!) is added.
        eps: Keeps the logarithm of a rate 0 finite.
        reduction: "mean", "sum" or "none".

    Example:
        >>> PoissonNLLLoss()(ad.zeros(1), ad.ones(1)).item()
        1.0
    """

    def __init__(self, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean") -> None:
        """Takes the settings."""
        super().__init__(reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The negative log-likelihoods, reduced."""
        return F.poisson_nll_loss(input, target, self.log_input, self.full, self.eps, self.reduction)


class GaussianNLLLoss(Loss):
    """(log(var) + (input - target)^2 / var) / 2, averaged: the negative log-likelihood, up to a constant.

    Args:
        full: Whether the constant log(2 pi) / 2 is added.
        eps: The least variance.
        reduction: "mean", "sum" or "none".

    Example:
        >>> GaussianNLLLoss()(ad.tensor([1.0]), ad.tensor([3.0]), ad.tensor([1.0])).item()
        2.0
    """

    def __init__(self, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        """Takes the settings."""
        super().__init__(reduction)
        self.full = full
        self.eps = eps

    def forward(self, input: Tensor, target: Tensor, var: Tensor) -> Tensor:
        """The negative log-likelihoods, reduced."""
        return F.gaussian_nll_loss(input, target, var, self.full, self.eps, self.reduction)


class MultiMarginLoss(Loss):
    """sum over the other classes i of max(0, margin - x[target] + x[i])^p / classes, averaged.

    Args:
        p: 1 or 2.
        margin: How far the right class shall be ahead.
        weight: Weights of the classes.
        reduction: "mean", "sum" or "none".

    Shape:
        input `[batch, classes]` or `[classes]`, target `[batch]` or `[]` of integers.

    Example:
        >>> MultiMarginLoss()(ad.tensor([[0.0, 0.5]]), ad.tensor([1])).item()
        0.25
    """

    def __init__(self, p: int = 1, margin: float = 1.0, weight: Tensor | None = None, reduction: str = "mean") -> None:
        """Takes the settings."""
        super().__init__(reduction)
        self.p = p
        self.margin = margin
        self.register_buffer("weight", weight)
        self.weight: Tensor | None

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The scores that are too near, reduced."""
        return F.multi_margin_loss(input, target, self.p, self.margin, self.weight, self.reduction)


class MultiLabelSoftMarginLoss(Loss):
    """Mean over the classes of the cross-entropies of sigmoid(input), averaged over the samples.

    Args:
        weight: Weights of the classes.
        reduction: "mean", "sum" or "none".

    Shape:
        input and target `[..., classes]`.

    Example:
        >>> round(MultiLabelSoftMarginLoss()(ad.zeros((1, 2)), ad.ones((1, 2))).item(), 4)
        0.6931
    """

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean") -> None:
        """Takes the settings."""
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.weight: Tensor | None

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The cross-entropies, reduced."""
        return F.multilabel_soft_margin_loss(input, target, self.weight, self.reduction)


class CosineSimilarity(Module):
    """The cosine of the angle between vectors along an axis.

    Args:
        dim: The axis.
        eps: The least length.

    Example:
        >>> CosineSimilarity()(ad.tensor([[1.0, 0.0]]), ad.tensor([[2.0, 0.0]])).tolist()
        [1.0]
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        """Takes the axis."""
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """The cosines."""
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """The p-norm of the difference, along the last axis.

    Args:
        p: Which norm.
        eps: Added to every difference.
        keepdim: Whether the last axis stays, of size 1.

    Example:
        >>> PairwiseDistance(eps=0.0)(ad.tensor([[3.0, 4.0]]), ad.zeros((1, 2))).tolist()
        [5.0]
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        """Takes the norm."""
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """The distances."""
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
