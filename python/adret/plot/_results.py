"""What came out: curves of a training, the table of a classifier's answers, the codes of an encoder.

Depends on `_figure`. Invariant: numbers that are drawn are those that were given; nothing is smoothed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from .._core import DomainError, ShapeError
from ._figure import Path, array_of, finished, labels_of, names_of, new_figure, same_length


def confusion_matrix(
    labels: Any,
    predictions: Any,
    names: Sequence[str] | None = None,
    normalise: bool = False,
    path: Path | None = None,
) -> Any:
    """Draws how often each class was taken for each: rows are what it is, columns what was said.

    Args:
        labels: `[n]`, the right ones.
        predictions: `[n]`, labels; or scores `[n, classes]`, of which the largest counts.
        names: Of the classes; numbers for None.
        normalise: Whether to show fractions of a row instead of counts.
        path: Where to write the figure; the suffix says the format.

    Returns:
        The figure, of matplotlib.

    Raises:
        ShapeError: If the numbers of labels and predictions differ.
        DTypeError: If labels are no integers.
        DomainError: If a label is out of range, or names are too few.
        ImportError: If matplotlib is missing.

    Example:
        >>> figure = confusion_matrix([0, 0, 1, 1], [0, 1, 1, 1])
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['1', '1', '0', '2']
    """
    import numpy as np

    right, taken = (
        labels_of("confusion_matrix", what, values)
        for what, values in (("labels", labels), ("predictions", predictions))
    )
    same_length("confusion_matrix", labels=right, predictions=taken)
    shape = getattr(predictions, "shape", ())
    classes = max(int(max(right.max(), taken.max())) + 1, shape[1] if len(shape) == 2 else 0, len(names or ()))
    words = names_of("confusion_matrix", names, classes)
    counts = np.bincount(right * classes + taken, minlength=classes * classes).reshape(classes, classes)
    values = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) if normalise else counts
    side = min(max(3.2, 0.42 * classes + 1.6), 16.0)
    figure = new_figure("confusion_matrix", side + 0.6, side)
    axis = figure.subplots()
    picture = axis.imshow(values, cmap="Blues", vmin=0)
    figure.colorbar(picture, shrink=0.8)
    if classes <= 30:
        edge = values.max() / 2
        for row in range(classes):
            for column in range(classes):
                value = values[row, column]
                text = f"{value:.2f}" if normalise else str(value)
                colour = "white" if value > edge else "black"
                axis.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
        turned = 0 if max(map(len, words)) < 3 else 45
        axis.set_xticks(range(classes), words[:classes], rotation=turned)
        axis.set_yticks(range(classes), words[:classes])
    axis.set(xlabel="said", ylabel="is", title=f"{np.trace(counts) / len(right):.2%} of {len(right)} right")
    return finished("confusion_matrix", figure, path)


def learning_curve(
    history: Any,
    names: Sequence[str] | None = None,
    log: bool = False,
    xlabel: str = "epoch",
    path: Path | None = None,
) -> Any:
    """Draws losses and metrics over the epochs: one picture per quantity, training and validation together.

    Args:
        history: What `fit` returned, or a dict of lists: names and one value per epoch; "val_loss" is drawn with
            "loss". A list alone is a loss. Several of them to compare are a dict: the name of each, and it.
        names: Quantities, such as "loss"; all for None.
        log: Whether the values' axis is logarithmic.
        xlabel: What the values are counted by.
        path: Where to write the figure; the suffix says the format.

    Returns:
        The figure, of matplotlib.

    Raises:
        DomainError: If there is nothing to draw, or no quantity of that name.
        ImportError: If matplotlib is missing.

    Example:
        >>> figure = learning_curve({"loss": [2.0, 1.0, 0.5], "val_loss": [2.1, 1.2, 0.9]})
        >>> len(figure.axes), len(figure.axes[0].lines)
        (1, 2)
        >>> figure = learning_curve({"slow": {"loss": [2.0, 1.9]}, "fast": {"loss": [2.0, 0.7]}})
        >>> [line.get_label() for line in figure.axes[0].lines]
        ['slow', 'fast']
    """
    pictures: dict[str, list[_Curve]] = {}
    for run, curves, epochs in _runs(history):
        for name, values in curves.items():
            quantity = str(name).removeprefix("val_")
            array = array_of("learning_curve", str(name), values)
            if array.ndim != 1 or not len(array):
                raise DomainError(
                    f"plot.learning_curve: {name} is {array.shape}. Give one value per epoch, of one epoch or more."
                )
            # A history that was continued does not begin with epoch 0.
            places = epochs if epochs is not None and len(epochs) == len(array) else range(len(array))
            label = str(name) if run is None else run if quantity == name else f"{run}, validation"
            pictures.setdefault(quantity, []).append(_Curve(label, places, array, quantity != name))
    chosen = list(pictures) if names is None else list(names)
    unknown = [name for name in chosen if name not in pictures]
    if unknown or not chosen:
        there = ", ".join(pictures) or "nothing"
        raise DomainError(f"plot.learning_curve: there is no {', '.join(unknown) or 'quantity'}. There is {there}.")
    figure = new_figure("learning_curve", 4.8 * len(chosen), 3.4)
    for axis, name in zip(figure.subplots(1, len(chosen), squeeze=False)[0], chosen, strict=True):
        for curve in pictures[name]:
            mark = "." if len(curve.values) < 20 else None
            style = "--" if curve.is_validation else "-"
            axis.plot(curve.places, curve.values, label=curve.label, marker=mark, linestyle=style)
        axis.set(xlabel=xlabel, title=name)
        axis.xaxis.get_major_locator().set_params(integer=True)
        if log:
            axis.set_yscale("log")
        axis.legend()
    return finished("learning_curve", figure, path)


class _Curve(NamedTuple):
    """One line of a picture."""

    label: str
    places: Any
    values: Any
    is_validation: bool


def _runs(history: Any) -> list[tuple[str | None, Mapping[str, Any], Any]]:
    """For each training its name, where there are several, its lists and its epochs."""

    def curves(run: Any) -> Any:
        return getattr(run, "history", run)

    found = curves(history)
    if not isinstance(found, Mapping):
        return [(None, {"loss": found}, None)]
    parts = cast("Mapping[Any, Any]", found)
    if parts and all(isinstance(curves(part), Mapping) for part in parts.values()):
        return [(str(name), curves(run), getattr(run, "epochs", None)) for name, run in parts.items()]
    return [(None, parts, getattr(history, "epochs", None))]


def latent_space(codes: Any, labels: Any = None, names: Sequence[str] | None = None, path: Path | None = None) -> Any:
    """Draws where an encoder puts its inputs: a point for each, coloured by its label.

    Args:
        codes: `[n, d]`; of more than two numbers the two principal components are drawn.
        labels: `[n]`, or None.
        names: Of the labels; numbers for None.
        path: Where to write the figure; the suffix says the format.

    Returns:
        The figure, of matplotlib.

    Raises:
        ShapeError: If codes are not `[n, d]` with d of 2 or more, or the number of labels is another.
        DomainError: If a code is not finite, or names are too few.
        ImportError: If matplotlib is missing.

    Example:
        >>> figure = latent_space(ad.random.normal((50, 8)), ad.arange(50) % 3)
        >>> figure.axes[0].get_xlabel()
        'first principal component'
    """
    import numpy as np

    points = array_of("latent_space", "codes", codes)
    if points.ndim != 2 or points.shape[1] < 2 or not len(points):
        raise ShapeError(f"plot.latent_space: codes are {points.shape}. Give [n, d], d at least 2.")
    points = points.astype("float64")
    if not np.isfinite(points).all():
        raise DomainError("plot.latent_space: a code is not finite. Look at what the encoder computes.")
    marks = np.zeros(len(points), "int64") if labels is None else labels_of("latent_space", "labels", labels)
    same_length("latent_space", codes=points, labels=marks)
    words = names_of("latent_space", names, int(marks.max()) + 1) if labels is not None else [""]
    axes_names = ("first number", "second number")
    if points.shape[1] > 2:
        centred = points - points.mean(axis=0)
        points = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
        points = np.pad(points, ((0, 0), (0, 2 - points.shape[1])))
        axes_names = ("first principal component", "second principal component")
    figure = new_figure("latent_space", 5.6, 4.6)
    axis = figure.subplots()
    for mark in np.unique(marks):
        chosen = points[marks == mark]
        axis.scatter(chosen[:, 0], chosen[:, 1], s=6, color=f"C{mark % 10}", label=words[mark])
    axis.set(xlabel=axes_names[0], ylabel=axes_names[1])
    if labels is not None:
        axis.legend(markerscale=2, fontsize=8)
    return finished("latent_space", figure, path)
