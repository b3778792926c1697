"""Batches that a loader puts onto a device: where they arrive, when they are made, and what is refused.

Depends on the suite's `device` fixture. Invariant: values are those of a loader without a device.
"""

from __future__ import annotations

import threading
from collections import namedtuple
from typing import Any

import adret as ad
import numpy as np
import pytest
from adret import nn, optim
from adret.data import DataLoader, Transform

GPU = pytest.mark.parametrize("device", ["gpu"], indirect=True)
Pair = namedtuple("Pair", ["x", "y"])


class Samples:
    """Pairs of a row and a label, and who made them."""

    def __init__(self) -> None:
        self.makers: set[str] = set()

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> Pair:
        self.makers.add(threading.current_thread().name)
        return Pair(np.full(3, index, dtype=np.float32), index)


class Doubled(Transform):
    """Twice the pictures."""

    def apply(self, images: Any, generator: Any) -> Any:
        return images * 2


def columns() -> tuple[np.ndarray, np.ndarray]:
    return np.arange(30, dtype=np.float32).reshape(10, 3), np.arange(10)


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("data", [columns, Samples], ids=["columns", "samples"])
def test_batches_arrive_there(data: Any, shuffle: bool, prefetch: int, device: str) -> None:
    plain = DataLoader(data(), 4, shuffle, seed=3)
    there = DataLoader(data(), 4, shuffle, seed=3, prefetch=prefetch, device=device)
    assert there.device == device
    for _ in range(2):
        batches = list(there)
        assert len(batches) == 3
        for (x, y), (expected, labels) in zip(batches, plain, strict=True):
            assert (x.device, y.device, x.dtype) == (device, device, ad.float32)
            assert y.dtype == (ad.int64 if device == "cpu" else ad.int32)
            assert (x.tolist(), y.tolist()) == (expected.tolist(), labels.tolist())


def test_structures_stay(device: str) -> None:
    (first, _, _) = DataLoader(Samples(), 4, device=device)
    assert isinstance(first, Pair)
    x, y = columns()
    batch = next(iter(DataLoader({"x": x, "both": (y, y > 4)}, 4, device=device)))
    assert batch["both"][1].dtype == ad.bool
    assert {batch["x"].device, batch["both"][0].device, batch["both"][1].device} == {device}
    names = DataLoader(["a", "b", "c"], 2, collate=lambda names: (names, np.ones(len(names))), device=device)
    assert [(names, ones.device) for names, ones in names] == [(["a", "b"], device), (["c"], device)]
    loader = DataLoader(range(5), 2, device=device)
    assert [batch.tolist() for batch in loader] == [[0, 1], [2, 3], [4]]


def test_transforms_come_before(device: str) -> None:
    pictures = np.ones((5, 2, 2), dtype=np.float32)
    for x, _ in DataLoader((pictures, np.arange(5)), 2, transform=Doubled(), prefetch=1, device=device):
        assert (x.device, x.tolist()[0]) == (device, [[2.0, 2.0], [2.0, 2.0]])


@GPU
def test_the_thread_copies(device: str) -> None:
    samples = Samples()
    loader = DataLoader(samples, 4, prefetch=2, device=device)
    x, _ = next(iter(loader))
    assert samples.makers == {"adret-prefetch"}
    # Nothing is left for the loop to do.
    before = ad.stats()["runs"]
    ad.eval(x)
    assert (x.device, ad.stats()["runs"]) == (device, before)


@GPU
def test_data_that_is_there_stays_there(device: str) -> None:
    x, y = (ad.tensor(part, device=device) for part in (columns()[0], columns()[1].astype(np.int32)))
    for a, b in DataLoader((x, y), 5, shuffle=True, seed=0, device=device):
        assert (a.device, b.device) == (device, device)
    for a, _ in DataLoader((x, y), 5, device="cpu"):
        assert a.device == "cpu"


@GPU
def test_a_loop_is_taken_up_again(device: str) -> None:
    def loader() -> DataLoader:
        return DataLoader(columns(), 3, shuffle=True, seed=5, prefetch=2, device=device)

    whole = [x.tolist() for x, _ in loader()]
    first = loader()
    batches = iter(first)
    found = [next(batches)[0].tolist() for _ in range(2)]
    second = loader()
    second.load_state_dict(first.state_dict())
    assert found + [x.tolist() for x, _ in second] == whole


def test_training_learns_the_same(device: str) -> None:
    def trained(**options: Any) -> list[float]:
        ad.manual_seed(0)
        model = nn.Linear(3, 2).to(device)
        data = DataLoader((columns()[0] / 30, columns()[1] % 2), 5, shuffle=True, seed=1, **options)
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        return ad.fit(model, data, "cross_entropy", optimizer, epochs=3, verbose=0)["loss"]

    assert trained(device=device, prefetch=2) == trained()


@GPU
@pytest.mark.parametrize("prefetch", [0, 1])
def test_what_a_gpu_does_not_hold_is_refused(device: str, prefetch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    large = DataLoader(np.array([1, 2**40]), 1, prefetch=prefetch, device=device)
    batches = iter(large)
    assert next(batches).tolist() == [1]
    with pytest.raises(ad.OutOfRangeError, match=r"DataLoader: .*int32"):
        next(batches)
    with monkeypatch.context() as patch:
        patch.setenv("ADRET_GPU_DISABLE", "float64")
        ad.reset_device(device)
        with pytest.raises(ad.DTypeError, match=r"float64.*astype"):
            next(iter(DataLoader(np.ones(3), 1, prefetch=prefetch, device=device)))
    ad.reset_device(device)


@pytest.mark.parametrize(
    ("device", "error", "text"),
    [
        ("abacus", ad.DeviceError, "abacus"),
        ("gpu:99", ad.DeviceError, "gpu:99"),
        (3, ad.DTypeError, 'DataLoader: device is a int. Use "cpu"'),
    ],
)
def test_devices_that_are_none(device: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        DataLoader(columns(), device=device)
