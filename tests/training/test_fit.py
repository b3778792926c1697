"""The loop: it equals a loop by hand, takes every kind of data, and gives back what it reached.

Depends on the installed package. Invariant: losses are compared as numbers, runs as counters, never times.
"""

from __future__ import annotations

from typing import Any

import adret as ad
import numpy as np
import pytest
from adret import nn, optim
from adret.data import DataLoader, Subset, TensorDataset
from adret.training import _fit, _losses, _metrics


def blobs(size: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Points around three centres, with the centres' numbers."""
    rng = np.random.default_rng(0)
    labels = np.arange(size) % 3
    centres = np.array([[2.0, 0.0], [-1.0, 2.0], [-1.0, -2.0]])
    return (centres[labels] + 0.3 * rng.standard_normal((size, 2))).astype(np.float32), labels


def classifier(seed: int = 0) -> nn.Module:
    """A small network for the blobs."""
    ad.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3))


def weights(model: nn.Module) -> list[bytes]:
    """The parameters' bits."""
    return [parameter.detach().numpy().tobytes() for parameter in model.parameters()]


def by_hand(epochs: int, batch_size: int = 16) -> tuple[nn.Module, list[float], list[float]]:
    """Weights, losses and accuracies of a plain loop over the data in its order."""
    model = classifier()
    x, y = (ad.tensor(part) for part in blobs())
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    losses, accuracies = [], []
    for _ in range(epochs):
        total, right = 0.0, 0
        for start in range(0, len(x), batch_size):
            batch, labels = x[start : start + batch_size], y[start : start + batch_size]
            output = model(batch)
            loss = nn.functional.cross_entropy(output, labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            total += loss.item() * len(batch)
            right += int((output.argmax(axis=1) == labels).astype(ad.int64).sum().item())
        losses.append(total / len(x))
        accuracies.append(right / len(x))
    return model, losses, accuracies


def batches() -> list[tuple[np.ndarray, np.ndarray]]:
    """The data in batches of 16."""
    x, y = blobs()
    return [(x[start : start + 16], y[start : start + 16]) for start in range(0, len(x), 16)]


class Stream:
    """Batches that can be gone through again and again, without a length."""

    def __iter__(self) -> Any:
        return iter(batches())


class Pairs:
    """Samples one by one."""

    def __len__(self) -> int:
        return 60

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        x, y = blobs()
        return x[index], int(y[index])


KINDS = {
    "arrays": lambda: blobs(),
    "float64 arrays": lambda: (blobs()[0].astype(np.float64), blobs()[1]),
    "tensors": lambda: tuple(ad.tensor(part) for part in blobs()),
    "lists": lambda: tuple(part.tolist() for part in blobs()),
    "dataset": lambda: TensorDataset(*blobs()),
    "subset": lambda: Subset(blobs(), range(60)),
    "samples": Pairs,
    "loader": lambda: DataLoader(blobs(), batch_size=16),
    "prefetching loader": lambda: DataLoader(Pairs(), batch_size=16, prefetch=2),
    "list of batches": batches,
    "stream of batches": Stream,
}


@pytest.mark.parametrize("kind", KINDS)
def test_equals_a_loop_by_hand(kind: str) -> None:
    expected, losses, accuracies = by_hand(3)
    model = classifier()
    history = ad.fit(
        model,
        KINDS[kind](),
        "cross_entropy",
        optim.Adam(model.parameters(), lr=0.01),
        epochs=3,
        batch_size=16,
        metrics=["accuracy"],
        shuffle=False,
        verbose=0,
    )
    assert weights(model) == weights(expected)
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-6)
    np.testing.assert_allclose(history["accuracy"], accuracies, rtol=1e-6)
    assert history.epochs == [0, 1, 2]


def test_one_run_per_step() -> None:
    x, y = (ad.tensor(part) for part in blobs(64))
    model = classifier()
    runs: list[int] = []
    told = ad.callbacks.LambdaCallback(on_batch_end=lambda batch, logs: runs.append(ad.stats()["runs"]))
    ad.fit(model, (x, y), "cross_entropy", "adam", epochs=3, batch_size=16, metrics=["accuracy"], callbacks=[told],
           shuffle=False, verbose=0)  # fmt: skip
    steps = np.diff(np.array(runs).reshape(3, 4), axis=1)
    assert (steps[1:] == 1).all(), "forward, loss, metrics, backward and update are one run"


def test_nothing_is_planned_after_the_first_epochs() -> None:
    model = classifier()
    misses: list[int] = []
    told = ad.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: misses.append(ad.stats()["plan_misses"]))
    ad.fit(model, blobs(), "cross_entropy", "adam", epochs=8, batch_size=16, metrics=["accuracy"], callbacks=[told],
           validation_data=blobs(20), seed=0, verbose=0)  # fmt: skip
    assert misses[-1] == misses[3]


def test_order_comes_from_the_seed() -> None:
    def trained(seed: int | None, before: int = 0) -> list[bytes]:
        model = classifier()
        ad.manual_seed(before)
        ad.fit(model, blobs(), "cross_entropy", "adam", epochs=2, batch_size=16, seed=seed, verbose=0)
        return weights(model)

    assert trained(1) == trained(1, before=5)
    assert trained(1) != trained(2)
    assert trained(None) == trained(None)
    assert trained(None) != trained(None, before=5)


def test_the_library_s_random_numbers_need_no_shuffling() -> None:
    ad.manual_seed(3)
    state = ad.random.get_state()
    ad.fit(classifier(3), blobs(), "cross_entropy", "adam", shuffle=False, verbose=0)
    ad.manual_seed(3)
    assert ad.random.get_state() == state


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop", "adagrad"])
def test_optimizers_by_name(name: str) -> None:
    named, made = classifier(), classifier()
    ad.fit(named, blobs(), "cross_entropy", name, seed=0, verbose=0)
    kind = {"sgd": optim.SGD, "adam": optim.Adam, "adamw": optim.AdamW, "rmsprop": optim.RMSprop,
            "adagrad": optim.Adagrad}[name]  # fmt: skip
    ad.fit(made, blobs(), "cross_entropy", kind(made.parameters()), seed=0, verbose=0)
    assert weights(named) == weights(made)


PROBABILITIES = np.array([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]])
ONE_HOT = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
LABELS = np.array([1, 0])
CASES = [
    ("categorical_cross_entropy", PROBABILITIES, ONE_HOT, -np.log([0.5, 0.1]).mean()),
    ("categorical_crossentropy", PROBABILITIES, LABELS, -np.log([0.5, 0.1]).mean()),
    ("cross_entropy", np.log(PROBABILITIES), LABELS, -np.log([0.5, 0.1]).mean()),
    ("nll", np.log(PROBABILITIES), LABELS, -np.log([0.5, 0.1]).mean()),
    ("bce", np.array([0.25, 0.5]), np.array([1, 0]), -np.log([0.25, 0.5]).mean()),
    ("binary_crossentropy", np.array([0.25, 0.5]), np.array([1.0, 0.0]), -np.log([0.25, 0.5]).mean()),
    ("bce_with_logits", np.array([0.0, np.log(3)]), np.array([1, 1]), -np.log([0.5, 0.75]).mean()),
    ("mse", np.array([1.0, 4.0]), np.array([1, 2]), 2.0),
    ("mae", np.array([1.0, 4.0]), np.array([1, 2]), 1.0),
    ("l1", np.array([1.0, 4.0]), np.array([1, 2]), 1.0),
    ("huber", np.array([1.5, 4.0]), np.array([1, 2]), (0.125 + 1.5) / 2),
    ("smooth_l1", np.array([1.5, 4.0]), np.array([1, 2]), (0.125 + 1.5) / 2),
]


@pytest.mark.parametrize(("name", "output", "target", "expected"), CASES, ids=[case[0] for case in CASES])
def test_losses_by_name(name: str, output: np.ndarray, target: np.ndarray, expected: float) -> None:
    found = ad.evaluate(nn.Identity(), (output, target), name)
    assert found["loss"] == pytest.approx(expected, rel=1e-6)


def test_every_loss_has_a_name_that_is_tested() -> None:
    assert set(_losses.LOSSES) - {case[0] for case in CASES} == {"kl_div"}


def test_probabilities_of_zero_stay_finite() -> None:
    p = ad.tensor([[0.0, 1.0]], requires_grad=True)
    loss = _losses.categorical_cross_entropy(p, ad.tensor([0]))
    loss.backward()
    assert loss.item() == pytest.approx(-np.log(1e-7), rel=1e-5)
    assert np.isfinite(p.grad.numpy()).all()


@pytest.mark.parametrize(
    ("metric", "loss", "output", "target", "expected"),
    [
        ("accuracy", "cross_entropy", PROBABILITIES, LABELS, 0.5),
        ("acc", "categorical_cross_entropy", PROBABILITIES, ONE_HOT, 0.5),
        ("accuracy", "bce", np.array([0.2, 0.7, 0.6]), np.array([0, 1, 0]), 2 / 3),
        ("accuracy", "bce_with_logits", np.array([-0.2, 0.3, 0.6]), np.array([0, 1, 0]), 2 / 3),
        ("accuracy", nn.BCEWithLogitsLoss(), np.array([[-0.2], [0.3]]), np.array([[0.0], [1.0]]), 1.0),
        ("binary_accuracy", "mse", np.array([0.4, 0.7]), np.array([0.0, 0.0]), 0.5),
        ("categorical_accuracy", "mse", PROBABILITIES, ONE_HOT, 0.5),
        ("mae", "mse", np.array([1.0, 4.0]), np.array([1, 2]), 1.0),
        ("mse", "mae", np.array([1.0, 4.0]), np.array([1, 2]), 2.0),
    ],
)
def test_metrics_by_name(metric: str, loss: Any, output: np.ndarray, target: np.ndarray, expected: float) -> None:
    found = ad.evaluate(nn.Identity(), (output, target.astype(output.dtype) if loss == "mse" else target), loss, metric)
    assert found[metric] == pytest.approx(expected)


def test_metrics_of_one_s_own() -> None:
    def largest(output: ad.Tensor, target: ad.Tensor) -> ad.Tensor:
        return output.max()

    data = np.array([[1.0], [3.0]]), np.array([[1.0], [3.0]])
    found = ad.evaluate(nn.Identity(), data, metrics=[largest, lambda output, target: output.mean(), nn.MSELoss()])
    assert found == {"largest": 3.0, "metric_1": 2.0, "MSELoss": 0.0}
    assert ad.evaluate(nn.Identity(), data, metrics={"top": largest, "error": "mae"}) == {"top": 3.0, "error": 0.0}


def test_means_weigh_batches_by_their_samples() -> None:
    x = np.arange(10.0)
    found = ad.evaluate(nn.Identity(), (x, np.zeros(10)), "mae", batch_size=4)
    assert found["loss"] == pytest.approx(4.5)
    many = np.ones(1000)
    assert ad.evaluate(nn.Identity(), (many, many * 0), "mae", batch_size=3)["loss"] == pytest.approx(1.0)


def test_sums_in_float32_are_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fit, "LOOK_EVERY", {})
    expected, losses, _ = by_hand(2, batch_size=2)
    model = classifier()
    history = ad.fit(model, blobs(), "cross_entropy", optim.Adam(model.parameters(), lr=0.01), epochs=2, batch_size=2,
                     shuffle=False, verbose=0)  # fmt: skip
    assert weights(model) == weights(expected)
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-6)
    means = _metrics.Means(["loss"], "cpu")
    means.add([ad.tensor([3.0])], 4)
    means.fold()
    means.add([ad.tensor(6.0)], 2)
    means.count = 6
    assert means.read() == {"loss": 4.0}


def test_validation_is_an_evaluation_after_every_epoch() -> None:
    model = classifier()
    held_out = blobs(30)
    found: list[dict[str, float]] = []
    told = ad.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: found.append(ad.evaluate(model, held_out, "cross_entropy", "accuracy"))
    )
    history = ad.fit(model, blobs(), "cross_entropy", "adam", epochs=3, validation_data=held_out, metrics=["accuracy"],
                     callbacks=[told], verbose=0)  # fmt: skip
    assert history["val_loss"] == pytest.approx([one["loss"] for one in found])
    assert history["val_accuracy"] == pytest.approx([one["accuracy"] for one in found])


def test_modes_are_given_back() -> None:
    dropout = nn.Dropout(0.5)
    frozen = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5))
    model = nn.Sequential(dropout, frozen)
    frozen.eval()
    seen: list[bool] = []

    def loss(output: ad.Tensor, target: ad.Tensor) -> ad.Tensor:
        seen.append(dropout.training)
        return nn.functional.cross_entropy(output, target)

    ad.fit(model, blobs(20), loss, "sgd", validation_data=blobs(20), batch_size=20, verbose=0, compile=False)
    assert seen == [True, False]
    ad.evaluate(model, blobs(20), loss)
    ad.predict(model, blobs(20)[0])
    assert seen == [True, False, False]
    assert [dropout.training, frozen.training, frozen[1].training] == [True, False, False]


def test_predict() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.9))
    x, y = blobs(50)
    with ad.no_grad():
        expected = model[0](ad.tensor(x)).numpy()
    for data in (x, ad.tensor(x), TensorDataset(x, y), DataLoader((x, y), 8), [(x[:20], y[:20]), (x[20:], y[20:])]):
        output = ad.predict(model, data, batch_size=7)
        assert not output.requires_grad
        np.testing.assert_allclose(output.numpy(), expected, rtol=1e-6)
    assert model[1].training


class TwoHeads(nn.Module):
    """Takes two inputs in a tuple, gives two outputs in a dict."""

    def __init__(self) -> None:
        self.body = nn.Linear(3, 4)
        self.heads = nn.ModuleDict({"a": nn.Linear(4, 1), "b": nn.Linear(4, 2)})

    def forward(self, inputs: Any) -> dict[str, ad.Tensor]:
        hidden = self.body(ad.concat(inputs, axis=1)).tanh()
        return {name: head(hidden) for name, head in self.heads.items()}


def test_trees_of_inputs_outputs_and_targets() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((40, 1)), rng.standard_normal((40, 2))
    targets = {"a": inputs[0] * 2, "b": (inputs[1][:, 0] > 0).astype(int)}

    def loss(output: Any, target: Any) -> ad.Tensor:
        return nn.functional.mse_loss(output["a"], target["a"]) + nn.functional.cross_entropy(output["b"], target["b"])

    model = TwoHeads()
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    history = ad.fit(model, (inputs, targets), loss, optimizer, epochs=20, batch_size=10, verbose=0)
    assert history["loss"][-1] < 0.3 * history["loss"][0]
    outputs = ad.predict(model, inputs, batch_size=16)
    assert {name: output.shape for name, output in outputs.items()} == {"a": (40, 1), "b": (40, 2)}


def test_gradients_are_bounded() -> None:
    model = nn.Linear(1, 1)
    before = model.weight.item(), model.bias.item()
    x = np.full((8, 1), 1e3, dtype=np.float32)
    ad.fit(model, (x, -x), "mse", optim.SGD(model.parameters(), lr=1.0), batch_size=8, clip_grad_norm=0.5, verbose=0)
    moved = np.hypot(model.weight.item() - before[0], model.bias.item() - before[1])
    assert moved == pytest.approx(0.5, rel=1e-3)


def test_gradients_from_before_do_not_count() -> None:
    expected, model = classifier(), classifier()
    model(ad.ones((1, 2))).sum().backward()
    for one in (expected, model):
        ad.fit(one, blobs(), "cross_entropy", optim.SGD(one.parameters(), lr=0.1), seed=0, verbose=0)
    assert weights(model) == weights(expected)


def test_no_epochs_change_nothing() -> None:
    model = classifier()
    before = weights(model)
    assert len(ad.fit(model, blobs(), "cross_entropy", "adam", epochs=0, verbose=0)) == 0
    assert weights(model) == before


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop", "adagrad"])
def test_compiled_steps_train_the_same_bits(name: str) -> None:
    def trained(compile: bool) -> tuple[list[bytes], dict[str, list[float]]]:
        ad.manual_seed(1)
        model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))
        history = ad.fit(model, blobs(), "cross_entropy", name, epochs=4, batch_size=16, validation_data=blobs(20),
                         metrics=["accuracy"], seed=0, clip_grad_norm=1.0, compile=compile, verbose=0)  # fmt: skip
        return weights(model), history.history

    assert trained(True) == trained(False)


def test_steps_are_replayed() -> None:
    class Counting(nn.Linear):
        calls = 0

        def forward(self, x: ad.Tensor) -> ad.Tensor:
            Counting.calls += 1
            return super().forward(x)

    for dtype in (ad.float32, ad.float64):
        Counting.calls = 0
        ad.fit(
            Counting(2, 3).to(dtype),
            blobs(),
            "cross_entropy",
            "adam",
            epochs=4,
            batch_size=4,
            metrics=["accuracy"],
            validation_data=blobs(20),
            verbose=0,
        )
        # Of 4 * (15 + 5) steps; going from training to evaluation and back makes each look again.
        assert Counting.calls <= 4 * 2 * 2, "once as it is, once recorded; not in every step"


def test_a_step_that_cannot_be_recorded_runs_as_it_is() -> None:
    class Asking(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(2, 3)

        def forward(self, x: ad.Tensor) -> ad.Tensor:
            y = self.layer(x)
            return y * 2 if y.max().item() > 1 else y

    def trained(compile: bool) -> tuple[list[bytes], list[float]]:
        ad.manual_seed(0)
        model = Asking()
        history = ad.fit(model, blobs(), "cross_entropy", "adam", epochs=2, batch_size=16, seed=0, compile=compile,
                         verbose=0)  # fmt: skip
        return weights(model), history["loss"]

    with pytest.warns(UserWarning, match="without being compiled.*compile=False"):
        found = trained(True)
    assert found == trained(False)


def test_trains_on_each_device(device: str) -> None:
    """Data and labels go where the model is; the same weights and orders give nearly the same losses."""

    def trained(device: str) -> tuple[nn.Module, ad.History]:
        model = classifier().to(device)
        return model, ad.fit(model, blobs(), "cross_entropy", "adam", epochs=3, batch_size=16, metrics=["accuracy"],
                             validation_data=blobs(20), seed=0, verbose=0)  # fmt: skip

    _, expected = trained("cpu")
    model, history = trained(device)
    assert next(model.parameters()).device.startswith(device)
    for name in expected:
        np.testing.assert_allclose(history[name], expected[name], rtol=1e-3, err_msg=name)
    assert ad.predict(model, blobs()[0]).device.startswith(device)


X = np.ones((4, 2), dtype=np.float32)
Y = np.zeros(4, dtype=np.int64)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda m: ad.fit(abs, (X, Y), "mse", "sgd"), ad.DTypeError, "builtin_function_or_method"),
        (lambda m: ad.fit(m, (X, Y), "mean", "sgd"), ad.DomainError, "no loss 'mean'.*cross_entropy"),
        (lambda m: ad.fit(m, (X, Y), 3, "sgd"), ad.DTypeError, "loss is a int"),
        (lambda m: ad.fit(m, (X, Y), "mse", "best"), ad.DomainError, "no optimizer 'best'.*rmsprop"),
        (lambda m: ad.fit(m, (X, Y), "mse", 3), ad.DTypeError, "optimizer is a int"),
        (lambda m: ad.fit(nn.ReLU(), (X, Y), "mse", "sgd"), ad.DomainError, "no parameters"),
        (lambda m: ad.fit(m, (X, Y), "mse", "sgd", epochs=-1), ad.DomainError, "epochs is -1"),
        (lambda m: ad.fit(m, (X, Y), "mse", "sgd", batch_size=0), ad.DomainError, "batch_size is 0"),
        (lambda m: ad.fit(m, (X, Y), "mse", "sgd", verbose="loud"), ad.DomainError, "verbose is 'loud'"),
        (lambda m: ad.fit(m, (X, Y), "mse", "sgd", clip_grad_norm=0), ad.DomainError, "clip_grad_norm is 0"),
        (lambda m: ad.fit(m, (X, Y), "mse", "sgd", metrics=["f1"]), ad.DomainError, "no metric 'f1'"),
        (lambda m: ad.fit(m, (X, Y), "mse", "sgd", metrics=["mae", "mae"]), ad.DomainError, "two values named 'mae'"),
        (lambda m: ad.fit(m, (X, Y), "mse", "sgd", metrics=[3]), ad.DTypeError, "a metric is a int"),
        (lambda m: ad.fit(m, (X, Y[:3]), "mse", "sgd"), ad.ShapeError, "4 and 3 samples"),
        (lambda m: ad.fit(m, (X, Y, Y), "mse", "sgd"), ad.ShapeError, "3 parts"),
        (lambda m: ad.fit(m, X, "mse", "sgd"), ad.DTypeError, "without targets"),
        (lambda m: ad.fit(m, 3, "mse", "sgd"), ad.DTypeError, "data is a int"),
        (lambda m: ad.fit(m, [X, X], "mse", "sgd"), ad.DTypeError, "a batch is a ndarray"),
        (lambda m: ad.fit(m, [(X, Y, Y)], "mse", "sgd"), ad.DTypeError, "a tuple of 3"),
        (lambda m: ad.fit(m, [], "mse", "sgd"), ad.DomainError, "no batches"),
        (lambda m: ad.fit(m, iter([(X, Y)]), "cross_entropy", "sgd", epochs=2), ad.DomainError, "used up"),
        (lambda m: ad.fit(m, (X, X), nn.MSELoss("none"), "sgd"), ad.ShapeError, r"shape \(4, 2\)"),
        (lambda m: ad.fit(m, (X, X), lambda o, y: 3.0, "sgd"), ad.DTypeError, "returned a float"),
        (lambda m: ad.fit(m, (X, Y), "mse", "sgd"), ad.ShapeError, r"\(4, 2\) and target is \(4,\)"),
        (lambda m: ad.evaluate(m, (X, Y)), ad.DomainError, "neither a loss nor a metric"),
        (lambda m: ad.evaluate(m, [], "mse"), ad.DomainError, "no batches"),
        (lambda m: ad.evaluate(m, (X, X[:, :1]), metrics="accuracy"), ad.ShapeError, r"\(4, 2\).*\(4, 1\)"),
        (lambda m: ad.evaluate(m, (X, Y), "bce_with_logits", "accuracy"), ad.ShapeError, r"\(4,\)"),
        (lambda m: ad.evaluate(nn.Identity(), (Y, Y), metrics="accuracy"), ad.ShapeError, "no axis of classes"),
        (lambda m: ad.predict(m, []), ad.DomainError, "no batches"),
        (lambda m: ad.predict(m, 3), ad.DTypeError, "data is a int"),
    ],
)
def test_mistakes_are_explained(make: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make(nn.Linear(2, 2))
