"""What runs around evaluations: Python's lock, Ctrl-C, threads, import, module paths.

Depends on adret. Invariant: an interrupted evaluation leaves every tensor as it was.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import adret as ad
import pytest


def _long() -> ad.Tensor:
    """Some seconds of work."""
    x = ad.random.uniform((1500, 1500))
    ad.eval(x)
    for _ in range(60):
        x = ad.tanh(x @ x)
    return x


@pytest.mark.skipif(sys.platform == "win32", reason="signals are Unix's")
def test_ctrl_c_ends_an_evaluation() -> None:
    x = _long()
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    begin = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        ad.eval(x)
    assert time.perf_counter() - begin < 2.0
    timer.join()
    assert (ad.ones(2) + 1).tolist() == [2.0, 2.0]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are Unix's")
def test_a_handler_of_the_user_is_asked() -> None:
    caught = []
    before = signal.signal(signal.SIGINT, lambda *_: caught.append(1))
    try:
        x = ad.random.uniform((700, 700))
        for _ in range(20):
            x = ad.tanh(x @ x)
        timer = threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT))
        timer.start()
        ad.eval(x)
        timer.join()
        time.sleep(0.01)
        assert caught == [1]
        assert x.shape == (700, 700)
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_run_during_an_evaluation() -> None:
    counts = []
    done = threading.Event()

    def count() -> None:
        n = 0
        while not done.is_set():
            n += 1
            time.sleep(0.001)
        counts.append(n)

    x = ad.random.uniform((1000, 1000))
    for _ in range(10):
        x = ad.tanh(x @ x)
    thread = threading.Thread(target=count)
    thread.start()
    ad.eval(x)
    done.set()
    thread.join()
    assert counts[0] > 5


def test_threads_evaluate_at_once() -> None:
    results: list[float] = []

    def work(number: int) -> None:
        x = ad.full((50, 50), float(number))
        for _ in range(20):
            x = x + 1
        results.append(x.mean().item() - number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [20.0] * 8


def test_import_is_light() -> None:
    code = (
        "import sys, adret; assert 'numpy' not in sys.modules; "
        "import threading; assert threading.active_count() == 1; "
        "print(len([n for n in sys.modules if n.startswith('adret')]))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_child_after_fork_works() -> None:
    if not hasattr(os, "fork"):
        pytest.skip("no fork here")
    ad.eval(ad.random.uniform((200, 200)) @ ad.ones((200, 200)))
    child = os.fork()
    if child == 0:
        ok = (ad.ones((300, 300)) @ ad.ones((300, 300))).sum().item() == 300.0**3
        os._exit(0 if ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_endless_loops_stay_small() -> None:
    total = ad.zeros(())
    for _ in range(20_000):
        total = total + 1
    assert ad.stats()["pending_nodes"] < 20_000
    assert total.item() == 20_000


def test_errors_name_the_module() -> None:
    model = ad.nn.Sequential(ad.nn.Linear(3, 4), ad.nn.Linear(5, 2))
    with pytest.raises(ad.ShapeError, match=r"^1: "):
        model(ad.ones((2, 3)))


def test_eval_takes_trees() -> None:
    ad.eval(ad.ones(1) + 1, [ad.ones(1) + 2, {"a": (ad.ones(1) + 3,)}])
    with pytest.raises(TypeError):
        ad.eval(3)


def test_settings() -> None:
    assert ad.devices()["cpu"]
    assert ad.set_default_device("cpu") == "cpu"
    ad.set_num_threads(2)
    assert ad.get_num_threads() == 2
    ad.set_num_threads(0)
    ad.reset_peak_memory()
    assert ad.stats()["peak_bytes"] == ad.stats()["bytes_in_use"]


def test_signatures_are_readable() -> None:
    import inspect

    assert str(inspect.signature(ad.sum)) == "(x, /, axis=None, *, dtype=None, keepdims=False)"
    assert str(inspect.signature(ad.mse_loss)) == "(input, target, reduction='mean')"
