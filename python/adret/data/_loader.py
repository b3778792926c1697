"""Mini-batches.

Depends on `_source`, `_move` and `_prefetch`. Invariant: the state names epoch and batch as the consumer sees them, so
a loop that is taken up from it equals one that was never left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from .._core import DomainError, DTypeError, Generator, Tensor, random_integers, random_permutation
from .._core import eval as evaluate
from ..autograd import leaves_of
from . import _columns, _move, _source
from ._collate import default_collate
from ._dataset import columns_under, is_indexable
from ._prefetch import prefetched
from ._transform import Transform

# Each epoch draws from a place of its own in the seed's stream of random numbers, far from its neighbours'.
EPOCH_SHIFT = 40


class DataLoader:
    """Cuts data into batches, epoch by epoch.

    Arrays, and tuples and dicts of arrays, are cut along the first axis without a loop over samples. Other data gives
    samples, which are stacked.

    Args:
        data: Arrays, or a tuple or dict of them; a dataset (anything with a length that gives samples for numbers);
            or an iterable of samples.
        batch_size: Samples per batch; the last one of an epoch may be smaller.
        shuffle: Whether every epoch has a random order of its own.
        seed: Decides the orders, together with the number of the epoch. None draws one from `ad.random`.
        drop_last: Whether a smaller last batch is left out.
        prefetch: How many batches a thread makes in advance; 0 for no thread.
        collate: Makes a batch of a list of samples; None stacks them.
        transform: Changes the inputs of each batch: the first part where a batch is a tuple or a list, else the whole.
            A `Transform` draws by the loader's seed, the epoch and the batch; it is called in the thread if there is
            one.
        device: Where the batches shall be: every tensor and array of a batch is copied there, by the thread if there
            is one, so that copies and steps overlap; int64 becomes int32 on GPUs, as it is by default there. None
            leaves the batches where they are made. The batches made in advance lie in the device's memory.

    Raises:
        DTypeError: If `transform` cannot be called; while iterating, if the device does not have the dtype of a batch.
        DeviceError: If there is no such device.
        DomainError: If there are no samples, a number is out of range, or an iterable is to be shuffled.
        ShapeError: If arrays differ in length; while iterating, if samples differ in shape.
        OutOfRangeError: While iterating, if integers for a GPU do not fit into int32.

    Example:
        >>> loader = DataLoader((ad.arange(5), ad.ones(5)), batch_size=2)
        >>> [x.tolist() for x, y in loader]
        [[0, 1], [2, 3], [4]]
        >>> len(loader)
        3
    """

    def __init__(
        self,
        data: Any,
        batch_size: int = 32,
        shuffle: bool = False,
        seed: int | None = None,
        drop_last: bool = False,
        prefetch: int = 0,
        collate: Callable[[list[Any]], Any] | None = None,
        transform: Callable[[Any], Any] | None = None,
        device: str | None = None,
    ) -> None:
        """Takes the data, how it is cut, and where it goes."""
        if transform is not None and not callable(transform):
            raise DTypeError(
                f"DataLoader: transform is a {type(transform).__name__}. Pass a transform, or a function of a batch."
            )
        for name, number, least in (("batch_size", batch_size, 1), ("prefetch", prefetch, 0)):
            if not hasattr(number, "__index__"):
                raise DTypeError(f"DataLoader: {name} is {number!r}, a {type(number).__name__}. Use an int.")
            if number < least:
                raise DomainError(f"DataLoader: {name} is {number}. Use {least} or more.")
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.prefetch = prefetch
        self.device = None if device is None else _move.device_of("DataLoader", device)
        self._source = _source_of(data, collate, drop_last)
        if self._source.size == 0:
            raise DomainError("DataLoader: the data has no samples. Give at least one.")
        if shuffle and self._source.size is None:
            raise DomainError(
                f"DataLoader: a {type(data).__name__} is read as it comes and cannot be shuffled. "
                "Pass shuffle=False, or data with a length."
            )
        self._transform = transform
        if (shuffle or transform is not None) and seed is None:
            seed = int(random_integers((), 0, 1 << 31).item())
        self._seed = 0 if seed is None else seed
        self._epoch = 0
        self._batch = 0
        # Whether the state is where the next loop shall begin, rather than where the last one was left.
        self._fresh = True

    def __len__(self) -> int:
        """Number of batches of an epoch."""
        if self._source.size is None:
            raise TypeError("DataLoader: an iterable without a length gives an unknown number of batches.")
        whole, rest = divmod(self._source.size, self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        """The batches of the next epoch, or the rest of the one that a loaded state was in."""
        if not self._fresh:
            self._epoch += 1
            self._batch = 0
        self._fresh = False
        batches = self._batches(self._epoch, self._batch)
        if self.device is not None:
            batches = map(partial(_move.moved, "DataLoader", self.device), batches)
        if self.device is not None or self.prefetch:
            batches = map(_evaluated, batches)
        return self._counted(prefetched(batches, self.prefetch) if self.prefetch else batches)

    def _batches(self, epoch: int, start: int) -> Iterator[Any]:
        size = self._source.size
        stop = size - size % self.batch_size if size is not None and self.drop_last else size
        order: Tensor | None = None
        if self.shuffle and size is not None:
            generator = Generator(self._seed)
            generator.state = (self._seed, epoch << EPOCH_SHIFT)
            order = random_permutation(size, "cpu", generator)
            evaluate(order)
        batches = self._source.batches(order, self.batch_size, start, stop)
        if self._transform is None:
            return batches
        return (self._transformed(batch, (epoch, number)) for number, batch in enumerate(batches, start))

    def _transformed(self, batch: Any, place: tuple[int, int]) -> Any:
        """The batch with changed inputs; chance depends on its place alone, so that a loop can be taken up there."""
        transform = self._transform
        assert transform is not None
        kind: Any = batch.__class__
        is_several = isinstance(batch, tuple | list)
        parts: list[Any] = [*batch] if is_several else [batch]
        first = parts[0]
        parts[0] = (
            transform.drawn(first, (self._seed, *place)) if isinstance(transform, Transform) else transform(first)
        )
        if not is_several:
            return parts[0]
        make = getattr(kind, "_make", kind)
        return make(parts)

    def _counted(self, batches: Iterator[Any]) -> Iterator[Any]:
        epoch = self._epoch
        try:
            for batch in batches:
                if self._epoch == epoch:
                    self._batch += 1
                yield batch
        finally:
            close = getattr(batches, "close", None)
            if close is not None:
                close()
        if self._epoch == epoch:
            self._epoch, self._batch, self._fresh = epoch + 1, 0, True

    def state_dict(self) -> dict[str, int]:
        """Where the loop is: the seed, the number of the epoch, and how many of its batches were given out.

        Example:
            >>> loader = DataLoader(ad.arange(6), batch_size=2, shuffle=True, seed=1)
            >>> batches = iter(loader)
            >>> first, state = next(batches), loader.state_dict()
            >>> rest = [batch.tolist() for batch in batches]
            >>> loader.load_state_dict(state)
            >>> [batch.tolist() for batch in loader] == rest
            True
        """
        return {"seed": self._seed, "epoch": self._epoch, "batch": self._batch}

    def load_state_dict(self, state_dict: Mapping[str, int]) -> None:
        """Goes where another loader of the same data was; the next loop begins there.

        Raises:
            DomainError: If the state is not one of a loader.
        """
        wrong = [name for name in ("seed", "epoch", "batch") if not isinstance(state_dict.get(name), int)]
        if wrong:
            raise DomainError(f"load_state_dict: the state has no number {', '.join(wrong)}. Pass a loader's state.")
        self._seed, self._epoch, self._batch = (state_dict[name] for name in ("seed", "epoch", "batch"))
        self._fresh = True


def _evaluated(batch: Any) -> Any:
    """The batch, computed: by the thread if there is one, and apart from the step that uses it."""
    evaluate(*(leaf for leaf in leaves_of(batch) if isinstance(leaf, Tensor)))
    return batch


def _source_of(data: Any, collate: Callable[[list[Any]], Any] | None, drop_last: bool) -> _source.Source:
    if collate is None:
        below = columns_under(data)
        if below is not None:
            columns, rows = below
            return _source.ColumnSource(_columns.columns_of("DataLoader", columns), rows)
    make = default_collate if collate is None else collate
    if _columns.is_columns(data):
        return _source.SampleSource(_columns.columns_of("DataLoader", data), make)
    if is_indexable(data):
        return _source.SampleSource(data, make)
    if isinstance(data, Iterable):
        return _source.StreamSource(data, make, drop_last)  # pyright: ignore[reportUnknownArgumentType]
    raise DTypeError(
        f"DataLoader: a {type(data).__name__} gives no samples. "
        "Pass arrays, an object with __len__ and __getitem__, or an iterable."
    )
