"""Less memory for more work: `checkpoint`.

Depends on `autograd` and the core. Invariant: the function runs without history the first time, and its second run, in
the backward pass, reads the same tensors and the same random numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import _core
from ._core import GradError, Tensor, enable_grad, is_grad_enabled, no_grad
from .autograd import leaves_of, rebuilt

Key = tuple[int, int]


def checkpoint(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """`f(*args, **kwargs)`, computed once more in the backward pass instead of being remembered for it.

    Only the arguments are kept, not what `f` computes on the way. Gradients flow into the arguments and into every
    tensor that `f` reads from elsewhere, parameters above all. Random numbers of the default stream repeat. `f` is
    called twice, so it should have no other effect than its value, and must find the tensors that it reads unchanged.

    Args:
        f: Returns a tensor, or a tree of them.
        *args: Its arguments: trees of tensors, and anything else.
        **kwargs: Its arguments by name.

    Raises:
        GradError: In the backward pass, if the second run reads other tensors than the first, or gives other shapes.

    Source:
        Chen, Xu, Zhang, Guestrin (2016), Training Deep Nets with Sublinear Memory Cost.

    Example:
        >>> layer = ad.nn.Linear(3, 3)
        >>> y = ad.checkpoint(lambda x: layer(x).tanh(), ad.ones((2, 3)))
        >>> y.sum().backward()
        >>> layer.weight.grad.shape
        (3, 3)
    """
    if not is_grad_enabled():
        return f(*args, **kwargs)
    given = [_core._snapshot(leaf) for leaf in leaves_of([args, kwargs]) if _differentiable(leaf)]
    state = _core.random_state()
    value, _, captured = _watched(f, args, kwargs, given, no_grad)
    leaves = leaves_of(value)
    # An argument handed through, or a tensor from outside, has its history already.
    chosen = [
        number
        for number, leaf in enumerate(leaves)
        if isinstance(leaf, Tensor) and leaf.dtype.is_floating_point and not leaf.requires_grad
    ]
    outside = [tensor for tensor, _ in captured]
    inputs = [*given, *outside]
    if not chosen or not inputs:
        return value
    shapes = [leaves[number].shape for number in chosen]
    keys = {key for _, key in captured}

    def rule(grads: list[Tensor | None], _: list[bool], __: list[Tensor | None]) -> list[Tensor | None]:
        create_graph = is_grad_enabled()
        here = _core._rewind_random(state)
        try:
            value, variables, captured = _watched(f, args, kwargs, given, enable_grad)
        finally:
            _core._rewind_random(here)
        _compare(keys, {key for _, key in captured})
        leaves = leaves_of(value)
        again = [leaves[number] for number in chosen if number < len(leaves)]
        if [getattr(leaf, "shape", None) for leaf in again] != shapes:
            raise GradError(
                f"checkpoint: the function returned {shapes} and {[getattr(leaf, 'shape', None) for leaf in again]} "
                "when it ran again. Checkpoint functions that return the same each time."
            )
        pairs = [
            (leaf, grad) for leaf, grad in zip(again, grads, strict=True) if grad is not None and leaf.requires_grad
        ]
        if not pairs:
            return [None] * len(inputs)
        outputs, weights = zip(*pairs, strict=True)
        return _core._direct_gradients(outputs, weights, [*variables, *outside], create_graph)

    joined = _core._joined([leaves[number] for number in chosen], inputs, rule, [False] * len(chosen))
    for number, output in zip(chosen, joined, strict=True):
        leaves[number] = output
    return rebuilt(value, leaves)


def _differentiable(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.requires_grad


def _watched(
    f: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    given: Sequence[Tensor],
    mode: Callable[[], Any],
) -> tuple[Any, list[Tensor], list[tuple[Tensor, Key]]]:
    """The value for variables in place of the differentiable arguments, the variables, and the tensors read besides."""
    before = _core._next_node()
    with enable_grad():
        variables = [_core._variable(tensor) for tensor in given]
    source = iter(variables)

    def replaced(tree: Any) -> Any:
        leaves = leaves_of(tree)
        if not any(_differentiable(leaf) for leaf in leaves):
            return tree
        return rebuilt(tree, [next(source) if _differentiable(leaf) else leaf for leaf in leaves])

    arguments = [replaced(tree) for tree in args]
    named = {key: replaced(tree) for key, tree in kwargs.items()}
    _core._begin_capture(before)
    try:
        with mode():
            value = f(*arguments, **named)
    finally:
        captured = _core._end_capture()
    return value, variables, captured


def _compare(first: set[Key], second: set[Key]) -> None:
    if first != second:
        raise GradError(
            f"checkpoint: the function read {len(first)} tensors from outside that require grad, and when it ran again "
            f"{len(second - first)} others. Write parameters after the backward pass, and checkpoint functions that "
            "do the same each time."
        )
