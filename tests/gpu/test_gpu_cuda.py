"""Memory shared with CUDA: capsules on its device, arrays taken from there, and what happens where it is not there.

CUDA is played by a small library (fake_cuda.c) on the software adapter, whose exported memory the processor can map.
Depends on a C compiler and Linux. Invariant: what is imported is given back, and no failure changes a tensor.
"""

from __future__ import annotations

import ctypes
import gc
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import adret as ad
import numpy as np
import pytest
from capsules import Array, Taken, views

pytestmark = [
    pytest.mark.parametrize("device", ["gpu"], indirect=True),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is shared on Linux alone"),
]

READ_ONLY, COPIED = 1, 2
WIDE = ["int32", "uint32", "float16", "float32"]


class Cuda:
    """The played driver, and what it counts."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.counts = (ctypes.c_int * 5).in_dll(ctypes.CDLL(self.path), "fake_cuda_counts")

    @property
    def imports(self) -> int:
        """Imported memory that was not given back."""
        assert self.counts[0] == self.counts[1], "each import has one mapping"
        return self.counts[0]

    @property
    def waits(self) -> int:
        """Synchronisations."""
        return self.counts[3]

    @property
    def copies(self) -> int:
        """Copies between CUDA's addresses."""
        return self.counts[4]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "the tests need a C compiler, as the library itself does"
    source = Path(__file__).with_name("fake_cuda.c")
    made = tmp_path_factory.mktemp("cuda") / "libfake_cuda.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", made, source], check=True)
    return made


@pytest.fixture
def cuda(device: str, library: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cuda]:
    """CUDA with this adapter as its second device."""
    facts = ad.devices()[device]
    if facts["type"] != "software" or facts["uuid"] is None:
        pytest.skip("only a software adapter's memory can be read by what plays CUDA")
    monkeypatch.setenv("ADRET_CUDA_LIBRARY", str(library))
    monkeypatch.setenv("FAKE_CUDA_UUID", facts["uuid"])
    ad.reset_device(device)
    played = Cuda(library)
    yield played
    gc.collect()
    ad.trim_memory()
    assert played.counts[2] == 0, "a context is left on the stack"
    ad.reset_device(device)
    ad.trim_memory()
    assert played.imports == 0, "imported memory is left over"


def made(values: np.ndarray, device: str) -> ad.Tensor:
    return ad.tensor(values, device=device) + ad.tensor(0, dtype=str(values.dtype), device=device)


# Handing out


@pytest.mark.parametrize("dtype", WIDE)
def test_capsules_show_the_tensors_own_memory(device: str, cuda: Cuda, dtype: str) -> None:
    values = np.arange(12).reshape(3, 4).astype(dtype)
    x = made(values, device)
    assert x.__dlpack_device__() == (2, 1)
    taken = Taken(x.__dlpack__(max_version=(1, 1), stream=1))
    assert (taken.device, taken.flags) == ((2, 1), READ_ONLY)
    np.testing.assert_array_equal(taken.numpy(), values)
    # Twice the same memory, and views of it at their place.
    again = Taken(x.__dlpack__(max_version=(1, 1)))
    assert again.array.data == taken.array.data
    view = Taken(x[1:, ::2].__dlpack__(max_version=(1, 1), copy=False))
    assert view.array.data == taken.array.data + 4 * values.itemsize
    np.testing.assert_array_equal(view.numpy(), values[1:, ::2])
    np.testing.assert_array_equal((x * 2).cpu().astype("float32").numpy(), values.astype("float32") * 2)
    for each in (taken, again, view):
        each.release()


@pytest.mark.parametrize("view", range(8))
def test_layouts_go_out_as_they_are(device: str, cuda: Cuda, view: int) -> None:
    values = np.arange(20, dtype=np.float32).reshape(4, 5)
    x = made(values, device)
    ad.eval(x)
    shapes = [x, x.T, ad.flip(x, 0), x[:, ::2], x[1:, 2:], x[0, 0], x[:0], ad.broadcast_to(x[:1], (4, 5))]
    wanted = [values, values.T, values[::-1], values[:, ::2], values[1:, 2:], values[0, 0], values[:0]]
    taken = Taken(shapes[view].__dlpack__(max_version=(1, 0)))
    expected = [*wanted, np.broadcast_to(values[:1], (4, 5))][view]
    np.testing.assert_array_equal(taken.numpy(), expected)
    taken.release()


def test_writing_in_place_leaves_consumers_their_value(device: str, cuda: Cuda) -> None:
    x = made(np.zeros(100, np.float32), device)
    taken = Taken(x.__dlpack__(max_version=(1, 0)))
    for _ in range(4):
        x += 1
        ad.eval(x)
    assert not taken.numpy().any()
    # Nor may work that CUDA was given before its side let go be overtaken.
    kept = taken.numpy()
    y = made(np.full(100, 7, np.float32), device)
    also = Taken(y.__dlpack__(max_version=(1, 0)))
    seen = also.numpy()
    also.release()
    y += 1
    ad.eval(y)
    assert (seen == 7).all() and not kept.any()
    assert x.tolist() == [4.0] * 100 and y.tolist() == [8.0] * 100
    taken.release()


def test_capsules_outlive_their_tensors(device: str, cuda: Cuda) -> None:
    values = np.arange(1000, dtype=np.int32)
    x = made(values, device)
    taken = Taken(x.__dlpack__(max_version=(1, 0)))
    unused = x.__dlpack__(max_version=(1, 0))
    del x, unused
    gc.collect()
    for n in range(20):
        ad.eval(ad.ones(1000, dtype=ad.int32, device=device) * n)
    np.testing.assert_array_equal(taken.numpy(), values)
    thread = threading.Thread(target=taken.release)
    thread.start()
    thread.join()


def test_pages_are_used_again_after_a_wait(device: str, cuda: Cuda) -> None:
    def exchange() -> None:
        taken = Taken(made(np.ones(5000, np.float32), device).__dlpack__(max_version=(1, 0)))
        assert taken.numpy().sum() == 5000
        taken.release()

    exchange()
    imports, waits, misses = cuda.imports, cuda.waits, ad.stats()["pool_misses"]
    for _ in range(5):
        exchange()
    assert cuda.imports == imports
    assert ad.stats()["pool_misses"] == misses
    assert cuda.waits >= waits + 5
    ad.trim_memory()
    assert cuda.imports == 0


def test_copies_are_the_consumers_own(device: str, cuda: Cuda) -> None:
    x = made(np.arange(6, dtype=np.float32), device)
    for capsule, flags in [(x.__dlpack__(max_version=(1, 0), copy=True), COPIED), (x.__dlpack__(), None)]:
        taken = Taken(capsule)
        assert (taken.device, taken.flags) == ((2, 1), flags)
        taken.numpy()[:] = 9
        assert x.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
        taken.release()
    with pytest.raises(BufferError, match="versioned"):
        x.__dlpack__(copy=False)


def test_streams(device: str, cuda: Cuda) -> None:
    x = made(np.ones(3, np.float32), device)
    for stream in (None, -1, 1, 2, 0x7F0012345670):
        taken = Taken(x.__dlpack__(stream=stream, max_version=(1, 0)))
        assert taken.numpy().tolist() == [1.0, 1.0, 1.0]
        taken.release()
    for stream in (0, -2):
        with pytest.raises(BufferError, match="stream"):
            x.__dlpack__(stream=stream)


def test_the_place_asked_for(device: str, cuda: Cuda) -> None:
    x = made(np.ones(3, np.float32), device)
    there = Taken(x.__dlpack__(max_version=(1, 0), dl_device=(2, 1)))
    here = Taken(x.__dlpack__(max_version=(1, 0), dl_device=(1, 0), stream=1))
    assert (there.device, there.flags) == ((2, 1), READ_ONLY)
    assert (here.device, here.flags) == ((1, 0), COPIED)
    for place, why in [((2, 0), "device 1, not 0"), ((8, 0), "device type 8")]:
        with pytest.raises(BufferError, match=why):
            x.__dlpack__(max_version=(1, 0), dl_device=place)
    with pytest.raises(BufferError, match="copy"):
        x.__dlpack__(max_version=(1, 0), dl_device=(1, 0), copy=False)
    with pytest.raises(BufferError, match="on the CPU"):
        ad.ones(3).__dlpack__(max_version=(1, 0), dl_device=(2, 1))
    with pytest.raises(ad.GradError, match="detach"):
        ad.ones(3, device=device, requires_grad=True).__dlpack__(max_version=(1, 0))
    there.release()
    here.release()


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16"])
def test_narrow_elements_go_through_the_processor(device: str, cuda: Cuda, dtype: str) -> None:
    x = ad.tensor([0, 1, 1], dtype=dtype, device=device)
    assert x.__dlpack_device__() == (1, 0)
    np.testing.assert_array_equal(np.from_dlpack(x), np.array([0, 1, 1], dtype))
    with pytest.raises(BufferError, match="astype"):
        x.__dlpack__(dl_device=(2, 1))
    found = ad.from_dlpack(Array(np.array([0, 1, 1], dtype)))
    assert (found.dtype.name, found.tolist()) == (dtype, x.tolist())


# Taking


@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize("view", range(8))
def test_arrays_are_copied_by_the_device(device: str, cuda: Cuda, dtype: str, view: int) -> None:
    elements = views(np.arange(20).reshape(4, 5).astype(dtype))[view]
    array = Array(elements)
    copies = cuda.copies
    x = ad.from_dlpack(array)
    assert (x.device, x.dtype.name, x.shape) == (device, dtype, elements.shape)
    assert array.asked == [{"stream": 1, "max_version": (1, 1)}]
    assert array.alive == 0, "the array was given back"
    assert cuda.copies - copies == (1 if elements.size else 0)
    np.testing.assert_array_equal(x.numpy(), elements)
    np.testing.assert_array_equal((x + x).numpy(), elements + elements)


def test_a_round_trip_and_a_step(device: str, cuda: Cuda) -> None:
    values = np.linspace(-1, 1, 30, dtype=np.float32).reshape(5, 6)
    x = ad.from_dlpack(Array(values))
    taken = Taken((x * 2).__dlpack__(max_version=(1, 0)))
    again = ad.from_dlpack(Array(taken.numpy()))
    weight = again.detach()
    weight.requires_grad = True
    (weight * x).sum().backward()
    with ad.no_grad():
        weight -= weight.grad
    np.testing.assert_array_equal(weight.detach().numpy(), values)
    np.testing.assert_array_equal(taken.numpy(), values * 2)
    taken.release()


def test_old_and_managed_arrays(device: str, cuda: Cuda) -> None:
    values = np.arange(4, dtype=np.float32)
    old = Array(values, old=True)
    assert (ad.from_dlpack(old).device, old.asked[-1], old.alive) == (device, {"stream": 1}, 0)
    assert ad.from_dlpack(Array(values, kind=13)).device == device
    assert ad.from_dlpack(Array(values), device="cpu").device == "cpu"
    assert ad.from_dlpack(Array(values), device=device, copy=True).device == device
    assert ad.tensor(Array(values), device=device).tolist() == values.tolist()
    with pytest.raises(ad.DeviceError, match="device type 2"):
        ad.from_dlpack(Array(values), copy=False)
    with pytest.raises(ad.DeviceError, match="device type 2"):
        ad.asarray(Array(values), copy=False)


def test_arrays_of_another_device_come_through_the_processor(device: str, cuda: Cuda) -> None:
    values = np.arange(4, dtype=np.float32)
    other, copies = Array(values, number=0), cuda.copies
    x = ad.from_dlpack(other)
    assert (x.device, x.tolist()) == ("cpu", values.tolist())
    assert other.asked == [{"max_version": (1, 1), "dl_device": (1, 0), "copy": True}]
    assert ad.from_dlpack(other, device=device).device == device
    assert cuda.copies == copies


def test_recordings_take_no_arrays(device: str, cuda: Cuda) -> None:
    array = Array(np.ones(3, np.float32))
    run = ad.compile(lambda x: x + ad.from_dlpack(array))
    x = ad.ones(3, device=device)
    run(x)
    with pytest.raises(ad.CompileError):
        run(x)
    assert array.alive == 0


# Failures


REFUSALS = {
    "no library": ("ADRET_CUDA_LIBRARY", "/nowhere/libcuda.so", "no CUDA driver"),
    "no driver": ("ADRET_CUDA_LIBRARY", "libm.so.6", "too old"),
    "another device": ("FAKE_CUDA_UUID", "00" * 16, "UUIDs differ"),
    **{
        name: ("FAKE_CUDA_FAIL", name, f"{name.removesuffix('_v2')} returned 999")
        for name in (
            "cuInit",
            "cuDeviceGetCount",
            "cuDeviceGet",
            "cuDeviceGetUuid",
            "cuDevicePrimaryCtxRetain",
            "cuCtxPushCurrent_v2",
            "cuImportExternalMemory",
            "cuExternalMemoryGetMappedBuffer",
        )
    },
}


@pytest.mark.parametrize("case", REFUSALS)
def test_without_cuda_everything_goes_through_the_processor(
    device: str, cuda: Cuda, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    variable, value, why = REFUSALS[case]
    monkeypatch.setenv(variable, value)
    ad.reset_device(device)
    x = made(np.arange(3, dtype=np.float32), device)
    assert x.__dlpack_device__() == (1, 0)
    taken = Taken(x.__dlpack__(max_version=(1, 0), stream=1))
    assert (taken.device, taken.flags, taken.numpy().tolist()) == ((1, 0), COPIED, [0.0, 1.0, 2.0])
    taken.release()
    assert np.from_dlpack(x).tolist() == [0.0, 1.0, 2.0]
    with pytest.raises(BufferError, match=why):
        x.__dlpack__(max_version=(1, 0), dl_device=(2, 1))
    with pytest.raises(BufferError, match="copy"):
        x.__dlpack__(max_version=(1, 0), copy=False)
    array = Array(np.ones(3, np.float32))
    assert ad.from_dlpack(array).device == "cpu"
    assert (ad.from_dlpack(array, device=device).device, array.alive) == (device, 0)


@pytest.mark.parametrize(
    ("name", "code", "error"),
    [
        ("cuImportExternalMemory", 2, ad.OutOfMemoryError),
        ("cuImportExternalMemory", 999, ad.DeviceError),
        ("cuExternalMemoryGetMappedBuffer", 999, ad.DeviceError),
        ("cuCtxPushCurrent_v2", 999, ad.DeviceError),
        ("cuMemcpyDtoD_v2", 999, ad.DeviceError),
        ("cuCtxSynchronize", 700, ad.DeviceError),
    ],
)
def test_failures_after_the_start(
    device: str, cuda: Cuda, monkeypatch: pytest.MonkeyPatch, name: str, code: int, error: type[Exception]
) -> None:
    x = made(np.arange(900, dtype=np.float32), device)
    assert x.__dlpack_device__() == (2, 1)
    array = Array(np.ones(900, np.float32))
    monkeypatch.setenv("FAKE_CUDA_FAIL", name)
    monkeypatch.setenv("FAKE_CUDA_CODE", str(code))
    if name not in ("cuMemcpyDtoD_v2", "cuCtxSynchronize"):
        with pytest.raises(
            error, match=name.removesuffix("_v2") if code != 2 else "CUDA has no memory|bytes asked for"
        ):
            x.__dlpack__(max_version=(1, 0))
    with pytest.raises(error):
        ad.from_dlpack(array)
    assert array.alive == 0
    monkeypatch.delenv("FAKE_CUDA_FAIL")
    taken = Taken(x.__dlpack__(max_version=(1, 0)))
    assert taken.numpy()[-1] == 899 and x.tolist()[-1] == 899
    assert ad.from_dlpack(array).sum().item() == 900
    taken.release()


def test_every_call_of_the_driver_may_fail(device: str, cuda: Cuda) -> None:
    values = np.arange(300, dtype=np.float32)
    for n in range(1, 60):
        x = made(values, device)
        ad.eval(x)
        ad._core._fail_gpu(n, "driver")
        try:
            place = x.__dlpack_device__()
            capsule = x.__dlpack__(max_version=(1, 0))
        except ad.DeviceError as error:
            assert "driver failed" in str(error)
        else:
            taken = Taken(capsule)
            assert taken.device == place
            np.testing.assert_array_equal(taken.numpy(), values)
            taken.release()
            if ad._core._fail_gpu(None):
                break
        ad._core._fail_gpu(None)
        np.testing.assert_array_equal(x.numpy(), values)
    else:
        pytest.fail("an export makes more calls than expected")


def test_a_lost_device_shares_nothing(device: str, cuda: Cuda) -> None:
    x = made(np.ones(3, np.float32), device)
    taken = Taken(x.__dlpack__(max_version=(1, 0)))
    ad.reset_device(device)
    with pytest.raises((ad.DeviceLostError, BufferError), match="lost"):
        x.__dlpack__(max_version=(1, 0))
    assert taken.numpy().tolist() == [1.0, 1.0, 1.0]
    taken.release()
