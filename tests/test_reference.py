"""The reference lists every public name, once, under the module that has it.

Depends on the installed package and on `docs/reference`. Invariant: what a page lists stands between ```{reference} and
```, one name a line; the directive that builds the pages reads the same lines.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import adret as ad
import pytest
from adret import _core

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted((DOCS / "reference").glob("*.md"))
BLOCK = re.compile(r"^```\{reference\} (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def listed() -> list[tuple[str, str]]:
    """Module and name of every line of every page."""
    found = [match for page in PAGES for match in BLOCK.findall(page.read_text(encoding="utf-8"))]
    return [(module, line.partition(":")[0]) for module, lines in found for line in lines.splitlines()]


def modules() -> list[ModuleType]:
    """The modules that users import from: those that say what is public."""
    names = [name for _, name, _ in pkgutil.walk_packages(ad.__path__, "adret.") if "._" not in name]
    found = [ad, *(importlib.import_module(name) for name in names)]
    return [module for module in found if hasattr(module, "__all__")]


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.__name__)
def test_every_public_name_is_in_the_reference(module: ModuleType) -> None:
    names = set(listed())
    # What two modules offer under one name is described once.
    objects = {id(getattr(importlib.import_module(name), attribute)): attribute for name, attribute in names}
    missing: list[str] = []
    for name in module.__all__:
        value = getattr(module, name)
        described = (module.__name__, name) in names or (callable(value) and objects.get(id(value)) == name)
        if not described and not inspect.ismodule(value):
            missing.append(name)
    assert not missing, f"add to a page in docs/reference, under {{reference}} {module.__name__}: {missing}"


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.__name__)
def test_a_module_lists_all_that_it_defines(module: ModuleType) -> None:
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
    hidden = [name for name in own if not name.startswith("_") and name not in module.__all__]
    # The self-test's parts are public to the tests only.
    allowed = ["check_product", "check_step", "check_training", "main"] if module.__name__ == "adret.info" else []
    assert [name for name in hidden if name not in allowed] == []


def test_the_reference_lists_only_what_is_there_and_nothing_twice() -> None:
    counts = Counter(listed())
    assert [entry for entry, count in counts.items() if count > 1] == []
    public = {module.__name__: module for module in modules()}
    wrong = [f"{module}.{name}" for module, name in counts if name not in public[module].__all__]
    assert not wrong, f"not public: {wrong}"


# Written for users by what they hold and do, not by how they are made.
WITHOUT_ARGUMENTS = {"Dataset", "Identity", "Module", "Summary"}


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.__name__)
def test_docstrings_have_an_example_and_every_argument(module: ModuleType) -> None:
    lacking: list[str] = []
    for name in module.__all__:
        value = getattr(module, name)
        is_error = inspect.isclass(value) and issubclass(value, Exception)
        # The compiled part says in tables what its functions have in common; its examples are run elsewhere.
        if value is getattr(_core, name, None) or not (inspect.isfunction(value) or inspect.isclass(value)) or is_error:
            continue
        text = value.__doc__ or ""
        parameters = [] if name in WITHOUT_ARGUMENTS else inspect.signature(value).parameters
        lacking += [
            f"{name}: {parameter}" for parameter in parameters if f" {parameter}: " not in text.replace("*", " ")
        ]
        if ">>> " not in text:
            lacking.append(f"{name}: an example")
    assert not lacking, f"{module.__name__} does not describe {lacking}"


def test_every_page_is_in_the_contents() -> None:
    contents = (DOCS / "reference/index.md").read_text(encoding="utf-8").splitlines()
    assert [page.stem for page in PAGES if page.stem != "index" and page.stem not in contents] == []


def test_docstrings_are_taken_literally(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    monkeypatch.delitem(sys.modules, "plain_docstrings", raising=False)
    pytest.importorskip("sphinx", reason="the pages are built by x.py, which installs Sphinx")
    plain = importlib.import_module("plain_docstrings")
    assert plain.plain("|x| * 2 for `a | b` and w_") == r"\|x\| \* 2 for `a | b` and w\_"
    lines = ["a * b", "", "Example:", "    >>> 2 * 3", "    6", "", "x_"]
    plain.escape(None, "function", "", None, None, lines)
    assert lines == [r"a \* b", "", "Example:", "    >>> 2 * 3", "    6", "", r"x\_"]
    lines = ["Rate: the step_"]
    plain.escape(None, "attribute", "", None, None, lines)
    assert lines == [r"Rate; the step\_"]
