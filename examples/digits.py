"""Recognises handwritten digits: a network with one hidden layer learns them from 1198 small pictures in seconds.

Shows a whole training: data, network, loss, optimiser, mini-batches, and the accuracy on pictures never seen.
"""

import time

import adret as ad
from adret import nn, optim
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import trange

EPOCHS = 40
BATCH = 64


def main() -> float:
    """Trains, and returns the accuracy on the third that was held out."""
    ad.manual_seed(0)
    pictures, labels = load_digits(return_X_y=True)
    split = train_test_split(pictures / 16, labels, test_size=1 / 3, random_state=0, stratify=labels)
    train_x, test_x = (ad.tensor(part, dtype=ad.float32) for part in split[:2])
    train_y, test_y = (ad.tensor(part) for part in split[2:])

    net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    loss_function = nn.CrossEntropyLoss()
    optimizer = optim.Adam(net.parameters(), lr=3e-3)

    start = time.perf_counter()
    epochs = trange(EPOCHS, desc="epochs", mininterval=0.3)
    for _ in epochs:
        order = ad.random.permutation(len(train_x))
        total = ad.zeros(())
        for first in range(0, len(train_x), BATCH):
            batch = order[first : first + BATCH]
            loss = loss_function(net(train_x[batch]), train_y[batch])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            total = total + loss.detach() * len(batch)
        epochs.set_postfix(loss=f"{total.item() / len(train_x):.4f}", refresh=False)
    seconds = time.perf_counter() - start

    with ad.no_grad():
        right = (net(test_x).argmax(axis=1) == test_y).astype(ad.float32)
    accuracy = right.mean().item()
    print(f"device {train_x.device}, {EPOCHS} epochs in {seconds:.1f} s")
    print(f"{accuracy:.1%} of {len(test_x)} held-out digits recognised")
    return accuracy


if __name__ == "__main__":
    assert main() >= 0.97
