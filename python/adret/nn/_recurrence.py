"""One step of each recurrent unit, and the loop over time.

Depends on the core only. Invariant: what the inputs contribute to all steps is one product before the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .. import _core
from .._core import Tensor

State = tuple[Tensor, ...]
"""What a step hands to the next: `(h,)`, for an LSTM `(h, c)`, each `[batch, size]`."""


def rnn_tanh_step(given: Tensor, recurrent: Tensor, state: State) -> State:
    """`h = tanh(given + recurrent)`; both `[batch, hidden]`."""
    return (_core.tanh(given + recurrent),)


def rnn_relu_step(given: Tensor, recurrent: Tensor, state: State) -> State:
    """`h = relu(given + recurrent)`; both `[batch, hidden]`."""
    return (_core.relu(given + recurrent),)


def _parts(gates: Tensor, count: int) -> list[Tensor]:
    """The gates, which lie side by side along the last axis."""
    size = gates.shape[-1] // count
    return [gates[:, part * size : (part + 1) * size] for part in range(count)]


def lstm_step(given: Tensor, recurrent: Tensor, state: State) -> State:
    """`c = sigmoid(f) * c + sigmoid(i) * tanh(g)`, `h = sigmoid(o) * tanh(c)`, `[i f g o] = given + recurrent`."""
    i, f, g, o = _parts(given + recurrent, 4)
    c = _core.sigmoid(f) * state[1] + _core.sigmoid(i) * _core.tanh(g)
    return _core.sigmoid(o) * _core.tanh(c), c


def gru_step(given: Tensor, recurrent: Tensor, state: State) -> State:
    """`h = n + sigmoid(z) * (h - n)`, `n = tanh(given_n + sigmoid(r) * recurrent_n)`, for gates `[r z n]`."""
    (given_r, given_z, given_n), (r, z, n) = _parts(given, 3), _parts(recurrent, 3)
    new = _core.tanh(given_n + _core.sigmoid(given_r + r) * n)
    return (new + _core.sigmoid(given_z + z) * (state[0] - new),)


@dataclass(frozen=True)
class Unit:
    """What tells one kind of recurrent unit from another."""

    gates: int
    states: int
    step: Callable[[Tensor, Tensor, State], State]
    separate: bool = False
    """Whether a gate treats the recurrent part by itself, so that it keeps a bias of its own."""


UNITS = {
    "RNN_TANH": Unit(1, 1, rnn_tanh_step),
    "RNN_RELU": Unit(1, 1, rnn_relu_step),
    "LSTM": Unit(4, 2, lstm_step),
    "GRU": Unit(3, 1, gru_step, separate=True),
}


def _is_routine(*tensors: Tensor) -> bool:
    """Whether the engine has one routine for all steps: on the CPU, for one of two dtypes."""
    dtype, device = tensors[0].dtype, tensors[0].device
    known = dtype in (_core.float32, _core.float64) and device == "cpu" and tensors[0].shape[0] > 0
    return known and all(tensor.dtype == dtype and tensor.device == device for tensor in tensors)


def scan(
    unit: Unit,
    given: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    state: State,
    reverse: bool = False,
    masks: Sequence[Tensor] | None = None,
    projection: Tensor | None = None,
) -> tuple[Tensor, State]:
    """Runs a unit over time.

    Args:
        unit: What is done in a step.
        given: What the inputs contribute, biases included, `[time, batch, rows]`.
        weight: The recurrent weight, `[rows, size]`.
        bias: The recurrent part's own bias, for units that keep one.
        state: The state at the start.
        reverse: Whether the last step comes first.
        masks: For each step `[batch, 1]`, whether a sequence has that step. Where it has not, its state stays and its
            output is zero.
        projection: Maps h to a smaller one, `[projected, hidden]`.

    Returns:
        The outputs, `[time, batch, size]`, and the state after the last step that was run.
    """
    if unit is UNITS["LSTM"] and masks is None and projection is None and _is_routine(given, weight, *state):
        h, c = _core._lstm(given, weight, state[0], state[1], reverse)
        last = 0 if reverse else -1
        return h, (h[last], c[last])
    # Transposed once, so that what the steps contribute to a gradient meets at one tensor.
    weight = weight.mT
    projection = None if projection is None else projection.mT
    outputs: list[Tensor] = []
    rows = _core.unstack(given)
    for step in range(len(rows) - 1, -1, -1) if reverse else range(len(rows)):
        recurrent = state[0] @ weight
        if bias is not None:
            recurrent = recurrent + bias
        new = unit.step(rows[step], recurrent, state)
        if projection is not None:
            new = (new[0] @ projection, *new[1:])
        output = new[0]
        if masks is not None:
            output = _core.where(masks[step], output, 0.0)
            new = tuple(_core.where(masks[step], after, before) for after, before in zip(new, state, strict=True))
        outputs.append(output)
        state = new
    return _core.stack(outputs[::-1] if reverse else outputs), state
