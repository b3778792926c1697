"""The models: published sizes, outputs of torchvision for the same weights, errors, training, memory.

Depends on model_vectors.json, which make_model_vectors.py writes. Invariant: a published number stands here once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import adret as ad
import numpy as np
import pytest
from adret import models, nn, optim

CASES = json.loads(Path(__file__).with_name("model_vectors.json").read_text(encoding="utf-8"))["cases"]

PUBLISHED = {
    # torchvision's numbers of parameters
    "alexnet": 61_100_840,
    "vgg11": 132_863_336,
    "vgg11_bn": 132_868_840,
    "vgg13": 133_047_848,
    "vgg13_bn": 133_053_736,
    "vgg16": 138_357_544,
    "vgg16_bn": 138_365_992,
    "vgg19": 143_667_240,
    "vgg19_bn": 143_678_248,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "mobilenet_v2": 3_504_872,
    "inception_v3": 27_161_264,
    # the paper's layers
    "lenet5": 61_706,
    "unet": 7_763_074,
}
# Keras counts the statistics of norms, which are not trained, as well.
KERAS = {"mobilenet_v1": 4_253_864, "xception": 22_910_480, "inception_resnet_v2": 55_873_736}


def drawn(name: str, shape: tuple[int, ...], state: np.random.RandomState) -> np.ndarray:
    """The values that make_model_vectors.py draws."""
    noise = state.standard_normal(shape)
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
        return np.float32(1 + 0.1 * np.abs(noise))
    if len(shape) > 1:
        return np.float32(noise * np.sqrt(2 / np.prod(shape[1:])))
    return np.float32(0.1 * noise)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["model"])
def test_agrees_with_torchvision(case: dict[str, Any]) -> None:
    model = getattr(models, case["model"])(num_classes=10).to(ad.float64).eval()
    state = np.random.RandomState(0)
    model.load_state_dict({name: drawn(name, value.shape, state) for name, value in model.state_dict().items()})
    size = case["size"]
    image = np.random.RandomState(1).standard_normal((1, 3, size, size)).astype(np.float32)
    with ad.no_grad():
        output = model(ad.tensor(image, dtype=ad.float64))[0].numpy()
    expected = np.asarray(case["output"])
    assert np.abs(output - expected).max() < 1e-9 * np.abs(expected).max()


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes(name: str) -> None:
    model = getattr(models, name)()
    assert sum(parameter.size for parameter in model.parameters()) == PUBLISHED[name]


@pytest.mark.parametrize("name", KERAS)
def test_sizes_of_keras(name: str) -> None:
    model = getattr(models, name)()
    statistics = sum(buffer.size for path, buffer in model.named_buffers() if "running" in path)
    assert sum(parameter.size for parameter in model.parameters()) + statistics == KERAS[name]


def test_building_a_large_model_computes_nothing() -> None:
    before = ad.stats()["runs"]
    model = models.vgg16()
    assert sum(parameter.nbytes for parameter in model.parameters()) > 500e6
    assert ad.stats()["runs"] == before


SMALL: list[tuple[Callable[[], nn.Module], tuple[int, ...], tuple[int, ...]]] = [
    (lambda: models.lenet5(7, 3), (2, 3, 28, 28), (2, 7)),
    (lambda: models.LeNet5(padding=0), (1, 1, 32, 32), (1, 10)),
    (lambda: models.alexnet(7, 1), (2, 1, 63, 70), (2, 7)),
    (lambda: models.vgg11(7, 1), (1, 1, 32, 40), (1, 7)),
    (lambda: models.resnet18(7, 1), (2, 1, 33, 32), (2, 7)),
    (lambda: models.mobilenet_v1(7, 1, width=0.25), (2, 1, 32, 33), (2, 7)),
    (lambda: models.mobilenet_v2(7, 1, width=0.35), (2, 1, 32, 33), (2, 7)),
    (lambda: models.inception_v3(7, 1), (1, 1, 75, 80), (1, 7)),
    (lambda: models.inception_v3(7, transform_input=True, aux_logits=False), (1, 3, 75, 75), (1, 7)),
    (lambda: models.inception_resnet_v2(7, 1), (1, 1, 75, 80), (1, 7)),
    (lambda: models.xception(7, 1), (1, 1, 20, 33), (1, 7)),
    (lambda: models.unet(3, 2, width=4, depth=2), (2, 2, 12, 8), (2, 3, 12, 8)),
]


@pytest.mark.parametrize(("make", "given", "expected"), SMALL)
def test_other_channels_sizes_and_classes(
    make: Callable[[], nn.Module], given: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    found = ad.summary(make(), given)
    assert found.rows[0].output_shape == expected
    assert found.multiply_adds > 0


MISTAKES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: models.VGG(12), ad.DomainError, "depth is 12"),
    (lambda: models.ResNet(20), ad.DomainError, "depth is 20"),
    (lambda: models.resnet18(0), ad.DomainError, "num_classes 0"),
    (lambda: models.lenet5(in_channels=-1), ad.DomainError, "in_channels is -1"),
    (lambda: models.mobilenet_v2(width=0), ad.DomainError, "width is 0"),
    (lambda: models.unet(depth=0), ad.DomainError, "depth 0"),
    (lambda: models.unet(width=2, depth=2)(ad.zeros((1, 3, 10, 8))), ad.ShapeError, "multiples of 4"),
    (lambda: models.resnet18()(ad.zeros((1, 1, 32, 32))), ad.ShapeError, r"\[batch, 3, height, width\]"),
    (lambda: models.resnet18()(ad.zeros((3, 32, 32))), ad.ShapeError, r"\(3, 32, 32\)"),
    (lambda: models.vgg11()(ad.zeros((1, 3, 31, 32))), ad.ShapeError, "32 by 32 or larger"),
    (lambda: models.inception_v3()(ad.zeros((1, 3, 74, 75))), ad.ShapeError, "75 by 75"),
    (lambda: models.inception_v3()(ad.zeros((2, 3, 299, 298))), ad.ShapeError, "aux_logits=False"),
]


@pytest.mark.parametrize(("make", "kind", "words"), MISTAKES)
def test_mistakes(make: Callable[[], Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        make()


def test_inception_has_a_second_classifier() -> None:
    model = models.inception_v3(5)
    assert model.AuxLogits(ad.zeros((2, 768, 17, 17))).shape == (2, 5)
    assert model.eval()(ad.zeros((2, 3, 75, 75))).shape == (2, 5)
    assert models.inception_v3(5, aux_logits=False)(ad.zeros((2, 3, 75, 75))).shape == (2, 5)


def test_blocks_may_start_as_the_identity() -> None:
    for depth, last in ((18, "bn2"), (50, "bn3")):
        model = models.ResNet(depth, zero_init_residual=True)
        assert not getattr(model.layer1[0], last).weight.detach().numpy().any()


@pytest.mark.parametrize(
    "make",
    [lambda: models.LeNet5(3, 1), lambda: models.MobileNetV2(3, 1, width=0.1, dropout=0.0)],
    ids=["lenet5", "mobilenet_v2"],
)
def test_training_lowers_the_loss(make: Callable[[], nn.Module]) -> None:
    ad.manual_seed(0)
    model = make()
    optimizer = optim.Adam(model.parameters(), lr=0.003)
    x, y = ad.random.normal((6, 1, 28, 28)), ad.tensor([0, 1, 2] * 2)

    @ad.compile
    def step(x: ad.Tensor, y: ad.Tensor) -> ad.Tensor:
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    losses = [step(x, y).item() for _ in range(12)]
    assert losses[-1] < 0.6 * losses[0]


def test_a_unet_marks_pixels() -> None:
    ad.manual_seed(0)
    model = models.UNet(2, 1, width=4, depth=2)
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    x = ad.random.normal((4, 1, 16, 16))
    y = (x[:, 0] > 0).astype(ad.int64)
    for _ in range(25):
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss.item() < 0.4


def test_weights_go_through_a_file(tmp_path: Path) -> None:
    model, other = models.mobilenet_v2(4, width=0.35), models.mobilenet_v2(4, width=0.35)
    path = tmp_path / "weights.safetensors"
    ad.save(path, model.state_dict())
    other.load_state_dict(ad.load(path))
    x = ad.random.normal((1, 3, 32, 32))
    assert (model.eval()(x).detach().numpy() == other.eval()(x).detach().numpy()).all()
