"""Transformers: stacks of layers that encode a sequence and continue another.

Depends on `_transformer_layers`. Invariant: parameters, their names and the order of operations are PyTorch's.
"""

from __future__ import annotations

import copy
import math
from typing import cast

from .. import _core
from .._core import DomainError, DType, Tensor
from . import init
from ._containers import ModuleList
from ._module import Module
from ._normalization import LayerNorm
from ._transformer_layers import Activation, TransformerDecoderLayer, TransformerEncoderLayer
from .functional._attention import causal


def _copies(name: str, layer: Module, count: int) -> ModuleList:
    if count < 0:
        raise DomainError(f"{name}: num_layers is {count}. Use 0 or more.")
    return ModuleList(copy.deepcopy(layer) for _ in range(count))


class TransformerEncoder(Module):
    """Several encoder layers, and a norm behind them.

    Args:
        encoder_layer: The layer; each one starts as a copy of it.
        num_layers: How many.
        norm: What is applied to the last one's output, or None.
        enable_nested_tensor: Accepted and without effect.
        mask_check: Accepted and without effect.

    Example:
        >>> TransformerEncoder(TransformerEncoderLayer(8, 2, 16), 2)(ad.zeros((5, 3, 8))).shape
        (5, 3, 8)
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        """Copies the layer."""
        self.layers = _copies("TransformerEncoder", encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """The encoded sequence; arguments are handed to every layer."""
        for layer in self.layers:
            src = layer(src, src_mask=mask, src_key_padding_mask=src_key_padding_mask, is_causal=bool(is_causal))
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Module):
    """Several decoder layers, and a norm behind them.

    Args:
        decoder_layer: The layer; each one starts as a copy of it.
        num_layers: How many.
        norm: What is applied to the last one's output, or None.

    Example:
        >>> decoder = TransformerDecoder(TransformerDecoderLayer(8, 2, 16), 2)
        >>> decoder(ad.zeros((5, 3, 8)), ad.zeros((7, 3, 8)), tgt_is_causal=True).shape
        (5, 3, 8)
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        """Copies the layer."""
        self.layers = _copies("TransformerDecoder", decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The continued sequence; arguments are handed to every layer."""
        for layer in self.layers:
            tgt = layer(
                tgt,
                memory,
                tgt_mask,
                memory_mask,
                tgt_key_padding_mask,
                memory_key_padding_mask,
                bool(tgt_is_causal),
                memory_is_causal,
            )
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """An encoder, and a decoder that looks at what the encoder made.

    Args:
        d_model: Size of a vector.
        nhead: Number of heads, which divides it.
        num_encoder_layers: Layers of the encoder.
        num_decoder_layers: Layers of the decoder.
        dim_feedforward: Size between a layer's two maps.
        dropout: Probability of a zero while training.
        activation: "relu", "gelu" or a function.
        layer_norm_eps: Added to variances.
        batch_first: Whether tensors are `[batch, positions, d_model]` instead of `[positions, batch, d_model]`.
        norm_first: Whether norms come first.
        bias: Whether maps and norms have biases.
        device: Where the parameters are.
        dtype: The parameters' dtype.

    Shape:
        source `[source, batch, d_model]`, target and result `[target, batch, d_model]`, or without the batch.

    Source:
        Vaswani et al. (2017), Attention Is All You Need.

    Example:
        >>> net = Transformer(8, 2, 1, 1, 16)
        >>> mask = Transformer.generate_square_subsequent_mask(5)
        >>> net(ad.zeros((7, 3, 8)), ad.zeros((5, 3, 8)), tgt_mask=mask).shape
        (5, 3, 8)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
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
        settings = (dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias, device, dtype)
        encoder_layer = TransformerEncoderLayer(d_model, nhead, *settings)
        decoder_layer = TransformerDecoderLayer(d_model, nhead, *settings)
        norms = [LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype) for _ in range(2)]
        self.encoder = TransformerEncoder(encoder_layer, num_encoder_layers, norms[0])
        self.decoder = TransformerDecoder(decoder_layer, num_decoder_layers, norms[1])
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The decoder's output; arguments are handed to encoder and decoder."""
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        found = self.decoder(
            tgt,
            memory,
            tgt_mask,
            memory_mask,
            tgt_key_padding_mask,
            memory_key_padding_mask,
            tgt_is_causal,
            memory_is_causal,
        )
        return cast("Tensor", found)

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: str | None = None, dtype: DType | None = None) -> Tensor:
        """The mask to add so that each place looks only at itself and what is before it: zeros, and minus infinity.

        Args:
            sz: Number of places.
            device: Where the mask is.
            dtype: Its dtype.
        """
        past = causal(sz, sz, device or _core.get_default_device())
        return _core.where(past, 0.0, -math.inf).astype(dtype or _core.get_default_dtype())
