"""`python -m adret.info`: what it says, and that it fails when something is wrong.

Depends on adret.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys

import adret as ad
import pytest
from adret import info


def _run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "adret.info", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **variables})


def test_as_json() -> None:
    done = _run("--json", ADRET_NUM_THREADS="1", ADRET_CPU="portable")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["version"] == ad.__version__
    assert found["passed"] is True
    assert (found["processor"]["path"], found["processor"]["threads"]) == ("portable", 1)
    assert found["processor"]["available_paths"][0] == "portable"
    assert found["environment"]["ADRET_CPU"] == "portable"
    assert found["memory"]["in_use"] >= 0
    assert {result["test"] for result in found["self_test"]} == set(info.CHECKS)
    assert found["gpu"]["reason"]
    for adapter in found["gpu"]["adapters"]:
        assert adapter["refused"] or found["gpu"]["devices"]


def test_as_text() -> None:
    done = _run()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"adret {ad.__version__} in ")
    for part in ("vector path: ", "memory: ", "GPU: ", "ok     cpu: matrix product"):
        assert part in done.stdout


@pytest.mark.parametrize("name", ["mmx", "avx2" if platform.machine() in ("aarch64", "arm64") else "neon"])
def test_a_path_that_is_not_there(name: str) -> None:
    done = _run(ADRET_CPU=name)
    assert f'problem: ADRET_CPU: this processor has no path "{name}"' in done.stdout
    assert "portable" in done.stdout


def test_a_wrong_product_is_found(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(ad, "tensor", lambda data, **kinds: ad._core.tensor(data, **kinds) + 0.001)
    assert info.main([]) == 1
    said = capsys.readouterr().out
    assert "FAILED cpu: matrix product" in said
    assert "elements are wrong" in said
    assert "FAILED cpu: training step" in said


def test_a_wrong_step_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ad.optim.SGD, "update", lambda *_: None)
    assert "instead of" in str(info.check_step("cpu"))


def test_a_crash_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(_: str) -> str:
        raise ad.InternalError("broken")

    monkeypatch.setitem(info.CHECKS, "crash", crash)
    assert info.self_test(["cpu"])[-1]["problem"] == "InternalError: broken"


def test_nothing_changes() -> None:
    before = ad.random.get_state(), ad.get_default_device(), ad.get_num_threads()
    info.gather()
    info.self_test(["cpu"])
    assert (ad.random.get_state(), ad.get_default_device(), ad.get_num_threads()) == before
