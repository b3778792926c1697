"""RMSprop.

Depends on `_optimizer`. Invariant: PyTorch's arithmetic, step by step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._core import DomainError, Tensor, sqrt, square, zeros_like
from ._optimizer import Optimizer


class RMSprop(Optimizer):
    """Gradient descent by the gradient over its running root mean square.

    v = alpha v + (1 - alpha) g^2, for g = grad + weight_decay * p;  d = g / (sqrt(v) + eps);
    b = momentum * b + d;  p = p - lr * b. Centred, the running mean's square is taken from v.

    Args:
        params: Parameters, or groups of them.
        lr: The rate.
        alpha: How much of the running mean is kept.
        eps: Added to the root; bounds the step.
        weight_decay: Factor of the parameter that is added to its gradient (L2 penalty).
        momentum: How much of the last direction is kept.
        centered: Whether the gradient's variance stands in place of its square.
        maximize: Whether to climb.

    Raises:
        DomainError: If a setting makes no sense.

    Source:
        Tieleman, Hinton (2012), Lecture 6.5 of Neural Networks for Machine Learning; Graves (2013), Generating
        Sequences With Recurrent Neural Networks, for the centred form.

    Example:
        >>> p = ad.tensor([1.0], requires_grad=True)
        >>> optimizer = RMSprop([p], lr=0.05)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> round(p.item(), 4)
        0.5
    """

    live_settings = frozenset({"lr"})

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        maximize: bool = False,
    ) -> None:
        """Takes parameters and settings."""
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: Mapping[str, Any]) -> None:
        super()._check(group)
        if not 0 <= group["alpha"] <= 1:
            raise DomainError(f"RMSprop: alpha is {group['alpha']}. Use a number from 0 to 1.")

    def numbers(self, step: int, group: Mapping[str, Any]) -> tuple[float | Tensor, ...]:
        """The rate."""
        return (group["lr"],)

    def update(
        self, parameter: Tensor, grad: Tensor, state: dict[str, Any], group: Mapping[str, Any], *numbers: Any
    ) -> None:
        """One step for one parameter."""
        (rate,) = numbers
        alpha = group["alpha"]
        if "square_avg" not in state:
            state["square_avg"] = zeros_like(parameter)
        if group["maximize"]:
            grad = -grad
        if group["weight_decay"] != 0:
            grad = grad + group["weight_decay"] * parameter
        square_mean: Tensor = state["square_avg"]
        square_mean.assign(alpha * square_mean + (1 - alpha) * square(grad))
        spread = square_mean
        if group["centered"]:
            mean: Tensor = state.setdefault("grad_avg", zeros_like(parameter))
            mean.assign(mean + (1 - alpha) * (grad - mean))
            spread = square_mean - square(mean)
        direction = grad / (sqrt(spread) + group["eps"])
        if group["momentum"] != 0:
            buffer: Tensor = state.setdefault("momentum_buffer", zeros_like(parameter))
            buffer.assign(group["momentum"] * buffer + direction)
            direction = buffer
        parameter.assign(parameter - rate * direction)
