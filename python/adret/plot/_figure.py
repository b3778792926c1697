"""Figures and arrays: what all pictures have in common.

Depends on the core; matplotlib and NumPy are loaded when asked for. Invariant: values are checked before anything is
drawn, so that an error leaves no half a picture behind.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Sequence
from os import PathLike
from typing import Any

from .._core import DomainError, DTypeError, ShapeError, Tensor, bfloat16, float32

Path = str | PathLike[str]
# More pictures than that are a mistake, and take minutes.
MOST = 400


def new_figure(name: str, width: float, height: float) -> Any:
    """An empty figure of that size in inches, which notebooks show.

    Raises:
        ImportError: If matplotlib is missing.
    """
    try:
        # By name: a type checker need not have matplotlib either.
        library: Any = importlib.import_module("matplotlib.figure")
    except ImportError as error:
        raise ImportError(f"plot.{name}: matplotlib is missing. Install it with `pip install matplotlib`.") from error
    figure: Any = library.Figure(figsize=(width, height), layout="constrained")

    def png() -> bytes:
        content = io.BytesIO()
        figure.savefig(content, format="png")
        return content.getvalue()

    figure._repr_png_ = png
    return figure


def finished(name: str, figure: Any, path: Path | None) -> Any:
    """The figure, written where it shall be.

    Raises:
        DomainError: If the path's suffix is no format of pictures.
        OSError: If the system refuses.
    """
    if path is not None:
        known = sorted(figure.canvas.get_supported_filetypes())
        suffix = str(path).rpartition(".")[2].lower()
        if suffix not in known:
            raise DomainError(f"plot.{name}: path is {path}. End it in one of .{', .'.join(known)}.")
        figure.savefig(path, dpi=120)
    return figure


def array_of(name: str, what: str, values: Any) -> Any:
    """A tensor, an array or a list as an array of NumPy.

    Raises:
        DTypeError: If its elements are no real numbers.
    """
    import numpy as np

    if isinstance(values, Tensor):
        plain = values.detach()
        array = (plain.astype(float32) if plain.dtype == bfloat16 else plain).to(device="cpu").numpy()
    else:
        array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"plot.{name}: {what} has elements {array.dtype}. Give numbers.")
    return array.astype(np.float32) if array.dtype == np.float16 else array


def labels_of(name: str, what: str, values: Any) -> Any:
    """Labels `[n]` as integers from 0 on; scores `[n, classes]` become the label of the largest.

    Raises:
        ShapeError: If the rank is another, or there are none.
        DTypeError: If labels are no integers.
        DomainError: If a label is negative, or larger than any number of classes that can be drawn.
    """
    array = array_of(name, what, values)
    if array.ndim == 2 and array.shape[1] > 0:
        array = array.argmax(axis=1)
    if array.ndim != 1 or not len(array):
        raise ShapeError(
            f"plot.{name}: {what} is {array.shape}. Give labels [n], n at least 1, or scores [n, classes]."
        )
    if array.dtype.kind == "f" and (array == array.round()).all():
        array = array.astype("int64")
    if array.dtype.kind == "f":
        raise DTypeError(f"plot.{name}: {what} has values between integers. Give labels, or scores [n, classes].")
    array = array.astype("int64")
    if array.min() < 0 or array.max() >= 1000:
        worst = array.min() if array.min() < 0 else array.max()
        raise DomainError(f"plot.{name}: {what} has the label {worst}. Use labels from 0 to 999.")
    return array


def same_length(name: str, **arrays: Any) -> None:
    """Nothing, if the arrays are equally long.

    Raises:
        ShapeError: If they are not.
    """
    lengths = {what: len(array) for what, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{what} {length}" for what, length in lengths.items())
        raise ShapeError(f"plot.{name}: the numbers of samples differ: {told}. Give one entry per sample to each.")


def names_of(name: str, names: Sequence[str] | None, classes: int) -> list[str]:
    """A name for every class; numbers where none are given.

    Raises:
        DomainError: If there are fewer names than classes.
    """
    if names is None:
        return [str(label) for label in range(classes)]
    if len(names) < classes:
        raise DomainError(f"plot.{name}: there are {len(names)} names and {classes} classes. Give one name per class.")
    return [str(entry) for entry in names]


def pictures_of(name: str, values: Any) -> Any:
    """Pictures `[n, height, width]` of grey values, or `[n, height, width, 3 or 4]` of colours, for matplotlib.

    Raises:
        ShapeError: If these are no pictures.
        DomainError: If there are too many.
    """
    array = array_of(name, "images", values)
    if array.ndim == 2:
        array = array[None]
    if array.ndim == 4 and array.shape[1] in (1, 3, 4):
        array = array[:, 0] if array.shape[1] == 1 else array.transpose(0, 2, 3, 1)
    elif array.ndim != 3:
        raise ShapeError(
            f"plot.{name}: the images are {array.shape}. "
            "Give [n, height, width], or [n, channels, height, width] with 1, 3 or 4 channels."
        )
    if 0 in array.shape:
        raise ShapeError(f"plot.{name}: the images are {array.shape}. Give at least one picture with elements.")
    if len(array) > MOST:
        raise DomainError(f"plot.{name}: there are {len(array)} pictures. Give {MOST} at most, such as images[:64].")
    return array


def show(axis: Any, picture: Any, low: float, high: float, colours: str = "gray") -> None:
    """Draws one picture, with values from `low` to `high`, without ticks."""
    axis.set_axis_off()
    if picture.ndim == 2:
        axis.imshow(picture, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
        return
    if picture.dtype.kind != "u" and (low < 0 or high > 1):
        picture = (picture - low) / max(high - low, 1e-12)
    axis.imshow(picture, interpolation="nearest")


def span(array: Any) -> tuple[float, float]:
    """The least and the greatest finite value; 0 and 1 where there are none."""
    import numpy as np

    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
