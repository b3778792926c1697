"""Adam.

Depends on `_optimizer`. Invariant: PyTorch's arithmetic, step by step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._core import DomainError, Tensor, maximum, sqrt, square, zeros_like
from ._optimizer import Optimizer


class Adam(Optimizer):
    """Gradient descent with a rate per element, from running moments of the gradient.

    m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2, for g = grad + weight_decay * p;
    p = p - lr * m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps) at step t

    Args:
        params: Parameters, or groups of them.
        lr: The rate.
        betas: How much of the two moments is kept.
        eps: Added to the root; bounds the step.
        weight_decay: Factor of the parameter that is added to its gradient (L2 penalty).
        amsgrad: Whether v never falls in the formula.
        maximize: Whether to climb.

    Raises:
        DomainError: If a setting makes no sense.

    Source:
        Kingma, Ba (2015), Adam: A Method for Stochastic Optimization.

    Example:
        >>> p = ad.tensor([1.0], requires_grad=True)
        >>> optimizer = Adam([p], lr=0.5)
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
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        """Takes parameters and settings."""
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: Mapping[str, Any]) -> None:
        super()._check(group)
        if not all(0 <= beta < 1 for beta in group["betas"]):
            raise DomainError(f"Adam: betas are {group['betas']}. Use two numbers from 0 up to, not including, 1.")

    def numbers(self, step: int, group: Mapping[str, Any]) -> tuple[float | Tensor, ...]:
        """The corrected rate, and the correction of the root."""
        beta1, beta2 = group["betas"]
        return group["lr"] / (1 - beta1**step), (1 - beta2**step) ** 0.5

    def update(
        self, parameter: Tensor, grad: Tensor, state: dict[str, Any], group: Mapping[str, Any], *numbers: Any
    ) -> None:
        """One step for one parameter."""
        rate, correction = numbers
        beta1, beta2 = group["betas"]
        if "exp_avg" not in state:
            state["exp_avg"] = zeros_like(parameter)
            state["exp_avg_sq"] = zeros_like(parameter)
            if group["amsgrad"]:
                state["max_exp_avg_sq"] = zeros_like(parameter)
        if group["maximize"]:
            grad = -grad
        if group["weight_decay"] != 0:
            grad = grad + group["weight_decay"] * parameter
        mean, square_mean = state["exp_avg"], state["exp_avg_sq"]
        mean.assign(beta1 * mean + (1 - beta1) * grad)
        square_mean.assign(beta2 * square_mean + (1 - beta2) * square(grad))
        if group["amsgrad"]:
            # Switched on later, the maximum starts from nothing seen.
            largest = state.setdefault("max_exp_avg_sq", zeros_like(parameter))
            largest.assign(maximum(largest, square_mean))
            square_mean = largest
        root = sqrt(square_mean) / correction + group["eps"]
        parameter.assign(parameter - rate * (mean / root))
