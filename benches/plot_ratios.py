"""Draws how many times as long as adret the other libraries take: the cases that stand for the others, or all.

Depends on `figure` and `report`. Invariant: a mark is a median, its line the quartiles; where a case was not measured,
there is no mark.
"""

from __future__ import annotations

from pathlib import Path

import figure
from report import Row, load

# From single operations to whole steps. Names as the benches have them.
HEADLINES = [
    "one operation at once, 10 numbers",
    "add 1K",
    "tanh 100K",
    "exp 10M",
    "tanh(2x+1) sigmoid(x) - x², 4M",
    "sum all of 4096x4096",
    "argmax rows of 4096x4096",
    "softmax 4096x1000, with gradient",
    "layer norm 4096x1000, with gradient",
    "cross-entropy 4096x1000, with gradient",
    "matvec 4096",
    "matmul 64x64x64",
    "matmul 1024x1024x1024",
    "matmul 128x784x512",
    "matmul 784x128x512, A transposed",
    "matmul 128x512x784, B transposed",
    "matmul 64 of 128x128x128",
    "xor 2-8-2, batch 4 compiled",
    "mlp 784-512-512-10, batch 8 compiled",
    "mlp 784-512-512-10, batch 128 compiled",
    "mlp 784-512-512-10, batch 128, adam compiled",
    "mlp 784-512-512-10, batch 1024 compiled",
]


def draw(rows: list[Row], caption: str, folder: Path, name: str) -> list[Path]:
    """One line per case; the files written."""
    of = figure.figure(8, 1.4 + 0.27 * len(rows))
    axes = of.subplots()
    axes.axvspan(1e-9, 1, color="#f4f4f4", linewidth=0)
    axes.axvline(1, color=figure.INK, linewidth=1)
    libraries = list(dict.fromkeys(library for row in rows for library in row.ratios))
    # Marks of one case lie a little above each other.
    step = 0.5 / max(len(libraries), 1)
    for number, library in enumerate(libraries):
        known = [(place, row.ratios[library]) for place, row in enumerate(rows) if library in row.ratios]
        heights = [place + (number - (len(libraries) - 1) / 2) * step for place, _ in known]
        middles = [ratio.median for _, ratio in known]
        # The quartiles of ratios lie around their median: both lengths are at least 0.
        lengths = [[r.median - r.low for _, r in known], [r.high - r.median for _, r in known]]
        axes.errorbar(
            middles,
            heights,
            xerr=lengths,
            fmt=figure.MARKS.get(library, "o"),
            color=figure.COLOURS.get(library),
            markersize=5,
            linewidth=1,
            label=figure.NAMES.get(library, library),
        )
    measured = [ratio.median for row in rows for ratio in row.ratios.values()]
    axes.set_xscale("log")
    axes.set_xlim(min([0.5, *measured]) / 1.3, max([2.0, *measured]) * 1.3)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axes.set_yticks(range(len(rows)), [row.case for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel(f"times as long as adret: right of the line adret is faster\n{caption}", fontsize=8)
    figure.plain(axes)
    if libraries:
        of.legend(loc="outside upper right", ncols=len(libraries), frameon=False)
    return figure.save(of, folder, name)


def main() -> None:
    """Draws the headlines of a file of figures, and every bench."""
    if (found := figure.arguments()) is None:
        return
    file, folder = found
    benches, caption = load(file), figure.machine_of(file)
    rows = {row.case: row for bench in benches.values() for row in bench}
    headlines = [rows[name] for name in HEADLINES if name in rows]
    draw(headlines or list(rows.values()), caption, folder, "ratios")
    for title, bench in benches.items():
        draw(bench, caption, folder, f"ratios-{title.removeprefix('bench_')}")


if __name__ == "__main__":
    main()
