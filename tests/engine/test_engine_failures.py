"""What happens when memory runs out, a user interrupts, a process forks, or threads share tensors.

Depends on adret, POSIX signals and fork.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading

import adret as ad
import numpy as np
import pytest
from adret import nn, optim

posix = pytest.mark.skipif(os.name != "posix", reason="signals and fork are POSIX")


@pytest.fixture
def failing():
    """Lets the n-th next allocation fail; ends that afterwards."""
    yield ad._core._fail_allocation
    ad._core._fail_allocation(None)


def test_exhausted_memory_leaves_old_values(failing) -> None:
    """Whichever allocation of a training step fails: an error, old values, and the next attempt succeeds."""
    rng = np.random.default_rng(0)
    x, y = ad.tensor(rng.standard_normal((8, 4))), ad.tensor(rng.integers(0, 3, 8))
    reached = 0
    for n in range(1, 200):
        ad.manual_seed(1)
        model = nn.Linear(4, 3)
        optimiser = optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
        inputs = x.astype("float32")
        ad.eval(inputs, *model.parameters())
        before = [p.detach().numpy(copy=True) for p in model.parameters()]
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(inputs), y).backward()
        failing(n)
        try:
            optimiser.step()
        except ad.OutOfMemoryError as error:
            failing(None)
            reached = n
            assert isinstance(error, MemoryError)
            assert re.search(
                r"asked \d+ bytes, \d+ in use, \d+ cached; the largest tensors: \d+ of \d+ bytes", str(error)
            )
        else:
            failing(None)
            assert n > 1, "a step allocated nothing"
            break
        for parameter, old in zip(model.parameters(), before, strict=True):
            assert np.array_equal(parameter.detach().numpy(), old)
        optimiser.step()
        for parameter, old in zip(model.parameters(), before, strict=True):
            assert np.isfinite(parameter.detach().numpy()).all()
            assert not np.array_equal(parameter.detach().numpy(), old)
    assert reached >= 1


def test_every_failing_allocation_is_survived(failing) -> None:
    """Creation, reading and gradients: n = 1, 2, … until nothing fails; values are right after each failure."""
    source = np.arange(1000.0)

    def work() -> float:
        x = ad.tensor(source, requires_grad=True)
        y = ad.softmax(ad.reshape(x, (10, 100)) * 0.01, axis=-1)
        loss = (y * y).sum() + ad.concat([x, x]).mean()
        loss.backward()
        return float(x.grad.numpy().sum())

    expected = work()
    for n in range(1, 100):
        failing(n)
        try:
            result = work()
        except ad.OutOfMemoryError:
            failing(None)
            assert work() == expected
            continue
        failing(None)
        assert result == expected
        return
    pytest.fail("allocations never stopped failing")


INTERRUPTED = """
import os, signal, threading, time
import numpy as np
import adret as ad
x = ad.tensor(np.ones((1500, 1500)))
with ad.no_grad():
    p = ad.tensor(np.zeros((1500, 1500)))
    ad.eval(x, p)
    y = x
    for _ in range(400):
        y = y @ x * (1 / 1500)
    p += y
    sent = []
    def send():
        time.sleep(0.3)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=send).start()
    try:
        ad.eval(p)
    except KeyboardInterrupt:
        waited = time.perf_counter() - sent[0]
        print("interrupted", waited)
        assert waited < 1.0, waited
    else:
        raise SystemExit("the evaluation was not interrupted")
assert x.sum().item() == 1500 * 1500
z = x[:4] * 2
assert z.sum().item() == 12000
print("alive")
"""


@posix
def test_ctrl_c_ends_an_evaluation() -> None:
    """A long evaluation stops within half a second or so, and everything is usable afterwards."""
    run = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "alive" in run.stdout


FORKED = """
import os
import re
import numpy as np
import adret as ad
x = ad.tensor(np.ones((600, 600)))
before = (x @ x).sum().item()
pending = x * 2
child = os.fork()
if child == 0:
    try:
        ok = (x @ x).sum().item() == before and pending.sum().item() == 720000.0
        ok = ok and ad.sum(ad.exp(ad.zeros(3_000_000))).item() == 3_000_000
    except BaseException as error:
        print(error)
        ok = False
    os._exit(0 if ok else 1)
assert (x @ x).sum().item() == before
_, status = os.waitpid(child, 0)
raise SystemExit(os.waitstatus_to_exitcode(status))
"""


@posix
def test_a_forked_child_works() -> None:
    """The child has a thread pool of its own and sees the parent's tensors."""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_threads_share_tensors() -> None:
    """Many threads evaluating, differentiating and dropping the same graphs."""
    x = ad.tensor(np.linspace(0, 1, 10_000))
    shared = ad.exp(x) * 2
    expected = (np.exp(np.linspace(0, 1, 10_000)) * 2).sum()
    problems: list[str] = []

    def work(number: int) -> None:
        try:
            for step in range(30):
                w = ad.tensor(float(number + step), dtype="float64", requires_grad=True)
                loss = (shared * w).sum()
                loss.backward()
                if abs(w.grad.item() - expected) > 1e-6 * expected:
                    problems.append(f"{w.grad.item()} and {expected}")
                with ad.no_grad():
                    if (w * 2).requires_grad:
                        problems.append("no_grad of one thread did not hold")
        except Exception as error:
            problems.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems, problems[:3]


def test_python_runs_while_the_engine_works() -> None:
    """The interpreter's lock is released during an evaluation: another thread counts meanwhile."""
    x = ad.tensor(np.ones((1200, 1200)))
    y = x
    for _ in range(12):
        y = y @ x * (1 / 1200)
    counted, stop = [0], threading.Event()

    def count() -> None:
        while not stop.is_set():
            counted[0] += 1

    thread = threading.Thread(target=count)
    thread.start()
    before = counted[0]
    ad.eval(y)
    during = counted[0] - before
    stop.set()
    thread.join()
    assert during > 1000


def test_a_bad_index_found_late_leaves_everything_usable() -> None:
    """An index that is computed raises where the value is asked for, names the op, and can be asked again."""
    x = ad.tensor([1.0, 2.0, 3.0])
    index = ad.tensor([1, 2]) * 2
    bystander = x * 10
    bad = ad.take(x, index) + bystander[:2]
    with pytest.raises(ad.OutOfRangeError, match="take"):
        bad.numpy()
    with pytest.raises(ad.OutOfRangeError, match="4"):
        bad.numpy()
    assert bystander.tolist() == [10, 20, 30]


@posix
def test_importing_is_light() -> None:
    """No NumPy, no thread, no GPU library before they are needed."""
    code = (
        "import sys, adret, threading, pathlib\n"
        "assert 'numpy' not in sys.modules\n"
        "assert len(list(pathlib.Path('/proc/self/task').iterdir())) == 1\n"
        "assert not any('vulkan' in line for line in pathlib.Path('/proc/self/maps').read_text().splitlines())\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr


def test_signals_keep_pythons_handlers() -> None:
    """The engine chains to the handler that was there."""
    if threading.current_thread() is not threading.main_thread() or os.name != "posix":
        pytest.skip("signals arrive in the main thread of POSIX systems")
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    try:
        ad.sum(ad.ones(10)).item()
        os.kill(os.getpid(), signal.SIGINT)
        ad.sum(ad.ones(11)).item()
        assert seen == [1]
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_panic_in_any_kernel_is_an_exception_and_poisons_nothing(compiled: bool, capfd) -> None:
    """A bug in the n-th kernel of a step, for every n: an error, whole tensors, and the next step works."""
    ad.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, y = ad.random.normal((5, 6)), ad.tensor([0, 1, 2, 0, 1])
    ad.eval(x)

    def step() -> None:
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()

    run = ad.compile(step) if compiled else step
    for _ in range(3):
        run()
    panics = 0
    for n in range(1, 100):
        ad._core._panic_in_kernel(n)
        try:
            run()
        except ad.InternalError as error:
            panics += 1
            assert "ordered by a test" in str(error)
        finally:
            ad._core._panic_in_kernel(None)
            optimizer.zero_grad()
        before = [parameter.tolist() for parameter in model.parameters()]
        assert all(np.isfinite(np.array(values)).all() for values in before)
        run()
        assert [parameter.tolist() for parameter in model.parameters()] != before
        if panics < n:
            break
    assert panics > 3
