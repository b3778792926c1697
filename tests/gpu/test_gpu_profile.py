"""Profiles of work on a GPU: kernels with the device's own times.

Depends on the `device` fixture and `ad.profile`.
"""

from __future__ import annotations

import json
import pathlib
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


@pytest.mark.parametrize("device", ["gpu"], indirect=True)
def test_kernels_are_compared_with_the_device_s_peak(device: str, tmp_path: pathlib.Path) -> None:
    peak = ad.profile.peak(device)
    assert (peak.threads, peak.flops_double) == (0, 0.0)
    assert peak.flops > 1e8 and peak.bandwidth > 1e7
    assert ad.profile.peak(device) is peak
    x = ad.tensor(np.ones((64, 64), np.float32), device=device)
    with ad.profile() as profile:
        ad.eval(x @ x)
    head, _, line, summary = profile.table().splitlines()
    assert head.split()[-1] == "peak"
    # Arithmetic, bytes, and a share of what the device reaches.
    assert line.startswith(f"matmul 64x64x64 ({device})") and line.split()[-1].isdigit()
    assert f"Peak of {device}: " in summary and "thread" not in summary
    profile.chrome_trace(tmp_path / "trace.json")
    trace = json.loads((tmp_path / "trace.json").read_text(encoding="utf-8"))
    (kernel,) = [event for event in trace["traceEvents"] if event.get("cat") == "kernel"]
    assert kernel["args"]["flops"] == 2 * 64**3
    assert kernel["args"]["bytes read"] >= x.nbytes


def test_peaks_of_no_device_are_refused() -> None:
    with pytest.raises(ad.DeviceError, match="gpu:77"):
        ad.profile.peak("gpu:77")
