"""What a trained model gives: its loss and metrics on data, its outputs.

Depends on `_batches`, `_step` and `_fit`. Invariant: neither changes the model, nor its modes.
"""

from __future__ import annotations

from typing import Any

from .. import nn
from .._core import DomainError, Tensor, concat, no_grad
from .._core import eval as evaluate_tensors
from ..autograd import leaves_of, rebuilt
from ._batches import Place, batches_of, inputs_of, no_batches
from ._fit import run_evaluation
from ._losses import loss_of
from ._metrics import Means, metrics_of
from ._modes import restored_modes, set_mode
from ._step import evaluation_step


def evaluate(
    model: nn.Module, data: Any, loss: Any = None, metrics: Any = (), batch_size: int = 32
) -> dict[str, float]:
    """The loss and metrics of a model on data.

    Args:
        model: In evaluation mode meanwhile.
        data: As of `fit`: `(X, y)`, a dataset of pairs, a `DataLoader`, or an iterable of batches `(x, y)`.
        loss: As of `fit`; None for metrics alone.
        metrics: As of `fit`.
        batch_size: Samples at once, where the data is not in batches already.

    Returns:
        Means over all samples by name.

    Raises:
        DomainError: If neither a loss nor a metric is given, or there is no data.

    Example:
        >>> x = ad.ones((4, 2))
        >>> ad.evaluate(ad.nn.Identity(), (x, x + 1), loss="mse", metrics=["mae"])
        {'loss': 1.0, 'mae': 1.0}
    """
    chosen = None if loss is None else loss_of("evaluate", loss)
    measures = metrics_of("evaluate", metrics, "classes" if chosen is None else chosen.output)
    names = [*([] if chosen is None else ["loss"]), *measures]
    if not names:
        raise DomainError("evaluate: there is neither a loss nor a metric. Give loss=..., metrics=[...], or both.")
    place = Place(model)
    means = Means(names, place.device)
    batches = batches_of("evaluate", data, place, batch_size)
    with restored_modes(model):
        return run_evaluation(model, batches, evaluation_step(model, chosen, measures, means), means, "evaluate")


def predict(model: nn.Module, data: Any, batch_size: int = 32) -> Any:
    """The outputs of a model, without gradients.

    Args:
        model: In evaluation mode meanwhile.
        data: Inputs: an array; a tuple or dict of arrays, where the model takes such; a dataset, a `DataLoader` or an
            iterable of batches, of which pairs `(x, y)` give their x.
        batch_size: Samples at once, where the data is not in batches already.

    Returns:
        The output for all samples: a tensor, or a tree of tensors where the model returns such.

    Example:
        >>> ad.predict(ad.nn.Linear(2, 3), ad.ones((100, 2))).shape
        (100, 3)
    """
    place = Place(model)
    parts: list[Any] = []
    with restored_modes(model), no_grad():
        set_mode(model, False)
        for x in inputs_of("predict", data, place, batch_size):
            output = model(x)
            # One batch after another, so that no more than one batch's intermediate values are there.
            evaluate_tensors(*(leaf for leaf in leaves_of(output) if isinstance(leaf, Tensor)))
            parts.append(output)
        if not parts:
            raise no_batches("predict", 0)
        leaves: list[list[Any]] = [leaves_of(part) for part in parts]
        columns = [[part[number] for part in leaves] for number in range(len(leaves[0]))]
        return rebuilt(parts[0], [concat(column) if len(column) > 1 else column[0] for column in columns])
