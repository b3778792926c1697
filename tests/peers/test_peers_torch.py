"""Random configurations, live against PyTorch: values and gradients.

Run by `x.py test --peers`. Depends on PyTorch. Invariant: configurations are seeded, so a failure names itself.
"""

from __future__ import annotations

import copy

import adret as ad
import numpy as np
import pytest
from adret import nn, optim

pytestmark = pytest.mark.peers

ROUNDS = 40


@pytest.fixture(scope="module")
def torch():
    """PyTorch, on one thread."""
    module = __import__("torch")
    module.set_num_threads(1)
    return module


def both(torch, values: np.ndarray, grad: bool = True):
    """The same leaf in both libraries."""
    floating = values.dtype.kind == "f"
    return ad.tensor(values, requires_grad=grad and floating), torch.tensor(values, requires_grad=grad and floating)


def assert_close(ours, theirs, what: str, tolerance: float = 1e-10) -> None:
    """Values, NaN included, in shape and size."""
    got, expected = ours.detach().numpy(), theirs.detach().numpy()
    assert got.shape == expected.shape, what
    assert np.allclose(got, expected, rtol=tolerance, atol=tolerance, equal_nan=True), (what, got, expected)


def compare(ours, theirs, leaves, what: str) -> None:
    """Values, then the gradients of a weighted sum."""
    assert_close(ours, theirs, what)
    weights = np.random.default_rng(0).standard_normal(ours.shape)
    (ours * ad.tensor(weights)).sum().backward()
    (theirs * theirs.new_tensor(weights)).sum().backward()
    for number, (mine, other) in enumerate(leaves):
        if other.requires_grad:
            assert_close(mine.grad, other.grad, f"{what}, gradient {number}")


def sizes(rng, low: int = 1, high: int = 6, least: int = 1, most: int = 4) -> tuple[int, ...]:
    """A random shape."""
    return tuple(int(size) for size in rng.integers(low, high, size=int(rng.integers(least, most))))


ACTIVATIONS = {
    "relu": {},
    "silu": {},
    "sigmoid": {},
    "tanh": {},
    "leaky_relu": {"negative_slope": 0.2},
    "elu": {"alpha": 1.7},
    "softplus": {"beta": 1.3, "threshold": 4.0},
    "gelu": {"approximate": "tanh"},
    "softmax": {"dim": -1},
    "log_softmax": {"dim": 0},
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(torch, name: str) -> None:
    """Elementwise ones and softmax, with arguments, at large arguments too."""
    for seed in range(ROUNDS):
        rng = np.random.default_rng(seed)
        values = rng.standard_normal(sizes(rng)) * rng.choice([0.1, 1.0, 30.0])
        if name == "softplus":
            # Above its threshold PyTorch takes x itself, and ours is exact.
            values = np.clip(values, -40, 15)
        x, other = both(torch, values)
        settings = ACTIVATIONS[name] if seed % 2 or "softmax" in name else {}
        reference = getattr(torch.nn.functional, name, None) or getattr(torch, name)
        compare(
            getattr(nn.functional, name)(x, **settings), reference(other, **settings), [(x, other)], f"{name} {seed}"
        )


REDUCTIONS = ("mean", "sum", "none")


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])
def test_regression_losses(torch, name: str) -> None:
    """Every reduction, with and without its parameter."""
    parameter = {"smooth_l1_loss": "beta", "huber_loss": "delta"}.get(name)
    for seed in range(ROUNDS):
        rng = np.random.default_rng(seed)
        shape = sizes(rng)
        leaves = [both(torch, rng.standard_normal(shape) * 2) for _ in range(2)]
        settings = {"reduction": REDUCTIONS[seed % 3], **({parameter: 0.6} if parameter and seed % 2 else {})}
        ours = getattr(nn.functional, name)(leaves[0][0], leaves[1][0], **settings)
        theirs = getattr(torch.nn.functional, name)(leaves[0][1], leaves[1][1], **settings)
        compare(ours, theirs, leaves, f"{name} {seed} {settings}")


@pytest.mark.parametrize("name", ["binary_cross_entropy", "binary_cross_entropy_with_logits"])
def test_binary_losses(torch, name: str) -> None:
    """Weights, positive weights, extreme inputs."""
    logits = name.endswith("logits")
    for seed in range(ROUNDS):
        rng = np.random.default_rng(seed)
        shape = sizes(rng)
        values = rng.standard_normal(shape) * rng.choice([1, 40]) if logits else rng.uniform(0, 1, shape)
        x, other = both(torch, values)
        target = rng.uniform(0, 1, shape)
        settings, same = {"reduction": REDUCTIONS[seed % 3]}, {"reduction": REDUCTIONS[seed % 3]}
        extra = {"weight": rng.uniform(0.5, 2, shape)} if seed % 2 else {}
        if logits and seed % 4 > 1:
            extra["pos_weight"] = rng.uniform(0.5, 2, shape[-1:])
        settings |= {key: ad.tensor(value) for key, value in extra.items()}
        same |= {key: torch.tensor(value) for key, value in extra.items()}
        ours = getattr(nn.functional, name)(x, ad.tensor(target), **settings)
        theirs = getattr(torch.nn.functional, name)(other, torch.tensor(target), **same)
        compare(ours, theirs, [(x, other)], f"{name} {seed} {sorted(extra)}")


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_class_losses(torch, name: str) -> None:
    """Any number of trailing axes, weights, ignored labels, smoothing, probabilities."""
    for seed in range(2 * ROUNDS):
        rng = np.random.default_rng(seed)
        classes = int(rng.integers(2, 7))
        trailing = sizes(rng, least=0, most=3)
        batch = (int(rng.integers(1, 6)),)
        x, other = both(torch, rng.standard_normal((*batch, classes, *trailing)))
        labels = rng.integers(0, classes, (*batch, *trailing))
        settings: dict = {"reduction": REDUCTIONS[seed % 3]}
        same = dict(settings)
        if seed % 4 == 1:
            labels.ravel()[rng.integers(labels.size)] = -100
        if seed % 4 == 2:
            settings["ignore_index"] = same["ignore_index"] = int(rng.integers(classes))
        if seed % 2:
            weight = rng.uniform(0.5, 2, classes)
            settings["weight"], same["weight"] = ad.tensor(weight), torch.tensor(weight)
        if name == "cross_entropy" and seed % 3 == 1:
            settings["label_smoothing"] = same["label_smoothing"] = 0.15
        if name == "cross_entropy" and seed % 5 == 4 and "ignore_index" not in settings:
            shares = rng.dirichlet(np.ones(classes), (*batch, *trailing))
            shares = np.moveaxis(shares, -1, 1)
            ours = nn.functional.cross_entropy(x, ad.tensor(shares), **settings)
            theirs = torch.nn.functional.cross_entropy(other, torch.tensor(shares), **same)
        else:
            ours = getattr(nn.functional, name)(x, ad.tensor(labels), **settings)
            theirs = getattr(torch.nn.functional, name)(other, torch.tensor(labels), **same)
        compare(ours, theirs, [(x, other)], f"{name} {seed} {sorted(settings)}")


def test_layer_norm(torch) -> None:
    """One to three axes, with and without weight and bias."""
    for seed in range(ROUNDS):
        rng = np.random.default_rng(seed)
        shape = sizes(rng, low=2, least=2, most=5)
        over = shape[-int(rng.integers(1, len(shape))) :]
        leaves = [both(torch, rng.standard_normal(shape) * 3 + 1)]
        if seed % 2:
            leaves += [both(torch, rng.standard_normal(over)) for _ in range(2)]
        ours = nn.functional.layer_norm(leaves[0][0], over, *(mine for mine, _ in leaves[1:]), eps=1e-4)
        theirs = torch.nn.functional.layer_norm(leaves[0][1], over, *(other for _, other in leaves[1:]), eps=1e-4)
        compare(ours, theirs, leaves, f"layer_norm {seed} {shape} {over}")


def test_indexing(torch) -> None:
    """Reading and writing with slices, integers, new axes, index arrays and masks; gradients included."""
    for seed in range(3 * ROUNDS):
        rng = np.random.default_rng(seed)
        shape = sizes(rng, low=2, least=1, most=4)
        key: list = []
        for size in shape[: int(rng.integers(1, len(shape) + 1))]:
            kind = rng.integers(4)
            if kind == 0:
                key.append(int(rng.integers(-size, size)))
            elif kind == 1:
                key.append(slice(*sorted(int(i) for i in rng.integers(0, size + 1, 2)), int(rng.integers(1, 3))))
            elif kind == 2:
                key.append(slice(None))
            else:
                key.append(None)
                key.append(slice(None))
        if seed % 3 == 0:
            key = [rng.integers(-shape[0], shape[0], size=(2, 3))]
        if seed % 7 == 0:
            key = [rng.random(shape[0]) < 0.5]
        arrays = [isinstance(part, np.ndarray) for part in key]
        ours_key = tuple(ad.tensor(p) if a else p for p, a in zip(key, arrays, strict=True))
        theirs_key = tuple(torch.tensor(p) if a else p for p, a in zip(key, arrays, strict=True))
        x, other = both(torch, rng.standard_normal(shape))
        compare(x[ours_key] * 1.0, other[theirs_key] * 1.0, [(x, other)], f"read {seed} {key}")
        if seed % 3 == 0:
            continue
        x, other = both(torch, rng.standard_normal(shape))
        v, w = both(torch, rng.standard_normal(()))
        written, same = x * 1.0, other * 1.0
        written[ours_key] = v
        same[theirs_key] = w
        compare(written, same, [(x, other), (v, w)], f"write {seed} {key}")


def test_gather_and_scatter(torch) -> None:
    """take_along_axis and scatter_add are torch.gather and scatter_add where both are defined."""
    for seed in range(ROUNDS):
        rng = np.random.default_rng(seed)
        shape = sizes(rng, low=2, least=1, most=4)
        axis = int(rng.integers(len(shape)))
        index_shape = tuple(int(rng.integers(1, 6)) if a == axis else size for a, size in enumerate(shape))
        index = rng.integers(0, shape[axis], index_shape)
        x, other = both(torch, rng.standard_normal(shape))
        ours = ad.take_along_axis(x, ad.tensor(index), axis=axis)
        compare(ours, torch.gather(other, axis, torch.tensor(index)), [(x, other)], f"gather {seed}")
        x, other = both(torch, rng.standard_normal(shape))
        updates = both(torch, rng.standard_normal(index_shape))
        ours = ad.scatter_add(x, ad.tensor(index), updates[0], axis=axis)
        theirs = torch.scatter_add(other, axis, torch.tensor(index), updates[1])
        compare(ours, theirs, [(x, other), updates], f"scatter {seed}")


CONFIGURATIONS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.05, "momentum": 0.7, "nesterov": True, "maximize": True}),
    ("Adam", {"lr": 0.01}),
    ("Adam", {"lr": 0.02, "betas": (0.5, 0.9), "eps": 1e-4, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.02, "amsgrad": True, "maximize": True}),
]


@pytest.mark.parametrize(("name", "settings"), CONFIGURATIONS, ids=str)
def test_optimisers(torch, name: str, settings: dict) -> None:
    """Thirty steps with rates that change, over two groups, on parameters that sometimes have no gradient."""
    rng = np.random.default_rng(3)
    leaves = [both(torch, rng.standard_normal(shape)) for shape in ((3, 4), (4,), ())]

    def groups(side: int) -> list[dict]:
        chosen = [pair[side] for pair in leaves]
        return [{"params": chosen[:1]}, {"params": chosen[1:], "lr": settings["lr"] / 2}]

    mine = getattr(optim, name)(groups(0), **copy.deepcopy(settings))
    other = getattr(torch.optim, name)(groups(1), **copy.deepcopy(settings))
    for step in range(30):
        mine.param_groups[0]["lr"] = other.param_groups[0]["lr"] = settings["lr"] / (1 + 0.1 * step)
        mine.zero_grad()
        other.zero_grad()
        for side, library in ((0, ad), (1, torch)):
            a, b, c = (pair[side] for pair in leaves)
            value = (library.tanh(a + b) ** 2).sum() + library.sin(a).sum()
            if step % 3:
                value = value + c * c * 0.5 + c
            value.backward()
        mine.step()
        other.step()
        for number, (ours, theirs) in enumerate(leaves):
            assert_close(ours, theirs, f"{name} {settings}, step {step}, parameter {number}")


def test_initialisers_have_the_same_distributions(torch) -> None:
    """Layers start with the same spread."""
    ad.manual_seed(0)
    torch.manual_seed(0)
    ours, theirs = nn.Linear(300, 400), torch.nn.Linear(300, 400)
    for name in ("weight", "bias"):
        mine, other = (getattr(layer, name).detach().numpy() for layer in (ours, theirs))
        assert mine.shape == other.shape
        assert abs(mine.std() / other.std() - 1) < 0.1
        assert abs(np.abs(mine).max() - np.abs(other).max()) < 1e-3


def test_states_carry_over(torch) -> None:
    """PyTorch's state_dict loads by name, and the outputs agree."""
    theirs = torch.nn.Sequential(
        torch.nn.Embedding(7, 6), torch.nn.Flatten(), torch.nn.Linear(18, 5), torch.nn.LayerNorm(5), torch.nn.GELU()
    ).double()
    ours = nn.Sequential(nn.Embedding(7, 6), nn.Flatten(), nn.Linear(18, 5), nn.LayerNorm(5), nn.GELU()).to("float64")
    ours.load_state_dict({name: ad.tensor(value.numpy()) for name, value in theirs.state_dict().items()})
    words = np.random.default_rng(0).integers(0, 7, (4, 3))
    assert_close(ours(ad.tensor(words)), theirs(torch.tensor(words)), "a loaded network")
