"""Saving that is cut off: killed, out of room, interrupted. The earlier file stands.

Depends on adret and a POSIX system. Invariant: at every instant the path leads to a complete file.
"""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import adret as ad
import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and limits are POSIX's")

KILLS = 60


def _start(program: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


SAVES = """
    import sys
    import adret as ad

    path, number = sys.argv[1], int(sys.argv[2])
    # Two tensors that say the same: a mixture of two savings would show.
    while True:
        number += 1
        x = ad.full((60_000,), number)
        ad.save(path, {"first": x, "number": number, "second": x + 0})
        print(number, flush=True)
"""


def test_killed_at_any_moment(tmp_path: Path) -> None:
    path = tmp_path / "state"
    ad.save(path, {"first": ad.full((1,), 0), "number": 0, "second": ad.full((1,), 0)})
    chance, reached, cut = random.Random(0), 0, 0
    for _ in range(KILLS // 6):
        # Six at a time, each with a file of its own, so that starting Python does not take the whole time.
        running = [(path.with_name(f"state{n}"), n) for n in range(6)]
        for own, _ in running:
            if not own.exists():
                own.write_bytes(path.read_bytes())
        saving = [(own, _start(SAVES, own, ad.load(own)["number"])) for own, _ in running]
        for own, process in saving:
            assert process.stdout is not None
            assert process.stdout.readline(), process.communicate()
            time.sleep(chance.uniform(0, 0.01))
            process.send_signal(signal.SIGKILL)
            said = [int(line) for line in process.communicate()[0].split()]
            cut += any(f".{own.name}." in file.name for file in tmp_path.iterdir())
            state = ad.load(own)
            # What was said to be saved is there, or what came right after it.
            assert state["number"] >= max(said, default=1)
            assert bool((state["first"] == state["number"]).all())
            assert bool((state["second"] == state["number"]).all())
            reached += 1
    assert reached == KILLS
    # Some of the kills did hit a saving, or this test would show nothing.
    assert cut >= 1
    for own in tmp_path.glob("state?"):
        ad.save(own, {})
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


FULL = """
    import errno, os, resource, signal, sys
    import adret as ad

    path, limit = sys.argv[1], int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        ad.save(path, {"x": ad.zeros(100_000), "y": ad.ones(100_000)})
    except OSError as error:
        assert error.filename == path, error.filename
        assert error.errno == errno.EFBIG, error.errno
        print(type(error).__name__, error)
"""


@pytest.mark.parametrize("limit", [0, 1, 8, 4096, 400_000, 799_999])
def test_no_file_may_be_so_large(limit: int, tmp_path: Path) -> None:
    path = tmp_path / "x"
    ad.save(path, {"x": ad.arange(3)})
    said, failed = _start(FULL, path, limit).communicate()
    assert said.startswith("OSError [Errno"), failed
    assert str(path) in said
    assert ad.load(path)["x"].tolist() == [0, 1, 2]
    assert [file.name for file in tmp_path.iterdir()] == ["x"]


def test_the_disk_is_full(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode != 0:
        pytest.skip("only root may mount a file system")
    try:
        path = folder / "x"
        ad.save(path, {"x": ad.arange(3)})
        for elements in (40_000, 100_000, 1_000_000):
            with pytest.raises(OSError, match="No space left") as raised:
                ad.save(path, {"x": ad.zeros(elements), "y": ad.ones(elements)})
            assert raised.value.errno == errno.ENOSPC
            assert raised.value.filename == str(path)
            assert ad.load(path)["x"].tolist() == [0, 1, 2]
            assert os.listdir(folder) == ["x"]
        ad.save(path, {"x": ad.zeros(20_000)})
        assert ad.load(path)["x"].shape == (20_000,)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "x"
    ad.save(path, {"x": ad.arange(3)})
    for n in range(1, 20):
        big = ad.ones(1000) + 1
        ad._core._fail_allocation(n)
        try:
            ad.save(path, {"x": big})
        except ad.OutOfMemoryError:
            assert ad.load(path)["x"].tolist() == [0, 1, 2]
            assert len(list(tmp_path.iterdir())) == 1
        else:
            break
        finally:
            ad._core._fail_allocation(None)
    else:
        pytest.fail("saving never succeeded")
    assert n > 1
    ad._core._fail_allocation(1)
    try:
        with pytest.raises(ad.OutOfMemoryError):
            ad.load(path)
    finally:
        ad._core._fail_allocation(None)
    assert ad.load(path)["x"].tolist() == big.tolist()


INTERRUPTED = """
    import sys
    import adret as ad

    path = sys.argv[1]
    state = {str(n): ad.zeros(1000) for n in range(20_000)}
    ad.eval(state)
    print("ready", flush=True)
    try:
        while True:
            ad.save(path, state)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def test_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "x"
    ad.save(path, {"x": ad.arange(3)})
    process = _start(INTERRUPTED, path)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said, failed = process.communicate()
    assert said == "interrupted\n", failed
    assert len(ad.load(path)) in (1, 20_000)
    assert [file.name for file in tmp_path.iterdir()] == ["x"]


def test_two_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x"
    ad.save(path, {"number": 0})
    processes = [_start(SAVES, path, start) for start in (1000, 2000)]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline(), process.communicate()
        for _ in range(200):
            state = ad.load(path)
            assert bool((state["first"] == state["number"]).all())
    finally:
        for process in processes:
            process.kill()
            process.communicate()
