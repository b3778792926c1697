"""Profiles of work on a GPU: kernels with the device's own times.

Depends on the `device` fixture and `ad.profile`.
"""

from __future__ import annotations

import time

import adret as ad
import numpy as np
import pytest


@pytest.mark.parametrize("device", ["gpu"], indirect=True)
def test_kernels_are_timed_by_the_device(device: str) -> None:
    x = ad.tensor(np.ones((64, 64), np.float32), device=device)

    def work() -> ad.Tensor:
        return ad.softmax(x @ x + 1, axis=1).sum()

    expected = work().item()
    start = time.perf_counter()
    with ad.profile() as profile:
        assert work().item() == expected
    wall = time.perf_counter() - start
    kernels = [record for record in profile.records if record.device == device]
    assert any("matmul" in record.name for record in kernels)
    assert all(0 <= record.duration <= wall for record in kernels)
    assert sum(record.duration for record in kernels) > 0
    before = ad.stats()["launches"]
    work().item()
    assert ad.stats()["launches"] > before
