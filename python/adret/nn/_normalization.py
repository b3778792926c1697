"""Layers that normalise.

Depends on `functional`. Invariant: constant rows stay finite.
"""

from __future__ import annotations

from collections.abc import Sequence

from .._core import DomainError, DType, Tensor, ones, zeros
from . import functional as F
from ._module import Module
from ._parameter import Parameter
from .functional._windows import whole


def _sizes(name: str, normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(normalized_shape, Sequence) and not isinstance(normalized_shape, str):
        return tuple(whole(name, 0, normalized_shape=size)[0] for size in normalized_shape)
    return tuple(whole(name, 0, normalized_shape=normalized_shape))


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
        shape = _sizes("LayerNorm", normalized_shape)
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


class GroupNorm(Module):
    """Normalises groups of channels of each batch entry to zero mean and unit variance.

    y = (x - mean) / sqrt(var + eps) * weight + bias, with mean and variance over a group and all that follows

    Args:
        num_groups: How many groups the channels are cut into.
        num_channels: Number of channels.
        eps: Added to the variance; keeps constant groups finite.
        affine: Whether there are a weight and, unless `bias` says otherwise, a bias, one number per channel each.
        device: Where the parameters are.
        dtype: The parameters' dtype.
        bias: Whether there is a bias where there is a weight.

    Shape:
        input `[batch, channels, ...]`, output the same.

    Raises:
        DomainError: If the groups do not divide the channels.
        ShapeError: If the input has other channels.

    Source:
        Wu, He (2018), Group Normalization.

    Example:
        >>> GroupNorm(2, 4)(ad.ones((1, 4, 3, 3))).shape
        (1, 4, 3, 3)
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: str | None = None,
        dtype: DType | None = None,
        *,
        bias: bool = True,
    ) -> None:
        """Makes the parameters: weight 1, bias 0."""
        whole("GroupNorm", num_groups=num_groups, num_channels=num_channels)
        if num_groups < 1 or num_channels % num_groups:
            raise DomainError(
                f"GroupNorm: {num_channels} channels are not divided by {num_groups} groups. Use a divisor."
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self.weight = Parameter(ones(num_channels, dtype=dtype, device=device)) if affine else None
        self.bias = Parameter(zeros(num_channels, dtype=dtype, device=device)) if affine and bias else None

    def forward(self, input: Tensor) -> Tensor:
        """The input, normalised, scaled and shifted."""
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The settings."""
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


class RMSNorm(Module):
    """Divides the last axes by their root mean square.

    y = x / sqrt(mean(x * x) + eps) * weight

    Args:
        normalized_shape: Sizes of the normalised axes; a number stands for the last axis alone.
        eps: Added to the mean; the dtype's precision if None.
        elementwise_affine: Whether there is a weight.
        device: Where the weight is.
        dtype: The weight's dtype.

    Shape:
        input `[..., *normalized_shape]`, output the same.

    Raises:
        ShapeError: If the last axes of the input differ from `normalized_shape`.

    Source:
        Zhang, Sennrich (2019), Root Mean Square Layer Normalization.

    Example:
        >>> RMSNorm(4)(ad.ones((2, 4))).shape
        (2, 4)
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        """Makes the weight, 1 everywhere."""
        shape = _sizes("RMSNorm", normalized_shape)
        self.normalized_shape = shape
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.weight = Parameter(ones(shape, dtype=dtype, device=device)) if elementwise_affine else None

    def forward(self, input: Tensor) -> Tensor:
        """The input, divided and scaled."""
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """The settings."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
