"""Attention with several heads.

Depends on `functional`. Invariant: parameters, their names, layouts and first values are PyTorch's.
"""

from __future__ import annotations

from .. import _core
from .._core import DomainError, DType, DTypeError, ShapeError, Tensor, empty, zeros
from . import functional as F
from . import init
from ._linear import Linear
from ._module import Module
from ._parameter import Parameter
from .functional._attention import attention, causal
from .functional._windows import share, whole


class MultiheadAttention(Module):
    """Lets every position of a target look at all positions of a source, in several heads.

    head[i] = softmax(q[i] @ k[i].T / sqrt(size) + mask) @ v[i], for q, k, v = affine maps of query, key and value
    y = concat(head) @ out_proj.weight.T + out_proj.bias

    Args:
        embed_dim: Size of a query and of the result, which the heads divide.
        num_heads: Number of heads.
        dropout: Probability that a weight is dropped while training.
        bias: Whether the maps have biases.
        add_bias_kv: Whether the source gets one more position, a trained one.
        add_zero_attn: Whether the source gets one more position of zeros.
        kdim: Size of a key; `embed_dim` for None.
        vdim: Size of a value; `embed_dim` for None.
        batch_first: Whether tensors are `[batch, positions, size]` instead of `[positions, batch, size]`.
        device: Where the parameters are.
        dtype: The parameters' dtype.

    Shape:
        query `[target, batch, embed_dim]`, key `[source, batch, kdim]`, value `[source, batch, vdim]`, all without the
        batch as well; result as the query, weights `[batch, target, source]`. in_proj_weight
        `[3 * embed_dim, embed_dim]`, or q_proj_weight `[embed_dim, embed_dim]`, k_proj_weight `[embed_dim, kdim]` and
        v_proj_weight `[embed_dim, vdim]` where sizes differ; in_proj_bias `[3 * embed_dim]`.

    Raises:
        DomainError: If the heads do not divide `embed_dim`, or dropout is no probability.
        ShapeError: If inputs or masks have other sizes.

    Source:
        Vaswani et al. (2017), Attention Is All You Need.

    Example:
        >>> x = ad.zeros((2, 5, 8))
        >>> output, weights = MultiheadAttention(8, 2, batch_first=True)(x, x, x)
        >>> output.shape, weights.shape
        ((2, 5, 8), (2, 5, 5))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        """Makes and initialises the parameters."""
        whole("MultiheadAttention", embed_dim=embed_dim, num_heads=num_heads)
        if embed_dim < 1 or num_heads < 1 or embed_dim % num_heads:
            raise DomainError(
                f"MultiheadAttention: embed_dim is {embed_dim} and num_heads {num_heads}. "
                "Use positive numbers of which the second divides the first."
            )
        share("MultiheadAttention", dropout=dropout)
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.batch_first = batch_first
        self.add_zero_attn = add_zero_attn
        self.head_dim = embed_dim // num_heads

        def made(*shape: int) -> Parameter:
            return Parameter(empty(shape, dtype=dtype, device=device))

        alike = self.kdim == self.vdim == embed_dim
        self.in_proj_weight = made(3 * embed_dim, embed_dim) if alike else None
        self.q_proj_weight = None if alike else made(embed_dim, embed_dim)
        self.k_proj_weight = None if alike else made(embed_dim, self.kdim)
        self.v_proj_weight = None if alike else made(embed_dim, self.vdim)
        self.in_proj_bias = made(3 * embed_dim) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, device, dtype)
        self.bias_k = made(1, 1, embed_dim) if add_bias_kv else None
        self.bias_v = made(1, 1, embed_dim) if add_bias_kv else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the parameters anew: weights by Glorot's rule, biases zero."""
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)
        for extra in (self.bias_k, self.bias_v):
            if extra is not None:
                init.xavier_normal_(extra)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The attended values and, unless not wanted, the weights.

        Args:
            query: Who looks.
            key: What is looked at.
            value: What is found there.
            key_padding_mask: `[batch, source]`: true where a source is padding, or what is added to its scores.
            need_weights: Whether the weights are returned.
            attn_mask: `[target, source]` or `[batch * heads, target, source]`: true where a place may not look, or
                what is added to the scores.
            average_attn_weights: Whether weights are the heads' mean, or `[batch, heads, target, source]`.
            is_causal: Whether each place looks only at itself and what is before it; where there is an `attn_mask`
                this is taken to be what it says.
        """
        self._check(query, key, value)
        batched, same = query.ndim == 3, query is key and key is value
        if not batched:
            query, key, value = (_core.expand_dims(each, 1) for each in (query, key, value))
        elif self.batch_first:
            query, key, value = (each.permute(1, 0, 2) for each in (query, key, value))
        target, batch, _ = query.shape
        q, k, v = self._projected(query, key, value, same)
        source = key.shape[0]
        allowed, added = self._masks(batch, target, source, key_padding_mask, attn_mask, batched)
        if is_causal and attn_mask is None:
            past = causal(target, source, query.device)
            allowed = past if allowed is None else _core.logical_and(allowed, past)
        k, v, allowed, added = self._extended(k, v, allowed, added)
        q, k, v = (self._heads(each) for each in (q, k, v))
        output, weights = attention(q, k, v, allowed, added, self.dropout if self.training else 0.0)
        output = output.permute(2, 0, 1, 3).reshape(target, batch, self.embed_dim)
        output = self.out_proj(output)
        if average_attn_weights:
            weights = _core.mean(weights, 1)
        if not batched:
            output, weights = _core.squeeze(output, 1), _core.squeeze(weights, 0)
        elif self.batch_first:
            output = output.permute(1, 0, 2)
        return output, weights if need_weights else None

    def _heads(self, x: Tensor) -> Tensor:
        """`[positions, batch, embed_dim]` as `[batch, heads, positions, size]`."""
        return x.reshape(x.shape[0], x.shape[1], self.num_heads, self.head_dim).permute(1, 2, 0, 3)

    def _projected(self, query: Tensor, key: Tensor, value: Tensor, same: bool) -> tuple[Tensor, Tensor, Tensor]:
        size, weight, bias = self.embed_dim, self.in_proj_weight, self.in_proj_bias
        if weight is not None and same:
            # One product instead of three.
            all_three = F.linear(query, weight, bias)
            return all_three[..., :size], all_three[..., size : 2 * size], all_three[..., 2 * size :]
        if weight is None:
            weights = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        else:
            weights = [weight[part * size : (part + 1) * size] for part in range(3)]
        found: list[Tensor] = []
        for part, (given, each) in enumerate(zip((query, key, value), weights, strict=True)):
            assert each is not None
            found.append(F.linear(given, each, None if bias is None else bias[part * size : (part + 1) * size]))
        return found[0], found[1], found[2]

    def _extended(
        self, k: Tensor, v: Tensor, allowed: Tensor | None, added: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """Key and value with the positions that settings add, which everyone may look at."""
        more: list[tuple[Tensor, Tensor]] = []
        shape = (1, *k.shape[1:])
        if self.bias_k is not None and self.bias_v is not None:
            more.append((_core.broadcast_to(self.bias_k, shape), _core.broadcast_to(self.bias_v, shape)))
        if self.add_zero_attn:
            nothing = zeros(shape, dtype=k.dtype, device=k.device)
            more.append((nothing, nothing))
        if more:
            k = _core.concat([k, *(each for each, _ in more)])
            v = _core.concat([v, *(each for _, each in more)])
            if allowed is not None:
                allowed = _core.logical_not(_widened(_core.logical_not(allowed), len(more)))
            if added is not None:
                added = _widened(added, len(more))
        return k, v, allowed, added

    def _masks(
        self,
        batch: int,
        target: int,
        source: int,
        key_padding_mask: Tensor | None,
        attn_mask: Tensor | None,
        batched: bool,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Who may look where, and what is added to scores; each broadcasts to `[batch, heads, target, source]`."""
        allowed: Tensor | None = None
        added: Tensor | None = None
        given: list[Tensor] = []
        if key_padding_mask is not None:
            expected = (batch, source) if batched else (source,)
            if key_padding_mask.shape != expected:
                raise ShapeError(
                    f"MultiheadAttention: key_padding_mask is {key_padding_mask.shape}. Use {expected}: "
                    f"{'batch, ' if batched else ''}source."
                )
            given.append(key_padding_mask.reshape(batch, 1, 1, source))
        if attn_mask is not None:
            each = (batch * self.num_heads, target, source)
            if attn_mask.shape not in ((target, source), each):
                raise ShapeError(
                    f"MultiheadAttention: attn_mask is {attn_mask.shape}. Use {(target, source)}, or {each}."
                )
            heads = attn_mask.ndim == 3
            given.append(attn_mask.reshape(batch, self.num_heads, target, source) if heads else attn_mask)
        for mask in given:
            if mask.dtype == _core.bool:
                free = _core.logical_not(mask)
                allowed = free if allowed is None else _core.logical_and(allowed, free)
            elif mask.dtype.is_floating_point:
                added = mask if added is None else added + mask
            else:
                raise DTypeError(f"MultiheadAttention: a mask is {mask.dtype}. Use booleans or floats.")
        return allowed, added

    def _check(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        shapes = f"MultiheadAttention: query is {query.shape}, key {key.shape} and value {value.shape}"
        if query.ndim not in (2, 3) or key.ndim != query.ndim or value.ndim != query.ndim:
            raise ShapeError(f"{shapes}. Use three axes each, or two without a batch.")
        sizes = (self.embed_dim, self.kdim, self.vdim)
        if (query.shape[-1], key.shape[-1], value.shape[-1]) != sizes:
            raise ShapeError(f"{shapes}. Their last axes must be {sizes[0]}, {sizes[1]} and {sizes[2]}.")
        if key.shape[:-1] != value.shape[:-1]:
            raise ShapeError(f"{shapes}. Key and value must agree in all axes but the last.")
        axis = 0 if self.batch_first else 1
        if query.ndim == 3 and query.shape[axis] != key.shape[axis]:
            raise ShapeError(f"{shapes}. They must have one batch, axis {axis}.")

    def extra_repr(self) -> str:
        """The sizes."""
        return f"embed_dim={self.embed_dim}, num_heads={self.num_heads}, batch_first={self.batch_first}"


def _widened(mask: Tensor, count: int) -> Tensor:
    """A mask with more places along the last axis: false, or zero."""
    return _core.pad(mask, [*([(0, 0)] * (mask.ndim - 1)), (0, count)])
