"""Many Python threads and processes at once: no deadlock, no torn value.

Depends on adret. The threads run for seconds, with `--full` for a minute.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time

import adret as ad
import numpy as np
import pytest
from adret import nn, optim

posix = pytest.mark.skipif(os.name != "posix", reason="fork is POSIX")


def test_eight_threads_share_tensors(full: bool) -> None:
    """Building, evaluating, rebinding, compiled and plain: shared tensors stay uniform, own ones right."""
    seconds = 60 if full else 4
    shared = [ad.zeros(4000) for _ in range(4)]
    failures: list[BaseException] = []
    counts = [0] * 8
    stop = time.monotonic() + seconds

    def uniform(tensor: ad.Tensor) -> None:
        values = tensor.numpy()
        assert (values == values[0]).all(), "a torn value"

    def work(number: int) -> None:
        rng = np.random.default_rng(number)
        own = ad.zeros(100)
        added = 0
        square = ad.compile(lambda x: x * x + 1)
        model = nn.Linear(8, 4)
        optimizer = optim.Adam(model.parameters(), lr=0.01)

        @ad.compile
        def step(x: ad.Tensor) -> ad.Tensor:
            loss = (model(x) ** 2).mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return loss

        try:
            while time.monotonic() < stop:
                target = shared[rng.integers(4)]
                match rng.integers(6):
                    case 0:
                        target += float(rng.integers(1, 5))
                    case 1:
                        target.assign(ad.full(4000, float(rng.integers(100))))
                    case 2:
                        uniform(target)
                    case 3:
                        target.assign(target * 0.5 + shared[rng.integers(4)] * 0.25)
                        uniform(target.detach())
                    case 4:
                        own += 1
                        added += 1
                        if added == 1000:
                            own.assign(0)
                            added = 0
                        assert own.tolist() == [added] * 100
                        assert square(own)[0].item() == added * added + 1
                    case _:
                        assert np.isfinite(step(ad.ones((3, 8))).item())
                counts[number] += 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + 60)
    assert not any(thread.is_alive() for thread in threads), "a deadlock"
    assert not failures, failures
    assert min(counts) > 0
    for tensor in shared:
        uniform(tensor)


def sum_in_child(numbers: np.ndarray) -> float:
    x = ad.tensor(numbers)
    return float((x @ x).sum().item())


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_processes_of_every_start_method(method: str) -> None:
    """Work before, in and after the children."""
    numbers = np.arange(90_000.0).reshape(300, 300) % 7
    expected = sum_in_child(numbers)
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(sum_in_child, [numbers] * 4) == [expected] * 4
    assert sum_in_child(numbers) == expected


PREFORK = """
import os, threading, time
import adret as ad

# As a server does that loads its model, warms up, goes on working in a thread, and forks.
weights = ad.random.normal((200, 200))
expected = (weights @ weights).sum().item()
going = True
def background():
    while going:
        (weights @ weights * 2).sum().item()
thread = threading.Thread(target=background)
thread.start()
time.sleep(0.05)
for round in range(15):
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            ok = (weights @ weights).sum().item() == expected and ad.ones(1_000_000).sum().item() == 1_000_000
            os._exit(0 if ok else 1)
        children.append(child)
    for child in children:
        deadline = time.monotonic() + 60
        while True:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                assert os.waitstatus_to_exitcode(status) == 0
                break
            if time.monotonic() > deadline:
                os.kill(child, 9)
                raise SystemExit("a child hangs")
            time.sleep(0.002)
going = False
thread.join()
print("alive")
"""


@posix
def test_a_server_that_forks_while_a_thread_computes() -> None:
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PREFORK], capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "alive" in result.stdout


def test_the_number_of_threads_comes_from_the_environment() -> None:
    program = "import adret as ad; print(ad.get_num_threads())"
    environment = {**os.environ, "ADRET_NUM_THREADS": "3"}
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True
    )
    assert result.stdout.strip() == "3"
