"""Pictures: what is drawn for which values, that files are written, that nothing else changes, and what is refused.

Depends on the installed package, NumPy and matplotlib.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import adret as ad
import numpy as np
import pytest
from adret import nn, plot

pytest.importorskip("matplotlib", reason="pictures are drawn by matplotlib")
from matplotlib.figure import Figure

DRAW = np.random.default_rng(0)


class Maps(nn.Module):
    """A stand-in for a convolution: makes three channels of one."""

    def __init__(self) -> None:
        self.weight = nn.Parameter(DRAW.normal(size=(3, 1, 1, 1)))

    def forward(self, x: ad.Tensor) -> ad.Tensor:
        return x * self.weight.reshape(1, 3, 1, 1)


class Net(nn.Module):
    """A small network with a mode, a layer that is not called, and a layer with another output."""

    def __init__(self) -> None:
        self.features = nn.Sequential(Maps(), nn.ReLU())
        self.dropout = nn.Dropout(0.5)
        self.unused = nn.ReLU()
        self.head = nn.Linear(3, 2, dtype=ad.float64)

    def forward(self, x: ad.Tensor) -> ad.Tensor:
        return self.head(self.dropout(self.features(x)).mean(axis=(2, 3)))


def inputs() -> ad.Tensor:
    return ad.tensor(DRAW.normal(size=(2, 1, 5, 4)))


HISTORY = {"loss": [3.0, 2.0, 1.5], "val_loss": [3.1, 2.5, 2.4], "accuracy": [0.1, 0.5, 0.7]}

DRAWINGS: list[tuple[str, Callable[[Any], Any]]] = [
    ("grid", lambda path: plot.image_grid(ad.random.uniform((5, 8, 8)), path=path)),
    ("colour grid", lambda path: plot.image_grid(DRAW.random((5, 3, 8, 8)), 5, list("abcde"), path=path)),
    ("bytes", lambda path: plot.image_grid(DRAW.integers(0, 256, (2, 3, 8, 8), np.uint8), path=path)),
    ("one picture", lambda path: plot.image_grid(DRAW.normal(size=(8, 9)), path=path)),
    ("filters", lambda path: plot.filters(Maps(), path=path)),
    ("feature maps", lambda path: plot.feature_maps(Net(), inputs(), "features", path=path)),
    ("confusion", lambda path: plot.confusion_matrix([0, 1, 1], [0, 1, 0], ["ant", "bee"], path=path)),
    ("mistakes", lambda path: plot.misclassified(DRAW.random((3, 8, 8)), [0, 1, 1], [0, 1, 0], path=path)),
    ("no mistakes", lambda path: plot.misclassified(DRAW.random((2, 8, 8)), [0, 1], [0, 1], path=path)),
    ("curve", lambda path: plot.learning_curve(HISTORY, path=path)),
    ("codes", lambda path: plot.latent_space(DRAW.normal(size=(30, 2)), DRAW.integers(0, 12, 30), path=path)),
]


@pytest.mark.parametrize("draw", [entry[1] for entry in DRAWINGS], ids=[entry[0] for entry in DRAWINGS])
def test_every_picture_is_a_figure_and_a_file(draw: Callable[[Any], Any], tmp_path: Path) -> None:
    figure = draw(tmp_path / "picture.png")
    assert isinstance(figure, Figure)
    assert (tmp_path / "picture.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert isinstance(draw(None), Figure)
    draw(str(tmp_path / "picture.svg"))
    assert b"<svg" in (tmp_path / "picture.svg").read_bytes()
    with pytest.raises(ad.DomainError, match=r"plot\.\w+: path is .*picture\.txt.* End it in one of .*\.png"):
        draw(tmp_path / "picture.txt")
    with pytest.raises(FileNotFoundError):
        draw(tmp_path / "no folder/picture.png")
    # Notebooks show it.
    assert figure._repr_png_()[:4] == b"\x89PNG"


def drawn(axis: Any) -> np.ndarray:
    return np.asarray(axis.images[0].get_array())


def test_grids_show_the_pictures_in_order_and_on_one_scale() -> None:
    images = DRAW.normal(size=(7, 4, 6))
    figure = plot.image_grid(ad.tensor(images), columns=3, titles=range(7))
    assert len(figure.axes) == 9
    for picture, axis in zip(images, figure.axes, strict=False):
        np.testing.assert_array_equal(drawn(axis), picture)
        assert axis.images[0].get_clim() == (images.min(), images.max())
    assert [axis.get_title() for axis in figure.axes[:7]] == [str(number) for number in range(7)]
    assert not figure.axes[8].images
    colours = DRAW.integers(0, 256, (2, 3, 5, 5), np.uint8)
    for picture, axis in zip(colours, plot.image_grid(ad.tensor(colours)).axes, strict=True):
        np.testing.assert_array_equal(drawn(axis), picture.transpose(1, 2, 0))
    # Colours beyond 0 to 1 are scaled, all alike; values that are not finite do not hurt.
    wide = drawn(plot.image_grid(np.array([-1.0, 3.0, 1.0]).reshape(1, 3, 1, 1)).axes[0])
    np.testing.assert_allclose(wide.ravel(), [0, 1, 0.5])
    plot.image_grid(np.array([[[np.nan, np.inf], [0.0, 1.0]]]))
    plot.image_grid(ad.ones((1, 1, 2, 2), dtype=ad.bfloat16, requires_grad=True))
    plot.image_grid(np.zeros((1, 2, 2), bool))


def test_filters_are_symmetric_around_zero_and_in_rows() -> None:
    kernels = DRAW.normal(size=(4, 2, 3, 3))
    axes = plot.filters(ad.tensor(kernels)).axes
    assert len(axes) == 8
    np.testing.assert_array_equal(drawn(axes[3]), kernels[1, 1])
    largest = np.abs(kernels).max()
    assert axes[0].images[0].get_clim() == (-largest, largest)
    assert len(plot.filters(kernels, count=5).axes) == 4
    assert len(plot.filters(kernels, count=1).axes) == 1
    assert len(plot.filters(DRAW.normal(size=(200, 100, 3, 3))).axes) == 64
    assert len(plot.filters(DRAW.normal(size=(6, 1, 5)), path=None).axes) in (6, 9)
    colour = drawn(plot.filters(np.stack([kernels[0, :1, 0]] * 3, axis=1).reshape(1, 3, 1, 3)).axes[0])
    assert colour.shape == (1, 3, 3) and 0 <= colour.min() <= colour.max() <= 1
    plot.filters(np.zeros((2, 3, 3, 3)))


def test_feature_maps_show_the_layer_s_output_and_leave_no_trace() -> None:
    net, x = Net(), inputs()
    net.features.eval()
    modes = [module.training for module in net.modules()]
    wanted = net.features(x)[0].detach().numpy()
    for layer in ("features", "features.1", net.features):
        axes = plot.feature_maps(net, x, layer).axes
        for channel, axis in zip(wanted, axes, strict=False):
            np.testing.assert_array_equal(drawn(axis), channel)
    assert len(plot.feature_maps(net, x, "features.0", count=2).axes) == 2
    assert [module.training for module in net.modules()] == modes
    assert all(parameter.grad is None for parameter in net.parameters())
    with pytest.raises(ad.DomainError, match=r"no layer 'conv1'. There are 'features', 'features\.0', "):
        plot.feature_maps(net, x, "conv1")
    with pytest.raises(ad.DomainError, match="no layer this ReLU"):
        plot.feature_maps(net, x, nn.ReLU())
    with pytest.raises(ad.DomainError, match="did not call its layer 'unused'"):
        plot.feature_maps(net, x, "unused")
    with pytest.raises(ad.ShapeError, match=r"output of 'head' is \(2, 2\)"):
        plot.feature_maps(net, x, "head")
    with pytest.raises(ad.ShapeError):
        plot.feature_maps(net, ad.ones((2, 2, 5)), "features")
    assert [module.training for module in net.modules()] == modes
    assert not any(vars(net.features._hooks).values())


def test_confusion_counts() -> None:
    labels, said = DRAW.integers(0, 4, 200), DRAW.integers(0, 4, 200)
    wanted = [[int(((labels == row) & (said == column)).sum()) for column in range(4)] for row in range(4)]
    scores = np.eye(5)[said]
    for predictions in (
        said,
        ad.tensor(said),
        said.tolist(),
        said.astype(np.float32),
        scores[:, :4],
        ad.tensor(scores),
    ):
        axis = plot.confusion_matrix(ad.tensor(labels), predictions).axes[0]
        assert drawn(axis)[:4, :4].tolist() == wanted
    assert drawn(plot.confusion_matrix(labels, scores).axes[0]).shape == (5, 5)
    assert axis.get_title() == f"{np.trace(wanted) / 200:.2%} of 200 right"
    rows = drawn(plot.confusion_matrix(labels, said, normalise=True).axes[0]).sum(axis=1)
    np.testing.assert_allclose(rows, 1)
    # A class that never occurs has a row of zeros; many classes are drawn without numbers.
    assert drawn(plot.confusion_matrix([0, 2], [0, 2], normalise=True).axes[0])[1].tolist() == [0, 0, 0]
    assert not plot.confusion_matrix(np.arange(100), np.arange(100)).axes[0].texts
    named = plot.confusion_matrix([0, 1], [1, 1], names=["no", "yes"]).axes[0]
    assert [tick.get_text() for tick in named.get_xticklabels()] == ["no", "yes"]


def test_the_worst_mistakes_come_first() -> None:
    images = np.arange(4.0).reshape(4, 1, 1) * np.ones((4, 3, 3))
    scores = np.array([[1.0, 0.0], [0.6, 0.4], [0.9, 0.1], [0.2, 0.8]])
    figure = plot.misclassified(images, [0, 1, 1, 1], ad.tensor(scores), names=["cat", "dog"])
    shown = [axis for axis in figure.axes if axis.images]
    assert [axis.get_title() for axis in shown] == ["dog, not cat", "dog, not cat"]
    assert [drawn(axis)[0, 0] for axis in shown] == [2.0, 1.0]
    by_label = plot.misclassified(images, [0, 1, 1, 1], scores.argmax(axis=1))
    assert [drawn(axis)[0, 0] for axis in by_label.axes if axis.images] == [1.0, 2.0]
    assert len([axis for axis in plot.misclassified(images, [1] * 4, [0] * 4, count=3).axes if axis.images]) == 3
    nothing = plot.misclassified(images, [0] * 4, [0] * 4)
    assert nothing.axes[0].get_title() == "none of 4 is wrong"


def test_curves() -> None:
    figure = plot.learning_curve(HISTORY)
    assert [axis.get_title() for axis in figure.axes] == ["loss", "accuracy"]
    assert [line.get_ydata().tolist() for line in figure.axes[0].lines] == [HISTORY["loss"], HISTORY["val_loss"]]
    assert plot.learning_curve(HISTORY, ["accuracy"], log=True).axes[0].get_yscale() == "log"
    assert plot.learning_curve([1.0, 0.5]).axes[0].lines[0].get_ydata().tolist() == [1.0, 0.5]
    model = nn.Linear(2, 1)
    history = ad.fit(model, (ad.ones((4, 2)), ad.ones((4, 1))), "mse", "sgd", epochs=3, verbose=0)
    line = plot.learning_curve(history).axes[0].lines[0]
    assert line.get_ydata().tolist() == history["loss"]
    assert list(line.get_xdata()) == history.epochs


def test_several_curves_are_compared() -> None:
    model = nn.Linear(2, 1)
    history = ad.fit(model, (ad.ones((4, 2)), ad.ones((4, 1))), "mse", "sgd", epochs=2, verbose=0)
    figure = plot.learning_curve({"one": history, "other": HISTORY}, xlabel="step")
    loss, accuracy = figure.axes
    assert [line.get_label() for line in loss.lines] == ["one", "other", "other, validation"]
    assert [line.get_ydata().tolist() for line in loss.lines] == [history["loss"], HISTORY["loss"], HISTORY["val_loss"]]
    assert [line.get_label() for line in accuracy.lines] == ["other"]
    assert loss.get_xlabel() == "step"


def test_codes_of_many_numbers_are_projected() -> None:
    plane = DRAW.normal(size=(50, 2)) @ np.linalg.qr(DRAW.normal(size=(6, 2)))[0].T
    figure = plot.latent_space(ad.tensor(plane))
    points = figure.axes[0].collections[0].get_offsets()
    distances = [np.linalg.norm(array[:, None] - array[None], axis=-1) for array in (points, plane)]
    np.testing.assert_allclose(*distances, atol=1e-9)
    labelled = plot.latent_space(plane[:, :2], [0, 1] * 25, names=["left", "right"])
    assert [text.get_text() for text in labelled.axes[0].get_legend().get_texts()] == ["left", "right"]
    np.testing.assert_array_equal(labelled.axes[0].collections[1].get_offsets(), plane[1::2, :2])
    plot.latent_space(plane[:1], [3])


MISTAKES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: plot.image_grid(ad.ones((2, 5, 4, 4))), ad.ShapeError, r"the images are \(2, 5, 4, 4\)"),
    (lambda: plot.image_grid(ad.ones(3)), ad.ShapeError, "the images are"),
    (lambda: plot.image_grid(np.ones((0, 4, 4))), ad.ShapeError, "at least one picture"),
    (lambda: plot.image_grid(np.ones((500, 4, 4))), ad.DomainError, r"400 at most, such as images\[:64\]"),
    (lambda: plot.image_grid(np.ones((2, 4, 4)), columns=0), ad.DomainError, "columns is 0"),
    (lambda: plot.image_grid(np.ones((2, 4, 4)), titles=["a"]), ad.DomainError, "1 titles and 2 pictures"),
    (lambda: plot.image_grid([["a"]]), ad.DTypeError, "images has elements"),
    (lambda: plot.filters(nn.ReLU()), ad.DTypeError, "a ReLU has no weight"),
    (lambda: plot.filters(nn.Linear(3, 2)), ad.ShapeError, r"the weight is \(2, 3\)"),
    (lambda: plot.filters(Maps(), count=0), ad.DomainError, "count is 0"),
    (lambda: plot.feature_maps(Net(), inputs(), "features", count=0), ad.DomainError, "count is 0"),
    (lambda: plot.confusion_matrix([0, 1], [0]), ad.ShapeError, "labels 2, predictions 1"),
    (lambda: plot.confusion_matrix([], []), ad.ShapeError, "n at least 1"),
    (lambda: plot.confusion_matrix([0, -1], [0, 0]), ad.DomainError, "label -1"),
    (lambda: plot.confusion_matrix([0, 5000], [0, 0]), ad.DomainError, "label 5000"),
    (lambda: plot.confusion_matrix([0, 1.5], [0, 0]), ad.DTypeError, "between integers"),
    (lambda: plot.confusion_matrix([0, 1], [0, 1], names=["a"]), ad.DomainError, "1 names and 2 classes"),
    (lambda: plot.confusion_matrix(np.zeros((2, 2, 2)), [0, 1]), ad.ShapeError, "labels is"),
    (lambda: plot.misclassified(np.ones((2, 4, 4)), [0, 1, 2], [0, 1, 2]), ad.ShapeError, "images 2, labels 3"),
    (lambda: plot.misclassified(np.ones((4, 4)), [0], [1]), ad.ShapeError, "the images are"),
    (lambda: plot.misclassified(np.ones((1, 4, 4)), [3], np.ones((1, 2))), ad.DomainError, "scores of 2 classes"),
    (lambda: plot.misclassified(np.ones((1, 4, 4)), [1], [0], count=0), ad.DomainError, "count is 0"),
    (lambda: plot.learning_curve({}), ad.DomainError, "no quantity"),
    (lambda: plot.learning_curve({"a": {"loss": []}}), ad.DomainError, "one epoch or more"),
    (lambda: plot.learning_curve({"loss": []}), ad.DomainError, "one epoch or more"),
    (lambda: plot.learning_curve(HISTORY, ["mae"]), ad.DomainError, "no mae. There is loss, accuracy"),
    (lambda: plot.latent_space(np.ones((4, 1))), ad.ShapeError, "d at least 2"),
    (lambda: plot.latent_space(np.full((4, 2), np.nan)), ad.DomainError, "not finite"),
    (lambda: plot.latent_space(np.ones((4, 2)), [0, 1]), ad.ShapeError, "codes 4, labels 2"),
]


@pytest.mark.parametrize(("call", "error", "says"), MISTAKES)
def test_mistakes(call: Callable[[], Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=rf"plot\.\w+: .*{says}"):
        call()


def test_without_matplotlib_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for _, draw in DRAWINGS:
        with pytest.raises(
            ImportError, match=r"plot\.\w+: matplotlib is missing\. Install it with `pip install matplotlib`"
        ):
            draw(None)


def test_matplotlib_is_loaded_by_the_first_picture_and_pyplot_never() -> None:
    program = (
        "import sys, adret as ad; assert 'adret.plot' not in sys.modules; plot = ad.plot; "
        "assert 'matplotlib' not in sys.modules; plot.learning_curve([1.0, 2.0]); "
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
