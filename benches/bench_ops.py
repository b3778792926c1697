"""Single operations and short chains: adret against NumPy, PyTorch and JAX, on the CPU, in float32.

Depends on `yardstick`. Invariant: a case does the same arithmetic on the same sizes in every library, as each library's
users would write it (JAX jitted).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from yardstick import Cases, Work, compare

SQUARES = [64, 256, 512, 1024]
SHAPES: dict[str, tuple[tuple[int, ...], ...]] = {
    **{f"matmul {n}x{n}": ((n, n), (n, n)) for n in SQUARES},
    "matmul 128x784x512": ((128, 784), (784, 512)),
    "matvec 4096": ((4096, 4096), (4096,)),
    "add 10": ((10,), (10,)),
    "add 1000000": ((1_000_000,), (1_000_000,)),
    "chain 4000000": ((4_000_000,),),
    "softmax 4096x1000": ((4096, 1000),),
    "layer norm 4096x1000": ((4096, 1000),),
    "sum 4096x4096": ((4096, 4096),),
    "sum rows 4096x4096": ((4096, 4096),),
    "transpose 4096x4096": ((4096, 4096),),
    "take rows 100000x64": ((100_000, 64),),
}


def _cases(make: Callable[[Any], Any], functions: dict[str, Callable[..., Any]], run: Callable[..., Work]) -> Cases:
    """Every case for one library: its inputs from the same seed, its function, how it is run to the end."""
    import numpy as np

    def build(name: str) -> Callable[[], Work]:
        def ready() -> Work:
            rng = np.random.default_rng(0)
            inputs = [make(rng.standard_normal(shape, dtype=np.float32)) for shape in SHAPES[name]]
            if name.startswith("take"):
                inputs.append(make(rng.integers(0, 100_000, 50_000)))
            return run(functions[next(key for key in functions if name.startswith(key))], *inputs)

        return ready

    return {name: build(name) for name in SHAPES}


def adret_cases() -> Cases:
    """The cases in adret."""
    import adret as ad

    def run(function: Callable[..., Any], *inputs: Any) -> Work:
        return lambda: ad.eval(function(*inputs))

    functions = {
        "mat": ad.matmul,
        "add": ad.add,
        "chain": lambda x: ad.tanh(x * 2 + 1) * ad.sigmoid(x) - x * x,
        "softmax": ad.softmax,
        "layer norm": lambda x: ad.layer_norm(x),
        "sum rows": lambda x: ad.sum(x, axis=1),
        "sum": ad.sum,
        # Plus one, since a transpose alone is a view.
        "transpose": lambda x: x.T + 1,
        "take": lambda x, i: ad.take(x, i, axis=0),
    }
    return _cases(ad.tensor, functions, run)


def numpy_cases() -> Cases:
    """The cases in NumPy."""
    import numpy as np

    def softmax(x: Any) -> Any:
        e = np.exp(x - x.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    def layer_norm(x: Any) -> Any:
        return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)

    def run(function: Callable[..., Any], *inputs: Any) -> Work:
        return lambda: function(*inputs)

    functions = {
        "mat": np.matmul,
        "add": np.add,
        "chain": lambda x: np.tanh(x * 2 + 1) * (1 / (1 + np.exp(-x))) - x * x,
        "softmax": softmax,
        "layer norm": layer_norm,
        "sum rows": lambda x: x.sum(axis=1),
        "sum": np.sum,
        "transpose": lambda x: x.T + 1,
        "take": lambda x, i: np.take(x, i, axis=0),
    }
    return _cases(lambda array: array, functions, run)


def torch_cases() -> Cases:
    """The cases in PyTorch."""
    import torch

    def run(function: Callable[..., Any], *inputs: Any) -> Work:
        return lambda: function(*inputs)

    functions = {
        "mat": torch.matmul,
        "add": torch.add,
        "chain": lambda x: torch.tanh(x * 2 + 1) * torch.sigmoid(x) - x * x,
        "softmax": lambda x: torch.softmax(x, -1),
        "layer norm": lambda x: torch.nn.functional.layer_norm(x, x.shape[-1:]),
        "sum rows": lambda x: x.sum(1),
        "sum": torch.sum,
        "transpose": lambda x: x.T + 1,
        "take": lambda x, i: torch.index_select(x, 0, i),
    }
    return _cases(torch.from_numpy, functions, run)


def jax_cases() -> Cases:
    """The cases in JAX."""
    import jax
    import jax.numpy as jnp

    def layer_norm(x: Any) -> Any:
        return (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)

    def run(function: Callable[..., Any], *inputs: Any) -> Work:
        compiled = jax.jit(function)
        return lambda: jax.block_until_ready(compiled(*inputs))

    functions = {
        "mat": jnp.matmul,
        "add": jnp.add,
        "chain": lambda x: jnp.tanh(x * 2 + 1) * jax.nn.sigmoid(x) - x * x,
        "softmax": jax.nn.softmax,
        "layer norm": layer_norm,
        "sum rows": lambda x: x.sum(1),
        "sum": jnp.sum,
        "transpose": lambda x: x.T + 1,
        "take": lambda x, i: jnp.take(x, i, axis=0),
    }
    return _cases(jnp.asarray, functions, run)


if __name__ == "__main__":
    libraries = {"adret": adret_cases, "numpy": numpy_cases, "torch": torch_cases, "jax": jax_cases}
    compare(list(SHAPES), libraries)
