"""Training and evaluation mode, without setting what is set already.

Depends on `nn`. Invariant: leaving a block gives every module the mode that it had, also where they differed.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from .. import nn


def set_mode(model: nn.Module, training: bool) -> None:
    """Sets the mode where it differs: every attribute that is set makes recordings look again."""
    for module in model.modules():
        if module.training is not training:
            module.training = training


@contextmanager
def restored_modes(model: nn.Module) -> Generator[None, None, None]:
    """Gives every module its mode back at the end."""
    before = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in before:
            if module.training is not training:
                module.training = training
