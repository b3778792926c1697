"""Chapter 17, LeNet-5 (LeCun et al. 1998): convolution, pooling, convolution, pooling, three dense layers.

Shows it trained on handwritten digits, enlarged to 28 x 28, with maximum and with average pooling; what pooling does;
batch normalisation and dropout, which do one thing in training and another afterwards; and over-fitting made visible:
a network with few examples knows them by heart, and what L2, dropout, shifted examples and early stopping do about it.
"""

from pathlib import Path

import adret as ad
from adret import nn, optim
from adret.callbacks import EarlyStopping
from adret.data import Compose, DataLoader, RandomCrop, RandomRotation, Resize

train_x, train_y, test_x, test_y = ad.data.digits()
train_x, test_x = (ad.expand_dims(Resize(28)(x), 1) for x in (train_x, test_x))  # [n, 1, 28, 28]


def lenet(pool: type[nn.Module] = nn.MaxPool2d) -> nn.Sequential:
    """LeNet-5, with ReLU instead of tanh."""
    ad.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), pool(2)),  # [n, 6, 14, 14]
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), pool(2)),  # [n, 16, 5, 5]
        nn.Flatten(),
        *(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )


# The two kinds of pooling: the largest of four, which is there wherever in the four it is, and the mean.
square = ad.tensor([[[[1.0, 3.0, 0.0, 0.0], [2.0, 2.0, 0.0, 8.0]]]], requires_grad=True)
largest, mean = nn.MaxPool2d(2)(square), nn.AvgPool2d(2)(square)
assert largest.tolist() == [[[[3.0, 8.0]]]]
assert mean.tolist() == [[[[2.0, 2.0]]]]
largest.sum().backward()
assert square.grad.tolist() == [[[[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]]], (
    "only the largest is told what was wrong"
)

# Trained, on pictures that are a little shifted and turned each time.
parameters = sum(parameter.size for parameter in lenet().parameters())
print(f"LeNet-5 has {parameters:,} parameters")
assert parameters == 156 + 2416 + 48120 + 10164 + 850
results: dict[str, float] = {}
for name, pool in (("maximum", nn.MaxPool2d), ("average", nn.AvgPool2d)):
    net = lenet(pool)
    change = Compose([RandomCrop(28, padding=2), RandomRotation(8)])
    data = DataLoader((train_x, train_y), 48, shuffle=True, seed=0, transform=change, prefetch=2)
    epochs = 14
    optimizer = optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.01)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=epochs * len(data))
    each_batch = ad.callbacks.LearningRateScheduler(schedule)
    ad.fit(net, data, "cross_entropy", optimizer, epochs=epochs, callbacks=[each_batch], verbose=0)
    results[name] = ad.evaluate(net, (test_x, test_y), "cross_entropy", ["accuracy"])["accuracy"]
    print(f"{name} pooling: {results[name]:.2%} of {len(test_y)} held-out digits")
    if name == "maximum":
        trained = net
assert results["maximum"] >= 0.98
assert results["average"] >= 0.97

# Batch normalisation. In training: the mean and spread of the batch, per channel, and running averages on the way.
norm = nn.BatchNorm2d(2, momentum=0.5)
batch = ad.random.normal((16, 2, 4, 4)) * 3.0 + 5.0
y = norm(batch)
assert ad.max(ad.abs(y.mean(axis=(0, 2, 3)))).item() < 1e-5
assert ad.max(ad.abs(ad.std(y, axis=(0, 2, 3)) - 1.0)).item() < 1e-3
assert ad.max(ad.abs(norm.running_mean - 0.5 * batch.mean(axis=(0, 2, 3)))).item() < 1e-5
# Afterwards: the averages, so that an answer does not depend on who else is in the batch.
norm.eval()
assert ad.max(ad.abs(norm(batch)[:1] - norm(batch[:1]))).item() < 1e-6
norm.train()
assert ad.max(ad.abs(norm(batch)[:1] - norm(batch[:1]))).item() > 0.01

# Dropout. In training: half of the units, at random, and the others twice as large; afterwards: all as they are.
dropout = nn.Dropout(0.5)
ones = ad.ones((10000,))
dropped = dropout(ones)
assert {*dropped.tolist()} == {0.0, 2.0}
assert abs(dropped.mean().item() - 1.0) < 0.05
dropout.eval()
assert (dropout(ones) == ones).all()


# Over-fitting: 200 examples, of which every fifth has a wrong label, and a network that is large enough to know each.
def dense(drop: float = 0.0) -> nn.Sequential:
    """Far more parameters than there are examples."""
    ad.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Dropout(drop), nn.Linear(256, 10))


number = ad.arange(200)
few_x = train_x[:200]
few_y = ad.where(number % 5 == 0, (train_y[:200] + 1 + number % 9) % 10, train_y[:200])
check = (test_x[:300], test_y[:300])
rest = (test_x[300:], test_y[300:])
runs = {
    "by heart": (dense(), 0.0, None),
    "L2": (dense(), 2.0, None),
    "dropout": (dense(0.6), 0.0, None),
    "changed": (dense(), 0.0, Compose([RandomCrop(28, padding=2), RandomRotation(10)])),
}
histories: dict[str, ad.History] = {}
for name, (net, decay, change) in runs.items():
    histories[name] = history = ad.fit(
        net,
        DataLoader((few_x, few_y), 25, shuffle=True, seed=0, transform=change),
        "cross_entropy",
        optim.AdamW(net.parameters(), lr=5e-3, weight_decay=decay),
        epochs=50,
        validation_data=check,
        metrics=["accuracy"],
        verbose=0,
    )
    print(
        f"{name:>8}: loss {history['loss'][-1]:.3f} on its 200 examples, {history['val_loss'][-1]:.3f} on others, "
        f"accuracy {history['accuracy'][-1]:.0%} and {history['val_accuracy'][-1]:.1%}"
    )
last = {name: history["val_loss"][-1] for name, history in histories.items()}
by_heart = histories["by heart"]
assert by_heart["accuracy"][-1] > 0.95, "it has learned the wrong labels too"
assert by_heart["val_accuracy"][-1] < 0.85
assert last["by heart"] > 1.3 * min(by_heart["val_loss"]), "and has become worse at the rest since"
assert all(last[name] < last["by heart"] for name in ("L2", "dropout", "changed"))
assert all(histories[name]["accuracy"][-1] < 0.9 for name in ("L2", "dropout", "changed"))

# Early stopping: when others' loss has not fallen for five epochs, go back to the best weights. They are judged by
# pictures that did not choose them.
net = dense()
stopped = ad.fit(
    net,
    (few_x, few_y),
    "cross_entropy",
    optim.AdamW(net.parameters(), lr=5e-3, weight_decay=0.0),
    epochs=50,
    batch_size=25,
    validation_data=check,
    callbacks=[EarlyStopping(patience=5, restore_best_weights=True)],
    seed=0,
    verbose=0,
)
kept = ad.evaluate(net, check, "cross_entropy")["loss"]
unseen = [ad.evaluate(model, rest, "cross_entropy")["loss"] for model in (net, runs["by heart"][0])]
print(
    f"stopped after {len(stopped)} epochs: {kept:.3f} on others, and {unseen[0]:.3f} on those that chose nothing,",
    end=" ",
)
print(f"{unseen[1]:.3f} by heart")
assert unseen[0] < unseen[1]
assert len(stopped) < 50
assert abs(kept - min(stopped["val_loss"])) < 1e-5

figures = Path("figures")
if figures.is_dir():
    try:
        ad.plot.learning_curve(histories, path=figures / "17_learning_curves.png")
        ad.plot.filters(trained[0], path=figures / "17_kernels.png")
        ad.plot.feature_maps(trained, test_x[:1], "0", path=figures / "17_feature_maps.png")
        scores = ad.predict(trained, test_x)
        ad.plot.confusion_matrix(test_y, scores, path=figures / "17_confusion.png")
        ad.plot.misclassified(test_x, test_y, scores, path=figures / "17_mistakes.png")
    except ImportError as error:
        print("no picture:", error)
