"""Pictures side by side: data, samples of a generator, mistakes of a classifier.

Depends on `_figure`. Invariant: all pictures of a figure have one scale of values, so that they can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt
from typing import Any

from .._core import DomainError, ShapeError
from ._figure import Path, array_of, finished, labels_of, names_of, new_figure, pictures_of, same_length, show, span


def image_grid(
    images: Any,
    columns: int | None = None,
    titles: Sequence[Any] | None = None,
    cmap: str = "gray",
    path: Path | None = None,
) -> Any:
    """Draws pictures in rows and columns.

    Args:
        images: `[n, height, width]`, or `[n, channels, height, width]` with one channel, or three or four of colour;
            tensors or arrays.
        columns: How many stand side by side; None makes the whole nearly square.
        titles: What stands above them, such as labels.
        cmap: matplotlib's name of a scale of colours for pictures of one channel.
        path: Where to write the figure; the suffix says the format.

    Returns:
        The figure, of matplotlib.

    Raises:
        ShapeError: If these are no pictures.
        DomainError: If titles are fewer than pictures, there are too many pictures, or `columns` is less than 1.
        ImportError: If matplotlib is missing.

    Example:
        >>> import matplotlib.figure
        >>> isinstance(image_grid(ad.random.uniform((6, 8, 8)), columns=3), matplotlib.figure.Figure)
        True
    """
    pictures = pictures_of("image_grid", images)
    if titles is not None and len(titles) < len(pictures):
        raise DomainError(
            f"plot.image_grid: there are {len(titles)} titles and {len(pictures)} pictures. Give one title per picture."
        )
    figure = grid("image_grid", pictures, columns, titles, cmap)
    return finished("image_grid", figure, path)


def grid(
    name: str,
    pictures: Any,
    columns: int | None = None,
    titles: Sequence[Any] | None = None,
    cmap: str = "gray",
    limits: tuple[float, float] | None = None,
) -> Any:
    """A figure with checked pictures, at most one title each."""
    count = len(pictures)
    columns = ceil(sqrt(count)) if columns is None else columns
    if columns < 1:
        raise DomainError(f"plot.{name}: columns is {columns}. Use 1 or more.")
    columns = min(columns, count)
    rows = ceil(count / columns)
    size = 1.0 if titles is None else 1.4
    figure = new_figure(name, max(2.0, size * columns), max(1.6, size * rows))
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    low, high = span(pictures) if limits is None else limits
    for number, axis in enumerate(axes):
        if number >= count:
            axis.set_axis_off()
            continue
        show(axis, pictures[number], low, high, cmap)
        if titles is not None:
            axis.set_title(str(titles[number]), fontsize=8)
    return figure


def misclassified(
    images: Any,
    labels: Any,
    predictions: Any,
    names: Sequence[str] | None = None,
    count: int = 25,
    path: Path | None = None,
) -> Any:
    """Draws the pictures that a classifier got wrong, each with what it is and what it was taken for.

    Args:
        images: `[n, height, width]` or `[n, channels, height, width]`.
        labels: `[n]`, the right ones.
        predictions: `[n]`, labels; or scores `[n, classes]`: then the worst mistakes come first, those where the score
            of the wrong class is farthest above that of the right one.
        names: Of the classes; numbers for None.
        count: How many are drawn at most.
        path: Where to write the figure; the suffix says the format.

    Returns:
        The figure, of matplotlib; it says so where nothing is wrong.

    Raises:
        ShapeError: If the numbers of pictures, labels and predictions differ, or these are no pictures.
        DTypeError: If labels are no integers.
        DomainError: If a label is out of range, `count` is less than 1, or names are too few.
        ImportError: If matplotlib is missing.

    Example:
        >>> figure = misclassified(ad.zeros((3, 8, 8)), [0, 1, 2], [0, 2, 2], names=["ant", "bee", "cat"])
        >>> figure.axes[0].get_title()
        'bee, not cat'
    """
    import numpy as np

    if count < 1:
        raise DomainError(f"plot.misclassified: count is {count}. Use 1 or more.")
    array = array_of("misclassified", "images", images)
    if array.ndim < 3:
        raise ShapeError(
            f"plot.misclassified: the images are {array.shape}. Give [n, height, width], or with channels."
        )
    scores = array_of("misclassified", "predictions", predictions)
    right, taken = labels_of("misclassified", "labels", labels), labels_of("misclassified", "predictions", predictions)
    same_length("misclassified", images=array, labels=right, predictions=taken)
    words = names_of("misclassified", names, int(max(right.max(), taken.max())) + 1)
    wrong = np.flatnonzero(right != taken)
    if scores.ndim == 2:
        if right.max() >= scores.shape[1]:
            raise DomainError(
                f"plot.misclassified: a label is {right.max()} and there are scores of {scores.shape[1]} classes. "
                "Give scores of every class."
            )
        rows = np.arange(len(scores))
        wrong = wrong[np.argsort((scores[rows, right] - scores[rows, taken])[wrong], kind="stable")]
    if not len(wrong):
        figure = new_figure("misclassified", 4.0, 1.6)
        axis = figure.subplots()
        axis.set_axis_off()
        axis.set_title(f"none of {len(right)} is wrong")
        return finished("misclassified", figure, path)
    chosen = wrong[:count]
    titles = [f"{words[right[row]]}, not {words[taken[row]]}" for row in chosen]
    figure = grid("misclassified", pictures_of("misclassified", array[chosen]), titles=titles)
    figure.suptitle(f"{len(wrong)} of {len(right)} are wrong", fontsize=9)
    return finished("misclassified", figure, path)
