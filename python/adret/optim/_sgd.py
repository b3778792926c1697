"""Stochastic gradient descent.

Depends on `_optimizer`. Invariant: PyTorch's arithmetic, step by step; the first momentum is the first gradient itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._core import DomainError, Tensor
from ._optimizer import Optimizer


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum where wanted.

    d = grad + weight_decay * p;  b = momentum * b + (1 - dampening) * d, at first d;
    p = p - lr * b, or with nesterov p - lr * (d + momentum * b)

    Args:
        params: Parameters, or groups of them.
        lr: The rate.
        momentum: How much of the last direction is kept.
        dampening: How much of the gradient is left out of the direction.
        weight_decay: Factor of the parameter that is added to its gradient (L2 penalty).
        nesterov: Whether the direction looks one step ahead.
        maximize: Whether to climb.

    Raises:
        DomainError: If a setting makes no sense.

    Source:
        Sutskever, Martens, Dahl, Hinton (2013), On the Importance of Initialization and Momentum in Deep Learning.

    Example:
        >>> p = ad.tensor([1.0], requires_grad=True)
        >>> optimizer = SGD([p], lr=0.5)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> p.tolist()
        [0.0]
    """

    live_settings = frozenset({"lr"})

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float | Tensor = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        """Takes parameters and settings."""
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: Mapping[str, Any]) -> None:
        super()._check(group)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise DomainError(
                f"SGD: nesterov with momentum {group['momentum']} and dampening {group['dampening']}. "
                "It needs a momentum above 0 and a dampening of 0."
            )

    def numbers(self, step: int, group: Mapping[str, Any]) -> tuple[float | Tensor, ...]:
        """The rate."""
        return (group["lr"],)

    def update(
        self, parameter: Tensor, grad: Tensor, state: dict[str, Any], group: Mapping[str, Any], *numbers: Any
    ) -> None:
        """One step for one parameter."""
        (rate,) = numbers
        direction = -grad if group["maximize"] else grad
        if group["weight_decay"] != 0:
            direction = direction + group["weight_decay"] * parameter
        momentum = group["momentum"]
        if momentum != 0:
            buffer = state.get("momentum_buffer")
            if buffer is None:
                buffer = state["momentum_buffer"] = direction.detach()
            else:
                buffer.assign(momentum * buffer + (1 - group["dampening"]) * direction)
            direction = direction + momentum * buffer if group["nesterov"] else buffer
        parameter.assign(parameter - rate * direction)
