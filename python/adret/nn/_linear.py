"""Affine and bilinear layers.

Depends on `functional`. Invariant: weights are laid out and initialised as PyTorch does, so trained ones carry over.
"""

from __future__ import annotations

import math

from .._core import DomainError, DType, ShapeError, Tensor, empty
from . import functional as F
from . import init
from ._module import Module
from ._parameter import Parameter
from .functional._windows import whole


class Identity(Module):
    """Gives back its input; stands where a layer was taken out.

    y = x

    Example:
        >>> Identity()(ad.ones(2)).tolist()
        [1.0, 1.0]
    """

    def __init__(self, *_: object, **__: object) -> None:
        """Takes and ignores any arguments, so that it can replace any layer."""

    def forward(self, input: Tensor) -> Tensor:
        """The input."""
        return input


def _misfit(shape: tuple[int, ...], taken: int, made: int) -> str:
    """What to say of an input whose last size is not `in_features`."""
    if len(shape) == 0:
        return f"linear: input is (), without an axis, and in_features is {taken}. Give [..., {taken}]."
    text = f"linear: input is {shape}: in_features is {taken} but the input has {shape[-1]} along axis {len(shape) - 1}"
    if len(shape) < 4:
        return f"{text}: Linear({shape[-1]}, {made}) would take it."
    # What a convolution made: channels, height and width are still apart.
    flat = math.prod(shape[1:])
    fits = "which fits" if flat == taken else f"for Linear({flat}, {made})"
    return f"{text}. Put Flatten() before it: that makes {flat} of {shape[1:]}, {fits}."


class Linear(Module):
    """Maps the last axis affinely.

    y = x @ weight.T + bias, with weight and bias from U(-1/sqrt(in_features), 1/sqrt(in_features)) at first

    Args:
        in_features: Size of the input's last axis.
        out_features: Size of the output's last axis.
        bias: Whether a bias is added.
        device: Where the parameters are.
        dtype: The parameters' dtype.

    Shape:
        input `[..., in_features]`, output `[..., out_features]`; weight `[out_features, in_features]`,
        bias `[out_features]`.

    Raises:
        ShapeError: If the input's last axis is not `in_features`.

    Example:
        >>> Linear(3, 2)(ad.ones((4, 3))).shape
        (4, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        """Makes and initialises the parameters."""
        self.in_features, self.out_features = whole("Linear", 0, in_features=in_features, out_features=out_features)
        self.weight = Parameter(empty((self.out_features, self.in_features), dtype=dtype, device=device))
        self.bias = Parameter(empty((self.out_features,), dtype=dtype, device=device)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the parameters anew."""
        bound = 1 / math.sqrt(self.in_features) if self.in_features else 0.0
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        """`x @ weight.T + bias`."""
        if input.ndim == 0 or input.shape[-1] != self.in_features:
            raise ShapeError(_misfit(input.shape, self.in_features, self.out_features))
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Bilinear(Module):
    """Maps two inputs to what is linear in each of them.

    y[o] = x1 . weight[o] . x2 + bias[o], with weight and bias from U(-1/sqrt(in1), 1/sqrt(in1)) at first

    Args:
        in1_features: Size of the first input's last axis.
        in2_features: Size of the second one's.
        out_features: Size of the output's.
        bias: Whether a bias is added.
        device: Where the parameters are.
        dtype: The parameters' dtype.

    Shape:
        inputs `[..., in1_features]` and `[..., in2_features]`, output `[..., out_features]`;
        weight `[out_features, in1_features, in2_features]`, bias `[out_features]`.

    Raises:
        ShapeError: If the inputs' last axes are of other sizes, or their others differ.

    Example:
        >>> Bilinear(2, 3, 4)(ad.ones((5, 2)), ad.ones((5, 3))).shape
        (5, 4)
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        """Makes and initialises the parameters."""
        sizes = whole("Bilinear", 0, in1_features=in1_features, in2_features=in2_features, out_features=out_features)
        if sizes[0] < 1:
            raise DomainError(f"Bilinear: in1_features is {in1_features}. Use 1 or more.")
        self.in1_features, self.in2_features, self.out_features = sizes
        shape = (self.out_features, self.in1_features, self.in2_features)
        self.weight = Parameter(empty(shape, dtype=dtype, device=device))
        self.bias = Parameter(empty(shape[:1], dtype=dtype, device=device)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the parameters anew."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        """`x1 . weight . x2 + bias`."""
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )
