"""What registering a hook returns.

Depends on `_changes`, since compiled functions are recorded with the hooks in force. Invariant: removing twice is
removing once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from . import _changes


class RemovableHandle:
    """Takes a hook away: by `remove()`, or at the end of a `with` block.

    Args:
        remove: Takes the hook away.

    Example:
        >>> x = ad.ones(1, requires_grad=True)
        >>> with x.register_hook(lambda gradient: gradient * 2):
        ...     (x * 3).sum().backward()
        >>> x.grad
        tensor([6.])
    """

    def __init__(self, remove: Callable[[], object]) -> None:
        """Takes what removes the hook."""
        self._remove: Callable[[], object] | None = remove
        _changes.count += 1

    def remove(self) -> None:
        """Takes the hook away, if it is still there."""
        remove, self._remove = self._remove, None
        if remove is not None:
            _changes.count += 1
            remove()

    def __enter__(self) -> Self:
        """The handle itself."""
        return self

    def __exit__(self, *raised: Any) -> None:
        """Takes the hook away."""
        self.remove()
