"""Runs the Python of the README and the guide, and checks that what they point at exists.

Depends on the installed package and on the pages. Invariant: the blocks of one page run in order in one namespace, from
an empty working directory; a block with prompts must print exactly what it shows.
"""

from __future__ import annotations

import doctest
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
GUIDE = [*sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs/reference").glob("*.md"))]
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *GUIDE]
ROOMS = ("rust", "python", "tests", "docs", "examples", "benches", "fuzz", ".ci")
SUFFIXES = {".py", ".pyi", ".rs", ".md", ".toml", ".wgsl", ".typed"}


class Block(NamedTuple):
    """A fenced block of a page."""

    line: int
    language: str
    text: str


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order, with the number of their first line of text."""
    start: int | None = None
    language = ""
    lines = page.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        if not line.startswith("```"):
            continue
        if start is None:
            start, language = number + 1, line[3:].strip()
        else:
            yield Block(start + 1, language, "\n".join(lines[start:number]) + "\n")
            start = None
    assert start is None, f"{page.name}: the block that opens on line {start} is never closed"


def run(page: Path, block: Block, namespace: dict[str, Any]) -> None:
    """Runs one block: as a session where it shows prompts, else as a program."""
    if not re.search(r"^>>> ", block.text, re.MULTILINE):
        # Empty lines in front make tracebacks show the page's own line numbers.
        exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), namespace)
        return
    session = doctest.DocTestParser().get_doctest(block.text, namespace, page.name, str(page), block.line - 1)
    report: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    runner.run(session, out=report.append, clear_globs=False)
    assert runner.failures == 0, "".join(report)
    # The session works on a copy; later blocks see what it bound.
    namespace.update(session.globs)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.language == "python":
            run(page, block, namespace)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing, f"{page.name}: no such file: {missing}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_files_exist(page: Path) -> None:
    missing: list[str] = []
    for name in re.findall(r"`([\w./_-]+)`", page.read_text(encoding="utf-8")):
        is_path = name.split("/")[0] in ROOMS and (name.endswith("/") or Path(name).suffix in SUFFIXES)
        if "/" in name and is_path and not (ROOT / name).exists():
            missing.append(name)
    assert not missing, f"{page.name}: no such file: {missing}"
