"""Chapter 24, sparse networks: most of the weights can go.

L1: lambda |w| pulls every weight towards 0 with the same force, however small it is already; the step that does it
exactly is soft thresholding, w <- sign(w) max(|w| - alpha lambda, 0), and leaves true zeros. L2 only makes weights
smaller. Magnitude pruning takes a trained network, drops the smallest weights and trains what remains.
Shows with handwritten digits: how many weights are 0 under L1 and L2; how accuracy falls with what is dropped: at
random, by magnitude, and by magnitude in rounds with training between them; and what remains: the pixels still looked
at, and the units that nobody listens to.
"""

from collections.abc import Callable
from pathlib import Path

import adret as ad
from adret import nn, optim

train_x, train_y, test_x, test_y = ad.data.digits(seed=0)
train_x, test_x = train_x.reshape(-1, 64), test_x.reshape(-1, 64)
loss_of = nn.CrossEntropyLoss()


def network() -> nn.Sequential:
    """A dense network, larger than it need be."""
    ad.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))


def weights(net: nn.Module) -> list[nn.Parameter]:
    """The matrices; biases are few and stay."""
    return [parameter for parameter in net.parameters() if parameter.ndim == 2]


def train(net: nn.Sequential, epochs: int, after: Callable[[], None] = lambda: None, decay: float = 0.0) -> None:
    """Adam on batches of 64; `after` is called after every step and may change the weights."""
    optimizer = optim.Adam(net.parameters(), lr=2e-3)
    for _ in range(epochs):
        for x, y in ad.data.DataLoader((train_x, train_y), batch_size=64, shuffle=True, seed=epochs):
            loss = loss_of(net(x), y)
            if decay:
                loss = loss + decay * sum((w * w).sum() for w in weights(net))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            with ad.no_grad():
                after()


def accuracy(net: nn.Sequential) -> float:
    """On the third that was held out."""
    with ad.no_grad():
        return (net(test_x).argmax(axis=1) == test_y).astype(ad.float32).mean().item()


def kept(net: nn.Sequential) -> float:
    """The fraction of weights that are not 0."""
    return sum(ad.count_nonzero(w).item() for w in weights(net)) / sum(w.size for w in weights(net))


# L1 and L2.


def soften(net: nn.Sequential, threshold: float) -> None:
    """One step of soft thresholding."""
    for w in weights(net):
        w.assign(ad.sign(w) * ad.maximum(ad.abs(w) - threshold, 0.0))


plain, small, sparse = network(), network(), network()
train(plain, 30)
train(small, 30, decay=1e-3)
train(sparse, 30, after=lambda: soften(sparse, 7e-4))
for name, net in (("nothing", plain), ("L2", small), ("L1", sparse)):
    tiny = sum((ad.abs(w) < 0.01).sum().item() for w in weights(net)) / sum(w.size for w in weights(net))
    print(f"{name:>7}: {accuracy(net):.1%} right, {kept(net):6.1%} of the weights are not 0, {tiny:5.1%} below 0.01")
assert kept(plain) == 1.0, "training alone makes no zeros"
assert kept(small) == 1.0, "L2 makes weights smaller and none 0"
assert kept(sparse) < 0.4
assert accuracy(sparse) > accuracy(plain) - 0.02

# Magnitude pruning.


def copy_of(net: nn.Sequential) -> nn.Sequential:
    """A network with the same weights."""
    copy = network()
    copy.load_state_dict(net.state_dict())
    return copy


def masks(net: nn.Sequential, fraction: float, at_random: bool = False) -> list[ad.Tensor]:
    """1 for the weights to keep, that fraction of each matrix, else 0; what is 0 already goes first."""
    found: list[ad.Tensor] = []
    for w in weights(net):
        score = ad.random.uniform(w.shape) if at_random else ad.abs(w.detach())
        threshold = ad.sort(score.flatten())[round((1 - fraction) * w.size)]
        found.append((score >= threshold).astype(w.dtype))
    return found


def cut(net: nn.Sequential, mask: list[ad.Tensor]) -> None:
    """Sets what is dropped to 0."""
    with ad.no_grad():
        for w, keep in zip(weights(net), mask, strict=True):
            w.assign(w * keep)


FRACTIONS = (0.5, 0.2, 0.1, 0.05)
curves: dict[str, list[float]] = {"at random": [], "by magnitude": [], "by magnitude, in rounds": []}
rounds = copy_of(plain)
for fraction in FRACTIONS:
    for name, at_random in (("at random", True), ("by magnitude", False)):
        net = copy_of(plain)
        cut(net, masks(net, fraction, at_random))
        curves[name].append(accuracy(net))
    mask = masks(rounds, fraction)
    cut(rounds, mask)
    train(rounds, 12, after=lambda mask=mask: cut(rounds, mask))
    assert abs(kept(rounds) - fraction) < 0.01, "training must not bring back what was dropped"
    curves["by magnitude, in rounds"].append(accuracy(rounds))
print(f"{'weights kept':>24}: " + "  ".join(f"{fraction:6.0%}" for fraction in FRACTIONS))
for name, values in curves.items():
    print(f"{name:>24}: " + "  ".join(f"{value:6.1%}" for value in values))
assert curves["by magnitude"][1] > curves["at random"][1] + 0.05
assert curves["by magnitude, in rounds"][2] > accuracy(plain) - 0.02, "a tenth of the weights does as well"
assert curves["by magnitude, in rounds"][3] > curves["by magnitude"][3] + 0.05

# What remains, after 19 of 20 weights are gone.
first = weights(rounds)[0].detach()  # [units, pixels]
listened = ad.count_nonzero(first, axis=0).reshape(8, 8)
print("how many units look at each pixel, of", len(first))
for row in listened.tolist():
    print("   ", " ".join(f"{count:3}" for count in row))
# Where a pixel is never lit, its weights get no gradient: they stay as small as they began, and are the first to go.
never_lit = train_x.max(axis=0).reshape(8, 8) == 0
print(
    f"{never_lit.sum().item()} pixels are never lit, and {(never_lit & (listened > 0)).sum().item()} of them looked at"
)
assert not (never_lit & (listened > 0)).any()
# A unit counts if something comes in and something goes out.
alive = (ad.count_nonzero(first, axis=1) > 0) & (ad.count_nonzero(weights(rounds)[1], axis=0) > 0)
print(f"{alive.sum().item()} of {len(first)} units of the first layer still have both an input and an output")
assert alive.sum().item() < len(first)
# As rows of (place, value) it takes a tenth of the memory; the product needs a twentieth of the multiplications.
dense = sum(w.size for w in weights(rounds)) * 4
listed = sum(ad.count_nonzero(w).item() for w in weights(rounds)) * (4 + 4)
print(f"weights take {dense:,} bytes as matrices and {listed:,} as a list of places and values")
assert listed < 0.12 * dense

figures = Path("figures")
if figures.is_dir():
    try:
        ad.plot.image_grid(ad.expand_dims(listened.astype(ad.float32), 0), path=figures / "24_pixels_looked_at.png")
    except ImportError as error:
        print("no picture:", error)
