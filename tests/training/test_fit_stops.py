"""Trainings that end before their time: values that are not finite, errors of others, Ctrl-C.

Depends on the installed package. Invariant: every such end leaves a model that can be used, and the history so far.
"""

from __future__ import annotations

from typing import Any

import adret as ad
import numpy as np
import pytest
from adret import nn, optim
from adret.training import _finite, _fit


class Log(nn.Module):
    """A layer that fails below zero."""

    def forward(self, x: ad.Tensor) -> ad.Tensor:
        return ad.log(x)


class Net(nn.Module):
    """A net with a path to name."""

    def __init__(self, middle: nn.Module) -> None:
        self.body = nn.Sequential(nn.Linear(2, 4), middle)
        self.head = nn.Linear(4, 1)

    def forward(self, x: ad.Tensor) -> ad.Tensor:
        return self.head(self.body(x))


def data(size: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Numbers around zero, and the sum of each row."""
    x = np.random.default_rng(0).standard_normal((size, 2)).astype(np.float32)
    return x, x.sum(axis=1, keepdims=True)


def failure(model: nn.Module, data: Any, loss: Any = "mse", lr: float = 0.01, **options: Any) -> ad.NonFiniteError:
    """The error that a training ends with."""
    before = [vars(module).get("forward") for module in model.modules()]
    with pytest.raises(ad.NonFiniteError) as caught:
        ad.fit(model, data, loss, optim.SGD(model.parameters(), lr=lr), shuffle=False, verbose=0, **options)
    assert isinstance(caught.value, ArithmeticError)
    assert [vars(module).get("forward") for module in model.modules()] == before, "a module stayed wrapped"
    return caught.value


@pytest.fixture(params=[1, 16])
def look_every(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """As on a CPU, and as on a device where looking waits."""
    monkeypatch.setattr(_fit, "LOOK_EVERY", {"cpu": request.param})
    return request.param


def test_the_first_layer_at_fault_is_named(look_every: int) -> None:
    ad.manual_seed(0)
    error = failure(Net(Log()), data(), batch_size=8)
    assert error.layer == "body.1"
    assert "the loss is nan in epoch 1 at batch 1." in str(error)
    assert "output of 'body.1' (Log), whose input is finite" in str(error)
    assert len(error.history) == 0


def test_bad_data_is_named(look_every: int) -> None:
    x, y = data()
    x[21, 1] = np.nan
    error = failure(Net(nn.Tanh()), (x, y), batch_size=8, epochs=2)
    assert "epoch 1 at batch 3" in str(error)
    assert "the batch's x (1 values)" in str(error)
    assert error.layer == "body.0"
    x, y = data()
    y[39] = np.inf
    error = failure(Net(nn.Tanh()), (x, y), batch_size=8)
    assert "at batch 5" in str(error)
    assert "the batch's y (1 values)" in str(error)
    assert error.layer is None
    assert "the loss itself" in str(error)


def test_weights_that_ran_away_are_told_from_bad_layers(look_every: int) -> None:
    error = failure(Net(nn.ReLU()), data(), lr=1e25, batch_size=8, epochs=3)
    assert error.layer is not None
    assert error.layer in ("body.0", "head")
    assert "clip_grad_norm" in str(error)


def test_the_history_is_kept() -> None:
    class Later(nn.Module):
        calls = 0

        def forward(self, x: ad.Tensor) -> ad.Tensor:
            Later.calls += 1
            return x / 0 if Later.calls > 10 else x

    error = failure(Net(Later()), data(), batch_size=8, epochs=9, compile=False)
    assert error.layer == "body.1"
    assert error.history.epochs == [0, 1]
    assert len(error.history["loss"]) == 2
    assert any("epoch 3, after 1 batches" in note for note in error.__notes__)


def test_a_loss_at_fault_is_told_from_layers() -> None:
    error = failure(Net(nn.Tanh()), data(), lambda output, target: ad.log(output - 100).mean(), batch_size=40)
    assert error.layer is None
    assert "the loss itself, of a finite output from" in str(error)


def test_a_bad_last_update_is_found() -> None:
    # The loss is finite, its slope is not: sqrt at 0.
    model = nn.Linear(1, 1, bias=False)
    with ad.no_grad():
        model.weight.assign(ad.zeros((1, 1)))
    error = failure(model, (np.ones((4, 1)), np.zeros((4, 1))), lambda output, target: ad.sqrt(output).mean())
    assert "the last update of epoch 1" in str(error)
    assert "weight in the model (Linear)" in str(error)
    assert error.layer == ""


def test_a_large_model_is_searched_without_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_finite, "LARGEST_COPY_BYTES", 0)
    ad.manual_seed(0)
    error = failure(Net(Log()), data(), batch_size=8)
    assert error.layer == "body.0", "after the update every parameter is lost; the first is named"
    assert "weight in 'body.0' (Linear)" in str(error)


def test_looking_changes_nothing() -> None:
    model = nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.5), nn.Linear(4, 1))
    copy = _finite.Copy(model)
    copy.take()
    with ad.no_grad():
        model[0].weight.assign(model[0].weight * ad.nan)
    before = {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()}
    state = ad.random.get_state()
    x, y = (ad.tensor(part) for part in data())
    finding = _finite.find(model, _fit.loss_of("fit", "mse"), x, y, copy)
    assert finding.layer == "0"
    assert "ran away" in finding.text
    assert {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()} == before
    assert ad.random.get_state() == state
    assert all(parameter.requires_grad and parameter.is_leaf for parameter in model.parameters())


def broken_after(batches: int, error: BaseException) -> Any:
    """Data that raises in the middle of its second epoch."""

    class Data:
        epochs = 0

        def __iter__(self) -> Any:
            Data.epochs += 1
            x, y = data()
            for number in range(5):
                if Data.epochs == 2 and number == batches:
                    raise error
                yield x[number * 8 : number * 8 + 8], y[number * 8 : number * 8 + 8]

    return Data()


def test_what_the_data_raises_arrives_with_the_history() -> None:
    model = Net(nn.Tanh())
    with pytest.raises(LookupError, match="no such file") as caught:
        ad.fit(model, broken_after(3, LookupError("no such file")), "mse", "adam", epochs=4, verbose=0)
    assert caught.value.history.epochs == [0]
    assert caught.value.__notes__ == [
        "fit: in epoch 2, after 3 batches of it. "
        "The history of 1 finished epochs is the exception's attribute `history`."
    ]
    assert np.isfinite(ad.predict(model, data()[0]).numpy()).all()


@pytest.mark.parametrize(
    "method", ["on_train_begin", "on_epoch_begin", "on_batch_begin", "on_batch_end", "on_epoch_end"]
)
def test_what_a_callback_raises_arrives_and_ends_are_told(method: str) -> None:
    ended: list[int] = []

    def raises(*_: Any) -> None:
        raise RuntimeError("not today")

    callbacks = [
        ad.callbacks.LambdaCallback(on_train_end=lambda logs: ended.append(1)),
        ad.callbacks.LambdaCallback(**{method: raises}),
    ]
    with pytest.raises(RuntimeError, match="not today") as caught:
        ad.fit(nn.Linear(2, 1), data(), "mse", "adam", callbacks=callbacks, verbose=0)
    assert len(caught.value.history) == 0
    assert ended == [1]


def test_ctrl_c_gives_the_history() -> None:
    model = Net(nn.Tanh())
    ended: list[int] = []
    told = ad.callbacks.LambdaCallback(on_train_end=lambda logs: ended.append(1))
    history = ad.fit(model, broken_after(2, KeyboardInterrupt()), "mse", "adam", epochs=4, callbacks=[told], verbose=0)
    assert history.interrupted
    assert history.epochs == [0]
    assert "interrupted" in repr(history)
    assert ended == [1]
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not ad.fit(model, data(), "mse", "adam", verbose=0).interrupted, "the model can be trained on"
