"""The base class of callbacks.

Depends on nothing but the training that calls it. Invariant: methods that a subclass does not write cost nothing per
batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._core import DomainError

if TYPE_CHECKING:
    from .. import nn, optim
    from ..training._fit import Training
    from ..training._history import History

Logs = dict[str, Any]


class Callback:
    """Is told of a training; write the methods that are needed.

    `self.model`, `self.optimizer` and `self.history` are the training's; `self.stop()` ends it after the epoch. What is
    added to the `logs` of `on_epoch_end` becomes part of the history.

    Example:
        >>> class Stop(Callback):
        ...     def on_epoch_end(self, epoch, logs):
        ...         if logs["loss"] < 0.5:
        ...             self.stop()
    """

    _training: Training | None = None

    def set_training(self, training: Training) -> None:
        """Is called first, with the training."""
        self._training = training

    @property
    def training(self) -> Training:
        """The training that calls."""
        if self._training is None:
            raise DomainError(f"{type(self).__name__}: there is no training. Pass it to fit as one of callbacks=[...].")
        return self._training

    @property
    def model(self) -> nn.Module:
        """The model that is trained."""
        return self.training.model

    @property
    def optimizer(self) -> optim.Optimizer:
        """What changes its parameters."""
        return self.training.optimizer

    @property
    def history(self) -> History:
        """The epochs before."""
        return self.training.history

    def stop(self) -> None:
        """Ends the training after this epoch."""
        self.training.stop()

    def on_train_begin(self, logs: Logs) -> None:
        """The training begins."""

    def on_train_end(self, logs: Logs) -> None:
        """The training is over, also by Ctrl-C or an error."""

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """An epoch begins; the first is 0."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """An epoch is done; `logs` are its values by name."""

    def on_batch_begin(self, batch: int, logs: Logs) -> None:
        """A batch begins; an epoch's first is 0."""

    def on_batch_end(self, batch: int, logs: Logs) -> None:
        """A batch is done; `logs["loss"]` is a tensor, and reading it may wait for a device."""


def writes(callback: Callback, name: str) -> bool:
    """Whether a callback has a method of its own in place of the base's empty one."""
    return name in vars(callback) or getattr(type(callback), name) is not getattr(Callback, name)


class LambdaCallback(Callback):
    """Functions in place of methods.

    Args:
        on_train_begin: Function of `logs`.
        on_train_end: Function of `logs`.
        on_epoch_begin: Function of epoch and `logs`.
        on_epoch_end: Function of epoch and `logs`.
        on_batch_begin: Function of batch and `logs`.
        on_batch_end: Function of batch and `logs`.

    Example:
        >>> x = ad.ones((4, 1))
        >>> told = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, sorted(logs)))
        >>> _ = ad.fit(ad.nn.Linear(1, 1), (x, x), "mse", "sgd", callbacks=[told], verbose=0)
        0 ['loss']
    """

    def __init__(
        self,
        *,
        on_train_begin: Callable[[Logs], Any] | None = None,
        on_train_end: Callable[[Logs], Any] | None = None,
        on_epoch_begin: Callable[[int, Logs], Any] | None = None,
        on_epoch_end: Callable[[int, Logs], Any] | None = None,
        on_batch_begin: Callable[[int, Logs], Any] | None = None,
        on_batch_end: Callable[[int, Logs], Any] | None = None,
    ) -> None:
        """Takes the functions."""
        given: dict[str, Callable[..., Any] | None] = {
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_batch_begin": on_batch_begin,
            "on_batch_end": on_batch_end,
        }
        for name, function in given.items():
            if function is not None:
                setattr(self, name, function)


class Monitor:
    """The best value of a metric so far.

    Args:
        owner: Who watches, for messages.
        name: The metric's name.
        mode: "min", "max", or "auto", which is "max" for accuracies.
        min_delta: How much better counts as better.
    """

    def __init__(self, owner: str, name: str, mode: str = "auto", min_delta: float = 0.0) -> None:
        """Takes what is watched."""
        if mode not in ("auto", "min", "max"):
            raise DomainError(f"{owner}: mode is {mode!r}. Use 'min', 'max' or 'auto'.")
        if not min_delta >= 0:
            raise DomainError(f"{owner}: min_delta is {min_delta}. Use 0 or more.")
        rises = mode == "max" or (mode == "auto" and name.endswith(("acc", "accuracy", "auc")))
        self._owner = owner
        self.name = name
        self._sign = 1.0 if rises else -1.0
        self._min_delta = min_delta
        self.best: float | None = None

    def value(self, logs: Logs) -> float:
        """The metric's value."""
        if self.name not in logs:
            advice = "Pass validation_data to fit, or monitor" if self.name.startswith("val_") else "Monitor"
            raise DomainError(f"{self._owner}: there is no {self.name!r}. {advice} one of: {', '.join(logs)}.")
        return float(logs[self.name])

    def improves(self, logs: Logs) -> bool:
        """Whether the value is the best so far, which it then is."""
        value = self.value(logs)
        if value != value:  # NaN is never the best
            return False
        if self.best is None or self._sign * (value - self.best) > self._min_delta:
            self.best = value
            return True
        return False
