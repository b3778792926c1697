"""What the benches of a run come to: median and mean ratio per library, bench by bench and in all.

Depends on `report` and a file of figures; measures the machine's peaks through adret and keeps them there. Invariant:
figures themselves stay as they are.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

from report import Row, conclusion, geometric_mean, load


def line(title: str, rows: list[Row], library: str) -> str:
    """One bench beside one library: median, geometric mean, and how many cases are behind."""
    ratios = [row.ratios[library].median for row in rows if library in row.ratios and row.ratios[library].median > 0]
    if not ratios:
        return f"{title:16}{'-':>10}{'-':>10}"
    behind = sum(ratio < 1 for ratio in ratios)
    median, mean = statistics.median(ratios), geometric_mean(ratios)
    return f"{title:16}{len(ratios):>8}{median:>10.2f}{mean:>16.2f}{behind:>10}"


def note_peak(file: Path) -> None:
    """Keeps what the machine reaches at most beside the figures, for plots."""
    from adret import profile

    peak = profile.peak()
    figures = json.loads(file.read_text(encoding="utf-8"))
    figures["peak"] = {"flops": peak.flops, "bandwidth": peak.bandwidth, "threads": peak.threads}
    file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(f"\nthis machine: {peak.flops / 1e9:.0f} GFLOP/s, {peak.bandwidth / 1e9:.0f} GB/s, {peak.threads} threads")


def main() -> None:
    """Prints the summary of a file of figures."""
    file = Path(sys.argv[1])
    benches = load(file) if file.exists() else {}
    if not any(benches.values()):
        print("nothing was measured")
        return
    libraries = dict.fromkeys(name for rows in benches.values() for row in rows for name in row.ratios)
    for library in libraries:
        print(f"\n{library + ' / adret':16}{'cases':>8}{'median':>10}{'geometric mean':>16}{'below 1':>10}")
        for title, rows in benches.items():
            if any(library in row.ratios for row in rows):
                print(line(title.removeprefix("bench_"), rows, library))
        # Time and memory are different things: bytes have a mean of their own.
        timed = [row for title, rows in benches.items() if title != "bench_memory" for row in rows]
        print(line("all times", timed, library))
    everything = [row for rows in benches.values() for row in rows]
    print(f"\n{conclusion(everything)}")
    note_peak(file)


if __name__ == "__main__":
    main()
