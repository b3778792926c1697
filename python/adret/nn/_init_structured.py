"""Initial values with a structure: orthogonal rows, cut-off tails, identities of convolutions, few that are not 0.

Depends on the core and `adret.random`. Invariant: as in `init`, under whose names they are used.
"""

from __future__ import annotations

import math

from .. import random
from .._core import DomainError, ShapeError, Tensor, argsort, no_grad, tensor, where


def _assign(target: Tensor, value: Tensor) -> Tensor:
    with no_grad():
        target.assign(value)
    return target


def trunc_normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0) -> Tensor:
    """Values from N(mean, std^2) that lie between a and b.

    Args:
        tensor: What is given new values.
        mean: The mean, before values are cut off.
        std: The standard deviation, likewise.
        a: The lower bound.
        b: The upper bound.

    Raises:
        DomainError: If `std` is not positive, or `a` is not below `b`.

    Example:
        >>> bool((ad.abs(trunc_normal_(ad.empty(100), std=5.0)) <= 2.0).all())
        True
    """
    values = random.truncated_normal(
        tensor.shape, mean=mean, std=std, low=a, high=b, dtype=tensor.dtype, device=tensor.device
    )
    return _assign(tensor, values)


def orthogonal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Orthonormal rows times `gain`, or columns where there are fewer; axes after the first count as one.

    Args:
        tensor: What is given new values.
        gain: As of `calculate_gain`.

    Raises:
        ShapeError: If it has fewer than two axes.

    Source:
        Saxe, McClelland, Ganguli (2014), Exact Solutions to the Nonlinear Dynamics of Learning in Deep Linear
        Neural Networks.

    Example:
        >>> w = orthogonal_(ad.empty((2, 3)))
        >>> ad.allclose(w @ w.T, ad.eye(2), atol=1e-6)
        True
    """
    import numpy as np

    if tensor.ndim < 2:
        raise ShapeError(f"orthogonal_: the tensor is {tensor.shape}. Give one of two axes or more.")
    if tensor.size == 0:
        return tensor
    rows = tensor.shape[0]
    columns = tensor.size // rows
    tall = random.normal((max(rows, columns), min(rows, columns)), dtype="float64", device="cpu").numpy()
    q, r = np.linalg.qr(tall)
    # The signs make the result uniform over all orthogonal matrices.
    q = q * np.sign(np.diagonal(r))
    matrix = q if rows >= columns else q.T
    values = _made(gain * matrix.reshape(tensor.shape), tensor)
    return _assign(tensor, values)


def _made(array: object, like: Tensor) -> Tensor:
    return tensor(array, dtype=like.dtype, device=like.device)


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """The convolution that keeps its input: 1 at the centre of the kernel from a channel to itself, else 0.

    Args:
        tensor: A weight `[out, in, *kernel]` of a convolution.
        groups: The groups of which each keeps its channels.

    Raises:
        ShapeError: If it has not three to five axes.
        DomainError: If `groups` does not divide the channels.

    Example:
        >>> dirac_(ad.empty((1, 1, 3))).tolist()
        [[[0.0, 1.0, 0.0]]]
    """
    import numpy as np

    if tensor.ndim not in (3, 4, 5):
        raise ShapeError(f"dirac_: the tensor is {tensor.shape}. Give the weight of a convolution: 3 to 5 axes.")
    made = tensor.shape[0]
    if groups < 1 or made % groups:
        raise DomainError(f"dirac_: {made} output channels are not divided by {groups} groups. Use a divisor.")
    values = np.zeros(tensor.shape)
    centre = tuple(size // 2 for size in tensor.shape[2:])
    each = made // groups
    for group in range(groups):
        for channel in range(min(each, tensor.shape[1])):
            values[(group * each + channel, channel, *centre)] = 1.0
    return _assign(tensor, _made(values, tensor))


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01) -> Tensor:
    """N(0, std^2), but a share of each column is 0.

    Args:
        tensor: A matrix.
        sparsity: The share, rounded up to whole elements.
        std: The standard deviation of the others.

    Raises:
        ShapeError: If it is no matrix.
        DomainError: If the share is not from 0 to 1.

    Source:
        Martens (2010), Deep Learning via Hessian-Free Optimization.

    Example:
        >>> int(ad.count_nonzero(sparse_(ad.empty((10, 4)), 0.5)))
        20
    """
    if tensor.ndim != 2:
        raise ShapeError(f"sparse_: the tensor is {tensor.shape}. Give a matrix.")
    if not 0 <= sparsity <= 1:
        raise DomainError(f"sparse_: sparsity is {sparsity}. Use a share from 0 to 1.")
    zeros = math.ceil(sparsity * tensor.shape[0])
    values = random.normal(tensor.shape, std=std, dtype=tensor.dtype, device=tensor.device)
    # The ranks of random numbers are a random order of every column.
    order = random.uniform(tensor.shape, device=tensor.device)
    ranks = argsort(argsort(order, axis=0), axis=0)
    return _assign(tensor, where(ranks < zeros, 0.0, values))
