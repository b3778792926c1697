"""Optimisers, under PyTorch's names.

Depends on the core only, never on `adret.nn`. Invariant: arguments, defaults and arithmetic are PyTorch's.
"""

from typing import TYPE_CHECKING, Any

from .._later import loader
from ._adagrad import Adagrad
from ._adam import Adam
from ._adamw import AdamW
from ._optimizer import Optimizer
from ._rmsprop import RMSprop
from ._sgd import SGD

if TYPE_CHECKING:
    from . import lr_scheduler
    from ._adadelta import Adadelta
    from ._adamax import Adamax
    from ._nadam import NAdam
    from ._radam import RAdam
    from ._rprop import Rprop

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


_load = loader(
    globals(),
    {"._adadelta": "Adadelta", "._adamax": "Adamax", "._nadam": "NAdam", "._radam": "RAdam", "._rprop": "Rprop"},
)


def __getattr__(name: str) -> Any:
    # Loaded when first asked for, so that importing the package stays quick.
    if name != "lr_scheduler":
        return _load(name)
    from importlib import import_module

    return import_module(".lr_scheduler", __name__)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
