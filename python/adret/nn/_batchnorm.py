"""Layers that normalise channels, with running statistics.

Depends on `functional`. Invariant: running statistics are buffers that change in place, inside compiled steps too; they
are as PyTorch's, so that trained ones carry over.
"""

from __future__ import annotations

from .._core import DomainError, DType, ShapeError, Tensor, int32, int64, no_grad, ones, zeros
from . import functional as F
from ._module import Module
from ._parameter import Parameter
from .functional._windows import whole


class _Norm(Module):
    """Parameters, running statistics, and how many batches they have seen."""

    _ranks: tuple[int, ...]
    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: str | None = None,
        dtype: DType | None = None,
        *,
        bias: bool = True,
    ) -> None:
        """Makes the parameters, weight 1 and bias 0, and the statistics, mean 0 and variance 1."""
        name = type(self).__name__
        (num_features,) = whole(name, 0, num_features=num_features)
        if momentum is not None and not 0.0 <= momentum <= 1.0:
            raise DomainError(f"{name}: momentum is {momentum}. Use a number from 0 to 1, or None for a plain mean.")
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        one = ones(num_features, dtype=dtype, device=device)
        zero = zeros(num_features, dtype=dtype, device=device)
        self.weight = Parameter(one) if affine else None
        self.bias = Parameter(zero) if affine and bias else None
        tracked = track_running_stats
        self.register_buffer("running_mean", zero.clone() if tracked else None)
        self.register_buffer("running_var", one.clone() if tracked else None)
        counter = int64 if zero.device == "cpu" else int32
        self.register_buffer("num_batches_tracked", zeros((), dtype=counter, device=device) if tracked else None)

    def reset_running_stats(self) -> None:
        """Sets the running statistics to mean 0 and variance 1, of no batch."""
        with no_grad():
            for buffer, value in ((self.running_mean, 0.0), (self.running_var, 1.0), (self.num_batches_tracked, 0)):
                if buffer is not None:
                    buffer.assign(value)

    def reset_parameters(self) -> None:
        """Sets the running statistics to their beginning, weight to 1 and bias to 0."""
        self.reset_running_stats()
        with no_grad():
            if self.weight is not None:
                self.weight.assign(1.0)
            if self.bias is not None:
                self.bias.assign(0.0)

    def _check(self, input: Tensor, channels: int) -> None:
        name = type(self).__name__
        if input.ndim not in self._ranks:
            wanted = " or ".join(map(str, self._ranks))
            raise ShapeError(f"{name}: input {input.shape} has {input.ndim} axes. Give {wanted}: batch, channels, ….")
        if input.shape[channels] != self.num_features:
            raise ShapeError(
                f"{name}: input {input.shape} has {input.shape[channels]} channels along axis {channels}, and the "
                f"layer {self.num_features}. Make them equal."
            )

    def _step(self) -> float | Tensor:
        """Counts a batch; how far the running statistics move."""
        count, mean = self.num_batches_tracked, self.running_mean
        if count is None or mean is None:
            return 0.0
        with no_grad():
            count.assign(count + 1)
            return 1.0 / count.astype(mean.dtype) if self.momentum is None else self.momentum

    def extra_repr(self) -> str:
        """The settings."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_Norm):
    """Statistics over the batch and all that follows the channels."""

    def forward(self, input: Tensor) -> Tensor:
        """The input, normalised, scaled and shifted."""
        self._check(input, 1)
        own = self.training or self.running_mean is None
        moves = self.training and self.running_mean is not None
        if not own:
            statistics = (self.running_mean, self.running_var)
            return F.batch_norm(input, *statistics, self.weight, self.bias, False, 0.0, self.eps)
        momentum = self._step() if moves else 0.0
        statistics = (self.running_mean, self.running_var) if moves else (None, None)
        return F.batch_norm(input, *statistics, self.weight, self.bias, True, momentum, self.eps)


class _InstanceNorm(_Norm):
    """Statistics over all that follows the channels."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: str | None = None,
        dtype: DType | None = None,
        *,
        bias: bool = True,
    ) -> None:
        """Makes the parameters and the statistics, if there are to be any."""
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """The input, normalised, scaled and shifted."""
        without = input.ndim == min(self._ranks)
        self._check(input, 0 if without else 1)
        x = input.reshape(1, *input.shape) if without else input
        own = self.training or self.running_mean is None
        # As in PyTorch, batches are not counted here, and without a momentum nothing moves.
        momentum = self.momentum or 0.0
        statistics = (self.running_mean, self.running_var)
        if own and not self.training:
            statistics = (None, None)
        result = F.instance_norm(x, *statistics, self.weight, self.bias, own, momentum, self.eps)
        return result.reshape(input.shape) if without else result


class BatchNorm1d(_BatchNorm):
    """Normalises channels over the batch.

    y = (x - mean) / sqrt(var + eps) * weight + bias, with the batch's mean and variance while training, else with the
    running ones

    Args:
        num_features: Number of channels.
        eps: Added to the variance; keeps constant channels finite.
        momentum: How far the running statistics move towards those of a batch; None for their plain mean.
        affine: Whether there are a weight and, unless `bias` says otherwise, a bias.
        track_running_stats: Whether there are running statistics; else every batch has its own, always.
        device: Where the parameters are.
        dtype: The parameters' dtype.
        bias: Whether there is a bias where there is a weight.

    Shape:
        input `[batch, channels]` or `[batch, channels, width]`, output the same.
        Parameters and statistics are `[channels]`.

    Raises:
        ShapeError: If the input has other channels or axes, or one element per channel while training.

    Source:
        Ioffe, Szegedy (2015), Batch Normalization.

    Example:
        >>> layer = BatchNorm1d(3)
        >>> layer(ad.ones((4, 3, 2))).shape, layer.num_batches_tracked.item()
        ((4, 3, 2), 1)
    """

    _ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Normalises channels over the batch and the image.

    y = (x - mean) / sqrt(var + eps) * weight + bias, with the batch's mean and variance while training, else with the
    running ones

    Args:
        num_features: Number of channels.
        eps: Added to the variance; keeps constant channels finite.
        momentum: How far the running statistics move towards those of a batch; None for their plain mean.
        affine: Whether there are a weight and, unless `bias` says otherwise, a bias.
        track_running_stats: Whether there are running statistics; else every batch has its own, always.
        device: Where the parameters are.
        dtype: The parameters' dtype.
        bias: Whether there is a bias where there is a weight.

    Shape:
        input `[batch, channels, height, width]`, output the same.
        Parameters and statistics are `[channels]`.

    Raises:
        ShapeError: If the input has other channels or axes, or one element per channel while training.

    Source:
        Ioffe, Szegedy (2015), Batch Normalization.

    Example:
        >>> layer = BatchNorm2d(3)
        >>> layer(ad.ones((4, 3, 2, 2))).shape, layer.num_batches_tracked.item()
        ((4, 3, 2, 2), 1)
    """

    _ranks = (4,)


class BatchNorm3d(_BatchNorm):
    """Normalises channels over the batch and the image.

    y = (x - mean) / sqrt(var + eps) * weight + bias, with the batch's mean and variance while training, else with the
    running ones

    Args:
        num_features: Number of channels.
        eps: Added to the variance; keeps constant channels finite.
        momentum: How far the running statistics move towards those of a batch; None for their plain mean.
        affine: Whether there are a weight and, unless `bias` says otherwise, a bias.
        track_running_stats: Whether there are running statistics; else every batch has its own, always.
        device: Where the parameters are.
        dtype: The parameters' dtype.
        bias: Whether there is a bias where there is a weight.

    Shape:
        input `[batch, channels, depth, height, width]`, output the same.
        Parameters and statistics are `[channels]`.

    Raises:
        ShapeError: If the input has other channels or axes, or one element per channel while training.

    Source:
        Ioffe, Szegedy (2015), Batch Normalization.

    Example:
        >>> layer = BatchNorm3d(3)
        >>> layer(ad.ones((4, 3, 2, 2, 2))).shape, layer.num_batches_tracked.item()
        ((4, 3, 2, 2, 2), 1)
    """

    _ranks = (5,)


class InstanceNorm1d(_InstanceNorm):
    """Normalises each channel of each batch entry by itself.

    y = (x - mean) / sqrt(var + eps) * weight + bias, with mean and variance over all that follows the channels

    Args:
        num_features: Number of channels.
        eps: Added to the variance; keeps constant channels finite.
        momentum: How far the running statistics move towards those of a batch; None for their plain mean.
        affine: Whether there are a weight and, unless `bias` says otherwise, a bias.
        track_running_stats: Whether there are running statistics, which evaluation mode takes.
        device: Where the parameters are.
        dtype: The parameters' dtype.
        bias: Whether there is a bias where there is a weight.

    Shape:
        input `[batch, channels, width]`, or without a batch; output the same.
        Parameters and statistics are `[channels]`.

    Raises:
        ShapeError: If the input has other channels or axes, or one element per channel of an entry.

    Source:
        Ulyanov, Vedaldi, Lempitsky (2016), Instance Normalization.

    Example:
        >>> InstanceNorm1d(3)(ad.ones((4, 3, 2))).shape
        (4, 3, 2)
    """

    _ranks = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Normalises each channel of each batch entry by itself.

    y = (x - mean) / sqrt(var + eps) * weight + bias, with mean and variance over all that follows the channels

    Args:
        num_features: Number of channels.
        eps: Added to the variance; keeps constant channels finite.
        momentum: How far the running statistics move towards those of a batch; None for their plain mean.
        affine: Whether there are a weight and, unless `bias` says otherwise, a bias.
        track_running_stats: Whether there are running statistics, which evaluation mode takes.
        device: Where the parameters are.
        dtype: The parameters' dtype.
        bias: Whether there is a bias where there is a weight.

    Shape:
        input `[batch, channels, height, width]`, or without a batch; output the same.
        Parameters and statistics are `[channels]`.

    Raises:
        ShapeError: If the input has other channels or axes, or one element per channel of an entry.

    Source:
        Ulyanov, Vedaldi, Lempitsky (2016), Instance Normalization.

    Example:
        >>> InstanceNorm2d(3)(ad.ones((4, 3, 2, 2))).shape
        (4, 3, 2, 2)
    """

    _ranks = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Normalises each channel of each batch entry by itself.

    y = (x - mean) / sqrt(var + eps) * weight + bias, with mean and variance over all that follows the channels

    Args:
        num_features: Number of channels.
        eps: Added to the variance; keeps constant channels finite.
        momentum: How far the running statistics move towards those of a batch; None for their plain mean.
        affine: Whether there are a weight and, unless `bias` says otherwise, a bias.
        track_running_stats: Whether there are running statistics, which evaluation mode takes.
        device: Where the parameters are.
        dtype: The parameters' dtype.
        bias: Whether there is a bias where there is a weight.

    Shape:
        input `[batch, channels, depth, height, width]`, or without a batch; output the same.
        Parameters and statistics are `[channels]`.

    Raises:
        ShapeError: If the input has other channels or axes, or one element per channel of an entry.

    Source:
        Ulyanov, Vedaldi, Lempitsky (2016), Instance Normalization.

    Example:
        >>> InstanceNorm3d(3)(ad.ones((4, 3, 2, 2, 2))).shape
        (4, 3, 2, 2, 2)
    """

    _ranks = (4, 5)
