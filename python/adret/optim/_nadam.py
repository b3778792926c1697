"""NAdam.

Depends on `_optimizer`. Invariant: PyTorch's arithmetic, step by step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._core import DomainError, Tensor, sqrt, square, zeros_like
from ._optimizer import Optimizer


class NAdam(Optimizer):
    """Adam that looks ahead, as Nesterov's momentum does.

    mu_t = beta1 (1 - 0.96^(t * momentum_decay) / 2);  m and v as Adam's;
    p = p - lr ((1 - mu_t) / (1 - prod mu_i) g + mu_(t+1) / (1 - mu_(t+1) prod mu_i) m)
    / (sqrt(v / (1 - beta2^t)) + eps) at step t

    Args:
        params: Parameters, or groups of them.
        lr: The rate.
        betas: How much of the two moments is kept.
        eps: Added to the root; bounds the step.
        weight_decay: Factor of the parameter that is added to its gradient (L2 penalty).
        momentum_decay: How fast the momentum nears beta1.
        decoupled_weight_decay: Whether parameters shrink by lr * weight_decay instead, apart from the gradient.
        maximize: Whether to climb.

    Raises:
        DomainError: If a setting makes no sense.

    Source:
        Dozat (2016), Incorporating Nesterov Momentum into Adam.

    Example:
        >>> p = ad.tensor([1.0], requires_grad=True)
        >>> optimizer = NAdam([p], lr=0.5)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> round(p.item(), 2)
        0.47
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
        momentum_decay: float = 4e-3,
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
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: Mapping[str, Any]) -> None:
        super()._check(group)
        betas = group["betas"]
        if not all(0 <= beta < 1 for beta in betas):
            raise DomainError(f"{self._name()}: betas are {betas}. Use two numbers from 0 up to, not including, 1.")
        if not group["momentum_decay"] >= 0:
            raise DomainError(f"NAdam: momentum_decay is {group['momentum_decay']}. Use 0 or more.")

    def _momenta(self, step: int, group: Mapping[str, Any]) -> tuple[float, float, float]:
        """The momentum of a step, that of the next one, and the product of all so far."""
        beta, decay = group["betas"][0], group["momentum_decay"]

        def momentum(number: int) -> float:
            return beta * (1.0 - 0.5 * 0.96 ** (number * decay))

        # Products by number of steps, so that a step costs one more factor.
        products = _PRODUCTS.setdefault((beta, decay), [1.0])
        while len(products) <= step:
            products.append(products[-1] * momentum(len(products)))
        return momentum(step), momentum(step + 1), products[step]

    def numbers(self, step: int, group: Mapping[str, Any]) -> tuple[float | Tensor, ...]:
        """The rates of gradient and mean, the correction of the root, and what the decay keeps."""
        rate = group["lr"]
        now, following, product = self._momenta(step, group)
        of_grad = rate * ((1 - now) / (1 - product))
        of_mean = rate * (following / (1 - product * following))
        return of_grad, of_mean, (1 - group["betas"][1] ** step) ** 0.5, 1 - rate * group["weight_decay"]

    def update(
        self, parameter: Tensor, grad: Tensor, state: dict[str, Any], group: Mapping[str, Any], *numbers: Any
    ) -> None:
        """One step for one parameter."""
        of_grad, of_mean, correction, kept = numbers
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
        root = sqrt(square_mean) / correction + group["eps"]
        parameter.assign(parameter - (of_grad * grad + of_mean * mean) / root)


# Products of momenta for a beta and a decay: numbers alone, the same for every optimiser.
_PRODUCTS: dict[tuple[float, float], list[float]] = {}
