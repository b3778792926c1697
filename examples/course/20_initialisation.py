"""Chapter 20, initialisation and the vanishing gradient: what twenty layers do to a signal on its way there and back.

A layer with N_in inputs and weights of variance v makes of a signal of mean square q one of N_in v q: only v = 1/N_in
keeps it. Three rules follow: N(0, 1/sqrt(N_in)); Glorot, v = 2/(N_in + N_out), a compromise with the way back; He,
v = 2/N_in, since ReLU lets half of it through. On the way back each layer multiplies by W^T and by the slope of the
activation, which is 1/4 at most for the sigmoid.
Shows mean and spread of activations and the size of gradients for each layer, for sigmoid, tanh and ReLU under these
rules; what batch normalisation and residual connections change; and which of these networks learn.
"""

from collections.abc import Callable
from pathlib import Path

import adret as ad
from adret import nn, optim

DEPTH, WIDTH = 20, 64
train_x, train_y, test_x, test_y = ad.data.digits()
mean, std = train_x.mean().item(), ad.std(train_x).item()
train_x, test_x = ((x.reshape(-1, 64) - mean) / std for x in (train_x, test_x))

RULES: dict[str, Callable[[ad.Tensor], object]] = {
    "too small": lambda w: nn.init.normal_(w, std=0.02),
    "too large": lambda w: nn.init.normal_(w, std=1.0),
    "1/sqrt(N)": lambda w: nn.init.normal_(w, std=w.shape[1] ** -0.5),
    "Glorot": nn.init.xavier_normal_,
    "He": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
}
ACTIVATIONS = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "ReLU": nn.ReLU}


class Deep(nn.Module):
    """Twenty layers of one width; optionally normalised, optionally each added to what it was given."""

    def __init__(self, activation: str, rule: str, normalised: bool = False, residual: bool = False) -> None:
        ad.manual_seed(0)
        self.linears = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(DEPTH))
        self.norms = nn.ModuleList(nn.BatchNorm1d(WIDTH) if normalised else nn.Identity() for _ in range(DEPTH))
        self.head = nn.Linear(WIDTH, 10)
        self.activation = ACTIVATIONS[activation]()
        self.residual = residual
        for linear in self.linears:
            RULES[rule](linear.weight)
            nn.init.zeros_(linear.bias)

    def layers(self, x: ad.Tensor) -> list[ad.Tensor]:
        """What comes out of each of the twenty."""
        found: list[ad.Tensor] = []
        for linear, norm in zip(self.linears, self.norms, strict=True):
            y = self.activation(norm(linear(x)))
            x = x + y if self.residual else y
            found.append(x)
        return found

    def forward(self, x: ad.Tensor) -> ad.Tensor:
        return self.head(self.layers(x)[-1])


class Seen:
    """Per layer: mean and standard deviation of activations, and the root mean square of their gradients."""

    def __init__(self, net: Deep) -> None:
        outputs = net.layers(train_x[:256])
        for output in outputs:
            output.retain_grad()
        nn.functional.cross_entropy(net.head(outputs[-1]), train_y[:256], reduction="sum").backward()
        self.mean = [output.mean().item() for output in outputs]
        self.std = [ad.std(output).item() for output in outputs]
        self.grad = [ad.sqrt((output.grad * output.grad).mean()).item() for output in outputs]
        # How much smaller (or larger) the gradient of the first layer is than that of the last.
        self.ratio = self.grad[0] / self.grad[-1]

    def __str__(self) -> str:
        """A line of the table."""
        numbers = f"{self.mean[0]:+8.2g} {self.mean[-1]:+8.2g} {'':8} {self.std[0]:8.1e} {self.std[-1]:8.1e}"
        return f"{numbers} {'':6} {self.ratio:8.1e}"


seen: dict[str, Seen] = {}
print(f"{'':26}  mean: 1, 20 {'':11} spread: 1, 20 {'':8} gradient, 1st / 20th")
for activation in ACTIVATIONS:
    for rule in RULES:
        name = f"{activation}, {rule}"
        seen[name] = found = Seen(Deep(activation, rule))
        print(f"{name:26} {found}")

# Too small, and the signal is gone; too large, and tanh is a switch.
assert seen["tanh, too small"].std[-1] < 1e-12
assert seen["tanh, too large"].std[-1] > 0.9
assert seen["ReLU, too large"].std[-1] > 1e9
# 1/sqrt(N) and Glorot, the same where N_in = N_out, are right for tanh. ReLU loses half of the mean square in each
# layer, and needs He.
for rule in ("1/sqrt(N)", "Glorot"):
    assert seen[f"tanh, {rule}"].std[-1] > 0.1
    assert 0.1 < seen[f"tanh, {rule}"].ratio < 10
    assert seen[f"ReLU, {rule}"].std[-1] < 0.01 * seen[f"ReLU, {rule}"].std[0]
assert 0.2 < seen["ReLU, He"].std[-1] / seen["ReLU, He"].std[0] < 5
assert 0.1 < seen["ReLU, He"].ratio < 10
# Nothing helps the sigmoid: its slope is 1/4 at most, and 4^-19 is 4e-12. All its units say about the same.
for rule in ("too small", "1/sqrt(N)", "Glorot"):
    assert seen[f"sigmoid, {rule}"].ratio < 1e-9
assert abs(seen["sigmoid, 1/sqrt(N)"].mean[-1] - 0.5) < 0.1

# Batch normalisation sets mean and spread before every activation, whatever the weights are; a residual connection lets
# the gradient pass beside the layer.
print("and with")
for name, options in {
    "sigmoid, BatchNorm": ("sigmoid", "Glorot", True, False),
    "sigmoid, residual": ("sigmoid", "Glorot", False, True),
    "tanh, too small, BatchNorm": ("tanh", "too small", True, False),
    "tanh, too large, BatchNorm": ("tanh", "too large", True, False),
    "ReLU, too small, BatchNorm": ("ReLU", "too small", True, False),
    "ReLU, too small, residual": ("ReLU", "too small", False, True),
}.items():
    seen[name] = found = Seen(Deep(*options))
    print(f"{name:26} {found}")
assert seen["sigmoid, BatchNorm"].ratio > 1e3 * seen["sigmoid, Glorot"].ratio
assert 0.1 < seen["sigmoid, residual"].ratio < 10
spreads = [seen[f"tanh, {rule}, BatchNorm"].std[-1] for rule in ("too small", "too large")]
assert all(0.5 < spread < 0.8 for spread in spreads), "the scale of the weights no longer counts"
# Normalising ReLU makes the gradient grow by sqrt(pi / (pi - 1)), a fifth, per layer: 38 times over nineteen.
assert 1 < seen["ReLU, too small, BatchNorm"].ratio < 200
assert 0.5 < seen["ReLU, too small, residual"].ratio < 2


# Which of them learn, in the same few steps?
def learned(net: Deep) -> float:
    """Accuracy on the held-out third after six epochs."""
    ad.fit(net, (train_x, train_y), "cross_entropy", optim.Adam(net.parameters(), lr=1e-3), epochs=6, seed=0, verbose=0)
    return ad.evaluate(net, (test_x, test_y), "cross_entropy", ["accuracy"])["accuracy"]


results = {
    "sigmoid, Glorot": learned(Deep("sigmoid", "Glorot")),
    "ReLU, too small": learned(Deep("ReLU", "too small")),
    "tanh, Glorot": learned(Deep("tanh", "Glorot")),
    "ReLU, He": learned(Deep("ReLU", "He")),
    "ReLU, too small, BatchNorm": learned(Deep("ReLU", "too small", normalised=True)),
    "sigmoid, residual": learned(Deep("sigmoid", "Glorot", residual=True)),
}
for name, accuracy in results.items():
    print(f"{name:26} after six epochs: {accuracy:.1%}")
assert results["sigmoid, Glorot"] < 0.25 > results["ReLU, too small"], "no gradient, no learning"
assert all(
    results[name] > 0.7 for name in ("tanh, Glorot", "ReLU, He", "ReLU, too small, BatchNorm", "sigmoid, residual")
)

figures = Path("figures")
if figures.is_dir():
    chosen = ("sigmoid, Glorot", "sigmoid, BatchNorm", "tanh, Glorot", "ReLU, Glorot", "ReLU, He")
    try:
        curves = {name: {"spread": seen[name].std, "gradient": seen[name].grad} for name in chosen}
        ad.plot.learning_curve(curves, log=True, xlabel="layer", path=figures / "20_by_layer.png")
    except ImportError as error:
        print("no picture:", error)
