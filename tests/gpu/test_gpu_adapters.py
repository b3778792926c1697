"""Several adapters, none, and drivers that are broken: what other processes see whose drivers are chosen for them.

Depends on Mesa's software driver for Vulkan, which stands in for a second adapter. Invariant: every process ends.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DRIVERS = sorted(Path("/usr/share/vulkan/icd.d").glob("lvp_icd*.json"))
pytestmark = [
    pytest.mark.parametrize("device", ["gpu"], indirect=True),
    pytest.mark.skipif(not DRIVERS, reason="Mesa's software driver is not installed"),
]
SECONDS = 120


def said(program: str, drivers: list[Path]) -> str:
    """What a program prints that has these drivers."""
    files = os.pathsep.join(str(driver) for driver in drivers)
    chosen = {"VK_ICD_FILENAMES": files, "VK_DRIVER_FILES": files, "ADRET_ALLOW_SOFTWARE_GPU": "1"}
    command = [sys.executable, "-c", f"import adret as ad\n{program}"]
    environment = {**os.environ, **chosen}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


TWO = """
print(*ad.devices())
x, y = ad.ones(3, device="gpu"), ad.ones(3, device="gpu:1")
print((x + 1).tolist(), (y + 2).tolist(), (y.to("gpu") + x).tolist())
w = ad.ones(3, device="gpu:1", requires_grad=True)
(w.to("gpu") * x).sum().backward()
print(w.grad.device, w.grad.tolist())
try:
    x + y
except ad.DeviceError as error:
    print(error)
ad.reset_device("gpu:1")
try:
    y.tolist()
except ad.DeviceLostError as error:
    print("lost")
print(x.tolist())
"""


def test_two_adapters_are_two_devices(device: str, tmp_path: Path) -> None:
    second = Path(shutil.copy(DRIVERS[0], tmp_path / "second.json"))
    lines = said(TWO, [DRIVERS[0], second]).splitlines()
    assert lines[0] == "cpu gpu gpu:1"
    assert lines[1] == "[2.0, 2.0, 2.0] [3.0, 3.0, 3.0] [2.0, 2.0, 2.0]"
    assert lines[2] == "gpu:1 [1.0, 1.0, 1.0]"
    assert "gpu:1" in lines[3] and ".to(device)" in lines[3]
    # One is given up, the other goes on.
    assert lines[4:] == ["lost", "[1.0, 1.0, 1.0]"]


@pytest.mark.parametrize(
    "content", [None, "{junk", '{"file_format_version": "1.0.0", "ICD": {"library_path": "./no"}}']
)
def test_broken_drivers_are_none(device: str, content: str | None, tmp_path: Path) -> None:
    driver = tmp_path / "broken.json"
    if content is not None:
        driver.write_text(content, encoding="utf-8")
    program = """
print(*ad.devices(), ad.set_default_device("auto"))
try:
    ad.zeros(1, device="gpu")
except ad.DeviceError as error:
    print(error)
"""
    first, error = said(program, [driver]).splitlines()
    assert first == "cpu cpu"
    assert "no graphics adapter answers" in error and "device='cpu'" in error


def test_a_missing_adapter_says_which_is_the_last(device: str) -> None:
    program = """
try:
    ad.zeros(1, device="gpu:1")
except ad.DeviceError as error:
    print(error)
"""
    assert "The last is 'gpu'" in said(program, DRIVERS[:1])
