"""Compiling a function: it is recorded once per signature and replayed from then on.

Depends on the core. Invariant: a compiled function gives the same bits as the function.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, overload

from ._core import CompiledFunction

P = ParamSpec("P")
R = TypeVar("R")


@overload
def compile(f: Callable[P, R]) -> Callable[P, R]: ...
@overload
def compile(f: None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]: ...
def compile(f: Callable[..., Any] | None = None) -> Any:
    """A function that does what `f` does to tensors without running `f` every time.

    The first call of a signature runs `f`, the second records what it does, and from the third on the recording is
    replayed: one plan, with the same bits. The signature is the tree of arguments: tensors by shape, dtype, device and
    `requires_grad`, numbers and texts by value, other objects by identity. Tensors that `f` reads or writes from
    outside are found by themselves: parameters, gradients, an optimiser's state, buffers, random numbers. Where a
    module or an optimiser has been changed since (`eval()`, a replaced layer), `f` is recorded again; a changed rate
    of `SGD` or `Adam` is used at once. Other Python values are frozen as they were in the recorded call, and other
    side effects of `f`, such as printing, happen only where `f` runs. A function whose results can still be
    differentiated is called itself every time, without a recording: put `backward` inside to have the step compiled.

    Args:
        f: A function of tensors; typically a whole training step, with `backward` and `optimizer.step()`.

    Raises:
        CompileError: In the second call, if `f` does what cannot be replayed: asks for values (`item`, `bool`,
            `print`), makes tensors of Python data, or keeps new tensors beyond the call without returning them.

    Example:
        >>> w = ad.tensor([1.0, 2.0], requires_grad=True)
        >>> optimizer = ad.optim.SGD([w], lr=0.25)
        >>> @ad.compile
        ... def step(x):
        ...     loss = ((w - x) ** 2).sum()
        ...     loss.backward()
        ...     optimizer.step()
        ...     optimizer.zero_grad()
        ...     return loss
        >>> [step(ad.zeros(2)).item() for _ in range(4)]
        [5.0, 1.25, 0.3125, 0.078125]
    """
    if f is None:
        return compile
    return functools.update_wrapper(CompiledFunction(f), f)
