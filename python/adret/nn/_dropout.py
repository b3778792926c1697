"""Dropout.

Depends on `functional`. Invariant: the mean of the output is the input, training or not.
"""

from __future__ import annotations

from .._core import Tensor
from . import functional as F
from ._module import Module
from .functional._windows import share


class _Dropout(Module):
    """A probability."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        """Takes the probability."""
        share(type(self).__name__, p=p)
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"


class Dropout(_Dropout):
    """Sets elements to zero with probability p while training, and scales the others.

    y = x * mask / (1 - p) in training mode, y = x in evaluation mode

    Args:
        p: Probability of a zero.
        inplace: Accepted and without effect.

    Raises:
        DomainError: If p is not a probability.

    Source:
        Srivastava et al. (2014), Dropout: A Simple Way to Prevent Neural Networks from Overfitting.

    Example:
        >>> Dropout(0.5).eval()(ad.ones(3)).tolist()
        [1.0, 1.0, 1.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """The input, thinned out while training."""
        return F.dropout(input, self.p, self.training)


class Dropout1d(_Dropout):
    """Sets whole channels to zero with probability p while training, and scales the others.

    y = x * mask / (1 - p) in training mode, y = x in evaluation mode

    Args:
        p: Probability of a zero.
        inplace: Accepted and without effect.

    Shape:
        input `[batch, channels, width]`, or without a batch; output the same.

    Raises:
        DomainError: If p is not a probability.
        ShapeError: If the input has another number of axes.

    Source:
        Tompson et al. (2015), Efficient Object Localization Using Convolutional Networks.

    Example:
        >>> Dropout1d(0.5).eval()(ad.ones((1, 1, 2))).shape
        (1, 1, 2)
    """

    def forward(self, input: Tensor) -> Tensor:
        """The input, some channels of it zero while training."""
        return F.dropout1d(input, self.p, self.training)


class Dropout2d(_Dropout):
    """Sets whole channels to zero with probability p while training, and scales the others.

    y = x * mask / (1 - p) in training mode, y = x in evaluation mode

    Args:
        p: Probability of a zero.
        inplace: Accepted and without effect.

    Shape:
        input `[batch, channels, height, width]`, or `[batch, channels, width]`; output the same.

    Raises:
        DomainError: If p is not a probability.
        ShapeError: If the input has another number of axes.

    Source:
        Tompson et al. (2015), Efficient Object Localization Using Convolutional Networks.

    Example:
        >>> Dropout2d(0.5).eval()(ad.ones((1, 1, 2, 2))).shape
        (1, 1, 2, 2)
    """

    def forward(self, input: Tensor) -> Tensor:
        """The input, some channels of it zero while training."""
        return F.dropout2d(input, self.p, self.training)


class Dropout3d(_Dropout):
    """Sets whole channels to zero with probability p while training, and scales the others.

    y = x * mask / (1 - p) in training mode, y = x in evaluation mode

    Args:
        p: Probability of a zero.
        inplace: Accepted and without effect.

    Shape:
        input `[batch, channels, depth, height, width]`, or without a batch; output the same.

    Raises:
        DomainError: If p is not a probability.
        ShapeError: If the input has another number of axes.

    Source:
        Tompson et al. (2015), Efficient Object Localization Using Convolutional Networks.

    Example:
        >>> Dropout3d(0.5).eval()(ad.ones((1, 1, 2, 2, 2))).shape
        (1, 1, 2, 2, 2)
    """

    def forward(self, input: Tensor) -> Tensor:
        """The input, some channels of it zero while training."""
        return F.dropout3d(input, self.p, self.training)


class AlphaDropout(_Dropout):
    """Sets elements to SELU's lowest value with probability p while training, and keeps mean 0 and variance 1.

    y = a * (x * mask + low * (1 - mask)) + b in training mode, y = x in evaluation mode

    Args:
        p: Probability of the lowest value.
        inplace: Accepted and without effect.

    Raises:
        DomainError: If p is not a probability.

    Source:
        Klambauer et al. (2017), Self-Normalizing Neural Networks.

    Example:
        >>> AlphaDropout(0.5).eval()(ad.ones(2)).tolist()
        [1.0, 1.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """The input, some elements of it at the lowest value while training."""
        return F.alpha_dropout(input, self.p, self.training)
