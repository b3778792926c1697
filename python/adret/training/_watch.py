"""Sees the calls of modules while a model runs.

Depends on `nn`. Invariant: after the block every module is as before, whatever happened inside.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from .. import nn

Seen = Callable[[str, nn.Module, tuple[Any, ...], Any], None]
"""Takes path, module, arguments and output."""


@contextmanager
def watched(
    model: nn.Module, after: Seen, before: Callable[[nn.Module], None] | None = None
) -> Generator[None, None, None]:
    """Calls `after` when a module of the model has computed, the innermost first.

    Args:
        model: Whose modules are watched.
        after: Is told of every finished call.
        before: Is told of every call that begins.
    """
    earlier: list[tuple[nn.Module, Any]] = []

    def wrap(path: str, module: nn.Module) -> None:
        forward = module.forward

        def seen(*args: Any, **kwargs: Any) -> Any:
            if before is not None:
                before(module)
            output = forward(*args, **kwargs)
            after(path, module, (*args, *kwargs.values()), output)
            return output

        earlier.append((module, vars(module).get("forward")))
        # Past `__setattr__`: to a recording nothing has changed.
        vars(module)["forward"] = seen

    try:
        for path, module in list(model.named_modules()):
            wrap(path, module)
        yield
    finally:
        for module, forward in earlier:
            if forward is None:
                vars(module).pop("forward", None)
            else:
                vars(module)["forward"] = forward
