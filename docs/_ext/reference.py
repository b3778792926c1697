"""The directive `reference`: a table of public names of one module, then the documentation of each.

Depends on Sphinx's autodoc and autosummary. Invariant: the names stand in the page, one a line; a line `name: text`
describes a value, which has no docstring of its own. `tests/test_reference.py` reads the same lines.
"""

from __future__ import annotations

import importlib
import inspect

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class Reference(SphinxDirective):
    """```{reference} MODULE, with a name or `name: text` on each line."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """The nodes of the table and of the entries."""
        module = self.arguments[0]
        lines = [line.partition(": ") for line in self.content if line.strip()]
        described = [name for name, _, text in lines if not text]
        written = [f".. currentmodule:: {module}", ""]
        if len(described) > 1:
            written += [".. autosummary::", "   :nosignatures:", "", *(f"   {name}" for name in described), ""]
        for name, _, text in lines:
            written += entry(module, name, text)
        # Pages are Markdown; what autodoc makes is reStructuredText.
        fenced = ["~~~~{eval-rst}", *written, "~~~~"]
        text, box = StringList(fenced, source=self.get_source_info()[0]), nodes.Element()
        self.state.nested_parse(text, self.content_offset, box)
        return box.children


def entry(module: str, name: str, text: str) -> list[str]:
    """What stands for one name, as reStructuredText."""
    value = getattr(importlib.import_module(module), name)
    if text:
        return [f".. py:data:: {name}", f"   :value: {value!r}", "", f"   {text}", ""]
    if not inspect.isclass(value):
        return [f".. autofunction:: {name}", ""]
    public = [base for base in value.__bases__ if base is not object and not base.__name__.startswith("_")]
    options = ["   :show-inheritance:"] * bool(public and public == list(value.__bases__))
    if members := own_members(value):
        options.append(f"   :members: {', '.join(members)}")
    return [f".. autoclass:: {name}", *options, ""]


def own_members(value: type) -> list[str]:
    """The public names that a class, or a private base of it, adds to its public bases; theirs are described there."""
    private = [base for base in value.__mro__ if base is value or base.__name__.startswith("_")]
    inherited = {name for base in value.__mro__ if base not in private for name in vars(base)}
    names = dict.fromkeys(name for base in private for name in vars(base))
    return [name for name in names if not name.startswith("_") and name not in inherited]


def setup(app: Sphinx) -> dict[str, bool]:
    """Makes the directive known."""
    app.add_directive("reference", Reference)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
