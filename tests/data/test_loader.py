"""Mini-batches: what they hold, in which order, how a loop is taken up again, and what mistakes say.

Depends on the installed package. Invariant: threads are counted before and after, never timed.
"""

from __future__ import annotations

import gc
import threading
from collections import namedtuple
from itertools import chain
from typing import Any

import adret as ad
import numpy as np
import pytest
from adret.data import DataLoader, Subset, TensorDataset, _source, default_collate


class Samples:
    """A dataset that counts what it is asked for."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.asked: list[int] = []

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        self.asked.append(index)
        return np.full(3, index, dtype=np.float32), index


def joined(parts: Any) -> list[Any]:
    """Lists one after another."""
    return list(chain.from_iterable(parts))


def listed(batches: Any) -> list[Any]:
    """Batches as lists."""
    return [batch.tolist() for batch in batches]


def rows() -> np.ndarray:
    """Ten rows of three numbers."""
    return np.arange(30.0).reshape(10, 3)


@pytest.mark.parametrize("size", [1, 3, 5, 10, 11])
@pytest.mark.parametrize("drop_last", [False, True])
def test_batches_are_slices(size: int, drop_last: bool) -> None:
    x = rows()
    loader = DataLoader(x, batch_size=size, drop_last=drop_last)
    expected = [x[i : i + size] for i in range(0, 10, size)]
    if drop_last:
        expected = [batch for batch in expected if len(batch) == size]
    assert len(loader) == len(expected)
    for _ in range(2):
        assert listed(loader) == [batch.tolist() for batch in expected]


def test_structures_are_kept() -> None:
    x, y = rows(), list(range(10))
    pairs = list(DataLoader((x, y), batch_size=4))
    assert all(isinstance(batch, tuple) for batch in pairs)
    assert pairs[2][0].shape == (2, 3)
    assert pairs[2][1].tolist() == [8, 9]
    nested = list(DataLoader({"image": x, "labels": (ad.arange(10), np.ones(10, dtype=bool))}, batch_size=4))
    assert nested[1]["labels"][0].tolist() == [4, 5, 6, 7]
    assert nested[1]["labels"][1].dtype == ad.bool
    assert nested[1]["image"].dtype == ad.float64
    assert listed(DataLoader([1.0, 2.0, 3.0], batch_size=2)) == [[1.0, 2.0], [3.0]]


def test_whole_arrays_are_cut_without_gathering() -> None:
    x = ad.tensor(rows())
    loader = DataLoader((x, x), batch_size=3)
    before = ad.stats()
    batches = list(loader)
    ad.eval(*(part for batch in batches for part in batch))
    assert ad.stats()["runs"] == before["runs"], "slices of values that are there compute nothing"


@pytest.mark.parametrize("block", [1, 200, 1 << 20])
def test_shuffling_is_a_permutation_decided_by_seed_and_epoch(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_source, "BLOCK_BYTES", block)
    x = np.arange(50)
    first, again, other = (DataLoader((x, -x), batch_size=7, shuffle=True, seed=seed) for seed in (3, 3, 4))
    epochs = [[part.tolist() for part in (ad.concat(parts) for parts in zip(*first, strict=True))] for _ in range(3)]
    for order, negated in epochs:
        assert sorted(order) == list(range(50))
        assert negated == [-number for number in order]
    assert epochs[0] != epochs[1] != epochs[2]
    assert [joined(listed(batch[0] for batch in again)) for _ in range(3)] == [order for order, _ in epochs]
    assert joined(listed(batch[0] for batch in other)) != epochs[0][0]
    # Samples one by one come in the same order as rows.
    samples = DataLoader(Samples(50), batch_size=7, shuffle=True, seed=3)
    assert joined(listed(batch[1] for batch in samples)) == epochs[0][0]


def test_seed_none_draws_from_the_library_s_stream() -> None:
    def order() -> list[int]:
        ad.manual_seed(5)
        return joined(listed(DataLoader(np.arange(20), batch_size=4, shuffle=True)))

    assert order() == order()


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("data", [lambda: np.arange(20), lambda: Samples(20), lambda: range(20)])
def test_a_loop_is_taken_up_again(data: Any, prefetch: int, shuffle: bool) -> None:
    def loader() -> DataLoader:
        return DataLoader(data(), batch_size=3, shuffle=shuffle, seed=9, prefetch=prefetch)

    def flat(batch: Any) -> list[int]:
        return (batch[1] if isinstance(batch, tuple) else batch).tolist()

    whole = loader()
    expected = [flat(batch) for _ in range(3) for batch in whole]
    for stop in (0, 1, 7, 8, 12, 14):
        first = loader()
        found: list[list[int]] = []
        while len(found) < stop:
            for batch in first:
                found.append(flat(batch))
                if len(found) == stop:
                    break
        state = first.state_dict()
        second = loader()
        second.load_state_dict(state)
        while len(found) < len(expected):
            found += [flat(batch) for batch in second]
        assert found == expected, f"stopped after {stop} batches"


def test_a_loop_that_was_left_is_followed_by_the_next_epoch() -> None:
    loader = DataLoader(np.arange(20), batch_size=5, shuffle=True, seed=1)
    epochs = [listed(loader) for _ in range(2)]
    loader = DataLoader(np.arange(20), batch_size=5, shuffle=True, seed=1)
    next(iter(loader))
    assert listed(loader) == epochs[1]


def test_streams() -> None:
    assert listed(DataLoader(iter(range(5)), batch_size=2)) == [[0, 1], [2, 3], [4]]
    assert listed(DataLoader((n for n in range(5)), batch_size=2, drop_last=True)) == [[0, 1], [2, 3]]
    with pytest.raises(TypeError, match="unknown number"):
        len(DataLoader(iter([1])))


def test_subsets_and_datasets_are_cut_as_columns() -> None:
    x = np.arange(10)
    dataset = TensorDataset(x, x * x)
    part = Subset(Subset(dataset, [9, 7, 5, 3, 1]), [0, 2, -1])
    assert [tuple(item.tolist() for item in batch) for batch in DataLoader(part, batch_size=2)] == [
        ([9, 5], [81, 25]),
        ([1], [1]),
    ]
    assert part[1][1].item() == 25
    shuffled = DataLoader(part, batch_size=3, shuffle=True, seed=0)
    (batch,) = shuffled
    assert sorted(batch[0].tolist()) == [1, 5, 9]
    assert listed(DataLoader(Subset(["a", "b", "c"], [2, 0]), collate=lambda names: ad.zeros(len(names)))) == [[0, 0]]


def test_collate_sees_samples() -> None:
    seen: list[Any] = []

    def collate(samples: list[Any]) -> int:
        seen.extend(samples)
        return len(samples)

    assert list(DataLoader((np.arange(3), np.ones((3, 2))), batch_size=2, collate=collate)) == [2, 1]
    assert seen[2][0].item() == 2
    assert seen[2][1].shape == (2,)


def test_collating_structures() -> None:
    point = namedtuple("point", ["x", "y"])
    batch = default_collate([point(1, [2.0, {"a": np.float32(3)}]), point(4, [5.0, {"a": np.float32(6)}])])
    assert isinstance(batch, point)
    assert batch.x.dtype == ad.int64
    assert batch.y[0].dtype == ad.float32
    assert batch.y[1]["a"].tolist() == [3.0, 6.0]
    assert default_collate(["a", "b"]) == ["a", "b"]
    assert default_collate([True, False]).dtype == ad.bool


def test_prefetching_gives_the_same_batches() -> None:
    plain = DataLoader(Samples(20), batch_size=3, shuffle=True, seed=2)
    ahead = DataLoader(Samples(20), batch_size=3, shuffle=True, seed=2, prefetch=3)
    for _ in range(2):
        for one, other in zip(plain, ahead, strict=True):
            assert one[0].tolist() == other[0].tolist()


def prefetchers() -> int:
    """How many threads make batches."""
    return sum(thread.name == "adret-prefetch" for thread in threading.enumerate())


def test_the_thread_ends_with_the_loop() -> None:
    dataset = Samples(1000)
    for batch in DataLoader(dataset, batch_size=1, prefetch=2):
        assert prefetchers() == 1
        if batch[1].item() == 5:
            break
    gc.collect()
    assert prefetchers() == 0
    assert len(dataset.asked) < 20
    for _ in DataLoader(Samples(3), prefetch=2):
        pass
    assert prefetchers() == 0


def test_what_the_thread_raises_is_raised_in_the_loop() -> None:
    def broken() -> Any:
        yield from range(4)
        raise LookupError("no more files")

    seen: list[list[int]] = []
    with pytest.raises(LookupError, match="no more files"):
        seen.extend(batch.tolist() for batch in DataLoader(broken(), batch_size=2, prefetch=1))
    assert seen == [[0, 1], [2, 3]]
    assert prefetchers() == 0


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: DataLoader((rows(), np.ones(9), np.ones(8))), ad.ShapeError, "10, 9 and 8 samples"),
        (lambda: DataLoader(np.ones((0, 3))), ad.DomainError, "no samples"),
        (lambda: DataLoader([]), ad.DomainError, "no samples"),
        (lambda: DataLoader(ad.tensor(3.0)), ad.ShapeError, "no axes"),
        (lambda: DataLoader(rows(), batch_size=0), ad.DomainError, "batch_size is 0"),
        (lambda: DataLoader(rows(), prefetch=-1), ad.DomainError, "prefetch is -1"),
        (lambda: DataLoader(iter([1]), shuffle=True), ad.DomainError, "cannot be shuffled"),
        (lambda: DataLoader(3), ad.DTypeError, "int gives no samples"),
        (lambda: list(DataLoader([np.ones(2), np.ones(3)])), ad.ShapeError, r"0 and 1 .* \(2,\) and \(3,\)"),
        (lambda: list(DataLoader([(1, [ad.ones(2)]), (1, [ad.ones(1)])])), ad.ShapeError, r"part \[1\]\[0\]"),
        (lambda: list(DataLoader([{"a": 1}, {"b": 1}])), ad.ShapeError, "keys"),
        (lambda: list(DataLoader([(1, 2), (1,)])), ad.ShapeError, "sizes 2 and 1"),
        (lambda: list(DataLoader([{1}, {2}])), ad.DTypeError, "set"),
        (lambda: DataLoader(rows()).load_state_dict({"seed": 1}), ad.DomainError, "epoch, batch"),
    ],
)
def test_mistakes_are_explained(make: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("batch_size is 'a', a str", lambda: ad.data.DataLoader([1], batch_size="a")),  # type: ignore[arg-type]
        ("batch_size is 2.5, a float", lambda: ad.data.DataLoader([1], batch_size=2.5)),  # type: ignore[arg-type]
        ("prefetch is None, a NoneType", lambda: ad.data.DataLoader([1], prefetch=None)),  # type: ignore[arg-type]
        ("lengths is a int", lambda: ad.data.random_split(ad.arange(4), 5)),  # type: ignore[arg-type]
        ("test_size is 'a'", lambda: ad.data.train_test_split(ad.arange(4), test_size="a")),  # type: ignore[arg-type]
    ],
)
def test_settings_of_a_wrong_kind(text, call):
    with pytest.raises(ad.DTypeError) as raised:
        call()
    assert text in str(raised.value)
