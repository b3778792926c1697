"""Keeps the results of benches: a file of all figures with the machine they were taken on, and what they come to.

Depends on the standard library. Invariant: the benches of one run share a file of figures, each under its name.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
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
    """A case: seconds of one call, or bytes, per library, and how many times the first library's the others take."""

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


def save(file: Path, title: str, machine: dict[str, Any], rows: list[Row], unit: str = "seconds") -> None:
    """Writes a bench's figures, beside those of other benches that the file has already; `unit` is what they are of."""
    figures: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    figures[title] = {
        "machine": machine,
        "cases": {
            row.case: {
                unit: {library: spread._asdict() for library, spread in row.times.items()},
                "ratios": {library: spread._asdict() for library, spread in row.ratios.items()},
            }
            for row in rows
        },
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def geometric_mean(ratios: list[float]) -> float:
    """The mean of ratios: twice and half as fast is equally fast."""
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def conclusion(rows: list[Row]) -> str:
    """One line per other library: the mean of its median ratios, the extremes, and how often it was the faster one."""
    lines: list[str] = []
    for library in dict.fromkeys(library for row in rows for library in row.ratios):
        medians = {row.case: row.ratios[library].median for row in rows if library in row.ratios}
        known = {case: ratio for case, ratio in medians.items() if ratio > 0}
        if not known:
            continue
        best, worst = max(known, key=known.__getitem__), min(known, key=known.__getitem__)
        behind = sum(ratio < 1 for ratio in known.values())
        lines.append(
            f"{library:6} geometric mean of {len(known)} ratios {geometric_mean(list(known.values())):.2f}, "
            f"from {known[worst]:.2f} ({worst}) to {known[best]:.2f} ({best}); below 1 in {behind}"
        )
    return "\n".join(lines)


def load(file: Path) -> dict[str, list[Row]]:
    """The rows of every bench that a file of figures holds."""
    figures: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))

    def spreads(found: dict[str, Any]) -> dict[str, Spread]:
        return {library: Spread(**spread) for library, spread in found.items()}

    return {
        title: [
            Row(case, spreads(row.get("seconds") or row.get("bytes") or {}), spreads(row["ratios"]))
            for case, row in bench["cases"].items()
        ]
        for title, bench in figures.items()
        if "cases" in bench
    }
