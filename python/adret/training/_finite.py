"""Finds where numbers stopped being finite.

Depends on `_watch`. Invariant: looking changes neither the model nor the random numbers of the training.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, NamedTuple

from .. import _core, nn
from .._core import AdretError, Tensor, no_grad
from .._core import eval as evaluate
from ..autograd import leaves_of
from ._losses import Loss
from ._watch import watched

# Values of a larger model are not copied for the search.
LARGEST_COPY_BYTES = 64 << 20


class Finding(NamedTuple):
    """The first place with a value that is not finite."""

    layer: str | None
    """Path of the module, where it is in one; empty for the model itself."""
    text: str
    """What is not finite, as the end of a sentence."""


class Copy:
    """Parameters and buffers as they were, to look back to.

    Args:
        model: The model; a large one is not copied.
    """

    def __init__(self, model: nn.Module) -> None:
        """Sees how large the model is."""
        self._model = model
        self._values: list[tuple[Tensor, Tensor]] | None = None
        self._small = sum(tensor.nbytes for tensor in _tensors(model)) <= LARGEST_COPY_BYTES

    def take(self) -> None:
        """Copies the values."""
        if not self._small:
            return
        with no_grad():
            self._values = [(tensor, tensor.detach().clone()) for tensor in _tensors(self._model)]
        evaluate(*(copy for _, copy in self._values))

    @contextmanager
    def in_place(self) -> Generator[bool, None, None]:
        """Gives the model the copied values for a while; says whether there are any."""
        if self._values is None:
            yield False
            return
        with kept(self._model):
            with no_grad():
                for tensor, value in self._values:
                    tensor.assign(value)
            yield True


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


@contextmanager
def kept(model: nn.Module) -> Generator[None, None, None]:
    """Gives parameters, buffers and the stream of random numbers their values back at the end."""
    state = _core.random_state()
    before = [(tensor, tensor.detach()) for tensor in _tensors(model)]
    try:
        yield
    finally:
        with no_grad():
            for tensor, value in before:
                tensor.assign(value)
        _core.set_random_state(state)


def bad_values(tree: Any) -> tuple[int, Tensor] | None:
    """How many values are not finite, and the tensor they are in; None where all are finite."""
    for leaf in leaves_of(tree):
        if isinstance(leaf, Tensor) and leaf.dtype.is_floating_point:
            count = leaf.size - int(_core.count_nonzero(_core.isfinite(leaf.detach())).item())
            if count:
                return count, leaf
    return None


def all_finite(tensors: list[Tensor]) -> bool:
    """Whether all values are finite; one pass over them."""
    if not tensors:
        return True
    with no_grad():
        # 0 times anything finite is 0; added up, whatever is not stays.
        parts = [(tensor * 0).sum() for tensor in tensors if tensor.dtype.is_floating_point]
        evaluate(*parts)
    return all(math.isfinite(part.item()) for part in parts)


def _named(path: str, module: nn.Module) -> str:
    return f"{path!r} ({type(module).__name__})" if path else f"the model ({type(module).__name__})"


def first_bad_parameter(model: nn.Module) -> Finding | None:
    """The first parameter, in the model's order, that is not finite."""
    for path, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            found = bad_values(parameter)
            if found:
                return Finding(path, f"{found[0]} of {parameter.size} values of {name} in {_named(path, module)}")
    return None


def _first_in_forward(model: nn.Module, loss: Loss, x: Any, y: Any) -> Finding | None:
    """Runs the model, and finds the first module whose parameter or output is not finite; else the loss."""
    found: list[Finding] = []

    def look(path: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if found:
            return
        for name, parameter in module.named_parameters(recurse=False):
            bad = bad_values(parameter)
            if bad:
                found.append(Finding(path, f"{bad[0]} of {parameter.size} values of {name} in {_named(path, module)}"))
                return
        bad = bad_values(output)
        if bad:
            given = "" if bad_values(inputs) else ", whose input is finite"
            text = f"{bad[0]} of {bad[1].size} values of the output of {_named(path, module)}{given}"
            found.append(Finding(path, text))

    output: Any = None
    with no_grad(), watched(model, look):
        try:
            output = model(x)
            value = None if found else loss.function(output, y)
        except AdretError:
            # What checks values may raise on the very values that are looked for.
            value = None
    if not found and value is not None and bad_values(value):
        leaves = [leaf for leaf in leaves_of(output) if isinstance(leaf, Tensor) and leaf.dtype.is_floating_point]
        low = min(_core.min(leaf).item() for leaf in leaves)
        high = max(_core.max(leaf).item() for leaf in leaves)
        return Finding(None, f"the loss itself, of a finite output from {low:.4g} to {high:.4g}")
    return found[0] if found else None


def find(model: nn.Module, loss: Loss, x: Any, y: Any, copy: Copy) -> Finding:
    """Where a batch's loss stopped being finite.

    Args:
        model: In the mode in which it met the batch.
        loss: Its loss.
        x: The batch's input.
        y: The batch's target.
        copy: The model's values from a time when the loss was finite.
    """
    batch = [
        f"the batch's {name} ({bad[0]} values)" for name, part in (("x", x), ("y", y)) if (bad := bad_values(part))
    ]
    blame = f" The cause: {' and '.join(batch)} are not finite." if batch else ""
    finding = None
    with copy.in_place() as there:
        if there:
            finding = _first_in_forward(model, loss, x, y)
    if finding is not None:
        return Finding(finding.layer, f"{finding.text}.{blame or ' Look at what this layer computes.'}")
    with kept(model):
        finding = _first_in_forward(model, loss, x, y)
    finding = finding or first_bad_parameter(model) or Finding(None, "none that a second run shows")
    advice = blame
    if not advice and there:
        advice = (
            " With the weights from the start of the epoch the same batch gives a finite loss: the weights ran away. "
            "Lower the rate, or bound the gradients with clip_grad_norm."
        )
    return Finding(finding.layer, f"{finding.text}.{advice or ' Lower the rate, or check the data.'}")
