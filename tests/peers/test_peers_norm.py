"""Normalisation of channels, live against PyTorch: values, gradients and running statistics.

Run by `x.py test --peers`. Depends on PyTorch. Invariant: a seed is a case.
"""

from __future__ import annotations

import adret as ad
import numpy as np
import pytest
from adret import nn

pytestmark = pytest.mark.peers

CLOSE = {"float64": {"rtol": 1e-9, "atol": 1e-9}, "float32": {"rtol": 2e-3, "atol": 2e-4}}


@pytest.fixture(scope="module")
def torch():
    """PyTorch, on one thread."""
    module = __import__("torch")
    module.set_num_threads(1)
    return module


def compare(torch, ours: nn.Module, theirs, inputs: list[np.ndarray], what: str) -> None:
    """Outputs, gradients and state, batch after batch; then in evaluation mode."""
    dtype = str(inputs[0].dtype)
    ours.to(getattr(ad, dtype))
    theirs.to(getattr(torch, dtype))
    state = {name: value.numpy() for name, value in theirs.state_dict().items()}
    ours.load_state_dict(state)
    close = CLOSE[dtype]
    for number, values in enumerate([*inputs, inputs[0]]):
        if number == len(inputs):
            ours.eval()
            theirs.eval()
        x, y = ad.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
        mine, other = ours(x), theirs(y)
        np.testing.assert_allclose(mine.detach().numpy(), other.detach().numpy(), err_msg=what, **close)
        weights = np.random.default_rng(number).standard_normal(values.shape).astype(dtype)
        (mine * ad.tensor(weights)).sum().backward()
        (other * torch.tensor(weights)).sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), err_msg=what, **close)
    for name, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[name].numpy(), value.numpy(), err_msg=f"{what}, {name}", **close)
    for (name, parameter), (_, other) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        np.testing.assert_allclose(parameter.grad.numpy(), other.grad.numpy(), err_msg=f"{what}, {name}", **close)


@pytest.mark.parametrize("seed", range(120))
def test_norms(torch, seed: int) -> None:
    rng = np.random.default_rng(seed)
    axes, channels = int(rng.integers(1, 4)), int(rng.choice([1, 2, 4, 6, 17]))
    kind = str(rng.choice(["BatchNorm", "InstanceNorm", "GroupNorm"]))
    shape = (int(rng.integers(2, 5)), channels, *(int(n) for n in rng.integers(2, 7, size=axes)))
    if kind == "GroupNorm":
        divisors = [n for n in range(1, channels + 1) if channels % n == 0]
        positional, settings = (int(rng.choice(divisors)), channels), {"affine": bool(rng.random() < 0.7)}
    else:
        positional = (channels,)
        settings = {
            "affine": bool(rng.random() < 0.7),
            "track_running_stats": bool(rng.random() < 0.7),
            "momentum": [0.1, 0.6, None][int(rng.integers(0, 3 if kind == "BatchNorm" else 2))],
        }
        if kind == "BatchNorm" and axes == 1 and rng.random() < 0.5:
            shape = (int(rng.integers(2, 9)), channels)
        kind += f"{axes}d"
    settings["eps"] = float(rng.choice([1e-5, 0.1]))
    dtype = rng.choice(["float64", "float32"])
    inputs = [(rng.standard_normal(shape) * 2 + n).astype(dtype) for n in range(3)]
    torch.manual_seed(seed)
    ours, theirs = getattr(nn, kind)(*positional, **settings), getattr(torch.nn, kind)(*positional, **settings)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_()
    compare(torch, ours, theirs, inputs, f"{kind} {positional} {settings} {shape} {dtype}")


@pytest.mark.parametrize("seed", range(10))
def test_rms_norm(torch, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 6, size=2))
    eps = [None, 0.1][seed % 2]
    ours, theirs = nn.RMSNorm(shape, eps), torch.nn.RMSNorm(shape, eps)
    compare(torch, ours, theirs, [rng.standard_normal((3, *shape))], f"{shape} {eps}")
