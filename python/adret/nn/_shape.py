"""Layers that only change the shape.

Depends on `functional`. Invariant: they compute nothing; their output is a view.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index

from .._core import DTypeError, Tensor
from . import functional as F
from ._module import Module
from .functional._windows import whole


class Flatten(Module):
    """Joins neighbouring axes into one.

    Args:
        start_dim: The first joined axis.
        end_dim: The last joined axis.

    Shape:
        input `[batch, ...]`, output `[batch, features]` as it is by default.

    Example:
        >>> Flatten()(ad.zeros((2, 3, 4))).shape
        (2, 12)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        """Takes the range of axes."""
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        """The input with the axes joined."""
        return F.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """The range of axes."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Cuts one axis into several.

    Args:
        dim: The axis.
        unflattened_size: The sizes that it becomes; one may be -1.

    Raises:
        DTypeError: If they are no whole numbers.

    Example:
        >>> Unflatten(1, (3, 4))(ad.zeros((2, 12))).shape
        (2, 3, 4)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        """Takes the axis and its new sizes."""
        [self.dim] = whole("Unflatten", dim=dim)
        try:
            self.unflattened_size = tuple(index(size) for size in unflattened_size)
        except TypeError:
            raise DTypeError(
                f"Unflatten: unflattened_size is {unflattened_size!r}. Use a tuple of ints; one may be -1."
            ) from None

    def forward(self, input: Tensor) -> Tensor:
        """The input with the axis cut."""
        return F.unflatten(input, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        """The axis and its new sizes."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
