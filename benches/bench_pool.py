"""Pooling, batch norm and interpolation, forward and backward: adret against PyTorch and JAX, on the CPU, in float32.

Depends on `yardstick`. Invariant: a call computes the value and the gradients of all inputs for one fixed cotangent, in
every library; JAX's is jitted.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from yardstick import Cases, Work, compare


class Case(NamedTuple):
    """What is done to a tensor `[batch, channels, height, width]`."""

    kind: str
    shape: tuple[int, int, int, int]
    kernel: int = 0
    stride: int = 0
    padding: int = 0


SHAPES = {"64x32x32x32": (64, 32, 32, 32), "32x256x14x14": (32, 256, 14, 14)}
KINDS = {
    "max pool k2 s2": ("max", 2, 2, 0),
    "max pool k3 s2 p1": ("max", 3, 2, 1),
    "avg pool k2 s2": ("avg", 2, 2, 0),
    "avg pool k3 s2 p1": ("avg", 3, 2, 1),
    "batch norm": ("norm", 0, 0, 0),
    "bilinear x2": ("bilinear", 0, 0, 0),
}
CASES = {
    f"{name} {size}": Case(kind, shape, *windows)
    for size, shape in SHAPES.items()
    for name, (kind, *windows) in KINDS.items()
}


def data(case: Case) -> Any:
    """The tensor, as a NumPy array."""
    import numpy as np

    return np.random.default_rng(0).standard_normal(case.shape, dtype=np.float32)


def output_shape(case: Case) -> tuple[int, ...]:
    """The result's sizes."""
    *around, height, width = case.shape
    if case.kind in ("norm", "bilinear"):
        factor = 2 if case.kind == "bilinear" else 1
        return (*around, height * factor, width * factor)
    return (*around, *((size + 2 * case.padding - case.kernel) // case.stride + 1 for size in (height, width)))


def module_work(functional: Any, case: Case, leaf: Any, ones: Any, finish: Any) -> Work:
    """What adret and PyTorch share word for word."""
    x, gradient = leaf(data(case)), ones(output_shape(case))
    channels = case.shape[1]
    leaves = [x]
    if case.kind == "norm":
        weight, bias = leaf(data(case)[0, :, 0, 0]), leaf(data(case)[0, :, 0, 1])
        mean, variance = ones((channels,)) * 0, ones((channels,))
        leaves += [weight, bias]

        def value() -> Any:
            return functional.batch_norm(x, mean, variance, weight, bias, True)

    elif case.kind == "bilinear":

        def value() -> Any:
            return functional.interpolate(x, scale_factor=2, mode="bilinear")

    else:
        pool = functional.max_pool2d if case.kind == "max" else functional.avg_pool2d

        def value() -> Any:
            return pool(x, case.kernel, case.stride, case.padding)

    def work() -> None:
        y = value()
        y.backward(gradient)
        finish(y, *(leaf.grad for leaf in leaves))
        for leaf in leaves:
            leaf.grad = None

    return work


def adret() -> Cases:
    """This library."""
    import adret as ad

    def leaf(array: Any) -> Any:
        return ad.tensor(array, requires_grad=True)

    return {
        name: lambda case=case: module_work(ad.nn.functional, case, leaf, ad.ones, ad.eval)
        for name, case in CASES.items()
    }


def torch() -> Cases:
    """PyTorch."""
    import torch

    def leaf(array: Any) -> Any:
        return torch.tensor(array, requires_grad=True)

    def finish(*_: Any) -> None:
        """Everything is there already."""

    return {
        name: lambda case=case: module_work(torch.nn.functional, case, leaf, torch.ones, finish)
        for name, case in CASES.items()
    }


def jax() -> Cases:
    """JAX."""
    import jax
    from jax import lax
    from jax import numpy as jnp

    def value(case: Case, x: Any, weight: Any, bias: Any) -> Any:
        if case.kind == "bilinear":
            return jax.image.resize(x, output_shape(case), "bilinear")
        if case.kind == "norm":
            mean = x.mean((0, 2, 3), keepdims=True)
            variance = x.var((0, 2, 3), keepdims=True)
            return (x - mean) / jnp.sqrt(variance + 1e-5) * weight + bias
        window, strides = (1, 1, case.kernel, case.kernel), (1, 1, case.stride, case.stride)
        padding = ((0, 0), (0, 0), (case.padding,) * 2, (case.padding,) * 2)
        if case.kind == "max":
            return lax.reduce_window(x, -jnp.inf, lax.max, window, strides, padding)
        return lax.reduce_window(x, 0.0, lax.add, window, strides, padding) / case.kernel**2

    def build(case: Case) -> Work:
        array = data(case)
        inputs = [jnp.asarray(part) for part in (array, array[:1, :, :1, :1], array[:1, :, :1, 1:2])]
        gradient = jnp.ones(output_shape(case))

        @jax.jit
        def both(x: Any, weight: Any, bias: Any, gradient: Any) -> Any:
            y, back = jax.vjp(lambda *inputs: value(case, *inputs), x, weight, bias)
            return y, back(gradient)

        return lambda: jax.block_until_ready(both(*inputs, gradient))

    return {name: lambda case=case: build(case) for name, case in CASES.items()}


if __name__ == "__main__":
    compare(list(CASES), {"adret": adret, "torch": torch, "jax": jax})
