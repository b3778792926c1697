"""Adamax.

Depends on `_optimizer`. Invariant: PyTorch's arithmetic, step by step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._core import DomainError, Tensor, abs, maximum, zeros_like
from ._optimizer import Optimizer


class Adamax(Optimizer):
    """Adam with the largest recent gradient in place of the root mean square.

    m = beta1 m + (1 - beta1) g, for g = grad + weight_decay * p;  u = max(beta2 u, |g| + eps);
    p = p - lr / (1 - beta1^t) * m / u at step t

    Args:
        params: Parameters, or groups of them.
        lr: The rate.
        betas: How much of the mean and of the maximum is kept.
        eps: Added to the gradient's size; bounds the step.
        weight_decay: Factor of the parameter that is added to its gradient (L2 penalty).
        maximize: Whether to climb.

    Raises:
        DomainError: If a setting makes no sense.

    Source:
        Kingma, Ba (2015), Adam: A Method for Stochastic Optimization.

    Example:
        >>> p = ad.tensor([1.0], requires_grad=True)
        >>> optimizer = Adamax([p], lr=0.5)
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
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        """Takes parameters and settings."""
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: Mapping[str, Any]) -> None:
        super()._check(group)
        betas = group["betas"]
        if not all(0 <= beta < 1 for beta in betas):
            raise DomainError(f"{self._name()}: betas are {betas}. Use two numbers from 0 up to, not including, 1.")

    def numbers(self, step: int, group: Mapping[str, Any]) -> tuple[float | Tensor, ...]:
        """The corrected rate."""
        return (group["lr"] / (1 - group["betas"][0] ** step),)

    def update(
        self, parameter: Tensor, grad: Tensor, state: dict[str, Any], group: Mapping[str, Any], *numbers: Any
    ) -> None:
        """One step for one parameter."""
        (rate,) = numbers
        beta1, beta2 = group["betas"]
        if "exp_avg" not in state:
            state["exp_avg"] = zeros_like(parameter)
            state["exp_inf"] = zeros_like(parameter)
        if group["maximize"]:
            grad = -grad
        if group["weight_decay"] != 0:
            grad = grad + group["weight_decay"] * parameter
        mean, largest = state["exp_avg"], state["exp_inf"]
        mean.assign(beta1 * mean + (1 - beta1) * grad)
        largest.assign(maximum(beta2 * largest, abs(grad) + group["eps"]))
        parameter.assign(parameter - rate * (mean / largest))
