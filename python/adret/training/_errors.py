"""What stops a training.

Depends on the core and on `_history`. Invariant: the error carries what was reached before it.
"""

from __future__ import annotations

from .._core import AdretError
from ._history import History


class NonFiniteError(AdretError, ArithmeticError):
    """A loss, or a parameter, is NaN or infinite.

    Example:
        >>> issubclass(ad.NonFiniteError, ArithmeticError)
        True
    """

    __module__ = "adret"

    history: History
    """The epochs before."""
    layer: str | None = None
    """The path of the first module whose output or parameter is not finite, where there is one."""
