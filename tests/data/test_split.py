"""Parts of data: disjoint, complete, decided by the seed, in proportion where asked for.

Depends on the installed package.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import adret as ad
import numpy as np
import pytest
from adret.data import DataLoader, Subset, TensorDataset, random_split, train_test_split


def test_random_split() -> None:
    x = np.arange(11)
    parts = random_split((x, x * 2), [0.5, 0.25, 0.25], seed=3)
    assert [len(part) for part in parts] == [6, 3, 2]
    values = [[int(sample[0].item()) for sample in part] for part in parts]
    assert sorted(chain.from_iterable(values)) == list(range(11))
    again = random_split((x, x * 2), [6, 3, 2], seed=3)
    assert [part.indices for part in again] == [part.indices for part in parts]
    assert random_split(x, [6, 5], seed=4)[0].indices != random_split(x, [6, 5], seed=5)[0].indices
    assert next(iter(DataLoader(parts[0], batch_size=2)))[1].tolist() == [2 * number for number in values[0][:2]]
    assert [len(part) for part in random_split(["a", "b", "c"], [1, 2])] == [1, 2]


def test_train_test_split_cuts_all_by_the_same_rows() -> None:
    x, y, names = np.arange(20.0).reshape(10, 2), ad.arange(10), [str(number) for number in range(10)]
    x_train, x_test, y_train, y_test, names_train, names_test = train_test_split(x, y, names, test_size=0.25, seed=1)
    assert (len(x_train), len(x_test)) == (7, 3)
    assert isinstance(x_test, np.ndarray)
    assert isinstance(y_test, ad.Tensor)
    assert [int(name) for name in names_test] == y_test.tolist() == (x_test[:, 0] / 2).tolist()
    assert [int(name) for name in names_train] == y_train.tolist()
    assert sorted(y_train.tolist() + y_test.tolist()) == list(range(10))
    assert train_test_split(y, test_size=3, seed=1)[1].tolist() == y_test.tolist()
    assert len(train_test_split(y)[1]) == 3


@pytest.mark.parametrize("seed", range(3))
def test_stratified(seed: int) -> None:
    labels = np.array(["a"] * 60 + ["b"] * 30 + ["c"] * 8 + ["d"] * 2)
    train, test = train_test_split(labels, test_size=0.25, seed=seed, stratify=labels)
    assert len(test) == 25
    counts = {name: int((test == name).sum()) for name in "abcd"}
    assert counts["d"] == 1
    assert abs(counts["a"] - 15) <= 1 and abs(counts["b"] - 7.5) <= 1 and abs(counts["c"] - 2) <= 1
    assert sorted([*train, *test]) == sorted(labels)
    y = ad.tensor([0, 1] * 10)
    assert train_test_split(y, test_size=4, seed=seed, stratify=y)[1].sum().item() == 2


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: random_split(np.arange(3), [1, 1]), ad.DomainError, "make 2 and there are 3"),
        (lambda: random_split(np.arange(3), [0.5, 0.4]), ad.DomainError, "sum is 1"),
        (lambda: random_split(np.arange(3), [3, 0]), ad.DomainError, "at least one"),
        (lambda: random_split(iter([1]), [1.0]), ad.DomainError, "no length"),
        (lambda: Subset(np.arange(3), [3]), ad.OutOfRangeError, "index 3 among 3"),
        (lambda: Subset(np.arange(3), []), ad.DomainError, "no indices"),
        (lambda: Subset(7, [0]), ad.DTypeError, "int has no length"),
        (lambda: TensorDataset(np.ones(3), np.ones(4)), ad.ShapeError, "3 and 4"),
        (lambda: TensorDataset(), ad.DomainError, "no samples"),
        (lambda: train_test_split(), ad.DomainError, "no arrays"),
        (lambda: train_test_split(np.ones(3), np.ones(2)), ad.ShapeError, "3 and 2"),
        (lambda: train_test_split(np.ones(3), test_size=3), ad.DomainError, "leaves 0 for training"),
        (lambda: train_test_split(np.ones(4), stratify=[0, 0, 0, 1]), ad.DomainError, "every label in both"),
        (lambda: train_test_split(np.ones(4), stratify=[0, 0, 0]), ad.ShapeError, "4 and 3"),
    ],
)
def test_mistakes_are_explained(make: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()


def test_concatenated_datasets():
    class Pairs:
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return ad.full((2,), index)

    both = ad.data.ConcatDataset([ad.ones((3, 2)), Pairs(), np.ones((1, 2), dtype="float32"), Pairs()])
    assert len(both) == 8
    assert [float(sample.sum()) for sample in both] == [2.0, 2.0, 2.0, 0.0, 2.0, 2.0, 0.0, 2.0]
    assert both[-1].tolist() == both[7].tolist()
    assert [len(batch) for batch in ad.data.DataLoader(both, batch_size=4, shuffle=True, seed=0)] == [4, 4]
    assert len(ad.data.random_split(both, [6, 2], seed=0)[1]) == 2
    with pytest.raises(ad.OutOfRangeError, match="no sample 8 among 8"):
        both[8]
    with pytest.raises(ad.DomainError, match="no datasets"):
        ad.data.ConcatDataset([])
    with pytest.raises(ad.DTypeError, match="a int has no length"):
        ad.data.ConcatDataset([5])
