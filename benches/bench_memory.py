"""Peak memory of training steps: adret against NumPy, PyTorch and JAX, as resident memory of a process of its own.

Depends on `bench_step` for the steps. Invariant: a case is measured in a fresh process, from what is resident once the
library is imported (and an operation of its was run, which starts its threads) to the peak while steps run: weights,
state, activations, and what the library keeps for itself. "after a step" counts from the end of the first step.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench_step import LIBRARIES, NETS
from report import Row, conclusion, machine, save
from yardstick import QUICK_ROUNDS, choose, in_times, options, summary, warn

STATUS = Path("/proc/self/status")
ROUNDS = 3
STEPS = 10
LATER = ", after a step"
# Those whose arrays are larger than what a library needs for itself.
STEPPED = [name for name in NETS if name.startswith("mlp") and not any(word in name for word in ("-8-", "-64-"))]
NAMES = [f"memory of {name}{when}" for name in STEPPED for when in ("", LATER)]


def resident() -> int:
    """Bytes of this process that are in memory."""
    return _status("VmRSS")


def peak() -> int:
    """The most bytes that were in memory since the last reset."""
    return _status("VmHWM")


def reset_peak() -> None:
    """Lets the peak begin anew at what is resident now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _status(field: str) -> int:
    line = next(line for line in STATUS.read_text(encoding="ascii").splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def measure(library: str, case: str) -> None:
    """A library's process: prints the bytes of a case from importing on, and after the first step."""
    cases = LIBRARIES[library]()
    # The smallest step imports what is imported late, and starts threads.
    cases["xor 2-8-2, batch 4"]()()
    reset_peak()
    before = resident()
    step = cases[case]()
    step()
    first = peak() - before
    reset_peak()
    before = resident()
    for _ in range(STEPS):
        step()
    after = peak() - before
    # Both peaks count from their own beginning; the later one may lie above the first.
    print(json.dumps({"": max(first, 0), LATER: max(after, 0)}))


def bytes_of(library: str, case: str) -> dict[str, float]:
    """What one process measured, at least a page, so that ratios exist."""
    command = [sys.executable, sys.argv[0], "--measure", library, case]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    return {when: max(float(number), 4096.0) for when, number in found.items()}


def main() -> None:
    """Measures every case in every library that is installed."""
    arguments = options("Measures the peak memory of training steps.")
    chosen = choose(NAMES, arguments.words)
    if not chosen:
        return
    if not STATUS.exists():
        print("no peaks of memory: this system has no /proc/self/status")
        return
    installed = [library for library in LIBRARIES if importlib.util.find_spec(library)]
    before: dict[str, Any] = machine(installed)
    warn(before)
    print(f"{'peak of resident memory':58}" + "".join(f"{library:>12}" for library in installed))
    rows: list[Row] = []
    rounds = QUICK_ROUNDS if arguments.quick else ROUNDS
    for name in STEPPED:
        wanted = {case: when for when in ("", LATER) if (case := f"memory of {name}{when}") in chosen}
        turns = [[bytes_of(library, name) for library in installed] for _ in range(rounds if wanted else 0)]
        for case, when in wanted.items():
            row = summary(case, installed, [[found[when] for found in turn] for turn in turns])
            rows.append(row)
            cells = "".join(f"{row.times[library].median / 2**20:>9.1f} MB" for library in installed)
            ratios = "  ".join(f"{library} {in_times(ratio)}" for library, ratio in row.ratios.items())
            print(f"{case:58}{cells}  {ratios}", flush=True)
    print(f"ratio: how many times as much as {installed[0]} [quartiles]")
    print(conclusion(rows), flush=True)
    if arguments.json:
        save(arguments.json, Path(sys.argv[0]).stem, before, rows, unit="bytes")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(*sys.argv[2:4])
    else:
        main()
