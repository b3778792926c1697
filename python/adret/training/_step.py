"""One step: forward, loss, backward, update; and the step of an evaluation.

Depends on `_losses` and `_metrics`. Invariant: a step reads no values and keeps no tensors but those it returns and the
sums of `Means`, so that it can be compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .. import nn
from .._compile import compile
from .._core import CompileError, Tensor, no_grad
from .._core import eval as evaluate
from ..autograd import leaves_of
from ..nn.utils import clip_grad_norm_
from ..optim import Optimizer
from ._losses import Loss, check_value
from ._metrics import Means, Metric

Step = Callable[[Any, Any], Tensor]


def samples_in(x: Any) -> int:
    """The number of samples of a batch."""
    leaf = x if isinstance(x, Tensor) else leaves_of(x)[0]
    return leaf.shape[0] if leaf.ndim else 1


def training_step(
    model: nn.Module,
    loss: Loss,
    metrics: Mapping[str, Metric],
    means: Means,
    optimizer: Optimizer,
    clip_norm: float | None,
) -> Step:
    """A function of a batch that makes one step and returns the loss."""
    function, measures = loss.function, list(metrics.values())
    clipped = [parameter for group in optimizer.param_groups for parameter in group["params"]]

    def forward(x: Any, y: Any) -> Tensor:
        # The output is let go on returning: what nobody holds need not be stored.
        output = model(x)
        value = check_value("fit", function(output, y))
        with no_grad():
            means.add([value.detach(), *(measure(output, y) for measure in measures)], samples_in(x))
        return value

    def step(x: Any, y: Any) -> Tensor:
        value = forward(x, y)
        value.backward()
        if clip_norm is not None:
            clip_grad_norm_(clipped, clip_norm)
        value = value.detach()
        optimizer.step()
        optimizer.zero_grad()
        return value

    return step


def evaluation_step(model: nn.Module, loss: Loss | None, metrics: Mapping[str, Metric], means: Means) -> Step:
    """A function of a batch that adds its loss and metrics to the means; returns the first of them."""
    measures = list(metrics.values())

    def step(x: Any, y: Any) -> Tensor:
        with no_grad():
            output = model(x)
            values = [] if loss is None else [check_value("evaluate", loss.function(output, y))]
            values += [measure(output, y) for measure in measures]
            means.add(values, samples_in(x))
            # Now, so that no more than one batch's intermediate values are there.
            evaluate(values[0], *means.sums)
            return values[0]

    return step


def compiled(step: Step) -> Step:
    """The step, recorded and replayed; run as it is, with a warning, where it cannot be recorded."""
    recorded: Step | None = compile(step)

    def run(x: Any, y: Any) -> Tensor:
        nonlocal recorded
        if recorded is not None:
            try:
                return recorded(x, y)
            except CompileError as error:
                # A call that cannot be recorded has changed nothing: the same batch goes through the step itself.
                recorded = None
                _warn(error)
        return step(x, y)

    return run


def _warn(error: CompileError) -> None:
    import warnings

    warnings.warn(
        f"fit: the step runs without being compiled, which is slower: {error} "
        "Change what the error names, or pass compile=False.",
        stacklevel=2,
    )
