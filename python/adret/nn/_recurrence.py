"""One step of each recurrent unit, and the way through time: a routine of the engine, or a loop.

Depends on the core only. Invariant: what the inputs contribute to all steps is one product before the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

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


class Unit(NamedTuple):
    """What tells one kind of recurrent unit from another."""

    name: str
    gates: int
    states: int
    step: Callable[[Tensor, Tensor, State], State]
    separate: bool = False
    """Whether a gate treats the recurrent part by itself, so that it keeps a bias of its own."""


UNITS = {
    "RNN_TANH": Unit("RNN_TANH", 1, 1, rnn_tanh_step),
    "RNN_RELU": Unit("RNN_RELU", 1, 1, rnn_relu_step),
    "LSTM": Unit("LSTM", 4, 2, lstm_step),
    "GRU": Unit("GRU", 3, 1, gru_step, separate=True),
}


def _is_routine(tensors: Sequence[Tensor | None]) -> bool:
    """Whether the engine has one routine for all steps of these: for one of two dtypes."""
    given = [tensor for tensor in tensors if tensor is not None]
    first = given[0]
    if first.shape[0] == 0 or not _core._has_recurrent(first):
        return False
    return all(tensor.dtype == first.dtype and tensor.device == first.device for tensor in given)


def scan(
    unit: Unit,
    given: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    state: State,
    reverse: bool = False,
    ends: Tensor | None = None,
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
        ends: How many steps each sequence has, `[batch]`. Where it has no more, its state stays and its output is
            zero.
        projection: Maps h to a smaller one, `[projected, hidden]`.

    Returns:
        The outputs, `[time, batch, size]`, and the state after the last step that was run.
    """
    # On a GPU the routine knows neither ends nor projections.
    is_plain = given.device == "cpu" or (ends is None and projection is None)
    if is_plain and _is_routine((given, weight, bias, projection, *state)):
        c = state[1] if unit.states == 2 else None
        lengths = None if ends is None else ends.astype(_core.int64)
        output, *last = _core._recurrent(unit.name, given, weight, state[0], c, bias, lengths, projection, reverse)
        return output, tuple(last)
    return _loop(unit, given, weight, bias, state, reverse, ends, projection)


def _loop(
    unit: Unit,
    given: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    state: State,
    reverse: bool,
    ends: Tensor | None,
    projection: Tensor | None,
) -> tuple[Tensor, State]:
    """`scan` in ordinary operations, for any dtype and device."""
    # Transposed once, so that what the steps contribute to a gradient meets at one tensor.
    weight = weight.mT
    projection = None if projection is None else projection.mT
    column = None if ends is None else _core.expand_dims(ends, 1)
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
        if column is not None:
            has = column > step
            output = _core.where(has, output, 0.0)
            new = tuple(_core.where(has, after, before) for after, before in zip(new, state, strict=True))
        outputs.append(output)
        state = new
    return _core.stack(outputs[::-1] if reverse else outputs), state
