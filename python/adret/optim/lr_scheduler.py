"""Schedules of learning rates, under PyTorch's names.

Depends on `_epochs`; schedules by a metric, within cycles, and of schedules are in `_plateau`, `_cycle`, `_waves` and
`_composed`. Invariant: rates are
PyTorch's, step by step; `step()` goes after the optimiser's, mostly once per epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from .._core import DomainError
from ._composed import ChainedScheduler, SequentialLR
from ._cycle import OneCycleLR
from ._epochs import LRScheduler
from ._optimizer import Optimizer
from ._plateau import ReduceLROnPlateau
from ._waves import CosineAnnealingWarmRestarts, CyclicLR

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]


class LambdaLR(LRScheduler):
    """The first rate times a function of the epoch.

    Args:
        optimizer: Whose rates are set.
        lr_lambda: The factor for an epoch's number; or one function per group.
        last_epoch: The epoch that was the last one, -1 to begin.

    Example:
        >>> optimizer = SGD([ad.ones(1, requires_grad=True)], lr=1.0)
        >>> schedule = LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch))
        >>> schedule.step()
        >>> schedule.get_last_lr()
        [0.5]
    """

    _unsaved = ("optimizer", "lr_lambdas")

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Iterable[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        """Takes the functions."""
        count = len(optimizer.param_groups)
        self.lr_lambdas = [lr_lambda] * count if callable(lr_lambda) else list(lr_lambda)
        if len(self.lr_lambdas) != count:
            raise DomainError(
                f"LambdaLR: there are {len(self.lr_lambdas)} functions and {count} groups. Give one function each."
            )
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The first rates times the functions' values."""
        return [rate * f(self.last_epoch) for rate, f in zip(self.base_lrs, self.lr_lambdas, strict=True)]


class MultiplicativeLR(LambdaLR):
    """The rate in force times a function of the epoch.

    Args:
        optimizer: Whose rates are set.
        lr_lambda: The factor for an epoch's number; or one function per group.
        last_epoch: The epoch that was the last one, -1 to begin.

    Example:
        >>> optimizer = SGD([ad.ones(1, requires_grad=True)], lr=1.0)
        >>> schedule = MultiplicativeLR(optimizer, lambda epoch: 0.5)
        >>> for epoch in range(2): schedule.step()
        >>> schedule.get_last_lr()
        [0.25]
    """

    def get_lr(self) -> list[float]:
        """The rates times the functions' values."""
        if self.last_epoch == 0:
            return self.rates()
        return [rate * f(self.last_epoch) for rate, f in zip(self.rates(), self.lr_lambdas, strict=True)]


class StepLR(LRScheduler):
    """The rate times gamma, every `step_size` epochs.

    Args:
        optimizer: Whose rates are set.
        step_size: Epochs of one rate.
        gamma: The factor.
        last_epoch: The epoch that was the last one, -1 to begin.

    Raises:
        DomainError: If `step_size` is below 1.

    Example:
        >>> optimizer = SGD([ad.ones(1, requires_grad=True)], lr=1.0)
        >>> schedule = StepLR(optimizer, step_size=2)
        >>> for epoch in range(4): schedule.step()
        >>> round(optimizer.param_groups[0]["lr"], 4)
        0.01
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        """Takes the number of epochs and the factor."""
        if step_size < 1:
            raise DomainError(f"StepLR: step_size is {step_size}. Use 1 or more epochs.")
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates, times gamma where a step begins."""
        begins = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return [rate * self.gamma if begins else rate for rate in self.rates()]


class MultiStepLR(LRScheduler):
    """The rate times gamma at each milestone.

    Args:
        optimizer: Whose rates are set.
        milestones: Epochs; one named twice counts twice.
        gamma: The factor.
        last_epoch: The epoch that was the last one, -1 to begin.

    Example:
        >>> optimizer = SGD([ad.ones(1, requires_grad=True)], lr=1.0)
        >>> schedule = MultiStepLR(optimizer, milestones=[1, 3], gamma=0.5)
        >>> for epoch in range(3): schedule.step()
        >>> schedule.get_last_lr()
        [0.25]
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        """Takes the milestones and the factor."""
        self.milestones = sorted(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates, times gamma for each milestone at this epoch."""
        factor = self.gamma ** self.milestones.count(self.last_epoch)
        return [rate * factor for rate in self.rates()]


class ConstantLR(LRScheduler):
    """The rate times a factor during the first epochs.

    Args:
        optimizer: Whose rates are set.
        factor: The factor, from 0 to 1.
        total_iters: Number of epochs with the factor.
        last_epoch: The epoch that was the last one, -1 to begin.

    Raises:
        DomainError: If the factor is out of range.

    Example:
        >>> optimizer = SGD([ad.ones(1, requires_grad=True)], lr=1.0)
        >>> ConstantLR(optimizer, factor=0.5).get_last_lr()
        [0.5]
    """

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        """Takes the factor and for how long it holds."""
        if not 0 < factor <= 1:
            raise DomainError(f"ConstantLR: factor is {factor}. Use one above 0 and up to 1.")
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates, lowered at the start and restored at the end."""
        if self.last_epoch == 0:
            return [rate * self.factor for rate in self.rates()]
        return [rate / self.factor if self.last_epoch == self.total_iters else rate for rate in self.rates()]


class LinearLR(LRScheduler):
    """The rate times a factor that moves evenly from one value to another; for warming up.

    Args:
        optimizer: Whose rates are set.
        start_factor: The factor of the first epoch, above 0 and up to 1.
        end_factor: The factor from epoch `total_iters` on, from 0 to 1.
        total_iters: Number of epochs in between.
        last_epoch: The epoch that was the last one, -1 to begin.

    Raises:
        DomainError: If a factor is out of range.

    Example:
        >>> optimizer = SGD([ad.ones(1, requires_grad=True)], lr=1.0)
        >>> schedule = LinearLR(optimizer, start_factor=0.5, total_iters=2)
        >>> schedule.step()
        >>> schedule.get_last_lr()
        [0.75]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        """Takes the factors and the epochs in between."""
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise DomainError(
                f"LinearLR: factors are {start_factor} and {end_factor}. Use ones up to 1, the first above 0."
            )
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates, moved by one epoch's share."""
        if self.last_epoch == 0:
            return [rate * self.start_factor for rate in self.rates()]
        if self.last_epoch > self.total_iters:
            return self.rates()
        return [rate * self._at(self.last_epoch) / self._at(self.last_epoch - 1) for rate in self.rates()]

    def _at(self, epoch: int) -> float:
        return self.start_factor + (self.end_factor - self.start_factor) * epoch / self.total_iters


class ExponentialLR(LRScheduler):
    """The rate times gamma, every epoch.

    Args:
        optimizer: Whose rates are set.
        gamma: The factor.
        last_epoch: The epoch that was the last one, -1 to begin.

    Example:
        >>> optimizer = SGD([ad.ones(1, requires_grad=True)], lr=1.0)
        >>> schedule = ExponentialLR(optimizer, gamma=0.5)
        >>> for epoch in range(3): schedule.step()
        >>> schedule.get_last_lr()
        [0.125]
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        """Takes the factor."""
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates times gamma."""
        return [rate * self.gamma if self.last_epoch > 0 else rate for rate in self.rates()]


class PolynomialLR(LRScheduler):
    """The rate falls to 0 along a power of the epochs that are left.

    lr = lr0 (1 - epoch / total_iters)^power until epoch total_iters, then 0

    Args:
        optimizer: Whose rates are set.
        total_iters: Epochs until 0.
        power: The power; 1 for a straight line.
        last_epoch: The epoch that was the last one, -1 to begin.

    Raises:
        DomainError: If `total_iters` is below 1.

    Example:
        >>> optimizer = SGD([ad.ones(1, requires_grad=True)], lr=1.0)
        >>> schedule = PolynomialLR(optimizer, total_iters=4, power=2.0)
        >>> for epoch in range(2): schedule.step()
        >>> round(schedule.get_last_lr()[0], 6)
        0.25
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        """Takes the length and the power."""
        if total_iters < 1:
            raise DomainError(f"PolynomialLR: total_iters is {total_iters}. Use 1 or more epochs.")
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates, moved by one epoch."""
        epoch, total = self.last_epoch, self.total_iters
        if epoch == 0 or epoch > total:
            return self.rates()
        share = ((1.0 - epoch / total) / (1.0 - (epoch - 1) / total)) ** self.power
        return [rate * share for rate in self.rates()]


class CosineAnnealingLR(LRScheduler):
    """The rate falls along half a cosine wave, then rises again.

    lr = eta_min + (lr0 - eta_min) (1 + cos(pi epoch / T_max)) / 2

    Args:
        optimizer: Whose rates are set.
        T_max: Epochs until the lowest rate.
        eta_min: The lowest rate.
        last_epoch: The epoch that was the last one, -1 to begin.

    Raises:
        DomainError: If `T_max` is below 1.

    Source:
        Loshchilov, Hutter (2017), SGDR: Stochastic Gradient Descent with Warm Restarts.

    Example:
        >>> optimizer = SGD([ad.ones(1, requires_grad=True)], lr=1.0)
        >>> schedule = CosineAnnealingLR(optimizer, T_max=2)
        >>> schedule.step()
        >>> round(schedule.get_last_lr()[0], 6)
        0.5
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:  # noqa: N803
        """Takes the half wave's length and its lowest rate."""
        if T_max < 1:
            raise DomainError(f"CosineAnnealingLR: T_max is {T_max}. Use 1 or more epochs.")
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates, moved by one epoch's share of the wave."""
        epoch = self.last_epoch
        if epoch == 0:
            return self.rates()
        if (epoch - 1 - self.T_max) % (2 * self.T_max) == 0:
            # The wave leaves its lowest point, where the quotient below would be 0 / 0.
            rise = (1 - math.cos(math.pi / self.T_max)) / 2
            return [
                rate + (first - self.eta_min) * rise for rate, first in zip(self.rates(), self.base_lrs, strict=True)
            ]
        share = (1 + math.cos(math.pi * epoch / self.T_max)) / (1 + math.cos(math.pi * (epoch - 1) / self.T_max))
        return [share * (rate - self.eta_min) + self.eta_min for rate in self.rates()]
