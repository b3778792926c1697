"""RAdam.

Depends on `_optimizer`. Invariant: PyTorch's arithmetic, step by step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._core import DomainError, Tensor, sqrt, square, zeros_like
from ._optimizer import Optimizer


class RAdam(Optimizer):
    """Adam whose first steps, while the variance of its rates is unknown, go by the mean alone.

    m and v as Adam's; r = 2 / (1 - beta2) - 1; rho = r - 2 t beta2^t / (1 - beta2^t) at step t;
    p = p - lr * m / (1 - beta1^t) * s / (sqrt(v / (1 - beta2^t)) + eps) where rho > 5, with
    s = sqrt((rho - 4) (rho - 2) r / ((r - 4) (r - 2) rho)), else p = p - lr * m / (1 - beta1^t)

    Args:
        params: Parameters, or groups of them.
        lr: The rate.
        betas: How much of the two moments is kept.
        eps: Added to the root; bounds the step.
        weight_decay: Factor of the parameter that is added to its gradient (L2 penalty).
        decoupled_weight_decay: Whether parameters shrink by lr * weight_decay instead, apart from the gradient.
        maximize: Whether to climb.

    Raises:
        DomainError: If a setting makes no sense.

    Source:
        Liu et al. (2020), On the Variance of the Adaptive Learning Rate and Beyond.

    Example:
        >>> p = ad.tensor([1.0], requires_grad=True)
        >>> optimizer = RAdam([p], lr=0.25)
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
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        """Takes parameters and settings."""
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: Mapping[str, Any]) -> None:
        super()._check(group)
        betas = group["betas"]
        if not all(0 <= beta < 1 for beta in betas):
            raise DomainError(f"{self._name()}: betas are {betas}. Use two numbers from 0 up to, not including, 1.")

    def numbers(self, step: int, group: Mapping[str, Any]) -> tuple[float | Tensor, ...]:
        """The rate of the mean over the root, that of the mean alone (one of them 0), and what the decay keeps."""
        beta1, beta2 = group["betas"]
        rate = group["lr"] / (1 - beta1**step)
        kept = 1 - group["lr"] * group["weight_decay"]
        correction = 1 - beta2**step
        limit = 2 / (1 - beta2) - 1
        known = limit - 2 * step * beta2**step / correction
        if known <= 5:
            return 0.0, rate, kept
        part = (known - 4) * (known - 2) * limit / ((limit - 4) * (limit - 2) * known)
        return rate * (part * correction) ** 0.5, 0.0, kept

    def update(
        self, parameter: Tensor, grad: Tensor, state: dict[str, Any], group: Mapping[str, Any], *numbers: Any
    ) -> None:
        """One step for one parameter."""
        over_root, alone, kept = numbers
        beta1, beta2 = group["betas"]
        if "exp_avg" not in state:
            state["exp_avg"] = zeros_like(parameter)
            state["exp_avg_sq"] = zeros_like(parameter)
        if group["maximize"]:
            grad = -grad
        if group["weight_decay"] != 0:
            if group["decoupled_weight_decay"]:
                parameter.assign(parameter * kept)
            else:
                grad = grad + group["weight_decay"] * parameter
        mean, square_mean = state["exp_avg"], state["exp_avg_sq"]
        mean.assign(beta1 * mean + (1 - beta1) * grad)
        square_mean.assign(beta2 * square_mean + (1 - beta2) * square(grad))
        parameter.assign(parameter - mean * (over_root / (sqrt(square_mean) + group["eps"]) + alone))
