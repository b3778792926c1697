"""Pooling, interpolation and normalisation on every device: values, gradients and gradients of gradients.

Depends on the suite's `device` fixture. Invariant: a device computes what the CPU computes, to float32's precision.
"""

from __future__ import annotations

from collections.abc import Callable

import adret as ad
import numpy as np
import pytest
from adret import nn, optim
from adret.nn import functional as F

CASES: dict[str, tuple[Callable[[ad.Tensor], ad.Tensor], tuple[int, ...]]] = {
    "max_pool2d": (lambda x: F.max_pool2d(x, 3, 2, 1), (2, 9, 7, 6)),
    "max_pool2d, few planes": (lambda x: F.max_pool2d(x, (2, 3), 1, 1, (1, 2), True), (1, 2, 7, 8)),
    "max_pool2d, channels last": (lambda x: F.max_pool2d(x, 2, channels_last=True), (2, 4, 5, 9)),
    "max_pool3d": (lambda x: F.max_pool3d(x, 2), (1, 3, 4, 5, 6)),
    "adaptive_max_pool2d": (lambda x: F.adaptive_max_pool2d(x, (3, 5)), (2, 7, 7, 4)),
    "many positions": (lambda x: F.adaptive_max_pool2d(x, 1), (1, 3, 17, 17)),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 3, 2, 1), (2, 9, 7, 6)),
    "avg_pool2d, inside": (lambda x: F.avg_pool2d(x, 3, 2, 1, True, False), (2, 9, 7, 6)),
    "avg_pool1d, divisor": (lambda x: F.avg_pool2d(x, (1, 2), divisor_override=3), (2, 3, 1, 6)),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, (3, 9)), (2, 7, 7, 4)),
    "unfold": (lambda x: F.unfold(x, (2, 3), (1, 2), 1, (2, 1)), (2, 3, 6, 7)),
    "fold": (lambda x: F.fold(x, (4, 4), 2, padding=1), (2, 12, 25)),
    "nearest": (lambda x: F.interpolate(x, (5, 11)), (2, 3, 4, 7)),
    "nearest, fewer": (lambda x: F.interpolate(x, 3, mode="nearest-exact"), (2, 3, 7)),
    "linear": (lambda x: F.interpolate(x, scale_factor=1.7, mode="linear"), (2, 3, 7)),
    "bilinear": (lambda x: F.interpolate(x, (3, 9), mode="bilinear"), (2, 3, 5, 4)),
    "bilinear, corners": (lambda x: F.interpolate(x, (3, 9), mode="bilinear", align_corners=True), (2, 3, 5, 4)),
    "bicubic": (lambda x: F.interpolate(x, (7, 3), mode="bicubic"), (1, 2, 5, 6)),
    "trilinear": (lambda x: F.interpolate(x, scale_factor=2, mode="trilinear"), (1, 2, 2, 3, 2)),
    "local_response_norm": (lambda x: F.local_response_norm(x, 3, 0.5), (2, 5, 3, 3)),
    "pad": (lambda x: F.pad(x, (1, 2, 2, 1), "reflect"), (2, 3, 4, 5)),
    "batch_norm": (lambda x: F.batch_norm(x, None, None, training=True), (3, 4, 3, 4)),
    "group_norm": (lambda x: F.group_norm(x, 2), (3, 4, 3, 4)),
    "instance_norm": (lambda x: F.instance_norm(x), (3, 4, 3, 4)),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_agree_with_the_cpu(name: str, device: str) -> None:
    function, shape = CASES[name]
    rng = np.random.default_rng(0)
    values = rng.permutation(int(np.prod(shape))).reshape(shape).astype("float32") / 17
    found: dict[str, list[np.ndarray]] = {}
    for place in ("cpu", device):
        x = ad.tensor(values).to(place).requires_grad_(True)
        y = function(x)
        weights = ad.tensor(np.random.default_rng(1).standard_normal(y.shape).astype("float32")).to(place)
        (y * y * weights).sum().backward(create_graph=True)
        first = x.grad
        x.grad = None
        (first * first).sum().backward()
        found[place] = [part.detach().to("cpu").numpy() for part in (y, first, x.grad)]
    for mine, expected in zip(found[device], found["cpu"], strict=True):
        scale = max(float(np.abs(expected).max()), 1.0)
        np.testing.assert_allclose(mine, expected, rtol=2e-4, atol=2e-5 * scale)


def test_running_statistics_move_there(device: str) -> None:
    def trained(place: str) -> tuple[list[float], list[float], int]:
        ad.manual_seed(1)
        model = nn.Sequential(nn.BatchNorm2d(2), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3)).to(place)
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        x = ad.random.normal((6, 2, 4, 4)).to(place)
        y = ad.tensor([0, 1, 2, 2, 1, 0], dtype=ad.int32).to(place)
        for _ in range(3):
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        norm = model[0]
        assert norm.running_mean.device == place
        assert nn.BatchNorm1d(2, device=place).num_batches_tracked.device == place
        return norm.running_mean.tolist(), norm.running_var.tolist(), int(norm.num_batches_tracked.item())

    for mine, expected in zip(trained(device), trained("cpu"), strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-4, atol=1e-5)
