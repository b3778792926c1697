"""Very deep and very wide graphs: no stack overflows at build, evaluation, backward or drop.

Depends on adret. A stack overflow would end the whole process, so each case runs in a process of its own.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

CASES = {
    "evaluate": """
x = ad.tensor(0.0, dtype="float64")
for _ in range({n}):
    x = x + 1.0
assert x.item() == {n}
""",
    "drop without evaluating": """
x = ad.tensor(0.0)
with_views = ad.tensor([[1.0, 2.0]])
for _ in range({n}):
    x = x * 1.0
    with_views = with_views.T
del x, with_views
""",
    "backward": """
w = ad.tensor(1.0, dtype="float64", requires_grad=True)
x = w
for _ in range({n}):
    x = x + w * 1e-6
x.backward()
assert abs(w.grad.item() - (1 + {n} * 1e-6)) < 1e-9, w.grad
""",
    "drop a history": """
w = ad.tensor(1.0, requires_grad=True)
x = w
for _ in range({n}):
    x = ad.tanh(x)
del x
""",
    "gradient of a recurrence, twice": """
w = ad.tensor(0.9, dtype="float64", requires_grad=True)
x = ad.tensor(1.0, dtype="float64")
for _ in range({n} // 20):
    x = x * w * 0.5 + 0.5
x.backward(create_graph=True)
grad = w.grad
w.grad = None
grad.backward()
assert w.grad is not None and w.grad.item() == w.grad.item()
""",
    "in-place writes": """
x = ad.zeros(4)
for _ in range({n} // 4):
    x[1] = 2.0
    x += 1
assert x.tolist()[0] == {n} // 4
""",
    "one sum of many": """
parts = [ad.tensor(float(i), dtype="float64") for i in range(20000)]
total = sum(parts[1:], start=parts[0])
assert total.item() == 20000 * 19999 / 2
stacked = ad.stack(parts[:5000])
assert ad.sum(stacked).item() == 5000 * 4999 / 2
""",
}


@pytest.mark.parametrize("case", CASES)
def test_deep_graphs(case: str) -> None:
    """100,000 nodes."""
    code = "import adret as ad\n" + CASES[case].replace("{n}", "100000")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=False)
    assert run.returncode == 0, f"exit {run.returncode}: {run.stderr[-600:]}"
