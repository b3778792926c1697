"""What tells a transformer where in a sequence a vector stands.

Depends on the core. Invariant: nothing is trained.
"""

from __future__ import annotations

import math

from .. import _core
from .._core import DomainError, DType, ShapeError, Tensor
from ._dropout import Dropout
from ._module import Module
from .functional._windows import whole


class PositionalEncoding(Module):
    """Adds sines and cosines of the position, so that a model without order can tell positions apart.

    y[p, 2i] = x[p, 2i] + sin(p / 10000^(2i / d_model)), y[p, 2i + 1] = x[p, 2i + 1] + cos(p / 10000^(2i / d_model))

    For trained positions add `Embedding(max_len, d_model)(ad.arange(length))` instead.

    Args:
        d_model: Size of a vector.
        dropout: Probability of a zero in the sum while training.
        max_len: The longest sequence.
        batch_first: Whether inputs are `[batch, positions, d_model]` instead of `[positions, batch, d_model]`.
        device: Where the table is.
        dtype: The table's dtype.

    Shape:
        input and output `[positions, batch, d_model]`, or `[positions, d_model]`; table `pe` `[max_len, d_model]`,
        which `state_dict` leaves out.

    Raises:
        ShapeError: If the input is longer, or its vectors have another size.

    Source:
        Vaswani et al. (2017), Attention Is All You Need.

    Example:
        >>> PositionalEncoding(4)(ad.zeros((1, 4))).tolist()
        [[0.0, 1.0, 0.0, 1.0]]
    """

    pe: Tensor

    def __init__(
        self,
        d_model: int,
        dropout: float = 0.0,
        max_len: int = 5000,
        batch_first: bool = False,
        device: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        """Makes the table."""
        whole("PositionalEncoding", d_model=d_model, max_len=max_len)
        if d_model < 1 or max_len < 1:
            raise DomainError(f"PositionalEncoding: d_model is {d_model} and max_len {max_len}. Use 1 or more.")
        self.d_model = d_model
        self.max_len = max_len
        self.batch_first = batch_first
        self.dropout = Dropout(dropout)
        dtype = _core.get_default_dtype() if dtype is None else dtype
        column = _core.arange(d_model, device=device)
        even = (column - column % 2).astype(_core.float32)
        # In float64 where it is needed: angles of late positions lose their digits in float32.
        wide = _core.float64 if dtype == _core.float64 else _core.float32
        rate = _core.exp(even.astype(wide) * (-math.log(10000.0) / d_model))
        angle = _core.expand_dims(_core.arange(max_len, device=device).astype(wide), 1) * rate
        table = _core.where(column % 2 == 0, _core.sin(angle), _core.cos(angle))
        self.register_buffer("pe", table.astype(dtype), persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        """The input with the table's rows added."""
        axis = 1 if self.batch_first and input.ndim == 3 else 0
        if input.ndim not in (2, 3) or input.shape[-1] != self.d_model or input.shape[axis] > self.max_len:
            raise ShapeError(
                f"PositionalEncoding: the input is {input.shape}, d_model {self.d_model} and max_len {self.max_len}. "
                "Use vectors of that size and no more positions, or a larger max_len."
            )
        rows = self.pe[: input.shape[axis]]
        if input.ndim == 3 and axis == 0:
            rows = _core.expand_dims(rows, 1)
        return self.dropout(input + rows)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"d_model={self.d_model}, max_len={self.max_len}, batch_first={self.batch_first}"
