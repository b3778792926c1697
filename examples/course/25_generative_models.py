"""Chapter 25, generative models: two networks that play against each other.

A generator G makes pictures of noise z, a discriminator D says whether a picture is real. D goes up on
ln D(x) + ln(1 - D(G(z))), G on ln D(G(z)); where both are as good as can be, pictures of G are distributed like the
real ones and D says 1/2. In a conditional GAN both are told a label, and one can ask G for a certain digit.
Shows with 8 x 8 digits: the training of both kinds, how D's answers approach each other, samples in rows of the digit
asked for, and a judge, a classifier trained on real digits only, that recognises what was asked for.
"""

from pathlib import Path

import adret as ad
from adret import nn, optim

NOISE = 24
STEPS = 2500
BATCH = 96

train_x, train_y, test_x, test_y = ad.data.digits(test_size=297, seed=0)
train_x, test_x = train_x.reshape(-1, 64), test_x.reshape(-1, 64)
real = train_x * 2 - 1  # -1 to 1, like the generator's tanh
bce = nn.functional.binary_cross_entropy_with_logits


class Generator(nn.Module):
    """Noise, and a label where there is one, to a picture."""

    def __init__(self, labels: int) -> None:
        self.net = nn.Sequential(
            *(nn.Linear(NOISE + labels, 128), nn.LayerNorm(128), nn.LeakyReLU(0.2)),
            *(nn.Linear(128, 128), nn.LayerNorm(128), nn.LeakyReLU(0.2)),
            *(nn.Linear(128, 64), nn.Tanh()),
        )

    def forward(self, z: ad.Tensor, told: ad.Tensor) -> ad.Tensor:
        return self.net(ad.concat([z, told], axis=1))


class Discriminator(nn.Module):
    """A picture, and its label where there is one, to the logit of being real."""

    def __init__(self, labels: int) -> None:
        self.net = nn.Sequential(
            *(nn.Linear(64 + labels, 128), nn.LeakyReLU(0.2), nn.Dropout(0.3)),
            *(nn.Linear(128, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1)),
        )

    def forward(self, x: ad.Tensor, told: ad.Tensor) -> ad.Tensor:
        return self.net(ad.concat([x, told], axis=1))[:, 0]


def play(labels: int) -> tuple[Generator, list[tuple[float, float]]]:
    """Trains both; the generator, and now and then the mean answers of D for real and for made pictures."""
    ad.manual_seed(0)
    generator, discriminator = Generator(labels), Discriminator(labels)
    for_g = optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.999))
    for_d = optim.Adam(discriminator.parameters(), lr=1e-3, betas=(0.5, 0.999))

    @ad.compile
    def step(x: ad.Tensor, told: ad.Tensor) -> tuple[ad.Tensor, ad.Tensor]:
        made = generator(ad.random.normal((BATCH, NOISE)), told)
        # D: real pictures are 1 (0.9, so that it is never quite sure), made ones 0. No gradient reaches G.
        said, said_of_made = discriminator(x, told), discriminator(made.detach(), told)
        bce(said, ad.full_like(said, 0.9)).backward()
        bce(said_of_made, ad.zeros_like(said_of_made)).backward()
        for_d.step()
        for_d.zero_grad()
        # G: D shall take its pictures for real.
        bce(discriminator(made, told), ad.ones((BATCH,))).backward()
        for_g.step()
        for_g.zero_grad()
        for_d.zero_grad()
        return ad.sigmoid(said).mean().detach(), ad.sigmoid(said_of_made).mean().detach()

    answers: list[tuple[float, float]] = []
    data = ad.data.DataLoader((real, train_y), batch_size=BATCH, shuffle=True, seed=0, drop_last=True)
    done = 0
    while done < STEPS:
        for x, y in data:
            told = ad.one_hot(y, 10, dtype=ad.float32) if labels else ad.zeros((BATCH, 0))
            both = step(x, told)
            if done % 100 == 0 or done == STEPS - 1:
                answers.append((both[0].item(), both[1].item()))
            done += 1
    generator.eval()
    return generator, answers


# The judge knows real digits only.
ad.manual_seed(1)
judge = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
ad.fit(
    judge, (train_x, train_y), "cross_entropy", optim.Adam(judge.parameters(), lr=3e-3), epochs=25, seed=0, verbose=0
)
accuracy = ad.evaluate(judge, (test_x, test_y), "cross_entropy", ["accuracy"])["accuracy"]
print(f"the judge recognises {accuracy:.1%} of the real digits that were held out")
assert accuracy > 0.94


def nearest(pictures: ad.Tensor) -> float:
    """The mean distance of pictures to the real one that is closest to each."""
    squares = ((ad.expand_dims(pictures, 1) - ad.expand_dims(train_x, 0)) ** 2).sum(axis=2)
    return ad.sqrt(squares.min(axis=1)).mean().item()


def drawn(picture: ad.Tensor) -> list[str]:
    """A picture as eight lines of text."""
    return ["".join(" .:*#"[min(int(value * 5), 4)] for value in row) for row in picture.reshape(8, 8).tolist()]


# Without labels: what comes out is a digit, whichever.
generator, answers = play(0)
print("D says of real and of made pictures:", "  ".join(f"{a:.2f} {b:.2f}" for a, b in answers[:: len(answers) // 5]))
with ad.no_grad():
    free = (generator(ad.random.normal((300, NOISE)), ad.zeros((300, 0))) + 1) / 2
noise = ad.random.uniform((300, 64)) * train_x.mean(axis=0) * 2
distances = [nearest(pictures) for pictures in (free, test_x, noise)]
print("distance to the nearest real digit: {:.2f} made, {:.2f} real, {:.2f} noise".format(*distances))
assert distances[0] < 0.5 * (distances[1] + distances[2])
sure = ad.softmax(judge(free)).max(axis=1).mean().item()
kinds = len({*judge(free).argmax(axis=1).tolist()})
print(f"the judge is {sure:.0%} sure of them, and sees {kinds} different digits")
assert sure > 0.75
assert kinds >= 7, "a generator that has collapsed makes one digit only"

# With labels: what comes out is the digit that was asked for.
generator, answers = play(10)
asked = ad.repeat(ad.arange(10), 30)
with ad.no_grad():
    made = (generator(ad.random.normal((300, NOISE)), ad.one_hot(asked, 10, dtype=ad.float32)) + 1) / 2
    right = (judge(made).argmax(axis=1) == asked).astype(ad.float32).mean().item()
print(f"of 300 pictures made to order, the judge recognises {right:.0%}")
assert right > 0.8
assert ad.std(made.reshape(10, 30, 64), axis=1).mean().item() > 0.05, "one order, many pictures"
for lines in zip(*(drawn(made[30 * digit]) for digit in range(10)), strict=True):
    print("  ".join(lines))

figures = Path("figures")
if figures.is_dir():
    try:
        shown = made.reshape(10, 30, 8, 8)[:, :10].reshape(100, 8, 8)
        ad.plot.image_grid(free[:100].reshape(100, 8, 8), columns=10, path=figures / "25_gan.png")
        ad.plot.image_grid(shown, columns=10, path=figures / "25_conditional_gan.png")
    except ImportError as error:
        print("no picture:", error)
