"""Convolutions live against PyTorch: random cases in float64, layers, padding.

Run by `x.py test --peers`. Depends on PyTorch and `convolutions`.
Invariant: cases are seeded, so a failure names itself.
"""

from __future__ import annotations

import adret as ad
import adret.nn.functional as F
import numpy as np
import pytest
from adret import nn
from adret.autograd import pull
from convolutions import Case, random_case

pytestmark = pytest.mark.peers

ROUNDS = 2000


@pytest.fixture(scope="module")
def torch():
    """PyTorch, on one thread."""
    module = __import__("torch")
    module.set_num_threads(1)
    return module


def near(ours, theirs, what: object, tolerance: float = 1e-10) -> None:
    """The same shape and values."""
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape, what
    scale = max(1.0, float(np.abs(theirs).max(initial=0.0)))
    assert np.abs(ours.detach().numpy() - theirs).max(initial=0.0) <= tolerance * scale, what


def both(torch, values: np.ndarray):
    """The same leaf in both libraries."""
    return ad.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)


def check(torch, case: Case) -> None:
    """Value, gradients, and the gradient of what they weigh together."""
    theirs = torch.nn.functional
    x, k, g = (both(torch, values) for values in case.values())
    rng = np.random.default_rng(case.seed)
    bias = both(torch, rng.standard_normal(k[0].shape[0]))
    moves = (case.stride, case.padding, case.dilation, case.groups)
    name = f"conv{case.rank}d"
    y = getattr(F, name)(x[0], k[0], bias[0], *moves), getattr(theirs, name)(x[1], k[1], bias[1], *moves)
    near(*y, case)
    ours = pull([y[0]], [g[0]], [x[0], k[0], bias[0]], True)
    other = torch.autograd.grad(y[1], (x[1], k[1], bias[1]), g[1], create_graph=True)
    for a, b in zip(ours, other, strict=True):
        near(a, b, case)
    total = sum((part * part).sum() for part in ours), sum((part * part).sum() for part in other)
    ours = pull([total[0]], [None], [x[0], k[0], g[0]], False)
    for a, b in zip(ours, torch.autograd.grad(total[1], (x[1], k[1], g[1])), strict=True):
        near(a, b, case, 1e-9)
    moves = (case.stride, case.padding, case.extra, case.groups, case.dilation)
    name = f"conv_transpose{case.rank}d"
    z = getattr(F, name)(g[0], k[0], None, *moves), getattr(theirs, name)(g[1], k[1], None, *moves)
    near(*z, case)
    ours = pull([z[0]], [x[0]], [g[0], k[0]], False)
    for a, b in zip(ours, torch.autograd.grad(z[1], (g[1], k[1]), x[1]), strict=True):
        near(a, b, case)


@pytest.mark.parametrize("part", range(20))
def test_random_cases(torch, part: int) -> None:
    for seed in range(part * ROUNDS // 20, (part + 1) * ROUNDS // 20):
        check(torch, random_case(10_000 + seed))


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_layers_of_every_padding(torch, mode: str, rank: int) -> None:
    rng = np.random.default_rng(0)
    for padding in (1, (2, 1, 2)[:rank], "same", "valid"):
        arguments = (3, 4, (3, 2, 4)[:rank])
        options = {"padding": padding, "padding_mode": mode}
        ours = getattr(nn, f"Conv{rank}d")(*arguments, **options)
        theirs = getattr(torch.nn, f"Conv{rank}d")(*arguments, **options)
        ours.load_state_dict({name: ad.tensor(value.numpy()) for name, value in theirs.state_dict().items()})
        x = rng.standard_normal((2, 3, 6, 7, 5)[: 2 + rank]).astype("float32")
        near(ours(ad.tensor(x)), theirs(torch.tensor(x)), (mode, padding), 1e-5)


def test_padding(torch) -> None:
    rng = np.random.default_rng(0)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        rank = int(rng.integers(1, 4))
        x = rng.standard_normal([2, 3, *rng.integers(4, 8, rank)])
        mode = ("constant", "reflect", "replicate", "circular")[seed % 4]
        amounts = rng.integers(-1 if mode == "constant" else 0, 4, 2 * rank).tolist()
        ours, theirs = both(torch, x)
        a, b = F.pad(ours, amounts, mode), torch.nn.functional.pad(theirs, amounts, mode)
        near(a, b, (seed, mode, amounts))
        g = rng.standard_normal(tuple(a.shape))
        (da,) = pull([a], [ad.tensor(g)], [ours], False)
        near(da, torch.autograd.grad(b, theirs, torch.tensor(g))[0], (seed, mode, amounts))
