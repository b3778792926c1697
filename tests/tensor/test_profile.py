"""Profiles: names, counts, times, modules, traces, threads.

Depends on adret. Invariant: what is counted is asserted exactly; of times, only their order.
"""

from __future__ import annotations

import gc
import json
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import adret as ad
import numpy as np
import pytest


def _names(profile: ad.profile) -> list[str]:
    return [record.name for record in profile.records]


def _ready(*shape: int, dtype: str = "float32") -> ad.Tensor:
    return ad.tensor(np.random.default_rng(0).standard_normal(shape).astype(dtype))


def test_a_product_with_its_epilogue() -> None:
    x, w, bias = _ready(128, 784), _ready(784, 512), _ready(512)
    with ad.profile() as p:
        ad.eval(ad.relu(x @ w + bias))
    (record,) = p.records
    assert record.name == "matmul 128x784x512 + add+relu"
    assert record.device == "cpu" and record.module == "" and not record.is_double
    # Sum, comparison and choice per element of the product.
    assert record.flops == 2 * 128 * 784 * 512 + 3 * 128 * 512
    assert record.bytes_read == 4 * (128 * 784 + 784 * 512 + 512)
    assert 1 <= record.threads <= ad.get_num_threads()
    assert record.start >= 0 and record.duration > 0 and record.start + record.duration <= p.seconds


@pytest.mark.parametrize(
    ("shapes", "name"),
    [
        (((3, 5), (5, 7)), "matmul 3x5x7"),
        (((2, 4, 3, 5), (2, 4, 5, 7)), "matmul 3x5x7 batch 2x4"),
        (((2, 1, 3, 5), (4, 5, 7)), "matmul 3x5x7 batch 2x4"),
        (((1, 9), (9, 1)), "matmul 1x9x1"),
    ],
)
def test_products_count_exactly(shapes: tuple[tuple[int, ...], ...], name: str) -> None:
    lhs, rhs = (_ready(*shape) for shape in shapes)
    before = ad.stats()["matmul_flops"]
    with ad.profile() as p:
        y = lhs @ rhs
        ad.eval(y)
    assert _names(p) == [name]
    assert p.records[0].flops == 2 * y.size * shapes[0][-1] == ad.stats()["matmul_flops"] - before


def test_gradients_are_counted_and_named() -> None:
    x, w = _ready(16, 32), _ready(32, 8)
    w.requires_grad = True
    with ad.profile() as p:
        loss = (x @ w).sum()
        loss.backward()
        ad.eval(loss, w.grad)
    assert {name.split(" +")[0] for name in _names(p) if "matmul" in name} == {"matmul 16x32x8", "matmul 32x16x8"}


def test_elementwise_work_counts_functions_and_bytes() -> None:
    x = _ready(1000)
    with ad.profile() as p:
        ad.eval(ad.tanh(x * 2 + 1) * ad.sigmoid(x) - x)
    (record,) = p.records
    assert record.name == "group mul+add+tanh+sigmoid+sub 1000"
    assert (record.flops, record.bytes_read, record.bytes_written) == (6 * 1000, 4000, 4000)


def test_repeated_elements_and_views_count_what_is_read() -> None:
    x, row = _ready(30, 40), _ready(40)
    with ad.profile() as p:
        ad.eval(x[::2] + row)
    (record,) = p.records
    assert (record.bytes_read, record.bytes_written) == (4 * (15 * 40 + 40), 4 * 15 * 40)


def test_folds_count_every_element() -> None:
    x = _ready(20, 50, dtype="float64")
    with ad.profile() as p:
        ad.eval(ad.sum(x, axis=1))
    (record,) = p.records
    assert record.name == "rows sum 20x50 float64"
    assert (record.flops, record.bytes_read, record.bytes_written, record.is_double) == (1000, 8000, 160, True)


def test_softmax_is_one_kernel() -> None:
    x = _ready(64, 100)
    with ad.profile() as p:
        ad.eval(ad.softmax(x))
    (name,) = _names(p)
    assert name.startswith("rows ") and name.endswith(" 64x100") and "exp" in name and "max" in name


def test_routines_have_names_and_bytes() -> None:
    x, index = _ready(100, 8), ad.tensor([3, 5, 7])
    with ad.profile() as p:
        ad.eval(ad.take(x, index, axis=0), ad.concat([x, x]), ad.sort(x))
    assert sorted(name.split()[0] for name in _names(p)) == ["concat", "sort", "take"]
    take = next(record for record in p.records if record.name == "take 100x8, 3 -> 3x8")
    assert (take.flops, take.bytes_read, take.bytes_written) == (0, 3 * 8 + 4 * 24, 4 * 24)


def test_additions_into_places_are_counted() -> None:
    x, index = _ready(10, 4), ad.tensor([1, 1, 2, 1, 1])
    x.requires_grad = True
    with ad.profile() as p:
        ad.take(x, index, axis=0).sum().backward()
        ad.eval(x.grad)
    (record,) = (record for record in p.records if record.name == "accumulate 5x4, 5 -> 10x4")
    assert record.flops == 20


def test_convolutions_count_exactly() -> None:
    x, w, bias = _ready(8, 4, 9, 9), _ready(6, 2, 3, 3), _ready(6)
    for tensor in (x, w, bias):
        tensor.requires_grad = True
    with ad.profile() as p:
        y = ad.nn.functional.conv2d(x, w, bias, stride=2, padding=1, groups=2)
        y.sum().backward()
        ad.eval(y, x.grad, w.grad, bias.grad)
    assert y.shape == (8, 6, 5, 5)
    products = 2 * y.size * 2 * 3 * 3
    found = {record.name: record.flops for record in p.records if record.name.startswith("conv2d")}
    assert found == {
        "conv2d 8x4x9x9, 6x2x3x3, … -> 8x6x5x5": products + y.size,
        "conv2d 8x6x5x5, 6x2x3x3 -> 8x4x9x9": products,
        "conv2d 8x4x9x9, 8x6x5x5 -> 6x2x3x3": products,
    }


def test_batch_norm_counts_every_element() -> None:
    x = _ready(16, 3, 32, 32)
    with ad.profile() as p:
        ad.eval(ad.nn.BatchNorm2d(3)(x))
    assert sum(record.flops for record in p.records) >= 7 * x.size


def test_pooling_counts_what_windows_take() -> None:
    x = _ready(2, 3, 6, 6)
    with ad.profile() as p:
        ad.eval(ad.nn.functional.max_pool2d(x, 2), ad.nn.functional.avg_pool2d(x, 3, stride=3))
        ad.eval(ad.nn.functional.max_pool2d(x, 3, stride=3, padding=1))
    assert [record.flops for record in p.records if "pool" in record.name][:2] == [216, 216]
    # Two windows a side, which take two and three elements.
    assert [record.flops for record in p.records if "pool" in record.name][2:] == [2 * 3 * 5 * 5]


def test_empty_work_is_no_trouble() -> None:
    with ad.profile() as p:
        ad.eval(ad.ones((0, 5)) + 1, ad.ones((0, 5)) @ ad.ones((5, 3)), ad.sum(ad.ones((0,))), ad.ones(()) * 2)
    assert all(record.flops >= 0 for record in p.records)
    assert p.table() and p._repr_html_()


def test_records_are_in_order_and_add_up() -> None:
    x = _ready(50, 50)
    before = ad.stats()["launches"]
    with ad.profile() as p:
        for _ in range(5):
            x = ad.tanh(x @ x)
            ad.eval(x)
    assert len(p.records) == ad.stats()["launches"] - before
    assert all(one.start + one.duration <= other.start + 1e-9 for one, other in pairwise(p.records))
    assert sum(record.duration for record in p.records) <= p.seconds
    runs = [span for span in p.spans if span.name == "run"]
    assert len(runs) == 5
    assert sum(record.duration for record in p.records) <= sum(span.duration for span in runs) + 1e-9


def test_plans_are_seen_when_they_are_made() -> None:
    def work(size: int) -> None:
        ad.eval(ad.exp(ad.ones((size, 3, 1, 2)) * 3 - 1))

    with ad.profile() as p:
        work(11)
    assert [span.name for span in p.spans].count("plan") == 1
    with ad.profile() as again:
        work(11)
    assert sorted({span.name for span in again.spans}) == ["evaluate", "run"]


def test_modules_own_their_kernels_and_gradients() -> None:
    class Net(ad.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = ad.nn.Linear(6, 5)
            self.last = ad.nn.Linear(5, 4)

        def forward(self, x: Any) -> Any:
            return self.last(ad.tanh(self.first(x)))

    def step(net: Net) -> None:
        loss = net(_ready(3, 6)).sum()
        loss.backward()
        ad.eval(loss, *(weight.grad for weight in net.parameters()))
        net.zero_grad()

    net = Net()
    with ad.profile() as p:
        step(net)
    products = [(record.module, record.name.split()[1]) for record in p.records if "matmul" in record.name]
    sizes = [(module, sorted(map(int, name.split("x")))) for module, name in products]
    # Forward and the gradient of the weight; of the last layer's input too.
    assert sorted(sizes) == [("first", [3, 5, 6])] * 2 + [("last", [3, 4, 5])] * 3

    # The plan is known; the modules of another path own their work all the same.
    outer = ad.nn.Sequential(Net())
    with ad.profile() as p:
        step(outer)  # pyright: ignore
    assert not any(span.name == "plan" for span in p.spans)
    assert {record.module for record in p.records if "matmul" in record.name} == {"0.first", "0.last"}
    assert "0.first" in p.table(by="module")


def test_compiled_steps_are_recorded_with_their_modules() -> None:
    model = ad.nn.Sequential(ad.nn.Linear(8, 16), ad.nn.ReLU(), ad.nn.Linear(16, 2))
    optimizer = ad.optim.SGD(model.parameters(), lr=0.1)
    x = _ready(4, 8)

    def step() -> ad.Tensor:
        loss = (model(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    compiled = ad.compile(step)
    for _ in range(4):
        compiled()
    with ad.profile() as p:
        compiled()
    assert not any(span.name == "plan" for span in p.spans)
    assert [span.name for span in p.spans] == ["run", "evaluate"]
    with ad.profile() as plain:
        step()
        step()
    assert {record.module for record in p.records} == {"", "0", "2"}
    assert sorted(_names(p) * 2) == sorted(_names(plain))


def test_nested_and_overlapping_profiles() -> None:
    x = _ready(10)
    outer, other = ad.profile(), ad.profile()
    with outer:
        ad.eval(x + 1)
        with ad.profile() as inner:
            ad.eval(x * 2)
            other.__enter__()
        ad.eval(x - 3)
    ad.eval(ad.exp(x))
    other.__exit__(None, None, None)
    assert [name.split()[1] for name in _names(outer)] == ["add", "mul", "sub"]
    assert [name.split()[1] for name in _names(inner)] == ["mul"]
    assert [name.split()[1] for name in _names(other)] == ["sub", "exp"]
    with outer:
        ad.eval(ad.sqrt(x))
    assert [name.split()[1] for name in _names(outer)] == ["sqrt"]


def test_opening_twice_is_an_error() -> None:
    with ad.profile() as p:
        with pytest.raises(ad.DomainError, match="profile: this profile is open already"):
            p.__enter__()
        ad.eval(ad.ones(3) + 1)
    assert len(p.records) == 1


def test_an_exception_keeps_what_ran() -> None:
    p = ad.profile()

    def fails() -> None:
        with p:
            ad.eval(ad.ones(3) + 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert len(p.records) == 1
    ad.eval(ad.ones(3) + 2)
    assert len(p.records) == 1


def test_errors_of_kernels_keep_what_ran_before() -> None:
    x = _ready(20, 20)
    index = ad.tensor([1, 50]) + 0
    with ad.profile() as p:
        y = ad.take(x @ x, index, axis=0)
        with pytest.raises(IndexError):
            ad.eval(y)
    assert "matmul 20x20x20" in _names(p)
    assert p.table()


def test_a_forgotten_profile_stops_recording() -> None:
    p = ad.profile().__enter__()
    ad.eval(ad.ones(3) + 1)
    del p
    gc.collect()
    with ad.profile() as again:
        pass
    assert again.records == [] and again.spans == []


def test_looking_inside_the_block() -> None:
    with ad.profile() as p:
        assert p.records == [] and "No kernel ran" in str(p)
        ad.eval(ad.ones(3) + 1)
        assert len(p.records) == 1 and "open" in repr(p)
        first = p.seconds
        ad.eval(ad.ones(3) + 2)
        assert len(p.records) == 2 and p.seconds >= first
    assert "open" not in repr(p) and p.dropped == 0


def test_several_threads_are_told_apart() -> None:
    x = _ready(40, 40)

    def work() -> None:
        for _ in range(20):
            ad.eval(x @ x)

    threads = [threading.Thread(target=work) for _ in range(3)]
    with ad.profile() as p:
        for thread in threads:
            thread.start()
        work()
        for thread in threads:
            thread.join()
    assert len(p.records) == 80
    counts = [sum(record.thread == number for record in p.records) for number in {r.thread for r in p.records}]
    assert sorted(counts) == [20, 20, 20, 20]
    assert {record.thread for record in p.records} == {span.thread for span in p.spans}


def test_threads_used() -> None:
    x = _ready(600, 600)
    before = ad.get_num_threads()
    try:
        for threads in (1, 2):
            ad.set_num_threads(threads)
            with ad.profile() as p:
                ad.eval(x @ x)
                ad.eval(ad.ones(3) + 1)
            assert [record.threads for record in p.records] == [threads, 1]
            assert p.peak().threads == threads
    finally:
        ad.set_num_threads(before)


def test_the_table() -> None:
    x = _ready(30, 30)
    with ad.profile() as p:
        for _ in range(3):
            ad.eval(ad.tanh(x))
        ad.eval(x @ x, ad.exp(x) @ x)
    head, rule, *lines, summary = p.table(sort="name", limit=None).splitlines()
    assert head.split("  ")[0] == "kernel" and set(rule) == {"-", " "}
    assert [line.split("  ")[0] for line in lines] == ["group exp 30x30", "group tanh 30x30", "matmul 30x30x30"] or [
        line.split("  ")[0] for line in lines
    ] == ["group exp 900", "group tanh 900", "matmul 30x30x30"]
    assert [line.split()[3] for line in lines] == ["1", "3", lines[2].split()[3]]
    assert summary.startswith(f"{len(p.records)} kernels in ") and "Peak with" in summary
    short = p.table(sort="count", limit=1).splitlines()
    assert "tanh" in short[2] and short[3].startswith("(2 others)")
    assert p.table(limit=0).splitlines()[2].startswith("(3 others)")
    for sort in ("time", "mean", "flops", "bytes"):
        assert len(p.table(sort=sort).splitlines()) == 6
    page = p._repr_html_()
    assert page.startswith("<table>") and page.count("<tr>") == 4 and "matmul 30x30x30" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sort": "speed"}, "sort is 'speed'. Use one of time, count"),
        ({"by": "op"}, "by is 'op'. Use kernel or module"),
        ({"limit": -1}, "limit is -1"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with ad.profile() as p:
        ad.eval(ad.ones(3) + 1)
    with pytest.raises(ad.DomainError, match=message):
        p.table(**arguments)


def test_the_trace(tmp_path: Path) -> None:
    x = _ready(64, 64)
    with ad.profile() as p:
        for _ in range(3):
            x = ad.tanh(x @ x)
            ad.eval(x)
    path = tmp_path / "trace.json"
    p.chrome_trace(path)
    p.chrome_trace(str(path))
    trace = json.loads(path.read_text(encoding="utf-8"))
    events = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    assert {event["ph"] for event in trace["traceEvents"]} == {"X", "M"}
    times = [event["ts"] for event in events]
    assert times == sorted(times) and times[0] >= 0 and all(event["dur"] >= 0 for event in events)
    kernels = [event for event in events if event["cat"] == "kernel"]
    assert [event["name"] for event in kernels] == _names(p)
    assert sum(event["args"]["flops"] for event in kernels) == sum(record.flops for record in p.records)
    host = [event for event in events if event["cat"] == "host"]
    assert {event["name"] for event in host} == {"evaluate", "plan", "run", "python"}
    # Evaluations and Python's time share the profile between them, and kernels lie in runs, runs in evaluations.
    shared = sorted((e["ts"], e["dur"]) for e in host if e["name"] in ("evaluate", "python"))
    assert all(start + length <= after + 0.01 for (start, length), (after, _) in pairwise(shared))
    assert abs(sum(length for _, length in shared) - p.seconds * 1e6) < 1
    for inside, around in (("run", "evaluate"), ("plan", "evaluate")):
        outer = [event for event in host if event["name"] == around]
        for event in (event for event in host if event["name"] == inside):
            assert any(
                o["ts"] <= event["ts"] and event["ts"] + event["dur"] <= o["ts"] + o["dur"] + 0.01 for o in outer
            )


def test_an_empty_profile_has_an_empty_trace(tmp_path: Path) -> None:
    with ad.profile() as p:
        pass
    p.chrome_trace(tmp_path / "empty.json")
    trace = json.loads((tmp_path / "empty.json").read_text(encoding="utf-8"))
    assert [event for event in trace["traceEvents"] if event["ph"] == "X"] == []
    assert "No kernel ran" in p.table() and "No kernel ran" in p._repr_html_()
    with pytest.raises(FileNotFoundError):
        p.chrome_trace(tmp_path / "missing" / "trace.json")


def test_peaks_are_measured_once() -> None:
    first = ad.profile.peak()
    assert first.flops > first.flops_double > 0 and first.bandwidth > 0
    assert ad.profile.peak() == first
