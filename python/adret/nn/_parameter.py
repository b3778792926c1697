"""Parameters: the tensors of a module that training changes.

Depends on the core's `Tensor`. Invariant: a parameter is a leaf, so its gradient is gathered in `.grad`.
"""

from __future__ import annotations

from typing import Any, Self

from .._core import Tensor, asarray


class Parameter(Tensor):
    """A tensor that a `Module` lists in `parameters()`; it requires grad unless told otherwise.

    Args:
        data: The initial value: a tensor, or anything that `ad.tensor` takes.
        requires_grad: Whether a backward pass gathers its gradient.

    Example:
        >>> Parameter(ad.ones(2)).requires_grad
        True
    """

    def __new__(cls, data: Any, requires_grad: bool = True) -> Self:
        """Makes a leaf of its own with the value of `data`."""
        value = data.detach() if isinstance(data, Tensor) else asarray(data)
        return super().__new__(cls, value, requires_grad=requires_grad)

    def __repr__(self) -> str:
        """`Parameter containing:` and the value."""
        return f"Parameter containing:\n{super().__repr__()}"
