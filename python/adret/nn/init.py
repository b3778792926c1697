"""Initial values of parameters, by PyTorch's names and formulae.

Depends on the core and on `adret.random`. Invariant: every function gives the tensor it is handed new values, keeping
it the same object, and returns it; nothing is recorded for gradients.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .. import random
from .._core import DomainError, ShapeError, Tensor, eye, full_like, no_grad
from .._later import loader

if TYPE_CHECKING:
    from ._init_structured import dirac_, orthogonal_, sparse_, trunc_normal_

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which a layer before this nonlinearity is scaled to keep the spread of its signals.

    1 for linear, conv and sigmoid; 5/3 for tanh; sqrt(2) for relu; sqrt(2 / (1 + slope^2)) for leaky_relu with
    slope `param` (0.01 unless given); 3/4 for selu.

    Args:
        nonlinearity: Its name in lower case.
        param: The slope of leaky_relu.

    Raises:
        DomainError: If the nonlinearity is not known.

    Example:
        >>> calculate_gain("leaky_relu", 1.0)
        1.0
    """
    if nonlinearity in ("linear", "sigmoid") or nonlinearity.startswith("conv"):
        return 1.0
    if nonlinearity == "tanh":
        return 5 / 3
    if nonlinearity == "relu":
        return math.sqrt(2)
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity == "selu":
        return 3 / 4
    raise DomainError(
        f"calculate_gain: {nonlinearity!r} is not known. Use linear, sigmoid, tanh, relu, leaky_relu or selu."
    )


def _assign(tensor: Tensor, value: Tensor) -> Tensor:
    with no_grad():
        tensor.assign(value)
    return tensor


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Values from U(a, b).

    Args:
        tensor: What is given new values.
        a: The lower end.
        b: The upper end.

    Example:
        >>> bool((uniform_(ad.empty(100), 2.0, 3.0) >= 2.0).all())
        True
    """
    return _assign(tensor, random.uniform(tensor.shape, low=a, high=b, dtype=tensor.dtype, device=tensor.device))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Values from N(mean, std^2).

    Args:
        tensor: What is given new values.
        mean: The mean.
        std: The standard deviation.

    Example:
        >>> normal_(ad.empty((2, 3))).shape
        (2, 3)
    """
    return _assign(tensor, random.normal(tensor.shape, mean=mean, std=std, dtype=tensor.dtype, device=tensor.device))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """The same value everywhere.

    Args:
        tensor: What is given new values.
        val: The value.

    Example:
        >>> constant_(ad.empty(2), 3.0).tolist()
        [3.0, 3.0]
    """
    return _assign(tensor, full_like(tensor, val))


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros.

    Args:
        tensor: What is given new values.

    Example:
        >>> zeros_(ad.ones(1)).tolist()
        [0.0]
    """
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Ones.

    Args:
        tensor: What is given new values.

    Example:
        >>> ones_(ad.zeros(1)).tolist()
        [1.0]
    """
    return constant_(tensor, 1.0)


def eye_(tensor: Tensor) -> Tensor:
    """Ones on the diagonal of a matrix, zeros elsewhere.

    Args:
        tensor: What is given new values.

    Raises:
        ShapeError: If it is not a matrix.

    Example:
        >>> eye_(ad.empty((2, 2))).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    if tensor.ndim != 2:
        raise ShapeError(f"eye_: the tensor is {tensor.shape}. Use a matrix.")
    rows, columns = tensor.shape
    return _assign(tensor, eye(rows, columns, dtype=tensor.dtype, device=tensor.device))


def _fans(name: str, tensor: Tensor) -> tuple[int, int]:
    """Inputs and outputs that one weight connects: axis 1 and axis 0, times the size of a kernel."""
    if tensor.ndim < 2:
        raise ShapeError(f"{name}: the tensor is {tensor.shape}. Use a weight with two axes or more: outputs, inputs.")
    kernel = math.prod(tensor.shape[2:])
    return tensor.shape[1] * kernel, tensor.shape[0] * kernel


def _xavier_std(name: str, tensor: Tensor, gain: float) -> float:
    total = sum(_fans(name, tensor))
    return gain * math.sqrt(2 / total) if total else 0.0


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """U(-a, a) with a = gain * sqrt(6 / (fan_in + fan_out)).

    Args:
        tensor: What is given new values.
        gain: As of `calculate_gain`.

    Raises:
        ShapeError: If it has fewer than two axes.

    Source:
        Glorot, Bengio (2010), Understanding the Difficulty of Training Deep Feedforward Neural Networks.

    Example:
        >>> bool((ad.abs(xavier_uniform_(ad.empty((3, 3)))) <= 1.0).all())
        True
    """
    bound = math.sqrt(3) * _xavier_std("xavier_uniform_", tensor, gain)
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """N(0, std^2) with std = gain * sqrt(2 / (fan_in + fan_out)).

    Args:
        tensor: What is given new values.
        gain: As of `calculate_gain`.

    Raises:
        ShapeError: If it has fewer than two axes.

    Source:
        Glorot, Bengio (2010), Understanding the Difficulty of Training Deep Feedforward Neural Networks.

    Example:
        >>> xavier_normal_(ad.empty((3, 2))).shape
        (3, 2)
    """
    return normal_(tensor, 0.0, _xavier_std("xavier_normal_", tensor, gain))


def _kaiming_std(name: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise DomainError(f"{name}: mode is {mode!r}. Use 'fan_in' or 'fan_out'.")
    fan = _fans(name, tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan) if fan else 0.0


def kaiming_uniform_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """U(-b, b) with b = gain * sqrt(3 / fan); `a` is the slope of leaky_relu.

    Args:
        tensor: What is given new values.
        a: The slope of leaky_relu.
        mode: "fan_in" keeps the spread of signals, "fan_out" that of gradients.
        nonlinearity: As of `calculate_gain`.

    Raises:
        ShapeError: If it has fewer than two axes.
        DomainError: If the mode or the nonlinearity is not known.

    Source:
        He, Zhang, Ren, Sun (2015), Delving Deep into Rectifiers.

    Example:
        >>> kaiming_uniform_(ad.empty((3, 2)), nonlinearity="relu").shape
        (3, 2)
    """
    bound = math.sqrt(3) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """N(0, std^2) with std = gain / sqrt(fan); `a` is the slope of leaky_relu.

    Args:
        tensor: What is given new values.
        a: The slope of leaky_relu.
        mode: "fan_in" keeps the spread of signals, "fan_out" that of gradients.
        nonlinearity: As of `calculate_gain`.

    Raises:
        ShapeError: If it has fewer than two axes.
        DomainError: If the mode or the nonlinearity is not known.

    Source:
        He, Zhang, Ren, Sun (2015), Delving Deep into Rectifiers.

    Example:
        >>> kaiming_normal_(ad.empty((3, 2)), mode="fan_out").shape
        (3, 2)
    """
    return normal_(tensor, 0.0, _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity))


if not TYPE_CHECKING:
    __getattr__ = loader(globals(), {"._init_structured": "dirac_ orthogonal_ sparse_ trunc_normal_"})


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
