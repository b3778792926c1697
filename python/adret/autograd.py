"""Gradients of functions: `grad`, `value_and_grad`, `vjp`, `jvp`.

Depends on the core only. Invariant: what these functions return has a history only where an argument had one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from . import _core
from ._core import DTypeError, GradError, ShapeError, Tensor, enable_grad

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

Tree = Any
"""Tensors in nested tuples, lists and dicts."""


def within(block: AbstractContextManager[Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that runs inside `block` each time; what `no_grad` does as a decorator."""
    # Bit 5 of a code's flags marks generators; `inspect` would take as long to import as the rest of the package.
    if getattr(getattr(function, "__code__", None), "co_flags", 0) & 0x20:
        # Between two items the caller's mode is in force, so that a generator cannot be wrapped as a whole.
        @functools.wraps(function)
        def generator(*args: Any, **kwargs: Any) -> Iterable[Any]:
            with block:
                items = function(*args, **kwargs)
            while True:
                with block:
                    try:
                        item = next(items)
                    except StopIteration as stop:
                        return stop.value
                yield item

        return generator

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with block:
            return function(*args, **kwargs)

    return wrapper


def leaves_of(tree: Tree) -> list[Any]:
    """The leaves from left to right; `None` is a tree without leaves."""
    if isinstance(tree, Mapping):
        return [leaf for item in cast("Mapping[Any, Any]", tree).values() for leaf in leaves_of(item)]
    if isinstance(tree, tuple | list):
        return [leaf for item in cast("Sequence[Any]", tree) for leaf in leaves_of(item)]
    return [] if tree is None else [tree]


def rebuilt(tree: Tree, leaves: Iterable[Any]) -> Tree:
    """The tree with its leaves replaced in order."""
    return _build(tree, iter(leaves))


def _build(part: Tree, source: Iterator[Any]) -> Tree:
    # Not inside of `rebuilt`: a function that calls itself from a closure keeps the leaves until garbage is collected.
    if isinstance(part, Mapping):
        items = {key: _build(item, source) for key, item in cast("Mapping[Any, Any]", part).items()}
        return items if type(cast("Any", part)) is dict else type(cast("Any", part))(items)
    if isinstance(part, tuple | list):
        made = [_build(item, source) for item in cast("Sequence[Any]", part)]
        if isinstance(part, tuple) and hasattr(cast("Any", part), "_fields"):
            return type(cast("Any", part))(*made)
        return type(cast("Any", part))(made)
    return None if part is None else next(source)


def tensors_of(name: str, tree: Tree) -> list[Tensor]:
    """The leaves as tensors; numbers become 0-d ones."""
    found: list[Tensor] = []
    for leaf in leaves_of(tree):
        if isinstance(leaf, Tensor):
            found.append(leaf)
        elif isinstance(leaf, float):
            found.append(_core.asarray(leaf))
        else:
            raise DTypeError(
                f"{name}: an argument to differentiate by is a {type(leaf).__name__}. "
                "Pass floats or floating-point tensors, or choose other arguments with argnums."
            )
    return found


def pull(
    outputs: Sequence[Tensor], cotangents: Sequence[Tensor | None], variables: Sequence[Tensor], create_graph: bool
) -> list[Tensor]:
    """Gradients, zeros where the outputs do not depend on a variable."""
    used = [output.requires_grad for output in outputs]
    kept = [output for output, needed in zip(outputs, used, strict=True) if needed]
    if not kept:
        return [_core.zeros_like(variable) for variable in variables]
    weights = [cotangent for cotangent, needed in zip(cotangents, used, strict=True) if needed]
    # The history belongs to the function's caller where it closes over tensors, so it is never released here.
    found = _core._gradients(kept, weights, list(variables), True, create_graph)
    return [
        _core.zeros_like(variable) if gradient is None else gradient
        for variable, gradient in zip(variables, found, strict=True)
    ]


def selected(name: str, argnums: int | Sequence[int], count: int) -> list[int]:
    """The positions that argnums names, of `count` arguments."""
    numbers = [argnums] if isinstance(argnums, int) else argnums
    if isinstance(numbers, str) or not all(isinstance(number, int) for number in cast("Sequence[object]", numbers)):
        raise DTypeError(f"{name}: argnums is {argnums!r}. Use the place of an argument, or a list of places.")
    chosen = [number + count if number < 0 else number for number in numbers]
    if any(not 0 <= number < count for number in chosen):
        raise GradError(f"{name}: argnums is {argnums} and there are {count} positional arguments. Count them from 0.")
    return chosen


def value_and_grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., tuple[Any, Any]]:
    """A function that returns f's value and its gradient.

    Args:
        f: Returns a tensor of one element.
        argnums: The argument to differentiate by, or several; each may be a tree of tensors.

    Returns:
        A function of f's arguments that gives `(value, gradient)`; the gradient has the structure of the argument,
        or is a tuple for several. It can be differentiated again where an argument requires grad.

    Raises:
        GradError: If f's value has more than one element.

    Example:
        >>> value, gradient = ad.value_and_grad(lambda x: (x * x).sum())(ad.tensor([1.0, 2.0]))
        >>> value, gradient
        (tensor(5.), tensor([2., 4.]))
    """

    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        chosen = selected("grad", argnums, len(args))
        trees = tuple(args[number] for number in chosen)
        given = tensors_of("grad", trees)
        create_graph = any(tensor.requires_grad for tensor in given)
        with enable_grad():
            variables = [_core._variable(tensor) for tensor in given]
            arguments = list(args)
            for number, tree in zip(chosen, rebuilt(trees, variables), strict=True):
                arguments[number] = tree
            value = f(*arguments, **kwargs)
            if not isinstance(value, Tensor) or value.size != 1:
                shown = value.shape if isinstance(value, Tensor) else type(value).__name__
                raise GradError(
                    f"grad: the function returned {shown}, not a tensor of one element. Use vjp, or reduce it."
                )
            gradients = pull([value], [None], variables, create_graph)
        result = rebuilt(trees, gradients)
        return (value if create_graph else value.detach()), (result[0] if isinstance(argnums, int) else result)

    return wrapper


def grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that returns f's gradient.

    Args:
        f: Returns a tensor of one element.
        argnums: The argument to differentiate by, or several; each may be a tree of tensors.

    Example:
        >>> cube = lambda x: x**3
        >>> ad.grad(cube)(2.0), ad.grad(ad.grad(cube))(2.0)
        (tensor(12.), tensor(12.))
    """
    both = value_and_grad(f, argnums)

    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return both(*args, **kwargs)[1]

    return wrapper


def vjp(f: Callable[..., Any], *primals: Tree) -> tuple[Any, Callable[[Tree], tuple[Any, ...]]]:
    """F's value, and the function that carries a cotangent of it back to the arguments.

    Args:
        f: Returns a tensor, or a tree of them.
        *primals: Its arguments: trees of tensors.

    Returns:
        The value, and a function from a tree of cotangents to a tuple of gradients, one per argument. It may be
        called repeatedly.

    Example:
        >>> value, pullback = ad.vjp(lambda x: x * x, ad.tensor([1.0, 2.0]))
        >>> pullback(ad.tensor([1.0, 10.0]))
        (tensor([ 2., 40.]),)
    """
    given = tensors_of("vjp", primals)
    create_graph = any(tensor.requires_grad for tensor in given)
    with enable_grad():
        variables = [_core._variable(tensor) for tensor in given]
        value = f(*rebuilt(primals, variables))
    outputs = tensors_of("vjp", value)

    def pullback(cotangents: Tree) -> tuple[Any, ...]:
        weights = tensors_of("vjp", cotangents)
        if len(weights) != len(outputs):
            raise ShapeError(f"vjp: the value has {len(outputs)} tensors and there are {len(weights)} cotangents.")
        again = create_graph or any(weight.requires_grad for weight in weights)
        return rebuilt(primals, pull(outputs, weights, variables, again))

    return (value if create_graph else rebuilt(value, [output.detach() for output in outputs])), pullback


def jvp(f: Callable[..., Any], primals: Sequence[Tree], tangents: Sequence[Tree]) -> tuple[Any, Any]:
    """F's value, and its derivative along a direction.

    Args:
        f: Returns a tensor, or a tree of them.
        primals: Its arguments: trees of tensors.
        tangents: The direction: tensors of the same shapes.

    Example:
        >>> ad.jvp(lambda x: x * x, (ad.tensor([1.0, 2.0]),), (ad.tensor([1.0, 10.0]),))
        (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    primals = tuple(primals)
    given = tensors_of("jvp", primals)
    directions = tensors_of("jvp", tuple(tangents))
    if [tensor.shape for tensor in given] != [tensor.shape for tensor in directions]:
        raise ShapeError(
            f"jvp: primals are {[tensor.shape for tensor in given]} and tangents "
            f"{[tensor.shape for tensor in directions]}. They must agree."
        )
    create_graph = any(tensor.requires_grad for tensor in [*given, *directions])
    with enable_grad():
        variables = [_core._variable(tensor) for tensor in given]
        value = f(*rebuilt(primals, variables))
        outputs = tensors_of("jvp", value)
        # The gradient is linear in the cotangents, so its derivative by them, along the tangents, is the derivative.
        dummies = [_core._variable(_core.zeros_like(output)) for output in outputs]
        gradients = pull(outputs, dummies, variables, True)
        derivatives = pull(gradients, directions, dummies, create_graph)
    if create_graph:
        return value, rebuilt(value, derivatives)
    return rebuilt(value, [output.detach() for output in outputs]), rebuilt(value, derivatives)
