"""A module as a function of its parameters: `functional_call`.

Depends on `_module`. Invariant: whatever happens in the call, the module has its own tensors afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from .._core import DomainError, DTypeError, Tensor
from ._module import Module

Tensors = Mapping[str, Tensor]


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Tensors | Sequence[Tensors],
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    tie_weights: bool = True,
) -> Any:
    """Calls a module with other tensors in place of its parameters and buffers.

    Gradients flow into the tensors given. The module is not changed; what it writes to a buffer goes to the tensor
    given for it.

    Args:
        module: Is called.
        parameter_and_buffer_dicts: Tensors by path, as in `state_dict`, or several such dicts; for paths that are not
            there the module's own are used.
        args: Arguments of the call: a tuple, or the only one.
        kwargs: Arguments by name.
        tie_weights: Whether a tensor that the module has under several paths is replaced under all of them.

    Raises:
        DomainError: If a path is not one of the module, is given twice, or tied paths get different tensors.
        DTypeError: If a value is no tensor.

    Example:
        >>> layer = ad.nn.Linear(2, 1, bias=False)
        >>> loss = lambda weights: ad.functional_call(layer, weights, ad.tensor([3.0, 4.0])).sum()
        >>> ad.grad(loss)({"weight": ad.ones((1, 2))})
        {'weight': tensor([[3., 4.]])}
    """
    given = _merged(parameter_and_buffer_dicts)
    places = _places(module)
    unknown = sorted(path for path in given if path not in places)
    if unknown:
        raise DomainError(
            f"functional_call: {type(module).__name__} has no {', '.join(unknown)}. "
            f"Its paths are: {', '.join(places) or 'none'}."
        )
    replaced = _tied(places, given) if tie_weights else given
    own = {path: vars(places[path][0])[places[path][1]] for path in replaced}
    arguments: tuple[Any, ...] = (args,)
    if args is None or isinstance(args, tuple):
        arguments = cast("tuple[Any, ...]", args or ())
    try:
        for path, tensor in replaced.items():
            _set(places[path], tensor)
        return module(*arguments, **(kwargs or {}))
    finally:
        for path, tensor in own.items():
            _set(places[path], tensor)


Place = tuple[Module, str]


def _set(place: Place, tensor: object) -> None:
    # Past the check that a parameter is replaced by a parameter only, and not counted as a change: it is undone.
    vars(place[0])[place[1]] = tensor


def _places(module: Module) -> dict[str, Place]:
    """The owner and the name of each parameter and buffer, under every path that leads there."""
    found: dict[str, Place] = {}

    def walk(part: Module, prefix: str, above: tuple[Module, ...]) -> None:
        names = [name for name, _ in part._own_parameters()] + [name for name, _ in part._own_buffers()]
        found.update({prefix + name: (part, name) for name in names})
        for name, child in vars(part).items():
            if isinstance(child, Module) and not any(child is other for other in above):
                walk(child, f"{prefix}{name}.", (*above, child))

    walk(module, "", (module,))
    return found


def _merged(dicts: Tensors | Sequence[Tensors]) -> dict[str, Tensor]:
    merged: dict[str, Tensor] = {}
    for tensors in [dicts] if isinstance(dicts, Mapping) else dicts:
        twice = sorted(merged.keys() & tensors.keys())
        if twice:
            raise DomainError(f"functional_call: {', '.join(twice)} is in more than one dict. Give each path once.")
        merged |= tensors
    for path, tensor in merged.items():
        if not isinstance(cast("Any", tensor), Tensor):
            raise DTypeError(f"functional_call: {path} is {type(tensor).__name__}. Give tensors by path.")
    return merged


def _tied(places: Mapping[str, Place], given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The replacements with those of tensors that the module has under other paths as well."""
    result = dict(given)
    of_tensor = {id(vars(places[path][0])[places[path][1]]): path for path in given}
    for path, (owner, name) in places.items():
        first = of_tensor.get(id(vars(owner)[name]))
        if first is None:
            continue
        if path in given and given[path] is not given[first]:
            raise DomainError(
                f"functional_call: {first} and {path} are one tensor in the module and get two. "
                "Give the same tensor, or pass tie_weights=False."
            )
        result[path] = given[first]
    return result
