"""A network as a graph of its layers.

Depends on `nn` and `training`'s watching of calls. Invariant: the network is as it was.
"""

from __future__ import annotations

from typing import Any

from .._core import Tensor, no_grad
from ..autograd import leaves_of
from ..nn import Module
from ..training._modes import restored_modes, set_mode
from ..training._watch import watched
from ._messages import message


def graph_of(model: Module, inputs: Any) -> bytes:
    """The graph's message: a node for each call of an innermost layer, named by its path, and one for each input."""
    given: list[Any] = [*inputs] if isinstance(inputs, tuple) else [inputs]
    made: dict[int, str] = {}
    kept: list[Any] = []  # so that no identity is used twice
    nodes: list[bytes] = []
    counts: dict[str, int] = {}

    def add(name: str, kind: str, sources: list[str], outputs: Any) -> str:
        counts[name] = counts.get(name, 0) + 1
        unique = name if counts[name] == 1 else f"{name}_{counts[name] - 1}"
        tensors = [leaf for leaf in leaves_of(outputs) if isinstance(leaf, Tensor)]
        for tensor in tensors:
            made[id(tensor)] = unique
        kept.append(tensors)
        shapes = [message((7, message(*((2, message((1, size))) for size in leaf.shape)))) for leaf in tensors]
        attribute = message((1, "_output_shapes"), (2, message((1, b"".join(shapes)))))
        nodes.append(message((1, unique), (2, kind), *((3, source) for source in sources), (5, attribute)))
        return unique

    last = [add(f"input_{number}" if number else "input", "Input", [], tensor) for number, tensor in enumerate(given)]
    latest = last[-1:]

    def note(path: str, module: Module, arguments: tuple[Any, ...], output: Any) -> None:
        if next(module.children(), None) is not None:
            return
        leaves = [leaf for leaf in leaves_of(list(arguments)) if isinstance(leaf, Tensor)]
        known = list(dict.fromkeys(made[id(leaf)] for leaf in leaves if id(leaf) in made))
        # Where a function has changed the tensor on the way, the layer before it stands for it.
        latest[:] = [add((path or "model").replace(".", "/"), type(module).__name__, known or latest, output)]

    with restored_modes(model), no_grad(), watched(model, note):
        set_mode(model, False)
        output = model(*given)
    ends = [made[id(leaf)] for leaf in leaves_of(output) if isinstance(leaf, Tensor) and id(leaf) in made]
    add("output", "Output", list(dict.fromkeys(ends)) or latest, output)
    return b"".join(message((1, node)) for node in nodes) + message((4, message((1, 22))))
