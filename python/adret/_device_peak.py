"""What a GPU reaches at most: multiply-adds in registers, and copies of memory far larger than its caches.

Depends on `kernel` and `profile`. Invariant: a device is measured once; one that cannot be measured has zeros.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from . import _core
from ._core import AdretError
from ._kernel import kernel
from ._profile import Peak, profile

# Eight sums of four lanes each, so that no multiply-add waits for the one before.
_SUMS = 8
_LANES = 4
_WIDTH = 64
_ROUNDS = 256
_UNROLLED = "\n".join(f"s{number} = fma(s{number}, factor, term);" for number in range(_SUMS))
_SOURCE = f"""
@compute @workgroup_size({_WIDTH})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
    let factor = vec4<f32>(x[0]);
    let term = vec4<f32>(x[1]);
    {" ".join(f"var s{number} = vec4<f32>(f32(id.x) + {number}.0);" for number in range(_SUMS))}
    for (var round = 0; round < {_ROUNDS // 8}; round++) {{
        {_UNROLLED * 8}
    }}
    let sum = {" + ".join(f"s{number}" for number in range(_SUMS))};
    y[id.x] = sum.x + sum.y + sum.z + sum.w;
}}
"""
# A measurement shorter than this is repeated with more work.
_LONG_ENOUGH = 2e-3
_LARGEST = 1 << 28


@functools.cache
def device_peak(device: str) -> Peak:
    """Float32 arithmetic and bandwidth of a GPU by its own clock; float64 is not measured."""
    try:
        return Peak(0, _arithmetic(device), 0.0, _bandwidth(device))
    except AdretError:
        return Peak(0, 0.0, 0.0, 0.0)


def _arithmetic(device: str) -> float:
    """Operations per second, two per multiply-add."""
    x = _core.tensor([0.999, 0.001], dtype=_core.float32, device=device)
    groups = 16
    while True:
        multiply = kernel(_SOURCE, ["x"], {"y": groups * _WIDTH}, groups, name="peak")
        seconds = _shortest(lambda multiply=multiply: multiply(x))
        if seconds >= _LONG_ENOUGH or groups >= 1 << 16:
            return 2.0 * groups * _WIDTH * _ROUNDS * _SUMS * _LANES / seconds if seconds else 0.0
        groups *= 4


def _bandwidth(device: str) -> float:
    """Bytes per second, read and written."""
    size = 1 << 20
    while True:
        x = _core.full((size,), 1.0, dtype=_core.float32, device=device)
        _core.eval(x)
        seconds = _shortest(lambda x=x: x * 2.0)
        if seconds >= _LONG_ENOUGH or size >= _LARGEST // 4:
            return 2.0 * x.nbytes / seconds if seconds else 0.0
        size *= 4


def _shortest(run: Callable[[], _core.Tensor]) -> float:
    """Seconds of the fastest of some runs, after one to warm up."""
    times: list[float] = []
    for number in range(4):
        with profile() as found:
            _core.eval(run())
        if number:
            times.append(sum(record.duration for record in found.records))
    return min(times)
