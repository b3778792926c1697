"""Times the same work in several libraries: one process each, taking turns, so that a busy machine is busy for all.

Depends on the standard library only; a bench hands over its cases. Invariant: what is reported is the median of rounds
and the ratio of medians; a library that is not installed is left out and named.
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

# One call does the work and waits for its end; making it happens outside the timing.
Work = Callable[[], object]
Cases = dict[str, Callable[[], Work]]

ROUNDS = 9
SECONDS = 0.05


def time_round(work: Work) -> float:
    """Seconds of one call, over a round of `SECONDS`."""
    calls = 0
    start = time.perf_counter()
    while (passed := time.perf_counter() - start) < SECONDS:
        work()
        calls += 1
    return passed / calls


def serve(cases: Cases) -> None:
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
            time_round(ready[name])
        print(json.dumps(time_round(ready[name])), flush=True)


class Library:
    """One library's process."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, sys.argv[0], "--serve", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def time(self, case: str) -> float | None:
        """Seconds of one call in one round; None where the library has no such case."""
        assert self.process.stdin
        assert self.process.stdout
        print(case, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self.name}: its process ended during {case}")
        return json.loads(answer)

    def close(self) -> None:
        """Ends the process."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def compare(names: list[str], libraries: dict[str, Callable[[], Cases]]) -> None:
    """Runs a bench: `names` in order, for every library that is installed; the first library is the measure.

    Command line: words choose the cases whose names contain one of them.
    """
    arguments = sys.argv[1:]
    if arguments[:1] == ["--serve"]:
        serve(libraries[arguments[1]]())
        return
    installed = [library for library in libraries if importlib.util.find_spec(library)]
    absent = [library for library in libraries if library not in installed]
    if absent:
        print(f"not installed: {', '.join(absent)}")
    chosen = [name for name in names if not arguments or any(word in name for word in arguments)]
    first, *others = installed
    print(f"{'median of one call':28}{first:>12}" + "".join(f"{other:>12}{'ratio':>7}" for other in others), flush=True)
    processes = [Library(library) for library in installed]
    for case in chosen:
        rounds = [[process.time(case) for process in processes] for _ in range(ROUNDS)]
        medians = [
            None if None in times else statistics.median(t for t in times if t is not None)
            for times in zip(*rounds, strict=True)
        ]
        own = medians[0]
        row = f"{case:28}{in_units(own):>12}"
        for other in medians[1:]:
            ratio = f"{other / own:.2f}" if own and other else "-"
            row += f"{in_units(other):>12}{ratio:>7}"
        print(row, flush=True)
    for process in processes:
        process.close()
    print(f"ratio: how many times as long as {first}", flush=True)


def in_units(seconds: float | None) -> str:
    """A time as people read it."""
    if seconds is None:
        return "-"
    return f"{seconds * 1e3:.3f} ms" if seconds >= 1e-4 else f"{seconds * 1e6:.2f} us"
