"""Activations that are rarer than those of `_activation`.

Depends on `functional`. Invariant: as there; `inplace` is accepted and changes nothing.
"""

from __future__ import annotations

from .._core import ShapeError, Tensor
from . import functional as F
from ._module import Module


class Hardtanh(Module):
    """x, held between `min_val` and `max_val`.

    Args:
        min_val: The least value.
        max_val: The greatest value.
        inplace: Accepted and without effect; memory is reused anyway.

    Example:
        >>> Hardtanh()(ad.tensor([-3.0, 0.5])).tolist()
        [-1.0, 0.5]
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        """Takes the settings."""
        self.min_val = min_val
        self.max_val = max_val
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """The input between the bounds."""
        return F.hardtanh(input, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        """The settings."""
        return f"min_val={self.min_val}, max_val={self.max_val}"


class Hardsigmoid(Module):
    """(x + 3) / 6, held between 0 and 1.

    Args:
        inplace: Accepted and without effect; memory is reused anyway.

    Example:
        >>> Hardsigmoid()(ad.tensor([-4.0, 0.0])).tolist()
        [0.0, 0.5]
    """

    def __init__(self, inplace: bool = False) -> None:
        """Takes the settings."""
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """A sigmoid of straight lines."""
        return F.hardsigmoid(input)


class Hardswish(Module):
    """x * hardsigmoid(x).

    Args:
        inplace: Accepted and without effect; memory is reused anyway.

    Example:
        >>> Hardswish()(ad.tensor([0.0, 4.0])).tolist()
        [0.0, 4.0]
    """

    def __init__(self, inplace: bool = False) -> None:
        """Takes the settings."""
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """`x * hardsigmoid(x)`."""
        return F.hardswish(input)


class Mish(Module):
    """x * tanh(softplus(x)).

    Args:
        inplace: Accepted and without effect; memory is reused anyway.

    Example:
        >>> Mish()(ad.zeros(2)).tolist()
        [0.0, 0.0]
    """

    def __init__(self, inplace: bool = False) -> None:
        """Takes the settings."""
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """`x * tanh(softplus(x))`."""
        return F.mish(input)


class SELU(Module):
    """scale * (max(0, x) + min(0, alpha * (exp(x) - 1))), with constants that keep mean 0 and variance 1.

    Args:
        inplace: Accepted and without effect; memory is reused anyway.

    Example:
        >>> round(SELU()(ad.ones(1)).item(), 4)
        1.0507
    """

    def __init__(self, inplace: bool = False) -> None:
        """Takes the settings."""
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """The scaled exponential unit."""
        return F.selu(input)


class CELU(Module):
    """max(0, x) + min(0, alpha * (exp(x / alpha) - 1)).

    Args:
        alpha: The limit for large negative inputs, negated.
        inplace: Accepted and without effect; memory is reused anyway.

    Example:
        >>> CELU()(ad.tensor([0.0, 2.0])).tolist()
        [0.0, 2.0]
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        """Takes the settings."""
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """The input, its negative part bent towards -alpha."""
        return F.celu(input, self.alpha)

    def extra_repr(self) -> str:
        """The settings."""
        return f"alpha={self.alpha}"


class LogSigmoid(Module):
    """-log(1 + exp(-x)), without overflow.

    Example:
        >>> round(LogSigmoid()(ad.zeros(1)).item(), 4)
        -0.6931
    """

    def forward(self, input: Tensor) -> Tensor:
        """The logarithm of the sigmoid."""
        return F.logsigmoid(input)


class Softsign(Module):
    """x / (1 + |x|).

    Example:
        >>> Softsign()(ad.tensor([1.0, -3.0])).tolist()
        [0.5, -0.75]
    """

    def forward(self, input: Tensor) -> Tensor:
        """`x / (1 + |x|)`."""
        return F.softsign(input)


class Tanhshrink(Module):
    """x - tanh(x).

    Example:
        >>> Tanhshrink()(ad.zeros(1)).tolist()
        [0.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """`x - tanh(x)`."""
        return F.tanhshrink(input)


class Softshrink(Module):
    """x brought nearer to 0 by `lambd`; 0 where it is that near already.

    Args:
        lambd: By how much.

    Example:
        >>> Softshrink()(ad.tensor([-2.0, 0.25])).tolist()
        [-1.5, 0.0]
    """

    def __init__(self, lambd: float = 0.5) -> None:
        """Takes the settings."""
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        """The input, nearer to 0."""
        return F.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        """The settings."""
        return f"lambd={self.lambd}"


class Hardshrink(Module):
    """x, but 0 where |x| <= lambd.

    Args:
        lambd: What counts as nothing.

    Example:
        >>> Hardshrink()(ad.tensor([-2.0, 0.25])).tolist()
        [-2.0, 0.0]
    """

    def __init__(self, lambd: float = 0.5) -> None:
        """Takes the settings."""
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        """The input without what is small."""
        return F.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        """The settings."""
        return f"lambd={self.lambd}"


class Threshold(Module):
    """x where x > threshold, else `value`.

    Args:
        threshold: What x must exceed.
        value: What stands in its place.
        inplace: Accepted and without effect; memory is reused anyway.

    Example:
        >>> Threshold(2.0, -5.0)(ad.tensor([1.0, 3.0])).tolist()
        [-5.0, 3.0]
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        """Takes the settings."""
        self.threshold = threshold
        self.value = value
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """The input where it is large enough."""
        return F.threshold(input, self.threshold, self.value)

    def extra_repr(self) -> str:
        """The settings."""
        return f"threshold={self.threshold}, value={self.value}"


class GLU(Module):
    """a * sigmoid(b), for the halves a and b of an axis.

    Args:
        dim: The axis that is halved.

    Example:
        >>> GLU()(ad.tensor([4.0, 0.0])).tolist()
        [2.0]
    """

    def __init__(self, dim: int = -1) -> None:
        """Takes the settings."""
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """One half, gated by the other."""
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        """The settings."""
        return f"dim={self.dim}"


class Softmin(Module):
    """exp(-x) / sum(exp(-x)) along an axis.

    Args:
        dim: The axis that sums to one.

    Example:
        >>> Softmin()(ad.zeros((1, 4))).tolist()
        [[0.25, 0.25, 0.25, 0.25]]
    """

    def __init__(self, dim: int = -1) -> None:
        """Takes the settings."""
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """Positive values that sum to one along the axis."""
        return F.softmin(input, self.dim)

    def extra_repr(self) -> str:
        """The settings."""
        return f"dim={self.dim}"


class Softmax2d(Module):
    """The softmax over the channels of images.

    Shape:
        input `[batch, channels, height, width]` or `[channels, height, width]`; the output the same.

    Raises:
        ShapeError: If the input has another number of axes.

    Example:
        >>> Softmax2d()(ad.zeros((1, 4, 1, 1))).tolist()
        [[[[0.25]], [[0.25]], [[0.25]], [[0.25]]]]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Positive values that sum to one at every place."""
        if input.ndim not in (3, 4):
            raise ShapeError(f"softmax2d: input is {input.shape}. Give [batch, channels, height, width].")
        return F.softmax(input, -3)
