"""Where a loader's batches come from: columns, numbered samples, or a stream of samples.

Depends on `_columns`, `_dataset` and `_collate`. Invariant: with an order given, batch k depends on the data, the order
and k alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol, cast

from .._core import Tensor, take
from .._core import eval as evaluate
from ..autograd import leaves_of, rebuilt
from ._columns import Columns, length_of, rows_of
from ._dataset import sample_of, size_of

# Shuffled rows are gathered for several batches at once, of which each batch is then a slice: one gather of this
# many bytes costs less than a gather per batch, and bounds the copy of data that is larger.
BLOCK_BYTES = 8 << 20


class Source(Protocol):
    """Gives batches of samples."""

    size: int | None
    """Number of samples, where it is known."""

    def batches(self, order: Tensor | None, batch_size: int, start: int, stop: int | None) -> Iterator[Any]:
        """The batches from number `start` on, of the samples before `stop` in the given order."""
        ...


class ColumnSource:
    """Rows of columns: slices where the order is the data's own, else slices of gathered blocks.

    Args:
        columns: A tree of tensors of one length.
        rows: The rows that count, in their order; all for None.
    """

    def __init__(self, columns: Columns, rows: Tensor | None) -> None:
        """Takes columns and rows."""
        self._columns: Any = columns
        self._leaves: list[Tensor] = leaves_of(columns)
        # The usual (x, y) needs no walk through a tree.
        self._is_flat = type(columns) is tuple and len(self._leaves) == len(cast("tuple[Any, ...]", columns))
        self._rows = rows
        self.size: int | None = length_of(columns) if rows is None else len(rows)

    def batches(self, order: Tensor | None, batch_size: int, start: int, stop: int | None) -> Iterator[Any]:
        """Slices of the columns, or of blocks of their rows."""
        assert stop is not None
        first = start * batch_size
        if self._rows is not None:
            order = self._rows if order is None else take(self._rows, order)
        if order is None:
            yield from self._slices(self._leaves, batch_size, first, stop)
            return
        row_bytes = sum(leaf.nbytes // max(len(leaf), 1) for leaf in self._leaves)
        block = batch_size * max(1, BLOCK_BYTES // max(1, row_bytes * batch_size))
        for begin in range(first, stop, block):
            rows = order[begin : min(begin + block, stop)]
            gathered = [rows_of(leaf, rows) for leaf in self._leaves]
            evaluate(*gathered)
            yield from self._slices(gathered, batch_size, 0, len(rows))

    def _slices(self, leaves: Sequence[Tensor], size: int, first: int, stop: int) -> Iterator[Any]:
        starts = range(first, stop, size)
        if self._is_flat:
            for begin in starts:
                rows = slice(begin, min(begin + size, stop))
                yield tuple([leaf[rows] for leaf in leaves])
        else:
            for begin in starts:
                rows = slice(begin, min(begin + size, stop))
                yield rebuilt(self._columns, [leaf[rows] for leaf in leaves])


class SampleSource:
    """Samples by number, put together by `collate`."""

    def __init__(self, dataset: Any, collate: Callable[[list[Any]], Any]) -> None:
        """Takes the dataset and the function that makes a batch."""
        self._dataset = dataset
        self._collate = collate
        self.size: int | None = size_of(dataset)

    def batches(self, order: Tensor | None, batch_size: int, start: int, stop: int | None) -> Iterator[Any]:
        """Batches of the samples that the order names."""
        assert stop is not None
        numbers: Sequence[int] = range(stop) if order is None else order.tolist()
        for begin in range(start * batch_size, stop, batch_size):
            chosen = numbers[begin : min(begin + batch_size, stop)]
            yield self._collate([sample_of(self._dataset, number) for number in chosen])


class StreamSource:
    """Samples of an iterable as they come, put together by `collate`."""

    def __init__(self, samples: Iterable[Any], collate: Callable[[list[Any]], Any], drop_last: bool) -> None:
        """Takes the iterable and the function that makes a batch."""
        self._samples = samples
        self._collate = collate
        self._drop_last = drop_last
        self.size: int | None = None

    def batches(self, order: Tensor | None, batch_size: int, start: int, stop: int | None) -> Iterator[Any]:
        """Batches in the stream's order."""
        samples = islice(iter(self._samples), start * batch_size, None)
        while chosen := list(islice(samples, batch_size)):
            if len(chosen) < batch_size and self._drop_last:
                return
            yield self._collate(chosen)
