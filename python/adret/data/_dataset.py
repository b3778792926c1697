"""Datasets: what has a length and gives a sample for a number.

Depends on `_columns`. Invariant: a dataset never changes; cutting one into parts copies nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any, Protocol

from .._core import DomainError, DTypeError, OutOfRangeError, Tensor, asarray
from . import _columns


class Dataset(Protocol):
    """Anything with a length that gives a sample for a number; deriving from this class is not needed.

    Example:
        >>> class Squares(Dataset):
        ...     def __len__(self):
        ...         return 3
        ...     def __getitem__(self, index):
        ...         return float(index), float(index) ** 2
        >>> [tuple(part.tolist() for part in batch) for batch in ad.data.DataLoader(Squares(), batch_size=2)]
        [([0.0, 1.0], [0.0, 1.0]), ([2.0], [4.0])]
    """

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def __getitem__(self, index: int, /) -> Any:
        """The sample of that number, from 0 on."""
        ...


class TensorDataset:
    """Arrays side by side; sample i is the tuple of their rows i.

    Args:
        *arrays: Tensors or arrays, equally long along the first axis.

    Raises:
        ShapeError: If their lengths differ.
        DomainError: If there are no samples.

    Example:
        >>> dataset = TensorDataset(ad.arange(3), ad.ones((3, 2)))
        >>> len(dataset), dataset[1]
        (3, (tensor(1), tensor([1., 1.])))
    """

    def __init__(self, *arrays: Any) -> None:
        """Takes the arrays."""
        self.tensors: tuple[Tensor, ...] = _columns.columns_of("TensorDataset", arrays)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.tensors[0])

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        """The sample of that number, or the samples of a slice."""
        return tuple(tensor[index] for tensor in self.tensors)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        """The samples in order."""
        return (self[index] for index in range(len(self)))


class Subset:
    """Some samples of a dataset, in an order of their own.

    Args:
        dataset: Arrays, or anything with a length that gives samples for numbers.
        indices: The numbers of its samples: a sequence or an array of integers.

    Raises:
        OutOfRangeError: If a number is not one of a sample.

    Example:
        >>> Subset(ad.arange(5), [3, 1])[0]
        tensor(3)
    """

    def __init__(self, dataset: Any, indices: Any) -> None:
        """Takes the dataset and the numbers of samples."""
        if isinstance(dataset, Subset):
            own = dataset.indices
            chosen = _numbers(indices, len(own))
            self.dataset: Any = dataset.dataset
            self.indices: list[int] = [own[number] for number in chosen]
            return
        self.dataset = _columns.columns_of("Subset", dataset) if _columns.is_columns(dataset) else dataset
        if not _columns.is_columns(dataset) and not is_indexable(dataset):
            raise DTypeError(
                f"Subset: a {type(dataset).__name__} has no length or gives no samples for numbers. "
                "Give arrays, or an object with __len__ and __getitem__."
            )
        self.indices = _numbers(indices, size_of(self.dataset))

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        """The sample of that number."""
        return sample_of(self.dataset, self.indices[index])

    def __iter__(self) -> Iterator[Any]:
        """The samples in order."""
        return (self[index] for index in range(len(self)))


class ConcatDataset:
    """Datasets one after the other.

    Args:
        datasets: Arrays, or anything with a length that gives samples for numbers.

    Raises:
        DomainError: If there are none.
        DTypeError: If one has no length, or gives no samples for numbers.

    Example:
        >>> both = ConcatDataset([ad.arange(3), TensorDataset(ad.ones(2))])
        >>> len(both), both[2], both[-1]
        (5, tensor(2), (tensor(1.),))
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        """Takes the datasets."""
        self.datasets: list[Any] = []
        for dataset in datasets:
            if not _columns.is_columns(dataset) and not is_indexable(dataset):
                raise DTypeError(
                    f"ConcatDataset: a {type(dataset).__name__} has no length or gives no samples for numbers. "
                    "Give arrays, or objects with __len__ and __getitem__."
                )
            columns = _columns.is_columns(dataset)
            self.datasets.append(_columns.columns_of("ConcatDataset", dataset) if columns else dataset)
        if not self.datasets:
            raise DomainError("ConcatDataset: there are no datasets. Give at least one.")
        self.cumulative_sizes = list(accumulate(size_of(dataset) for dataset in self.datasets))

    def __len__(self) -> int:
        """Number of samples."""
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        """The sample of that number, counted through all datasets."""
        if not -len(self) <= index < len(self):
            raise OutOfRangeError(f"ConcatDataset: no sample {index} among {len(self)}. Use 0 to {len(self) - 1}.")
        index %= len(self)
        number = bisect_right(self.cumulative_sizes, index)
        return sample_of(self.datasets[number], index - (self.cumulative_sizes[number - 1] if number else 0))

    def __iter__(self) -> Iterator[Any]:
        """The samples in order."""
        return (self[index] for index in range(len(self)))


def is_indexable(data: object) -> bool:
    """Whether data has a length and gives samples for numbers."""
    return hasattr(data, "__len__") and hasattr(data, "__getitem__")


def size_of(dataset: Any) -> int:
    """The number of samples, of columns too."""
    return _columns.length_of(dataset) if _columns.is_columns(dataset) else len(dataset)


def sample_of(dataset: Any, index: int) -> Any:
    """One sample, of columns too."""
    return _columns.at(dataset, index) if _columns.is_columns(dataset) else dataset[index]


def columns_under(data: Any) -> tuple[_columns.Columns, Tensor | None] | None:
    """The columns that data is cut from and the numbers of its rows (None for all); None where it has no columns."""
    if isinstance(data, TensorDataset):
        return data.tensors, None
    if isinstance(data, Subset):
        below = columns_under(data.dataset)
        return below and (below[0], asarray(data.indices))
    return (data, None) if _columns.is_columns(data) else None


def _numbers(indices: Any, size: int) -> list[int]:
    listed: Any = getattr(indices, "tolist", None)
    numbers = [int(number) for number in (indices if listed is None else listed())]
    if not numbers:
        raise DomainError("Subset: there are no indices. Give at least one.")
    for number in numbers:
        if not -size <= number < size:
            raise OutOfRangeError(f"Subset: index {number} among {size} samples. Use -{size} to {size - 1}.")
    return [number % size for number in numbers]
