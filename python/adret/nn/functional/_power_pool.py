"""Pooling by the power mean's sum: (sum x^p)^(1/p) of every window.

Depends on the core and `_pool`. Invariant: p = 1 gives sums; the gradient is 0 where a window's sum of powers is 0.
"""

# The core is private to the package, of which this is a part.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ... import _core
from ..._core import DomainError, Tensor
from ._pool import avg_pool1d, avg_pool2d, avg_pool3d
from ._windows import numbers

__all__ = ["lp_pool1d", "lp_pool2d", "lp_pool3d"]

Sizes = int | Sequence[int]


def _lp_pool(
    name: str,
    means: Callable[..., Tensor],
    axes: int,
    input: Tensor,
    norm_type: float,
    kernel_size: Sizes,
    stride: Sizes | None,
    ceil_mode: bool,
) -> Tensor:
    if norm_type == 0:
        raise DomainError(f"{name}: norm_type is 0. Use another number.")
    kernel = numbers(name, "kernel_size", kernel_size, axes, 1)
    settings: dict[str, Any] = {"stride": stride, "ceil_mode": ceil_mode}
    mean = means(_core.pow(input, norm_type), kernel, **settings)
    # Negative sums, of odd powers, keep nothing; the root's slope at 0 is infinite.
    positive = mean > 0
    total = _core.where(positive, mean, 1.0) * math.prod(kernel)
    return _core.where(positive, _core.pow(total, 1 / norm_type), _core.where(mean <= 0, 0.0, mean))


def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
) -> Tensor:
    """(sum x^p)^(1/p) of every window of width.

    Args:
        input: A tensor `[batch, channels, width]`, or without a batch.
        norm_type: p.
        kernel_size: Positions of a window.
        stride: Distance of windows; kernel_size if None.
        ceil_mode: Whether a last window may end beyond the input.

    Raises:
        ShapeError: If a window does not fit on an axis.
        DomainError: If p is 0, or sizes or strides are below 1.

    Example:
        >>> lp_pool1d(ad.tensor([[[3.0, 4.0]]]), 2, 2).tolist()
        [[[5.0]]]
    """
    return _lp_pool("lp_pool1d", avg_pool1d, 1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
) -> Tensor:
    """(sum x^p)^(1/p) of every window of height and width.

    Args:
        input: A tensor `[batch, channels, height, width]`, or without a batch.
        norm_type: p.
        kernel_size: Positions of a window.
        stride: Distance of windows; kernel_size if None.
        ceil_mode: Whether a last window may end beyond the input.

    Raises:
        ShapeError: If a window does not fit on an axis.
        DomainError: If p is 0, or sizes or strides are below 1.

    Example:
        >>> lp_pool2d(ad.ones((1, 1, 2, 2)), 2, 2).tolist()
        [[[[2.0]]]]
    """
    return _lp_pool("lp_pool2d", avg_pool2d, 2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
) -> Tensor:
    """(sum x^p)^(1/p) of every window of depth, height and width.

    Args:
        input: A tensor `[batch, channels, depth, height, width]`, or without a batch.
        norm_type: p.
        kernel_size: Positions of a window.
        stride: Distance of windows; kernel_size if None.
        ceil_mode: Whether a last window may end beyond the input.

    Raises:
        ShapeError: If a window does not fit on an axis.
        DomainError: If p is 0, or sizes or strides are below 1.

    Example:
        >>> lp_pool3d(ad.ones((1, 1, 2, 2, 1)), 2, (2, 2, 1)).tolist()
        [[[[[2.0]]]]]
    """
    return _lp_pool("lp_pool3d", avg_pool3d, 3, input, norm_type, kernel_size, stride, ceil_mode)
