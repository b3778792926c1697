"""Times the same work in several libraries: one process each, taking turns, so that a busy machine is busy for all.

The process whose turn it is has the machine for itself: the others are stopped, since threads that spin while they wait
for work would take its cores.

Depends on the standard library; a bench hands over its cases, and `report` writes what came of them. Invariant: a case
is the median of rounds with its quartiles, a ratio is that of the rounds of one turn; a library that is not installed
is left out and named.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from report import Row, Spread, conclusion, machine, save

# One call does the work and waits for its end; making it happens outside the timing.
Work = Callable[[], object]
Cases = dict[str, Callable[[], Work]]

ROUNDS = 9
SECONDS = 0.1
# Enough to see that a bench runs, and nothing else.
QUICK_ROUNDS = 2
QUICK_SECONDS = 0.001


def time_round(work: Work, seconds: float = SECONDS) -> float:
    """Seconds of one call, over a round of `seconds` after a quarter as much to wake up."""
    waking = time.perf_counter() + seconds / 4
    while time.perf_counter() < waking:
        work()
    calls = 0
    start = time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        work()
        calls += 1
    return passed / calls


def serve(cases: Cases, seconds: float = SECONDS) -> None:
    """A library's process: for every line that names a case, times a round and answers."""
    ready: dict[str, Work] = {}
    for line in sys.stdin:
        name = line.strip()
        if name not in cases:
            print("null", flush=True)
            continue
        if name not in ready:
            ready.clear()
            ready[name] = cases[name]()
            time_round(ready[name], seconds)
        print(json.dumps(time_round(ready[name], seconds)), flush=True)


class Library:
    """One library's process."""

    def __init__(self, name: str, seconds: float = SECONDS) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, sys.argv[0], "--serve", name, str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._signal("SIGSTOP")

    def _signal(self, name: str) -> None:
        """Stops or continues the process, where the system can."""
        if hasattr(signal, name):
            self.process.send_signal(getattr(signal, name))

    def time(self, case: str) -> float | None:
        """Seconds of one call in one round; None where the library has no such case."""
        assert self.process.stdin
        assert self.process.stdout
        self._signal("SIGCONT")
        print(case, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        self._signal("SIGSTOP")
        if not answer:
            raise SystemExit(f"{self.name}: its process ended during {case}")
        return json.loads(answer)

    def close(self) -> None:
        """Ends the process."""
        assert self.process.stdin
        self._signal("SIGCONT")
        self.process.stdin.close()
        self.process.wait()


def spread(numbers: list[float]) -> Spread:
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(numbers, n=4, method="inclusive")
    return Spread(middle, low, high)


def summary(case: str, names: list[str], rounds: list[list[float | None]]) -> Row:
    """What rounds, each with a time per library, say of a case; the first library is the measure of the ratios."""
    times: dict[str, Spread] = {}
    ratios: dict[str, Spread] = {}
    own = [turn[0] for turn in rounds]
    for name, column in zip(names, zip(*rounds, strict=True), strict=True):
        known = [seconds for seconds in column if seconds is not None]
        if len(known) < len(rounds):
            continue
        times[name] = spread(known)
        if name != names[0] and None not in own:
            ratios[name] = spread([other / mine for other, mine in zip(known, own, strict=True) if mine])
    return Row(case, times, ratios)


def compare(names: list[str], libraries: dict[str, Callable[[], Cases]]) -> None:
    """Runs a bench: `names` in order, for every library that is installed; the first library is the measure.

    Command line: words choose the cases whose names contain one of them; `--json FILE` keeps results.
    """
    if sys.argv[1:2] == ["--serve"]:
        serve(libraries[sys.argv[2]](), float(sys.argv[3]))
        return
    arguments = options(f"Times {', '.join(libraries)} in turns.")
    installed = [library for library in libraries if importlib.util.find_spec(library)]
    absent = [library for library in libraries if library not in installed]
    if absent:
        print(f"not installed: {', '.join(absent)}")
    chosen = choose(names, arguments.words)
    if not chosen:
        return
    before = machine(installed)
    warn(before)
    first, *others = installed
    head = "median of one call ± quartiles"
    width = max(len(name) for name in [head, *chosen])
    print(f"{head:{width}}{first:>18}" + "".join(f"{other:>18}{'ratio':>24}" for other in others))
    count, seconds = (QUICK_ROUNDS, QUICK_SECONDS) if arguments.quick else (ROUNDS, SECONDS)
    processes = [Library(library, seconds) for library in installed]
    rows: list[Row] = []
    for case in chosen:
        row = summary(case, installed, [[process.time(case) for process in processes] for _ in range(count)])
        rows.append(row)
        line = f"{case:{width}}{in_units(row.times.get(first)):>18}"
        for other in others:
            line += f"{in_units(row.times.get(other)):>18}{in_times(row.ratios.get(other)):>24}"
        print(line, flush=True)
    for process in processes:
        process.close()
    print(f"ratio: how many times as long as {first} [quartiles]")
    print(conclusion(rows), flush=True)
    if arguments.json:
        save(arguments.json, Path(sys.argv[0]).stem, before, rows)


def options(description: str) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("words", nargs="*", help="only cases whose names contain one of these")
    parser.add_argument("--quick", action="store_true", help="see that everything runs; figures mean nothing then")
    parser.add_argument("--json", type=Path, help="write every figure, with the machine, into this file")
    return parser.parse_args()


def choose(names: list[str], words: list[str]) -> list[str]:
    """The cases whose names contain one of the words; all where there is none."""
    chosen = [name for name in names if not words or any(word in name for word in words)]
    if not chosen:
        print(f"no case is named like {', '.join(words)}")
    return chosen


def warn(machine: dict[str, Any]) -> None:
    """Says so where others use the machine."""
    if (machine["load"] or 0) > (machine["cores"] or 1) / 2:
        print(
            f"The machine is busy: load {machine['load']:.1f} on {machine['cores']} cores. Threads that wait for others"
        )
        print("suffer most from that: judge libraries on an idle machine, or with one thread each.")


def in_units(time: Spread | None) -> str:
    """A time as people read it, and half the distance of its quartiles in percent."""
    if time is None:
        return "-"
    seconds = time.median
    text = f"{seconds * 1e3:.3f} ms" if seconds >= 1e-4 else f"{seconds * 1e6:.2f} us"
    return f"{text} ±{(time.high - time.low) / 2 / seconds:.0%}"


def in_times(ratio: Spread | None) -> str:
    """A ratio with its quartiles."""
    return "-" if ratio is None else f"{ratio.median:.2f} [{ratio.low:.2f} {ratio.high:.2f}]"
