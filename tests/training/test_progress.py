"""What a training shows: nothing, lines, bars; and the history's text, table and curves.

Depends on the installed package, tqdm and, for the curves, matplotlib.
"""

from __future__ import annotations

import io
import sys
import types
from typing import Any

import adret as ad
import numpy as np
import pytest
from adret.training import _progress

X = np.ones((8, 1), dtype=np.float32)


def train(verbose: Any, **options: Any) -> ad.History:
    """Two epochs of two batches."""
    return ad.fit(ad.nn.Linear(1, 1), (X, X), "mse", "sgd", epochs=2, batch_size=4, verbose=verbose, **options)


@pytest.mark.parametrize("verbose", [0, False])
def test_silent(verbose: Any, capsys: pytest.CaptureFixture[str]) -> None:
    train(verbose)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("verbose", [2, "auto"])
def test_lines(verbose: Any, capsys: pytest.CaptureFixture[str]) -> None:
    history = train(verbose, validation_data=(X, X))
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err == ""
    assert len(lines) == 2
    assert lines[1].startswith(f"epoch 2/2: loss {history['loss'][1]:.4g}, val_loss {history['val_loss'][1]:.4g} (")


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_bars(seconds: float, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_progress, "SECONDS_BETWEEN", seconds)
    history = train(1, metrics=["mae"])
    out, err = capsys.readouterr()
    assert out == ""
    assert "epoch 2/2: 100%" in err
    assert "2/2 [" in err
    assert f"loss {history['loss'][1]:.4g}, mae {history['mae'][1]:.4g}" in err


def test_a_terminal_gets_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    assert isinstance(_progress.progress_of("auto"), _progress.Bars)
    monkeypatch.setattr(sys, "stderr", None)
    assert isinstance(_progress.progress_of("auto"), _progress.Lines)


def test_a_notebook_gets_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    assert isinstance(_progress.progress_of("auto"), _progress.Bars)


def test_a_stream_s_bar_has_no_total(capsys: pytest.CaptureFixture[str]) -> None:
    ad.fit(ad.nn.Linear(1, 1), iter([(X, X)]), "mse", "sgd", verbose=1)
    assert "epoch 1/1: 1batch" in capsys.readouterr().err


def test_a_bar_is_closed_after_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> Any:
        yield X, X
        raise LookupError("gone")

    with pytest.raises(LookupError):
        ad.fit(ad.nn.Linear(1, 1), broken(), "mse", "sgd", verbose=1)
    assert capsys.readouterr().err.endswith("\n")


def history(epochs: int) -> ad.History:
    """A history of falling losses."""
    made = ad.History()
    for epoch in range(epochs):
        made.append(epoch, {"loss": 1 / (epoch + 1), "val_loss": 2 / (epoch + 1), "accuracy": 0.5})
    return made


def test_history_as_text_and_table() -> None:
    assert repr(ad.History()) == "History(0 epochs)"
    assert repr(history(1)) == "History(1 epoch; loss: 1; val_loss: 2; accuracy: 0.5)"
    assert repr(history(4)) == "History(4 epochs; loss: 1 -> 0.25; val_loss: 2 -> 0.5; accuracy: 0.5 -> 0.5)"
    html = history(12)._repr_html_()
    assert html.count("<tr>") == 11
    assert "the last 10 of 12 epochs" in html
    with pytest.raises(KeyError, match=r"no 'f1'\. There are: loss"):
        history(1)["f1"]
    assert "loss" in history(1)
    assert list(history(1)) == history(1).keys() == ["loss", "val_loss", "accuracy"]


def test_values_that_come_and_go_stay_aligned() -> None:
    made = ad.History()
    made.append(0, {"loss": 1.0})
    made.append(1, {"loss": 2.0, "lr": 0.1})
    made.append(2, {"loss": 3.0})
    np.testing.assert_array_equal(made["lr"], [np.nan, 0.1, np.nan])


def test_curves() -> None:
    matplotlib = pytest.importorskip("matplotlib", reason="curves need matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure = history(3).plot()
    assert [axes.get_title() for axes in figure.axes] == ["loss", "accuracy"]
    assert [line.get_label() for line in figure.axes[0].lines] == ["loss", "val_loss"]
    np.testing.assert_allclose(figure.axes[0].lines[1].get_ydata(), [2, 1, 2 / 3])
    _, axes = pyplot.subplots()
    assert history(3).plot(["accuracy"], axes) is axes.figure
    assert len(history(3).plot(["val_loss"]).axes[0].lines) == 1
    with pytest.raises(KeyError, match="no 'f1'"):
        history(3).plot(["f1"])
    pyplot.close("all")


def test_curves_say_what_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("matplotlib", "matplotlib.pyplot"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        history(1).plot()
