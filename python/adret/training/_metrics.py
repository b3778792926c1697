"""Metrics by name, and their means over batches.

Depends on the core and `_losses`. Invariant: sums stay on the device as 0-d tensors until they are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from .. import _core
from .._core import DomainError, DTypeError, ShapeError, Tensor, no_grad
from .._core import eval as evaluate_tensors
from ._losses import cast_to

Metric = Callable[[Any, Any], Tensor]


def _share(right: Tensor) -> Tensor:
    return right.astype(_core.float32).mean()


def accuracy(output: Tensor, target: Tensor) -> Tensor:
    """The share of samples whose largest score, along axis 1, is the target's.

    Shape:
        output `[batch, classes, ...]`; target `[batch, ...]` of labels, or the same as the output (one-hot).

    Example:
        >>> accuracy(ad.tensor([[0.1, 0.9], [0.8, 0.2]]), ad.tensor([1, 1])).item()
        0.5
    """
    if output.ndim < 2:
        raise ShapeError(
            f"accuracy: the output is {output.shape} and has no axis of classes. "
            "Use binary_accuracy, or an output [batch, classes]."
        )
    labels = output.argmax(axis=1)
    expected = target.argmax(axis=1) if target.shape == output.shape else target
    if expected.shape != labels.shape:
        raise ShapeError(
            f"accuracy: the output is {output.shape} and the target {target.shape}. "
            f"Give labels of shape {labels.shape}, or one-hot targets in the output's shape."
        )
    return _share(labels == cast_to(expected, labels.dtype))


def binary_accuracy(output: Tensor, target: Tensor, threshold: float = 0.5) -> Tensor:
    """The share of elements on the target's side of a threshold.

    Example:
        >>> binary_accuracy(ad.tensor([0.2, 0.7]), ad.tensor([0, 0])).item()
        0.5
    """
    if output.shape != target.shape:
        raise ShapeError(
            f"binary_accuracy: the output is {output.shape} and the target {target.shape}. Give both one shape."
        )
    return _share((output > threshold) == (cast_to(target, _core.float32) > 0.5))


def _logits_accuracy(output: Tensor, target: Tensor) -> Tensor:
    return binary_accuracy(output, target, 0.0)


def mae(output: Tensor, target: Tensor) -> Tensor:
    """The mean of |output - target|.

    Example:
        >>> mae(ad.tensor([1.0, 2.0]), ad.tensor([1.0, 4.0])).item()
        1.0
    """
    return _core.l1_loss(output, cast_to(target, output.dtype))


def mse(output: Tensor, target: Tensor) -> Tensor:
    """The mean of (output - target)^2.

    Example:
        >>> mse(ad.tensor([1.0, 2.0]), ad.tensor([1.0, 4.0])).item()
        2.0
    """
    return _core.mse_loss(output, cast_to(target, output.dtype))


NAMES = ("accuracy", "acc", "binary_accuracy", "categorical_accuracy", "mae", "mse")


def _by_name(who: str, name: str, output: str) -> Metric:
    binary = _logits_accuracy if output == "logits" else binary_accuracy
    if name in ("accuracy", "acc"):
        return binary if output in ("logits", "probabilities") else accuracy
    found: dict[str, Metric] = {
        "binary_accuracy": binary,
        "categorical_accuracy": accuracy,
        "mae": mae,
        "mse": mse,
    }
    if name not in found:
        raise DomainError(f"{who}: there is no metric {name!r}. Use a function, or one of: {', '.join(NAMES)}.")
    return found[name]


def metrics_of(who: str, metrics: Any, output: str) -> dict[str, Metric]:
    """The metrics that a user named or gave, by name.

    Args:
        who: Who asks, for messages.
        metrics: Names and functions, or functions by name.
        output: What the model gives out (`Loss.output`), which decides what "accuracy" means.
    """
    if isinstance(metrics, Mapping):
        pairs = list(cast("Mapping[str, Any]", metrics).items())
    else:
        given = cast("Sequence[Any]", [metrics] if isinstance(metrics, str) or callable(metrics) else metrics)
        pairs = [(_name_of(metric, number), metric) for number, metric in enumerate(given)]
    made: dict[str, Metric] = {}
    for name, metric in pairs:
        if name in made or name == "loss":
            raise DomainError(f"{who}: there are two values named {name!r}. Give metrics as {{name: function}}.")
        if isinstance(metric, str):
            made[name] = _by_name(who, metric, output)
        elif callable(metric):
            made[name] = cast("Metric", metric)
        else:
            raise DTypeError(f"{who}: a metric is a {type(metric).__name__}. Use a name or a function.")
    return made


def _name_of(metric: Any, number: int) -> str:
    if isinstance(metric, str):
        return metric
    name = getattr(metric, "__name__", type(metric).__name__)
    return f"metric_{number}" if name == "<lambda>" else name


class Means:
    """Running means over samples, of values that are means over batches.

    Args:
        names: Of the values.
        device: Where the sums are kept.
    """

    def __init__(self, names: Sequence[str], device: str) -> None:
        """Begins with nothing."""
        self.names = list(names)
        # What can be exact is; GPUs mostly lack float64.
        self._dtype = _core.float64 if device.startswith("cpu") else _core.float32
        self.sums = [_core.zeros((), dtype=self._dtype, device=device) for _ in names]
        self._read = [0.0] * len(self.names)
        self.count = 0

    def add(self, values: Sequence[Tensor], samples: int) -> None:
        """Adds a batch's values, on the device; `count` is the caller's to raise."""
        with no_grad():
            for total, value in zip(self.sums, values, strict=True):
                number = value if value.ndim == 0 else value.reshape(())
                total.assign(total + cast_to(number, self._dtype) * samples)

    def read(self) -> dict[str, float]:
        """The means so far, fetched from the device."""
        evaluate_tensors(*self.sums)
        divisor = max(self.count, 1)
        return {
            name: (before + total.item()) / divisor
            for name, before, total in zip(self.names, self._read, self.sums, strict=True)
        }

    def fold(self) -> None:
        """Moves the sums to Python's numbers, so that float32 never adds up more than a few batches."""
        for number, total in enumerate(self.sums):
            self._read[number] += total.item()
        self._clear()

    def reset(self) -> None:
        """Begins anew."""
        self._read = [0.0] * len(self.names)
        self.count = 0
        self._clear()

    def _clear(self) -> None:
        with no_grad():
            for total in self.sums:
                total.assign(0.0)
