"""Writing events: scalars, histograms, pictures, and the graph of a network.

Depends on `_records`, `_messages`, `_png` and `_graph`. Invariant: every event is written as a whole, in one call
to the file, so that TensorBoard may look while the training goes on.
"""

from __future__ import annotations

import itertools
import os
import socket
import time
from pathlib import Path
from typing import Any, Self

from .._core import DomainError, DTypeError, ShapeError, Tensor, bfloat16, float32
from ..nn import Module
from ._graph import graph_of
from ._messages import message, packed, single
from ._png import encoded
from ._records import record

_numbers = itertools.count()


class SummaryWriter:
    """Writes an event file, which `tensorboard --logdir FOLDER` shows while it grows.

    Names with slashes are groups: "loss/train" and "loss/validation" stand together. It closes as a context manager.

    Args:
        log_dir: The folder; it is made where it is missing. Runs to compare go to folders of their own, side by side.

    Raises:
        OSError: If the file cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with SummaryWriter(folder) as writer:
        ...         for step in range(3):
        ...             writer.add_scalar("loss", 1.0 / (step + 1), step)
        ...     [(event.step, round(event.value, 2)) for event in ad.tensorboard.read_events(folder)]
        [(0, 1.0), (1, 0.5), (2, 0.33)]
    """

    def __init__(self, log_dir: str | os.PathLike[str]) -> None:
        """Makes the file."""
        self.log_dir = Path(log_dir)
        self.log_dir.mkdir(parents=True, exist_ok=True)
        host = "".join(letter for letter in socket.gethostname() if letter.isalnum() or letter in "-_.") or "host"
        name = f"events.out.tfevents.{int(time.time()):010}.{host}.{os.getpid()}.{next(_numbers)}"
        self.path = self.log_dir / name
        self._file: Any = self.path.open("xb")
        self._write((3, "brain.Event:2"))

    def _write(self, what: tuple[int, bytes | str], step: int | None = None, name: str = "add") -> None:
        if self._file is None:
            raise DomainError(f"{name}: the writer is closed. Make a new one.")
        if step is not None and not 0 <= step < 1 << 63:
            raise DomainError(f"{name}: global_step is {step}. Use 0 or more.")
        parts = [(1, time.time()), *([(2, int(step))] if step else []), what]
        self._file.write(record(message(*parts)))
        self._file.flush()

    def _add(self, name: str, tag: str, value: bytes, step: int) -> None:
        if not isinstance(tag, str) or not tag:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise DTypeError(f"{name}: tag is {tag!r}. Use a text.")
        self._write((5, message((1, message((1, tag)) + value))), step, name)

    def add_scalar(self, tag: str, scalar_value: Any, global_step: int = 0) -> None:
        """Writes a number.

        Args:
            tag: The name of the curve.
            scalar_value: A number, or a tensor with one element.
            global_step: Where it stands in the curve.

        Raises:
            ShapeError: If there is more than one element.
        """
        array = _array("add_scalar", "scalar_value", scalar_value)
        if array.size != 1:
            raise ShapeError(f"add_scalar: scalar_value is {array.shape}. Give one number.")
        self._add("add_scalar", tag, single(2, float(array.reshape(()))), global_step)

    def add_scalars(self, main_tag: str, tag_scalar_dict: dict[str, Any], global_step: int = 0) -> None:
        """Writes several numbers as a group.

        Args:
            main_tag: The name of the group.
            tag_scalar_dict: Numbers by their names.
            global_step: Where they stand in their curves.
        """
        for tag, value in tag_scalar_dict.items():
            self.add_scalar(f"{main_tag}/{tag}", value, global_step)

    def add_histogram(self, tag: str, values: Any, global_step: int = 0, bins: int = 30) -> None:
        """Writes how values are distributed.

        Args:
            tag: The name.
            values: Numbers of any shape; those that are not finite are left out.
            global_step: Which slice of the picture it is.
            bins: How many intervals of equal width.

        Raises:
            DomainError: If `bins` is less than 1, or no value is finite.
        """
        import numpy as np

        if bins < 1:
            raise DomainError(f"add_histogram: bins is {bins}. Use 1 or more.")
        array = _array("add_histogram", "values", values).astype(np.float64).ravel()
        array = array[np.isfinite(array)]
        if not array.size:
            raise DomainError("add_histogram: no value is finite. Give at least one.")
        low, high = float(array.min()), float(array.max())
        # Edges that differ, however alike the values are.
        slack = max(abs(low), abs(high), 1e-30) * 1e-9 if low == high else 0.0
        counts, edges = np.histogram(array, bins, (low - slack, high + slack))
        whole = message(
            *((1, low), (2, high), (3, float(array.size)), (4, float(array.sum())), (5, float((array**2).sum()))),
            # The first limit is where the first interval begins: nothing lies below.
            *((6, packed(edges.tolist())), (7, packed([0.0, *counts.tolist()]))),
        )
        self._add("add_histogram", tag, message((5, whole)), global_step)

    def add_image(self, tag: str, img_tensor: Any, global_step: int = 0, dataformats: str = "CHW") -> None:
        """Writes a picture.

        Args:
            tag: The name.
            img_tensor: Bytes 0 to 255, or floating-point numbers 0 to 1; others are cut off.
            global_step: Which of the pictures of that name it is.
            dataformats: The axes: "CHW", "HWC" or "HW", with 1, 3 or 4 channels.

        Raises:
            ShapeError: If these are not the picture's axes.
            DomainError: If `dataformats` is none of them.
        """
        import numpy as np

        array = _array("add_image", "img_tensor", img_tensor)
        if dataformats not in ("CHW", "HWC", "HW"):
            raise DomainError(f"add_image: dataformats is {dataformats!r}. Use 'CHW', 'HWC' or 'HW'.")
        if array.ndim == len(dataformats):
            array = array[..., None] if dataformats == "HW" else array
            array = array.transpose(1, 2, 0) if dataformats == "CHW" else array
        if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
            raise ShapeError(
                f"add_image: img_tensor is {_array('add_image', 'img_tensor', img_tensor).shape} and dataformats "
                f"{dataformats!r}. Give axes in that order, and 1, 3 or 4 channels."
            )
        if array.dtype.kind == "f":
            array = np.rint(np.clip(np.nan_to_num(array), 0, 1) * 255)
        picture = np.clip(array, 0, 255).astype(np.uint8)
        height, width, channels = picture.shape
        whole = message((1, height), (2, width), (3, channels), (4, encoded(np.ascontiguousarray(picture))))
        self._add("add_image", tag, message((4, whole)), global_step)

    def add_graph(self, model: Module, input_to_model: Any) -> None:
        """Writes the layers of a network, in the order of their calls, with the shapes between them.

        Args:
            model: The network; it is run once in evaluation mode, and left as it was.
            input_to_model: An input, or a tuple of several.
        """
        self._write((4, graph_of(model, input_to_model)), None, "add_graph")

    def flush(self) -> None:
        """Nothing: every event is handed to the system when it is added."""

    def close(self) -> None:
        """Closes the file; it may be closed twice."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        """The writer."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the file."""
        self.close()


def _array(name: str, what: str, values: Any) -> Any:
    import numpy as np

    if isinstance(values, Tensor):
        plain = values.detach()
        return (plain.astype(float32) if plain.dtype == bfloat16 else plain).to(device="cpu").numpy()
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"{name}: {what} has elements {array.dtype}. Give numbers.")
    return array
