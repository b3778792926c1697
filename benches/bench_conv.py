"""Convolutions: adret against PyTorch and JAX, on the CPU, in float32.

Depends on `yardstick`. Invariant: a case "… forward" is the convolution with its bias; "… step" is that and the
gradients with respect to input, kernel and bias, for a given gradient of the output, in every library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from yardstick import Cases, Work, compare


class Shape(NamedTuple):
    """A square convolution of `batch` images of `size` × `size`."""

    batch: int
    inputs: int
    size: int
    outputs: int
    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    transposed: bool = False


SHAPES = {
    "32x64x56 k3 64": Shape(32, 64, 56, 64, 3, padding=1),
    "8x3x224 k7 s2 64": Shape(8, 3, 224, 64, 7, 2, 3),
    "32x1x28 k5 6": Shape(32, 1, 28, 6, 5, padding=2),
    "32x6x14 k5 16": Shape(32, 6, 14, 16, 5),
    "16x128x28 k3 128": Shape(16, 128, 28, 128, 3, padding=1),
    "32x256x14 k1 256": Shape(32, 256, 14, 256, 1),
    "32x96x56 k3 depthwise": Shape(32, 96, 56, 96, 3, padding=1, groups=96),
    "16x64x28 k3 groups 4": Shape(16, 64, 28, 64, 3, padding=1, groups=4),
    "16x64x28 k3 dilation 2": Shape(16, 64, 28, 64, 3, padding=2, dilation=2),
    "16x64x28 k4 s2 32 transposed": Shape(16, 64, 28, 32, 4, 2, 1, transposed=True),
    "8x64x64 k3 64": Shape(8, 64, 64, 64, 3, padding=1),
    "8x64x32 k3 s2 128": Shape(8, 64, 32, 128, 3, 2, 1),
    "32x64x56 k3 s2 128": Shape(32, 64, 56, 128, 3, 2, 1),
    "8x128x28 k3 s2 256": Shape(8, 128, 28, 256, 3, 2, 1),
    "8x256x8 k3 256": Shape(8, 256, 8, 256, 3, padding=1),
    "8x512x4 k3 512": Shape(8, 512, 4, 512, 3, padding=1),
    "8x512x2 k3 512": Shape(8, 512, 2, 512, 3, padding=1),
    "1x64x112 k3 64": Shape(1, 64, 112, 64, 3, padding=1),
}
NAMES = [f"{name} {kind}" for name in SHAPES for kind in ("forward", "step")]


def _data(shape: Shape) -> tuple[Any, Any, Any, Any]:
    """Input, kernel, bias and the gradient of the output, as NumPy arrays."""
    import numpy as np

    rng = np.random.default_rng(0)
    span = shape.dilation * (shape.kernel - 1)
    if shape.transposed:
        out = (shape.size - 1) * shape.stride - 2 * shape.padding + span + 1
        lead = (shape.inputs, shape.outputs // shape.groups)
    else:
        out = (shape.size + 2 * shape.padding - span - 1) // shape.stride + 1
        lead = (shape.outputs, shape.inputs // shape.groups)
    sizes = [
        (shape.batch, shape.inputs, shape.size, shape.size),
        (*lead, shape.kernel, shape.kernel),
        (shape.outputs,),
        (shape.batch, shape.outputs, out, out),
    ]
    x, weight, bias, grad = (rng.standard_normal(size, dtype=np.float32) for size in sizes)
    return x, weight, bias, grad


def _cases(build: Callable[[Shape, bool], Work]) -> Cases:
    return {
        f"{name} {kind}": lambda shape=shape, step=kind == "step": build(shape, step)
        for name, shape in SHAPES.items()
        for kind in ("forward", "step")
    }


def adret_cases() -> Cases:
    """The cases in adret."""
    import adret as ad
    import adret.nn.functional as F

    def build(shape: Shape, step: bool) -> Work:
        x, weight, bias, grad = (ad.tensor(array) for array in _data(shape))
        moves = {"stride": shape.stride, "padding": shape.padding, "dilation": shape.dilation, "groups": shape.groups}
        function = F.conv_transpose2d if shape.transposed else F.conv2d

        def convolve(x: Any, weight: Any, bias: Any) -> Any:
            return function(x, weight, bias, **moves)

        def forward() -> object:
            with ad.no_grad():
                return ad.eval(convolve(x, weight, bias))

        def gradients() -> object:
            value, pull = ad.vjp(convolve, x, weight, bias)
            return ad.eval(value, *pull(grad))

        return gradients if step else forward

    return _cases(build)


def torch_cases() -> Cases:
    """The cases in PyTorch."""
    import torch

    def build(shape: Shape, step: bool) -> Work:
        *inputs, grad = (torch.from_numpy(array) for array in _data(shape))
        leaves = [tensor.requires_grad_(step) for tensor in inputs]
        moves = {"stride": shape.stride, "padding": shape.padding, "dilation": shape.dilation, "groups": shape.groups}
        functions = torch.nn.functional
        function = functions.conv_transpose2d if shape.transposed else functions.conv2d

        def forward() -> object:
            return function(*leaves, **moves)

        def gradients() -> object:
            return torch.autograd.grad(function(*leaves, **moves), leaves, grad)

        return gradients if step else forward

    return _cases(build)


def jax_cases() -> Cases:
    """The cases in JAX, jitted; the transposed one is the gradient of a convolution, as it is in the others."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    def build(shape: Shape, step: bool) -> Work:
        x, weight, bias, grad = (jnp.asarray(array) for array in _data(shape))

        def plain(x: Any, weight: Any) -> Any:
            return lax.conv_general_dilated(
                x,
                weight,
                (shape.stride, shape.stride),
                [(shape.padding, shape.padding)] * 2,
                rhs_dilation=(shape.dilation, shape.dilation),
                feature_group_count=shape.groups,
            )

        def convolve(x: Any, weight: Any, bias: Any) -> Any:
            if shape.transposed:
                _, pull = jax.vjp(lambda y: plain(y, weight), jnp.zeros(grad.shape))
                (result,) = pull(x)
            else:
                result = plain(x, weight)
            return result + bias[None, :, None, None]

        @jax.jit
        def gradients(x: Any, weight: Any, bias: Any, grad: Any) -> Any:
            value, pull = jax.vjp(convolve, x, weight, bias)
            return value, pull(grad)

        forward = jax.jit(convolve)
        if step:
            return lambda: jax.block_until_ready(gradients(x, weight, bias, grad))
        return lambda: jax.block_until_ready(forward(x, weight, bias))

    return _cases(build)


if __name__ == "__main__":
    compare(NAMES, {"adret": adret_cases, "torch": torch_cases, "jax": jax_cases})
