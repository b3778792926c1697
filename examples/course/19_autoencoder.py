"""Chapter 19, autoencoder: a network that is to give back what it was given, through a narrow place.

What passes the narrow place, the code, has to say what matters. With linear layers the best code of d numbers are the d
principal components; bends in between do better. Given noise and asked for the clean picture, it learns to denoise.
Shows with 8 x 8 digits: dense autoencoders with a code of two numbers, linear and not, against principal components;
the space of codes, and what lies between two of them; a convolutional one; and one that takes noise away.
"""

from pathlib import Path

import adret as ad
import numpy as np
from adret import nn, optim
from adret.data import DataLoader, GaussianNoise

train_x, train_y, test_x, test_y = ad.data.digits()
flat_train, flat_test = train_x.reshape(-1, 64), test_x.reshape(-1, 64)
mse = nn.functional.mse_loss


class Autoencoder(nn.Module):
    """An encoder and a decoder."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        self.encoder, self.decoder = encoder, decoder

    def forward(self, x: ad.Tensor) -> ad.Tensor:
        return self.decoder(self.encoder(x))


def train(net: Autoencoder, x: ad.Tensor, epochs: int, rate: float = 3e-3) -> None:
    """Minimises the squared distance to what was given."""
    optimizer = optim.Adam(net.parameters(), lr=rate)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    slower = ad.callbacks.LearningRateScheduler(schedule)
    ad.fit(net, (x, x), "mse", optimizer, epochs=epochs, batch_size=48, seed=0, callbacks=[slower], verbose=0)


def error(net: nn.Module, x: ad.Tensor, target: ad.Tensor) -> float:
    """The mean squared distance."""
    with ad.no_grad():
        return mse(net(x), target).item()


def lines(pictures: ad.Tensor) -> list[str]:
    """8 x 8 pictures side by side, as text."""
    rows = [[" .:*#"[min(max(int(v * 5), 0), 4)] for v in row] for row in pictures.reshape(-1, 8).tolist()]
    return ["  ".join("".join(rows[8 * n + line]) for n in range(len(pictures))) for line in range(8)]


# A code of two numbers.
ad.manual_seed(0)
linear = Autoencoder(nn.Linear(64, 2), nn.Linear(2, 64))
train(linear, flat_train, 40, 1e-2)
ad.manual_seed(0)
bent = Autoencoder(
    nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 2)),
    nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 64), nn.Sigmoid()),
)
train(bent, flat_train, 80)
# Principal components, by NumPy: the best that two linear layers can do.
mean = flat_train.mean(axis=0).numpy()
axes = np.linalg.svd(flat_train.numpy() - mean, full_matrices=False)[2][:2]
components = float(((flat_test.numpy() - mean - (flat_test.numpy() - mean) @ axes.T @ axes) ** 2).mean())
errors = {name: error(net, flat_test, flat_test) for name, net in (("linear", linear), ("bent", bent))}
spread = ad.var(flat_test - flat_train.mean(axis=0)).item()
print(
    f"squared error of held-out digits with a code of 2: {errors['linear']:.4f} linear, {components:.4f} by principal"
)
print(f"components, {errors['bent']:.4f} with bends, {spread:.4f} for the mean digit")
assert abs(errors["linear"] - components) < 0.03 * components
assert errors["bent"] < 0.8 * components < 0.8 * spread

# Labels were never shown, and yet digits of a kind lie together: the nearest neighbour mostly has the same label.
with ad.no_grad():
    codes, test_codes = bent.encoder(flat_train), bent.encoder(flat_test)
squares = ((ad.expand_dims(test_codes, 1) - ad.expand_dims(codes, 0)) ** 2).sum(axis=2)
neighbour = train_y[squares.argmin(axis=1)]
alike = (neighbour == test_y).astype(ad.float32).mean().item()
print(f"{alike:.0%} of held-out digits lie next to one of their kind")
assert alike > 0.55
# On the way from one code to another there are pictures too.
with ad.no_grad():
    begin, end = (test_codes[(test_y == digit).astype(ad.int32).argmax()] for digit in (0, 6))
    way = ad.stack([begin + (end - begin) * (step / 6) for step in range(7)])
    between = bent.decoder(way).reshape(7, 8, 8)
print("from a 0 to a 6:", *lines(between), sep="\n    ")

# Convolutions: strides make it smaller, transposed convolutions larger again.
ad.manual_seed(0)
convolutional = Autoencoder(
    nn.Sequential(
        *(nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.ReLU()),  # [n, 16, 4, 4]
        *(nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU()),  # [n, 32, 2, 2]
        *(nn.Flatten(), nn.Linear(128, 8)),
    ),
    nn.Sequential(
        *(nn.Linear(8, 128), nn.ReLU(), nn.Unflatten(1, (32, 2, 2))),
        *(nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1), nn.ReLU()),  # [n, 16, 4, 4]
        *(nn.ConvTranspose2d(16, 1, 4, stride=2, padding=1), nn.Sigmoid()),  # [n, 1, 8, 8]
    ),
)
pictures, test_pictures = ad.expand_dims(train_x, 1), ad.expand_dims(test_x, 1)
train(convolutional, pictures, 30, 5e-3)
deep = error(convolutional, test_pictures, test_pictures)
axes = np.linalg.svd(flat_train.numpy() - mean, full_matrices=False)[2][:8]
components = float(((flat_test.numpy() - mean - (flat_test.numpy() - mean) @ axes.T @ axes) ** 2).mean())
print(f"with a code of 8: {deep:.4f} by convolutions, {components:.4f} by principal components")
assert convolutional(test_pictures).shape == test_pictures.shape
assert deep < 0.9 * components

# Denoising: other noise in every epoch, and the clean picture as what is wanted.
NOISE = 0.25
ad.manual_seed(0)
denoiser = nn.Sequential(
    *(nn.Conv2d(1, 24, 3, padding=1), nn.ReLU(), nn.Conv2d(24, 24, 3, padding=1), nn.ReLU()),
    *(nn.Conv2d(24, 24, 3, padding=1), nn.ReLU(), nn.Conv2d(24, 1, 3, padding=1)),
)
data = DataLoader((pictures, pictures), 48, shuffle=True, seed=0, transform=GaussianNoise(NOISE))
ad.fit(denoiser, data, "mse", optim.Adam(denoiser.parameters(), lr=3e-3), epochs=15, verbose=0)
noisy = GaussianNoise(NOISE, seed=1)(test_pictures)
before, after = mse(noisy, test_pictures).item(), error(denoiser, noisy, test_pictures)
blurred = nn.functional.conv2d(noisy, ad.ones((1, 1, 3, 3)) / 9, padding=1)
print(
    f"squared distance to the clean picture: {before:.4f} noisy, {mse(blurred, test_pictures).item():.4f} blurred,",
    end=" ",
)
print(f"{after:.4f} denoised")
assert after < 0.4 * before
with ad.no_grad():
    clean = denoiser(noisy[:4])
print("noisy and denoised:", *lines(ad.concat([noisy[:4], clean])[:, 0]), sep="\n    ")

figures = Path("figures")
if figures.is_dir():
    with ad.no_grad():
        rows = [test_pictures[:10], convolutional(test_pictures[:10]), noisy[:10], denoiser(noisy[:10])]
    try:
        ad.plot.latent_space(test_codes, test_y, path=figures / "19_latent_space.png")
        ad.plot.image_grid(between, columns=7, path=figures / "19_between.png")
        ad.plot.image_grid(ad.concat(rows), columns=10, path=figures / "19_given_back.png")
    except ImportError as error_:
        print("no picture:", error_)
