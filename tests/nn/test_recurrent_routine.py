"""The routine of each recurrent unit against its steps in ordinary operations, which other dtypes and devices take."""

from __future__ import annotations

from typing import Any

import adret as ad
import numpy as np
import pytest
from adret import nn
from adret.nn import _recurrence

UNITS: dict[str, tuple[type[nn.Module], dict[str, object]]] = {
    "tanh": (nn.RNN, {}),
    "relu": (nn.RNN, {"nonlinearity": "relu"}),
    "lstm": (nn.LSTM, {}),
    "projected": (nn.LSTM, {"proj_size": 1}),
    "gru": (nn.GRU, {}),
}
SIZES = [(1, 1, 2), (3, 2, 5), (7, 9, 16), (4, 17, 33), (5, 70, 20)]
LAYERS: list[dict[str, object]] = [{}, {"bidirectional": True}, {"num_layers": 2, "bias": False}]


def make(unit: str, hidden: int, settings: dict[str, object]) -> Any:
    """A layer for inputs of three features."""
    kind, own = UNITS[unit]
    return kind(3, hidden, **own, **settings)


def starts(layer: Any, batch: int, rng: np.random.Generator, dtype: ad.DType) -> list[ad.Tensor]:
    """Random first states."""
    count = layer.num_layers * (1 + layer.bidirectional)
    sizes = [layer.proj_size or layer.hidden_size, layer.hidden_size][: 1 + isinstance(layer, nn.LSTM)]
    return [ad.asarray(rng.standard_normal((count, batch, size)), dtype=dtype) for size in sizes]


def call(layer: Any, x: ad.Tensor, hx: list[ad.Tensor], lengths: Any) -> list[ad.Tensor]:
    """The outputs and the last states."""
    output, last = layer(x, tuple(hx) if len(hx) == 2 else hx[0], lengths=lengths)
    return [output, *(last if len(hx) == 2 else [last])]


def values(layer: Any, x: ad.Tensor, hx: list[ad.Tensor], lengths: Any) -> list[np.ndarray]:
    """Results and gradients."""
    inputs = [tensor.detach() for tensor in (x, *hx)]
    for tensor in inputs:
        tensor.requires_grad = True
    made = call(layer, inputs[0], inputs[1:], lengths)
    loss = made[0].sin().sum() + sum((2 * state).cos().sum() for state in made[1:])
    loss.backward()
    found = [*made, *(tensor.grad for tensor in (*inputs, *layer.parameters()))]
    layer.zero_grad()
    return [value.detach().numpy() for value in found]


@pytest.mark.parametrize("has_lengths", [False, True])
@pytest.mark.parametrize("dtype", [ad.float32, ad.float64])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("settings", LAYERS, ids=["plain", "both ways", "two layers"])
@pytest.mark.parametrize("unit", UNITS)
def test_routine_and_steps_agree(
    unit: str,
    settings: dict[str, object],
    sizes: tuple[int, int, int],
    dtype: ad.DType,
    has_lengths: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps, batch, hidden = sizes
    rng = np.random.default_rng(7)
    layer = make(unit, hidden, {"dtype": dtype, **settings})
    x = ad.asarray(rng.standard_normal((steps, batch, 3)), dtype=dtype)
    hx = starts(layer, batch, rng, dtype)
    # Some have no step at all.
    lengths = rng.integers(0, steps + 1, batch).tolist() if has_lengths else None
    routine = values(layer, x, hx, lengths)
    monkeypatch.setattr(_recurrence, "_is_routine", lambda _: False)
    plain = values(layer, x, hx, lengths)
    for ours, theirs in zip(routine, plain, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4 if dtype == ad.float32 else 1e-11, atol=1e-4)


@pytest.mark.parametrize("lengths", [None, [2, 0, 3]])
@pytest.mark.parametrize("unit", UNITS)
def test_few_rows_of_a_large_state(unit: str, lengths: list[int] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    layer = make(unit, 200, {"dtype": ad.float64, "bidirectional": True})
    x = ad.asarray(rng.standard_normal((3, 3, 3)))
    hx = starts(layer, 3, rng, ad.float64)
    routine = values(layer, x, hx, lengths)
    monkeypatch.setattr(_recurrence, "_is_routine", lambda _: False)
    for ours, theirs in zip(routine, values(layer, x, hx, lengths), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("unit", UNITS)
def test_operands_of_any_layout(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    layer = make(unit, 20, {"batch_first": True, "dtype": ad.float64})
    x = ad.asarray(rng.standard_normal((3, 9, 2, 6))).permute(2, 1, 3, 0)[1, ::-2]
    hx = [ad.expand_dims(state[:, 0], 1).expand((1, 5, state.shape[2])) for state in starts(layer, 4, rng, ad.float64)]
    with ad.no_grad():
        for parameter in layer.parameters():
            parameter.assign(ad.asarray(parameter.detach().numpy()[::-1].copy())[::-1])
    routine = [value.detach().numpy() for value in call(layer, x.detach(), hx, None)]
    monkeypatch.setattr(_recurrence, "_is_routine", lambda _: False)
    for ours, theirs in zip(routine, call(layer, x.detach(), hx, None), strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("lengths", [None, [50, 20, 1]])
@pytest.mark.parametrize("unit", UNITS)
def test_the_routine_is_one_launch_for_all_steps(unit: str, lengths: list[int] | None) -> None:
    layer = make(unit, 8, {})
    x = ad.ones((50, 3, 3))

    def step() -> int:
        before = ad.stats()["launches"]
        layer(x, lengths=lengths)[0].sum().backward()
        ad.eval(*(parameter.grad for parameter in layer.parameters()))
        layer.zero_grad()
        return ad.stats()["launches"] - before

    step()
    assert step() < 20


@pytest.mark.parametrize("lengths", [None, [3, 1, 0]])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("unit", UNITS)
def test_gradients_of_any_order(unit: str, reverse: bool, lengths: list[int] | None) -> None:
    rng = np.random.default_rng(3)
    layer = make(unit, 2, {"dtype": ad.float64, "bidirectional": reverse})
    x = ad.asarray(rng.standard_normal((3, 3, 3)))
    hx = starts(layer, 3, rng, ad.float64)
    names = [name for name, _ in layer.named_parameters()]
    weights = [parameter.detach() for parameter in layer.parameters()]

    def run(*tensors: ad.Tensor) -> ad.Tensor:
        states, own = tensors[1 : 1 + len(hx)], tensors[1 + len(hx) :]
        first = tuple(states) if len(hx) == 2 else states[0]
        given = dict(zip(names, own, strict=True))
        output, last = ad.functional_call(layer, given, (tensors[0], first), {"lengths": lengths})
        return output.sin().sum() + sum(state.cos().sum() for state in (last if len(hx) == 2 else [last]))

    assert ad.gradcheck(run, (x, *hx, *weights), second_order=True)


@pytest.mark.parametrize(("batch", "hidden"), [(37, 24), (3, 260)], ids=["rows are shared", "columns are shared"])
@pytest.mark.parametrize("unit", UNITS)
def test_same_bits_for_any_number_of_threads(unit: str, batch: int, hidden: int) -> None:
    rng = np.random.default_rng(0)
    layer = make(unit, hidden, {})
    x = ad.asarray(rng.standard_normal((6, batch, 3)).astype(np.float32))
    found: list[list[bytes]] = []
    threads = ad.get_num_threads()
    try:
        for count in (1, 2, 4):
            ad.set_num_threads(count)
            layer(x)[0].sin().sum().backward()
            found.append([parameter.grad.numpy().tobytes() for parameter in layer.parameters()])
            layer.zero_grad()
    finally:
        ad.set_num_threads(threads)
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("unit", UNITS)
def test_what_lies_behind_the_end_does_not_matter(unit: str) -> None:
    rng = np.random.default_rng(5)
    layer = make(unit, 7, {"bidirectional": True})
    data = rng.standard_normal((6, 3, 3)).astype(np.float32)
    lengths = [4, 6, 1]
    found: list[list[np.ndarray]] = []
    for behind in (0.0, 1e30):
        for row, end in enumerate(lengths):
            data[end:, row] = behind
        found.append(values(layer, ad.asarray(data), starts(layer, 3, np.random.default_rng(6), ad.float32), lengths))
    for left, right in zip(*found, strict=True):
        np.testing.assert_array_equal(left, right)


def test_lengths_inside_a_compiled_step() -> None:
    layer = nn.GRU(3, 5)
    x = ad.random.normal((6, 4, 3))

    @ad.compile
    def run(x: ad.Tensor, lengths: ad.Tensor) -> ad.Tensor:
        return layer(x, lengths=lengths)[1].detach()

    for sizes in ([6, 1, 3, 0], [2, 2, 6, 5], [1, 6, 4, 4], [0, 0, 1, 6]):
        expected = layer(x, lengths=sizes)[1]
        np.testing.assert_array_equal(run(x, ad.tensor(sizes)).numpy(), expected.detach().numpy())


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"unit": "ELMAN"}, ad.DomainError),
        ({"given": (4, 3, 6)}, ad.ShapeError),
        ({"given": (0, 3, 8)}, ad.ShapeError),
        ({"weight": (8, 3)}, ad.ShapeError),
        ({"h": (2, 2)}, ad.ShapeError),
        ({"c": None}, ad.ShapeError),
        ({"bias": (8,)}, ad.ShapeError),
        ({"lengths": (2,)}, ad.ShapeError),
        ({"lengths": (3,)}, ad.DTypeError),
        ({"projection": (2, 3)}, ad.ShapeError),
    ],
    ids=str,
)
def test_operands_that_do_not_fit(changes: dict[str, Any], error: type[Exception]) -> None:
    shapes: dict[str, Any] = {"given": (4, 3, 8), "weight": (8, 2), "h": (3, 2), "c": (3, 2)}
    shapes |= {"bias": None, "lengths": None, "projection": None} | changes
    unit = shapes.pop("unit", "LSTM")
    operands = [None if shape is None else ad.ones(shape) for shape in shapes.values()]
    with pytest.raises(error, match="recurrent"):
        ad._core._recurrent(unit, *operands, False)
