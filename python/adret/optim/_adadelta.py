"""Adadelta.

Depends on `_optimizer`. Invariant: PyTorch's arithmetic, step by step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._core import DomainError, Tensor, sqrt, square, zeros_like
from ._optimizer import Optimizer


class Adadelta(Optimizer):
    """Gradient descent by the ratio of the running means of steps and gradients.

    v = rho v + (1 - rho) g^2, for g = grad + weight_decay * p;  d = sqrt(u + eps) / sqrt(v + eps) * g;
    u = rho u + (1 - rho) d^2;  p = p - lr * d

    Args:
        params: Parameters, or groups of them.
        lr: A factor of the step.
        rho: How much of the running means is kept.
        eps: Added under the roots; lets the first steps begin.
        weight_decay: Factor of the parameter that is added to its gradient (L2 penalty).
        maximize: Whether to climb.

    Raises:
        DomainError: If a setting makes no sense.

    Source:
        Zeiler (2012), ADADELTA: An Adaptive Learning Rate Method.

    Example:
        >>> p = ad.tensor([1.0], requires_grad=True)
        >>> optimizer = Adadelta([p], rho=0.5, eps=1.0)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> round(p.item(), 4)
        -0.1547
    """

    live_settings = frozenset({"lr"})

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        """Takes parameters and settings."""
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: Mapping[str, Any]) -> None:
        super()._check(group)
        if not 0 <= group["rho"] <= 1:
            raise DomainError(f"Adadelta: rho is {group['rho']}. Use a number from 0 to 1.")

    def numbers(self, step: int, group: Mapping[str, Any]) -> tuple[float | Tensor, ...]:
        """The rate."""
        return (group["lr"],)

    def update(
        self, parameter: Tensor, grad: Tensor, state: dict[str, Any], group: Mapping[str, Any], *numbers: Any
    ) -> None:
        """One step for one parameter."""
        (rate,) = numbers
        rho, eps = group["rho"], group["eps"]
        if "square_avg" not in state:
            state["square_avg"] = zeros_like(parameter)
            state["acc_delta"] = zeros_like(parameter)
        if group["maximize"]:
            grad = -grad
        if group["weight_decay"] != 0:
            grad = grad + group["weight_decay"] * parameter
        square_mean, step_mean = state["square_avg"], state["acc_delta"]
        square_mean.assign(rho * square_mean + (1 - rho) * square(grad))
        delta = sqrt(step_mean + eps) / sqrt(square_mean + eps) * grad
        step_mean.assign(rho * step_mean + (1 - rho) * square(delta))
        parameter.assign(parameter - rate * delta)
