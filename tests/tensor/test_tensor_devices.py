"""Tensors on every device: values out, values in, printing, sharing.

Depends on the `device` fixture. Invariant: what a device cannot do is a clear error.
"""

from __future__ import annotations

import copy
import os
import subprocess
import sys

import adret as ad
import numpy as np
import pytest


def test_values_come_and_go(device: str) -> None:
    x = ad.tensor([[1.0, 2.0], [3.0, 4.0]], device=device)
    assert x.device == device
    assert (x + 1).device == device
    assert x.T.tolist() == [[1.0, 3.0], [2.0, 4.0]]
    assert x[1, 0].item() == 3.0
    np.testing.assert_array_equal((x * 2).numpy(), [[2.0, 4.0], [6.0, 8.0]])
    assert x.cpu().device == "cpu"
    assert x.to(device) is x
    assert x.cpu().to(device).tolist() == x.tolist()


def test_numpy_arrays_join_the_tensor(device: str) -> None:
    x = ad.ones(3, device=device)
    for result in (np.arange(3, dtype=np.float32) + x, x + np.arange(3, dtype=np.float32)):
        assert result.device == device
        assert result.tolist() == [1.0, 2.0, 3.0]
    x[1] = np.float32(5)
    x[[0]] = 7
    assert x.tolist() == [7.0, 5.0, 1.0]


def test_indices_and_masks(device: str) -> None:
    x = ad.tensor([3.0, -1.0, 2.0], device=device)
    assert x[x < 0].tolist() == [-1.0]
    assert x[np.array([2, -3])].tolist() == [2.0, 3.0]
    assert x[[True, False, True]].tolist() == [3.0, 2.0]
    if device == "cpu":
        with pytest.raises(ad.OutOfRangeError):
            x[[2**40]].tolist()
    x[x < 0] = 0
    assert x.tolist() == [3.0, 0.0, 2.0]
    x[x > 0] = ad.tensor([8.0, 9.0], device=device)
    assert x.tolist() == [8.0, 0.0, 9.0]
    x[x > 8] = ad.tensor(1.0, device=device)
    assert x.tolist() == [8.0, 0.0, 1.0]


def test_python_integers_take_the_devices_default(device: str) -> None:
    default = ad.int64 if device == "cpu" else ad.int32
    made = [ad.tensor([1, 2], device=device), ad.tensor(1, device=device), ad.arange(3, device=device)]
    made += [ad.full(2, 7, device=device), ad.random.integers(5, shape=2, device=device)]
    assert {x.dtype for x in made} == {default}
    assert repr(made[0]).startswith("tensor([1, 2]" + (")" if device == "cpu" else ", device"))


def test_printing_names_the_device(device: str) -> None:
    text = repr(ad.ones(2, device=device))
    assert text == ("tensor([1., 1.])" if device == "cpu" else f'tensor([1., 1.], device="{device}")')


def test_copies_stay(device: str) -> None:
    x = ad.ones(2, device=device, requires_grad=True)
    y = copy.deepcopy(x)
    assert (y.device, y.requires_grad, y.tolist()) == (device, True, [1.0, 1.0])


def test_gradients_live_beside_their_tensors(device: str) -> None:
    x = ad.ones(2, device=device, requires_grad=True)
    (x.cpu() * 3).sum().backward()
    assert x.grad is not None
    assert (x.grad.device, x.grad.tolist()) == (device, [3.0, 3.0])


def test_sharing_may_copy_to_the_cpu(device: str) -> None:
    x = ad.ones(2, device=device)
    if device == "cpu":
        assert np.from_dlpack(x).tolist() == [1.0, 1.0]
        return
    if x.__dlpack_device__() == (1, 0):
        assert np.from_dlpack(x).tolist() == [1.0, 1.0]
    with pytest.raises(BufferError):
        x.__dlpack__(max_version=(1, 0), dl_device=(1, 0), copy=False)
    assert "dltensor" in repr(x.__dlpack__(max_version=(1, 0), dl_device=(1, 0)))


def test_devices_do_not_mix(device: str) -> None:
    if device == "cpu":
        pytest.skip("one device cannot mix")
    with pytest.raises(ad.DeviceError, match="to"):
        ad.ones(2) + ad.ones(2, device=device)


def test_the_default_device(device: str) -> None:
    ad.set_default_device(device)
    try:
        made = [ad.zeros(1), ad.tensor([1.0]), ad.arange(3, dtype="int32"), ad.random.rand(2), ad.tensor(1.5)]
        assert {x.device for x in made} == {device}
    finally:
        ad.set_default_device("cpu")


def test_the_environment_names_the_default_device(device: str) -> None:
    program = "import adret as ad; print(ad.get_default_device(), ad.zeros(2).device)"

    def run(name: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "ADRET_DEVICE": name}
        command = [sys.executable, "-c", program]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert run(device).stdout.split() == [device, device]
    assert "DeviceError" in run("abacus").stderr
