"""The yardstick of the benches: what it makes of rounds, what it keeps of them, and one bench from end to end.

Depends on `benches/`, run as its users run it. Invariant: no time is asserted, only what is said about times.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHES = Path(__file__).parent.parent / "benches"


@pytest.fixture
def yardstick(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHES))
    return importlib.import_module("yardstick")


@pytest.fixture
def report(yardstick: ModuleType) -> ModuleType:
    return importlib.import_module("report")


def test_summary_has_median_quartiles_and_ratios_of_turns(yardstick: ModuleType) -> None:
    rounds = [[1.0, 2.0, None], [2.0, 4.0, None], [3.0, 6.0, None], [4.0, 8.0, None], [50.0, 100.0, None]]
    row = yardstick.summary("case", ["adret", "numpy", "torch"], rounds)
    assert row.times == {"adret": (3.0, 2.0, 4.0), "numpy": (6.0, 4.0, 8.0)}
    # Each turn is compared with itself: a machine that grows busier changes no ratio.
    assert row.ratios == {"numpy": (2.0, 2.0, 2.0)}


def test_no_ratio_where_the_first_library_lacks_the_case(yardstick: ModuleType) -> None:
    row = yardstick.summary("case", ["adret", "numpy"], [[None, 1.0]] * 3)
    assert list(row.times) == ["numpy"]
    assert row.ratios == {}


def test_times_and_ratios_as_people_read_them(yardstick: ModuleType, report: ModuleType) -> None:
    assert yardstick.in_units(report.Spread(0.002, 0.0018, 0.0022)) == "2.000 ms ±10%"
    assert yardstick.in_units(report.Spread(5e-6, 5e-6, 5e-6)) == "5.00 us ±0%"
    assert yardstick.in_units(None) == yardstick.in_times(None) == "-"
    assert yardstick.in_times(report.Spread(1.5, 1.25, 2.0)) == "1.50 [1.25 2.00]"


def test_benches_share_a_file_and_replace_their_own_figures(report: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "new" / "figures.json"

    def row(seconds: float) -> object:
        spread = report.Spread(seconds, seconds, seconds)
        return report.Row("case", {"adret": spread}, {"numpy": spread})

    report.save(file, "one", {"cores": 2}, [row(1.0)])
    report.save(file, "two", {"cores": 2}, [row(2.0)])
    report.save(file, "one", {"cores": 4}, [row(3.0)])
    found = json.loads(file.read_text(encoding="utf-8"))
    assert {title: bench["machine"]["cores"] for title, bench in found.items()} == {"one": 4, "two": 2}
    assert found["one"]["cases"]["case"]["seconds"]["adret"] == {"median": 3.0, "low": 3.0, "high": 3.0}
    assert found["two"]["cases"]["case"]["ratios"]["numpy"]["median"] == 2.0


def test_the_plot_is_written_as_png_and_svg(report: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the plot needs matplotlib")
    spread = report.Spread(2.0, 1.5, 3.0)
    rows = [report.Row("both", {}, {"numpy": spread, "torch": spread}), report.Row("one", {}, {"numpy": spread})]
    files = report.plot(tmp_path / "ratios.png", "bench", "adret", rows)
    assert [file.name for file in files] == ["ratios-bench.png", "ratios-bench.svg"]
    assert files[0].read_bytes().startswith(b"\x89PNG")
    assert "<svg" in files[1].read_text(encoding="utf-8")


def test_without_matplotlib_there_is_no_plot(
    report: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert report.plot(tmp_path / "ratios.png", "bench", "adret", []) == []
    assert "matplotlib is not installed" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_a_bench_runs_and_keeps_its_figures(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    command = [sys.executable, str(BENCHES / "bench_step.py"), "xor", "--json", str(file)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    bench = json.loads(file.read_text(encoding="utf-8"))["bench_step"]
    assert list(bench["cases"]) == ["xor 2-8-2, batch 4", "xor 2-8-2, batch 4 compiled"]
    assert bench["machine"]["libraries"].keys() >= {"adret", "numpy"}
    for case in bench["cases"].values():
        for spread in (*case["seconds"].values(), *case["ratios"].values()):
            assert 0 < spread["low"] <= spread["median"] <= spread["high"]


def test_an_unknown_case_is_named() -> None:
    command = [sys.executable, str(BENCHES / "bench_step.py"), "no such step"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0
    assert "no case is named like no such step" in result.stdout
