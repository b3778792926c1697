"""Losses as modules; the formulae are in `functional`.

Depends on `functional`. Invariant: `reduction` is "mean", "sum" or "none", checked when the loss is made.
"""

from __future__ import annotations

from .._core import DomainError, Tensor
from . import functional as F
from ._module import Module


class Loss(Module):
    """The base of losses: keeps the reduction."""

    def __init__(self, reduction: str = "mean") -> None:
        """Takes how the elements' losses become the result."""
        if reduction not in ("mean", "sum", "none"):
            kind = type(self).__name__
            raise DomainError(f"{kind}: reduction is {reduction!r}. Use 'mean', 'sum' or 'none'.")
        self.reduction = reduction


class MSELoss(Loss):
    """(input - target)^2, averaged.

    Args:
        reduction: "mean", "sum" or "none".

    Shape:
        input and target of one shape; the result `[]`, or that shape with "none".

    Raises:
        ShapeError: If the shapes differ.

    Example:
        >>> MSELoss()(ad.tensor([1.0, 3.0]), ad.tensor([1.0, 1.0])).item()
        2.0
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The squared differences, reduced."""
        return F.mse_loss(input, target, self.reduction)


class L1Loss(Loss):
    """|input - target|, averaged.

    Args:
        reduction: "mean", "sum" or "none".

    Shape:
        input and target of one shape; the result `[]`, or that shape with "none".

    Raises:
        ShapeError: If the shapes differ.

    Example:
        >>> L1Loss()(ad.tensor([1.0, 3.0]), ad.tensor([1.0, 1.0])).item()
        1.0
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The absolute differences, reduced."""
        return F.l1_loss(input, target, self.reduction)


class SmoothL1Loss(Loss):
    """d^2 / (2 beta) where |d| < beta, else |d| - beta / 2, for d = input - target, averaged.

    Args:
        reduction: "mean", "sum" or "none".
        beta: Where the parabola passes into the straight line.

    Shape:
        input and target of one shape; the result `[]`, or that shape with "none".

    Raises:
        ShapeError: If the shapes differ.

    Example:
        >>> SmoothL1Loss()(ad.tensor([1.0, 3.0]), ad.tensor([1.0, 1.0])).item()
        0.75
    """

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        """Takes the reduction and where the parabola ends."""
        super().__init__(reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The smoothed absolute differences, reduced."""
        return F.smooth_l1_loss(input, target, self.reduction, self.beta)


class HuberLoss(Loss):
    """d^2 / 2 where |d| < delta, else delta * (|d| - delta / 2), for d = input - target, averaged.

    Args:
        reduction: "mean", "sum" or "none".
        delta: Where the parabola passes into the straight line.

    Shape:
        input and target of one shape; the result `[]`, or that shape with "none".

    Raises:
        ShapeError: If the shapes differ.

    Example:
        >>> HuberLoss()(ad.tensor([1.0, 3.0]), ad.tensor([1.0, 1.0])).item()
        0.75
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        """Takes the reduction and where the parabola ends."""
        super().__init__(reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The Huber losses, reduced."""
        return F.huber_loss(input, target, self.reduction, self.delta)


class BCELoss(Loss):
    """-(target log(input) + (1 - target) log(1 - input)), averaged, for probabilities `input`.

    The logarithms are held at -100 or above. `BCEWithLogitsLoss` is the more exact choice.

    Args:
        weight: Weights of the elements.
        reduction: "mean", "sum" or "none".

    Example:
        >>> round(BCELoss()(ad.tensor([0.5]), ad.tensor([1.0])).item(), 4)
        0.6931
    """

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean") -> None:
        """Takes weights and the reduction."""
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.weight: Tensor | None

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The cross-entropies of two classes, reduced."""
        return F.binary_cross_entropy(input, target, self.weight, self.reduction)


class BCEWithLogitsLoss(Loss):
    """`BCELoss` of sigmoid(input), computed without the detour, finite for every finite input.

    Args:
        weight: Weights of the elements.
        reduction: "mean", "sum" or "none".
        pos_weight: Weights of the terms with target 1.

    Example:
        >>> round(BCEWithLogitsLoss()(ad.tensor([0.0]), ad.tensor([1.0])).item(), 4)
        0.6931
    """

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean", pos_weight: Tensor | None = None) -> None:
        """Takes weights and the reduction."""
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)
        self.weight: Tensor | None
        self.pos_weight: Tensor | None

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The cross-entropies of two classes, reduced."""
        return F.binary_cross_entropy_with_logits(input, target, self.weight, self.reduction, self.pos_weight)


class NLLLoss(Loss):
    """-input[target], averaged over the weights, for log-probabilities `input` as of `LogSoftmax`.

    Args:
        weight: Weights of the classes.
        ignore_index: A label without loss or gradient.
        reduction: "mean", "sum" or "none".

    Shape:
        input `[batch, classes, ...]` or `[classes]`, target `[batch, ...]` or `[]` of integers.

    Example:
        >>> NLLLoss()(ad.tensor([[-1.0, -2.0]]), ad.tensor([1])).item()
        2.0
    """

    def __init__(self, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean") -> None:
        """Takes weights, the label to ignore and the reduction."""
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.weight: Tensor | None
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The negative log-likelihoods, reduced."""
        return F.nll_loss(input, target, self.weight, self.ignore_index, self.reduction)


class CrossEntropyLoss(Loss):
    """-log softmax(input)[target], averaged over the weights, for logits `input`.

    Args:
        weight: Weights of the classes.
        ignore_index: A label without loss or gradient.
        reduction: "mean", "sum" or "none".
        label_smoothing: Share of the target that is spread over all classes, from 0 to 1.

    Shape:
        input `[batch, classes, ...]` or `[classes]`; target `[batch, ...]` or `[]` of integers, or probabilities in the
        shape of the input.

    Raises:
        OutOfRangeError: If a label is not below the number of classes.

    Example:
        >>> round(CrossEntropyLoss()(ad.zeros((1, 2)), ad.tensor([1])).item(), 4)
        0.6931
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        """Takes weights, the label to ignore, the reduction and the smoothing."""
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.weight: Tensor | None
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The cross-entropies, reduced."""
        return F.cross_entropy(input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing)
