"""Random training loops, in which much happens between the steps, give the same bits with and without `compile`."""

from __future__ import annotations

from collections.abc import Callable

import adret as ad
import numpy as np
import pytest
from adret import nn, optim

MODELS: list[Callable[[], nn.Module]] = [
    lambda: nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)),
    lambda: nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 3)),
    lambda: nn.Sequential(nn.Unflatten(1, (1, 5)), nn.Conv1d(1, 4, 3, padding=1), nn.Flatten(), nn.Linear(20, 3)),
    lambda: nn.Sequential(shared := nn.Linear(5, 5), nn.GELU(), shared, nn.LayerNorm(5), nn.Linear(5, 3)),
]
OPTIMIZERS: list[Callable] = [
    lambda parameters: optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True),
    lambda parameters: optim.Adam(parameters, lr=0.01, amsgrad=True, weight_decay=0.1),
    lambda parameters: optim.RMSprop(parameters, lr=0.01, momentum=0.5, centered=True),
    lambda parameters: optim.NAdam(parameters, lr=0.01),
    lambda parameters: optim.SGD([{"params": parameters[:1], "lr": 0.2}, {"params": parameters[1:]}], lr=0.05),
]


def _values(result: object) -> list:
    if isinstance(result, ad.Tensor):
        return [result.detach().numpy(copy=True).tobytes()]
    if isinstance(result, dict):
        return [value for key in result for value in _values(result[key])]
    if isinstance(result, tuple | list):
        return [value for item in result for value in _values(item)]
    return [result]


def _run(seed: int, wrap: Callable) -> list:
    rng = np.random.default_rng(seed)
    ad.manual_seed(seed)
    model = MODELS[rng.integers(len(MODELS))]()
    parameters = list(model.parameters())
    optimizer = OPTIMIZERS[rng.integers(len(OPTIMIZERS))](parameters)
    schedule = optim.lr_scheduler.StepLR(optimizer, 3, 0.5)
    average = [ad.zeros(leaf.shape) for leaf in parameters]
    clears, clips, noisy = rng.integers(3), rng.random() < 0.3, rng.random() < 0.3
    held: list = []

    def plain(x: ad.Tensor, y: ad.Tensor, scale: float = 1.0) -> object:
        if clears == 0:
            optimizer.zero_grad()
        out = model(x + ad.random.normal(x.shape) * 0.1 if noisy else x)
        loss = nn.functional.cross_entropy(out, y) * scale
        loss.backward()
        norm = nn.utils.clip_grad_norm_(parameters, 0.5) if clips else None
        optimizer.step()
        if clears == 1:
            optimizer.zero_grad()
        with ad.no_grad():
            for mean, leaf in zip(average, parameters, strict=True):
                mean.assign(mean * 0.9 + leaf * 0.1)
        return {"loss": loss.detach(), "rest": (out.detach(), [norm, parameters[0].grad])}

    step, seen = wrap(plain), []
    for number in range(12):
        rows = 4 if rng.random() < 0.8 else 7
        x, y = ad.tensor(rng.normal(size=(rows, 5)).astype("float32")), ad.tensor(rng.integers(0, 3, rows))
        event, scale = rng.integers(14) if number > 1 else 99, 1.0
        if event == 0:
            held.append(parameters[0].detach().numpy())
        elif event == 1:
            held.append(parameters[-1].detach()[:1])
        elif event == 2:
            held.clear()
        elif event == 3:
            optimizer.load_state_dict(optimizer.state_dict())
        elif event == 4:
            optimizer.zero_grad()
        elif event == 5:
            parameters[0].requires_grad_(False)
            seen += _values(step(x, y))
            parameters[0].requires_grad_(True)
        elif event == 6:
            with ad.no_grad():
                parameters[0].assign(parameters[0] * 0.9)
        elif event == 7:
            for leaf in parameters:
                leaf.grad = ad.ones(leaf.shape) * 0.01
        elif event == 8:
            model.eval()
            seen += _values(step(x, y))
            model.train()
        elif event == 9:
            x = ad.tensor(rng.normal(size=(5, rows)).astype("float32")).mT
        elif event == 10:
            scale = 2.0
        elif event == 11:
            parameters[0].grad = parameters[0].detach()
        elif event == 12:
            model.load_state_dict({name: value.numpy(copy=True) for name, value in model.state_dict().items()})
        elif event == 13:
            ad.manual_seed(3)
        seen += _values(step(x, y, scale))
        schedule.step()
        seen += _values([[leaf, leaf.grad] for leaf in parameters])
    return seen + _values([average, model.state_dict(), ad.random.normal(3), [np.array(array) for array in held]])


@pytest.mark.parametrize("seed", range(12))
def test_a_compiled_loop_is_the_plain_one(seed: int) -> None:
    plain, compiled = _run(seed, lambda f: f), _run(seed, ad.compile)
    assert len(plain) == len(compiled)
    for number, (one, other) in enumerate(zip(plain, compiled, strict=True)):
        same = np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other
        assert same, f"value {number} of {len(plain)} differs"
