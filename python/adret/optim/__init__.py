"""Optimisers, under PyTorch's names.

Depends on the core only, never on `adret.nn`. Invariant: arguments, defaults and arithmetic are PyTorch's.
"""

from ._adam import Adam
from ._optimizer import Optimizer
from ._sgd import SGD

__all__ = ["Adam", "Optimizer", "SGD"]
