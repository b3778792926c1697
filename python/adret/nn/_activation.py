"""Activations: layers that map each element, and the softmaxes.

Depends on `functional`. Invariant: shapes stay as they are. `inplace` is accepted for the sake of programs written with
it and changes nothing: values are never overwritten while somebody can see them, and memory is reused anyway.
"""

from __future__ import annotations

from .._core import DType, Tensor, full
from . import functional as F
from ._module import Module
from ._parameter import Parameter


class ReLU(Module):
    """max(x, 0), with gradient 0 at 0.

    Args:
        inplace: Accepted and without effect; memory is reused anyway.

    Example:
        >>> ReLU()(ad.tensor([-1.0, 2.0])).tolist()
        [0.0, 2.0]
    """

    def __init__(self, inplace: bool = False) -> None:
        """Takes no settings of effect."""
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """max(x, 0)."""
        return F.relu(input)


class ReLU6(Module):
    """min(max(x, 0), 6).

    Args:
        inplace: Accepted and without effect; memory is reused anyway.

    Example:
        >>> ReLU6()(ad.tensor([-1.0, 2.0, 9.0])).tolist()
        [0.0, 2.0, 6.0]
    """

    def __init__(self, inplace: bool = False) -> None:
        """Takes no settings of effect."""
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """min(max(x, 0), 6)."""
        return F.relu6(input)


class LeakyReLU(Module):
    """x where x >= 0, else negative_slope * x.

    Args:
        negative_slope: The factor of negative inputs.
        inplace: Accepted and without effect; memory is reused anyway.

    Example:
        >>> LeakyReLU(0.5)(ad.tensor([-1.0, 2.0])).tolist()
        [-0.5, 2.0]
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        """Takes the slope below zero."""
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """The input, its negative part scaled."""
        return F.leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        """The slope."""
        return f"negative_slope={self.negative_slope}"


class PReLU(Module):
    """x where x >= 0, else weight * x, with a trained weight: one, or one per channel (axis 1).

    Args:
        num_parameters: 1, or the size of axis 1.
        init: The weight at first.
        device: Where the weight is.
        dtype: The weight's dtype.

    Shape:
        input `[...]`, or `[batch, num_parameters, ...]` for several weights; the output the same.

    Raises:
        ShapeError: If the input's axis 1 is not of that size.

    Source:
        He, Zhang, Ren, Sun (2015), Delving Deep into Rectifiers.

    Example:
        >>> PReLU()(ad.tensor([-1.0, 2.0])).tolist()
        [-0.25, 2.0]
    """

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: str | None = None, dtype: DType | None = None
    ) -> None:
        """Makes the weights."""
        self.num_parameters = num_parameters
        self.weight = Parameter(full((num_parameters,), init, dtype=dtype, device=device))

    def forward(self, input: Tensor) -> Tensor:
        """The input, its negative part scaled by the weight."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """The number of weights."""
        return f"num_parameters={self.num_parameters}"


class ELU(Module):
    """x where x > 0, else alpha * (exp(x) - 1).

    Args:
        alpha: The limit for large negative inputs, negated.
        inplace: Accepted and without effect; memory is reused anyway.

    Source:
        Clevert, Unterthiner, Hochreiter (2016), Fast and Accurate Deep Network Learning by Exponential Linear Units.

    Example:
        >>> ELU()(ad.tensor([0.0, 2.0])).tolist()
        [0.0, 2.0]
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        """Takes the value that large negative inputs come near to, negated."""
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """The input, its negative part bent towards -alpha."""
        return F.elu(input, self.alpha)

    def extra_repr(self) -> str:
        """The bound."""
        return f"alpha={self.alpha}"


class GELU(Module):
    """x * Phi(x), with the normal distribution function Phi, or its tanh approximation.

    Args:
        approximate: "none" or "tanh".

    Source:
        Hendrycks, Gimpel (2016), Gaussian Error Linear Units.

    Example:
        >>> GELU()(ad.zeros(2)).tolist()
        [0.0, 0.0]
    """

    def __init__(self, approximate: str = "none") -> None:
        """Takes the kind of formula."""
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        """`x * Phi(x)`."""
        return F.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        """The kind of formula."""
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """x * sigmoid(x), also called swish.

    Args:
        inplace: Accepted and without effect; memory is reused anyway.

    Example:
        >>> SiLU()(ad.zeros(2)).tolist()
        [0.0, 0.0]
    """

    def __init__(self, inplace: bool = False) -> None:
        """Takes no settings of effect."""
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """`x * sigmoid(x)`."""
        return F.silu(input)


class Softplus(Module):
    """log(1 + exp(beta * x)) / beta; x itself where beta * x > threshold.

    Args:
        beta: The sharpness of the bend.
        threshold: Where the result passes into x itself.

    Example:
        >>> Softplus()(ad.tensor([100.0])).tolist()
        [100.0]
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        """Takes the sharpness and where the formula ends."""
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Tensor) -> Tensor:
        """A smooth max(x, 0)."""
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        """The settings."""
        return f"beta={self.beta}, threshold={self.threshold}"


class Sigmoid(Module):
    """1 / (1 + exp(-x)).

    Example:
        >>> Sigmoid()(ad.zeros(1)).tolist()
        [0.5]
    """

    def forward(self, input: Tensor) -> Tensor:
        """1 / (1 + exp(-x))."""
        return F.sigmoid(input)


class Tanh(Module):
    """tanh(x).

    Example:
        >>> Tanh()(ad.zeros(1)).tolist()
        [0.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """tanh(x)."""
        return F.tanh(input)


class Softmax(Module):
    """exp(x) / sum(exp(x)) along an axis.

    Args:
        dim: The axis that sums to one.

    Example:
        >>> Softmax(dim=-1)(ad.zeros((1, 4))).tolist()
        [[0.25, 0.25, 0.25, 0.25]]
    """

    def __init__(self, dim: int) -> None:
        """Takes the axis."""
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """Positive values that sum to one along the axis."""
        return F.softmax(input, self.dim)

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """x - log(sum(exp(x))) along an axis.

    Args:
        dim: The axis whose exponentials sum to one.

    Example:
        >>> LogSoftmax(dim=0)(ad.zeros(1)).tolist()
        [0.0]
    """

    def __init__(self, dim: int) -> None:
        """Takes the axis."""
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """Logarithms of values that sum to one along the axis."""
        return F.log_softmax(input, self.dim)

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"
