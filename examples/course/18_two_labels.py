"""Chapter 18, one network, two answers: cat or dog, and nice or aggressive.

The two labels have nothing to do with each other, so there are not four classes but two questions, each with a sigmoid
of its own: the layers below are shared, the loss is the sum of two cross-entropies.
Shows with drawn faces (ears tell the kind, the mouth tells the mood) that both are learned; that sharing costs nothing
against a network for each; and what happens where the training set has nice dogs and aggressive cats only: the network
cannot know which of the two it was asked for.
"""

from collections.abc import Callable
from pathlib import Path

import adret as ad
from adret import nn, optim

SIDE = 24
KINDS, MOODS = ("cat", "dog"), ("nice", "aggressive")
Pair = tuple[ad.Tensor, ad.Tensor]
Loss = Callable[[Pair, Pair], ad.Tensor]


def faces(kind: ad.Tensor, mood: ad.Tensor) -> ad.Tensor:
    """A face for each pair of labels, somewhere in a picture `[n, 1, SIDE, SIDE]`, larger or smaller, with noise."""
    n = len(kind)
    kind, mood = (label.astype(ad.float32).reshape(n, 1, 1) for label in (kind, mood))
    radius = ad.random.uniform((n, 1, 1), low=5.6, high=7.0)
    middle = ad.random.uniform((2, n, 1, 1), low=10.5, high=12.5)
    x = (ad.arange(SIDE, dtype=ad.float32).reshape(1, 1, SIDE) - middle[0]) / radius
    y = (ad.arange(SIDE, dtype=ad.float32).reshape(1, SIDE, 1) - middle[1] - 1.0) / radius
    beside = ad.abs(x)

    def inside(distance: ad.Tensor) -> ad.Tensor:
        """1 where a distance is below 0, with a soft edge."""
        return ad.sigmoid(-16.0 * distance)

    head = inside(ad.sqrt(x * x + y * y) - 1.0)
    pointed = inside(ad.maximum(ad.abs(beside - 0.65) - 0.5 * (y + 1.7), y + 0.4))
    hanging = inside(ad.sqrt(((beside - 1.15) / 0.3) ** 2 + (y / 0.7) ** 2) - 1.0)
    ears = pointed * (1 - kind) + hanging * kind
    eyes = inside(ad.sqrt((beside - 0.4) ** 2 + (y + 0.25) ** 2) - 0.18)
    # The corners of the mouth are up, or down.
    curve = (1.2 * x * x - 0.2) * (2 * mood - 1)
    mouth = inside(ad.maximum(ad.abs(y - 0.45 - curve) - 0.14, beside - 0.6))
    picture = ad.maximum(head * 0.7, ears * 0.9) * (1 - eyes) * (1 - mouth)
    light = ad.random.uniform((n, 1, 1), low=0.7, high=1.0)
    return ad.expand_dims(picture * light + ad.random.normal((n, SIDE, SIDE), std=0.06), 1)


class TwoHeads(nn.Module):
    """Layers for both questions, and a logit for each."""

    def __init__(self) -> None:
        self.shared = nn.Sequential(
            *(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(16 * (SIDE // 4) ** 2, 48), nn.ReLU()),
        )
        self.kind = nn.Linear(48, 1)
        self.mood = nn.Linear(48, 1)

    def forward(self, x: ad.Tensor) -> Pair:
        common = self.shared(x)
        return self.kind(common)[:, 0], self.mood(common)[:, 0]


def loss_of(outputs: Pair, targets: Pair) -> ad.Tensor:
    """The sum over both questions."""
    bce = nn.functional.binary_cross_entropy_with_logits
    return sum(bce(logit, label.astype(ad.float32)) for logit, label in zip(outputs, targets, strict=True))


def only_kind(outputs: Pair, targets: Pair) -> ad.Tensor:
    """The first question alone."""
    return loss_of(outputs[:1], targets[:1])


def trained(x: ad.Tensor, kind: ad.Tensor, mood: ad.Tensor, loss: Loss = loss_of) -> TwoHeads:
    """A network that has seen these pictures eight times."""
    ad.manual_seed(1)
    net = TwoHeads()
    optimizer = optim.Adam(net.parameters(), lr=4e-3)
    ad.fit(net, (x, (kind, mood)), loss, optimizer, epochs=8, batch_size=50, seed=0, verbose=0)
    return net


def right(net: TwoHeads, x: ad.Tensor, kind: ad.Tensor, mood: ad.Tensor) -> Pair:
    """For each picture whether the first and the second answer is right, as 0 and 1."""
    with ad.no_grad():
        answers = net(x)
    return tuple(
        ((logit > 0).astype(ad.int32) == label).astype(ad.float32)
        for logit, label in zip(answers, (kind, mood), strict=True)
    )


ad.manual_seed(0)
kind, mood = ad.random.integers(0, 2, (2, 1400))
x = faces(kind, mood)
train, test = slice(1000), slice(1000, None)
net = trained(x[train], kind[train], mood[train])
hits = right(net, x[test], kind[test], mood[test])
both = (hits[0] * hits[1]).mean().item()
print(f"kind {hits[0].mean().item():.1%}, mood {hits[1].mean().item():.1%}, both {both:.1%} of 400 right")
assert min(hit.mean().item() for hit in hits) > 0.95
assert both > 0.93
for number, kind_name in enumerate(KINDS):
    for other, mood_name in enumerate(MOODS):
        here = ((kind[test] == number) & (mood[test] == other)).astype(ad.float32)
        share = (hits[0] * hits[1] * here).sum().item() / here.sum().item()
        print(f"  {mood_name} {kind_name}s: {share:.0%}")
        assert share > 0.85

alone = right(trained(x[train], kind[train], mood[train], only_kind), x[test], kind[test], mood[test])
print(f"asked for the kind alone: {alone[0].mean().item():.1%}, and for the mood never: {alone[1].mean().item():.0%}")
assert alone[0].mean().item() < hits[0].mean().item() + 0.02
assert 0.3 < alone[1].mean().item() < 0.7

# Nice dogs and aggressive cats only: the labels say the same, and so do ears and mouth. On the others, which disagree,
# at most one of the two questions can be answered by what it is about.
same = 1 - kind[train]
biased = trained(faces(kind[train], same), kind[train], same)
told = right(biased, faces(kind[train], same), kind[train], same)
crossed = right(biased, faces(kind[test], kind[test]), kind[test], kind[test])
shares = [hit.mean().item() for hit in crossed]
print(
    f"trained where both go together: {min(hit.mean().item() for hit in told):.0%} there, and where they do not:",
    end=" ",
)
print(f"kind {shares[0]:.0%}, mood {shares[1]:.0%}")
assert min(hit.mean().item() for hit in told) > 0.97
assert sum(shares) < 1.3, "what never came apart cannot be told apart"

figures = Path("figures")
if figures.is_dir():
    with ad.no_grad():
        answers = [(logit > 0).astype(ad.int32).tolist() for logit in net(x[test][:24])]
    titles = [f"{MOODS[m]} {KINDS[k]}" for k, m in zip(*answers, strict=True)]
    try:
        ad.plot.image_grid(x[test][:24], columns=6, titles=titles, path=figures / "18_answers.png")
    except ImportError as error:
        print("no picture:", error)
