"""Layers of transformers: attention and affine maps, each added to its input and normalised.

Depends on `_attention`, `_normalization`, `_dropout`. Invariant: parameters, their names and the order of operations
are PyTorch's.
"""

from __future__ import annotations

from collections.abc import Callable

from .._core import DomainError, DType, Tensor
from . import functional as F
from ._attention import MultiheadAttention
from ._dropout import Dropout
from ._linear import Linear
from ._module import Module
from ._normalization import LayerNorm

Activation = str | Callable[[Tensor], Tensor]


def _activation(name: str, given: Activation) -> Callable[[Tensor], Tensor]:
    if not isinstance(given, str):
        return given
    known: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu}
    if given not in known:
        raise DomainError(f"{name}: activation is {given!r}. Use 'relu', 'gelu' or a function.")
    return known[given]


class TransformerEncoderLayer(Module):
    """Self-attention, then two affine maps, each added to its input and normalised.

    x = norm1(x + self_attn(x)), y = norm2(x + linear2(activation(linear1(x)))); with norm_first the norms come before
    attention and maps instead

    Args:
        d_model: Size of a vector.
        nhead: Number of heads, which divides it.
        dim_feedforward: Size between the two maps.
        dropout: Probability of a zero while training.
        activation: "relu", "gelu" or a function.
        layer_norm_eps: Added to variances.
        batch_first: Whether tensors are `[batch, positions, d_model]` instead of `[positions, batch, d_model]`.
        norm_first: Whether norms come first.
        bias: Whether maps and norms have biases.
        device: Where the parameters are.
        dtype: The parameters' dtype.

    Shape:
        input and output `[positions, batch, d_model]`, or without the batch.

    Raises:
        DomainError: If a setting makes no sense.
        ShapeError: If the input or a mask has other sizes.

    Source:
        Vaswani et al. (2017), Attention Is All You Need.

    Example:
        >>> TransformerEncoderLayer(8, 2, 16, batch_first=True)(ad.zeros((3, 5, 8))).shape
        (3, 5, 8)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        """Makes and initialises the parts."""
        self.activation = _activation("TransformerEncoderLayer", activation)
        self.norm_first = norm_first
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, device=device, dtype=dtype
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias, device, dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, device, dtype)
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """The encoded sequence.

        Args:
            src: The sequence.
            src_mask: As `attn_mask` of `MultiheadAttention`.
            src_key_padding_mask: As its `key_padding_mask`.
            is_causal: As there.
        """

        def attended(x: Tensor) -> Tensor:
            found = self.self_attn(
                x, x, x, src_key_padding_mask, need_weights=False, attn_mask=src_mask, is_causal=is_causal
            )
            return self.dropout1(found[0])

        x = src
        if self.norm_first:
            x = x + attended(self.norm1(x))
            return x + self._mapped(self.norm2(x))
        x = self.norm1(x + attended(x))
        return self.norm2(x + self._mapped(x))

    def _mapped(self, x: Tensor) -> Tensor:
        return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))


class TransformerDecoderLayer(Module):
    """Self-attention, attention to a memory, then two affine maps, each added to its input and normalised.

    x = norm1(x + self_attn(x)), x = norm2(x + multihead_attn(x, memory)),
    y = norm3(x + linear2(activation(linear1(x)))); with norm_first the norms come before instead

    Args:
        d_model: Size of a vector.
        nhead: Number of heads, which divides it.
        dim_feedforward: Size between the two maps.
        dropout: Probability of a zero while training.
        activation: "relu", "gelu" or a function.
        layer_norm_eps: Added to variances.
        batch_first: Whether tensors are `[batch, positions, d_model]` instead of `[positions, batch, d_model]`.
        norm_first: Whether norms come first.
        bias: Whether maps and norms have biases.
        device: Where the parameters are.
        dtype: The parameters' dtype.

    Shape:
        target and result `[target, batch, d_model]`, memory `[source, batch, d_model]`, or without the batch.

    Raises:
        DomainError: If a setting makes no sense.
        ShapeError: If an input or a mask has other sizes.

    Source:
        Vaswani et al. (2017), Attention Is All You Need.

    Example:
        >>> TransformerDecoderLayer(8, 2, 16)(ad.zeros((5, 3, 8)), ad.zeros((7, 3, 8))).shape
        (5, 3, 8)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        """Makes and initialises the parts."""

        def attention() -> MultiheadAttention:
            return MultiheadAttention(
                d_model, nhead, dropout, bias, batch_first=batch_first, device=device, dtype=dtype
            )

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype)

        self.activation = _activation("TransformerDecoderLayer", activation)
        self.norm_first = norm_first
        self.self_attn = attention()
        self.multihead_attn = attention()
        self.linear1 = Linear(d_model, dim_feedforward, bias, device, dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, device, dtype)
        self.norm1, self.norm2, self.norm3 = norm(), norm(), norm()
        self.dropout1, self.dropout2, self.dropout3 = Dropout(dropout), Dropout(dropout), Dropout(dropout)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The continued sequence.

        Args:
            tgt: The sequence that is continued.
            memory: What the encoder made.
            tgt_mask: As `attn_mask` of `MultiheadAttention`, for the sequence itself.
            memory_mask: The same for the memory.
            tgt_key_padding_mask: As its `key_padding_mask`, for the sequence itself.
            memory_key_padding_mask: The same for the memory.
            tgt_is_causal: As its `is_causal`, for the sequence itself.
            memory_is_causal: The same for the memory.
        """

        def itself(x: Tensor) -> Tensor:
            found = self.self_attn(
                x, x, x, tgt_key_padding_mask, need_weights=False, attn_mask=tgt_mask, is_causal=tgt_is_causal
            )
            return self.dropout1(found[0])

        def remembered(x: Tensor) -> Tensor:
            found = self.multihead_attn(
                x,
                memory,
                memory,
                memory_key_padding_mask,
                need_weights=False,
                attn_mask=memory_mask,
                is_causal=memory_is_causal,
            )
            return self.dropout2(found[0])

        x = tgt
        if self.norm_first:
            x = x + itself(self.norm1(x))
            x = x + remembered(self.norm2(x))
            return x + self._mapped(self.norm3(x))
        x = self.norm1(x + itself(x))
        x = self.norm2(x + remembered(x))
        return self.norm3(x + self._mapped(x))

    def _mapped(self, x: Tensor) -> Tensor:
        return self.dropout3(self.linear2(self.dropout(self.activation(self.linear1(x)))))
