"""GPU tensors to PyTorch's CUDA tensors and CuPy's arrays and back, in the same memory where promised.

Run by `x.py test --peers` on a machine with CUDA. Depends on PyTorch and, where installed, CuPy.
"""

from __future__ import annotations

import gc
from types import ModuleType

import adret as ad
import numpy as np
import pytest

pytestmark = [pytest.mark.peers, pytest.mark.parametrize("device", ["gpu"], indirect=True)]


@pytest.fixture(params=["torch", "cupy"])
def peer(request: pytest.FixtureRequest, device: str) -> ModuleType:
    """A library with CUDA arrays, on the adapter that tensors are on."""
    library = pytest.importorskip(request.param)
    if request.param == "torch" and not library.cuda.is_available():
        pytest.skip("PyTorch finds no CUDA device")
    if ad.ones(1, device=device).__dlpack_device__()[0] != 2:
        pytest.skip("the adapter is no CUDA device")
    return library


def host(array) -> np.ndarray:
    """The elements on the CPU."""
    return array.cpu().numpy() if hasattr(array, "cpu") else array.get()


@pytest.mark.parametrize("dtype", ["float32", "float16", "int32"])
@pytest.mark.parametrize("size", [1, 1000, 3_000_000])
def test_round_trip(peer: ModuleType, device: str, dtype: str, size: int) -> None:
    x = (ad.arange(size, dtype=ad.int32, device=device) % 1000).astype(dtype)
    for _ in range(3):
        theirs = peer.from_dlpack(x)
        np.testing.assert_array_equal(host(theirs), x.numpy())
        back = ad.from_dlpack(theirs + theirs)
        assert back.device == device
        np.testing.assert_array_equal(back.numpy(), x.numpy() + x.numpy())


def test_memory_is_shared_and_kept(peer: ModuleType, device: str) -> None:
    x = ad.ones(1000, device=device) * 3
    first, second = peer.from_dlpack(x), peer.from_dlpack(x)
    address = (lambda a: a.data_ptr()) if hasattr(first, "data_ptr") else (lambda a: a.data.ptr)
    assert address(first) == address(second)
    x += 1
    assert x.sum().item() == 4000
    del x
    gc.collect()
    for _ in range(10):
        ad.eval(ad.zeros(1000, device=device) + 1)
    assert host(first).sum() == 3000
