"""Losses by name.

Depends on `nn`. Invariant: a loss takes the model's output and the target, and gives one number, the batch's mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

from .. import _core, nn
from .._core import DomainError, DType, DTypeError, ShapeError, Tensor
from ..nn import functional as F

# Probabilities are held this far from 0 and 1 before their logarithm is taken.
SMALLEST_PROBABILITY = 1e-7


class Loss(NamedTuple):
    """A loss, and what its model gives out."""

    function: Callable[[Any, Any], Tensor]
    output: str
    """"logits" or "probabilities" of two classes, "classes" for scores of several, "values" for anything else."""


def cast_to(tensor: Tensor, dtype: DType) -> Tensor:
    """The tensor in that dtype; itself where it is already."""
    return tensor if tensor.dtype == dtype else tensor.astype(dtype)


def categorical_cross_entropy(input: Tensor, target: Tensor) -> Tensor:
    """The mean of -log p(target), for probabilities `input` as of `Softmax`.

    Shape:
        input `[batch, classes, ...]`; target the same (probabilities, one-hot) or `[batch, ...]` of labels.

    Example:
        >>> p = ad.tensor([[0.5, 0.5], [0.25, 0.75]])
        >>> round(categorical_cross_entropy(p, ad.tensor([[1.0, 0.0], [1.0, 0.0]])).item(), 4)
        1.0397
        >>> round(categorical_cross_entropy(p, ad.tensor([0, 0])).item(), 4)
        1.0397
    """
    logarithms = _core.log(_core.clip(input, SMALLEST_PROBABILITY, 1.0))
    if target.shape == input.shape:
        return -(logarithms * cast_to(target, input.dtype)).sum(axis=1).mean()
    return F.nll_loss(logarithms, target)


def _of_values(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Any, Any], Tensor]:
    """The loss with targets in the output's dtype: labels 0 and 1 may be integers."""

    def loss(input: Tensor, target: Tensor) -> Tensor:
        return function(input, target if target.dtype.is_floating_point else target.astype(input.dtype))

    return loss


_BCE = Loss(_of_values(F.binary_cross_entropy), "probabilities")
_BCE_LOGITS = Loss(_of_values(F.binary_cross_entropy_with_logits), "logits")
_CATEGORICAL = Loss(categorical_cross_entropy, "classes")
_MSE = Loss(_of_values(F.mse_loss), "values")
_MAE = Loss(_of_values(F.l1_loss), "values")

LOSSES: dict[str, Loss] = {
    "cross_entropy": Loss(F.cross_entropy, "classes"),
    "categorical_cross_entropy": _CATEGORICAL,
    "categorical_crossentropy": _CATEGORICAL,
    "nll": Loss(F.nll_loss, "classes"),
    "bce": _BCE,
    "binary_crossentropy": _BCE,
    "bce_with_logits": _BCE_LOGITS,
    "mse": _MSE,
    "mae": _MAE,
    "l1": _MAE,
    "huber": Loss(_of_values(F.huber_loss), "values"),
    "smooth_l1": Loss(_of_values(F.smooth_l1_loss), "values"),
    "kl_div": Loss(_core.kl_div, "values"),
}

_OUTPUTS_OF_MODULES: list[tuple[type[nn.Module], str]] = [
    (nn.BCEWithLogitsLoss, "logits"),
    (nn.BCELoss, "probabilities"),
    (nn.CrossEntropyLoss, "classes"),
    (nn.NLLLoss, "classes"),
]


def loss_of(name: str, loss: Any) -> Loss:
    """The loss that a user named or gave.

    Args:
        name: Who asks, for messages.
        loss: A name, or a function of output and target.
    """
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise DomainError(f"{name}: there is no loss {loss!r}. Use a function, or one of: {', '.join(LOSSES)}.")
        return LOSSES[loss]
    if not callable(loss):
        raise DTypeError(f"{name}: loss is a {type(loss).__name__}. Use a function of output and target, or a name.")
    output = next((kind for module, kind in _OUTPUTS_OF_MODULES if isinstance(loss, module)), "values")
    return Loss(cast("Callable[[Any, Any], Tensor]", loss), output)


def check_value(name: str, value: Any) -> Tensor:
    """The loss's value, if it is one number."""
    if not isinstance(value, Tensor):
        raise DTypeError(f"{name}: the loss returned a {type(value).__name__}. Return a tensor of one element.")
    if value.size != 1:
        raise ShapeError(f"{name}: the loss returned shape {value.shape}. Reduce it to one number, as by .mean().")
    return value
