"""Models on a GPU: outputs, and what a step of training makes of them.

Depends on the suite's `device` fixture. Invariant: a device computes what the CPU computes, to float32's precision.
"""

from __future__ import annotations

from collections.abc import Callable

import adret as ad
import numpy as np
import pytest
from adret import models, nn, optim

pytestmark = pytest.mark.parametrize("device", ["gpu"], indirect=True)

SMALL: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "lenet5": (lambda: models.lenet5(5), (2, 1, 28, 28)),
    "mobilenet_v1": (lambda: models.MobileNetV1(5, 1, width=0.05, dropout=0.0), (2, 1, 32, 32)),
    "mobilenet_v2": (lambda: models.MobileNetV2(5, 1, width=0.05, dropout=0.0), (2, 1, 32, 32)),
    "unet": (lambda: models.UNet(3, 2, width=3, depth=2), (2, 2, 8, 12)),
}
# Their widths are fixed: much work for a GPU in software.
LARGE: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "alexnet": (lambda: models.alexnet(5, 1, dropout=0.0), (1, 1, 63, 63)),
    "vgg11_bn": (lambda: models.vgg11_bn(5, 1, dropout=0.0), (1, 1, 32, 32)),
    "resnet18": (lambda: models.resnet18(5, 1), (2, 1, 32, 32)),
    "resnet50": (lambda: models.resnet50(5, 1), (1, 1, 32, 32)),
    "inception_v3": (lambda: models.inception_v3(5, 1), (1, 1, 75, 75)),
    "inception_resnet_v2": (lambda: models.inception_resnet_v2(5, 1), (1, 1, 75, 75)),
    "xception": (lambda: models.xception(5, 1), (1, 1, 20, 20)),
}


def outputs(model: nn.Module, shape: tuple[int, ...], device: str) -> ad.Tensor:
    """The model's output in evaluation mode."""
    x = ad.tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32), device=device)
    with ad.no_grad():
        return model.eval()(x).to("cpu")


@pytest.mark.parametrize("name", SMALL)
def test_a_step_is_the_cpu_s(name: str, device: str) -> None:
    make, shape = SMALL[name]

    def stepped(place: str) -> tuple[float, np.ndarray]:
        ad.manual_seed(1)
        model = make().to(place)
        optimizer = optim.SGD(model.parameters(), lr=0.01)
        rng = np.random.default_rng(0)
        x = ad.tensor(rng.standard_normal(shape).astype(np.float32), device=place)
        y = model(x)
        labels = rng.integers(0, y.shape[1], (shape[0], *y.shape[2:])).astype(np.int32)
        loss = nn.functional.cross_entropy(y, ad.tensor(labels, device=place))
        loss.backward()
        optimizer.step()
        assert {parameter.device for parameter in model.parameters()} == {place}
        return loss.item(), outputs(model, shape, place).numpy()

    (loss, after), (expected, reference) = stepped(device), stepped("cpu")
    assert abs(loss - expected) < 1e-3 * abs(expected)
    np.testing.assert_allclose(after, reference, rtol=5e-3, atol=5e-3 * np.abs(reference).max())


@pytest.mark.full
@pytest.mark.parametrize("name", LARGE)
def test_large_models_agree(name: str, device: str) -> None:
    make, shape = LARGE[name]
    ad.manual_seed(1)
    model = make()
    expected = outputs(model, shape, "cpu").numpy()
    found = outputs(model.to(device), shape, device).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
