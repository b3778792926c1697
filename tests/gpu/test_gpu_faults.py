"""What happens when something goes wrong on a GPU: bad indices, lost devices, exhausted memory, forks.

Depends on the `device` fixture, and on orders to fail (`_core._fail_gpu`). Invariant: a failure is an exception of the
library, and what comes after it works.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator

import adret as ad
import numpy as np
import pytest
from adret import _core, nn, optim

pytestmark = pytest.mark.parametrize("device", ["gpu"], indirect=True)


@pytest.fixture(autouse=True)
def _whole_again() -> Iterator[None]:
    """Takes orders back, and opens a device that a test has lost anew."""
    yield
    _core._fail_gpu(None)
    ad.reset_device("gpu")


def integers(values: list[int], device: str, dtype: ad.dtype = ad.int32) -> ad.Tensor:
    return ad.tensor(values, dtype=dtype, device=device)


# Indices


@pytest.mark.parametrize("dtype", [ad.int32, ad.int8, ad.uint8, ad.uint32])
@pytest.mark.parametrize("pending", [False, True])
def test_bad_indices_are_named(device: str, dtype: ad.dtype, pending: bool) -> None:
    x = ad.tensor([1.0, 2.0, 3.0], device=device)
    indices = integers([0, 2, 7], device, dtype)
    with pytest.raises(ad.OutOfRangeError, match=r"take: index 7 is out of range for size 3"):
        ad.take(x, indices * 1 if pending else indices, axis=0).tolist()
    assert ad.take(x, indices // 4, axis=0).tolist() == [1.0, 1.0, 2.0]


def test_bad_indices_of_a_layer_name_its_path(device: str) -> None:
    model = nn.Sequential(nn.Embedding(4, 2), nn.Linear(2, 1)).to(device)
    with pytest.raises(ad.OutOfRangeError, match=r"^0: .*index 9 is out of range for size 4"):
        model(integers([1, 9], device) * 1).tolist()


def test_bad_labels_leave_the_weights_alone(device: str) -> None:
    ad.manual_seed(0)
    model = nn.Linear(3, 2).to(device)
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    before = model.weight.tolist()
    x = ad.ones((2, 3), device=device)

    def step(labels: ad.Tensor) -> None:
        ad.cross_entropy(model(x), labels).backward()
        optimizer.step()

    with pytest.raises(ad.OutOfRangeError, match=r"label|index"):
        step(integers([0, 5], device) * 1)
    optimizer.zero_grad()
    assert model.weight.tolist() == before
    step(integers([0, 1], device) * 1)
    assert model.weight.tolist() != before


def test_a_bad_index_of_another_tensor_does_not_spoil_this_one(device: str) -> None:
    x = ad.tensor([1.0, 2.0], device=device) + 1
    bad = ad.take(x, integers([5], device) * 1, axis=0)
    assert x.tolist() == [2.0, 3.0]
    with pytest.raises(ad.OutOfRangeError, match="index 5"):
        bad.tolist()


def test_labels_that_were_uploaded_are_known(device: str) -> None:
    x = ad.zeros((2, 3), device=device)
    labels = integers([0, 2], device)
    launches = ad.stats()["launches"]
    ad.nn.functional.nll_loss(x, labels).item()
    known = ad.stats()["launches"] - launches
    launches = ad.stats()["launches"]
    ad.nn.functional.nll_loss(x, integers([0, 2], device) * 1).item()
    assert ad.stats()["launches"] - launches >= known


# Ordered failures


def program(device: str) -> list[float]:
    """Uploads, products, folds, gathers, a step, downloads."""
    x = ad.tensor(np.arange(12, dtype=np.float32).reshape(3, 4) / 10, device=device)
    w = ad.ones((4, 2), device=device, requires_grad=True)
    rows = ad.take(x, integers([2, 0, 1], device) * 1, axis=0)
    loss = ad.softmax(rows @ w, axis=1).sum() + (rows @ w).tanh().mean()
    loss.backward()
    with ad.no_grad():
        w -= 0.5 * w.grad
    return [loss.item(), *w.reshape(-1).tolist()]


@pytest.mark.parametrize("kind", ["memory", "driver"])
def test_every_call_may_fail(device: str, kind: str) -> None:
    expected = program(device)
    for n in range(1, 400):
        _core._fail_gpu(n, kind)
        try:
            found = program(device)
        except ad.OutOfMemoryError as error:
            assert kind == "memory", error
        except ad.DeviceError as error:
            assert kind == "driver" and "driver failed" in str(error)
        else:
            # Memory that is short once is found at the second try.
            assert found == expected
            if _core._fail_gpu(None):
                break
        _core._fail_gpu(None)
        assert program(device) == expected, n
    else:
        pytest.fail("the program makes more calls than expected")
    assert n > 10


def test_a_device_may_be_lost_at_every_call(device: str) -> None:
    expected = program(device)
    for n in range(1, 400):
        kept = ad.ones(2, device=device)
        ad.eval(kept)
        _core._fail_gpu(n, "lost")
        try:
            assert program(device) == expected
        except ad.DeviceLostError as error:
            assert "reset_device" in str(error)
        if _core._fail_gpu(None):
            break
        with pytest.raises(ad.DeviceLostError):
            (kept + 1).tolist()
        with pytest.raises(ad.DeviceLostError):
            kept.tolist()
        ad.reset_device(device)
        with pytest.raises(ad.DeviceLostError, match="lost or reset"):
            kept.tolist()
        assert program(device) == expected, n
    else:
        pytest.fail("the program makes more calls than expected")
    assert n > 10


def test_opening_may_fail(device: str) -> None:
    ad.reset_device(device)
    _core._fail_gpu(1, "driver")
    with pytest.raises(ad.DeviceError, match="cannot be opened"):
        ad.zeros(2, device=device)
    assert ad.zeros(2, device=device).tolist() == [0.0, 0.0]


def test_only_gpus_are_reset(device: str) -> None:
    with pytest.raises(ad.DeviceError, match="CPU needs no reset"):
        ad.reset_device("cpu")
    with pytest.raises(ad.DeviceError, match="unknown"):
        ad.reset_device("gpu:x")


def test_compiled_functions_survive_a_reset(device: str) -> None:
    run = ad.compile(lambda x: (x * 2 + 1).sum())
    for _ in range(2):
        for _ in range(4):
            assert run(ad.ones(3, device=device)).item() == 9.0
        ad.reset_device(device)


# Memory


def test_exhausted_memory_is_told_in_numbers(device: str) -> None:
    kept = ad.ones(1000, device=device)
    ad.eval(kept)
    with pytest.raises(ad.OutOfMemoryError, match=r"\d{9,} bytes asked for.* \d+ bytes are in use, \d+ cached"):
        ad.eval(ad.zeros((40_000, 40_000), device=device) + 1)
    assert (kept + 1).sum().item() == 2000.0


def test_the_pool_reuses_and_gives_back(device: str) -> None:
    def step() -> None:
        x = ad.ones((64, 64), device=device)
        (x @ x + 1).sum().item()

    step()
    before = ad.stats()
    for _ in range(5):
        step()
    after = ad.stats()
    assert after["pool_misses"] == before["pool_misses"]
    assert after["shaders"] == before["shaders"]
    assert after["bytes_cached"] > 0
    ad.trim_memory()
    assert ad.stats()["bytes_cached"] == 0
    step()
    assert ad.stats()["pool_misses"] > after["pool_misses"]


# Forks


def _child(use: Callable[[], object], found: multiprocessing.SimpleQueue[str]) -> None:
    try:
        use()
        found.put("no error")
    except Exception as error:
        found.put(f"{type(error).__name__}: {error}")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_children_are_told(device: str) -> None:
    x = ad.ones(3, device=device) + 1
    ad.eval(x)
    context = multiprocessing.get_context("fork")
    for use in (lambda: x.tolist(), lambda: (x + 1).tolist(), lambda: ad.ones(2, device=device).tolist()):
        found: multiprocessing.SimpleQueue[str] = context.SimpleQueue()
        child = context.Process(target=_child, args=(use, found))
        child.start()
        text = found.get()
        child.join(30)
        assert text.startswith("DeviceError: ") and "spawn" in text
        assert child.exitcode == 0
    assert x.tolist() == [2.0, 2.0, 2.0]
