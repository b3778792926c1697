"""Draws what a call costs against its size, from tiny to large, beside what the machine could do at best.

Depends on `figure` and `report`. Invariant: the floor is the roofline, the longer of arithmetic at the measured peak
and memory traffic at the measured bandwidth, were every byte moved once; what lies in caches may be below it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import figure
from report import Row, load


class Panel(NamedTuple):
    """Cases of one kind: how their names give the size, and what a size costs at least, in operations and bytes."""

    name: str
    title: str
    axis: str
    pattern: str
    cost: Callable[[float], tuple[float, float]]


FACTORS = {"": 1, "K": 1_000, "M": 1_000_000}


def _product(n: float) -> tuple[float, float]:
    return 2.0 * n**3, 12.0 * n**2


def _add(n: float) -> tuple[float, float]:
    return n, 12.0 * n


def _step(width: float, batch: int = 128) -> tuple[float, float]:
    """Three products per layer but for the gradient of the data; weights and momenta are read and written."""
    sizes = [784, width, width, 10]
    weights = [m * n for m, n in pairwise(sizes)]
    return 2.0 * batch * (3 * sum(weights) - weights[0]), 16.0 * sum(weights)


PANELS = [
    Panel("matmul", "product of n×n matrices", "n", r"matmul (\d+)()x\1x\1", _product),
    Panel("elementwise", "a + b", "elements", r"add (\d+)([KM]?)", _add),
    Panel("step", "step of an MLP 784-n-n-10, batch 128", "n", r"mlp 784-(\d+)()-\1-10, batch 128 compiled", _step),
]


def points(panel: Panel, rows: list[Row]) -> dict[str, list[tuple[int, float]]]:
    """Per library, sizes and seconds."""
    found: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        if match := re.fullmatch(panel.pattern, row.case):
            size = int(match[1]) * FACTORS[match[2]]
            for library, spread in row.times.items():
                found.setdefault(library, []).append((size, spread.median))
    return {library: sorted(of) for library, of in found.items()}


def floor(panel: Panel, sizes: list[int], peak: dict[str, float]) -> tuple[list[float], list[float]]:
    """Sizes close together, and seconds below which the machine cannot go."""
    low, high = min(sizes), max(sizes)
    between = [low * (high / low) ** (step / 60) for step in range(61)] if high > low else [float(low)]
    costs = [panel.cost(size) for size in between]
    return between, [max(flops / peak["flops"], bytes_ / peak["bandwidth"]) for flops, bytes_ in costs]


def draw(rows: list[Row], peak: dict[str, float], caption: str, folder: Path) -> list[Path]:
    """A panel per kind of work of which there are cases; the files written."""
    panels = [(panel, found) for panel in PANELS if (found := points(panel, rows))]
    if not panels:
        print("no plot of sizes: no case of any was measured")
        return []
    of = figure.figure(4.2 * len(panels), 4)
    every = of.subplots(1, len(panels), squeeze=False)[0]
    for axes, (panel, found) in zip(every, panels, strict=True):
        _panel(axes, panel, found, peak)
    every[0].set_ylabel("time of one call")
    handles = {label: handle for axes in every for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    of.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=len(handles), frameon=False)
    limits = f"floor: {peak['flops'] / 1e9:.0f} GFLOP/s, {peak['bandwidth'] / 1e9:.0f} GB/s, measured. " if peak else ""
    of.supxlabel(f"{limits}{caption}", fontsize=7)
    return figure.save(of, folder, "sizes")


def _panel(axes: Any, panel: Panel, found: dict[str, list[tuple[int, float]]], peak: dict[str, float]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    for library, line in found.items():
        axes.plot(
            *zip(*line, strict=True),
            marker=figure.MARKS.get(library, "o"),
            color=figure.COLOURS.get(library),
            markersize=4,
            linewidth=2 if library == "adret" else 1.2,
            label=figure.NAMES.get(library, library),
        )
    if peak:
        sizes = [size for line in found.values() for size, _ in line]
        between, seconds = floor(panel, sizes, peak)
        axes.plot(between, seconds, color=figure.INK, linestyle="--", linewidth=1, label="the machine's floor")
        # The floor of tiny sizes lies far below everything that a call can reach.
        axes.set_ylim(bottom=max(min(seconds), min(time for line in found.values() for _, time in line) / 30))
    axes.yaxis.set_major_formatter(lambda value, _: _seconds(value))
    axes.set_title(panel.title, fontsize=10)
    axes.set_xlabel(panel.axis)
    figure.plain(axes)


def _seconds(value: float) -> str:
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if value * factor >= 0.999:
            return f"{value * factor:g} {unit}"
    return f"{value * 1e9:g} ns"


def main() -> None:
    """Draws a file of figures."""
    if (found := figure.arguments()) is None:
        return
    file, folder = found
    rows = [row for bench in load(file).values() for row in bench]
    peak = json.loads(file.read_text(encoding="utf-8")).get("peak", {})
    draw(rows, peak, figure.machine_of(file), folder)


if __name__ == "__main__":
    main()
