"""What all schedules share: reading and setting the rates of an optimiser's groups, and their own state.

Depends on `_optimizer`. Invariant: a rate that is a tensor stays that tensor and is given a new value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._core import DomainError, DTypeError, Tensor, no_grad
from ._optimizer import Optimizer


class Schedule:
    """The base of schedules.

    Args:
        optimizer: Whose rates are set.
    """

    # Attributes that a state does not hold.
    _unsaved: tuple[str, ...] = ("optimizer",)

    def __init__(self, optimizer: Optimizer) -> None:
        """Takes the optimiser."""
        if not isinstance(optimizer, Optimizer):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise DTypeError(f"{type(self).__name__}: {type(optimizer).__name__} is not an Optimizer. Pass one.")
        self.optimizer = optimizer
        self._last_lr: list[float] = []

    def _begin(self, last_epoch: int) -> list[float]:
        """The rates that the optimiser was made with, which every group keeps under "initial_lr"."""
        for number, group in enumerate(self.optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", _number(group["lr"]))
            elif "initial_lr" not in group:
                raise DomainError(
                    f"{type(self).__name__}: group {number} has no initial_lr to go on from. "
                    "Load the optimiser's state first, or begin with last_epoch=-1."
                )
        return [group["initial_lr"] for group in self.optimizer.param_groups]

    def rates(self) -> list[float]:
        """The rates in force, one per group."""
        return [_number(group["lr"]) for group in self.optimizer.param_groups]

    def _set(self, rates: list[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            given = group["lr"]
            if isinstance(given, Tensor):
                with no_grad():
                    given.assign(rate)
            elif given != rate:
                group["lr"] = rate
        self._last_lr = rates

    def get_last_lr(self) -> list[float]:
        """The rates that were set last, one per group."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """The schedule's position and settings; functions are not among them."""
        return {key: value for key, value in vars(self).items() if key not in self._unsaved}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes up a position; the optimiser's own state holds the rates.

        Raises:
            DomainError: If the state is one of another schedule.
        """
        unknown = [key for key in state_dict if key not in vars(self) or key in self._unsaved]
        if unknown:
            raise DomainError(
                f"load_state_dict: {type(self).__name__} has no {', '.join(unknown)}. Pass the same schedule's state."
            )
        vars(self).update(state_dict)


def _number(rate: float | Tensor) -> float:
    return float(rate)
