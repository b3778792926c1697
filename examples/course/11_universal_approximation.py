"""Chapter 11, universal approximation (Cybenko 1989): one hidden layer is enough, if it is wide enough.

G(x) = sum_j alpha_j sigma(w_j x + theta_j) comes as close as one likes to any continuous curve on an interval.
Shows the construction behind it (each pair of steep sigmoids is a bump, and bumps draw the curve), then networks that
are trained: the error falls with the width. Writes a picture into `figures/` where matplotlib is installed and the
folder exists.
"""

from itertools import pairwise
from pathlib import Path

import adret as ad
from adret import optim

x = ad.linspace(0.0, 1.0, 201, dtype=ad.float64)
target = ad.sin(6.0 * x) * ad.exp(-x) + 0.3 * ad.cos(20.0 * x)


def network(x: ad.Tensor, alpha: ad.Tensor, w: ad.Tensor, theta: ad.Tensor) -> ad.Tensor:
    """G(x) at every point."""
    return ad.sigmoid(ad.outer(x, w) + theta) @ alpha


def by_construction(width: int) -> ad.Tensor:
    """Weights written down: a step up by the curve's growth, at the middle of each of `width` intervals."""
    edges = ad.linspace(0.0, 1.0, width + 1, dtype=ad.float64)
    values = ad.sin(6.0 * edges) * ad.exp(-edges) + 0.3 * ad.cos(20.0 * edges)
    middles = (edges[1:] + edges[:-1]) / 2
    steep = ad.full((width,), 3.0 * width, dtype=ad.float64)
    return network(x, values[1:] - values[:-1], steep, -steep * middles) + values[0]


def error(y: ad.Tensor) -> float:
    """The largest distance from the curve."""
    return ad.max(ad.abs(y - target)).item()


constructed = {width: error(by_construction(width)) for width in (5, 20, 80, 320)}
for width, distance in constructed.items():
    print(f"constructed, {width:3} units: never more than {distance:.4f} away")
assert all(wider < narrower for narrower, wider in pairwise(constructed.values()))
assert constructed[320] < 0.02

trained: dict[int, float] = {}
curves: dict[int, list[float]] = {}
for width in (2, 8, 32):
    ad.manual_seed(0)
    w = ad.random.normal((width,), std=20.0, dtype=ad.float64)
    theta = -w * ad.linspace(0.0, 1.0, width, dtype=ad.float64)  # each unit has its step inside of the interval
    alpha = ad.random.normal((width,), std=0.1, dtype=ad.float64)
    parameters = [tensor.requires_grad_() for tensor in (alpha, w.detach(), theta.detach())]
    optimizer = optim.Adam(parameters, lr=0.05)
    for _ in range(1500):
        loss = ((network(x, *parameters) - target) ** 2).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    trained[width] = loss.item() ** 0.5
    curves[width] = network(x, *parameters).detach().tolist()
    print(f"trained, {width:2} units: root of the mean squared error {trained[width]:.5f}")
assert all(wider < narrower / 2 for narrower, wider in pairwise(trained.values()))
assert trained[32] < 0.02

figures = Path("figures")
if figures.is_dir():
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        print("matplotlib is not installed: no picture")
    else:
        figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
        axis.plot(x.tolist(), target.tolist(), "k", linewidth=3, alpha=0.3, label="the curve")
        for width, curve in curves.items():
            axis.plot(x.tolist(), curve, label=f"{width} units")
        axis.legend()
        figure.savefig(figures / "11_universal_approximation.png")
