"""Optimisers, under PyTorch's names.

Depends on the core only, never on `adret.nn`. Invariant: arguments, defaults and arithmetic are PyTorch's.
"""

from . import lr_scheduler
from ._adagrad import Adagrad
from ._adam import Adam
from ._adamw import AdamW
from ._optimizer import Optimizer
from ._rmsprop import RMSprop
from ._sgd import SGD

__all__ = ["Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "SGD", "lr_scheduler"]
