"""What adret runs on here, and whether it works: `python -m adret.info [--json]`.

Depends on the core and the standard library. Invariant: asking chooses nothing and changes nothing; the exit status
is 0 exactly when every self-test passed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import adret as ad

__all__ = [
    "gather",
    "memory",
    "report",
    "self_test",
]

_GIB = 1 << 30


def gather() -> dict[str, Any]:
    """Everything that is known about this installation and this machine, as plain data.

    Example:
        >>> from adret import info
        >>> sorted(info.gather()["python"])
        ['executable', 'implementation', 'version']
    """
    import os
    import platform

    machine = ad._core._machine()
    variables = {name: value for name, value in os.environ.items() if name.startswith("ADRET_")}
    return {
        "version": ad.__version__,
        "location": str(os.path.dirname(ad.__file__)),
        "python": {
            "version": platform.python_version(),
            "implementation": platform.python_implementation(),
            "executable": sys.executable,
        },
        "platform": platform.platform(),
        "processor": {
            "name": machine["processor"],
            "features": machine["features"],
            "path": machine["path"],
            "available_paths": machine["paths"],
            "problem": machine["path_error"],
            "cores": os.cpu_count(),
            "threads": ad.get_num_threads(),
        },
        "memory": memory(),
        "gpu": _gpu(machine),
        "default_device": ad.get_default_device(),
        "default_dtype": ad.get_default_dtype().name,
        "environment": variables,
    }


def _gpu(machine: dict[str, Any]) -> dict[str, Any]:
    """The adapters, which of them can be used, and what stands against the others."""
    adapters = [{"description": text, "refused": refusal} for text, refusal in machine["adapters"]]
    devices = [name for name in ad.devices() if name != "cpu"]
    if not machine["gpu_support"]:
        reason = "this build is for the CPU alone"
    elif devices:
        reason = "name it: device='gpu', or ad.set_default_device('auto'); nothing moves to a GPU by itself"
    elif adapters:
        reason = "no adapter can be used, see each"
    else:
        reason = "no adapter answers: its driver is not installed, or hidden from this process"
    return {"devices": devices, "adapters": adapters, "reason": reason}


def memory() -> dict[str, int | None]:
    """Bytes of the machine's memory, and of the library's; None where the system does not tell.

    Example:
        >>> from adret import info
        >>> info.memory()["in_use"] >= 0
        True
    """
    total, available = _system_memory()
    stats = ad.stats()
    return {
        "total": total,
        "available": available,
        "in_use": stats["bytes_in_use"],
        "peak": stats["peak_bytes"],
        "cached": stats["bytes_cached"],
    }


def _system_memory() -> tuple[int | None, int | None]:
    """Bytes that the machine has, and that are free for programs."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            lines = dict(line.split(":", 1) for line in file)
        sizes = [int(lines[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable")]
        return sizes[0], sizes[1]
    except (OSError, KeyError, ValueError):
        return _memory_elsewhere()


def _memory_elsewhere() -> tuple[int | None, int | None]:
    """The same on systems other than Linux."""
    import os

    if sys.platform == "win32":
        import ctypes

        # MEMORYSTATUSEX: two 32-bit numbers, then seven of 64 bits, of which the first two are total and available.
        status = (ctypes.c_uint64 * 8)()
        ctypes.cast(status, ctypes.POINTER(ctypes.c_uint32))[0] = ctypes.sizeof(status)
        if ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
            return status[1], status[2]
        return None, None
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), None
    except (OSError, ValueError):
        return None, None


# The self-test


def check_product(device: str) -> str | None:
    """A matrix product of whole numbers, whose sums are exact in any order. Says what is wrong, if something is."""
    size = 96
    left = [[(7 * i + 3 * j) % 17 - 8 for j in range(size)] for i in range(size)]
    right = [[(5 * i + 11 * j) % 13 - 6 for j in range(size)] for i in range(size)]
    columns = list(zip(*right, strict=True))
    expected = [[float(sum(a * b for a, b in zip(row, column, strict=True))) for column in columns] for row in left]
    product = ad.tensor(left, dtype=ad.float32, device=device) @ ad.tensor(right, dtype=ad.float32, device=device)
    wrong = sum(a != b for rows in zip(product.tolist(), expected, strict=True) for a, b in zip(*rows, strict=True))
    return f"{wrong} of {size * size} elements are wrong" if wrong else None


def check_step(device: str) -> str | None:
    """One step of gradient descent on a line, against the same in Python's numbers. Says what is wrong."""
    rate, weight, bias = 0.1, 0.5, -0.25
    xs = [n / 8 for n in range(-8, 8)]
    errors = [weight * x + bias - (2 * x + 1) for x in xs]
    slope = sum(2 * error * x for error, x in zip(errors, xs, strict=True)) / len(xs)
    lift = sum(2 * error for error in errors) / len(xs)
    w = ad.tensor(weight, dtype=ad.float32, device=device, requires_grad=True)
    b = ad.tensor(bias, dtype=ad.float32, device=device, requires_grad=True)
    x = ad.tensor(xs, dtype=ad.float32, device=device)
    optimizer = ad.optim.SGD([w, b], lr=rate)
    loss = ((w * x + b - (2.0 * x + 1.0)) ** 2).mean()
    loss.backward()
    optimizer.step()
    found = [loss.item(), w.item(), b.item()]
    wanted = [sum(error**2 for error in errors) / len(xs), weight - rate * slope, bias - rate * lift]
    # A mean of 16 terms in float32, each rounded a few times.
    close = all(abs(a - b) <= 1e-5 * max(1.0, abs(b)) for a, b in zip(found, wanted, strict=True))
    return None if close else f"loss, weight and bias are {found} instead of {wanted}"


def check_training(device: str) -> str | None:
    """A small network learns a circle. Says what is wrong."""
    generator = ad.random.Generator(0)
    points = ad.random.uniform((256, 2), -1.0, 1.0, dtype=ad.float32, generator=generator).to(device)
    inside = ((points**2).sum(axis=1) < 0.5).astype(ad.int32)
    state = ad.random.get_state()
    try:
        ad.manual_seed(0)
        model = ad.nn.Sequential(ad.nn.Linear(2, 16), ad.nn.Tanh(), ad.nn.Linear(16, 2)).to(device)
    finally:
        ad.random.set_state(state)
    optimizer = ad.optim.Adam(model.parameters(), lr=0.03)
    losses: list[float] = []
    for _ in range(60):
        loss = ad.cross_entropy(model(points), inside)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return None if losses[-1] < 0.5 * losses[0] else f"the loss went from {losses[0]:.3f} to {losses[-1]:.3f} only"


CHECKS: dict[str, Callable[[str], str | None]] = {
    "matrix product": check_product,
    "training step": check_step,
    "training": check_training,
}


def self_test(devices: list[str]) -> list[dict[str, Any]]:
    """Runs every test on every device; what raises has failed.

    Args:
        devices: Names of devices, such as "cpu".

    Returns:
        For each test and device `test`, `device`, `problem` (None where it passed) and `seconds`.

    Example:
        >>> from adret import info
        >>> [result["problem"] for result in info.self_test(["cpu"])]
        [None, None, None]
    """
    import time

    results: list[dict[str, Any]] = []
    for device in devices:
        for name, check in CHECKS.items():
            start = time.perf_counter()
            try:
                problem = check(device)
            except Exception as error:
                problem = f"{type(error).__name__}: {error}"
            seconds = round(time.perf_counter() - start, 4)
            results.append({"device": device, "test": name, "problem": problem, "seconds": seconds})
    return results


# The report


def _gibibytes(size: int | None) -> str:
    return "unknown" if size is None else f"{size / _GIB:.1f} GiB"


def report(found: dict[str, Any]) -> str:
    """What `gather` and `self_test` found, as text.

    Args:
        found: What `gather` gave, with the results of `self_test` under "self_test".

    Example:
        >>> from adret import info
        >>> found = info.gather() | {"self_test": info.self_test(["cpu"])}
        >>> info.report(found).startswith("adret " + ad.__version__)
        True
    """
    processor, gpu, ram = found["processor"], found["gpu"], found["memory"]
    lines = [
        f"adret {found['version']} in {found['location']}",
        f"Python {found['python']['version']} ({found['python']['implementation']}), {found['platform']}",
        f"processor: {processor['name']}, {processor['cores']} cores, {processor['threads']} threads in use",
        f"  features: {' '.join(processor['features']) or 'none known'}",
        f"  vector path: {processor['path']} (of {', '.join(processor['available_paths'])})",
        *([f"  problem: {processor['problem']}"] if processor["problem"] else []),
        f"memory: {_gibibytes(ram['total'])}, {_gibibytes(ram['available'])} available, "
        f"{_gibibytes(ram['in_use'])} used by tensors",
        f"GPU: {', '.join(gpu['devices']) or 'none'}: {gpu['reason']}",
        *(f"  {adapter['description']}: {adapter['refused'] or 'can be used'}" for adapter in gpu["adapters"]),
        f"defaults: {found['default_device']}, {found['default_dtype']}",
        *(f"  {name}={value}" for name, value in sorted(found["environment"].items())),
        "self-test:",
    ]
    for result in found["self_test"]:
        verdict = "ok    " if result["problem"] is None else "FAILED"
        problem = f": {result['problem']}" if result["problem"] else ""
        lines.append(f"  {verdict} {result['device']}: {result['test']} ({result['seconds']:.2f} s){problem}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """The command; the result is its exit status."""
    import argparse

    parser = argparse.ArgumentParser(
        prog="python -m adret.info", description="What adret runs on, and whether it works."
    )
    parser.add_argument("--json", action="store_true", help="as JSON, for programs and bug reports")
    as_json = parser.parse_args(arguments).json
    found = gather()
    found["self_test"] = self_test(["cpu", *found["gpu"]["devices"]])
    found["passed"] = all(result["problem"] is None for result in found["self_test"])
    if as_json:
        import json

        print(json.dumps(found, indent=2))
    else:
        print(report(found))
    return 0 if found["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
