"""Recurrent cells: one step of an RNN, an LSTM or a GRU.

Depends on `_recurrence` for the formulas. Invariant: a cell applied step by step gives what the layer of the same
weights gives.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

from .. import _core
from .._core import DomainError, DType, DTypeError, ShapeError, Tensor, empty, zeros
from . import functional as F
from . import init
from ._module import Module
from ._parameter import Parameter
from ._recurrence import UNITS, State
from .functional._windows import whole


class _Cell(Module):
    """Parameters, checks and the step of any cell."""

    def __init__(
        self, mode: str, input_size: int, hidden_size: int, bias: bool, device: str | None, dtype: DType | None
    ) -> None:
        """Makes and initialises the parameters."""
        whole(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        if input_size < 1 or hidden_size < 1:
            raise DomainError(
                f"{type(self).__name__}: input_size is {input_size} and hidden_size {hidden_size}. "
                "Use numbers of 1 or more."
            )
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        self._unit = UNITS[mode]
        rows = self._unit.gates * hidden_size
        self.weight_ih = Parameter(empty((rows, input_size), dtype=dtype, device=device))
        self.weight_hh = Parameter(empty((rows, hidden_size), dtype=dtype, device=device))
        self.bias_ih = Parameter(empty((rows,), dtype=dtype, device=device)) if bias else None
        self.bias_hh = Parameter(empty((rows,), dtype=dtype, device=device)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the parameters anew, from U(-1/sqrt(hidden_size), 1/sqrt(hidden_size))."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        """The next state.

        Args:
            input: `[batch, input_size]`, or `[input_size]` without a batch.
            hx: The state before; zeros for None.
        """
        name = type(self).__name__
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise ShapeError(
                f"{name}: the input is {input.shape} and input_size {self.input_size}. "
                f"Use [batch, {self.input_size}], or [{self.input_size}] without a batch."
            )
        batched = input.ndim == 2
        x = input if batched else _core.expand_dims(input, 0)
        state = self._state(name, hx, x, (*input.shape[:-1], self.hidden_size))
        given = F.linear(x, self.weight_ih, self.bias_ih)
        new = self._unit.step(given, F.linear(state[0], self.weight_hh, self.bias_hh), state)
        if not batched:
            new = tuple(_core.squeeze(each, 0) for each in new)
        return new[0] if len(new) == 1 else new

    def _state(self, name: str, hx: Any, x: Tensor, expected: tuple[int, ...]) -> State:
        count = self._unit.states
        if hx is None:
            dtype = _core.promote_types(x.dtype, self.weight_hh.dtype)
            nothing = zeros((x.shape[0], self.hidden_size), dtype=dtype, device=x.device)
            return (nothing,) * count
        given = (hx,) if count == 1 else hx
        if not isinstance(given, tuple | list) or len(cast("Sequence[Any]", given)) != count:
            raise DTypeError(f"{name}: hx is {type(hx).__name__}. Pass the tuple (h, c).")
        states: list[Tensor] = []
        for part, each in zip("hc", cast("Sequence[Any]", given), strict=False):
            if not isinstance(each, Tensor):
                raise DTypeError(f"{name}: {part} is {type(each).__name__}. Pass a tensor.")
            if each.shape != expected:
                raise ShapeError(f"{name}: {part} is {each.shape}. Use {expected}, as the input has it.")
            states.append(each if len(expected) == 2 else _core.expand_dims(each, 0))
        return tuple(states)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(_Cell):
    """One step of a simple recurrent layer.

    h' = tanh(x @ weight_ih.T + bias_ih + h @ weight_hh.T + bias_hh), or relu instead of tanh

    Args:
        input_size: Size of an input vector.
        hidden_size: Size of the state.
        bias: Whether there are biases.
        nonlinearity: "tanh" or "relu".
        device: Where the parameters are.
        dtype: The parameters' dtype.

    Shape:
        input `[batch, input_size]`, h and result `[batch, hidden_size]`; all without the batch as well. weight_ih
        `[hidden_size, input_size]`, weight_hh `[hidden_size, hidden_size]`, biases `[hidden_size]`.

    Raises:
        DomainError: If a setting makes no sense.
        ShapeError: If the input or the state has other sizes.

    Example:
        >>> RNNCell(3, 4)(ad.zeros((2, 3))).shape
        (2, 4)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        """Makes and initialises the parameters."""
        if nonlinearity not in ("tanh", "relu"):
            raise DomainError(f"RNNCell: nonlinearity is {nonlinearity!r}. Use 'tanh' or 'relu'.")
        self.nonlinearity = nonlinearity
        super().__init__(f"RNN_{nonlinearity.upper()}", input_size, hidden_size, bias, device, dtype)

    def extra_repr(self) -> str:
        """The sizes, and a nonlinearity that is not tanh."""
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")


class LSTMCell(_Cell):
    """One step of an LSTM.

    i, f, g, o = x @ weight_ih.T + bias_ih + h @ weight_hh.T + bias_hh, in four parts
    c' = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h' = sigmoid(o) * tanh(c')

    Args:
        input_size: Size of an input vector.
        hidden_size: Size of the state.
        bias: Whether there are biases.
        device: Where the parameters are.
        dtype: The parameters' dtype.

    Shape:
        input `[batch, input_size]`, state and result `(h, c)` of `[batch, hidden_size]`; all without the batch as
        well. weight_ih `[4 * hidden_size, input_size]`, weight_hh `[4 * hidden_size, hidden_size]`, biases
        `[4 * hidden_size]`.

    Raises:
        DomainError: If a size makes no sense.
        ShapeError: If the input or the state has other sizes.

    Example:
        >>> h, c = LSTMCell(3, 4)(ad.zeros((2, 3)))
        >>> h.shape, c.shape
        ((2, 4), (2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        """Makes and initialises the parameters."""
        super().__init__("LSTM", input_size, hidden_size, bias, device, dtype)


class GRUCell(_Cell):
    """One step of a GRU.

    r, z = sigmoid(x @ weight_ih.T + bias_ih + h @ weight_hh.T + bias_hh), in two parts of three
    n = tanh(x_n + r * h_n), with the third parts x_n of the input and h_n of the state, each with its bias
    h' = (1 - z) * n + z * h

    Args:
        input_size: Size of an input vector.
        hidden_size: Size of the state.
        bias: Whether there are biases.
        device: Where the parameters are.
        dtype: The parameters' dtype.

    Shape:
        input `[batch, input_size]`, h and result `[batch, hidden_size]`; all without the batch as well. weight_ih
        `[3 * hidden_size, input_size]`, weight_hh `[3 * hidden_size, hidden_size]`, biases `[3 * hidden_size]`.

    Raises:
        DomainError: If a size makes no sense.
        ShapeError: If the input or the state has other sizes.

    Example:
        >>> GRUCell(3, 4)(ad.zeros(3)).shape
        (4,)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        """Makes and initialises the parameters."""
        super().__init__("GRU", input_size, hidden_size, bias, device, dtype)
