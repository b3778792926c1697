"""Keeps the results of benches: a file of all figures with the machine they were taken on, and a plot of the ratios.

Depends on the standard library, and on matplotlib where there is one. Invariant: the benches of one run share a file of
figures, each under its name; a plot has its bench's name in its own.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import time
from pathlib import Path
from typing import Any, NamedTuple

# What begins so in the environment sets the threads, or the ways of working, of some library.
SETTINGS = ("ADRET_", "OMP_", "OPENBLAS_", "MKL_", "XLA_", "JAX_", "LP_")


class Spread(NamedTuple):
    """What rounds say: the median and the quartiles around it."""

    median: float
    low: float
    high: float


class Row(NamedTuple):
    """A case: seconds of one call per library, and how many times as long as the first library the others take."""

    case: str
    times: dict[str, Spread]
    ratios: dict[str, Spread]


def machine(libraries: list[str]) -> dict[str, Any]:
    """What figures depend on: processor, load, system, and the versions of Python and the libraries."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": {library: version(library) for library in libraries},
        "environment": {key: os.environ[key] for key in sorted(os.environ) if key.startswith(SETTINGS)},
        "taken": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def processor() -> str:
    """The processor's own name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def version(library: str) -> str | None:
    """The installed version; None where a library is used in place."""
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def save(file: Path, title: str, machine: dict[str, Any], rows: list[Row]) -> None:
    """Writes a bench's figures, beside those of other benches that the file has already."""
    figures: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    figures[title] = {
        "machine": machine,
        "cases": {
            row.case: {
                "seconds": {library: spread._asdict() for library, spread in row.times.items()},
                "ratios": {library: spread._asdict() for library, spread in row.ratios.items()},
            }
            for row in rows
        },
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def plot(file: Path, title: str, first: str, rows: list[Row]) -> list[Path]:
    """Draws the ratios, one line per case; the results are the files written, none without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("no plot: matplotlib is not installed")
        return []
    figure = Figure(figsize=(8, 1.5 + 0.3 * len(rows)), layout="constrained")
    axes = figure.subplots()
    places = range(len(rows))
    for library in sorted({library for row in rows for library in row.ratios}):
        known = [(place, row.ratios[library]) for place, row in zip(places, rows, strict=True) if library in row.ratios]
        middles = [ratio.median for _, ratio in known]
        # The quartiles of ratios lie around their median: both lengths are at least 0.
        lengths = [[r.median - r.low for _, r in known], [r.high - r.median for _, r in known]]
        axes.errorbar(middles, [place for place, _ in known], xerr=lengths, fmt="o", capsize=2, label=library)
    axes.axvline(1, color="grey", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(list(places), [row.case for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel(f"times as long as {first} (right of 1: {first} is faster); bars are quartiles")
    axes.set_title(title)
    if axes.get_legend_handles_labels()[1]:
        axes.legend()
    file.parent.mkdir(parents=True, exist_ok=True)
    files = [file.with_name(f"{file.stem}-{title}{suffix}") for suffix in (".png", ".svg")]
    for target in files:
        figure.savefig(target)
    print(f"plot: {', '.join(map(str, files))}")
    return files
