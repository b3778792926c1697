"""Random graphs, built at once from tensors and from NumPy's float64 arrays.

Depends on adret and NumPy. Invariant: the same seed gives the same graph, whatever is evaluated on the way; values stay
small enough that rounding does not grow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import adret as ad
import numpy as np

_UNARY: list[tuple[Callable, Callable]] = [
    (ad.tanh, np.tanh),
    (ad.sin, np.sin),
    (ad.abs, np.abs),
    (ad.negative, np.negative),
    (ad.relu, lambda x: np.maximum(x, 0)),
    (ad.sigmoid, lambda x: 1 / (1 + np.exp(-x))),
    (lambda x: ad.exp(-(x * x)), lambda x: np.exp(-(x * x))),
    (lambda x: ad.sqrt(ad.abs(x) + 0.5), lambda x: np.sqrt(np.abs(x) + 0.5)),
    (lambda x: x * 0.5 - 0.25, lambda x: x * 0.5 - 0.25),
    (lambda x: ad.log1p(x * x), lambda x: np.log1p(x * x)),
    (lambda x: ad.clip(x, -0.7, 0.9), lambda x: np.clip(x, -0.7, 0.9)),
]
_BINARY: list[tuple[Callable, Callable]] = [
    (ad.add, np.add),
    (ad.subtract, np.subtract),
    (ad.multiply, np.multiply),
    (ad.maximum, np.maximum),
    (lambda a, b: a / (b * b + 1.0), lambda a, b: a / (b * b + 1.0)),
    (lambda a, b: ad.where(a > 0.123, b, a * 2.0), lambda a, b: np.where(a > 0.123, b, a * 2.0)),
]


@dataclass
class Graph:
    """A graph under construction.

    Attributes:
        seed: Decides everything.
        dtype: The tensors' dtype.
        largest: Largest size of an axis.
        touch: Called with every new tensor: a place to evaluate some of them.
        requires_grad: Whether leaves require grad.
        device: Where the tensors live.
        casts: Whether there are nodes that have no derivative.
        leaves: Tensors with gradients, in order.
        pairs: Every tensor with its reference.
    """

    seed: int
    dtype: str = "float64"
    largest: int = 7
    touch: Callable[[int, ad.Tensor], None] | None = None
    requires_grad: bool = False
    device: str = "cpu"
    casts: bool = True
    leaves: list[ad.Tensor] = field(default_factory=list)
    pairs: list[tuple[ad.Tensor, np.ndarray]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def leaf(self, shape: tuple[int, ...]) -> int:
        values = self.rng.uniform(-1, 1, size=shape).astype(self.dtype)
        tensor = ad.tensor(values, device=self.device, requires_grad=self.requires_grad)
        self.leaves.append(tensor)
        self.pairs.append((tensor, values.astype(np.float64)))
        return len(self.pairs) - 1

    def push(self, tensor: ad.Tensor, values: np.ndarray) -> None:
        assert tensor.shape == values.shape, (tensor.shape, values.shape)
        if values.size and np.abs(values).max() > 20:
            tensor, values = ad.tanh(tensor * 0.1), np.tanh(values * 0.1)
        self.pairs.append((tensor, values))
        if self.touch is not None:
            self.touch(len(self.pairs) - 1, tensor)

    def pick(self) -> tuple[ad.Tensor, np.ndarray]:
        """A tensor, a young one rather than an old one."""
        back = min(int(self.rng.geometric(0.35)), len(self.pairs))
        return self.pairs[-back]

    def sizes(self) -> tuple[int, ...]:
        rank = int(self.rng.integers(0, 4))
        return tuple(int(size) for size in self.rng.integers(1, self.largest, size=rank))

    def grow(self) -> None:
        """One more node or a few."""
        steps = (
            self.unary,
            self.unary,
            self.binary,
            self.binary,
            self.view,
            self.view,
            self.reduce,
            self.matmul,
            self.cast,
        )
        steps[int(self.rng.integers(len(steps)))]()

    def unary(self) -> None:
        function, reference = _UNARY[int(self.rng.integers(len(_UNARY)))]
        tensor, values = self.pick()
        self.push(function(tensor), reference(values))

    def binary(self) -> None:
        function, reference = _BINARY[int(self.rng.integers(len(_BINARY)))]
        tensor, values = self.pick()
        fitting = [n for n, (_, other) in enumerate(self.pairs) if _broadcasts(values.shape, other.shape)]
        if self.rng.random() < 0.3:
            shape = tuple(1 if self.rng.random() < 0.4 else size for size in values.shape)
            fitting = [self.leaf(shape[int(self.rng.integers(0, len(shape) + 1)) :])]
        other = self.pairs[fitting[int(self.rng.integers(len(fitting)))]]
        left, right = ((tensor, values), other) if self.rng.random() < 0.5 else (other, (tensor, values))
        if np.prod(np.broadcast_shapes(left[1].shape, right[1].shape)) > 300_000:
            return
        self.push(function(left[0], right[0]), reference(left[1], right[1]))

    def view(self) -> None:
        tensor, values = self.pick()
        kinds = ("pad", "flip", "slice", "permute", "reshape", "expand", "roll", "concat")
        kind = kinds[int(self.rng.integers(len(kinds)))]
        rank = values.ndim
        if rank == 0:
            kind = "expand"
        axis = int(self.rng.integers(rank)) if rank else 0
        if kind == "pad" and values.size < 100_000:
            widths = [(int(a), int(b)) for a, b in self.rng.integers(0, 3, size=(rank, 2))]
            self.push(ad.pad(tensor, widths), np.pad(values, widths))
        elif kind == "flip":
            self.push(ad.flip(tensor, axis=axis), np.flip(values, axis))
        elif kind == "slice":
            key = [slice(None)] * rank
            start, step = int(self.rng.integers(0, max(values.shape[axis] // 2, 1))), int(self.rng.choice([1, 2, -1]))
            key[axis] = slice(start, None, step) if step > 0 else slice(None, start or None, step)
            if values[tuple(key)].size:
                self.push(tensor[tuple(key)], values[tuple(key)])
        elif kind == "permute":
            axes = tuple(int(a) for a in self.rng.permutation(rank))
            self.push(ad.permute_dims(tensor, axes), values.transpose(axes))
        elif kind == "reshape":
            shape = (-1,) if self.rng.random() < 0.4 else _factors(values.size, self.rng)
            self.push(ad.reshape(tensor, shape), values.reshape(shape))
        elif kind == "roll":
            shift = int(self.rng.integers(-3, 4))
            self.push(ad.roll(tensor, shift, axis=axis), np.roll(values, shift, axis))
        elif kind == "concat" and values.size < 100_000:
            self.push(ad.concat([tensor, tensor * 0.5], axis=axis), np.concatenate([values, values * 0.5], axis))
        elif values.size < 50_000:
            shape = (int(self.rng.integers(1, 4)), *values.shape)
            self.push(ad.broadcast_to(tensor, shape), np.broadcast_to(values, shape))

    def reduce(self) -> None:
        tensor, values = self.pick()
        axes = tuple(a for a in range(values.ndim) if self.rng.random() < 0.5)
        keep = bool(self.rng.random() < 0.5)
        kind = ("sum", "mean", "max", "min", "var", "softmax", "logsumexp")[int(self.rng.integers(7))]
        if kind == "softmax":
            if values.ndim:
                weights = np.exp(values - values.max(-1, keepdims=True))
                self.push(ad.softmax(tensor, axis=-1), weights / weights.sum(-1, keepdims=True))
            return
        if kind == "logsumexp":
            reference = np.log(np.exp(values).sum(axis=axes, keepdims=keep))
            self.push(ad.logsumexp(tensor, axis=axes, keepdims=keep), reference)
            return
        scale = 1.0 / max(values.size, 1) if kind == "sum" else 1.0
        result = getattr(ad, kind)(tensor, axis=axes, keepdims=keep) * scale
        self.push(result, np.asarray(getattr(np, kind)(values, axis=axes, keepdims=keep)) * scale)

    def matmul(self) -> None:
        tensor, values = self.pick()
        if values.ndim < 1 or values.size > 50_000:
            return
        if self.rng.random() < 0.3 and values.ndim >= 2:
            self.push(tensor @ tensor.mT * 0.3, values @ np.swapaxes(values, -1, -2) * 0.3)
            return
        number = self.leaf((values.shape[-1], int(self.rng.integers(1, self.largest))))
        weight, weights = self.pairs[number]
        self.push(tensor @ weight * 0.5, values @ weights * 0.5)

    def cast(self) -> None:
        tensor, values = self.pick()
        if not self.casts:
            return
        if self.rng.random() < 0.5:
            self.push(ad.astype(tensor > 0.0517, self.dtype), (values > 0.0517).astype(np.float64))
        else:
            near = values.astype(np.float32).astype(np.float64)
            # The reference is rounded as well, so that the rounding itself is compared.
            self.push(ad.astype(ad.astype(tensor, "float32"), self.dtype), near)


def _broadcasts(left: tuple[int, ...], right: tuple[int, ...]) -> bool:
    return all(a == b or a == 1 or b == 1 for a, b in zip(reversed(left), reversed(right), strict=False))


def _factors(count: int, rng: np.random.Generator) -> tuple[int, ...]:
    """A shape with that many elements."""
    shape = []
    for factor in (2, 3, 5, 7):
        while count % factor == 0 and count > 1 and rng.random() < 0.7:
            shape.append(factor)
            count //= factor
    shape.append(count)
    return tuple(int(size) for size in rng.permutation(shape))


def build(seed: int, nodes: int = 24, **settings) -> tuple[Graph, list[tuple[ad.Tensor, np.ndarray]]]:
    """A graph and some of its nodes as outputs; the handles of the others are dropped."""
    graph = Graph(seed, **settings)
    for _ in range(int(graph.rng.integers(1, 4))):
        graph.leaf(graph.sizes())
    for _ in range(nodes):
        graph.grow()
    count = int(graph.rng.integers(1, 5))
    chosen = sorted({int(n) for n in graph.rng.integers(0, len(graph.pairs), size=count)} | {len(graph.pairs) - 1})
    outputs = [graph.pairs[number] for number in chosen]
    graph.pairs.clear()
    return graph, outputs


def values_of(outputs: list[tuple[ad.Tensor, np.ndarray]]) -> list[np.ndarray]:
    """The outputs' values, evaluated together."""
    tensors = [tensor.detach() for tensor, _ in outputs]
    ad.eval(*tensors)
    return [tensor.numpy() for tensor in tensors]
