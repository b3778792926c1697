"""Reading events back: what was written, in order.

Depends on `_records`, `_messages` and `_png`. Invariant: a damaged file is an error, not a shorter list; only an event
that is still being written at its end is left out.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from .._core import DomainError, FileFormatError
from ._messages import Value, fields, unpacked
from ._png import decoded
from ._records import records


class Histogram(NamedTuple):
    """How values were distributed.

    Args:
        low: The least value.
        high: The greatest.
        samples: How many there were.
        total: Their sum.
        squares: The sum of their squares.
        edges: Where the intervals begin and end, one more than there are intervals.
        counts: How many values each interval has.

    Example:
        >>> Histogram(0.0, 1.0, 3, 2.0, 2.0, [0.0, 0.5, 1.0], [1, 2]).counts
        [1, 2]
    """

    low: float
    """The least value."""
    high: float
    """The greatest."""
    samples: int
    """How many there were."""
    total: float
    """Their sum."""
    squares: float
    """The sum of their squares."""
    edges: list[float]
    """Where the intervals begin and end."""
    counts: list[int]
    """How many values each interval has."""


class Event(NamedTuple):
    """One thing that was written.

    Args:
        kind: "scalar", "histogram", "image" or "graph".
        tag: Its name; "" for a graph.
        step: Where it stands.
        wall_time: When it was written, in seconds since 1970.
        value: A number, a `Histogram`, a picture `[height, width, channels]` of bytes, or the graph: for each node its
            name, its kind, the names of its inputs, and the shapes of its outputs.

    Example:
        >>> Event("scalar", "loss", 3, 0.0, 0.5).value
        0.5
    """

    kind: str
    """"scalar", "histogram", "image" or "graph"."""
    tag: str
    """Its name."""
    step: int
    """Where it stands."""
    wall_time: float
    """When it was written, in seconds since 1970."""
    value: Any
    """What was written."""


def read_events(path: str | os.PathLike[str]) -> list[Event]:
    """Reads an event file, or all those of a folder.

    Args:
        path: The file, or the folder of a `SummaryWriter`.

    Raises:
        FileNotFoundError: If there is no such file, or none in the folder.
        FileFormatError: If a file is damaged; says at which byte.

    Example:
        >>> import tempfile
        >>> from adret.tensorboard import SummaryWriter
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with SummaryWriter(folder) as writer:
        ...         writer.add_histogram("weights", ad.arange(10), bins=2)
        ...     [event.value.counts for event in read_events(folder)]
        [[5, 5]]
    """
    place = Path(path)
    files = sorted(place.glob("*tfevents*")) if place.is_dir() else [place]
    if not files:
        raise FileNotFoundError(f"read_events: {place} has no event file. Give the folder of a SummaryWriter.")
    found: list[Event] = []
    for file in files:
        for offset, data in records(file):
            try:
                found += _events(data)
            except (ValueError, TypeError, DomainError, OverflowError, RecursionError) as error:
                reason = f"the event cannot be read: {error}"
                raise FileFormatError(f"read_events: {file}: byte {offset}: {reason}. Write the file again.") from None
    return found


def _last(data: bytes) -> dict[int, Value]:
    """The last value of each field."""
    return dict(fields(data))


def _bytes(value: Value | None) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a field of another kind than it must be")
    return value


def _events(data: bytes) -> list[Event]:
    event = _last(data)
    step, written = int(event.get(2, 0)), float(event.get(1, 0.0))
    if 4 in event:
        return [Event("graph", "", step, written, _graph(_bytes(event[4])))]
    found: list[Event] = []
    for number, value in fields(_bytes(event.get(5, b""))):
        if number != 1:
            continue
        part = _last(_bytes(value))
        tag = _bytes(part.get(1, b"")).decode()
        if 2 in part:
            found.append(Event("scalar", tag, step, written, float(part[2])))
        elif 4 in part:
            found.append(Event("image", tag, step, written, decoded(_bytes(_last(_bytes(part[4])).get(4)))))
        elif 5 in part:
            found.append(Event("histogram", tag, step, written, _histogram(_bytes(part[5]))))
    return found


def _histogram(data: bytes) -> Histogram:
    part = _last(data)
    low, high, count, total, squares = (float(part.get(number, 0.0)) for number in range(1, 6))
    edges, counts = unpacked(_bytes(part.get(6, b""))), unpacked(_bytes(part.get(7, b"")))
    return Histogram(low, high, int(count), total, squares, edges, [int(value) for value in counts[1:]])


def _graph(data: bytes) -> list[tuple[str, str, list[str], list[tuple[int, ...]]]]:
    nodes: list[tuple[str, str, list[str], list[tuple[int, ...]]]] = []
    for number, value in fields(data):
        if number != 1:
            continue
        node = list(fields(_bytes(value)))
        texts = {field: _bytes(text).decode() for field, text in node if field in (1, 2)}
        sources = [_bytes(text).decode() for field, text in node if field == 3]
        shapes: list[tuple[int, ...]] = []
        for field, entry in node:
            if field == 5:
                listed = _bytes(_last(_bytes(_last(_bytes(entry)).get(2))).get(1, b""))
                shapes += [_shape(_bytes(shape)) for key, shape in fields(listed) if key == 7]
        nodes.append((texts.get(1, ""), texts.get(2, ""), sources, shapes))
    return nodes


def _shape(data: bytes) -> tuple[int, ...]:
    return tuple(int(_last(_bytes(size)).get(1, 0)) for number, size in fields(data) if number == 2)
