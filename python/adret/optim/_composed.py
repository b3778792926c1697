"""Schedules made of schedules: one after the other, or all at once.

Depends on `_rates` and `_epochs`. Invariant: rates are PyTorch's, step by step.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from .._core import DomainError
from ._epochs import LRScheduler
from ._optimizer import Optimizer
from ._rates import Schedule


def _same_optimizer(name: str, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None) -> Optimizer:
    if not schedulers:
        raise DomainError(f"{name}: there are no schedules. Give at least one.")
    wanted = schedulers[0].optimizer if optimizer is None else optimizer
    for number, schedule in enumerate(schedulers):
        if not isinstance(schedule, LRScheduler):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise DomainError(
                f"{name}: schedule {number} is a {type(schedule).__name__}, whose steps are not counted by epochs. "
                "Step it by itself."
            )
        if schedule.optimizer is not wanted:
            raise DomainError(f"{name}: schedule {number} is of another optimiser. Make all for the same one.")
    return wanted


class _Composed(Schedule):
    """What they share: the schedules, whose states are part of the state."""

    _unsaved = ("optimizer", "schedulers")

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler]) -> None:
        super().__init__(optimizer)
        self.schedulers = list(schedulers)

    def state_dict(self) -> dict[str, Any]:
        """The position, and those of the schedules."""
        return {**super().state_dict(), "schedulers": [schedule.state_dict() for schedule in self.schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes up a position; the optimiser's own state holds the rates.

        Raises:
            DomainError: If the state is one of other schedules.
        """
        states = state_dict.get("schedulers", ())
        if len(states) != len(self.schedulers):
            raise DomainError(
                f"load_state_dict: the state is one of {len(states)} schedules and there are {len(self.schedulers)}. "
                "Make the same schedules as when it was saved."
            )
        super().load_state_dict({key: value for key, value in state_dict.items() if key != "schedulers"})
        for schedule, state in zip(self.schedulers, states, strict=True):
            schedule.load_state_dict(state)


class SequentialLR(_Composed):
    """Schedules that follow each other: a warm-up and then a fall, for instance.

    Args:
        optimizer: Whose rates are set.
        schedulers: The schedules in order, of that optimiser.
        milestones: The epochs at which the second one begins, the third one, and so on.
        last_epoch: The epoch that was the last one, -1 to begin.

    Raises:
        DomainError: If there is not one epoch less than schedules, or a schedule is of another optimiser.

    Example:
        >>> optimizer = SGD([ad.ones(1, requires_grad=True)], lr=1.0)
        >>> warm = lr_scheduler.ConstantLR(optimizer, factor=0.25, total_iters=2)
        >>> fall = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
        >>> schedule = lr_scheduler.SequentialLR(optimizer, [warm, fall], milestones=[2])
        >>> rates = schedule.get_last_lr()
        >>> for epoch in range(4):
        ...     schedule.step()
        ...     rates += schedule.get_last_lr()
        >>> rates
        [0.25, 0.25, 1.0, 0.5, 0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        """Takes the schedules and where they meet."""
        _same_optimizer("SequentialLR", schedulers, optimizer)
        if len(schedulers) != len(milestones) + 1:
            raise DomainError(
                f"SequentialLR: there are {len(schedulers)} schedules and {len(milestones)} milestones. "
                "Give one milestone less than schedules."
            )
        if list(milestones) != sorted(milestones):
            raise DomainError(f"SequentialLR: milestones are {list(milestones)}. Give them in order.")
        super().__init__(optimizer, schedulers)
        self.milestones = list(milestones)
        self.last_epoch = last_epoch + 1
        # Each schedule has set its first rates when it was made: those of the first one count.
        self.schedulers[0].restart()
        self._last_lr = self.schedulers[0].get_last_lr()

    def step(self) -> None:
        """Goes on to the next epoch and sets its rates."""
        self.last_epoch += 1
        number = bisect_right(self.milestones, self.last_epoch)
        schedule = self.schedulers[number]
        if number > 0 and self.milestones[number - 1] == self.last_epoch:
            schedule.restart()
        else:
            schedule.step()
        self._last_lr = list(schedule.get_last_lr())


class ChainedScheduler(_Composed):
    """Schedules that act together: each changes the rates that the one before it has set.

    Args:
        schedulers: The schedules in order, of one optimiser.
        optimizer: That optimiser; None takes the schedules' own.

    Raises:
        DomainError: If there are none, or they are of different optimisers.

    Example:
        >>> optimizer = SGD([ad.ones(1, requires_grad=True)], lr=1.0)
        >>> constant = lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=5)
        >>> fall = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
        >>> schedule = lr_scheduler.ChainedScheduler([constant, fall])
        >>> schedule.step()
        >>> schedule.get_last_lr()
        [0.25]
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        """Takes the schedules."""
        super().__init__(_same_optimizer("ChainedScheduler", schedulers, optimizer), schedulers)
        self._last_lr = self.rates()

    def step(self) -> None:
        """Goes on to the next epoch, in every schedule."""
        for schedule in self.schedulers:
            schedule.step()
        self._last_lr = self.rates()
