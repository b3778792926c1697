"""Layers that normalise.

Depends on `functional`. Invariant: constant rows stay finite.
"""

from __future__ import annotations

from collections.abc import Sequence

from .._core import DType, Tensor, ones, zeros
from . import functional as F
from ._module import Module
from ._parameter import Parameter


class LayerNorm(Module):
    """Normalises the last axes to zero mean and unit variance.

    y = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias

    Args:
        normalized_shape: Sizes of the normalised axes; a number stands for the last axis alone.
        eps: Added to the variance; keeps constant rows finite.
        elementwise_affine: Whether there are a weight and a bias.
        bias: Whether there is a bias.
        device: Where the parameters are.
        dtype: The parameters' dtype.

    Shape:
        input `[..., *normalized_shape]`, output the same.

    Raises:
        ShapeError: If the last axes of the input differ from `normalized_shape`.

    Source:
        Ba, Kiros, Hinton (2016), Layer Normalization.

    Example:
        >>> LayerNorm(4)(ad.ones((2, 4))).shape
        (2, 4)
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        """Makes the parameters: weight 1, bias 0."""
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.normalized_shape = shape
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.weight = Parameter(ones(shape, dtype=dtype, device=device)) if elementwise_affine else None
        self.bias = Parameter(zeros(shape, dtype=dtype, device=device)) if elementwise_affine and bias else None

    def forward(self, input: Tensor) -> Tensor:
        """The input, normalised, scaled and shifted."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The settings."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
