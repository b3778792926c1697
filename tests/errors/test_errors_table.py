"""The table of mistakes: which exception, what it says, and that nothing is harmed.

Depends on adret and NumPy. Every message names the operation, the values, and what to do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import adret as ad
import numpy as np
import pytest
from adret import nn, optim

BUILTIN = {
    "ShapeError": ValueError,
    "DTypeError": TypeError,
    "DeviceError": RuntimeError,
    "OutOfRangeError": IndexError,
    "DomainError": ValueError,
    "GradError": RuntimeError,
    "FileFormatError": ValueError,
    "OutOfMemoryError": MemoryError,
}


@dataclass(frozen=True)
class Mistake:
    """A call that must raise.

    Attributes:
        name: For the report.
        call: The mistake.
        kind: Name of the exception, without the module; a builtin for what is no tensor at all.
        says: Parts of the message: the operation, the values, the hint.
    """

    name: str
    call: Callable[[], object]
    kind: str
    says: tuple[str, ...] = field(default=())


def t(*shape: int, dtype: str = "float32") -> ad.Tensor:
    """A tensor of zeros."""
    return ad.zeros(shape, dtype=dtype)


def used_up() -> None:
    w = ad.tensor([1.0], requires_grad=True)
    loss = (w * w).sum()
    loss.backward()
    loss.backward()


def leaf() -> ad.Tensor:
    return ad.tensor([1.0, 2.0], requires_grad=True)


def loaded(state: dict) -> None:
    nn.Linear(3, 2).load_state_dict(state)


MISTAKES = [
    # Shapes.
    Mistake("add", lambda: t(2, 3) + t(4), "ShapeError", ("add", "(2, 3)", "(4,)", "3", "4")),
    Mistake(
        "matmul",
        lambda: t(32, 784) @ t(128, 784),
        "ShapeError",
        ("matmul", "(32, 784)", "(128, 784)", "784", "128", ".T"),
    ),
    Mistake("matmul of 0-d", lambda: ad.matmul(t(), t(2)), "ShapeError", ("matmul",)),
    Mistake("matmul, batches", lambda: t(2, 3, 4) @ t(5, 4, 2), "ShapeError", ("matmul", "2", "5")),
    Mistake("clip", lambda: ad.clip(t(2, dtype="uint8"), -1, 3), "DomainError", ("clip", "-1", "uint8", "255")),
    Mistake(
        "axis of a wrong kind", lambda: ad.sum(t(2), axis=1.0), "DTypeError", ("1.0", "float", "an int or a tuple")
    ),
    Mistake("axes of a wrong kind", lambda: t(2, 2).sum(axis=(0, "a")), "DTypeError", ("'a'", "str", "an int")),
    Mistake("axis beyond 64 bits", lambda: ad.sum(t(2), axis=2**70), "OutOfRangeError", (str(2**70), "64 bits")),
    Mistake("one axis of a wrong kind", lambda: ad.softmax(t(2), axis=1.5), "DTypeError", ("1.5", "float", "an int")),
    Mistake("concat along a float", lambda: ad.concat([t(2)], axis=0.0), "DTypeError", ("0.0", "float", "an int")),
    Mistake("size of a wrong kind", lambda: ad.zeros(2.5), "DTypeError", ("2.5", "float", "an int or a tuple")),
    Mistake("shape of text", lambda: ad.zeros("ab"), "DTypeError", ("'ab'", "str", "an int or a tuple")),
    Mistake("no shape", lambda: ad.zeros(None), "DTypeError", ("None", "an int or a tuple")),
    Mistake("size beyond 64 bits", lambda: ad.full(2**70, 1), "ShapeError", (str(2**70), "smaller sizes")),
    Mistake("sizes beyond 64 bits", lambda: ad.zeros((2, 2**70)), "ShapeError", (str(2**70), "smaller sizes")),
    Mistake("roll beyond 64 bits", lambda: ad.roll(t(2), 2**70), "OutOfRangeError", (str(2**70), "smaller number")),
    Mistake("count of a wrong kind", lambda: ad.eye(2.5), "DTypeError", ("2.5", "float", "an int")),
    Mistake("count beyond 64 bits", lambda: ad.repeat(t(2), 2**70), "OutOfRangeError", (str(2**70), "64 bits")),
    Mistake("long text as a size", lambda: ad.zeros("ä" * 99), "DTypeError", ("ä" * 39 + "…",)),
    Mistake("format", lambda: f"{t(2):.3f}", "DTypeError", ("format", "(2,)", ".3f", "tolist")),
    Mistake("linear", lambda: ad.linear(t(2, 3), t(4, 5)), "ShapeError", ("linear", "3", "5")),
    Mistake("reshape", lambda: ad.reshape(t(2, 3), (4, 2)), "ShapeError", ("reshape", "(2, 3)", "(4, 2)", "6")),
    Mistake("reshape, two −1", lambda: ad.reshape(t(2, 3), (-1, -1)), "ShapeError", ("reshape", "-1")),
    Mistake("reshape, no fit", lambda: ad.reshape(t(2, 3), (4, -1)), "ShapeError", ("reshape", "(2, 3)", "4")),
    Mistake(
        "broadcast_to", lambda: ad.broadcast_to(t(2, 3), (2, 4)), "ShapeError", ("broadcast_to", "(2, 3)", "(2, 4)")
    ),
    Mistake("concat", lambda: ad.concat([t(2, 3), t(3, 3)], axis=1), "ShapeError", ("concat", "2", "3")),
    Mistake("concat of nothing", lambda: ad.concat([]), "DomainError|ShapeError", ("concat",)),
    Mistake("stack", lambda: ad.stack([t(2), t(3)]), "ShapeError", ("stack", "2", "3")),
    Mistake("split", lambda: ad.split(t(5), 2), "ShapeError|DomainError", ("split", "5", "2")),
    Mistake("squeeze", lambda: ad.squeeze(t(2, 3), 0), "ShapeError", ("squeeze", "2", "0")),
    Mistake("where", lambda: ad.where(t(2, dtype="bool"), t(3), t(3)), "ShapeError", ("where", "2", "3")),
    Mistake("pad", lambda: ad.pad(t(2, 3), ((1, 1),)), "ShapeError|DomainError", ("pad", "2")),
    Mistake("T of a cube", lambda: t(2, 3, 4).T, "ShapeError", ("T", "(2, 3, 4)", "mT")),
    Mistake("negative size", lambda: ad.zeros((2, -1)), "ShapeError", ("-1",)),
    Mistake("ragged list", lambda: ad.tensor([[1, 2], [3]]), "ShapeError", ("ragged", "[1]", "1", "2")),
    Mistake("list and number", lambda: ad.tensor([[1, 2], 3]), "ShapeError", ("ragged", "[1]")),
    Mistake("mse_loss", lambda: ad.mse_loss(t(3), t(4)), "ShapeError", ("mse_loss", "3", "4")),
    Mistake(
        "cross_entropy",
        lambda: ad.cross_entropy(t(3, 4), t(2, dtype="int64")),
        "ShapeError",
        ("cross_entropy", "3", "2"),
    ),
    Mistake(
        "cross_entropy, weight", lambda: ad.cross_entropy(t(3, 4), t(3, dtype="int64"), t(5)), "ShapeError", ("5", "4")
    ),
    Mistake("layer_norm", lambda: ad.layer_norm(t(2, 3), 1, t(4)), "ShapeError", ("layer_norm", "3", "4")),
    Mistake(
        "take_along_axis",
        lambda: ad.take_along_axis(t(2, 3), t(3, dtype="int64"), axis=1),
        "ShapeError",
        ("take_along_axis",),
    ),
    Mistake("setitem", lambda: t(2, 3).__setitem__(0, t(4)), "ShapeError", ("3", "4")),
    Mistake("product of sizes", lambda: ad.zeros((2**40, 2**40)), "ShapeError|OutOfMemoryError|DomainError", ()),
    Mistake("expanded too far", lambda: ad.broadcast_to(t(1, 1), (2**40, 2**40)), "ShapeError|DomainError", ()),
    Mistake("too much memory", lambda: ad.eval(ad.ones(2**50) * 2), "OutOfMemoryError|ShapeError", ()),
    Mistake("Linear", lambda: nn.Linear(3, 2)(t(5, 4)), "ShapeError", ("linear", "4", "3")),
    Mistake(
        "load_state_dict",
        lambda: loaded({"weight": t(2, 4), "bias": t(2)}),
        "ShapeError|DomainError",
        ("weight", "(2, 4)", "(2, 3)"),
    ),
    Mistake(
        "load_state_dict, names",
        lambda: loaded({"weights": t(2, 3)}),
        "DomainError|ShapeError|OutOfRangeError",
        ("weights", "weight", "bias"),
    ),
    # Axes and indices.
    Mistake("axis", lambda: ad.sum(t(2, 3), axis=2), "OutOfRangeError", ("sum", "2", "-2", "1")),
    Mistake("axis twice", lambda: ad.sum(t(2, 3), axis=(0, 0)), "OutOfRangeError|DomainError", ("sum", "0")),
    Mistake("softmax axis", lambda: ad.softmax(t(2, 3), axis=-3), "OutOfRangeError", ("softmax", "-3")),
    Mistake(
        "permute_dims",
        lambda: ad.permute_dims(t(2, 3), (0, 0)),
        "OutOfRangeError|ShapeError|DomainError",
        ("permute_dims", "0"),
    ),
    Mistake(
        "permute_dims, few",
        lambda: ad.permute_dims(t(2, 3), (0,)),
        "OutOfRangeError|ShapeError|DomainError",
        ("permute_dims",),
    ),
    Mistake("index", lambda: t(2, 3)[2], "OutOfRangeError", ("2",)),
    Mistake("index, second axis", lambda: t(2, 3)[0, -4], "OutOfRangeError", ("-4", "3")),
    Mistake("too many indices", lambda: t(2)[0, 0], "OutOfRangeError|ShapeError", ("2", "1")),
    Mistake("two ellipses", lambda: t(2)[..., ...], "OutOfRangeError|DomainError|ShapeError", ()),
    Mistake("mask of another shape", lambda: t(3)[ad.tensor([True, False])], "ShapeError|OutOfRangeError", ("3", "2")),
    Mistake("take", lambda: ad.take(t(3), ad.tensor([0, 3])), "OutOfRangeError", ("take", "3")),
    Mistake("take, far below", lambda: ad.take(t(3), ad.tensor([-4])), "OutOfRangeError", ("take", "-4", "3")),
    Mistake("label", lambda: ad.cross_entropy(t(2, 3), ad.tensor([0, 3])), "OutOfRangeError", ("cross_entropy", "3")),
    Mistake(
        "negative label",
        lambda: ad.cross_entropy(t(2, 3), ad.tensor([0, -1])),
        "OutOfRangeError",
        ("cross_entropy", "-1"),
    ),
    Mistake("one_hot", lambda: ad.one_hot(ad.tensor([3]), 3), "OutOfRangeError", ("one_hot", "3")),
    Mistake("Embedding", lambda: nn.Embedding(4, 2)(ad.tensor([4])), "OutOfRangeError", ("embedding", "4")),
    Mistake("Embedding of -1", lambda: nn.Embedding(4, 2)(ad.tensor([-1])), "OutOfRangeError", ("embedding", "-1")),
    Mistake(
        "Embedding of a vector",
        lambda: nn.functional.embedding(ad.tensor([0]), t(4)),
        "ShapeError",
        ("embedding", "(4,)"),
    ),
    # Dtypes.
    Mistake(
        "matmul of bool",
        lambda: t(2, 2, dtype="bool") @ t(2, 2, dtype="bool"),
        "DTypeError",
        ("matmul", "bool", "astype"),
    ),
    Mistake("subtract of bool", lambda: t(2, dtype="bool") - t(2, dtype="bool"), "DTypeError", ("subtract", "bool")),
    Mistake("and of floats", lambda: t(2) & t(2), "DTypeError", ("bitwise_and", "float32")),
    Mistake("condition", lambda: ad.where(t(2), t(2), t(2)), "DTypeError", ("where", "float32", "bool")),
    Mistake("indices of floats", lambda: ad.take(t(3), t(2)), "DTypeError", ("take", "float32")),
    Mistake("index with floats", lambda: t(3)[t(2)], "DTypeError|OutOfRangeError", ("float32",)),
    Mistake("labels of floats", lambda: ad.cross_entropy(t(2, 3), t(2)), "DTypeError|ShapeError", ("cross_entropy",)),
    Mistake("strings", lambda: ad.tensor(["a", "b"]), "DTypeError", ("str",)),
    Mistake("complex", lambda: ad.tensor([1 + 2j]), "DTypeError", ("complex",)),
    Mistake("complex array", lambda: ad.asarray(np.ones(2, np.complex64)), "DTypeError", ("complex",)),
    Mistake("objects", lambda: ad.tensor(np.array([None, 1], dtype=object)), "DTypeError", ("object",)),
    Mistake("None", lambda: ad.tensor([None]), "DTypeError", ("None",)),
    Mistake("unknown dtype", lambda: ad.zeros(2, dtype="float128"), "DTypeError", ("float128",)),
    Mistake(
        "integers that require grad", lambda: ad.tensor([1, 2], requires_grad=True), "DTypeError", ("int64", "astype")
    ),
    Mistake("bfloat16 to NumPy", lambda: t(2, dtype="bfloat16").numpy(), "DTypeError", ("bfloat16", "astype")),
    Mistake(
        "softmax of integers", lambda: nn.Linear(2, 2)(t(2, 2, dtype="int64")).backward(), "DTypeError|GradError", ()
    ),
    Mistake("number out of range", lambda: t(2, dtype="uint8") + 300, "DomainError", ("300", "uint8", "255")),
    Mistake("full out of range", lambda: ad.full(2, 300, dtype="uint8"), "DomainError", ("300", "uint8")),
    Mistake("tensor out of range", lambda: ad.tensor([300], dtype="uint8"), "DomainError", ("300", "uint8")),
    # Values.
    Mistake("max of nothing", lambda: ad.max(t(0)), "DomainError", ("max", "0")),
    Mistake("argmin of nothing", lambda: ad.argmin(t(3, 0), axis=1), "DomainError", ("argmin", "1")),
    Mistake("item of many", lambda: t(2, 3).item(), "DomainError", ("item", "(2, 3)", "6", "tolist")),
    Mistake("truth of many", lambda: bool(t(2)), "DomainError", ("2", "any", "all")),
    Mistake("arange, step 0", lambda: ad.arange(0, 5, 0), "DomainError", ("arange", "0")),
    Mistake("slice step 0", lambda: t(3)[::0], "DomainError|OutOfRangeError", ("0",)),
    Mistake("linspace, −1", lambda: ad.linspace(0, 1, -1), "DomainError|ShapeError", ("-1",)),
    Mistake("dropout", lambda: ad.dropout(t(2), 1.5), "DomainError", ("dropout", "1.5")),
    Mistake("reduction", lambda: ad.mse_loss(t(2), t(2), reduction="avg"), "DomainError", ("avg", "mean")),
    Mistake("p of bernoulli", lambda: ad.random.bernoulli((2,), p=-0.5), "DomainError", ("-0.5",)),
    Mistake("empty range", lambda: ad.random.integers(3, 3, shape=(2,)), "DomainError", ("3",)),
    Mistake("uniform, NaN", lambda: ad.random.uniform((2,), low=float("nan"), high=1.0), "DomainError", ("uniform",)),
    Mistake("learning rate", lambda: optim.SGD([leaf()], lr=-1.0), "DomainError", ("SGD", "-1.0")),
    Mistake("no parameters", lambda: optim.SGD([], lr=1.0), "DomainError", ("SGD", "parameters")),
    Mistake(
        "a module for its parameters",
        lambda: optim.SGD(nn.Linear(3, 2), lr=1.0),
        "DTypeError",
        ("Linear", ".parameters()"),
    ),
    Mistake("a rate in words", lambda: optim.Adam([leaf()], lr="fast"), "DTypeError", ("lr", "str")),
    Mistake("state of no names", lambda: nn.Linear(3, 2).load_state_dict(3), "DTypeError", ("load_state_dict", "int")),
    Mistake(
        "a list for a layer", lambda: nn.Linear(3, 2)([1.0, 2.0, 3.0]), "DTypeError", ("Linear", "list", "ad.tensor")
    ),
    Mistake("a word for a layer", lambda: nn.LayerNorm(3)("x"), "DTypeError", ("LayerNorm", "str", "ad.tensor")),
    # Devices.
    Mistake("unknown device", lambda: ad.zeros(2, device="tpu"), "DeviceError", ("tpu", "cpu")),
    Mistake("bad number", lambda: ad.zeros(2, device="gpu:x"), "DeviceError", ("gpu:x",)),
    Mistake("cpu with a number", lambda: ad.zeros(2, device="cpu:1"), "DeviceError", ("cpu:1",)),
    # Gradients.
    Mistake("backward twice", used_up, "GradError", ("backward", "retain_graph=True")),
    Mistake("backward of many", lambda: (leaf() * 2).backward(), "GradError", ("backward", "(2,)", "mean")),
    Mistake("backward without grad", lambda: t(2).sum().backward(), "GradError", ("backward", "requires_grad")),
    Mistake(
        "gradient of another shape", lambda: (leaf() * 2).backward(t(3)), "ShapeError", ("backward", "(3,)", "(2,)")
    ),
    Mistake("in-place on a leaf", lambda: leaf().__iadd__(1), "GradError", ("no_grad",)),
    Mistake("numpy of a leaf", lambda: leaf().numpy(), "GradError", ("detach",)),
    Mistake("DLPack of a leaf", lambda: np.from_dlpack(leaf()), "GradError", ("detach",)),
    Mistake("switched off", lambda: setattr(leaf() * 2, "requires_grad", False), "GradError", ("detach",)),
    Mistake("grad of another shape", lambda: setattr(leaf(), "grad", t(3)), "ShapeError", ("(3,)", "(2,)")),
    Mistake("grad of a vector", lambda: ad.grad(lambda x: x * 2)(ad.tensor([1.0, 2.0])), "GradError", ("grad", "(2,)")),
    # In-place.
    Mistake("in-place, larger", lambda: t(2).__iadd__(t(3, 2)), "ShapeError", ("(2,)", "(3, 2)")),
    Mistake("in-place, wider", lambda: t(2).__iadd__(t(2, dtype="float64")), "DTypeError", ("float32", "float64")),
    Mistake("assign", lambda: t(2).assign(t(3)), "ShapeError", ("(2,)", "(3,)")),
    # Not tensors at all.
    Mistake("sum of a list", lambda: ad.sum([1, 2]), "DTypeError", ("list", "tensor")),
    Mistake("a string as operand", lambda: t(2) + "a", "TypeError", ()),
    Mistake("None as operand", lambda: ad.add(t(2), None), "DTypeError", ("None",)),
    Mistake("a float as size", lambda: ad.zeros(2.5), "DTypeError", ()),
    Mistake("a string as index", lambda: t(2)["a"], "DTypeError", ("str",)),
    Mistake("a float as index", lambda: t(2)[0.5], "TypeError|DTypeError|OutOfRangeError", ("float",)),
    Mistake("a truth of two numbers", lambda: ad.add(1, 2), "DTypeError|TypeError", ("add", "tensor")),
    Mistake("len of 0-d", lambda: len(t()), "DTypeError", ("0-d",)),
    Mistake("iterating over 0-d", lambda: list(t()), "DTypeError", ("0-d",)),
]


@pytest.fixture(scope="module")
def bystander() -> ad.Tensor:
    """A tensor that no mistake may change."""
    return ad.tensor([1.0, 2.0, 3.0])


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: m.name)
def test_mistakes(mistake: Mistake, bystander: ad.Tensor) -> None:
    """The exception's class, its builtin base and its text; then everything still works."""
    kinds = mistake.kind.split("|")
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the class is checked below
        mistake.call()
    error = caught.value
    name = type(error).__name__
    assert name in kinds, f"{name}: {error}"
    if name in BUILTIN:
        assert isinstance(error, ad.AdretError)
        assert isinstance(error, BUILTIN[name])
    for part in mistake.says:
        assert part in str(error), f"{part!r} is missing in: {error}"
    if name in BUILTIN:
        text = str(error)
        assert ": " in text, f"the operation is not named: {text}"
        assert text.rstrip().endswith((".", "?", ")", "!")), f"no sentence: {text}"
        assert len(text) < 600
    assert (bystander * 2).tolist() == [2, 4, 6]
    assert ad.is_grad_enabled()


def test_pending_labels_are_checked_where_the_value_is_asked_for() -> None:
    """A label computed in the graph raises with the op's name and the value."""
    labels = ad.tensor([0, 1]) * 3
    loss = ad.cross_entropy(ad.zeros((2, 3)), labels)
    with pytest.raises(ad.OutOfRangeError) as caught:
        loss.item()
    assert "cross_entropy" in str(caught.value)
    assert "3" in str(caught.value)
    assert labels.tolist() == [0, 3]


def test_errors_inside_modules_name_the_path() -> None:
    """The layer where it happened, as in state_dict's names."""
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Sequential(nn.Linear(5, 2)))
    with pytest.raises(ad.ShapeError) as caught:
        model(ad.zeros((2, 3)))
    assert "2.0" in str(caught.value)
    with pytest.raises(ad.ShapeError) as again:
        ad.zeros(2) + ad.zeros(3)
    assert "2.0" not in str(again.value), "the module's path outlived the call"


def test_failed_loads_change_nothing() -> None:
    """A state with one bad entry is refused as a whole."""
    layer = nn.Linear(3, 2)
    before = layer.weight.detach().numpy(copy=True)
    with pytest.raises(ad.AdretError):
        layer.load_state_dict({"weight": ad.zeros((2, 3)), "bias": ad.zeros(7)})
    assert np.array_equal(layer.weight.detach().numpy(), before)


def test_failed_backward_changes_no_gradient() -> None:
    """A pass that raises leaves `.grad` as it was."""
    w = ad.tensor([1.0, 2.0], requires_grad=True)
    square = w * w
    (square.sum() * 1.0).backward()
    kept = w.grad.tolist()
    with pytest.raises(ad.GradError):
        (square.sum() + w.sum()).backward()
    assert w.grad.tolist() == kept


def test_failed_writes_change_nothing() -> None:
    """An index or a value that is refused leaves the tensor."""
    x = ad.tensor([1.0, 2.0, 3.0])
    for write in (
        lambda: x.__setitem__(5, 0.0),
        lambda: x.__setitem__(slice(0, 2), ad.zeros(3)),
        lambda: x.__setitem__(0, "a"),
        lambda: x.__setitem__(ad.tensor([0, 9]), 1.0),
    ):
        with pytest.raises((ad.AdretError, TypeError)):
            write()
    assert x.tolist() == [1, 2, 3]


def test_every_exception_has_its_builtin() -> None:
    """Users may catch what they know."""
    for name, builtin in BUILTIN.items():
        kind = getattr(ad, name)
        assert issubclass(kind, ad.AdretError) and issubclass(kind, builtin), name
        assert kind.__doc__
        assert kind.__module__ == "adret"
    assert issubclass(ad.InternalError, RuntimeError)
