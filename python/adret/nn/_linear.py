"""Affine layers.

Depends on `functional`. Invariant: weights are laid out and initialised as PyTorch does, so trained ones carry over.
"""

from __future__ import annotations

import math

from .._core import DomainError, DType, Tensor, empty
from . import functional as F
from . import init
from ._module import Module
from ._parameter import Parameter


class Identity(Module):
    """Gives back its input; stands where a layer was taken out.

    y = x

    Example:
        >>> Identity()(ad.ones(2)).tolist()
        [1.0, 1.0]
    """

    def __init__(self, *_: object, **__: object) -> None:
        """Takes and ignores any arguments, so that it can replace any layer."""

    def forward(self, input: Tensor) -> Tensor:
        """The input."""
        return input


class Linear(Module):
    """Maps the last axis affinely.

    y = x @ weight.T + bias, with weight and bias from U(-1/sqrt(in_features), 1/sqrt(in_features)) at first

    Args:
        in_features: Size of the input's last axis.
        out_features: Size of the output's last axis.
        bias: Whether a bias is added.
        device: Where the parameters are.
        dtype: The parameters' dtype.

    Shape:
        input `[..., in_features]`, output `[..., out_features]`; weight `[out_features, in_features]`,
        bias `[out_features]`.

    Raises:
        ShapeError: If the input's last axis is not `in_features`.

    Example:
        >>> Linear(3, 2)(ad.ones((4, 3))).shape
        (4, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        """Makes and initialises the parameters."""
        if in_features < 0 or out_features < 0:
            raise DomainError(f"Linear: sizes are {in_features} and {out_features}. Use sizes of 0 or more.")
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(empty((out_features, in_features), dtype=dtype, device=device))
        self.bias = Parameter(empty((out_features,), dtype=dtype, device=device)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the parameters anew."""
        bound = 1 / math.sqrt(self.in_features) if self.in_features else 0.0
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        """`x @ weight.T + bias`."""
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
