"""One cycle: the rate rises, then falls far below where it began, while the momentum does the reverse.

Depends on `_rates`. Invariant: rates and momenta are PyTorch's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .._core import DomainError
from ._optimizer import Optimizer
from ._rates import Schedule


class OneCycleLR(Schedule):
    """The 1cycle policy; `step()` goes after every batch.

    Args:
        optimizer: Whose rates are set.
        max_lr: The highest rate, or one per group.
        total_steps: Number of steps of the cycle; else `epochs` times `steps_per_epoch`.
        epochs: Number of epochs.
        steps_per_epoch: Number of batches in each.
        pct_start: Share of the steps in which the rate rises.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: Whether momentum (or the first beta) goes the other way.
        base_momentum: The lowest momentum.
        max_momentum: The highest momentum.
        div_factor: The first rate is max_lr / div_factor.
        final_div_factor: The last rate is the first one / final_div_factor.
        three_phase: Whether the rate falls as long as it rose, then to its last value.
        last_epoch: The step that was the last one, -1 to begin.

    Raises:
        DomainError: If a setting makes no sense, or after the cycle's last step.

    Source:
        Smith, Topin (2019), Super-Convergence.

    Example:
        >>> optimizer = SGD([ad.ones(1, requires_grad=True)], lr=1.0, momentum=0.9)
        >>> schedule = OneCycleLR(optimizer, max_lr=1.0, total_steps=10)
        >>> round(schedule.get_last_lr()[0], 4)
        0.04
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        """Takes the cycle's height, length and form."""
        super().__init__(optimizer)
        if total_steps is None:
            total_steps = (epochs or 0) * (steps_per_epoch or 0)
        if total_steps < 1:
            raise DomainError(
                f"OneCycleLR: the cycle has {total_steps} steps. "
                "Give total_steps, or epochs and steps_per_epoch, 1 or more."
            )
        if not 0 <= pct_start <= 1:
            raise DomainError(f"OneCycleLR: pct_start is {pct_start}. Use a share from 0 to 1.")
        if anneal_strategy not in ("cos", "linear"):
            raise DomainError(f"OneCycleLR: anneal_strategy is {anneal_strategy!r}. Use 'cos' or 'linear'.")
        groups = optimizer.param_groups
        highest = [float(max_lr)] * len(groups) if isinstance(max_lr, int | float) else [float(rate) for rate in max_lr]
        if len(highest) != len(groups):
            raise DomainError(f"OneCycleLR: max_lr has {len(highest)} entries for {len(groups)} groups.")
        if cycle_momentum and not all("momentum" in group or "betas" in group for group in groups):
            raise DomainError("OneCycleLR: the optimiser has no momentum. Pass cycle_momentum=False.")
        self.total_steps = total_steps
        self.anneal_strategy = anneal_strategy
        self.cycle_momentum = cycle_momentum
        self.momenta = (max_momentum, base_momentum)
        self.max_lrs = highest
        self.initial_lrs = [rate / div_factor for rate in highest]
        self.min_lrs = [rate / final_div_factor for rate in self.initial_lrs]
        rise = pct_start * total_steps
        # Each phase ends at a step and goes from one to another of: 0 the first, 1 the highest, 2 the last rate.
        self.phases: list[tuple[float, int, int]] = [(rise - 1, 0, 1), (total_steps - 1, 1, 2)]
        if three_phase:
            self.phases = [(rise - 1, 0, 1), (2 * rise - 2, 1, 0), (total_steps - 1, 0, 2)]
        for group, rate in zip(groups, self.initial_lrs, strict=True):
            if last_epoch == -1:
                group["initial_lr"] = rate
        self.last_epoch = last_epoch
        self.step()

    def _between(self, start: float, end: float, share: float) -> float:
        if self.anneal_strategy == "linear":
            return start + (end - start) * share
        return end + (start - end) / 2 * (1 + math.cos(math.pi * share))

    def step(self) -> None:
        """Goes on to the next step of the cycle and sets its rates."""
        number = self.last_epoch + 1
        if number > self.total_steps:
            raise DomainError(f"OneCycleLR: the cycle of {self.total_steps} steps is over. Stop, or make a longer one.")
        self.last_epoch = number
        passed = [end for end, _, _ in self.phases[:-1] if number > end]
        begin = passed[-1] if passed else 0.0
        end, source, target = self.phases[len(passed)]
        share = (number - begin) / (end - begin) if end > begin else 1.0
        levels = zip(self.initial_lrs, self.max_lrs, self.min_lrs, strict=True)
        self._set([self._between(level[source], level[target], share) for level in levels])
        if self.cycle_momentum:
            high, low = self.momenta
            at = (high, low, high)
            momentum = self._between(at[source], at[target], share)
            for group in self.optimizer.param_groups:
                if "betas" in group:
                    group["betas"] = (momentum, *group["betas"][1:])
                else:
                    group["momentum"] = momentum
