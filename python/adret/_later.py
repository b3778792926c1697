"""Names of a package whose modules are loaded when they are first asked for, so that importing the package stays quick.

Depends on nothing. Invariant: a name that was asked for is an ordinary attribute from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from importlib import import_module
from typing import Any


def loader(namespace: MutableMapping[str, Any], modules: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package.

    Args:
        namespace: The package's `globals()`.
        modules: Relative names of modules, with the names that they hold, separated by blanks.
    """
    places = {name: module for module, names in modules.items() for name in names.split()}
    package = namespace["__name__"]

    def load(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = namespace[name] = getattr(import_module(places[name], namespace["__package__"]), name)
        return value

    return load
