"""Random graphs: what may not change values, and what may not change bits.

Depends on `random_graphs`. Fused = unfused = any threads = evaluated on the way, bit for bit; all equal NumPy.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import adret as ad
import numpy as np
import pytest
import random_graphs
from random_graphs import build, values_of

CHUNK = 25
GRAPHS = 250


def seeds(chunk: int, full: bool) -> range:
    """The seeds of a chunk; four times as many in the long version."""
    size = CHUNK * (4 if full else 1)
    return range(chunk * size, (chunk + 1) * size)


def assert_bits(got: list[np.ndarray], expected: list[np.ndarray], what: str) -> None:
    """Every byte equal."""
    for number, (a, b) in enumerate(zip(got, expected, strict=True)):
        same = a.shape == b.shape and a.tobytes() == b.tobytes()
        assert same, f"{what}, output {number}: {np.count_nonzero(a != b)} of {a.size} differ, by {np.abs(a - b).max()}"


@pytest.fixture
def unfused():
    """Runs a function with one kernel per node."""

    def run(function):
        before = ad._core._set_fusion(False)
        try:
            return function()
        finally:
            ad._core._set_fusion(before)

    return run


@pytest.fixture(autouse=True)
def _threads():
    yield
    ad.set_num_threads(0)


@pytest.mark.parametrize("chunk", range(GRAPHS // CHUNK))
def test_fused_equals_unfused_equals_numpy(chunk: int, full: bool, unfused) -> None:
    """Bits between plans, tolerance against NumPy."""
    for seed in seeds(chunk, full):
        dtype, tolerance = ("float64", 1e-9) if seed % 3 else ("float32", 3e-3)
        largest = 60 if seed % 10 == 0 else 7
        _, outputs = build(seed, dtype=dtype, largest=largest)
        fused = values_of(outputs)
        separate = unfused(lambda: values_of(build(seed, dtype=dtype, largest=largest)[1]))
        assert_bits(fused, separate, f"seed {seed}, {dtype}: fused and unfused")
        if dtype == "float32" and seed % 2:
            continue
        for number, (got, (_, expected)) in enumerate(zip(fused, outputs, strict=True)):
            bad = np.abs(got - expected) > tolerance * (1 + np.abs(expected))
            # A comparison that falls on a rounding error may go either way in float32.
            few = dtype == "float32" and bad.sum() <= 0.02 * bad.size
            assert few or not bad.any(), f"seed {seed}, output {number}: {got[bad][:3]}, expected {expected[bad][:3]}"


@pytest.mark.parametrize("chunk", range(3))
def test_bits_do_not_depend_on_threads(chunk: int) -> None:
    """1, 2 and 4 threads, on graphs large enough to be shared among them."""
    for seed in range(1000 + 8 * chunk, 1008 + 8 * chunk):
        found = []
        for threads in (1, 2, 4):
            ad.set_num_threads(threads)
            found.append(values_of(build(seed, dtype="float32", largest=70)[1]))
        assert_bits(found[1], found[0], f"seed {seed}: 2 threads and 1")
        assert_bits(found[2], found[0], f"seed {seed}: 4 threads and 1")


@pytest.mark.parametrize("chunk", range(3))
def test_a_print_in_the_middle_changes_nothing(chunk: int) -> None:
    """Evaluating any node on the way leaves every bit of the outputs."""
    for seed in range(2000 + 20 * chunk, 2020 + 20 * chunk):
        plain = values_of(build(seed)[1])
        for every in (3, 1):

            def touch(number: int, tensor: ad.Tensor, every: int = every) -> None:
                if number % every == 0:
                    repr(tensor)

            assert_bits(values_of(build(seed, touch=touch)[1]), plain, f"seed {seed}: every {every}th node printed")


def gradients(seed: int, touch=None) -> tuple[list[np.ndarray], float]:
    """Gradients of a scalar made of a random graph, and its value."""
    graph, outputs = build(seed, nodes=16, requires_grad=True, touch=touch)
    loss = sum(
        ((tensor * tensor).sum() for tensor, _ in outputs if tensor.requires_grad),
        start=ad.tensor(0.0, dtype="float64"),
    )
    if not loss.requires_grad:
        return [], 0.0
    if touch is not None:
        loss.item()
    loss.backward()
    kept = [leaf.grad for leaf in graph.leaves if leaf.grad is not None]
    ad.eval(*kept)
    return [grad.numpy() for grad in kept], loss.item()


@pytest.mark.parametrize("chunk", range(4))
def test_devices_agree_with_numpy(chunk: int, device: str, full: bool) -> None:
    """Graphs in float32 on each device, within rounding."""
    size = 50 if full else 15
    for seed in range(6000 + size * chunk, 6000 + size * (chunk + 1)):
        _, outputs = build(seed, dtype="float32", device=device, casts=False)
        for number, (got, (_, expected)) in enumerate(zip(values_of(outputs), outputs, strict=True)):
            bad = np.abs(got - expected) > 2e-3 * (1 + np.abs(expected))
            # A comparison that falls on a rounding error may go either way.
            assert bad.sum() <= 0.02 * bad.size, (
                f"seed {seed}, output {number}: {got[bad][:3]}, expected {expected[bad][:3]}"
            )


@pytest.mark.parametrize("chunk", range(2))
def test_gradients_agree_between_devices(chunk: int, device: str) -> None:
    """Gradients in float32 on each device equal the CPU's in float64 within rounding."""
    for seed in range(7000 + 12 * chunk, 7012 + 12 * chunk):
        found = []
        for where, dtype in ((device, "float32"), ("cpu", "float64")):
            graph, outputs = build(seed, nodes=12, dtype=dtype, device=where, requires_grad=True, casts=False)
            kept = [(tensor * tensor).mean() for tensor, _ in outputs if tensor.requires_grad and tensor.size]
            if kept:
                sum(kept[1:], start=kept[0]).backward()
            found.append([leaf.grad.numpy().astype(float) for leaf in graph.leaves if leaf.grad is not None])
        # Leaves are rounded to float32 on one side, so kinks may fall on either side of a value.
        for got, expected in zip(*found, strict=True):
            bad = np.abs(got - expected) > 5e-3 * (1 + np.abs(expected))
            assert bad.sum() <= 0.05 * bad.size, f"seed {seed}: {got[bad][:3]}, expected {expected[bad][:3]}"


@pytest.mark.parametrize("chunk", range(3))
def test_gradients_do_not_depend_on_plans(chunk: int, unfused) -> None:
    """Fused, unfused, and with every value of the forward pass asked for before."""
    for seed in range(3000 + 20 * chunk, 3020 + 20 * chunk):
        plain, value = gradients(seed)
        separate, _ = unfused(lambda: gradients(seed))
        asked, asked_value = gradients(seed, touch=lambda _, tensor: repr(tensor))
        assert_bits(separate, plain, f"seed {seed}: gradients fused and unfused")
        assert_bits(asked, plain, f"seed {seed}: gradients after printing")
        assert value == asked_value


@pytest.mark.parametrize("chunk", range(3))
def test_gradients_agree_with_directional_differences(chunk: int) -> None:
    """The derivative along a random direction of all leaves together."""
    for seed in range(4000 + 15 * chunk, 4015 + 15 * chunk):
        graph, outputs = build(seed, nodes=14, requires_grad=True, casts=False)
        kept = [number for number, (tensor, _) in enumerate(outputs) if tensor.requires_grad]
        if not kept:
            continue
        sum((outputs[n][0] * outputs[n][0]).sum() for n in kept).backward()
        rng = np.random.default_rng(seed)
        directions = [rng.standard_normal(leaf.shape) for leaf in graph.leaves]
        slope = sum(
            float((leaf.grad.numpy() * direction).sum())
            for leaf, direction in zip(graph.leaves, directions, strict=True)
            if leaf.grad is not None
        )
        step = 1e-6
        ahead, behind = (_moved(seed, directions, sign * step, kept) for sign in (1, -1))
        estimate = (ahead - behind) / (2 * step)
        assert abs(estimate - slope) <= 1e-5 * (1 + abs(slope)), f"seed {seed}: {slope}, by differences {estimate}"


def _moved(seed: int, directions: list[np.ndarray], step: float, kept: list[int]) -> float:
    """The scalar with every leaf moved along its direction, from NumPy's side of the graph alone."""
    remaining = iter(directions)
    original = random_graphs.Graph.leaf

    def leaf(graph, shape):
        number = original(graph, shape)
        tensor, values = graph.pairs[number]
        values = values + step * next(remaining)
        graph.pairs[number] = (ad.tensor(values), values)
        return number

    random_graphs.Graph.leaf = leaf
    try:
        _, outputs = build(seed, nodes=14, casts=False)
    finally:
        random_graphs.Graph.leaf = original
    return sum(float((outputs[n][1] ** 2).sum()) for n in kept)


SCRIPT = """
import json, sys
import adret as ad
from random_graphs import build, values_of
result = {}
for seed in range(int(sys.argv[1]), int(sys.argv[2])):
    dtype = "float64" if seed % 2 else "float32"
    flat = lambda v: [list(v.shape), v.astype("float64").ravel().tolist()]
    result[seed] = [flat(v) for v in values_of(build(seed, dtype=dtype)[1])]
print(json.dumps(result))
"""


@pytest.mark.parametrize("path", ["portable"])
def test_vector_paths_agree(path: str) -> None:
    """Another vector path, in another process, gives the same values within rounding."""
    first, last = 5000, 5040
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(first), str(last)],
        env={**os.environ, "ADRET_CPU": path},
        cwd=pathlib.Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    other = json.loads(run.stdout)
    for seed in range(first, last):
        dtype, tolerance = ("float64", 1e-11) if seed % 2 else ("float32", 2e-4)
        for got, (shape, values) in zip(values_of(build(seed, dtype=dtype)[1]), other[str(seed)], strict=True):
            expected = np.array(values).reshape(shape)
            bad = np.abs(got - expected) > tolerance * (1 + np.abs(expected))
            assert bad.sum() <= (0.02 * bad.size if dtype == "float32" else 0), f"seed {seed}"
