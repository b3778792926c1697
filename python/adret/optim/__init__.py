"""Optimisers, under PyTorch's names.

Depends on the core only, never on `adret.nn`. Invariant: arguments, defaults and arithmetic are PyTorch's.
"""

from typing import TYPE_CHECKING, Any

from ._adadelta import Adadelta
from ._adagrad import Adagrad
from ._adam import Adam
from ._adamax import Adamax
from ._adamw import AdamW
from ._nadam import NAdam
from ._optimizer import Optimizer
from ._radam import RAdam
from ._rmsprop import RMSprop
from ._rprop import Rprop
from ._sgd import SGD

if TYPE_CHECKING:
    from . import lr_scheduler

__all__ = [
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SGD",
    "lr_scheduler",
]


def __getattr__(name: str) -> Any:
    # Loaded when first asked for, so that importing the package stays quick.
    if name != "lr_scheduler":
        raise AttributeError(f"module 'adret.optim' has no attribute {name!r}")
    from importlib import import_module

    return import_module(".lr_scheduler", __name__)
