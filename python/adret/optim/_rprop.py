"""Rprop.

Depends on `_optimizer`. Invariant: PyTorch's arithmetic, step by step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._core import DomainError, Tensor, full_like, maximum, minimum, sign, where, zeros_like
from ._optimizer import Optimizer


class Rprop(Optimizer):
    """Descent by the sign of the gradient, with a step per element that grows while the sign stays.

    step = step * etas[1] where g keeps its sign, * etas[0] where it changes, held within `step_sizes`;
    p = p - sign(g) * step, but where the sign has changed

    It is meant for gradients of all data at once: noise changes signs.

    Args:
        params: Parameters, or groups of them.
        lr: The first step.
        etas: The factors of steps that shrink and of those that grow.
        step_sizes: The smallest and the largest step.
        maximize: Whether to climb.

    Raises:
        DomainError: If a setting makes no sense.

    Source:
        Riedmiller, Braun (1993), A Direct Adaptive Method for Faster Backpropagation Learning: The RPROP Algorithm.

    Example:
        >>> p = ad.tensor([1.0], requires_grad=True)
        >>> optimizer = Rprop([p], lr=0.25)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> p.item()
        0.75
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        *,
        maximize: bool = False,
    ) -> None:
        """Takes parameters and settings."""
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: Mapping[str, Any]) -> None:
        super()._check(group)
        shrink, grow = group["etas"]
        if not 0 < shrink < 1 < grow:
            raise DomainError(f"Rprop: etas are {group['etas']}. Use one between 0 and 1, and one above 1.")

    def update(
        self, parameter: Tensor, grad: Tensor, state: dict[str, Any], group: Mapping[str, Any], *numbers: Any
    ) -> None:
        """One step for one parameter."""
        shrink, grow = group["etas"]
        least, most = group["step_sizes"]
        if "prev" not in state:
            state["prev"] = zeros_like(parameter)
            state["step_size"] = full_like(parameter, float(group["lr"]))
        if group["maximize"]:
            grad = -grad
        before, size = state["prev"], state["step_size"]
        agreement = grad * before
        other = where(agreement > 0, size * grow, where(agreement < 0, size * shrink, size))
        size.assign(minimum(maximum(other, least), most))
        grad = where(agreement < 0, 0.0, grad)
        parameter.assign(parameter - sign(grad) * size)
        before.assign(grad)
