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

import adret as ad
import numpy as np
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


def _figures(report: ModuleType, folder: Path) -> Path:
    """A file of figures of two benches, one of them with the sizes that are drawn."""
    file = folder / "figures.json"

    def row(case: str, own: float) -> object:
        times = {"adret": report.Spread(own, own, own), "torch": report.Spread(2 * own, own, 3 * own)}
        return report.Row(case, times, {"torch": report.Spread(2.0, 1.0, 3.0)})

    machine = {"processor": "some", "cores": 2, "libraries": {"adret": "1.0", "torch": None}}
    products = [row(f"matmul {n}x{n}x{n}", 1e-9 * n**2) for n in (4, 64, 1024)]
    report.save(file, "bench_matmul", machine, products)
    report.save(file, "bench_ops", machine, [row("add 1K", 1e-6), row("add 10M", 1e-2), row("exp 10M", 2e-2)])
    return file


def test_means_of_ratios(report: ModuleType) -> None:
    assert report.geometric_mean([0.5, 2.0]) == pytest.approx(1.0)
    rows = [report.Row(f"case {r}", {}, {"numpy": report.Spread(r, r, r)}) for r in (0.5, 2.0, 8.0)]
    assert report.conclusion(rows) == (
        "numpy  geometric mean of 3 ratios 2.00, from 0.50 (case 0.5) to 8.00 (case 8.0); below 1 in 1"
    )
    assert report.conclusion([report.Row("alone", {}, {})]) == ""


def test_figures_are_read_as_they_were_written(report: ModuleType, tmp_path: Path) -> None:
    found = report.load(_figures(report, tmp_path))
    assert {title: len(rows) for title, rows in found.items()} == {"bench_matmul": 3, "bench_ops": 3}
    assert found["bench_ops"][1].case == "add 10M"
    assert found["bench_ops"][1].ratios == {"torch": (2.0, 1.0, 3.0)}


def _run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHES / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_summary_has_every_bench_and_keeps_the_peaks(report: ModuleType, tmp_path: Path) -> None:
    file = _figures(report, tmp_path)
    result = _run("summary.py", file)
    assert result.returncode == 0, result.stderr
    lines = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines() if line}
    assert lines["matmul"] == lines["ops"] == ["3", "2.00", "2.00", "0"]
    assert "geometric mean of 6 ratios 2.00" in result.stdout
    assert json.loads(file.read_text(encoding="utf-8"))["peak"]["flops"] > 0
    assert "nothing was measured" in _run("summary.py", tmp_path / "none.json").stdout


def test_plots_are_written_as_png_and_svg(report: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the plots need matplotlib")
    file = _figures(report, tmp_path)
    for script, name in (("plot_ratios.py", "ratios"), ("plot_sizes.py", "sizes")):
        result = _run(script, file, tmp_path / "plots")
        assert result.returncode == 0, result.stderr
        assert (tmp_path / "plots" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        svg = (tmp_path / "plots" / f"{name}.svg").read_text(encoding="utf-8")
        assert "<svg" in svg and "PyTorch" in svg
        assert len(svg) < 200_000
        assert "nothing was measured" in _run(script, tmp_path / "none.json", tmp_path).stdout


def test_the_floor_is_the_slower_of_arithmetic_and_memory(yardstick: ModuleType) -> None:
    sizes = importlib.import_module("plot_sizes")
    peak = {"flops": 1e9, "bandwidth": 1e9}
    products, additions = sizes.PANELS[0], sizes.PANELS[1]
    assert sizes.floor(products, [100], peak) == ([100.0], [2e-3])
    assert sizes.floor(products, [2], peak) == ([2.0], [pytest.approx(48e-9)])
    assert sizes.floor(additions, [1000], peak) == ([1000.0], [pytest.approx(12e-6)])
    # Layers 784×n, n×n, n×10 at batch 128; the first layer's input needs no gradient.
    assert sizes.PANELS[2].cost(1)[0] == 2 * 128 * (3 * (784 + 1 + 10) - 784)


def test_without_matplotlib_there_is_no_plot(
    report: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(sys, "argv", ["plot", str(_figures(report, tmp_path)), str(tmp_path / "plots")])
    assert importlib.import_module("figure").arguments() is None
    assert "matplotlib is not installed" in capsys.readouterr().out
    assert not (tmp_path / "plots").exists()


def test_every_library_has_every_case_that_a_bench_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHES))
    for title in ("bench_ops", "bench_step"):
        bench = importlib.import_module(title)
        names = set(getattr(bench, "CASES", None) or bench.NETS)
        assert set(bench.adret_cases()) == set(bench.numpy_cases()) == names


def test_by_hand_and_by_library_the_gradients_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHES))
    ops = importlib.import_module("bench_ops")
    cases = importlib.import_module("libraries")
    small = {
        name: ops.Case(case.operation, tuple((5, 7) for _ in case.shapes), 5 if case.labels else 0)
        for name, case in ops.CASES.items()
        if case.operation.endswith("gradient") or case.operation in ops.ROWS
    }
    found: dict[str, list[list[np.ndarray]]] = {name: [] for name in small}
    for library in ("adret", "numpy"):

        def keep(chosen: object, functions: dict[str, object], library: str = library) -> dict[str, object]:
            for name, case in small.items():
                make = ad.tensor if library == "adret" else np.asarray
                result = functions[case.operation](*map(make, cases._arrays(case)))  # type: ignore
                found[name].append([np.asarray(part) for part in (result if isinstance(result, tuple) else (result,))])
            return {}

        monkeypatch.setattr(cases, f"{library}_cases", keep)
        getattr(ops, f"{library}_cases")()
    for name, (own, by_hand) in found.items():
        for ours, theirs in zip(own, by_hand, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell peaks of memory")
def test_memory_is_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    case = "mlp 784-512-512-10, batch 128"
    result = _run("bench_memory.py", "--measure", "adret", case)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    # Weights and momenta alone: 670 thousand numbers each.
    assert found[""] > 2 * 4 * 650_000
    assert found.keys() == {"", ", after a step"}


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
