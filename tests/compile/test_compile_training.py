"""Random training loops, compiled and plain: the same bits in every parameter, loss and state."""

from __future__ import annotations

import random

import adret as ad
import numpy as np
import pytest
from adret import nn, optim

ACTIVATIONS = [nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU]


def build(choice: random.Random, width: int) -> nn.Module:
    layers: list[nn.Module] = []
    for _ in range(choice.randint(1, 3)):
        following = choice.choice([3, 8, 17])
        layers.append(nn.Linear(width, following, bias=choice.random() < 0.8))
        layers.append(choice.choice(ACTIVATIONS)())
        if choice.random() < 0.5:
            layers.append(nn.Dropout(choice.choice([0.1, 0.5])))
        if choice.random() < 0.3:
            layers.append(nn.LayerNorm(following))
        width = following
    return nn.Sequential(*layers, nn.Linear(width, 4))


def make_optimizer(choice: random.Random, parameters):
    kind = choice.randrange(4)
    if kind == 0:
        return optim.SGD(parameters, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01)
    if kind == 1:
        return optim.Adam(parameters, lr=0.01, amsgrad=True)
    if kind == 2:
        return optim.Adam(parameters, lr=0.01, weight_decay=0.1)
    return optim.SGD(parameters, lr=0.1)


def train(seed: int, compiled: bool):
    choice = random.Random(seed)
    ad.manual_seed(seed)
    first, second = build(choice, 6), build(choice, 6)
    optimizers = [make_optimizer(choice, model.parameters()) for model in (first, second)]
    criterion = nn.CrossEntropyLoss()
    together, early, schedule = choice.random() < 0.5, choice.random() < 0.5, choice.random() < 0.7
    numbers = np.random.default_rng(seed)

    def step(x, y):
        losses = []
        if early:
            for optimizer in optimizers:
                optimizer.zero_grad()
        for model, optimizer in zip((first, second), optimizers, strict=True):
            logits = model(x)
            loss = criterion(logits, y)
            if together and model is second:
                # The second learns from the first, too.
                loss = loss + ((logits - first(x).detach()) ** 2).mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
            if not early:
                optimizer.zero_grad()
        return losses

    run = ad.compile(step) if compiled else step
    seen = []
    for number in range(14):
        rows = 8 if number % 5 != 4 else 3
        x = ad.tensor(numbers.standard_normal((rows, 6)).astype(np.float32))
        y = ad.tensor(numbers.integers(0, 4, rows))
        if schedule:
            for optimizer in optimizers:
                optimizer.param_groups[0]["lr"] *= 0.9
        if number == 7:
            first.eval()
        if number == 10:
            first.train()
        seen.append([loss.item() for loss in run(x, y)])
    parameters = [p.tolist() for model in (first, second) for p in model.parameters()]
    state = [
        value.tolist() if isinstance(value, ad.Tensor) else value
        for optimizer in optimizers
        for entry in optimizer.state.values()
        for value in entry.values()
    ]
    return seen, parameters, state, ad.random.uniform(2).tolist()


@pytest.mark.parametrize("seed", range(12))
def test_compiled_training_has_the_bits_of_plain_training(seed):
    assert train(seed, True) == train(seed, False)


def test_replays_are_one_run_without_misses():
    ad.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Dropout(0.2), nn.Linear(30, 5))
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    criterion = nn.CrossEntropyLoss()

    @ad.compile
    def step(x, y):
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    data, labels = ad.random.normal((64, 20)), ad.random.integers(64, 0, 5) if False else ad.zeros(64, dtype=ad.int64)
    ad.eval(data, labels)
    for start in range(0, 32, 8):
        step(data[start : start + 8], labels[start : start + 8]).item()
    before = ad.stats()
    for start in range(0, 64, 8):
        optimizer.param_groups[0]["lr"] *= 0.9
        step(data[start : start + 8], labels[start : start + 8]).item()
    after = ad.stats()
    assert after["runs"] - before["runs"] == 8
    assert after["plan_misses"] == before["plan_misses"]
    assert after["pool_misses"] == before["pool_misses"]
