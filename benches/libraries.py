"""How each library is given arrays and run to the end: NumPy as it is, PyTorch eagerly, JAX jitted, adret by `eval`.

Depends on the libraries, each imported by its own process only. Invariant: inputs are the same numbers everywhere, and
a call returns when its values are there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from yardstick import Cases, Work

Function = Callable[..., Any]


class Case(NamedTuple):
    """An operation on arrays of these shapes, normally distributed; `labels` more, integers below the last size."""

    operation: str
    shapes: tuple[tuple[int, ...], ...]
    labels: int = 0


def _arrays(case: Case) -> list[Any]:
    import numpy as np

    rng = np.random.default_rng(0)
    arrays: list[Any] = [rng.standard_normal(shape, dtype=np.float32) for shape in case.shapes]
    if case.labels:
        arrays.append(rng.integers(0, case.shapes[0][-1], case.labels))
    return arrays


def _cases(cases: dict[str, Case], functions: dict[str, Function], make: Function, run: Function) -> Cases:
    def build(case: Case) -> Callable[[], Work]:
        return lambda: run(functions[case.operation], *map(make, _arrays(case)))

    return {name: build(case) for name, case in cases.items() if case.operation in functions}


def numpy_cases(cases: dict[str, Case], functions: dict[str, Function]) -> Cases:
    """The cases of functions of NumPy's arrays."""

    def run(function: Function, *inputs: Any) -> Work:
        return lambda: function(*inputs)

    return _cases(cases, functions, lambda array: array, run)


def adret_cases(cases: dict[str, Case], functions: dict[str, Function], dtype: str | None = None) -> Cases:
    """The cases of functions of adret's tensors, of the arrays' dtype or another."""
    import adret as ad

    def tensor(array: Any) -> Any:
        made = ad.tensor(array, dtype=getattr(ad, dtype) if dtype else None)
        ad.eval(made)
        return made

    def run(function: Function, *inputs: Any) -> Work:
        return lambda: ad.eval(function(*inputs))

    return _cases(cases, functions, tensor, run)


def torch_cases(cases: dict[str, Case], functions: dict[str, Function], dtype: str | None = None) -> Cases:
    """The cases of functions of PyTorch's tensors, of the arrays' dtype or another."""
    import torch

    def tensor(array: Any) -> Any:
        return torch.tensor(array, dtype=getattr(torch, dtype) if dtype else None)

    def run(function: Function, *inputs: Any) -> Work:
        return lambda: function(*inputs)

    return _cases(cases, functions, tensor, run)


def jax_cases(cases: dict[str, Case], functions: dict[str, Function]) -> Cases:
    """The cases of functions of JAX's arrays, jitted."""
    import jax

    def run(function: Function, *inputs: Any) -> Work:
        compiled = jax.jit(function)
        return lambda: jax.block_until_ready(compiled(*inputs))

    return _cases(cases, functions, jax.numpy.asarray, run)


def swept(function: Function) -> Function:
    """A function's value and the gradient of its first input, in adret and PyTorch, which share the words for it.

    The last input is the cotangent, where the value is no scalar.
    """

    def both(x: Any, *others: Any) -> tuple[Any, Any]:
        x.requires_grad = True
        y = function(x, *others[:-1]) if others[-1].shape == x.shape else function(x, *others)
        y.backward(*others[-1:] if y.shape else ())
        grad, x.grad = x.grad, None
        return y.detach(), grad

    return both


def pulled(function: Function) -> Function:
    """As `swept`, in JAX."""
    import jax

    def both(x: Any, *others: Any) -> tuple[Any, Any]:
        if others[-1].shape == x.shape:
            y, pull = jax.vjp(lambda x: function(x, *others[:-1]), x)
            return y, pull(others[-1])[0]
        return jax.value_and_grad(lambda x: function(x, *others))(x)

    return both
