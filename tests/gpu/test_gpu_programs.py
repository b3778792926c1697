"""Random programs on a GPU against the CPU: outputs and gradients, plain and compiled, under low limits too.

Depends on `random_programs` and the `device` fixture. Invariant: what a device computes differs from the CPU by no more
than rounding explains, and nothing that a program was given is changed.
"""

from __future__ import annotations

from collections.abc import Iterator

import adret as ad
import numpy as np
import pytest
from random_programs import Program, grown, problems, values_of

DTYPES = (("float32",), ("float32",), ("float32", "float16"), ("float32", "bfloat16"), ("float16",))
SETTINGS = {
    "plain": {},
    "windows": {"ADRET_GPU_BINDING_BYTES": "4096"},
    "grid": {"ADRET_GPU_GRID": "7"},
    "bare": {"ADRET_GPU_DISABLE": "subgroup,float64,int64"},
    "checked": {"ADRET_GPU_CHECKED": "1"},
    "few": {"ADRET_GPU_BINDINGS": "8"},
}
CHUNK, LONG = 4, 60


def programs(first: int, full: bool) -> Iterator[Program]:
    """Programs of some seeds in several dtypes; many in the long version."""
    for seed in range(first, first + (LONG if full else CHUNK)):
        yield grown(seed, DTYPES[seed % len(DTYPES)])


def expected_of(program: Program) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """What the CPU computes, and the same in float64."""
    narrow = values_of(program.work()(*program.inputs("cpu")))
    return narrow, values_of(program.work(wide=True)(*program.inputs("cpu", wide=True)))


def wrong(program: Program, device: str, compiled: bool) -> list[str]:
    """What a device computes otherwise than the CPU."""
    narrow, exact = expected_of(program)
    given = program.inputs(device)
    found = problems(program, values_of(program.work()(*given)), narrow, exact)
    if compiled:
        run = ad.compile(program.work(touches=False))
        for number in range(3):
            found += [f"call {number + 1}: {text}" for text in problems(program, values_of(run(*given)), narrow, exact)]
    for number, (tensor, before) in enumerate(zip(given, program.inputs("cpu"), strict=True)):
        if tensor.astype("float32").tolist() != before.astype("float32").tolist():
            found.append(f"leaf {number} was changed")
    return found


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("chunk", range(3))
@pytest.mark.parametrize("device", ["gpu"], indirect=True)
def test_devices_agree(device: str, chunk: int, setting: str, full: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    first = 1000 * chunk + 100 * list(SETTINGS).index(setting)
    with monkeypatch.context() as patch:
        for name, value in SETTINGS[setting].items():
            patch.setenv(name, value)
        if setting != "plain":
            ad.reset_device(device)
        for program in programs(first, full):
            found = wrong(program, device, compiled=chunk == 0)
            assert not found, f"seed {program.seed}, {program.dtypes}:\n" + "\n".join([*found, program.text()])
    if setting != "plain":
        ad.reset_device(device)


def test_compiled_programs_are_plain_ones(full: bool) -> None:
    for program in programs(7000, full):
        given = program.inputs("cpu")
        plain = values_of(program.work(touches=False)(*given))
        run = ad.compile(program.work(touches=False))
        for _ in range(3):
            found = values_of(run(*given))
            assert [x.tobytes() for x in found] == [x.tobytes() for x in plain], f"seed {program.seed}"


def test_what_is_wrong_is_found() -> None:
    noticed = 0
    for program in programs(8000, False):
        narrow, exact = expected_of(program)
        assert problems(program, narrow, narrow, exact) == []
        for number, values in enumerate(narrow):
            if values.size and values.dtype.kind == "f":
                spoilt = [array.copy() for array in narrow]
                spoilt[number].reshape(-1)[-1] += 1.0 + float(np.abs(values).max())
                assert problems(program, spoilt, narrow, exact), f"seed {program.seed}, result {number}"
                noticed += 1
    assert noticed > 5
