"""What a training step costs a GPU's driver, in counts: submissions, buffers, bind groups, shaders.

Depends on the `device` fixture and `ad.stats()`. Invariant: from the fifth step on, a step makes nothing new.
"""

from __future__ import annotations

import adret as ad
import numpy as np
import pytest
from adret import nn, optim

pytestmark = pytest.mark.parametrize("device", ["gpu"], indirect=True)

RNG = np.random.default_rng(1)


class Last(nn.Module):
    """What a recurrent layer says after the last step."""

    def __init__(self, recurrent: nn.LSTM) -> None:
        super().__init__()
        self.recurrent = recurrent

    def forward(self, x: ad.Tensor) -> ad.Tensor:
        return self.recurrent(x)[0][:, -1]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("rule", ["sgd", "adam"])
@pytest.mark.parametrize("network", ["mlp", "lenet", "lstm"])
def test_steps_make_nothing_new(device: str, network: str, rule: str, compiled: bool) -> None:
    ad.manual_seed(0)
    if network == "lstm":
        model = Last(nn.LSTM(5, 4, batch_first=True))
        x = RNG.standard_normal((6, 7, 5)).astype(np.float32)
    elif network == "mlp":
        model = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 16), nn.Tanh(), nn.Linear(16, 4))
        x = RNG.standard_normal((24, 20)).astype(np.float32)
    else:
        layers = [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Flatten()]
        model = nn.Sequential(*layers, nn.Linear(8 * 9, 4))
        x = RNG.standard_normal((8, 1, 12, 12)).astype(np.float32)
    model = model.to(device)
    parameters = list(model.parameters())
    optimizer = optim.Adam(parameters, lr=0.01) if rule == "adam" else optim.SGD(parameters, lr=0.1, momentum=0.9)
    data = ad.tensor(x, device=device)
    labels = ad.tensor(RNG.integers(0, 4, len(x)).astype(np.int32), device=device)

    def step(x: ad.Tensor, y: ad.Tensor) -> ad.Tensor:
        loss = ad.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    run = ad.compile(step) if compiled else step
    first = run(data, labels).item()
    for _ in range(4):
        last = run(data, labels)
        ad.eval(last)
    before = ad.stats()
    for _ in range(4):
        last = run(data, labels)
        ad.eval(last)
    after = ad.stats()
    made = {name: after[name] - before[name] for name in after}
    assert made["shaders"] == made["pool_misses"] == made["bind_groups"] == made["plan_misses"] == 0, made
    # Labels that came from the processor are known to be good, also where one kernel hands them to the next: all of a
    # step goes over at once.
    assert made["submissions"] <= 4 * -(-made["launches"] // 4 // 128), made
    assert made["launch_nanoseconds"] > 0
    assert last.item() < first


def test_small_steps_share_a_submission(device: str) -> None:
    x = ad.ones((16, 16), device=device)
    ad.eval(x)

    def many() -> None:
        y = x
        for _ in range(20):
            y = (y @ x).tanh()
        ad.eval(y)

    many()
    before = ad.stats()
    many()
    after = ad.stats()
    assert after["launches"] - before["launches"] >= 20
    assert after["submissions"] - before["submissions"] == 1


@pytest.mark.parametrize("ignored", [None, 1])
def test_labels_are_seen_before_the_step(device: str, ignored: int | None) -> None:
    w = ad.tensor(RNG.standard_normal((3, 5)).astype(np.float32), device=device, requires_grad=True)
    x = ad.tensor(RNG.standard_normal((4, 3)).astype(np.float32), device=device)
    optimizer = optim.SGD([w], lr=0.1)

    @ad.compile
    def step(labels: ad.Tensor) -> ad.Tensor:
        loss = ad.cross_entropy(x @ w, labels, **({} if ignored is None else {"ignore_index": ignored}))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    good = ad.tensor(np.array([0, 4, 1, 2], np.int32), device=device)
    for _ in range(4):
        step(good).item()
    before = w.detach().numpy()
    for wrong in ([0, 5, 1, 2], [0, -1, 1, 2], [0, 4, 2**31 - 1, 2]):
        with pytest.raises(ad.OutOfRangeError, match="out of range"):
            step(ad.tensor(np.array(wrong, np.int32), device=device)).item()
        np.testing.assert_array_equal(w.detach().numpy(), before)
    # Where the device computed them, nobody knows them before.
    made = good + 0
    ad.eval(made)
    step(made).item()
    assert not np.array_equal(w.detach().numpy(), before)
    before = w.detach().numpy()
    made = good + 4
    ad.eval(made)
    with pytest.raises(ad.OutOfRangeError, match="out of range"):
        step(made).item()
    np.testing.assert_array_equal(w.detach().numpy(), before)


def test_labels_that_a_kernel_hands_on_are_known(device: str) -> None:
    """Labels in another order are copied by a kernel, which makes no other numbers of them."""
    w = ad.tensor(RNG.standard_normal((3, 5)).astype(np.float32), device=device, requires_grad=True)
    x = ad.tensor(RNG.standard_normal((12, 3)).astype(np.float32), device=device)
    optimizer = optim.SGD([w], lr=0.1)

    @ad.compile
    def step(labels: ad.Tensor) -> ad.Tensor:
        loss = ad.cross_entropy(x @ w, labels.T.reshape(12))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    numbers = RNG.integers(0, 5, (3, 4)).astype(np.int32)
    good = ad.tensor(numbers, device=device)
    for _ in range(4):
        step(good).item()
    before = ad.stats()["submissions"]
    for _ in range(3):
        ad.eval(step(good))
    assert ad.stats()["submissions"] - before == 3
    numbers[1, 2] = 5
    kept = w.detach().numpy()
    with pytest.raises(ad.OutOfRangeError, match="out of range"):
        step(ad.tensor(numbers, device=device)).item()
    np.testing.assert_array_equal(w.detach().numpy(), kept)
