"""Learning rates that change while training.

Depends on `_base` and `optim`. Invariant: the rate of each epoch is in the history, under `lr`.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

from .._core import DTypeError, Tensor, no_grad
from ..optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau
from ._base import Callback, Logs, Monitor


class LearningRateScheduler(Callback):
    """Sets the rate of each epoch.

    Args:
        schedule: A function of the epoch, or of epoch and rate, that gives the rate; or a schedule of
            `ad.optim.lr_scheduler`, which goes on after every epoch (`OneCycleLR` after every batch).
        monitor: The metric that `ReduceLROnPlateau` is told.

    Raises:
        DTypeError: If the schedule is neither.

    Example:
        >>> x = ad.ones((4, 1))
        >>> halved = LearningRateScheduler(lambda epoch: 0.1 / 2**epoch)
        >>> ad.fit(ad.nn.Linear(1, 1), (x, x), "mse", "sgd", epochs=3, callbacks=[halved], verbose=0)["lr"]
        [0.1, 0.05, 0.025]
    """

    def __init__(self, schedule: Any, monitor: str = "val_loss") -> None:
        """Takes the schedule."""
        known = isinstance(schedule, LRScheduler | ReduceLROnPlateau | OneCycleLR)
        if not known and not callable(schedule):
            raise DTypeError(
                f"LearningRateScheduler: schedule is a {type(schedule).__name__}. "
                "Give a function of the epoch, or a schedule of ad.optim.lr_scheduler."
            )
        self._schedule = schedule if known else None
        self._function: Callable[..., Any] | None = None if known else schedule
        self._takes_rate = not known and len(signature(schedule).parameters) > 1
        self._monitor = Monitor("LearningRateScheduler", monitor)

    def _rate(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Sets the rate that the function gives."""
        if self._function is None:
            return
        rate = self._function(epoch, self._rate()) if self._takes_rate else self._function(epoch)
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                with no_grad():
                    group["lr"].assign(float(rate))
            else:
                group["lr"] = float(rate)

    def on_batch_end(self, batch: int, logs: Logs) -> None:
        """Goes on within a cycle."""
        if isinstance(self._schedule, OneCycleLR):
            self._schedule.step()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Notes the rate, and goes on."""
        value = self._monitor.value(logs) if isinstance(self._schedule, ReduceLROnPlateau) else None
        logs["lr"] = self._rate()
        if isinstance(self._schedule, ReduceLROnPlateau):
            self._schedule.step(value)
        elif isinstance(self._schedule, LRScheduler):
            self._schedule.step()
