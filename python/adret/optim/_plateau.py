"""The rate falls when a metric no longer improves.

Depends on `_rates`. Invariant: rates and counts are PyTorch's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .._core import DomainError, Tensor
from ._optimizer import Optimizer
from ._rates import Schedule


class ReduceLROnPlateau(Schedule):
    """The rate times a factor, where a metric has not improved for some epochs.

    Args:
        optimizer: Whose rates are set.
        mode: "min" where the metric shall fall, "max" where it shall rise.
        factor: The factor, below 1.
        patience: Epochs without improvement that are borne.
        threshold: How much better counts as an improvement.
        threshold_mode: "rel" for a share of the best value, "abs" for a difference.
        cooldown: Epochs after a reduction that are not counted.
        min_lr: The lowest rate, or one per group.
        eps: A smaller change of the rate is not made.

    Raises:
        DomainError: If a setting makes no sense.

    Example:
        >>> optimizer = SGD([ad.ones(1, requires_grad=True)], lr=1.0)
        >>> schedule = ReduceLROnPlateau(optimizer, patience=1)
        >>> for loss in (1.0, 0.9, 0.9, 0.9): schedule.step(loss)
        >>> optimizer.param_groups[0]["lr"]
        0.1
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        """Takes what counts as a plateau, and what follows."""
        super().__init__(optimizer)
        if not factor < 1:
            raise DomainError(f"ReduceLROnPlateau: factor is {factor}. Use one below 1.")
        if mode not in ("min", "max"):
            raise DomainError(f"ReduceLROnPlateau: mode is {mode!r}. Use 'min' or 'max'.")
        if threshold_mode not in ("rel", "abs"):
            raise DomainError(f"ReduceLROnPlateau: threshold_mode is {threshold_mode!r}. Use 'rel' or 'abs'.")
        count = len(optimizer.param_groups)
        self.min_lrs = [float(min_lr)] * count if isinstance(min_lr, int | float) else [float(rate) for rate in min_lr]
        if len(self.min_lrs) != count:
            raise DomainError(f"ReduceLROnPlateau: min_lr has {len(self.min_lrs)} entries for {count} groups.")
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.eps = eps
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        self.last_epoch = 0
        self._last_lr = self.rates()

    def _is_better(self, value: float) -> bool:
        sign = 1.0 if self.mode == "min" else -1.0
        # At first the best is infinite, and so would a share of it be.
        margin = self.threshold * self.best * sign if self.threshold_mode == "rel" else self.threshold
        if math.isinf(self.best):
            return sign * value < sign * self.best
        return sign * value < sign * self.best - margin

    def step(self, metrics: Any) -> None:
        """Notes an epoch's metric, and lowers the rates where it has stayed too long.

        Args:
            metrics: The metric, a number or a tensor of one element.
        """
        value = float(metrics.item() if isinstance(metrics, Tensor) else metrics)
        self.last_epoch += 1
        if self._is_better(value):
            self.best = value
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            lowered = [max(rate * self.factor, low) for rate, low in zip(self.rates(), self.min_lrs, strict=True)]
            self._set([new if old - new > self.eps else old for old, new in zip(self.rates(), lowered, strict=True)])
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = self.rates()
