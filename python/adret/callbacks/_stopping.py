"""Stopping before over-fitting.

Depends on `_base`. Invariant: the kept weights are a snapshot that training does not change.
"""

from __future__ import annotations

from .._core import DomainError, Tensor
from ._base import Callback, Logs, Monitor


class EarlyStopping(Callback):
    """Stops when a metric has not improved for some epochs.

    Args:
        monitor: The metric's name.
        patience: Epochs without improvement that are borne.
        min_delta: How much better counts as an improvement.
        mode: "min", "max", or "auto", which is "max" for accuracies.
        restore_best_weights: Whether the model ends with the weights of its best epoch.

    Raises:
        DomainError: If a setting makes no sense; while training, if there is no such metric.

    Example:
        >>> x = ad.ones((4, 1))
        >>> model = ad.nn.Linear(1, 1)
        >>> still = ad.optim.SGD(model.parameters(), lr=0.0)
        >>> stopping = EarlyStopping(monitor="loss", patience=2)
        >>> len(ad.fit(model, (x, x), "mse", still, epochs=10, callbacks=[stopping], verbose=0))
        3
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 0,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best_weights: bool = False,
    ) -> None:
        """Takes what is watched, and for how long."""
        if patience < 0:
            raise DomainError(f"EarlyStopping: patience is {patience}. Use 0 or more epochs.")
        self._settings = (monitor, mode, min_delta)
        self.patience = patience
        self.restore_best_weights = restore_best_weights
        self.on_train_begin({})

    def on_train_begin(self, logs: Logs) -> None:
        """Forgets earlier trainings."""
        self._monitor = Monitor("EarlyStopping", *self._settings)
        self._weights: dict[str, Tensor] | None = None
        self.stopped_epoch: int | None = None
        self.best_epoch: int | None = None
        self.wait = 0

    @property
    def best(self) -> float | None:
        """The best value."""
        return self._monitor.best

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Compares the epoch with the best."""
        if self._monitor.improves(logs):
            self.wait = 0
            self.best_epoch = epoch
            if self.restore_best_weights:
                self._weights = self.model.state_dict()
            return
        self.wait += 1
        if self.wait >= max(self.patience, 1):
            self.stopped_epoch = epoch
            self.stop()

    def on_train_end(self, logs: Logs) -> None:
        """Goes back to the best weights, where that was asked for."""
        if self._weights is not None:
            self.model.load_state_dict(self._weights)
            self._weights = None
