"""Saving the model while it trains.

Depends on `_base` and on `ad.save`. Invariant: a file holds a whole epoch's weights.
"""

from __future__ import annotations

import os
from typing import Any

from .._core import DomainError
from .._files import save
from ._base import Callback, Logs, Monitor


class ModelCheckpoint(Callback):
    """Saves the model's weights after every epoch, or after those that are the best so far.

    Args:
        path: The file; `{epoch}` (from 1 on) and the names of metrics may stand in it: `"net-{epoch:02d}.safetensors"`.
        monitor: The metric that says which epoch is best.
        save_best_only: Whether only epochs are saved that are better than all before.
        mode: "min", "max", or "auto", which is "max" for accuracies.
        save_optimizer: Whether the file also holds the optimiser's state: `{"model": ..., "optimizer": ...,
            "epoch": ...}` in place of the weights.

    Raises:
        DomainError: If a setting makes no sense; while training, if there is no such metric.

    Example:
        >>> ModelCheckpoint("best.safetensors", save_best_only=True).monitor
        'val_loss'
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        monitor: str = "val_loss",
        save_best_only: bool = False,
        mode: str = "auto",
        save_optimizer: bool = False,
    ) -> None:
        """Takes the path, and when to save."""
        self.path = os.fspath(path)
        self.monitor = monitor
        self.save_best_only = save_best_only
        self.save_optimizer = save_optimizer
        self._mode = mode
        self.on_train_begin({})

    def on_train_begin(self, logs: Logs) -> None:
        """Forgets earlier trainings."""
        self._monitor = Monitor("ModelCheckpoint", self.monitor, self._mode)
        self.last_path: str | None = None

    @property
    def best(self) -> float | None:
        """The best value."""
        return self._monitor.best

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Saves, where the epoch is to be saved."""
        if self.save_best_only and not self._monitor.improves(logs):
            return
        try:
            path = self.path.format(**{**logs, "epoch": epoch + 1})
        except (KeyError, IndexError, ValueError) as error:
            raise DomainError(
                f"ModelCheckpoint: path {self.path!r} cannot be filled in: {error}. "
                f"There are: epoch, {', '.join(logs)}."
            ) from error
        state: dict[str, Any] = self.model.state_dict()
        if self.save_optimizer:
            state = {"model": state, "optimizer": self.optimizer.state_dict(), "epoch": epoch}
        save(path, state)
        self.last_path = path
