"""The base of schedules that count epochs.

Depends on `_rates`. Invariant: `step()` goes after the optimiser's, mostly once per epoch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from ._optimizer import Optimizer
from ._rates import Schedule


class LRScheduler(Schedule, ABC):
    """A schedule that counts epochs; a subclass writes `get_lr`.

    Args:
        optimizer: Whose rates are set.
        last_epoch: The epoch that was the last one, -1 to begin.

    Example:
        >>> class Halving(lr_scheduler.LRScheduler):
        ...     def get_lr(self):
        ...         return [rate * 0.5**self.last_epoch for rate in self.base_lrs]
        >>> optimizer = SGD([ad.tensor([1.0], requires_grad=True)], lr=0.8)
        >>> schedule = Halving(optimizer)
        >>> schedule.step()
        >>> schedule.get_last_lr()
        [0.4]
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        """Sets the rates of the first epoch."""
        super().__init__(optimizer)
        self.base_lrs = self._begin(last_epoch)
        self.last_epoch = last_epoch
        self.step()

    @abstractmethod
    def get_lr(self) -> list[float]:
        """The rate of each group in the epoch `last_epoch`, from the rates `self.rates()` in force."""

    def step(self) -> None:
        """Goes on to the next epoch and sets its rates."""
        self.last_epoch += 1
        self._set(self.get_lr())

    def restart(self) -> None:
        """Begins anew, from the rates that the optimiser was made with."""
        self._set(list(self.base_lrs))
        self.last_epoch = -1
        self.step()
