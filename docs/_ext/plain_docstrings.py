"""Docstrings are plain text with backticks: what else means something in reStructuredText is taken literally.

Depends on Sphinx's autodoc, and must be loaded before napoleon, whose sections it leaves alone. Invariant: examples and
what stands in backticks stay as they are.
"""

from __future__ import annotations

import re

from sphinx.application import Sphinx

# |x| would be a substitution, x_ a link, *x* emphasis.
MARKS = re.compile(r"[|*]|(?<=\w)_(?!\w)")


def plain(line: str) -> str:
    """A line with its marks escaped, but in backticks."""
    parts = line.split("`")
    parts[::2] = [MARKS.sub(r"\\\g<0>", part) for part in parts[::2]]
    return "`".join(parts)


def escape(_: Sphinx, kind: str, __: str, ___: object, ____: object, lines: list[str]) -> None:
    """Rewrites a docstring in place."""
    if kind in ("attribute", "property") and lines:
        # Napoleon would take what stands before a colon for the attribute's type.
        lines[0] = lines[0].replace(": ", "; ")
    example = False
    for number, line in enumerate(lines):
        # An example goes on until the next empty line.
        example = (example or line.lstrip().startswith(">>>")) and bool(line.strip())
        if not example:
            lines[number] = plain(line)


def setup(app: Sphinx) -> dict[str, bool]:
    """Listens to docstrings as they are read."""
    app.connect("autodoc-process-docstring", escape)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
