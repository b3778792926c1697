"""Single operations and short chains: adret against NumPy, PyTorch and JAX, on the CPU, in float32.

Depends on `libraries` and `yardstick`. Invariant: a case does the same arithmetic on the same sizes in every library,
as each library's users would write it (JAX jitted, but for the one small operation at once).
"""

from __future__ import annotations

from typing import Any

import libraries
from libraries import Case, Function, pulled, swept
from yardstick import Cases, Work, compare

COUNTS = {"10": 10, "1K": 1_000, "100K": 100_000, "10M": 10_000_000}
TABLE = (4096, 1000)
SQUARE = (4096, 4096)
ROWS = ["softmax", "log_softmax", "layer norm"]
AT_ONCE = "one operation at once, 10 numbers"

CASES = {
    **{f"{name} {count}": Case(name, ((n,),)) for name in ("exp", "tanh") for count, n in COUNTS.items()},
    **{f"add {count}": Case("add", ((n,), (n,))) for count, n in COUNTS.items()},
    "tanh(2x+1) sigmoid(x) - x², 4M": Case("chain", ((4_000_000,),)),
    **{f"{name} 4096x1000": Case(name, (TABLE,)) for name in ROWS},
    "cross-entropy 4096x1000": Case("cross-entropy", (TABLE,), labels=4096),
    **{f"{name} 4096x1000, with gradient": Case(f"{name}, gradient", (TABLE, TABLE)) for name in ROWS},
    "cross-entropy 4096x1000, with gradient": Case("cross-entropy, gradient", (TABLE,), labels=4096),
    **{
        f"{name} {where} of 4096x4096": Case(f"{name} {where}", (SQUARE,))
        for name in ("sum", "max", "argmax")
        for where in ("all", "rows", "columns")
    },
    "transpose 4096x4096": Case("transpose", (SQUARE,)),
    "take rows 100000x64": Case("take", ((100_000, 64),), labels=50_000),
    AT_ONCE: Case("add", ((10,), (10,))),
}


def _folds(module: Any) -> dict[str, Function]:
    """Sums, maxima and their places, over everything, per row and per column."""
    axes = {"all": None, "rows": 1, "columns": 0}
    found = {name: getattr(module, name) for name in ("sum", "max", "argmax")}
    return {
        f"{name} {where}": lambda x, fold=fold, axis=axis: fold(x, axis=axis)
        for name, fold in found.items()
        for where, axis in axes.items()
    }


def _pointwise(module: Any, sigmoid: Function) -> dict[str, Function]:
    return {
        "add": module.add,
        "exp": module.exp,
        "tanh": module.tanh,
        "chain": lambda x: module.tanh(x * 2 + 1) * sigmoid(x) - x * x,
        # Plus one, since a transpose alone is a view.
        "transpose": lambda x: x.T + 1,
    }


def _with_gradients(functions: dict[str, Function], gradient: Function) -> dict[str, Function]:
    return {f"{name}, gradient": gradient(functions[name]) for name in (*ROWS, "cross-entropy")}


def adret_cases() -> Cases:
    """The cases in adret."""
    import adret as ad
    from adret.nn import functional as F

    rows = {
        "softmax": ad.softmax,
        "log_softmax": ad.log_softmax,
        "layer norm": lambda x: F.layer_norm(x, x.shape[-1:]),
        "cross-entropy": F.cross_entropy,
    }
    functions = {
        **_pointwise(ad, ad.sigmoid),
        **_folds(ad),
        **rows,
        **_with_gradients(rows, swept),
        "take": lambda x, i: ad.take(x, i, axis=0),
    }
    return {**libraries.adret_cases(CASES, functions), AT_ONCE: lambda: _at_once(ad.ones(10))}


def torch_cases() -> Cases:
    """The cases in PyTorch."""
    import torch
    from torch.nn import functional as F

    rows = {
        "softmax": lambda x: F.softmax(x, -1),
        "log_softmax": lambda x: F.log_softmax(x, -1),
        "layer norm": lambda x: F.layer_norm(x, x.shape[-1:]),
        "cross-entropy": F.cross_entropy,
    }
    folds = _folds(torch)
    # The largest alone; `max` with an axis finds its place too.
    folds.update(
        {f"max {where}": lambda x, axis=axis: torch.amax(x, axis) for where, axis in (("rows", 1), ("columns", 0))}
    )
    functions = {
        **_pointwise(torch, torch.sigmoid),
        **folds,
        "max all": torch.max,
        **rows,
        **_with_gradients(rows, swept),
        "take": lambda x, i: torch.index_select(x, 0, i),
    }
    return {**libraries.torch_cases(CASES, functions), AT_ONCE: lambda: _at_once(torch.ones(10))}


def jax_cases() -> Cases:
    """The cases in JAX."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    def layer_norm(x: Any) -> Any:
        return (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)

    def cross_entropy(x: Any, y: Any) -> Any:
        return -jnp.take_along_axis(jax.nn.log_softmax(x), y[:, None], 1).mean()

    rows = {
        "softmax": jax.nn.softmax,
        "log_softmax": jax.nn.log_softmax,
        "layer norm": layer_norm,
        "cross-entropy": cross_entropy,
    }
    functions = {
        **_pointwise(jnp, jax.nn.sigmoid),
        **_folds(jnp),
        **rows,
        **_with_gradients(rows, pulled),
        "take": lambda x, i: jnp.take(x, i, axis=0),
    }

    def at_once() -> Work:
        a, b = jnp.ones(10), jnp.ones(10)
        return lambda: np.asarray(a + b)

    return {**libraries.jax_cases(CASES, functions), AT_ONCE: at_once}


def numpy_cases() -> Cases:
    """The cases in NumPy, gradients by hand."""
    import numpy as np

    def exponentials(x: Any) -> tuple[Any, Any]:
        centred = x - x.max(-1, keepdims=True)
        return centred, np.exp(centred)

    def softmax(x: Any) -> Any:
        e = exponentials(x)[1]
        e /= e.sum(-1, keepdims=True)
        return e

    def softmax_gradient(x: Any, g: Any) -> Any:
        y = softmax(x)
        return y, y * (g - (g * y).sum(-1, keepdims=True))

    def log_softmax(x: Any) -> Any:
        centred, e = exponentials(x)
        return centred - np.log(e.sum(-1, keepdims=True))

    def log_softmax_gradient(x: Any, g: Any) -> Any:
        y = log_softmax(x)
        return y, g - np.exp(y) * g.sum(-1, keepdims=True)

    def normalised(x: Any) -> tuple[Any, Any]:
        centred = x - x.mean(-1, keepdims=True)
        spread = np.sqrt((centred * centred).mean(-1, keepdims=True) + 1e-5)
        return centred / spread, spread

    def layer_norm_gradient(x: Any, g: Any) -> Any:
        y, spread = normalised(x)
        return y, (g - g.mean(-1, keepdims=True) - y * (g * y).mean(-1, keepdims=True)) / spread

    def cross_entropy(x: Any, labels: Any) -> Any:
        return -log_softmax(x)[np.arange(len(labels)), labels].mean()

    def cross_entropy_gradient(x: Any, labels: Any) -> Any:
        y, places = log_softmax(x), (np.arange(len(labels)), labels)
        grad = np.exp(y)
        grad[places] -= 1
        return -y[places].mean(), grad / len(labels)

    functions = {
        **_pointwise(np, lambda x: 1 / (1 + np.exp(-x))),
        **_folds(np),
        "softmax": softmax,
        "log_softmax": log_softmax,
        "layer norm": lambda x: normalised(x)[0],
        "cross-entropy": cross_entropy,
        "softmax, gradient": softmax_gradient,
        "log_softmax, gradient": log_softmax_gradient,
        "layer norm, gradient": layer_norm_gradient,
        "cross-entropy, gradient": cross_entropy_gradient,
        "take": lambda x, i: np.take(x, i, axis=0),
    }
    return libraries.numpy_cases(CASES, functions)


def _at_once(a: Any) -> Work:
    """One small operation, wanted now."""
    b = a + 0
    return lambda: (a + b).numpy()


if __name__ == "__main__":
    compare(list(CASES), {"adret": adret_cases, "numpy": numpy_cases, "torch": torch_cases, "jax": jax_cases})
