"""Recurrent layers and cells, live against PyTorch: random settings, values, gradients, second derivatives.

Run by `x.py test --peers`. Depends on PyTorch. Invariant: settings are seeded, so a failure names itself.
"""

from __future__ import annotations

import adret as ad
import numpy as np
import pytest
from adret import nn
from adret.nn.utils import rnn

pytestmark = pytest.mark.peers

ROUNDS = 24


@pytest.fixture(scope="module")
def torch():
    """PyTorch, on one thread."""
    module = __import__("torch")
    module.set_num_threads(1)
    return module


def twins(torch, kind: str, settings: dict):
    """The same module in both libraries, in float64."""
    theirs = getattr(torch.nn, kind)(**settings).double()
    ours = getattr(nn, kind)(**settings).to(ad.float64)
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    return ours, theirs


def close(got, expected, what: str) -> None:
    """Shape and values."""
    got, expected = got.detach().numpy(), expected.detach().numpy()
    assert got.shape == expected.shape, what
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-11, err_msg=what)


def flat(result) -> list:
    """The tensors of nested tuples, in order."""
    return [leaf for part in result for leaf in flat(part)] if isinstance(result, tuple | list) else [result]


def compare(torch, ours, theirs, modules, leaves, what: str) -> None:
    """Values, then the gradients of a weighted sum of everything."""
    ours, theirs = flat(ours), flat(theirs)
    assert len(ours) == len(theirs)
    rng = np.random.default_rng(0)
    total, other = 0.0, 0.0
    for mine, reference in zip(ours, theirs, strict=True):
        close(mine, reference, what)
        weights = rng.standard_normal(mine.shape)
        total, other = total + (mine * ad.tensor(weights)).sum(), other + (reference * torch.tensor(weights)).sum()
    total.backward()
    other.backward()
    for (name, mine), reference in zip(modules[0].named_parameters(), modules[1].parameters(), strict=True):
        close(mine.grad, reference.grad, f"{what}: {name}")
    for number, (mine, reference) in enumerate(leaves):
        close(mine.grad, reference.grad, f"{what}: leaf {number}")


def both(torch, values: np.ndarray):
    """The same leaf in both libraries."""
    return ad.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)


def random_settings(rng, kind: str) -> dict:
    """A random configuration of a layer."""
    settings = {
        "input_size": int(rng.integers(1, 5)),
        "hidden_size": int(rng.integers(2, 6)),
        "num_layers": int(rng.integers(1, 4)),
        "bias": bool(rng.integers(2)),
        "batch_first": bool(rng.integers(2)),
        "bidirectional": bool(rng.integers(2)),
    }
    if kind == "LSTM" and rng.integers(3) == 0:
        settings["proj_size"] = int(rng.integers(1, settings["hidden_size"]))
    if kind == "RNN":
        settings["nonlinearity"] = str(rng.choice(["tanh", "relu"]))
    return settings


def state(torch, rng, kind: str, settings: dict, batch: tuple[int, ...]):
    """A random initial state in both libraries, with its leaves."""
    count = settings["num_layers"] * (1 + settings["bidirectional"])
    sizes = [settings.get("proj_size") or settings["hidden_size"], settings["hidden_size"]]
    pairs = [both(torch, rng.standard_normal((count, *batch, size))) for size in sizes[: 1 + (kind == "LSTM")]]
    if kind == "LSTM":
        return tuple(mine for mine, _ in pairs), tuple(other for _, other in pairs), pairs
    return pairs[0][0], pairs[0][1], pairs


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_layers(torch, kind: str) -> None:
    """Layers, directions, batch or none, a state or none."""
    for seed in range(ROUNDS):
        rng = np.random.default_rng(seed)
        settings = random_settings(rng, kind)
        modules = twins(torch, kind, settings)
        time, batch = int(rng.integers(1, 6)), int(rng.integers(1, 4))
        batched = bool(rng.integers(4))
        shape = (batch, time) if settings["batch_first"] else (time, batch)
        shape = (*(shape if batched else (time,)), settings["input_size"])
        x = both(torch, rng.standard_normal(shape))
        leaves, given = [x], ((), ())
        if rng.integers(2):
            mine, other, pairs = state(torch, rng, kind, settings, (batch,) if batched else ())
            given, leaves = ((mine,), (other,)), leaves + pairs
        ours, theirs = modules[0](x[0], *given[0]), modules[1](x[1], *given[1])
        compare(torch, ours, theirs, modules, leaves, f"{kind} {seed} {settings}")


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("way", ["packed", "lengths"])
def test_lengths(torch, kind: str, way: str) -> None:
    """Sequences of different lengths, packed, or with `lengths` beside PyTorch's packed ones."""
    for seed in range(ROUNDS):
        rng = np.random.default_rng(seed)
        settings = random_settings(rng, kind)
        modules = twins(torch, kind, settings)
        time, batch = int(rng.integers(1, 6)), int(rng.integers(1, 5))
        lengths = rng.integers(1, time + 1, batch)
        lengths[rng.integers(batch)] = time
        ordered = bool(rng.integers(2))
        if ordered:
            lengths = np.sort(lengths)[::-1].copy()
        first = settings["batch_first"]
        shape = (batch, time) if first else (time, batch)
        x = both(torch, rng.standard_normal((*shape, settings["input_size"])))
        mine, other, pairs = state(torch, rng, kind, settings, (batch,))
        packed = torch.nn.utils.rnn.pack_padded_sequence(x[1], torch.tensor(lengths), first, ordered)
        output, last = modules[1](packed, other)
        padded, _ = torch.nn.utils.rnn.pad_packed_sequence(output, first)
        what = f"{kind} {seed} {lengths} {settings}"
        if way == "lengths":
            ours = modules[0](x[0], mine, lengths=ad.tensor(lengths) if seed % 2 else lengths.tolist())
        else:
            given = rnn.pack_padded_sequence(x[0], lengths.tolist(), first, ordered)
            assert given.batch_sizes.tolist() == packed.batch_sizes.tolist(), what
            close(given.data, packed.data, what)
            found, ends = modules[0](given, mine)
            unpacked, sizes = rnn.pad_packed_sequence(found, first)
            assert sizes.tolist() == lengths.tolist(), what
            ours = (unpacked, ends)
        compare(torch, ours, (padded, last), modules, [x, *pairs], what)


@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell", "GRUCell"])
def test_cells(torch, kind: str) -> None:
    """One step, then another."""
    for seed in range(ROUNDS):
        rng = np.random.default_rng(seed)
        settings = {"input_size": int(rng.integers(1, 5)), "hidden_size": int(rng.integers(1, 5))}
        settings["bias"] = bool(rng.integers(2))
        if kind == "RNNCell":
            settings["nonlinearity"] = str(rng.choice(["tanh", "relu"]))
        modules = twins(torch, kind, settings)
        batch = (int(rng.integers(1, 4)),) if rng.integers(2) else ()
        x = both(torch, rng.standard_normal((*batch, settings["input_size"])))
        ours = modules[0](x[0], modules[0](x[0]))
        theirs = modules[1](x[1], modules[1](x[1]))
        compare(torch, ours, theirs, modules, [x], f"{kind} {seed} {settings}")


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_second_derivatives(torch, kind: str) -> None:
    """The gradient of a gradient's norm, which PyTorch computes from cells in a loop."""
    rng = np.random.default_rng(0)
    layer = getattr(nn, kind)(2, 3).to(ad.float64)
    cell = getattr(torch.nn, f"{kind}Cell")(2, 3).double()
    state = {name.removesuffix("_l0"): torch.tensor(value.numpy()) for name, value in layer.state_dict().items()}
    cell.load_state_dict(state)
    x = both(torch, rng.standard_normal((4, 2, 2)))
    output = layer(x[0])[0]
    (output * output).sum().backward(create_graph=True)
    total = sum((p.grad * p.grad).sum() for p in (x[0], *layer.parameters()))
    for parameter in (x[0], *layer.parameters()):
        parameter.grad = None
    total.backward()
    hidden, loss = None, 0.0
    for step in x[1]:
        hidden = cell(step, hidden)
        h = hidden[0] if kind == "LSTM" else hidden
        loss = loss + (h * h).sum()
    leaves = [x[1], *cell.parameters()]
    grads = torch.autograd.grad(loss, leaves, create_graph=True)
    expected = torch.autograd.grad(sum((grad * grad).sum() for grad in grads), leaves)
    for name, mine, reference in zip(["x", "ih", "hh", "bi", "bh"], (x[0], *layer.parameters()), expected, strict=True):
        close(mine.grad, reference, f"{kind} {name}")
