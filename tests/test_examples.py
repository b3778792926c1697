"""Runs what the library shows: every program under examples/, and the examples in docstrings.

Depends on the installed package and scikit-learn. Invariant: a program checks itself and fails with a status; a
docstring must print exactly what it shows.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import adret as ad
import numpy as np
import pytest
from adret import nn, optim

ROOT = Path(__file__).parent.parent
PROGRAMS = sorted((ROOT / "examples").rglob("*.py"))
MODULES = ["adret", *(found.name for found in pkgutil.walk_packages(ad.__path__, "adret."))]
SECONDS = 120
# On a GPU in software, the others take minutes.
QUICK_ON_GPUS = {"01", "02", "03", "04", "05", "08", "14", "16"}
SECONDS_ON_GPUS = 1800
PROGRAMS_ON_GPUS = [
    pytest.param(program, marks=[] if program.name[:2] in QUICK_ON_GPUS else [pytest.mark.full]) for program in PROGRAMS
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: str(path.relative_to(ROOT / "examples")))
def test_program_succeeds(program: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", str(program)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    assert not list(tmp_path.iterdir()), "the program left files behind"


@pytest.mark.parametrize("program", PROGRAMS_ON_GPUS, ids=lambda path: str(path.relative_to(ROOT / "examples")))
@pytest.mark.parametrize("device", ["gpu"], indirect=True)
def test_program_succeeds_on_a_gpu(program: Path, device: str, tmp_path: Path) -> None:
    if "float64" in program.read_text(encoding="utf-8") and "float64" not in ad.devices()[device]["features"]:
        pytest.skip("the program computes in float64, which the adapter has not")
    command = [sys.executable, "-W", "error", str(program)]
    environment = {**os.environ, "ADRET_DEVICE": device}
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=SECONDS_ON_GPUS, check=False
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"


def documented(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Docstrings with examples that were written in a module: its own, its functions', classes' and methods'."""
    texts: dict[str, Any] = {module.__name__: module.__doc__}
    for name, value in vars(module).items():
        # Compiled functions belong to the package, wherever they say that they come from.
        home = getattr(value, "__module__", None)
        if home != module.__name__ and not (module.__name__ == "adret._core" and home in (None, "adret")):
            continue
        if inspect.isclass(value):
            texts[name] = value.__doc__
            texts |= {f"{name}.{key}": getattr(inner, "__doc__", None) for key, inner in vars(value).items()}
        elif callable(value):
            texts[name] = value.__doc__
    for name, text in texts.items():
        if isinstance(text, str) and ">>>" in text:
            yield name, text


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name: str) -> None:
    module = importlib.import_module(name)
    known = {**vars(nn.functional), **vars(nn.init), **vars(nn), **vars(optim), **vars(module), "ad": ad, "np": np}
    report: list[str] = []
    failures = 0
    for owner, text in documented(module):
        ad.manual_seed(0)
        session = doctest.DocTestParser().get_doctest(text, dict(known), f"{name}: {owner}", None, None)
        runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
        runner.run(session, out=report.append)
        failures += runner.failures
    assert failures == 0, "".join(report)


def test_public_functions_and_classes_are_documented() -> None:
    spaces = [
        ad,
        ad.random,
        nn,
        nn.functional,
        nn.init,
        nn.utils,
        optim,
        optim.lr_scheduler,
        ad.data,
        ad.callbacks,
        ad.plot,
    ]
    silent = [
        f"{space.__name__}.{name}"
        for space in spaces
        for name in getattr(space, "__all__", [key for key in vars(space) if not key.startswith("_")])
        if callable(getattr(space, name)) and not getattr(space, name).__doc__
    ]
    assert not silent
