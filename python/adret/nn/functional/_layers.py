"""Layers, activations and normalisation as functions.

Depends on the core only. Invariant: nothing here holds state; what needs parameters takes them.
"""

# The core is private to the package, of which this is a part.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Sequence

from ... import _core
from ..._core import DomainError, DType, ShapeError, Tensor
from ._windows import share

__all__ = [
    "bilinear",
    "dropout",
    "elu",
    "embedding",
    "flatten",
    "gelu",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "one_hot",
    "prelu",
    "relu",
    "relu6",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
    "unflatten",
]

relu = _core.relu
relu6 = _core.relu6
silu = _core.silu
sigmoid = _core.sigmoid
tanh = _core.tanh


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`input @ weight.T + bias`, for input `[..., in]`, weight `[out, in]`, bias `[out]`.

    Args:
        input: A tensor `[..., in]`.
        weight: A matrix `[out, in]`.
        bias: A vector `[out]`, or None.

    Raises:
        ShapeError: If the sizes do not fit together.

    Example:
        >>> linear(ad.ones((2, 3)), ad.ones((4, 3))).tolist()[0]
        [3.0, 3.0, 3.0, 3.0]
    """
    return _core.linear(input, weight, bias)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y[o] = x1 . weight[o] . x2 + bias[o].

    Args:
        input1: A tensor `[..., in1]`.
        input2: A tensor `[..., in2]` with the same leading sizes.
        weight: `[out, in1, in2]`.
        bias: `[out]`, or None.

    Raises:
        ShapeError: If the sizes do not fit together.

    Example:
        >>> bilinear(ad.ones((1, 2)), ad.ones((1, 3)), ad.ones((1, 2, 3))).tolist()
        [[6.0]]
    """
    if (
        weight.ndim != 3
        or min(input1.ndim, input2.ndim) < 1
        or input1.shape[:-1] != input2.shape[:-1]
        or (input1.shape[-1], input2.shape[-1]) != weight.shape[1:]
    ):
        raise ShapeError(
            f"bilinear: the inputs are {input1.shape} and {input2.shape} and the weight {weight.shape}. "
            "Give [..., in1], [..., in2] and [out, in1, in2]."
        )
    made, size1, size2 = weight.shape
    # [..., in1] · [in1, out * in2], then a sum over in2
    columns = _core.reshape(_core.permute_dims(weight, (1, 0, 2)), (size1, made * size2))
    halves = _core.reshape(_core.matmul(input1, columns), (*input1.shape[:-1], made, size2))
    y = _core.sum(halves * _core.expand_dims(input2, axis=-2), axis=-1)
    return y if bias is None else y + bias


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Joins the axes from `start_dim` to `end_dim`.

    Args:
        input: A tensor.
        start_dim: The first axis of those that are joined.
        end_dim: The last one.

    Example:
        >>> flatten(ad.zeros((2, 3, 4)), 1).shape
        (2, 12)
    """
    return _core.flatten(input, start_dim, end_dim)


def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Cuts the axis `dim` into axes of the given sizes, one of which may be -1.

    Args:
        input: A tensor.
        dim: The axis.
        sizes: The new sizes.

    Raises:
        ShapeError: If the sizes do not make that of the axis.

    Example:
        >>> unflatten(ad.zeros((2, 12)), 1, (3, -1)).shape
        (2, 3, 4)
    """
    rank = input.ndim
    if not -rank <= dim < rank:
        raise ShapeError(f"unflatten: axis {dim} of a tensor of rank {rank}. Use -{rank} to {rank - 1}.")
    dim %= rank
    shape = input.shape
    given = 1
    for size in sizes:
        given *= size
    fits = given == shape[dim] if given >= 0 else sizes.count(-1) == 1 and given != 0 and shape[dim] % given == 0
    if not fits:
        raise ShapeError(
            f"unflatten: axis {dim} has {shape[dim]} elements, which sizes {tuple(sizes)} do not make. "
            "Give sizes whose product is that number; one may be -1."
        )
    return _core.reshape(input, (*shape[:dim], *sizes, *shape[dim + 1 :]))


def leaky_relu(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """`x` where x >= 0, else negative_slope * x.

    Args:
        input: A tensor.
        negative_slope: The factor of negative elements.

    Example:
        >>> leaky_relu(ad.tensor([-2.0, 1.0]), 0.5).tolist()
        [-1.0, 1.0]
    """
    return _core.leaky_relu(input, negative_slope)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """`x` where x >= 0, else weight * x, for a weight `[1]`, or `[channels]` along axis 1.

    Args:
        input: A tensor.
        weight: The factor of negative elements.

    Raises:
        ShapeError: If there is neither one weight nor one per channel.

    Example:
        >>> prelu(ad.tensor([-2.0, 1.0]), ad.tensor([0.5])).tolist()
        [-1.0, 1.0]
    """
    if weight.size != 1:
        channels = input.shape[1] if input.ndim > 1 else 1
        if weight.ndim != 1 or weight.size != channels:
            raise ShapeError(
                f"prelu: weight is {weight.shape} and input {input.shape}. "
                f"Use a weight of shape (1,) or ({channels},), the size of axis 1."
            )
        weight = _core.reshape(weight, (channels, *(1,) * (input.ndim - 2)))
    return _core.where(input >= 0, input, weight * input)


def elu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`x` where x > 0, else alpha * (exp(x) - 1).

    Args:
        input: A tensor.
        alpha: The limit for large negative elements, negated.

    Example:
        >>> elu(ad.tensor([0.0, 1.0])).tolist()
        [0.0, 1.0]
    """
    return _core.elu(input, alpha)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """`x * Phi(x)`, exactly or, with approximate="tanh", through tanh.

    Args:
        input: A tensor.
        approximate: "none" or "tanh".

    Raises:
        DomainError: If it is neither.

    Example:
        >>> gelu(ad.zeros(1)).tolist()
        [0.0]
    """
    if approximate not in ("none", "tanh"):
        raise DomainError(f"gelu: approximate is {approximate!r}. Use 'none' or 'tanh'.")
    return _core.gelu(input, approximate == "tanh")


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta * x)) / beta; x itself where beta * x > threshold.

    Args:
        input: A tensor.
        beta: The sharpness of the bend.
        threshold: Where the result passes into x itself.

    Example:
        >>> softplus(ad.tensor([50.0])).tolist()
        [50.0]
    """
    if beta == 1.0 and threshold == 20.0:
        return _core.softplus(input)
    scaled = input * beta
    return _core.where(scaled > threshold, input, _core.softplus(scaled) / beta)


def softmax(input: Tensor, dim: int = -1, dtype: DType | None = None) -> Tensor:
    """exp(x) / sum(exp(x)) along the axis `dim`.

    Args:
        input: A tensor.
        dim: The axis.
        dtype: What the input is converted to first.

    Example:
        >>> softmax(ad.zeros(2)).tolist()
        [0.5, 0.5]
    """
    return _core.softmax(input if dtype is None else input.astype(dtype), dim)


def log_softmax(input: Tensor, dim: int = -1, dtype: DType | None = None) -> Tensor:
    """`x - log(sum(exp(x)))` along the axis `dim`.

    Args:
        input: A tensor.
        dim: The axis.
        dtype: What the input is converted to first.

    Example:
        >>> log_softmax(ad.zeros(1)).tolist()
        [0.0]
    """
    return _core.log_softmax(input if dtype is None else input.astype(dtype), dim)


def dropout(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Zeroes elements with probability p and scales the others by 1 / (1 - p); nothing unless `training`.

    Args:
        input: A tensor.
        p: The probability of a zero.
        training: Whether anything is done.

    Raises:
        DomainError: If p is no probability.

    Example:
        >>> dropout(ad.ones(2), training=False).tolist()
        [1.0, 1.0]
    """
    share("dropout", p=p)
    if not training or p == 0.0:
        return input
    return _core.dropout(input, p)


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean(x)) / sqrt(var(x) + eps) * weight + bias over the last axes, whose sizes are `normalized_shape`.

    Args:
        input: A tensor `[..., *normalized_shape]`.
        normalized_shape: Sizes of the axes that are normalised together.
        weight: Factors of that shape.
        bias: Summands of that shape.
        eps: Added to the variance; keeps constant rows finite.

    Raises:
        ShapeError: If the input's last axes have other sizes.

    Example:
        >>> layer_norm(ad.ones((2, 3)), (3,)).tolist()[0]
        [0.0, 0.0, 0.0]
    """
    shape = tuple(normalized_shape)
    rank = len(shape)
    if rank == 0 or input.ndim < rank or input.shape[-rank:] != shape:
        raise ShapeError(
            f"layer_norm: input is {input.shape} and normalized_shape {shape}. "
            "The input's last axes must have those sizes, and there must be one at least."
        )
    return _core.layer_norm(input, rank, weight, bias, eps)


def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """weight[input]: rows of `weight` named by integers; the row `padding_idx` receives no gradient.

    Args:
        input: Integers of any shape.
        weight: A matrix `[rows, columns]`.
        padding_idx: A row, which may be counted from the end.

    Shape:
        result `[*input.shape, columns]`.

    Raises:
        OutOfRangeError: If there is no such row; the input's numbers do not count from the end.
        ShapeError: If `weight` is no matrix.

    Example:
        >>> embedding(ad.tensor([1, 0]), ad.tensor([[1.0], [2.0]])).tolist()
        [[2.0], [1.0]]
    """
    rows = _core.embedding(input, weight)
    if padding_idx is None or not weight.requires_grad:
        return rows
    if padding_idx < 0:
        padding_idx += weight.shape[0]
    return _core.where(_core.expand_dims(input == padding_idx, -1), rows.detach(), rows)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """int64 rows with a one at the label's place; -1 classes are the largest label's plus one (evaluates).

    Args:
        tensor: Labels of any shape.
        num_classes: The size of the new last axis.

    Raises:
        OutOfRangeError: If a label is not below it.

    Example:
        >>> one_hot(ad.tensor([0, 2])).tolist()
        [[1, 0, 0], [0, 0, 1]]
    """
    if num_classes == -1:
        num_classes = int(_core.max(tensor).item()) + 1 if tensor.size else 0
    return _core.one_hot(tensor, num_classes, dtype=_core.int64)
