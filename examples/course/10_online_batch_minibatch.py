"""Chapter 10, online, batch and mini-batch learning: how many examples should speak before the weights move?

w <- w - alpha dJ/dw, with J over one example (online), all of them (batch) or a few (mini-batch); then momentum,
v <- mu v + dJ/dw, w <- w - alpha v, the inertia of a ball that rolls down the surface of J.
Shows that the batch's path descends at every step and the online one's does not; that, seeing the data as often, online
and mini-batch come down sooner; and that momentum shortens the way along a narrow valley.
Draws loss curves and paths as PNG where matplotlib is there: pass a folder to keep them.
"""

import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import adret as ad
from adret.data import DataLoader

# A line with two weights, s = w1 x + w0, so that J is a surface over the plane; noise keeps its floor above zero.
ad.manual_seed(0)
EXAMPLES = 64
x = ad.random.uniform(EXAMPLES, -1.0, 1.0, dtype=ad.float64)
y = 1.5 * x - 0.5 + 0.1 * ad.random.normal(EXAMPLES, dtype=ad.float64)
inputs = ad.stack([ad.ones_like(x), x], axis=1)  # column 0 is the constant 1: w0 is a weight like the other

Path2D = list[list[float]]


def error(w: ad.Tensor, inputs: ad.Tensor, y: ad.Tensor) -> ad.Tensor:
    """J, the mean over the examples of 1/2 (s - y)^2."""
    return 0.5 * ((inputs @ w - y) ** 2).mean()


def learn(batch_size: int, alpha: float, epochs: int, mu: float = 0.0) -> tuple[list[float], Path2D]:
    """J over all examples after each epoch, and the weights after each step."""
    w = ad.tensor([1.0, -1.0], dtype=ad.float64, requires_grad=True)
    optimizer = ad.optim.SGD([w], lr=alpha, momentum=mu)
    examples = DataLoader((inputs, y), batch_size, shuffle=True, seed=0)  # another order in every epoch
    losses, path = [error(w, inputs, y).item()], [w.tolist()]
    for _ in range(epochs):
        for some_inputs, some_y in examples:
            error(w, some_inputs, some_y).backward()
            optimizer.step()
            optimizer.zero_grad()
            path.append(w.tolist())
        losses.append(error(w, inputs, y).item())
    return losses, path


def along(path: Path2D) -> list[float]:
    """J over all examples at every point of a path."""
    return [error(ad.tensor(point, dtype=ad.float64), inputs, y).item() for point in path]


EPOCHS = 24
KINDS = {"online": 1, "mini-batch": 8, "batch": EXAMPLES}
found = {name: learn(size, 0.1, EPOCHS) for name, size in KINDS.items()}

# The floor of J, by the normal equations: (X^T X) w = X^T y, two unknowns.
(a, b), (_, d) = (inputs.T @ inputs).tolist()
p, q = (inputs.T @ y).tolist()
best = [(d * p - b * q) / (a * d - b * b), (a * q - b * p) / (a * d - b * b)]
floor = along([best])[0]
print(f"the floor of J is {floor:.5f}, at w = ({best[0]:.3f}, {best[1]:.3f})")
for name, (losses, path) in found.items():
    shown = ", ".join(f"{value - floor:.5f}" for value in losses[:: EPOCHS // 4])
    print(f"{name:10}: {len(path) - 1:4} steps; J above the floor, every {EPOCHS // 4} epochs: {shown}")

heights = {name: along(path) for name, (_, path) in found.items()}
assert all(later < earlier for earlier, later in pairwise(heights["batch"])), "the batch's path climbs somewhere"
climbs = sum(later > earlier for earlier, later in pairwise(heights["online"]))
print(f"online, {climbs} of {len(heights['online']) - 1} steps go up: one example does not know the whole surface")
assert climbs > 50
excess = {name: losses[2] - floor for name, (losses, _) in found.items()}
assert excess["online"] < excess["mini-batch"] < excess["batch"], "who moves more often is down sooner"
rest = {name: max(height[-16:]) - floor for name, height in heights.items() if name != "batch"}
print(f"but in the last 16 steps online still strays {rest['online']:.5f} above the floor")
assert rest["online"] > rest["mini-batch"], "who asks few examples does not come to rest"

# Momentum: the surface is stretched, so that one direction is steep and the other flat. What is too much for the steep
# direction bounds alpha; the flat one then takes many steps, unless they add up.
stretched = ad.tensor([1.0, 0.1], dtype=ad.float64)
inputs = inputs * stretched
floor = along([[best[0], best[1] / 0.1]])[0]
LONG = 60
rolled = {f"mu = {mu}": learn(EXAMPLES, 1.5, LONG, mu) for mu in (0.0, 0.5, 0.9)}
for name, (losses, _) in rolled.items():
    print(f"{name}: J above the floor after {LONG} epochs of one step: {losses[-1] - floor:.6f}")
ends = [losses[-1] - floor for losses, _ in rolled.values()]
assert ends[0] > ends[1] > ends[2]
assert ends[2] < 0.1 * ends[0]


def draw(folder: Path) -> None:
    """Loss curves side by side, and paths on the two surfaces."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    global inputs
    plain = inputs / stretched
    for file, runs, data, (wide, high) in (
        ("10_batch_sizes.png", found, plain, ((-1.2, 1.2), (-1.2, 2.2))),
        ("10_momentum.png", rolled, inputs, ((-2.2, 1.2), (-3.0, 17.0))),
    ):
        inputs = data
        figure, (curves, surface) = pyplot.subplots(1, 2, figsize=(10, 4))
        grid_0, grid_1 = ad.linspace(*wide, 60, dtype=ad.float64), ad.linspace(*high, 60, dtype=ad.float64)
        w0, w1 = ad.meshgrid(grid_0, grid_1)
        outputs = inputs @ ad.stack([w0.flatten(), w1.flatten()])  # [examples, points of the grid]
        levels = (0.5 * ((outputs - ad.expand_dims(y, 1)) ** 2).mean(axis=0)).reshape(60, 60).numpy()
        surface.contour(w0.numpy(), w1.numpy(), levels, levels=20, linewidths=0.5, colors="grey")
        for name, (losses, path) in runs.items():
            curves.plot(losses, label=name)
            surface.plot(*zip(*path, strict=True), label=name, linewidth=0.8)
        curves.set(xlabel="epoch", ylabel="J", yscale="log")
        surface.set(xlabel="w0", ylabel="w1")
        curves.legend()
        surface.legend()
        figure.tight_layout()
        figure.savefig(folder / file, dpi=120)
        pyplot.close(figure)


try:
    import matplotlib  # noqa: F401
except ImportError:
    print("no figures: matplotlib is not installed")
else:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else temporary)
        draw(folder)
        drawn = sorted(file.name for file in folder.glob("10_*.png"))
        print(f"figures: {', '.join(drawn)}" + ("" if len(sys.argv) > 1 else " (pass a folder to keep them)"))
        assert drawn == ["10_batch_sizes.png", "10_momentum.png"]
