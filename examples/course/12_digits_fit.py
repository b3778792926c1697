"""Chapter 12, a network in the style of Keras: described, fitted, evaluated.

Linear(64, 512), ReLU, Dropout(0.2), Linear(512, 10), Softmax on 8x8 pictures of digits; RMSprop; categorical
cross-entropy of one-hot labels; accuracy. With 28x28 pictures only the first size differs: 784.
Shows the whole life of a network: `summary`, `fit` with batch size, epochs and validation data, the history,
`evaluate`, `predict`.
"""

import adret as ad
from adret import nn
from sklearn.datasets import load_digits

ad.manual_seed(0)
pictures, labels = load_digits(return_X_y=True)
pictures = pictures / 16  # from 0 to 1
x_train, x_test, y_train, y_test = ad.data.train_test_split(pictures, labels, test_size=1 / 3, seed=0, stratify=labels)
one_hot_train, one_hot_test = (ad.one_hot(ad.tensor(part), 10, dtype=ad.float32) for part in (y_train, y_test))

model = nn.Sequential(
    nn.Linear(64, 512),
    nn.ReLU(),
    nn.Dropout(0.2),
    nn.Linear(512, 10),
    nn.Softmax(1),
)
table = ad.summary(model, (1, 64))
print(table)
assert table.parameters == 64 * 512 + 512 + 512 * 10 + 10
assert ad.summary(nn.Linear(784, 512), (1, 784)).parameters == 401_920

history = ad.fit(
    model,
    (x_train, one_hot_train),
    loss="categorical_cross_entropy",
    optimizer=ad.optim.RMSprop(model.parameters(), lr=1e-3),
    metrics=["accuracy"],
    batch_size=64,
    epochs=30,
    validation_data=(x_test, one_hot_test),
    seed=0,
)
print(history)
assert len(history) == 30
assert history["loss"][-1] < 0.2 * history["loss"][0]

result = ad.evaluate(model, (x_test, one_hot_test), loss="categorical_cross_entropy", metrics=["accuracy"])
print(f"test loss {result['loss']:.4f}, test accuracy {result['accuracy']:.1%}")
assert result["accuracy"] >= 0.96
# Outside training dropout is off, and so the last validation and this evaluation are the same.
assert abs(result["loss"] - history["val_loss"][-1]) < 1e-5

probabilities = ad.predict(model, x_test)
assert probabilities.shape == (len(x_test), 10)
assert bool((ad.abs(probabilities.sum(axis=1) - 1) < 1e-5).all())
recognised = probabilities.argmax(axis=1) == ad.tensor(y_test)
assert abs(recognised.astype(ad.float32).mean().item() - result["accuracy"]) < 1e-6
print("the first ten test digits:", y_test[:10].tolist(), "read as", probabilities[:10].argmax(axis=1).tolist())
