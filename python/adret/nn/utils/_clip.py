"""Bounds on gradients, under PyTorch's names.

Depends on the core only. Invariant: nothing is evaluated unless an error is asked for, so that clipping becomes part of
the step's plan.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from ... import _core
from ..._core import DomainError, Tensor, no_grad

__all__ = ["clip_grad_norm_", "clip_grad_value_"]


def _with_grad(parameters: Tensor | Iterable[Tensor]) -> list[tuple[Tensor, Tensor]]:
    given = [parameters] if isinstance(parameters, Tensor) else parameters
    return [(parameter, parameter.grad) for parameter in given if parameter.grad is not None]


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Scales gradients so that their norm, all taken as one vector, does not exceed a bound.

    grad = grad * min(1, max_norm / (norm + 1e-6))

    Args:
        parameters: Those whose gradients are scaled; ones without gradient are passed over.
        max_norm: The bound.
        norm_type: The exponent of the norm; infinity for the largest element.
        error_if_nonfinite: Whether to raise where the norm is not finite; this computes it at once.

    Returns:
        The norm before scaling, a 0-d tensor.

    Raises:
        DomainError: If a bound or an exponent makes no sense, or the norm is not finite and `error_if_nonfinite`.

    Source:
        Pascanu, Mikolov, Bengio (2013), On the Difficulty of Training Recurrent Neural Networks.

    Example:
        >>> p = ad.tensor([3.0, 4.0], requires_grad=True)
        >>> (p * p / 2).sum().backward()
        >>> ad.nn.utils.clip_grad_norm_([p], max_norm=1.0).item()
        5.0
        >>> [round(value, 4) for value in p.grad.tolist()]
        [0.6, 0.8]
    """
    if not max_norm >= 0 or not norm_type > 0:
        raise DomainError(
            f"clip_grad_norm_: max_norm is {max_norm} and norm_type {norm_type}. Use a bound of 0 or more and an "
            "exponent above 0."
        )
    found = _with_grad(parameters)
    if not found:
        return _core.zeros(())
    with no_grad():
        if norm_type == math.inf:
            parts = [_core.max(_core.abs(grad)) for _, grad in found]
            norm = parts[0] if len(parts) == 1 else _core.max(_core.stack(parts))
        else:
            powers = [_core.square(grad) if norm_type == 2 else _core.abs(grad) ** norm_type for _, grad in found]
            total = powers[0].sum()
            for power in powers[1:]:
                total = total + power.sum()
            norm = _core.sqrt(total) if norm_type == 2 else total ** (1 / norm_type)
        if error_if_nonfinite and not _core.isfinite(norm).item():
            raise DomainError(
                f"clip_grad_norm_: the gradients' norm is {norm.item()}. Lower the rate, or find the first value "
                "that is not finite."
            )
        scale = _core.clip(max_norm / (norm + 1e-6), max=1.0)
        for parameter, grad in found:
            parameter.grad = grad * scale.to(grad.dtype)
    return norm


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Cuts the elements of gradients off at a bound.

    grad = min(max(grad, -clip_value), clip_value)

    Args:
        parameters: Those whose gradients are cut; ones without gradient are passed over.
        clip_value: The bound.

    Raises:
        DomainError: If the bound is negative.

    Example:
        >>> p = ad.tensor([1.0, 4.0], requires_grad=True)
        >>> (p * p / 2).sum().backward()
        >>> ad.nn.utils.clip_grad_value_([p], 2.0)
        >>> p.grad
        tensor([1., 2.])
    """
    if not clip_value >= 0:
        raise DomainError(f"clip_grad_value_: clip_value is {clip_value}. Use 0 or more.")
    with no_grad():
        for parameter, grad in _with_grad(parameters):
            parameter.grad = _core.clip(grad, -clip_value, clip_value)
