"""AdamW.

Depends on `_adam`. Invariant: PyTorch's arithmetic, step by step; the decay does not pass through the moments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._core import Tensor
from ._adam import Adam


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameter itself, not by way of its gradient.

    p = p - lr * weight_decay * p, then Adam's step without decay

    Args:
        params: Parameters, or groups of them.
        lr: The rate.
        betas: How much of the two moments is kept.
        eps: Added to the root; bounds the step.
        weight_decay: Share of the parameter, times the rate, that is taken away in each step.
        amsgrad: Whether the second moment never falls in the formula.
        maximize: Whether to climb.

    Raises:
        DomainError: If a setting makes no sense.

    Source:
        Loshchilov, Hutter (2019), Decoupled Weight Decay Regularization.

    Example:
        >>> p = ad.tensor([1.0], requires_grad=True)
        >>> optimizer = AdamW([p], lr=0.5, weight_decay=0.1)
        >>> (0 * p).sum().backward()
        >>> optimizer.step()
        >>> round(p.item(), 4)
        0.95
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        """Takes parameters and settings."""
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)

    def numbers(self, step: int, group: Mapping[str, Any]) -> tuple[float | Tensor, ...]:
        """Adam's numbers, and what the decay leaves of the parameter."""
        return (*super().numbers(step, group), 1 - group["lr"] * group["weight_decay"])

    def update(
        self, parameter: Tensor, grad: Tensor, state: dict[str, Any], group: Mapping[str, Any], *numbers: Any
    ) -> None:
        """One step for one parameter."""
        *others, left = numbers
        if group["weight_decay"] != 0:
            parameter.assign(parameter * left)
        super().update(parameter, grad, state, {**group, "weight_decay": 0}, *others)
