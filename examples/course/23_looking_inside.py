"""Chapter 23, looking inside: the gradient by the picture instead of by the weights.

What a network does with a picture is a function of the picture as well, and backward() gives its gradient there: where
the answer is sensitive (saliency); a step that harms most while it changes least (the fast gradient sign, Goodfellow et
al. 2014); a picture that pleases a unit (gradient ascent, DeepDream); and one that has the content of one picture and
the style of another, where style is which features go together: the Gram matrix F F^T (Gatys et al. 2015).
Shows all four with a small network that knows handwritten digits.
"""

from pathlib import Path

import adret as ad
from adret import nn, optim

train_x, train_y, test_x, test_y = ad.data.digits()
train_x, test_x = ad.expand_dims(train_x, 1), ad.expand_dims(test_x, 1)  # [n, 1, 8, 8]
ad.manual_seed(0)
first = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU())
second = nn.Sequential(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU())
head = nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512, 10))
net = nn.Sequential(first, second, head)
ad.fit(net, (train_x, train_y), "cross_entropy", optim.Adam(net.parameters(), lr=2e-3), epochs=12, seed=0, verbose=0)
net.eval()
for parameter in net.parameters():
    parameter.requires_grad_(False)  # from here on the network stays as it is


def accuracy(pictures: ad.Tensor) -> float:
    """On pictures of the held-out digits."""
    return (net(pictures).argmax(axis=1) == test_y).astype(ad.float32).mean().item()


def right_scores(pictures: ad.Tensor) -> ad.Tensor:
    """The score of the right digit, for each picture."""
    return ad.take_along_axis(net(pictures), ad.expand_dims(test_y, 1), axis=1)[:, 0]


clean = accuracy(test_x)
print(f"{clean:.1%} of the held-out digits are recognised")
assert clean > 0.95

# Saliency: the pixels by which the score of the right digit changes most.
x = test_x.detach().requires_grad_()
right_scores(x).sum().backward()
saliency = ad.abs(x.grad) * test_x  # what a pixel has done: slope times value
order = ad.argsort(saliency.reshape(-1, 64), axis=1)[:, -10:]
random_order = ad.argsort(ad.random.uniform((len(test_x), 64)) * (test_x.reshape(-1, 64) > 0), axis=1)[:, -10:]


def without(pixels: ad.Tensor) -> ad.Tensor:
    """The pictures with these pixels dark."""
    lit = 1 - ad.one_hot(pixels, 64, dtype=ad.float32).max(axis=1)
    return test_x * lit.reshape(-1, 1, 8, 8)


salient, others = accuracy(without(order)), accuracy(without(random_order))
print(f"without the 10 most salient pixels {salient:.0%} are recognised, without 10 other bright ones {others:.0%}")
assert salient < others - 0.1

# The fast gradient sign: every pixel moves by epsilon, in the direction that raises the loss.
x = test_x.detach().requires_grad_()
nn.functional.cross_entropy(net(x), test_y).backward()
direction = ad.sign(x.grad)
coin = ad.sign(ad.random.normal(x.shape))
print("epsilon   against the gradient   at random")
for epsilon in (0.05, 0.1, 0.2):
    attacked = accuracy(ad.clip(test_x + epsilon * direction, 0.0, 1.0))
    shaken = accuracy(ad.clip(test_x + epsilon * coin, 0.0, 1.0))
    print(f"{epsilon:7}   {attacked:20.1%}   {shaken:9.1%}")
    assert attacked < shaken
assert attacked < 0.3 < 0.8 < shaken, "the same change of each pixel, but in a chosen direction"

# DeepDream: go up the gradient of a unit, starting from nearly nothing. A little blur keeps single pixels from it.
blur = ad.tensor([[1.0, 2.0, 1.0], [2.0, 12.0, 2.0], [1.0, 2.0, 1.0]]).reshape(1, 1, 3, 3) / 24
dream = 0.1 * ad.random.uniform((10, 1, 8, 8))
wish = ad.eye(10)  # row d asks for digit d
before = (ad.softmax(net(dream), axis=1) * wish).sum(axis=1)
for _ in range(60):
    dream = dream.detach().requires_grad_()
    scores = net(dream)
    (ad.log_softmax(scores, axis=1) * wish).sum().backward()
    gradient = dream.grad / (ad.sqrt((dream.grad**2).mean(axis=(1, 2, 3), keepdims=True)) + 1e-8)
    dream = ad.clip(nn.functional.conv2d(dream.detach() + 0.05 * gradient, blur, padding=1), 0.0, 1.0)
after = (ad.softmax(net(dream), axis=1) * wish).sum(axis=1)
print("dreamt of each digit, it is sure of it:", "  ".join(f"{p:.2f}" for p in after.tolist()))
assert after.min().item() > 0.9 > 0.5 > before.mean().item()
shown = (dream / dream.max(axis=(1, 2, 3), keepdims=True))[:, 0].tolist()
for line in range(8):
    print("   ", "  ".join("".join(" .:*#"[min(int(v * 5), 4)] for v in picture[line]) for picture in shown))


# Style transfer: features like the content's, and Gram matrices like the style's, by gradient descent on the pixels.
def gram(features: ad.Tensor) -> ad.Tensor:
    """Which features are there together: F F^T over all places, so that the places no longer count."""
    flat = features.reshape(features.shape[1], -1)
    return flat @ flat.T / flat.shape[1]


content = ad.data.Resize(24)(test_x[(test_y == 0).astype(ad.int32).argmax()][None])  # a 0 [1, 1, 24, 24]
place = ad.arange(24).reshape(1, 24) + ad.arange(24).reshape(24, 1)
style = (place % 6 < 3).astype(ad.float32).reshape(1, 1, 24, 24)  # slanting stripes
wanted = second(first(content))
styles = [gram(first(style)), gram(second(first(style)))]


def distances(picture: ad.Tensor) -> tuple[ad.Tensor, ad.Tensor]:
    """How far it is from the content, and from the style."""
    low = first(picture)
    high = second(low)
    off = [((gram(found) - goal) ** 2).sum() / (goal**2).sum() for found, goal in zip((low, high), styles, strict=True)]
    return ((high - wanted) ** 2).mean() / (wanted**2).mean(), off[0] + off[1]


picture = nn.Parameter(content)
optimizer = optim.Adam([picture], lr=0.03)
for _ in range(150):
    to_content, to_style = distances(picture)
    (0.2 * to_content + to_style).backward()
    optimizer.step()
    optimizer.zero_grad()
    with ad.no_grad():
        picture.assign(ad.clip(picture, 0.0, 1.0))
table = {"the 0": content, "the stripes": style, "both": picture.detach()}
for name, shown in table.items():
    to_content, to_style = (distance.item() for distance in distances(shown))
    print(f"{name:>12}: {to_content:.3f} from the content, {to_style:.3f} from the style")
ends = {name: [distance.item() for distance in distances(shown)] for name, shown in table.items()}
assert ends["both"][1] < 0.3 * ends["the 0"][1]
assert ends["both"][0] < 0.5 * ends["the stripes"][0]

figures = Path("figures")
if figures.is_dir():
    try:
        ad.plot.image_grid(ad.concat([test_x[:8], saliency[:8]]), columns=8, path=figures / "23_saliency.png")
        ad.plot.image_grid(dream, columns=10, path=figures / "23_dream.png")
        ad.plot.image_grid(ad.concat([*table.values()]), titles=[*table], columns=3, path=figures / "23_style.png")
        ad.plot.feature_maps(net, test_x[:1], "1", path=figures / "23_feature_maps.png")
    except ImportError as error:
        print("no picture:", error)
