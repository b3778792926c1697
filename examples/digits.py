"""Recognises handwritten digits: a small convolutional network learns them from 1198 pictures in seconds.

Shows a whole training: data and its changes, network, loss, optimiser, rates, and the accuracy on pictures that it has
never seen. Given a folder, it draws learning curve, confusion matrix and mistakes there (with matplotlib).

    python examples/digits.py [FOLDER] [--seed SEED]
"""

import argparse
import time
from pathlib import Path

import adret as ad
from adret import nn, optim
from adret.callbacks import LearningRateScheduler
from adret.data import Compose, DataLoader, RandomCrop, RandomRotation, Resize

EPOCHS = 20
BATCH = 64


def block(inputs: int, outputs: int) -> list[nn.Module]:
    """Looks at 3 x 3 elements, normalises, and halves the sides."""
    return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]


def main(seed: int = 0, folder: Path | None = None) -> float:
    """Trains, and returns the accuracy on the third that was held out."""
    ad.manual_seed(seed)
    train_x, train_y, test_x, test_y = ad.data.digits(seed=seed)
    train_x, test_x = (Resize(16)(images)[:, None] for images in (train_x, test_x))  # [n, 1, 16, 16]
    # Every epoch sees the pictures a little shifted and turned.
    change = Compose([RandomCrop(16, padding=1), RandomRotation(10)])
    batches = DataLoader((train_x, train_y), BATCH, shuffle=True, seed=seed, transform=change)

    net = nn.Sequential(
        *(*block(1, 16), *block(16, 32), *block(32, 64)),  # [n, 64, 2, 2]
        *(nn.Flatten(), nn.Dropout(0.2), nn.Linear(256, 10)),
    )
    optimizer = optim.AdamW(net.parameters(), lr=5e-3, weight_decay=0.01)
    rates = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=5e-3, total_steps=EPOCHS * len(batches))

    start = time.perf_counter()
    history = ad.fit(
        net,
        batches,
        "cross_entropy",
        optimizer,
        epochs=EPOCHS,
        validation_data=(test_x, test_y),
        metrics=["accuracy"],
        callbacks=[LearningRateScheduler(rates)],
    )
    seconds = time.perf_counter() - start
    accuracy = ad.evaluate(net, (test_x, test_y), "cross_entropy", ["accuracy"])["accuracy"]
    parameters = sum(parameter.size for parameter in net.parameters())
    print(f"device {train_x.device}, {parameters:,} parameters, {EPOCHS} epochs in {seconds:.1f} s")
    print(f"{accuracy:.2%} of {len(test_x)} held-out digits recognised")
    if folder is not None:
        draw(folder, history, ad.predict(net, test_x), test_x, test_y)
    return accuracy


def draw(folder: Path, history: ad.History, scores: ad.Tensor, images: ad.Tensor, labels: ad.Tensor) -> None:
    """Writes the pictures, where matplotlib is installed."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        ad.plot.learning_curve(history, ["loss", "accuracy"], path=folder / "digits_learning_curve.png")
        ad.plot.confusion_matrix(labels, scores, path=folder / "digits_confusion_matrix.png")
        ad.plot.misclassified(images, labels, scores, path=folder / "digits_mistakes.png")
    except ImportError as error:
        print(f"no pictures: {error}")
    else:
        print(f"learning curve, confusion matrix and mistakes: {folder / 'digits_*.png'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Trains a small network on handwritten digits.")
    parser.add_argument("folder", type=Path, nargs="?", help="where to draw pictures")
    parser.add_argument("--seed", type=int, default=0, help="decides weights, batches and what is held out")
    arguments = parser.parse_args()
    assert main(arguments.seed, arguments.folder) >= 0.985
