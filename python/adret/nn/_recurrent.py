"""Recurrent layers over whole sequences: RNN, LSTM and GRU.

Depends on `_recurrent_base`, which runs them. Invariant: parameters, their names, their layouts, the order of gates and
the first values are PyTorch's.
"""

from __future__ import annotations

from .._core import DomainError, DType
from ._recurrent_base import RNNBase


class RNN(RNNBase):
    """A recurrent layer whose state is squashed in each step.

    h[t] = tanh(x[t] @ weight_ih.T + bias_ih + h[t-1] @ weight_hh.T + bias_hh), or relu instead of tanh

    Args:
        input_size: Size of an input vector.
        hidden_size: Size of the state.
        num_layers: How many layers read each other's outputs.
        nonlinearity: "tanh" or "relu".
        bias: Whether there are biases.
        batch_first: Whether inputs and outputs are `[batch, time, features]` instead of `[time, batch, features]`.
        dropout: Probability of a zero between layers, while training.
        bidirectional: Whether a second pass reads each sequence from its end.
        device: Where the parameters are.
        dtype: The parameters' dtype.

    Shape:
        input `[time, batch, input_size]`, hx `[layers * directions, batch, hidden_size]`; output
        `[time, batch, directions * hidden_size]` and the last state, shaped as hx. Without a batch that axis is absent.
        weight_ih_l0 `[hidden_size, input_size]`, weight_hh_l0 `[hidden_size, hidden_size]`, biases `[hidden_size]`.

    Raises:
        DomainError: If a setting makes no sense.
        ShapeError: If the input or the state has other sizes.

    Source:
        Elman (1990), Finding Structure in Time.

    Example:
        >>> output, h = RNN(3, 4, batch_first=True)(ad.zeros((2, 5, 3)))
        >>> output.shape, h.shape
        ((2, 5, 4), (1, 2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        """Makes and initialises the parameters."""
        if nonlinearity not in ("tanh", "relu"):
            raise DomainError(f"RNN: nonlinearity is {nonlinearity!r}. Use 'tanh' or 'relu'.")
        self.nonlinearity = nonlinearity
        mode = f"RNN_{nonlinearity.upper()}"
        super().__init__(
            mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )


class LSTM(RNNBase):
    """A recurrent layer that keeps a cell apart from its output, behind gates.

    i, f, g, o = x[t] @ weight_ih.T + bias_ih + h[t-1] @ weight_hh.T + bias_hh, in four parts
    c[t] = sigmoid(f) * c[t-1] + sigmoid(i) * tanh(g)
    h[t] = sigmoid(o) * tanh(c[t]), with proj_size times weight_hr.T

    Args:
        input_size: Size of an input vector.
        hidden_size: Size of the cell, and of h unless it is projected.
        num_layers: How many layers read each other's outputs.
        bias: Whether there are biases.
        batch_first: Whether inputs and outputs are `[batch, time, features]` instead of `[time, batch, features]`.
        dropout: Probability of a zero between layers, while training.
        bidirectional: Whether a second pass reads each sequence from its end.
        proj_size: Size that h is projected to; 0 for none.
        device: Where the parameters are.
        dtype: The parameters' dtype.

    Shape:
        input `[time, batch, input_size]`, hx two tensors `[layers * directions, batch, size]`; output
        `[time, batch, directions * size]` and the last `(h, c)`, shaped as hx. Without a batch that axis is absent.
        weight_ih_l0 `[4 * hidden_size, input_size]`, weight_hh_l0 `[4 * hidden_size, size]`, biases
        `[4 * hidden_size]`, weight_hr_l0 `[proj_size, hidden_size]`.

    Raises:
        DomainError: If a setting makes no sense.
        ShapeError: If the input or the state has other sizes.

    Source:
        Hochreiter, Schmidhuber (1997), Long Short-Term Memory; Gers, Schmidhuber, Cummins (2000), Learning to Forget.

    Example:
        >>> output, (h, c) = LSTM(3, 4, num_layers=2, bidirectional=True)(ad.zeros((5, 2, 3)), lengths=[5, 3])
        >>> output.shape, h.shape, c.shape
        ((5, 2, 8), (4, 2, 4), (4, 2, 4))
    """

    def __init__(
        self,
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
        super().__init__(
            "LSTM",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
        )


class GRU(RNNBase):
    """A recurrent layer with gates and without a cell.

    r, z = sigmoid(x[t] @ weight_ih.T + bias_ih + h[t-1] @ weight_hh.T + bias_hh), in two parts of three
    n = tanh(x_n + r * h_n), with the third parts x_n of the input and h_n of the state, each with its bias
    h[t] = (1 - z) * n + z * h[t-1]

    Args:
        input_size: Size of an input vector.
        hidden_size: Size of the state.
        num_layers: How many layers read each other's outputs.
        bias: Whether there are biases.
        batch_first: Whether inputs and outputs are `[batch, time, features]` instead of `[time, batch, features]`.
        dropout: Probability of a zero between layers, while training.
        bidirectional: Whether a second pass reads each sequence from its end.
        device: Where the parameters are.
        dtype: The parameters' dtype.

    Shape:
        input `[time, batch, input_size]`, hx `[layers * directions, batch, hidden_size]`; output
        `[time, batch, directions * hidden_size]` and the last state, shaped as hx. Without a batch that axis is absent.
        weight_ih_l0 `[3 * hidden_size, input_size]`, weight_hh_l0 `[3 * hidden_size, hidden_size]`, biases
        `[3 * hidden_size]`.

    Raises:
        DomainError: If a setting makes no sense.
        ShapeError: If the input or the state has other sizes.

    Source:
        Cho et al. (2014), Learning Phrase Representations using RNN Encoder-Decoder.

    Example:
        >>> output, h = GRU(3, 4)(ad.zeros((5, 3)))
        >>> output.shape, h.shape
        ((5, 4), (1, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        """Makes and initialises the parameters."""
        super().__init__(
            "GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )
