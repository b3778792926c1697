"""Pages that lie in the root of the repository, included here, have their links turned to where they lead from here.

Depends on Sphinx. Invariant: only links to files are touched; the pages themselves stay readable where they lie.
"""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

HERE = {"README.md": "index.md", "ARCHITECTURE.md": "architecture.md"}
HERE |= {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}


def turn(_: Sphinx, __: Path, ___: str, content: list[str]) -> None:
    """Rewrites the text of an included page in place."""

    def target(match: re.Match[str]) -> str:
        path = match[1]
        return f"]({HERE.get(path, path.removeprefix('docs/'))})"

    content[0] = re.sub(r"\]\((?!https?:|#)([^)\s]+)\)", target, content[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Listens to inclusions."""
    app.connect("include-read", turn)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
