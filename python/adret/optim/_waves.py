"""Schedules that rise and fall again and again.

Depends on `_epochs`. Invariant: rates and momenta are PyTorch's, step by step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from .._core import DomainError
from ._epochs import LRScheduler
from ._optimizer import Optimizer


class CosineAnnealingWarmRestarts(LRScheduler):
    """The rate falls along half a cosine wave, jumps back, and falls again, each time for longer.

    lr = eta_min + (lr0 - eta_min) (1 + cos(pi t / T)) / 2, t epochs after the last jump, with T = T_0, T_0 T_mult, ...

    Args:
        optimizer: Whose rates are set.
        T_0: Epochs until the first jump.
        T_mult: How many times longer each wave is than the one before.
        eta_min: The lowest rate.
        last_epoch: The epoch that was the last one, -1 to begin.

    Raises:
        DomainError: If `T_0` or `T_mult` is below 1.

    Source:
        Loshchilov, Hutter (2017), SGDR: Stochastic Gradient Descent with Warm Restarts.

    Example:
        >>> optimizer = SGD([ad.ones(1, requires_grad=True)], lr=1.0)
        >>> schedule = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2)
        >>> for epoch in range(2): schedule.step()
        >>> schedule.get_last_lr()
        [1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,  # noqa: N803
        T_mult: int = 1,  # noqa: N803
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        """Takes the first wave's length and how it grows."""
        if T_0 < 1 or T_mult < 1 or int(T_0) != T_0 or int(T_mult) != T_mult:
            raise DomainError(
                f"CosineAnnealingWarmRestarts: T_0 is {T_0} and T_mult {T_mult}. Use whole numbers of 1 or more."
            )
        self.T_0 = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        # Where the schedule is, and the length of that wave.
        self.T_cur: float = 0
        self.T_i = T_0
        super().__init__(optimizer, last_epoch)

    def step(self, epoch: float | None = None) -> None:
        """Goes on to the next epoch, or to a given one, which may be a fraction, and sets its rates.

        Args:
            epoch: Where to go.

        Raises:
            DomainError: If it is negative.
        """
        place: float = self.last_epoch + 1 if epoch is None else epoch
        if place < 0:
            raise DomainError(f"CosineAnnealingWarmRestarts: epoch is {place}. Use 0 or more.")
        length = self.T_0
        if self.T_mult == 1:
            self.T_cur = place % length
        else:
            # The waves before this one, of geometric lengths.
            done = int(math.log(place / self.T_0 * (self.T_mult - 1) + 1, self.T_mult) + 1e-12)
            self.T_cur = place - self.T_0 * (self.T_mult**done - 1) / (self.T_mult - 1)
            length = self.T_0 * self.T_mult**done
        self.T_i = length
        self.last_epoch = math.floor(place)
        self._set(self.get_lr())

    def get_lr(self) -> list[float]:
        """The rates at this place of the wave."""
        height = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (rate - self.eta_min) * height for rate in self.base_lrs]


class CyclicLR(LRScheduler):
    """The rate goes up and down between two bounds; `step()` goes after every batch.

    Args:
        optimizer: Whose rates are set.
        base_lr: The lower bound, or one per group.
        max_lr: The upper bound, or one per group.
        step_size_up: Steps of a rise.
        step_size_down: Steps of a fall; as many for None.
        mode: "triangular", "triangular2" (each cycle half as high) or "exp_range" (times gamma^step).
        gamma: The factor of "exp_range".
        scale_fn: The height's factor in place of the mode's: a function of the cycle's or the step's number.
        scale_mode: "cycle" or "iterations": what `scale_fn` is given.
        cycle_momentum: Whether momentum (or the first beta) goes the other way.
        base_momentum: The lowest momentum.
        max_momentum: The highest momentum.
        last_epoch: The step that was the last one, -1 to begin.

    Raises:
        DomainError: If a setting makes no sense.

    Source:
        Smith (2017), Cyclical Learning Rates for Training Neural Networks.

    Example:
        >>> optimizer = SGD([ad.ones(1, requires_grad=True)], lr=1.0)
        >>> schedule = lr_scheduler.CyclicLR(optimizer, 0.5, 1.0, step_size_up=2, cycle_momentum=False)
        >>> schedule.step()
        >>> schedule.get_last_lr()
        [0.75]
    """

    _unsaved = ("optimizer", "_scale")

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | Sequence[float],
        max_lr: float | Sequence[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float = 0.8,
        max_momentum: float = 0.9,
        last_epoch: int = -1,
    ) -> None:
        """Takes the bounds and the cycle's form."""
        groups: list[dict[str, Any]] = [*optimizer.param_groups]
        if mode not in ("triangular", "triangular2", "exp_range"):
            raise DomainError(f"CyclicLR: mode is {mode!r}. Use 'triangular', 'triangular2' or 'exp_range'.")
        if scale_mode not in ("cycle", "iterations"):
            raise DomainError(f"CyclicLR: scale_mode is {scale_mode!r}. Use 'cycle' or 'iterations'.")
        falls = step_size_up if step_size_down is None else step_size_down
        if step_size_up < 1 or falls < 0:
            raise DomainError(f"CyclicLR: a cycle has {step_size_up} steps up and {falls} down. Use 1 or more.")
        if cycle_momentum and not all("momentum" in group or "betas" in group for group in groups):
            raise DomainError("CyclicLR: the optimiser has no momentum. Pass cycle_momentum=False.")
        self.total_size = float(step_size_up + falls)
        self.step_ratio = step_size_up / self.total_size
        self.max_lrs = _per_group("max_lr", max_lr, len(groups))
        self.cycle_momentum = cycle_momentum
        self.momenta = (base_momentum, max_momentum)
        self.by_cycle = scale_mode == "cycle" if scale_fn is not None else mode != "exp_range"
        scales: dict[str, Callable[[float], float]] = {
            "triangular": lambda _: 1.0,
            "triangular2": lambda cycle: 1 / 2.0 ** (cycle - 1),
            "exp_range": lambda step: gamma**step,
        }
        self._scale = scales[mode] if scale_fn is None else scale_fn
        if last_epoch == -1:
            for group, rate in zip(groups, _per_group("base_lr", base_lr, len(groups)), strict=True):
                group["initial_lr"] = rate
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates at this step of the cycle."""
        return [low + height for low, height in zip(self.base_lrs, self._heights(), strict=True)]

    def _share(self) -> float:
        """How high this step is, from 0 to 1, before the cycles' scale."""
        place = self.last_epoch / self.total_size
        place -= math.floor(place)
        if place <= self.step_ratio:
            return place / self.step_ratio
        return (place - 1) / (self.step_ratio - 1)

    def _factor(self) -> float:
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        return self._scale(cycle if self.by_cycle else self.last_epoch)

    def _heights(self) -> list[float]:
        share = self._share() * self._factor()
        return [(high - low) * share for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]

    def step(self) -> None:
        """Goes on to the next step, and sets its rates and momenta."""
        super().step()
        if self.cycle_momentum:
            low, high = self.momenta
            momentum = high - (high - low) * self._share() * self._factor()
            for group in self.optimizer.param_groups:
                if "betas" in group:
                    group["betas"] = (momentum, *group["betas"][1:])
                else:
                    group["momentum"] = momentum


def _per_group(name: str, value: float | Sequence[float], groups: int) -> list[float]:
    found = [float(value)] * groups if isinstance(value, int | float) else [float(rate) for rate in value]
    if len(found) != groups:
        raise DomainError(f"CyclicLR: {name} has {len(found)} entries for {groups} groups. Give one for each.")
    return found
