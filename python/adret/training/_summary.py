"""A table of a model: layers, output shapes, parameters, multiply-adds, memory.

Depends on `_watch`. Invariant: one forward in evaluation mode tells everything; since values are computed only when
asked for, it computes none, and the model stays as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import nn
from .._core import DomainError, DType, Tensor, float32, no_grad, zeros
from ..autograd import leaves_of
from ._batches import Place
from ._modes import restored_modes, set_mode
from ._watch import watched

# Layers whose weights meet every position of the input, not of the output.
BY_INPUT = ("LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell", "ConvTranspose1d", "ConvTranspose2d")
# Layers that look weights up.
WITHOUT_PRODUCTS = ("Embedding", "EmbeddingBag")


@dataclass
class Row:
    """One call of a module."""

    path: str
    kind: str
    depth: int
    output_shape: Any = None
    parameters: int = 0
    """Of the module itself, without those below; 0 where an earlier row has them."""
    multiply_adds: int = 0
    output_bytes: int = 0
    """Of a module without modules below it."""


@dataclass
class Summary:
    """What `summary` found.

    Example:
        >>> ad.summary(ad.nn.Linear(3, 2), (1, 3)).parameters
        8
    """

    rows: list[Row] = field(default_factory=list[Row])
    parameters: int = 0
    trainable_parameters: int = 0
    multiply_adds: int = 0
    """Products with weights of two axes or more, for this input."""
    parameter_bytes: int = 0
    buffer_bytes: int = 0
    input_bytes: int = 0
    output_bytes: int = 0
    """Of all layers' outputs together, as a training keeps them at most."""

    def _cells(self) -> list[tuple[str, str, str, str]]:
        cells = [("layer", "output shape", "parameters", "multiply-adds")]
        for row in self.rows:
            name = row.path.rsplit(".", 1)[-1]
            title = f"{'  ' * row.depth}{name + ': ' if name else ''}{row.kind}"
            numbers = [f"{number:,}" if number else "-" for number in (row.parameters, row.multiply_adds)]
            cells.append((title, str(row.output_shape), numbers[0], numbers[1]))
        return cells

    def _totals(self) -> list[tuple[str, str]]:
        frozen = self.parameters - self.trainable_parameters
        return [
            ("parameters", f"{self.parameters:,}" + (f" ({frozen:,} not trained)" if frozen else "")),
            ("multiply-adds", f"{self.multiply_adds:,}"),
            (
                "memory",
                f"parameters {_memory(self.parameter_bytes + self.buffer_bytes)}, "
                f"input {_memory(self.input_bytes)}, outputs {_memory(self.output_bytes)}",
            ),
        ]

    def __str__(self) -> str:
        """The table as text."""
        cells = self._cells()
        widths = [max(len(row[column]) for row in cells) for column in range(4)]
        lines = [
            f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}".rstrip() for a, b, c, d in cells
        ]
        rule = "-" * (sum(widths) + 6)
        return "\n".join([lines[0], rule, *lines[1:], rule, *(f"{name}: {text}" for name, text in self._totals())])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The table for notebooks."""
        head, *body = self._cells()
        right = ' style="text-align:right"'
        rows = "".join(
            "<tr>"
            f'<td style="text-align:left"><code>{a.replace("  ", "&emsp;")}</code></td>'
            f"<td>{b}</td><td{right}>{c}</td><td{right}>{d}</td></tr>"
            for a, b, c, d in body
        )
        totals = "<br>".join(f"{name}: {text}" for name, text in self._totals())
        titles = "".join(f"<th>{title}</th>" for title in head)
        return f"<table><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table><p>{totals}</p>"


def _memory(size: int) -> str:
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"


def summary(
    model: nn.Module,
    input_shape: Sequence[int] | Sequence[Sequence[int]],
    dtype: DType | Sequence[DType] | None = None,
) -> Summary:
    """Layers, output shapes, parameters, multiply-adds and memory of a model.

    Args:
        model: The model; what it calls is listed, in the order of the calls.
        input_shape: The input's shape with the batch axis; or a list of shapes, for several arguments.
        dtype: The input's dtype, or one per input; that of the parameters for None. Layers that take labels need an
            integer dtype.

    Returns:
        The numbers; printing it, or showing it in a notebook, gives a table.

    Raises:
        DomainError: If dtypes and shapes differ in number.
        Exception: What the model raises on such an input.

    Example:
        >>> print(ad.summary(ad.nn.Sequential(ad.nn.Linear(4, 8), ad.nn.ReLU()), (1, 4)))
        layer        output shape  parameters  multiply-adds
        ----------------------------------------------------
        Sequential   (1, 8)                 -              -
          0: Linear  (1, 8)                40             32
          1: ReLU    (1, 8)                 -              -
        ----------------------------------------------------
        parameters: 40
        multiply-adds: 32
        memory: parameters 160 B, input 16 B, outputs 64 B
    """
    place = Place(model)
    shapes = _shapes(input_shape)
    standard = place.dtype or float32
    dtypes: list[DType] = [standard] * len(shapes) if dtype is None else _dtypes(dtype, len(shapes))
    inputs = [zeros(shape, dtype=each, device=place.device) for shape, each in zip(shapes, dtypes, strict=True)]
    found = Summary(input_bytes=sum(tensor.nbytes for tensor in inputs))
    parameters = list(model.parameters())
    found.parameters = sum(parameter.size for parameter in parameters)
    found.trainable_parameters = sum(parameter.size for parameter in parameters if parameter.requires_grad)
    found.parameter_bytes = sum(parameter.nbytes for parameter in parameters)
    found.buffer_bytes = sum(buffer.nbytes for buffer in model.buffers())
    paths = {id(module): path for path, module in model.named_modules()}
    open_rows: list[Row] = []
    seen: set[int] = set()

    def before(module: nn.Module) -> None:
        row = Row(paths[id(module)], type(module).__name__, len(open_rows))
        for parameter in module.parameters(recurse=False):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                row.parameters += parameter.size
        found.rows.append(row)
        open_rows.append(row)

    def after(path: str, module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        row = open_rows.pop()
        tensors = [leaf for leaf in leaves_of(output) if isinstance(leaf, Tensor)]
        shapes = [tensor.shape for tensor in tensors]
        row.output_shape = shapes[0] if len(shapes) == 1 else shapes
        given = [leaf for leaf in leaves_of(arguments) if isinstance(leaf, Tensor)]
        row.multiply_adds = _multiply_adds(module, given, tensors)
        found.multiply_adds += row.multiply_adds
        if next(module.children(), None) is None:
            row.output_bytes = sum(tensor.nbytes for tensor in tensors)
            found.output_bytes += row.output_bytes

    with restored_modes(model), no_grad():
        set_mode(model, False)
        with watched(model, after, before):
            model(*inputs)
    return found


def _shapes(given: Any) -> list[tuple[int, ...]]:
    shape = list(given)
    if all(isinstance(size, int) for size in shape):
        return [tuple(shape)]
    return [tuple(part) for part in shape]


def _dtypes(given: Any, count: int) -> list[DType]:
    if isinstance(given, DType):
        return [given] * count
    dtypes = list(given)
    if len(dtypes) != count:
        raise DomainError(f"summary: there are {len(dtypes)} dtypes for {count} inputs. Give one for each.")
    return dtypes


def _multiply_adds(module: nn.Module, inputs: list[Tensor], outputs: list[Tensor]) -> int:
    """Each element of a weight meets each position once; a position is all that shares no channel."""
    kind = type(module).__name__
    weights = [parameter for parameter in module.parameters(recurse=False) if parameter.ndim >= 2]
    if not weights or kind in WITHOUT_PRODUCTS or not inputs or not outputs:
        return 0
    if kind in BY_INPUT:
        channels = weights[0].shape[0] if kind.startswith("ConvTranspose") else inputs[0].shape[-1]
        positions = inputs[0].size // max(channels, 1)
        return sum(weight.size for weight in weights) * positions
    return sum(weight.size * (outputs[0].size // max(weight.shape[0], 1)) for weight in weights)
