"""Dropout.

Depends on `functional`. Invariant: the mean of the output is the input, training or not.
"""

from __future__ import annotations

from .._core import DomainError, Tensor
from . import functional as F
from ._module import Module


class Dropout(Module):
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

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        """Takes the probability."""
        if not 0.0 <= p <= 1.0:
            raise DomainError(f"Dropout: p is {p}. Use a probability from 0 to 1.")
        self.p = p
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """The input, thinned out while training."""
        return F.dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"
