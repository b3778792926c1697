"""Ctrl-C at any moment: an exception soon, and every tensor at its value before or after a step, never between.

Depends on adret and POSIX signals. Each case is a process of its own, since it sends signals to itself.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGINT is sent as POSIX does")

LONG = """
import os, signal, threading, time
import adret as ad
from adret import nn

def interrupted(work):
    sent = []
    def send():
        time.sleep(0.4)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)
    thread = threading.Thread(target=send)
    thread.start()
    try:
        work()
        thread.join()
        time.sleep(1)
    except KeyboardInterrupt:
        thread.join()
        return time.perf_counter() - sent[0]
    raise SystemExit("it was not interrupted")

def matmul():
    a = ad.ones((8192, 8192))
    ad.eval(a)
    ad.eval(a @ a)

def convolution():
    x, kernel = ad.ones((64, 128, 64, 64)), ad.ones((128, 128, 9, 9))
    ad.eval(x, kernel)
    ad.eval(nn.functional.conv2d(x, kernel, padding=4))

def chain():
    x = ad.ones((3000, 3000))
    for _ in range(3000):
        x = ad.sin(x) * 1.0001 + 1
    ad.eval(x)

def plans():
    while True:
        ad.eval(sum(ad.ones(3) for _ in range(300)))

# A slow machine may be busy with others; the aim is half a second.
print({case}, waited := interrupted({case}))
assert waited < 2, waited
assert (ad.ones(4) * 2).sum().item() == 8
print("alive")
"""

STEPS = """
import os, random, signal, threading, time
import adret as ad
from adret import nn, optim

def build():
    ad.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 10))
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    x, y = ad.random.normal((64, 64)), ad.arange(64) % 10
    ad.eval(x, y)
    def step():
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model, optimizer, ad.compile(step) if {compiled} else step

def state(model, optimizer):
    moments = [s[key] for s in optimizer.state.values() for key in ("exp_avg", "exp_avg_sq")]
    counts = {{s["step"] for s in optimizer.state.values()}}
    assert len(counts) == 1, counts
    return counts.pop(), [t.tolist() for t in (*model.parameters(), *moments)]

model, optimizer, step = build()
step()
choice = random.Random(3)
interrupts = 0
for _ in range(30):
    # Only whole states count: a step that was cut off is undone, its random numbers are not.
    before = state(model, optimizer)
    delay = choice.uniform(0, 0.01)
    def send():
        time.sleep(delay)
        os.kill(os.getpid(), signal.SIGINT)
    thread = threading.Thread(target=send)
    done = before[0]
    try:
        thread.start()
        while True:
            step()
    except KeyboardInterrupt:
        interrupts += 1
    thread.join()
    optimizer.zero_grad()
    count, values = state(model, optimizer)
    assert count >= done
    finite = all(x == x for row in values for x in (row[0] if isinstance(row[0], list) else row))
    assert finite
    # Moments and parameters are of one step: the next one moves all of them or none.
    step()
    assert state(model, optimizer)[0] == count + 1
assert interrupts == 30
print("alive")
"""


def run(program: str) -> str:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.parametrize("case", ["matmul", "convolution", "chain", "plans"])
def test_ctrl_c_ends_what_takes_long(case: str) -> None:
    assert "alive" in run(LONG.replace("{case}", case))


@pytest.mark.parametrize("compiled", [False, True])
def test_ctrl_c_in_a_loop_of_steps_leaves_whole_steps(compiled: bool) -> None:
    assert "alive" in run(STEPS.format(compiled=compiled))
