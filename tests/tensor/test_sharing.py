"""Memory shared with NumPy: DLPack both ways, `numpy()`, lifetimes.

Depends on NumPy. Invariant: shared memory lives exactly as long as its last user, and nobody sees another's writes.
"""

from __future__ import annotations

import gc
import threading
import weakref

import adret as ad
import numpy as np
import pytest

DTYPES = [
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
]


class Owned(np.ndarray):
    """An array whose death can be watched."""


def owned(array: np.ndarray) -> tuple[np.ndarray, weakref.ref[np.ndarray]]:
    array = array.view(Owned)
    return array, weakref.ref(array)


@pytest.mark.parametrize("dtype", DTYPES)
def test_round_trip_without_copy(dtype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    shared = ad.from_dlpack(array)
    assert shared.dtype.name == dtype
    assert shared.shape == (2, 3)
    back = np.from_dlpack(shared)
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype
    assert back.__array_interface__["data"][0] == array.__array_interface__["data"][0]


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[::-1],
        lambda a: a[:, ::-2],
        lambda a: a.T,
        lambda a: np.broadcast_to(a[:1], a.shape),
        lambda a: a[1:, 2:],
        lambda a: a[0, 0],
        lambda a: a[:0],
        lambda a: np.frombuffer(b"\0" + a.tobytes(), np.uint8)[1:].view(np.float32),
    ],
    ids=["reversed", "negative step", "transposed", "broadcast", "offset", "0-d", "empty", "unaligned"],
)
def test_any_strides(view) -> None:
    array = np.asarray(view(np.arange(12, dtype=np.float32).reshape(3, 4)))
    try:
        shared = ad.from_dlpack(array)
    except BufferError:
        pytest.skip("this NumPy does not export such an array")
    np.testing.assert_array_equal(shared.numpy(), array)
    np.testing.assert_array_equal((shared + 1).numpy(), array + 1)
    np.testing.assert_array_equal(ad.tensor(array).numpy(), array)


def test_the_owner_lives_as_long_as_its_last_tensor() -> None:
    array, alive = owned(np.arange(4.0))
    shared = ad.from_dlpack(array)
    view = shared[1:]
    del array, shared
    gc.collect()
    assert alive() is not None
    assert view.tolist() == [1.0, 2.0, 3.0]
    del view
    gc.collect()
    assert alive() is None


def test_a_pending_tensor_keeps_the_owner() -> None:
    array, alive = owned(np.arange(4.0))
    pending = ad.from_dlpack(array) + 1
    del array
    gc.collect()
    assert alive() is not None
    assert pending.tolist() == [1.0, 2.0, 3.0, 4.0]
    gc.collect()
    assert alive() is None


def test_the_owner_may_go_on_another_thread() -> None:
    array, alive = owned(np.arange(4.0))
    held = [ad.from_dlpack(array)]
    del array
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    gc.collect()
    assert alive() is None


def test_an_exported_array_outlives_its_tensor() -> None:
    tensor = ad.arange(1000) * 2
    array = np.from_dlpack(tensor)
    view = tensor.numpy()
    del tensor
    gc.collect()
    for _ in range(20):
        ad.eval(ad.ones(1000, dtype=ad.int64) * 3)
    np.testing.assert_array_equal(array, np.arange(1000) * 2)
    np.testing.assert_array_equal(view, array)


def test_writing_in_place_leaves_consumers_their_value() -> None:
    x = ad.zeros(100)
    view = x.numpy()
    capsule = np.from_dlpack(x)
    for _ in range(5):
        x += 1
        ad.eval(x)
    assert x.tolist() == [5.0] * 100
    assert not view.any()
    assert not capsule.any()


def test_shared_memory_is_never_written() -> None:
    array = np.zeros(100, np.float32)
    x = ad.from_dlpack(array)
    x += 1
    ad.eval(x)
    assert not array.any()
    assert x.sum().item() == 100


def test_exports_are_read_only() -> None:
    x = ad.ones(3)
    assert not x.numpy().flags.writeable
    assert not np.from_dlpack(x).flags.writeable
    copy = x.numpy(copy=True)
    copy[0] = 5
    assert x.tolist() == [1.0, 1.0, 1.0]


def test_copies_do_not_follow_their_source() -> None:
    array = np.zeros(3)
    copies = [ad.tensor(array), ad.asarray(array), ad.from_numpy(array), ad.from_dlpack(array, copy=True)]
    shared = ad.asarray(array, copy=False)
    array[0] = 1
    assert all(not copy.numpy().any() for copy in copies)
    assert shared[0].item() == 1


def test_capsules_say_what_they_are() -> None:
    x = ad.ones(3)
    assert "dltensor_versioned" in repr(x.__dlpack__(max_version=(1, 0)))
    assert '"dltensor"' in repr(x.__dlpack__())
    assert x.__dlpack_device__() == (1, 0)
    with pytest.raises(BufferError, match="versioned"):
        x.__dlpack__(copy=False)
    with pytest.raises(BufferError, match="stream"):
        x.__dlpack__(stream=5)


def test_capsules_that_nobody_takes_are_freed() -> None:
    before = ad.stats()["bytes_in_use"]
    x = ad.ones(10_000) + 0
    capsules = [x.__dlpack__(max_version=(1, 0)), x.__dlpack__()]
    del x, capsules
    gc.collect()
    assert ad.stats()["bytes_in_use"] <= before + 1024


class Legacy:
    """A producer from before DLPack 1.0."""

    def __init__(self, tensor: ad.Tensor) -> None:
        self.tensor = tensor

    def __dlpack__(self, stream=None):
        return self.tensor.__dlpack__()

    def __dlpack_device__(self):
        return (1, 0)


class Elsewhere(Legacy):
    """An array of a CUDA device."""

    def __dlpack_device__(self):
        return (2, 0)


def test_legacy_producers() -> None:
    assert ad.from_dlpack(Legacy(ad.arange(3))).tolist() == [0, 1, 2]


def test_other_devices_are_refused() -> None:
    with pytest.raises(ad.DeviceError, match="device type 2"):
        ad.from_dlpack(Elsewhere(ad.arange(3)))


def test_gradients_do_not_leave() -> None:
    x = ad.ones(3, requires_grad=True)
    for export in (x.numpy, lambda: np.from_dlpack(x), lambda: np.asarray(x)):
        with pytest.raises(ad.GradError, match="detach"):
            export()
    assert x.detach().numpy().tolist() == [1.0, 1.0, 1.0]


def test_bfloat16_has_no_numpy() -> None:
    x = ad.ones(3, dtype=ad.bfloat16)
    with pytest.raises(ad.DTypeError, match="astype"):
        x.numpy()
    assert ad.from_dlpack(x).dtype == ad.bfloat16


def test_numpy_functions_take_tensors() -> None:
    x = ad.tensor([1.0, 4.0])
    assert np.asarray(x).tolist() == [1.0, 4.0]
    assert np.array(x, dtype=np.int64).tolist() == [1, 4]
    array = np.array([10.0, 20.0], np.float32)
    for result in (array + x, x + array):
        assert isinstance(result, ad.Tensor)
        assert result.tolist() == [11.0, 24.0]
    assert (array - x).tolist() == [9.0, 16.0]
    assert (array < x).tolist() == [False, False]


def test_gpu_arrays_and_strings_in_operators() -> None:
    x = ad.ones(2)
    with pytest.raises(TypeError):
        x + "a"
    with pytest.raises(TypeError):
        x @ object()
    assert (x == "a") is False
    assert (x != None) is True  # noqa: E711
