"""What the recurrent layers have in common: parameters, checks, layers and directions.

Depends on `_recurrence` for the loop over time and on `utils` for packed sequences. Invariant: parameters, their
names, their layouts, the order of gates and the first values are PyTorch's.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, cast

from .. import _core
from .._core import DomainError, DType, DTypeError, ShapeError, Tensor, empty, zeros
from . import functional as F
from . import init
from ._module import Module
from ._parameter import Parameter
from ._recurrence import UNITS, State, scan
from .functional._windows import share, whole
from .utils._sequences import PackedSequence, pack_like, pad_packed_sequence, sizes_of

Lengths = Tensor | Sequence[int]


class RNNBase(Module):
    """What RNN, LSTM and GRU have in common: parameters, checks, layers and directions.

    Args:
        mode: "RNN_TANH", "RNN_RELU", "LSTM" or "GRU".
        input_size: Size of an input vector.
        hidden_size: Size of the state.
        num_layers: How many layers read each other's outputs.
        bias: Whether there are biases.
        batch_first: Whether inputs and outputs are `[batch, time, features]` instead of `[time, batch, features]`.
        dropout: Probability of a zero between layers, while training.
        bidirectional: Whether a second pass reads each sequence from its end.
        proj_size: Size that an LSTM's h is projected to; 0 for none.
        device: Where the parameters are.
        dtype: The parameters' dtype.

    Raises:
        DomainError: If a setting makes no sense.

    Example:
        >>> RNNBase("GRU", 3, 4)(ad.zeros((5, 2, 3)))[0].shape
        (5, 2, 4)
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        """Makes and initialises the parameters."""
        name = type(self).__name__
        if mode not in UNITS:
            raise DomainError(f"{name}: mode is {mode!r}. Use one of {', '.join(UNITS)}.")
        whole(name, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers, proj_size=proj_size)
        if input_size < 1 or hidden_size < 1 or num_layers < 1:
            raise DomainError(
                f"{name}: input_size is {input_size}, hidden_size {hidden_size} and num_layers {num_layers}. "
                "Use numbers of 1 or more."
            )
        share(name, dropout=dropout)
        if not 0 <= proj_size < hidden_size or (proj_size and mode != "LSTM"):
            raise DomainError(
                f"{name}: proj_size is {proj_size} and hidden_size {hidden_size}. "
                "Use less than hidden_size, and 0 for what is no LSTM."
            )
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                f"{name}: dropout acts between layers, and there is one. Use more layers, or no dropout.", stacklevel=3
            )
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        rows = UNITS[mode].gates * hidden_size
        for layer in range(num_layers):
            width = self._output_size * self._directions if layer else input_size
            for suffix in self._suffixes(layer):
                shapes = {"weight_ih": (rows, width), "weight_hh": (rows, self._output_size)}
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                if proj_size:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                for part, shape in shapes.items():
                    self.register_parameter(part + suffix, Parameter(empty(shape, dtype=dtype, device=device)))
        self.reset_parameters()

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _output_size(self) -> int:
        """Size of h."""
        return self.proj_size or self.hidden_size

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"][: self._directions]

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
        return [
            [getattr(self, part + suffix) for part in parts if hasattr(self, part + suffix)]
            for layer in range(self.num_layers)
            for suffix in self._suffixes(layer)
        ]

    def reset_parameters(self) -> None:
        """Draws the parameters anew, from U(-1/sqrt(hidden_size), 1/sqrt(hidden_size))."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """Does nothing: there is no other layout that would be faster."""

    # The call

    def forward(self, input: Any, hx: Any = None, lengths: Lengths | None = None) -> tuple[Any, Any]:
        """The outputs of the last layer at every step, and the state of every layer after its last step.

        Args:
            input: `[time, batch, input_size]`, with `batch_first` `[batch, time, input_size]`, without batch
                `[time, input_size]`; or a packed sequence.
            hx: The state at the start; zeros for None.
            lengths: How many steps each sequence of the batch has; all of them for None. Behind a sequence's end
                outputs are zero and the state stays, and the reverse direction starts there.
        """
        if isinstance(input, PackedSequence):
            if lengths is not None:
                raise DomainError(f"{self._name}: a packed sequence has its lengths. Leave `lengths` out.")
            return self._packed(input, hx)
        self._check_input(input)
        batched = input.ndim == 3
        x = input if batched else _core.expand_dims(input, 1)
        if batched and self.batch_first:
            x = x.permute(1, 0, 2)
        states = self._states(hx, x, batched)
        output, last = self._run(x, states, self._ends(lengths, x))
        if not batched:
            return _core.squeeze(output, 1), self._joined([_core.squeeze(state, 1) for state in last])
        return output.permute(1, 0, 2) if self.batch_first else output, self._joined(last)

    def _packed(self, packed: PackedSequence, hx: Any) -> tuple[PackedSequence, Any]:
        padded, lengths = pad_packed_sequence(packed._replace(sorted_indices=None, unsorted_indices=None))
        self._check_input(padded)
        states = self._states(hx, padded, True)
        if packed.sorted_indices is not None:
            states = tuple(_core.take(state, packed.sorted_indices, axis=1) for state in states)
        output, last = self._run(padded, states, self._ends(lengths, padded))
        if packed.unsorted_indices is not None:
            last = tuple(_core.take(state, packed.unsorted_indices, axis=1) for state in last)
        return pack_like(output, packed), self._joined(last)

    def _run(self, x: Tensor, states: State, ends: Tensor | None) -> tuple[Tensor, State]:
        """All layers and directions on `[time, batch, features]`; states are `[layers * directions, batch, size]`."""
        unit = UNITS[self.mode]
        found: list[State] = []
        for layer in range(self.num_layers):
            outputs: list[Tensor] = []
            for direction, suffix in enumerate(self._suffixes(layer)):
                state = tuple(each[layer * self._directions + direction] for each in states)
                weight: Tensor = getattr(self, f"weight_hh{suffix}")
                given: Tensor | None = getattr(self, f"bias_ih{suffix}") if self.bias else None
                own: Tensor | None = getattr(self, f"bias_hh{suffix}") if self.bias else None
                if given is not None and own is not None and not unit.separate:
                    given, own = given + own, None
                output, state = scan(
                    unit,
                    F.linear(x, getattr(self, f"weight_ih{suffix}"), given),
                    weight,
                    own,
                    state,
                    reverse=direction == 1,
                    ends=ends,
                    projection=getattr(self, f"weight_hr{suffix}") if self.proj_size else None,
                )
                outputs.append(output)
                found.append(state)
            x = outputs[0] if len(outputs) == 1 else _core.concat(outputs, axis=-1)
            if layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training)
        return x, tuple(_core.stack(parts) for parts in zip(*found, strict=True))

    # Checks

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _check_input(self, input: Any) -> None:
        if not isinstance(input, Tensor):
            raise DTypeError(f"{self._name}: the input is {type(input).__name__}. Pass a tensor or a PackedSequence.")
        layout = "[batch, time" if self.batch_first else "[time, batch"
        if input.ndim not in (2, 3) or input.shape[-1] != self.input_size:
            raise ShapeError(
                f"{self._name}: the input is {input.shape} and input_size {self.input_size}. "
                f"Use {layout}, {self.input_size}], or [time, {self.input_size}] without a batch."
            )
        if input.shape[1 if self.batch_first and input.ndim == 3 else 0] == 0:
            raise ShapeError(f"{self._name}: the input is {input.shape}, without a step. Give one step or more.")

    def _states(self, hx: Any, x: Tensor, batched: bool) -> State:
        """The initial states, `[layers * directions, batch, size]` each."""
        count = self.num_layers * self._directions
        sizes = [self._output_size, self.hidden_size][: UNITS[self.mode].states]
        if hx is None:
            dtype = _core.promote_types(x.dtype, cast("Tensor", vars(self)["weight_hh_l0"]).dtype)
            return tuple(zeros((count, x.shape[1], size), dtype=dtype, device=x.device) for size in sizes)
        given = (hx,) if len(sizes) == 1 else hx
        if not isinstance(given, tuple | list) or len(cast("Sequence[Any]", given)) != len(sizes):
            raise DTypeError(f"{self._name}: hx is {type(hx).__name__}. Pass the tuple (h_0, c_0).")
        states: list[Tensor] = []
        for name, state, size in zip(("h_0", "c_0"), cast("Sequence[Any]", given), sizes, strict=False):
            if not isinstance(state, Tensor):
                raise DTypeError(f"{self._name}: {name} is {type(state).__name__}. Pass a tensor.")
            expected = (count, x.shape[1], size) if batched else (count, size)
            if state.shape != expected:
                raise ShapeError(
                    f"{self._name}: {name} is {state.shape}. Use {expected}: layers times directions"
                    f"{', batch' if batched else ''}, size; whatever batch_first is."
                )
            states.append(state if batched else _core.expand_dims(state, 1))
        return tuple(states)

    def _joined(self, states: Sequence[Tensor]) -> Any:
        return states[0] if len(states) == 1 else tuple(states)

    def _ends(self, lengths: Lengths | None, x: Tensor) -> Tensor | None:
        """How many steps each sequence has, `[batch]`."""
        return None if lengths is None else sizes_of(self._name, lengths, x.shape[1], x.shape[0], x.device)

    def extra_repr(self) -> str:
        """The settings that are not the usual ones."""
        text = f"{self.input_size}, {self.hidden_size}"
        usual: dict[str, Any] = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0.0,
            "bidirectional": False,
        }
        for name, value in usual.items():
            if getattr(self, name) != value:
                text += f", {name}={getattr(self, name)}"
        return text
