"""Sequences of different lengths in one tensor: padded, or packed without the padding.

Depends on the core only. Invariant: a packed sequence holds the steps in the order of time, and in each step the
sequences that have it, longest first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, cast

from ... import _core
from ..._core import DomainError, DType, DTypeError, ShapeError, Tensor, asarray, is_recording

__all__ = [
    "PackedSequence",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence(NamedTuple):
    """Sequences of different lengths without padding, as `pack_padded_sequence` makes them.

    Layers read the numbers in `batch_sizes`, which a compiled function cannot; give them `lengths` there.

    Args:
        data: The steps of all sequences, `[steps of all, ...]`.
        batch_sizes: How many sequences have each step, int64 `[longest]`.
        sorted_indices: The place in the batch of the longest sequence, of the next, and so on; None for that order.
        unsorted_indices: Undoes `sorted_indices`.

    Example:
        >>> pack_sequence([ad.tensor([1.0, 2.0]), ad.tensor([3.0])]).data.tolist()
        [1.0, 3.0, 2.0]
    """

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None


def _index_dtype(device: str) -> DType:
    """The integers that every device of the kind takes."""
    return _core.int64 if device == "cpu" else _core.int32


def _integers(values: Sequence[int], device: str) -> Tensor:
    """A vector of integers; of constants where a recording refuses data of Python's."""
    dtype = _index_dtype(device)
    if is_recording():
        return _core.stack([_core.full((), value, dtype=dtype, device=device) for value in values])
    return asarray(list(values), dtype=dtype, device=device)


def _numbers(name: str, lengths: Any, batch: int, least: int, most: int) -> list[int]:
    """Lengths as Python numbers, checked."""
    if isinstance(lengths, Tensor) and lengths.dtype.is_floating_point:
        raise DTypeError(f"{name}: lengths are {lengths.dtype}. Use integers.")
    given: Any = lengths.tolist() if hasattr(lengths, "tolist") else list(lengths)
    values: list[Any] = cast("list[Any]", given) if isinstance(given, list) else [given]
    if not all(isinstance(value, int) for value in values):
        raise DTypeError(f"{name}: lengths are {values}. Use one integer for each sequence.")
    if len(values) != batch:
        raise ShapeError(f"{name}: there are {len(values)} lengths for {batch} sequences. Give one for each.")
    wrong = [value for value in values if not least <= value <= most]
    if wrong:
        raise DomainError(f"{name}: lengths {wrong} for sequences of {most} steps. Use {least} to {most}.")
    return values


def sizes_of(name: str, lengths: Tensor | Sequence[int], batch: int, time: int, device: str) -> Tensor:
    """Lengths as a vector `[batch]`; those of a tensor are checked unless a recording must not see them."""
    if not isinstance(lengths, Tensor):
        return _integers(_numbers(name, lengths, batch, 0, time), device)
    if lengths.dtype.is_floating_point or lengths.dtype == _core.bool:
        raise DTypeError(f"{name}: lengths are {lengths.dtype}. Use integers.")
    if lengths.shape != (batch,):
        raise ShapeError(f"{name}: lengths are {lengths.shape} for {batch} sequences. Use ({batch},).")
    if not is_recording():
        _numbers(name, lengths, batch, 0, time)
    return lengths.astype(_index_dtype(device)).to(device)


def _filler(value: float, like: Tensor) -> float:
    """A padding value as a number of the tensor's kind."""
    return value if like.dtype.is_floating_point else int(value)


def _packed_rows(padded: Tensor, sizes: Sequence[int]) -> Tensor:
    """The first `sizes[t]` rows of every step of `[time, batch, ...]`, below each other."""
    return _core.concat([padded[step, :size] for step, size in enumerate(sizes)])


def pack_like(padded: Tensor, packed: PackedSequence) -> PackedSequence:
    """`[time, batch, ...]`, in the packed sequence's own order, packed as it is."""
    return packed._replace(data=_packed_rows(padded, packed.batch_sizes.tolist()))


def pack_padded_sequence(
    input: Tensor, lengths: Tensor | Sequence[int], batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Leaves the padding out of a batch of sequences.

    Args:
        input: `[time, batch, ...]`, or `[batch, time, ...]` with `batch_first`.
        lengths: How many steps each sequence has.
        batch_first: Whether the batch is the input's first axis.
        enforce_sorted: Whether the lengths must fall; otherwise sequences are brought into that order.

    Raises:
        ShapeError: If there is not one length per sequence.
        DomainError: If a length is 0 or exceeds the input's steps, or lengths rise and `enforce_sorted`.

    Example:
        >>> packed = pack_padded_sequence(ad.tensor([[1.0, 3.0], [2.0, 0.0]]), [2, 1])
        >>> packed.data.tolist(), packed.batch_sizes.tolist()
        ([1.0, 3.0, 2.0], [2, 1])
    """
    if not isinstance(input, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise DTypeError(f"pack_padded_sequence: the input is {input!r}. Use a tensor [time, batch, ...].")
    if input.ndim < 2:
        raise ShapeError(f"pack_padded_sequence: the input is {input.shape}. Use [time, batch, ...].")
    x = _core.moveaxis(input, 0, 1) if batch_first else input
    time, batch = x.shape[:2]
    values = _numbers("pack_padded_sequence", lengths, batch, 1, time)
    if not values:
        raise ShapeError(f"pack_padded_sequence: the input is {input.shape}, without a sequence. Give one or more.")
    forth = back = None
    if enforce_sorted:
        if any(after > before for before, after in pairwise(values)):
            raise DomainError(
                f"pack_padded_sequence: lengths {values} rise. Sort the batch by falling length, or pass "
                "enforce_sorted=False."
            )
    else:
        order = sorted(range(batch), key=lambda place: -values[place])
        forth = _integers(order, x.device)
        back = _integers(sorted(range(batch), key=order.__getitem__), x.device)
        x = _core.take(x, forth, axis=1)
    sizes = [sum(value > step for value in values) for step in range(max(values))]
    return PackedSequence(_packed_rows(x, sizes), _integers(sizes, "cpu"), forth, back)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Puts the padding back: the inverse of `pack_padded_sequence`.

    Args:
        sequence: The packed sequences.
        batch_first: Whether the batch is to be the first axis.
        padding_value: What stands behind a sequence's end.
        total_length: How many steps the result has; those of the longest sequence for None.

    Returns:
        The padded sequences, `[time, batch, ...]`, and their lengths, int64 `[batch]`.

    Raises:
        DomainError: If `total_length` is less than the longest sequence's.

    Example:
        >>> padded, lengths = pad_packed_sequence(pack_sequence([ad.tensor([1.0, 2.0]), ad.tensor([3.0])]))
        >>> padded.tolist(), lengths.tolist()
        ([[1.0, 3.0], [2.0, 0.0]], [2, 1])
    """
    if not isinstance(sequence, PackedSequence):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise DTypeError(f"pad_packed_sequence: the sequence is {sequence!r}. Pass what pack_padded_sequence gave.")
    sizes: list[int] = sequence.batch_sizes.tolist()
    batch = sizes[0]
    if total_length is not None and total_length < len(sizes):
        raise DomainError(
            f"pad_packed_sequence: total_length is {total_length} and the longest sequence has {len(sizes)} steps. "
            "Use that many or more."
        )
    data = sequence.data
    beside = [(0, 0)] * (data.ndim - 1)
    steps: list[Tensor] = []
    first = 0
    for size in sizes:
        steps.append(_core.pad(data[first : first + size], [(0, batch - size), *beside], _filler(padding_value, data)))
        first += size
    padded = _core.stack(steps)
    if total_length is not None:
        padded = _core.pad(padded, [(0, total_length - len(sizes)), (0, 0), *beside], _filler(padding_value, data))
    lengths = _integers([sum(size > place for size in sizes) for place in range(batch)], "cpu")
    if sequence.unsorted_indices is not None:
        padded = _core.take(padded, sequence.unsorted_indices, axis=1)
        lengths = _core.take(lengths, sequence.unsorted_indices.to("cpu"))
    return _core.moveaxis(padded, 0, 1) if batch_first else padded, lengths


def pad_sequence(
    sequences: Iterable[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Makes sequences equally long and stacks them.

    Args:
        sequences: Tensors `[length, ...]`, alike but for their lengths.
        batch_first: Whether the result is `[batch, time, ...]` instead of `[time, batch, ...]`.
        padding_value: What is added to the shorter ones.
        padding_side: "right" or "left": where it is added.

    Raises:
        ShapeError: If there is no sequence, or they differ in more than their lengths.

    Example:
        >>> pad_sequence([ad.tensor([1.0, 2.0]), ad.tensor([3.0])], batch_first=True).tolist()
        [[1.0, 2.0], [3.0, 0.0]]
    """
    if padding_side not in ("left", "right"):
        raise DomainError(f"pad_sequence: padding_side is {padding_side!r}. Use 'left' or 'right'.")
    try:
        given = list(sequences)
    except TypeError:
        raise DTypeError(f"pad_sequence: the sequences are {sequences!r}. Use a list of tensors.") from None
    if not given or any(each.ndim == 0 or each.shape[1:] != given[0].shape[1:] for each in given):
        raise ShapeError(
            f"pad_sequence: the sequences are {[each.shape for each in given]}. Give one or more, alike but for their "
            "first axis."
        )
    longest = max(each.shape[0] for each in given)
    beside = [(0, 0)] * (given[0].ndim - 1)
    padded: list[Tensor] = []
    for each in given:
        missing = longest - each.shape[0]
        added = (0, missing) if padding_side == "right" else (missing, 0)
        padded.append(_core.pad(each, [added, *beside], _filler(padding_value, each)))
    return _core.stack(padded, axis=0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor | Sequence[int], batch_first: bool = False
) -> list[Tensor]:
    """The sequences without their padding: the inverse of `pad_sequence`.

    Args:
        padded_sequences: `[time, batch, ...]`, or `[batch, time, ...]` with `batch_first`.
        lengths: How many steps each sequence has.
        batch_first: Whether the batch is the first axis.

    Raises:
        ShapeError: If there is not one length per sequence.

    Example:
        >>> [each.tolist() for each in unpad_sequence(ad.tensor([[1.0, 3.0], [2.0, 0.0]]), [2, 1])]
        [[1.0, 2.0], [3.0]]
    """
    if padded_sequences.ndim < 2:
        raise ShapeError(f"unpad_sequence: the input is {padded_sequences.shape}. Use [time, batch, ...].")
    x = padded_sequences if batch_first else _core.moveaxis(padded_sequences, 0, 1)
    values = _numbers("unpad_sequence", lengths, x.shape[0], 0, x.shape[1])
    return [x[place, :value] for place, value in enumerate(values)]


def pack_sequence(sequences: Iterable[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Packs sequences of different lengths.

    Args:
        sequences: Tensors `[length, ...]`, alike but for their lengths.
        enforce_sorted: Whether the lengths must fall.

    Raises:
        ShapeError: If there is no sequence, or they differ in more than their lengths.
        DomainError: If a sequence is empty, or lengths rise and `enforce_sorted`.

    Example:
        >>> pack_sequence([ad.ones((3, 2)), ad.ones((1, 2))]).batch_sizes.tolist()
        [2, 1, 1]
    """
    given = list(sequences)
    lengths = [each.shape[0] if each.ndim else 0 for each in given]
    return pack_padded_sequence(pad_sequence(given), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences of a packed one: the inverse of `pack_sequence`.

    Args:
        packed_sequences: The packed sequences.

    Example:
        >>> [each.tolist() for each in unpack_sequence(pack_sequence([ad.tensor([1.0, 2.0]), ad.tensor([3.0])]))]
        [[1.0, 2.0], [3.0]]
    """
    return unpad_sequence(*pad_packed_sequence(packed_sequences))
