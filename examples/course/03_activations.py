"""Chapter 3, activations: what stands between two linear layers.

Six functions, from Heaviside's step to PReLU, with their derivatives; and the reason why there must be one: without it
two linear layers are one. Shows curves (as text, and as a picture in `figures/` where matplotlib is installed and the
folder exists), checks every derivative against a difference quotient, and multiplies two layers into one.
"""

from collections.abc import Callable
from pathlib import Path

import adret as ad
from adret import nn

Function = Callable[[ad.Tensor], ad.Tensor]

THETA, THETA_1, THETA_2 = 0.0, -1.0, 1.0


def heaviside(x: ad.Tensor) -> ad.Tensor:
    """0 below the threshold, 1 from it on."""
    return ad.where(x >= THETA, 1.0, x * 0.0)


def two_thresholds(x: ad.Tensor) -> ad.Tensor:
    """The input itself between two thresholds, else 0."""
    return ad.where((x >= THETA_1) & (x <= THETA_2), x, 0.0 * x)


def prelu(x: ad.Tensor) -> ad.Tensor:
    """A slope of 1 above 0 and of 0.25, which can be learned, below."""
    return nn.functional.prelu(x, ad.tensor([0.25], dtype=ad.float64))


# Each with the places where it has a corner or a jump, and no derivative.
FUNCTIONS: dict[str, tuple[Function, list[float]]] = {
    "heaviside": (heaviside, [THETA]),
    "two thresholds": (two_thresholds, [THETA_1, THETA_2]),
    "sigmoid": (ad.sigmoid, []),
    "tanh": (ad.tanh, []),
    "relu": (ad.relu, [0.0]),
    "prelu": (prelu, [0.0]),
}


def derivative(f: Function, x: ad.Tensor) -> ad.Tensor:
    """f'(x) at every point: the derivative along the direction in which every x grows alike."""
    return ad.jvp(f, (x,), (ad.ones_like(x),))[1]


def sketch(values: list[float]) -> str:
    """A curve from -1.2 to 1.2 in one line of text."""
    levels = " .:-=+*#"
    return "".join(levels[min(7, max(0, round((value + 1.2) / 2.4 * 7)))] for value in values)


x = ad.linspace(-2.5, 2.5, 61, dtype=ad.float64) + 0.003  # beside the corners
eps = 1e-6
for name, (f, corners) in FUNCTIONS.items():
    slope = derivative(f, x)
    quotient = (f(x + eps) - f(x - eps)) / (2 * eps)
    assert ad.max(ad.abs(slope - quotient)).item() < 1e-8, name
    print(f"{name:15} f  [{sketch(f(x).tolist())}]")
    print(f"{'':15} f' [{sketch(slope.tolist())}]  corners: {corners or 'none'}")

# The formulas of the lecture.
s, t = ad.sigmoid(x), ad.tanh(x)
assert ad.max(ad.abs(derivative(ad.sigmoid, x) - s * (1 - s))).item() < 1e-12
assert ad.max(ad.abs(derivative(ad.tanh, x) - (1 - t * t))).item() < 1e-12
# A step teaches nothing: its derivative is 0 wherever it has one.
assert ad.max(ad.abs(derivative(heaviside, x))).item() == 0.0

# Two linear layers: W2 (W1 x + b1) + b2 = (W2 W1) x + (W2 b1 + b2).
ad.manual_seed(0)
first, second = nn.Linear(5, 8).to(ad.float64), nn.Linear(8, 3).to(ad.float64)
one = nn.Linear(5, 3).to(ad.float64)
with ad.no_grad():
    one.weight.assign(second.weight @ first.weight)
    one.bias.assign(second.weight @ first.bias + second.bias)
points = ad.random.normal((100, 5), dtype=ad.float64)
gap = ad.max(ad.abs(second(first(points)) - one(points))).item()
bent = ad.max(ad.abs(second(ad.tanh(first(points))) - one(points))).item()
print(f"two linear layers and their product differ by {gap:.1e}; with tanh between them by {bent:.2f}")
assert gap < 1e-12
assert bent > 0.1

figures = Path("figures")
if figures.is_dir():
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        print("matplotlib is not installed: no picture")
    else:
        figure, axes = plt.subplots(2, 3, figsize=(9, 5), layout="constrained")
        for axis, (name, (f, _)) in zip(axes.flat, FUNCTIONS.items(), strict=True):
            axis.plot(x.tolist(), f(x).tolist(), label="f")
            axis.plot(x.tolist(), derivative(f, x).tolist(), "--", label="f'")
            axis.set_title(name)
        axes[0, 0].legend()
        figure.savefig(figures / "03_activations.png")
