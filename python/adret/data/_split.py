"""Cutting data into parts: for training, validation and test.

Depends on `_columns` and `_dataset`. Invariant: the parts are disjoint and together are everything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .._core import DomainError, DTypeError, Generator, ShapeError, Tensor, asarray, random_permutation
from . import _columns
from ._dataset import Subset, is_indexable, size_of


def _permutation(size: int, seed: int | None) -> list[int]:
    return random_permutation(size, "cpu", None if seed is None else Generator(seed)).tolist()


def random_split(data: Any, lengths: Sequence[float], seed: int | None = None) -> list[Subset]:
    """Random parts of a dataset.

    Args:
        data: Arrays, a tuple or dict of them, or anything with a length that gives samples for numbers.
        lengths: Numbers of samples whose sum is the whole, or fractions whose sum is 1; what rounding leaves goes to
            the first parts.
        seed: Decides the parts; None draws from `ad.random`.

    Raises:
        DomainError: If the lengths do not make up the whole, or a part would be empty.

    Example:
        >>> [len(part) for part in random_split(ad.arange(10), [0.7, 0.3], seed=0)]
        [7, 3]
    """
    data = _columns.columns_of("random_split", data) if _columns.is_columns(data) else data
    if not _columns.is_columns(data) and not is_indexable(data):
        raise DomainError(f"random_split: a {type(data).__name__} has no length. Give arrays or a dataset.")
    size = size_of(data)
    counts = _counts(lengths, size)
    order = _permutation(size, seed)
    ends = [sum(counts[: number + 1]) for number in range(len(counts))]
    return [Subset(data, order[end - count : end]) for count, end in zip(counts, ends, strict=True)]


def _counts(lengths: Sequence[float], size: int) -> list[int]:
    if not isinstance(lengths, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise DTypeError(f"random_split: lengths is a {type(lengths).__name__}. Give a list: a number for each part.")
    if all(isinstance(length, int) for length in lengths):
        counts = [int(length) for length in lengths]
        if sum(counts) != size:
            raise DomainError(
                f"random_split: lengths {list(lengths)} make {sum(counts)} and there are {size} samples. "
                "Give lengths whose sum is that number, or fractions whose sum is 1."
            )
    else:
        if not all(length >= 0 for length in lengths) or abs(sum(lengths) - 1) > 1e-6:
            raise DomainError(f"random_split: fractions {list(lengths)} make {sum(lengths)}. Give ones whose sum is 1.")
        counts = [math.floor(size * length) for length in lengths]
        for number in range(size - sum(counts)):
            counts[number % len(counts)] += 1
    if not counts or min(counts) < 1:
        raise DomainError(f"random_split: the parts would have {counts} samples. Give every part at least one.")
    return counts


def train_test_split(
    *arrays: Any, test_size: float | None = None, seed: int | None = None, stratify: Any = None
) -> list[Any]:
    """Cuts arrays into a part for training and one for testing, by the same random rows.

    Args:
        *arrays: Tensors, NumPy arrays or lists, equally long.
        test_size: The test's fraction, rounded up, or its number of samples; a quarter for None.
        seed: Decides the rows; None draws from `ad.random`.
        stratify: Labels, one per sample: each part has every label in the same proportion.

    Returns:
        For each array its part for training and its part for testing, of the array's own kind.

    Raises:
        ShapeError: If lengths differ.
        DomainError: If a part would be empty, or a label occurs too rarely to be in both.

    Example:
        >>> x_train, x_test, y_train, y_test = train_test_split(ad.ones((8, 2)), ad.arange(8), test_size=0.25, seed=0)
        >>> x_train.shape, y_test.shape
        ((6, 2), (2,))
    """
    if not arrays:
        raise DomainError("train_test_split: there are no arrays. Give at least one.")
    lengths = [len(array) for array in (*arrays, *([] if stratify is None else [stratify]))]
    if len(set(lengths)) > 1:
        raise ShapeError(
            f"train_test_split: the arrays have {', '.join(map(str, lengths[:-1]))} and {lengths[-1]} samples. "
            "Give arrays that are equally long along the first axis."
        )
    size = lengths[0]
    wanted = 0.25 if test_size is None else test_size
    if not isinstance(wanted, int | float):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise DTypeError(f"train_test_split: test_size is {wanted!r}. Give a fraction, or a number of samples.")
    test_count = wanted if isinstance(wanted, int) else math.ceil(wanted * size)
    if not 0 < test_count < size:
        raise DomainError(
            f"train_test_split: test_size {wanted} of {size} samples leaves {size - test_count} for training and "
            f"{test_count} for testing. Choose a size that leaves at least one for each."
        )
    order = _permutation(size, seed)
    if stratify is None:
        test, train = order[:test_count], order[test_count:]
    else:
        test, train = _stratified(order, stratify, test_count)
    return [_rows(array, rows) for array in arrays for rows in (train, test)]


def _stratified(order: list[int], labels: Any, test_count: int) -> tuple[list[int], list[int]]:
    """The test's and the training's rows, every label in proportion; rounding goes to the largest remainders."""
    import numpy as np

    given = labels.numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    names, codes = np.unique(given, return_inverse=True, axis=0)
    codes = codes.reshape(-1)
    sizes: list[int] = np.bincount(codes).tolist()
    if min(sizes) < 2 or not len(names) <= test_count <= len(order) - len(names):
        raise DomainError(
            f"train_test_split: {len(names)} labels occur {min(sizes)} to {max(sizes)} times and the parts have "
            f"{len(order) - test_count} and {test_count} samples. Stratifying needs every label in both parts."
        )
    shares = [size * test_count / len(order) for size in sizes]
    counts = [min(max(1, math.floor(share)), size - 1) for share, size in zip(shares, sizes, strict=True)]
    while (missing := test_count - sum(counts)) != 0:
        step = 1 if missing > 0 else -1
        movable = [n for n, count in enumerate(counts) if 1 <= count + step < sizes[n]]
        chosen = max(movable, key=lambda number: step * (shares[number] - counts[number]))
        counts[chosen] += step
    test: list[int] = []
    train: list[int] = []
    for row in order:
        code = int(codes[row])
        part = test if counts[code] > 0 else train
        counts[code] -= 1
        part.append(row)
    return test, train


def _rows(array: Any, rows: list[int]) -> Any:
    if isinstance(array, Tensor):
        return _columns.rows_of(array, asarray(rows))
    if isinstance(array, list | tuple):
        return [array[row] for row in rows]  # pyright: ignore[reportUnknownVariableType]
    return array.iloc[rows] if hasattr(array, "iloc") else array[rows]
