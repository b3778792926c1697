"""Random programs over the whole table of operations, recorded as data, to be run on any device.

Depends on the table, NumPy and adret. A program is grown while the CPU runs it, so every choice is made once and from
values; a replay repeats the calls. Invariant: no replay stands near a jump of a function: what jumps takes leaves,
whose bits are equal everywhere, or values that keep clear of the jump.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import adret as ad
import numpy as np
from layouts import LAYOUTS, download, place, upload
from rows.record import EPSILON, FLOATS, Row, Values
from table import ROWS

LARGEST = 3000
CLEAR = 2e-2
# Casts are steps of their own, and a replay in float64 leaves them out. Integers here are small on every device.
UNUSED = {"astype", "isnan", "isinf", "isfinite"}
USED = [row for row in ROWS if row.name not in UNUSED]

Tensors = list[ad.Tensor]


@dataclass(frozen=True)
class Leaf:
    """Values that a program starts from."""

    values: np.ndarray
    dtype: str
    layout: str
    differentiable: bool


@dataclass(frozen=True)
class Step:
    """One call: its operands by number; the results get the next numbers.

    Attributes:
        call: Takes tensors, gives one or several; None asks for the operand's value.
        operands: Numbers of the operands.
        label: What it is, for reports.
        results: How many results it has.
        cast: The dtype of a cast, which a replay in float64 leaves out.
    """

    call: Callable[..., Any] | None
    operands: tuple[int, ...]
    label: str
    results: int = 0
    cast: str = ""


@dataclass
class Value:
    """What is known of a value while the program grows.

    Attributes:
        values: From the run on the CPU, as float64 for floats.
        dtype: Its dtype there.
        exact: Whether its bits are equal on all devices.
        coarse: The largest unit of rounding on the way to it.
    """

    values: np.ndarray
    dtype: str
    exact: bool
    coarse: float

    @property
    def real(self) -> bool:
        """Whether it is of a floating-point dtype."""
        return self.dtype in FLOATS


@dataclass
class Program:
    """A program that grows.

    Attributes:
        seed: Decides everything.
        dtypes: Floating-point dtypes of leaves and casts.
    """

    seed: int
    dtypes: tuple[str, ...] = ("float32",)
    plan: list[Leaf | Step] = field(default_factory=list)
    known: list[Value] = field(default_factory=list)
    tensors: Tensors = field(default_factory=list)

    def __post_init__(self) -> None:
        """Two leaves to start with."""
        self.rng = np.random.default_rng(self.seed)
        for _ in range(2):
            self.leaf(self.shape(), Values(-2, 2))

    # Growing

    def shape(self) -> tuple[int, ...]:
        """A small shape, seldom a larger one."""
        largest = 40 if self.rng.random() < 0.1 else 6
        return tuple(int(size) for size in self.rng.integers(1, largest, size=int(self.rng.integers(0, 4))))

    def choose(self, items: Sequence[Any]) -> Any:
        """One of the items."""
        return items[int(self.rng.integers(len(items)))]

    def leaf(self, shape: tuple[int, ...], domain: Values, dtype: str = "") -> int:
        """New values of a domain, in some layout."""
        dtype = {"int64": "int32", "uint64": "uint32"}.get(domain.fixed or "", domain.fixed or dtype)
        dtype = dtype or self.choose(self.dtypes)
        layout = self.choose(LAYOUTS) if self.rng.random() < 0.4 and not domain.distinct else "contiguous"
        values = place(domain.sample(self.rng, shape, dtype), dtype, layout)[1]
        leaf = Leaf(np.array(values), dtype, layout, dtype in FLOATS and not domain.constant)
        self.plan.append(leaf)
        self.tensors.append(uploaded(leaf, dtype, "cpu"))
        self.known.append(Value(values, dtype, True, EPSILON.get(dtype, 0.0)))
        return len(self.known) - 1

    def step(self, label: str, call: Callable[..., Any], operands: Sequence[int], jumps: bool, cast: str = "") -> bool:
        """Adds a call, if its results are fit to go on with; `jumps` means that only equal bits give equal results."""
        exact = all(self.known[number].exact for number in operands)
        result = call(*(self.tensors[number] for number in operands))
        results = [*result] if isinstance(result, tuple | list) else [result]
        if not results:
            return False
        coarse = max((self.known[number].coarse for number in operands), default=0.0)
        found = []
        for tensor in results:
            dtype = tensor.dtype.name
            values = download(tensor)
            values = values.astype(np.float64) if dtype in FLOATS else values
            if not np.isfinite(values).all() or values.size > LARGEST or (values.size and np.abs(values).max() > 2e4):
                return False
            if dtype not in FLOATS and not exact:
                return False
            same = exact and (dtype not in FLOATS or jumps)
            found.append(Value(values, dtype, same, max(coarse, EPSILON.get(dtype, 0.0))))
        self.plan.append(Step(call, tuple(operands), label, len(found), cast))
        self.tensors += results
        self.known += found
        for number in range(len(self.known) - len(found), len(self.known)):
            self.bound(number)
        return True

    def bound(self, number: int) -> None:
        """Follows a large value by a smaller one, so that rounding does not grow."""
        value = self.known[number]
        if not value.values.size or value.dtype == "bool":
            return
        largest = float(np.abs(value.values).max())
        if value.real and largest > 8:
            power = 2.0 ** -int(np.ceil(np.log2(largest)))
            self.step(f"x * {power}", lambda x: x * power, (number,), False)
        elif not value.real and largest > 100:
            self.step("x % 17", lambda x: x % 17, (number,), True)

    def pick(self, test: Callable[[Value], bool]) -> int | None:
        """A value that passes, a young one rather than an old one."""
        fitting = [number for number, value in enumerate(self.known) if test(value)]
        if not fitting:
            return None
        return fitting[-min(int(self.rng.geometric(0.3)), len(fitting))]

    def grow(self) -> None:
        """One more step, or a few that belong together."""
        kinds = (self.row, self.row, self.row, self.unary, self.binary, self.binary, self.view, self.view)
        kinds += (self.fold, self.product, self.write, self.cast, self.touch, self.condition)
        self.choose(kinds)()

    def row(self) -> None:
        """A row of the table, its operands fitted from what is there or new."""
        row: Row = self.choose(USED)
        dtypes = [dtype for dtype in (*self.dtypes, "int32", "int16", "uint8", "bool") if dtype in row.dtypes]
        if not dtypes:
            return
        dtype = self.choose(dtypes) if self.rng.random() < 0.3 else dtypes[0]
        shapes = self.choose(row.shapes)
        if sum(int(np.prod(shape)) for shape in shapes) > LARGEST:
            return
        operands = [self.operand(row, *pair, dtype) for pair in zip(row.inputs, shapes, strict=True)]
        self.step(f"{row.label} {dtype} {shapes}", row.call, operands, not row.gradient)

    def operand(self, row: Row, domain: Values, shape: tuple[int, ...], dtype: str) -> int:
        """An operand in the domain of a row: an old value, bent to it, or a leaf."""
        wanted = domain.fixed or dtype
        if self.rng.random() < 0.3 or wanted not in FLOATS or not row.gradient or 0 in shape:
            return self.leaf(shape, domain, dtype)
        number = self.pick(lambda value: value.real and value.dtype == wanted and value.values.size > 1)
        if number is None:
            return self.leaf(shape, domain, dtype)
        first, count = len(self.known), int(np.prod(shape))
        size = self.known[number].values.size
        copies, start = -(-count // size), int(self.rng.integers(0, max(size - count, 0) + 1))
        middle, half = (domain.high + domain.low) / 2, 0.45 * (domain.high - domain.low)

        def bend(x: ad.Tensor) -> ad.Tensor:
            flat = ad.reshape(x, (-1,))
            flat = ad.tile(flat, (copies,)) if copies > 1 else flat
            return ad.sin(ad.reshape(flat[start : start + count], shape)) * half + middle

        if not self.step(f"bend to {shape} in [{domain.low}, {domain.high}]", bend, (number,), False):
            return self.leaf(shape, domain, dtype)
        values = self.known[first].values
        near = any(np.abs(values - point).min() < CLEAR for point in domain.away)
        near |= domain.distinct and values.size > 1 and np.diff(np.sort(values, axis=None)).min() < CLEAR / 10
        return self.leaf(shape, domain, dtype) if near else first

    def unary(self) -> None:
        """A function of one operand, which may be smooth or bent."""
        number = self.pick(lambda value: value.real)
        assert number is not None
        near = np.abs(self.known[number].values).min(initial=1.0) < CLEAR and not self.known[number].exact
        name, call = self.choose(_SMOOTH if near else _SMOOTH + _BENT)
        self.step(name, call, (number,), False)

    def binary(self) -> None:
        """A function of two operands that broadcast."""
        number = self.pick(lambda value: value.real)
        assert number is not None
        value = self.known[number]
        other = self.pick(lambda v: v.dtype == value.dtype and _broadcasts(v.values.shape, value.values.shape))
        if other is None or self.rng.random() < 0.3:
            shape = tuple(1 if self.rng.random() < 0.4 else size for size in value.values.shape)
            other = self.leaf(shape[int(self.rng.integers(0, len(shape) + 1)) :], Values(-2, 2), value.dtype)
        apart = np.abs(value.values - self.known[other].values).min(initial=1.0) > CLEAR
        name, call = self.choose(_PAIRS + (_BENT_PAIRS if apart else []))
        self.step(name, call, (number, other) if self.rng.random() < 0.5 else (other, number), False)

    def view(self) -> None:
        """Elements in other places."""
        number = self.pick(lambda value: value.values.ndim > 0 and value.values.size > 0)
        if number is None:
            return
        shape = self.known[number].values.shape
        rank, axis = len(shape), int(self.rng.integers(len(shape)))
        kind = self.choose(("pad", "flip", "slice", "permute", "reshape", "expand", "roll", "concat", "index"))
        widths = [(int(a), int(b)) for a, b in self.rng.integers(0, 3, size=(rank, 2))]
        axes = tuple(int(a) for a in self.rng.permutation(rank))
        start, step = int(self.rng.integers(0, shape[axis])), int(self.choose([1, 2, 3, -1, -2]))
        key = (*[slice(None)] * axis, slice(start, None, step))
        factors = _factors(int(np.prod(shape)), self.rng)
        wider = (int(self.rng.integers(1, 4)), *shape)
        shift, place_of = int(self.rng.integers(-3, 4)), (*[slice(None)] * axis, int(self.rng.integers(shape[axis])))
        calls: dict[str, Callable[[ad.Tensor], Any]] = {
            "pad": lambda x: ad.pad(x, widths),
            "flip": lambda x: ad.flip(x, axis=axis),
            "slice": lambda x: x[key],
            "permute": lambda x: ad.permute_dims(x, axes),
            "reshape": lambda x: ad.reshape(x, factors),
            "expand": lambda x: ad.broadcast_to(x, wider),
            "roll": lambda x: ad.roll(x, shift, axis=axis),
            "concat": lambda x: ad.concat([x, ad.flip(x, axis=axis)], axis=axis),
            "index": lambda x: x[place_of],
        }
        self.step(f"{kind} of {shape}", calls[kind], (number,), True)

    def fold(self) -> None:
        """A reduction over some axes, or along one."""
        number = self.pick(lambda value: value.real and value.values.ndim > 0 and value.values.size > 0)
        if number is None:
            return
        rank, keep = self.known[number].values.ndim, bool(self.rng.random() < 0.5)
        axes = tuple(axis for axis in range(rank) if self.rng.random() < 0.5)
        axis = int(self.rng.integers(rank))
        name = self.choose(("sum", "mean", "var", "logsumexp", "softmax", "log_softmax", "cumsum", "norm"))
        if name in ("softmax", "log_softmax", "cumsum"):
            self.step(f"{name} along {axis}", lambda x: getattr(ad, name)(x, axis=axis), (number,), False)
        elif name == "norm":
            self.step(f"norm {axes}", lambda x: ad.sqrt((x * x).sum(axis=axes, keepdims=keep) + 0.1), (number,), False)
        else:
            call = getattr(ad, name)
            self.step(f"{name} {axes} {keep}", lambda x: call(x, axis=axes, keepdims=keep), (number,), False)

    def product(self) -> None:
        """A product of matrices, with a new factor or with itself."""
        number = self.pick(lambda value: value.real and value.values.ndim > 0 and value.values.size > 0)
        if number is None:
            return
        value = self.known[number]
        if self.rng.random() < 0.25 and value.values.ndim >= 2:
            self.step("x @ x.mT", lambda x: x @ x.mT * 0.3, (number,), False)
            return
        columns = int(self.rng.integers(1, 40 if self.rng.random() < 0.2 else 7))
        shape = (value.values.shape[-1], columns)
        if self.rng.random() < 0.3:
            self.step(
                "x @ w.T", lambda x, w: x @ w.T, (number, self.leaf(shape[::-1], Values(-1, 1), value.dtype)), False
            )
        else:
            self.step("x @ w", lambda x, w: x @ w, (number, self.leaf(shape, Values(-1, 1), value.dtype)), False)

    def write(self) -> None:
        """A part of a value written over."""
        number = self.pick(lambda value: value.real and value.values.ndim > 0 and value.values.size > 0)
        if number is None:
            return
        value = self.known[number]
        size = value.values.shape[0]
        start = int(self.rng.integers(size))
        key: Any = self.choose([slice(start, None), slice(None, None, 2), start, slice(None, None, -1)])
        part = self.leaf(value.values[key].shape, Values(-2, 2), value.dtype)
        added = bool(self.rng.random() < 0.3)

        def written(x: ad.Tensor, part: ad.Tensor) -> ad.Tensor:
            x, part = x * 1.0, part.astype(x.dtype)
            if added:
                x[key] += part
            else:
                x[key] = part
            return x

        self.step(f"x[{key}] {'+=' if added else '='} part", written, (number, part), False)

    def cast(self) -> None:
        """To another floating-point dtype."""
        number, dtype = self.pick(lambda value: value.real), self.choose(self.dtypes)
        assert number is not None
        if self.known[number].dtype != dtype:
            self.step(f"astype {dtype}", lambda x: ad.astype(x, getattr(ad, dtype)), (number,), False, dtype)

    def touch(self) -> None:
        """Asks for a value on the way."""
        self.plan.append(Step(None, (int(self.rng.integers(len(self.known))),), "eval"))

    def condition(self) -> None:
        """A choice by a comparison of leaves."""
        number = self.pick(lambda value: value.real)
        assert number is not None
        value = self.known[number]
        left, right = (self.leaf(value.values.shape, Values(-2, 2), value.dtype) for _ in range(2))
        call = lambda a, b, x: ad.where(a > b, x, a * 2.0)
        self.step("where(a > b, x, 2 a)", call, (left, right, number), False)

    # Running

    def inputs(self, device: str, wide: bool = False) -> Tensors:
        """The leaves on a device; `wide` takes float64 for every float."""
        leaves = [entry for entry in self.plan if isinstance(entry, Leaf)]
        return [uploaded(leaf, "float64" if wide and leaf.dtype in FLOATS else leaf.dtype, device) for leaf in leaves]

    def run(self, leaves: Tensors, wide: bool, touches: bool) -> Tensors:
        """All values; `wide` leaves casts out, `touches` asks for values on the way."""
        made: Tensors = []
        source = iter(leaves)
        for entry in self.plan:
            if isinstance(entry, Leaf):
                made.append(next(source))
            elif entry.call is None:
                if touches:
                    ad.eval(made[entry.operands[0]].detach())
            elif entry.cast and wide:
                made.append(made[entry.operands[0]])
            else:
                result = entry.call(*(made[number] for number in entry.operands))
                made += result if isinstance(result, tuple | list) else [result]
        return made

    def outputs(self) -> list[int]:
        """Numbers of the values that are asked for: the last ones and some others."""
        rng = np.random.default_rng([self.seed, 1])
        count = len(self.known)
        return sorted({count - 1, *(int(number) for number in rng.integers(0, count, size=4))})

    def work(self, wide: bool = False, touches: bool = True) -> Callable[..., tuple[Tensors, Tensors]]:
        """A function of the leaves that gives the outputs, and gradients of the sum of their squares' means."""
        numbers = self.outputs()
        differentiable = [entry.differentiable for entry in self.plan if isinstance(entry, Leaf)]

        def call(*given: ad.Tensor) -> tuple[Tensors, Tensors]:
            leaves = [x.detach().requires_grad_(free) for x, free in zip(given, differentiable, strict=True)]
            made = self.run(leaves, wide, touches)
            chosen = [made[number] for number in numbers]
            del made
            standard = ad.float64 if wide else ad.float32
            reals = [tensor.astype(standard) for tensor in chosen if tensor.requires_grad]
            gradients: Tensors = []
            if reals:
                sum(
                    ((tensor * tensor).sum() / max(tensor.size, 1) for tensor in reals), start=reals[0].sum()
                ).backward()
                gradients = [leaf.grad for leaf in leaves if leaf.grad is not None]
            return [tensor.detach() for tensor in chosen], gradients

        return call

    def text(self) -> str:
        """The program as lines."""
        lines, number = [], 0
        for entry in self.plan:
            if isinstance(entry, Leaf):
                lines.append(f"{number}: leaf {entry.dtype} {entry.values.shape} {entry.layout}")
                number += 1
            else:
                lines.append(f"{number}: {entry.label} of {entry.operands}")
                number += entry.results
        return "\n".join(lines)


def uploaded(leaf: Leaf, dtype: str, device: str) -> ad.Tensor:
    """A leaf as a tensor in its layout; a contiguous one is still on its way to the device."""
    if leaf.layout == "contiguous":
        return upload(leaf.values, dtype, device)
    return place(leaf.values, dtype, leaf.layout, device)[0]


def grown(seed: int, dtypes: tuple[str, ...], steps: int = 10) -> Program:
    """A program of some steps."""
    program = Program(seed, dtypes)
    for _ in range(steps):
        program.grow()
    return program


def values_of(results: tuple[Tensors, Tensors]) -> list[np.ndarray]:
    """Outputs and gradients as arrays, evaluated together."""
    tensors = [*results[0], *results[1]]
    ad.eval(*tensors)
    return [download(tensor) for tensor in tensors]


def problems(
    program: Program, found: list[np.ndarray], expected: list[np.ndarray], exact: list[np.ndarray]
) -> list[str]:
    """Which results differ from the CPU's by more than rounding explains.

    Args:
        program: The program.
        found: What a device computed.
        expected: What the CPU computed in the same dtypes.
        exact: The same in float64: how far the CPU is from that shows what rounding does to this program.
    """
    numbers, wrong = program.outputs(), []
    if len(found) != len(expected):
        return [f"{len(found)} results, expected {len(expected)}"]
    coarsest = max(value.coarse for value in program.known)
    for place_of, (got, cpu, reference) in enumerate(zip(found, expected, exact, strict=True)):
        is_output = place_of < len(numbers)
        name = f"output {numbers[place_of]}" if is_output else f"gradient {place_of - len(numbers)}"
        if got.shape != cpu.shape:
            wrong.append(f"{name}: shape {got.shape}, expected {cpu.shape}")
            continue
        value = program.known[numbers[place_of]] if is_output else None
        if value is not None and (value.exact or not value.real):
            if not np.array_equal(got, cpu.astype(got.dtype)):
                wrong.append(f"{name}: {np.count_nonzero(got != cpu)} of {got.size} differ, exact values")
            continue
        a, b, c = (array.astype(np.float64) for array in (got, cpu, reference))
        unit = coarsest if value is None else value.coarse
        allowed = 24 * np.abs(b - c).max(initial=0) + 24 * unit * np.abs(c).max(initial=0) + 1e-30
        distance = np.abs(a - b)
        if not (distance <= allowed).all():
            at = np.unravel_index(int(np.nanargmax(np.where(np.isnan(distance), np.inf, distance))), distance.shape)
            wrong.append(f"{name} {got.shape} at {at}: {a[at]}, CPU {b[at]}, in float64 {c[at]}, allowed {allowed:.1e}")
    return wrong


_SMOOTH: list[tuple[str, Callable[[ad.Tensor], ad.Tensor]]] = [
    ("tanh", ad.tanh),
    ("sin", ad.sin),
    ("sigmoid", ad.sigmoid),
    ("exp(-x x)", lambda x: ad.exp(-(x * x))),
    ("x / 2 - 1 / 4", lambda x: x * 0.5 - 0.25),
    ("log1p(x x)", lambda x: ad.log1p(x * x)),
    ("gelu", ad.gelu),
    ("x * x", lambda x: x * x),
    ("-x", ad.negative),
]
_BENT: list[tuple[str, Callable[[ad.Tensor], ad.Tensor]]] = [
    ("relu", ad.relu),
    ("abs", ad.abs),
    ("leaky_relu", lambda x: ad.leaky_relu(x, 0.1)),
    ("1 / x", lambda x: 1.0 / ad.where(ad.abs(x) > 0.01, x, 1.0)),
]
_PAIRS: list[tuple[str, Callable[[ad.Tensor, ad.Tensor], ad.Tensor]]] = [
    ("a + b", ad.add),
    ("a - b", ad.subtract),
    ("a * b", ad.multiply),
    ("a / (b b + 1)", lambda a, b: a / (b * b + 1.0)),
]
_BENT_PAIRS: list[tuple[str, Callable[[ad.Tensor, ad.Tensor], ad.Tensor]]] = [
    ("maximum", ad.maximum),
    ("minimum", ad.minimum),
]


def _broadcasts(left: tuple[int, ...], right: tuple[int, ...]) -> bool:
    return all(a == b or a == 1 or b == 1 for a, b in zip(reversed(left), reversed(right), strict=False))


def _factors(count: int, rng: np.random.Generator) -> tuple[int, ...]:
    """A shape with that many elements."""
    shape = []
    for factor in (2, 3, 5, 7):
        while count % factor == 0 and count > 1 and rng.random() < 0.7:
            shape.append(factor)
            count //= factor
    return tuple(int(size) for size in rng.permutation([*shape, count]))
