"""Adagrad.

Depends on `_optimizer`. Invariant: PyTorch's arithmetic, step by step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._core import DomainError, Tensor, full_like, sqrt, square
from ._optimizer import Optimizer


class Adagrad(Optimizer):
    """Gradient descent by the gradient over the root of the sum of all its squares.

    s = s + g^2, for g = grad + weight_decay * p;  p = p - lr / (1 + (t - 1) lr_decay) * g / (sqrt(s) + eps) at step t

    Args:
        params: Parameters, or groups of them.
        lr: The rate.
        lr_decay: How fast the rate falls.
        weight_decay: Factor of the parameter that is added to its gradient (L2 penalty).
        initial_accumulator_value: What the sum starts from.
        eps: Added to the root; bounds the step.
        maximize: Whether to climb.

    Raises:
        DomainError: If a setting makes no sense.

    Source:
        Duchi, Hazan, Singer (2011), Adaptive Subgradient Methods for Online Learning and Stochastic Optimization.

    Example:
        >>> p = ad.tensor([1.0], requires_grad=True)
        >>> optimizer = Adagrad([p], lr=0.5)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> round(p.item(), 4)
        0.5
    """

    counts_steps = True
    live_settings = frozenset({"lr"})

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        """Takes parameters and settings."""
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: Mapping[str, Any]) -> None:
        super()._check(group)
        for name in ("lr_decay", "initial_accumulator_value"):
            if not group[name] >= 0:
                raise DomainError(f"Adagrad: {name} is {group[name]}. Use 0 or more.")

    def numbers(self, step: int, group: Mapping[str, Any]) -> tuple[float | Tensor, ...]:
        """The rate in force."""
        return (group["lr"] / (1 + (step - 1) * group["lr_decay"]),)

    def update(
        self, parameter: Tensor, grad: Tensor, state: dict[str, Any], group: Mapping[str, Any], *numbers: Any
    ) -> None:
        """One step for one parameter."""
        (rate,) = numbers
        if "sum" not in state:
            state["sum"] = full_like(parameter, group["initial_accumulator_value"])
        if group["maximize"]:
            grad = -grad
        if group["weight_decay"] != 0:
            grad = grad + group["weight_decay"] * parameter
        total: Tensor = state["sum"]
        total.assign(total + square(grad))
        parameter.assign(parameter - rate * (grad / (sqrt(total) + group["eps"])))
