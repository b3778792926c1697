"""The examples in the docstrings of the package, compiled parts included.

Depends on adret. Invariant: every public name has a docstring, and every example in one holds.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import adret as ad
import pytest
from adret import _core

MODULES = [name for _, name, _ in pkgutil.walk_packages(ad.__path__, "adret.") if not name.endswith("_core")]


def _run(tests: list[doctest.DocTest]) -> None:
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE, verbose=False)
    for test in tests:
        test.globs.update({**vars(ad.optim), **vars(ad.nn), "ad": ad} | test.globs)
        runner.run(test)
    assert runner.failures == 0


@pytest.mark.parametrize("name", MODULES)
def test_modules(name: str) -> None:
    _run(doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name)))


def _compiled() -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for name, value in vars(_core).items():
        if inspect.isroutine(value) or inspect.isclass(value):
            found.append((name, value))
        if inspect.isclass(value):
            found += [(f"{name}.{key}", member) for key, member in vars(value).items() if inspect.isroutine(member)]
    return [(name, value) for name, value in found if ">>>" in (getattr(value, "__doc__", None) or "")]


@pytest.mark.parametrize(("name", "value"), _compiled(), ids=[name for name, _ in _compiled()])
def test_compiled(name: str, value: object) -> None:
    _run([doctest.DocTestParser().get_doctest(value.__doc__ or "", {"ad": ad}, name, None, 0)])


@pytest.mark.parametrize("name", ad.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    value = getattr(ad, name)
    if inspect.isroutine(value) or inspect.isclass(value) or inspect.ismodule(value):
        assert value.__doc__
