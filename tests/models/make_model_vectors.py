"""Writes model_vectors.json: what torchvision's models give for weights that any machine can draw. Run by hand.

Depends on torchvision. Invariant: weights and images come from NumPy's frozen generator, in the order of the state's
names, so that the file holds outputs alone. `python make_model_vectors.py --table` prints, for every model that
torchvision has too, its parameters and the greatest difference instead.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import torchvision

# Model, size of the image.
SMALL = [("resnet18", 33), ("resnet50", 33), ("mobilenet_v2", 40), ("inception_v3", 75)]
ALL = [
    *(("alexnet", 64), ("vgg11", 32), ("vgg11_bn", 40), ("vgg13", 32), ("vgg13_bn", 32), ("vgg16", 64)),
    *(("vgg16_bn", 32), ("vgg19", 32), ("vgg19_bn", 32), ("resnet18", 64), ("resnet34", 64), ("resnet50", 64)),
    *(("resnet101", 64), ("resnet152", 64), ("mobilenet_v2", 64), ("inception_v3", 96)),
]


def drawn(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Float32 values for every name: variances near 1, norms' factors too, weights that keep the spread of signals."""
    state = np.random.RandomState(0)
    values: dict[str, np.ndarray] = {}
    for name, shape in shapes.items():
        noise = state.standard_normal(shape)
        if name.endswith("num_batches_tracked"):
            values[name] = np.zeros(shape, np.int64)
        elif name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
            values[name] = np.float32(1 + 0.1 * np.abs(noise))
        elif len(shape) > 1:
            values[name] = np.float32(noise * np.sqrt(2 / np.prod(shape[1:])))
        else:
            values[name] = np.float32(0.1 * noise)
    return values


def theirs(name: str, classes: int) -> torch.nn.Module:
    """Torchvision's model, evaluating."""
    more = {"init_weights": False} if name == "inception_v3" else {}
    return getattr(torchvision.models, name)(weights=None, num_classes=classes, **more).eval()


def filled(model: torch.nn.Module) -> dict[str, np.ndarray]:
    """Gives a model the drawn values, and returns them."""
    values = drawn({name: tuple(value.shape) for name, value in model.state_dict().items()})
    model.load_state_dict({name: torch.tensor(value) for name, value in values.items()})
    return values


def image(size: int) -> np.ndarray:
    """A batch of one."""
    return np.random.RandomState(1).standard_normal((1, 3, size, size)).astype(np.float32)


def table() -> None:
    """Parameters and the greatest difference, relative to the greatest output."""
    import adret as ad

    print(f"{'model':14} {'parameters':>12}  difference")
    for name, size in ALL:
        reference, model = theirs(name, 1000), getattr(ad.models, name)().eval()
        model.load_state_dict(filled(reference))
        with torch.no_grad(), ad.no_grad():
            expected, got = reference(torch.tensor(image(size))).numpy(), model(ad.tensor(image(size))).numpy()
        count = sum(parameter.size for parameter in model.parameters())
        assert count == sum(parameter.numel() for parameter in reference.parameters())
        print(f"{name:14} {count:12,}  {np.abs(got - expected).max() / np.abs(expected).max():.1e}")


def main() -> None:
    """Writes the file."""
    cases = []
    for name, size in SMALL:
        model = theirs(name, 10)
        filled(model)
        with torch.no_grad():
            output = model.double()(torch.tensor(image(size)).double())
        cases.append({"model": name, "size": size, "output": output[0].tolist()})
    text = json.dumps({"source": f"torchvision {torchvision.__version__}", "cases": cases}, indent=1)
    Path(__file__).with_name("model_vectors.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    table() if "--table" in sys.argv else main()
