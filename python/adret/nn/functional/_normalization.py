"""Normalisation of channels, groups of channels, single images and rows.

Depends on the core only. Invariant: running statistics are rebound, never part of a gradient.
"""

# The core is private to the package, of which this is a part.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import math
from collections.abc import Sequence

from ... import _core
from ..._array_api import finfo
from ..._core import DomainError, ShapeError, Tensor

__all__ = ["batch_norm", "group_norm", "instance_norm", "rms_norm"]


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float | Tensor = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias for each channel along axis 1.

    While training, mean and variance are those of the input over all other axes, and the running ones, if there are
    any, move towards them: running = (1 - momentum) * running + momentum * new, with the variance that divides by one
    less than the number of elements. Otherwise the running ones are taken.

    Args:
        input: A tensor `[batch, channels, ...]`.
        running_mean: A vector `[channels]`, changed in place; or None.
        running_var: A vector `[channels]`, changed in place; or None.
        weight: Factors `[channels]`.
        bias: Summands `[channels]`.
        training: Whether the input's own statistics are taken.
        momentum: How far the running statistics move, from 0 to 1.
        eps: Added to the variance; keeps constant channels finite.

    Raises:
        ShapeError: If sizes do not fit, or there is only one element per channel while training.
        DomainError: If there are no running statistics, and not training.

    Source:
        Ioffe, Szegedy (2015), Batch Normalization.

    Example:
        >>> x = ad.tensor([[1.0, 5.0], [3.0, 9.0]])
        >>> batch_norm(x, None, None, training=True, eps=0.0).tolist()
        [[-1.0, -1.0], [1.0, 1.0]]
    """
    if not training:
        if running_mean is None or running_var is None:
            raise DomainError(
                "batch_norm: training is False and there are no running statistics. Give running_mean and running_var, "
                "or training=True."
            )
        return _core.batch_norm(input, running_mean, running_var, weight, bias, eps)[0]
    elements = _elements(input)
    if elements == 1:
        raise ShapeError(
            f"batch_norm: input {input.shape} has one element per channel, whose variance is 0. "
            "Give more while training, or use evaluation mode."
        )
    result, mean, variance = _core.batch_norm(input, None, None, weight, bias, eps)
    # Refused before anything is changed: sizes that do not fit.
    for name, running in (("running_mean", running_mean), ("running_var", running_var)):
        if running is not None and running.shape != mean.shape:
            raise ShapeError(
                f"batch_norm: {name} is {running.shape} and input {input.shape} has {input.shape[1]} channels along "
                f"axis 1. Give it the shape ({input.shape[1]},)."
            )
    # Of no elements there is no mean, and nothing moves.
    if elements > 1:
        _move(running_mean, mean, momentum)
        _move(running_var, variance * (elements / (elements - 1)), momentum)
    return result


def _elements(input: Tensor) -> int:
    """How many elements a channel has."""
    return math.prod(size for axis, size in enumerate(input.shape) if axis != 1)


def _move(running: Tensor | None, new: Tensor, momentum: float | Tensor) -> None:
    """Moves a running statistic towards a new value."""
    if running is None:
        return
    with _core.no_grad():
        running.assign(running + (new.astype(running.dtype) - running) * momentum)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float | Tensor = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias for each channel of each batch entry by itself.

    Args:
        input: A tensor `[batch, channels, *spatial]`.
        running_mean: A vector `[channels]`, moved towards the mean over the batch of the means; or None.
        running_var: A vector `[channels]`, moved likewise; or None.
        weight: Factors `[channels]`.
        bias: Summands `[channels]`.
        use_input_stats: Whether the input's own statistics are taken, not the running ones.
        momentum: How far the running statistics move, from 0 to 1.
        eps: Added to the variance; keeps constant channels finite.

    Raises:
        ShapeError: If sizes do not fit, or there is only one element per channel of an entry.
        DomainError: If running statistics are to be taken, and there are none.

    Source:
        Ulyanov, Vedaldi, Lempitsky (2016), Instance Normalization.

    Example:
        >>> instance_norm(ad.tensor([[[1.0, 3.0], [5.0, 9.0]]]), eps=0.0).tolist()
        [[[-1.0, 1.0], [-1.0, 1.0]]]
    """
    if input.ndim < 3:
        raise ShapeError(f"instance_norm: input {input.shape} has {input.ndim} axes. Give [batch, channels, *spatial].")
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise DomainError(
                "instance_norm: use_input_stats is False and there are no running statistics. Give running_mean and "
                "running_var, or use_input_stats=True."
            )
        return _core.batch_norm(input, running_mean, running_var, weight, bias, eps)[0]
    batch, channels, *rest = input.shape
    elements = math.prod(rest)
    if elements == 1:
        raise ShapeError(
            f"instance_norm: input {input.shape} has one element per channel of an entry, whose variance is 0. "
            "Give more."
        )
    _check_vectors("instance_norm", input, weight=weight, bias=bias, running_mean=running_mean, running_var=running_var)
    # Every channel of every entry is a channel of one entry.
    result, mean, variance = _core.batch_norm(
        _core.reshape(input, (1, batch * channels, *rest)), None, None, None, None, eps
    )
    result = _affine(_core.reshape(result, input.shape), weight, bias)
    # Of no elements there is no mean, and nothing moves.
    if batch * elements > 0:
        _move(running_mean, _core.reshape(mean, (batch, channels)).mean(0), momentum)
        unbiased = _core.reshape(variance, (batch, channels)).mean(0) * (elements / (elements - 1))
        _move(running_var, unbiased, momentum)
    return result


def _check_vectors(name: str, input: Tensor, **vectors: Tensor | None) -> None:
    for what, vector in vectors.items():
        if vector is not None and vector.shape != (input.shape[1],):
            raise ShapeError(
                f"{name}: {what} is {vector.shape} and input {input.shape} has {input.shape[1]} channels along axis 1. "
                f"Give it the shape ({input.shape[1]},)."
            )


def _affine(input: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """X * weight + bias for each channel: what is left of `batch_norm` with mean 0 and variance 1."""
    if weight is None and bias is None:
        return input
    channels = input.shape[1]
    mean, variance = _core.zeros(channels, device=input.device), _core.ones(channels, device=input.device)
    return _core.batch_norm(input, mean, variance, weight, bias, 0.0)[0]


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias, over groups of channels of each batch entry.

    Args:
        input: A tensor `[batch, channels, ...]`.
        num_groups: How many groups the channels are cut into.
        weight: Factors `[channels]`.
        bias: Summands `[channels]`.
        eps: Added to the variance; keeps constant groups finite.

    Raises:
        ShapeError: If the groups do not divide the channels, or sizes do not fit.

    Source:
        Wu, He (2018), Group Normalization.

    Example:
        >>> group_norm(ad.tensor([[1.0, 3.0, 5.0, 9.0]]), 2, eps=0.0).tolist()
        [[-1.0, 1.0, -1.0, 1.0]]
    """
    if input.ndim < 2:
        raise ShapeError(f"group_norm: input {input.shape} has {input.ndim} axes. Give [batch, channels, ...].")
    batch, channels, *rest = input.shape
    if num_groups < 1 or channels % num_groups:
        raise ShapeError(
            f"group_norm: input {input.shape} has {channels} channels, which {num_groups} groups do not divide. "
            "Use a divisor."
        )
    _check_vectors("group_norm", input, weight=weight, bias=bias)
    length = channels // num_groups * math.prod(rest)
    x = _core.reshape(input, (1, batch * num_groups, length))
    return _affine(_core.reshape(_core.batch_norm(x, None, None, None, None, eps)[0], input.shape), weight, bias)


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """X / sqrt(mean(x * x) + eps) * weight over the last axes, whose sizes are `normalized_shape`.

    Args:
        input: A tensor `[..., *normalized_shape]`.
        normalized_shape: Sizes of the axes that are normalised together.
        weight: Factors of that shape.
        eps: Added to the mean; the dtype's precision if None.

    Raises:
        ShapeError: If the input's last axes have other sizes.

    Source:
        Zhang, Sennrich (2019), Root Mean Square Layer Normalization.

    Example:
        >>> rms_norm(ad.tensor([3.0, -3.0]), (2,), eps=0.0).tolist()
        [1.0, -1.0]
    """
    shape = tuple(normalized_shape)
    rank = len(shape)
    if rank == 0 or input.ndim < rank or input.shape[-rank:] != shape:
        raise ShapeError(
            f"rms_norm: input is {input.shape} and normalized_shape {shape}. "
            "The input's last axes must have those sizes, and there must be one at least."
        )
    if eps is None:
        eps = finfo(input.dtype if input.dtype.is_floating_point else _core.float32).eps
    return _core.rms_norm(input, rank, weight, eps)
