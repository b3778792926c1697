"""Callbacks: when they are told, what they do, what mistakes say.

Depends on the installed package; files are written to pytest's folders.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import adret as ad
import numpy as np
import pytest
from adret import nn, optim
from adret.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
)
from adret.data import DataLoader
from adret.optim import lr_scheduler

X = np.linspace(-1, 1, 16, dtype=np.float32).reshape(16, 1)


def train(*callbacks: Callback, epochs: int = 3, lr: float = 0.1, **options: Any) -> tuple[nn.Module, ad.History]:
    """Fits a line, four batches per epoch."""
    ad.manual_seed(0)
    model = nn.Linear(1, 1)
    optimizer = optim.SGD(model.parameters(), lr=lr)
    history = ad.fit(model, (X, 2 * X), "mse", optimizer, epochs, 4, callbacks=callbacks, verbose=0, **options)
    return model, history


class Scripted(Callback):
    """Writes a value of its own into the logs."""

    def __init__(self, name: str, values: list[float]) -> None:
        self.name = name
        self.values = values

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        logs[self.name] = self.values[epoch]


def test_order_of_calls() -> None:
    calls: list[tuple[Any, ...]] = []

    class Told(Callback):
        def on_train_begin(self, logs: dict[str, Any]) -> None:
            calls.append(("train begin", type(self.model).__name__, type(self.optimizer).__name__))

        def on_train_end(self, logs: dict[str, Any]) -> None:
            calls.append(("train end", len(self.history)))

        def on_epoch_begin(self, epoch: int, logs: dict[str, Any]) -> None:
            calls.append(("epoch begin", epoch))

        def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
            calls.append(("epoch end", epoch, sorted(logs)))

        def on_batch_begin(self, batch: int, logs: dict[str, Any]) -> None:
            calls.append(("batch begin", batch))

        def on_batch_end(self, batch: int, logs: dict[str, Any]) -> None:
            calls.append(("batch end", batch, logs["loss"].shape))

    train(Told(), epochs=2, validation_data=(X, X))
    one = [call for n in range(4) for call in (("batch begin", n), ("batch end", n, ()))]
    assert calls == [
        ("train begin", "Linear", "SGD"),
        *[("epoch begin", 0), *one, ("epoch end", 0, ["loss", "val_loss"])],
        *[("epoch begin", 1), *one, ("epoch end", 1, ["loss", "val_loss"])],
        ("train end", 2),
    ]


def test_logs_become_history_and_stop_ends() -> None:
    def end(epoch: int, logs: dict[str, Any]) -> None:
        logs["square"] = float(epoch**2)
        if epoch == 1:
            stopper.stop()

    stopper = LambdaCallback(on_epoch_end=end)
    _, history = train(stopper, epochs=9)
    assert history["square"] == [0.0, 1.0]


@pytest.mark.parametrize(
    ("values", "settings", "epochs", "best"),
    [
        ([3, 2, 1, 2, 3, 4, 0], {"patience": 2}, 5, 2),
        ([3, 2, 1, 2, 3, 4, 0], {"patience": 0}, 4, 2),
        ([3, 2, 1, 2, 3, 4, 0], {"patience": 9}, 7, 6),
        ([3, 2.5, 2.2, 2.1, 0], {"patience": 2, "min_delta": 0.6}, 5, 4),
        ([3, 2.5, 2.45, 2.45, 0], {"patience": 2, "min_delta": 1.0}, 3, 0),
        ([1, 2, 1, 1, 9], {"patience": 2, "mode": "max"}, 4, 1),
        ([float("nan"), 2, 1, 5, 5], {"patience": 2}, 5, 2),
    ],
)
def test_early_stopping(values: list[float], settings: dict[str, Any], epochs: int, best: int) -> None:
    weights: list[list[Any]] = []
    snapshots = LambdaCallback(on_epoch_end=lambda epoch, logs: weights.append(snapshots.model.weight.tolist()))
    stopping = EarlyStopping("score", restore_best_weights=True, **settings)
    model, history = train(Scripted("score", values), snapshots, stopping, epochs=len(values))
    assert len(history) == epochs
    assert stopping.best_epoch == best
    assert stopping.best == values[best]
    assert model.weight.tolist() == weights[best]
    if epochs < len(values):
        assert stopping.stopped_epoch == epochs - 1
    # The same one may serve again.
    assert len(train(Scripted("score", values), stopping, epochs=len(values))[1]) == epochs


def test_accuracies_are_to_rise() -> None:
    stopping = EarlyStopping("val_accuracy", patience=1)
    _, history = train(Scripted("val_accuracy", [0.1, 0.2, 0.3, 0.2, 0.9]), stopping, epochs=5)
    assert len(history) == 4


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    _, history = train(CSVLogger(path), epochs=2)
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    assert [int(row["epoch"]) for row in rows] == [0, 1]
    assert [float(row["loss"]) for row in rows] == history["loss"]
    train(CSVLogger(path, append=True), epochs=1)
    assert len(path.read_text(encoding="utf-8").splitlines()) == 4
    train(CSVLogger(path, separator=";"), epochs=1)
    assert path.read_text(encoding="utf-8").splitlines()[0] == "epoch;loss"
    with pytest.raises(OSError, match="nowhere"):
        train(CSVLogger(tmp_path / "nowhere" / "log.csv"))


def lists(state: dict[str, ad.Tensor]) -> dict[str, Any]:
    """Weights as lists."""
    return {name: tensor.tolist() for name, tensor in state.items()}


def test_checkpoints(tmp_path: Path) -> None:
    checkpoint = ModelCheckpoint(tmp_path / "net-{epoch:02d}-{loss:.1e}.safetensors")
    model, history = train(checkpoint, epochs=2)
    names = [f"net-{n + 1:02d}-{history['loss'][n]:.1e}.safetensors" for n in range(2)]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert checkpoint.last_path == str(tmp_path / names[1])
    first, last = (ad.load(tmp_path / name) for name in names)
    assert lists(last) == lists(model.state_dict())
    assert lists(first) != lists(last)
    again = nn.Linear(1, 1)
    again.load_state_dict(last)
    assert lists(again.state_dict()) == lists(last)


def test_only_the_best_is_saved(tmp_path: Path) -> None:
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}", "score", save_best_only=True, save_optimizer=True)
    train(Scripted("score", [3, 2, 4, 1]), checkpoint, epochs=4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2", "4"]
    assert checkpoint.best == 1
    assert ad.load(tmp_path / "4")["epoch"] == 3


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_a_training_goes_on_from_a_checkpoint(name: str, tmp_path: Path) -> None:
    """Model, optimiser and loader taken up from files give the bits of the training that was never left."""

    def begin() -> tuple[nn.Module, optim.Optimizer, DataLoader]:
        ad.manual_seed(0)
        model = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1))
        return model, getattr(optim, name)(model.parameters(), lr=0.05), DataLoader((X, X**2), 4, True, seed=1)

    model, optimizer, loader = begin()
    ad.fit(model, loader, "mse", optimizer, epochs=5, verbose=0)
    expected = lists(model.state_dict())

    model, optimizer, loader = begin()
    checkpoint = ModelCheckpoint(tmp_path / "all", save_optimizer=True)
    ad.fit(model, loader, "mse", optimizer, epochs=2, callbacks=[checkpoint], verbose=0)
    ad.save(tmp_path / "order", loader.state_dict())

    model, optimizer, loader = begin()
    state = ad.load(tmp_path / "all")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    loader.load_state_dict(ad.load(tmp_path / "order"))
    ad.fit(model, loader, "mse", optimizer, epochs=3, verbose=0)
    assert lists(model.state_dict()) == expected


def test_rates_by_function() -> None:
    assert train(LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1)))[1]["lr"] == [0.1, 0.05, 0.1 / 3]
    assert train(LearningRateScheduler(lambda epoch, rate: rate / 2))[1]["lr"] == [0.05, 0.025, 0.0125]


def rates(make: Any, epochs: int = 3, **options: Any) -> list[float]:
    """The rates of each epoch, for a schedule."""
    ad.manual_seed(0)
    model = nn.Linear(1, 1)
    optimizer = optim.SGD(model.parameters(), lr=1e-3, momentum=0.5)
    callback = LearningRateScheduler(make(optimizer), **options)
    return ad.fit(model, (X, X), "mse", optimizer, epochs, 4, callbacks=[callback], verbose=0)["lr"]


def test_rates_by_schedule() -> None:
    assert rates(lambda o: lr_scheduler.ExponentialLR(o, 0.5)) == [1e-3, 5e-4, 2.5e-4]
    assert rates(lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0, threshold=9.0), monitor="loss") == [
        1e-3,
        1e-3,
        pytest.approx(1e-4),
    ]
    cycle = rates(lambda o: lr_scheduler.OneCycleLR(o, 1e-3, epochs=3, steps_per_epoch=4))
    assert cycle[0] > cycle[1] > cycle[2]


def test_a_rate_that_is_a_tensor_stays_one() -> None:
    rate = ad.tensor(0.5)
    _, history = train(LearningRateScheduler(lambda epoch: 0.25), lr=rate)  # type: ignore[arg-type]
    assert history["lr"] == [0.25] * 3
    assert rate.item() == 0.25


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: EarlyStopping(patience=-1), ad.DomainError, "patience is -1"),
        (lambda: EarlyStopping(mode="low"), ad.DomainError, "mode is 'low'"),
        (lambda: EarlyStopping(min_delta=-1), ad.DomainError, "min_delta is -1"),
        (lambda: train(EarlyStopping()), ad.DomainError, "no 'val_loss'. Pass validation_data"),
        (lambda: train(EarlyStopping("f1")), ad.DomainError, "no 'f1'. Monitor one of: loss"),
        (lambda: train(ModelCheckpoint("{f1}")), ad.DomainError, "cannot be filled in: 'f1'"),
        (lambda: train(ModelCheckpoint("x", save_best_only=True)), ad.DomainError, "no 'val_loss'"),
        (lambda: LearningRateScheduler(3), ad.DTypeError, "schedule is a int"),
        (lambda: Callback().stop(), ad.DomainError, "no training"),
        (lambda: LambdaCallback(on_step=abs), TypeError, "on_step"),
    ],
)
def test_mistakes_are_explained(make: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()
