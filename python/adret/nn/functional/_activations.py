"""Activations that are rarer than those of `_layers`, and rows of a given length.

Depends on the core and `adret.random`. Invariant: a NaN stays a NaN; gradients at kinks are PyTorch's. `inplace` is
accepted and changes nothing, as in the layers.
"""

# The core is private to the package, of which this is a part.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from ... import _core, random
from ..._core import DomainError, ShapeError, Tensor

__all__ = [
    "celu",
    "glu",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "logsigmoid",
    "mish",
    "selu",
    "softmin",
    "softshrink",
    "softsign",
    "tanhshrink",
    "threshold",
]

logsigmoid = _core.logsigmoid
softsign = _core.softsign


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """X * tanh(softplus(x)).

    Args:
        input: A tensor.
        inplace: Accepted and without effect.

    Source:
        Misra (2019), Mish: A Self Regularized Non-Monotonic Activation Function.

    Example:
        >>> mish(ad.zeros(1)).tolist()
        [0.0]
    """
    return _core.mish(input)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """Scale * (max(0, x) + min(0, alpha * (exp(x) - 1))), with constants that keep mean 0 and variance 1.

    Args:
        input: A tensor.
        inplace: Accepted and without effect.

    Source:
        Klambauer et al. (2017), Self-Normalizing Neural Networks.

    Example:
        >>> round(selu(ad.ones(1)).item(), 4)
        1.0507
    """
    return _core.selu(input)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """max(0, x) + min(0, alpha * (exp(x / alpha) - 1)).

    Args:
        input: A tensor.
        alpha: The limit for large negative inputs, negated.
        inplace: Accepted and without effect.

    Raises:
        DomainError: If `alpha` is 0.

    Source:
        Barron (2017), Continuously Differentiable Exponential Linear Units.

    Example:
        >>> celu(ad.tensor([0.0, 2.0]), 2.0).tolist()
        [0.0, 2.0]
    """
    if alpha == 0:
        raise DomainError("celu: alpha is 0, by which x is divided. Use another number.")
    return _core.celu(input, alpha)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x, held between `min_val` and `max_val`.

    Args:
        input: A tensor.
        min_val: The least value.
        max_val: The greatest value.
        inplace: Accepted and without effect.

    Raises:
        DomainError: If `min_val` is above `max_val`.

    Example:
        >>> hardtanh(ad.tensor([-3.0, 0.5, 3.0])).tolist()
        [-1.0, 0.5, 1.0]
    """
    if min_val > max_val:
        raise DomainError(f"hardtanh: min_val is {min_val} and max_val {max_val}. Use min_val <= max_val.")
    return _core.hardtanh(input, min_val, max_val)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """(x + 3) / 6, held between 0 and 1.

    Args:
        input: A tensor.
        inplace: Accepted and without effect.

    Example:
        >>> hardsigmoid(ad.tensor([-4.0, 0.0, 4.0])).tolist()
        [0.0, 0.5, 1.0]
    """
    return _core.hardsigmoid(input)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """X * hardsigmoid(x).

    Args:
        input: A tensor.
        inplace: Accepted and without effect.

    Source:
        Howard et al. (2019), Searching for MobileNetV3.

    Example:
        >>> hardswish(ad.tensor([-4.0, 0.0, 4.0])).tolist()
        [-0.0, 0.0, 4.0]
    """
    return _core.hardswish(input)


def tanhshrink(input: Tensor) -> Tensor:
    """X - tanh(x).

    Args:
        input: A tensor.

    Example:
        >>> tanhshrink(ad.zeros(1)).tolist()
        [0.0]
    """
    return input - _core.tanh(input)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """X brought nearer to 0 by `lambd`; 0 where it is that near already.

    Args:
        input: A tensor.
        lambd: By how much.

    Raises:
        DomainError: If `lambd` is negative.

    Example:
        >>> softshrink(ad.tensor([-2.0, 0.25, 2.0])).tolist()
        [-1.5, 0.0, 1.5]
    """
    if not lambd >= 0:
        raise DomainError(f"softshrink: lambd is {lambd}. Use 0 or more.")
    nearer = _core.where(input > 0, input - lambd, input + lambd)
    return _core.where(_core.abs(input) <= lambd, 0.0, nearer)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x, but 0 where |x| <= lambd.

    Args:
        input: A tensor.
        lambd: What counts as nothing.

    Example:
        >>> hardshrink(ad.tensor([-2.0, 0.25, 2.0])).tolist()
        [-2.0, 0.0, 2.0]
    """
    return _core.where((input >= -lambd) & (input <= lambd), 0.0, input)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """X where x > threshold, else `value`.

    Args:
        input: A tensor.
        threshold: What x must exceed.
        value: What stands in its place.
        inplace: Accepted and without effect.

    Example:
        >>> threshold(ad.tensor([1.0, 3.0]), 2.0, -5.0).tolist()
        [-5.0, 3.0]
    """
    return _core.where(input <= threshold, value, input)


def softmin(input: Tensor, dim: int = -1) -> Tensor:
    """The softmax of -x along an axis.

    Args:
        input: A tensor.
        dim: The axis that sums to one.

    Example:
        >>> softmin(ad.zeros((1, 4))).tolist()
        [[0.25, 0.25, 0.25, 0.25]]
    """
    return _core.softmax(-input, dim)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """A * sigmoid(b), for the halves a and b of an axis.

    Args:
        input: A tensor.
        dim: The axis that is halved.

    Raises:
        ShapeError: If the axis has an odd size.

    Source:
        Dauphin et al. (2017), Language Modeling with Gated Convolutional Networks.

    Example:
        >>> glu(ad.tensor([4.0, 0.0])).tolist()
        [2.0]
    """
    if input.ndim == 0:
        raise ShapeError("glu: the input has no axis. Give one of an even size.")
    # The split checks the axis itself.
    size = input.shape[dim] if -input.ndim <= dim < input.ndim else 2
    if size % 2:
        raise ShapeError(f"glu: axis {dim} of {input.shape} has {size} elements. Give an even number.")
    first, second = _core.split(input, 2, axis=dim)
    return first * _core.sigmoid(second)


def gumbel_softmax(logits: Tensor, tau: float = 1.0, hard: bool = False, dim: int = -1) -> Tensor:
    """A differentiable draw from the classes along an axis: softmax((logits + Gumbel noise) / tau).

    Args:
        logits: Unnormalised log-probabilities.
        tau: The temperature: the lower, the nearer to one class.
        hard: Whether the result is one-hot, with the gradient of the soft one.
        dim: The axis of the classes.

    Raises:
        DomainError: If `tau` is not positive.

    Source:
        Jang, Gu, Poole (2017), Categorical Reparameterization with Gumbel-Softmax.

    Example:
        >>> gumbel_softmax(ad.tensor([0.0, 1000.0]), hard=True).tolist()
        [0.0, 1.0]
    """
    if not tau > 0:
        raise DomainError(f"gumbel_softmax: tau is {tau}. Use a positive temperature.")
    uniform = random.uniform(logits.shape, dtype=logits.dtype, device=logits.device)
    # 1 - u is above 0, and so is -log(1 - u) unless u is 0, where the noise is held finite.
    noise = -_core.log(_core.maximum(-_core.log(1.0 - uniform), 1e-7))
    soft = _core.softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    axis = dim % logits.ndim if logits.ndim else 0
    chosen = _core.expand_dims(_core.argmax(soft.detach(), axis=axis), axis=axis)
    classes = [1] * logits.ndim
    classes[axis] = logits.shape[axis]
    numbers = _core.reshape(_core.arange(logits.shape[axis], device=logits.device), classes)
    one_hot = _core.astype(numbers == chosen, logits.dtype)
    return one_hot + (soft - soft.detach())
