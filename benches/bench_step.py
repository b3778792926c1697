"""Whole training steps: adret against NumPy, PyTorch and JAX, on the CPU, in float32.

Depends on `yardstick`. Invariant: a step is forward, loss, backward and update of the same network with the same sizes
in every library; NumPy's is written out by hand, JAX's is jitted. A case "… compiled" is the same step as one recorded
function in adret, beside the others' usual step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from yardstick import Cases, Work, compare


class Net(NamedTuple):
    """A network of linear layers with relu and dropout between them, trained on one batch."""

    sizes: tuple[int, ...]
    batch: int
    adam: bool = False
    dropout: float = 0.0
    compiled: bool = False


def _mlp(width: int = 512, batch: int = 128, adam: bool = False) -> Net:
    return Net((784, width, width, 10), batch, adam, dropout=0.2)


PLAIN = {
    "xor 2-8-2, batch 4": Net((2, 8, 2), 4),
    "digits 64-128-10, batch 64": Net((64, 128, 10), 64, adam=True),
    "mlp 784-512-512-10, batch 128": _mlp(),
    "mlp 784-512-512-10, batch 128, adam": _mlp(adam=True),
    **{f"mlp 784-512-512-10, batch {batch}": _mlp(batch=batch) for batch in (8, 1024)},
    **{f"mlp 784-{width}-{width}-10, batch 128": _mlp(width) for width in (8, 64, 2048)},
}
NETS = {
    name: net
    for plain, of in PLAIN.items()
    for name, net in ((plain, of), (f"{plain} compiled", of._replace(compiled=True)))
}
RATE, MOMENTUM, BETA1, BETA2, EPS = 0.01, 0.9, 0.9, 0.999, 1e-8


def _data(net: Net) -> tuple[Any, Any, list[tuple[Any, Any]]]:
    """A batch, labels, and weights `[in, out]` with biases, as NumPy arrays."""
    import numpy as np

    rng = np.random.default_rng(0)
    x = rng.standard_normal((net.batch, net.sizes[0]), dtype=np.float32)
    y = rng.integers(0, net.sizes[-1], net.batch)
    layers = [
        (rng.standard_normal((m, n), dtype=np.float32) / np.float32(m**0.5), np.zeros(n, dtype=np.float32))
        for m, n in zip(net.sizes, net.sizes[1:], strict=False)
    ]
    return x, y, layers


def _cases(build: Callable[[Net], Work]) -> Cases:
    return {name: lambda net=net: build(net) for name, net in NETS.items()}


def _module_step(nn: Any, optim: Any, tensor: Callable[[Any], Any], net: Net) -> Work:
    """The step that adret and PyTorch share word for word."""
    x, y, _ = _data(net)
    x, y = tensor(x), tensor(y)
    layers: list[Any] = []
    for m, n in zip(net.sizes, net.sizes[1:], strict=False):
        layers += [nn.Linear(m, n), nn.ReLU(), *([nn.Dropout(net.dropout)] if net.dropout else [])]
    # The last layer is followed by nothing.
    module = nn.Sequential(*layers[: -2 if net.dropout else -1])
    loss_function = nn.CrossEntropyLoss()
    parameters = module.parameters()
    optimizer = optim.Adam(parameters, lr=1e-3) if net.adam else optim.SGD(parameters, lr=RATE, momentum=MOMENTUM)

    def step() -> object:
        loss = loss_function(module(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return step


def adret_cases() -> Cases:
    """The steps in adret."""
    import adret as ad
    from adret import nn, optim

    def build(net: Net) -> Work:
        step = _module_step(nn, optim, ad.tensor, net)
        return ad.compile(step) if net.compiled else step

    return _cases(build)


def torch_cases() -> Cases:
    """The steps in PyTorch."""
    import torch

    return _cases(lambda net: _module_step(torch.nn, torch.optim, torch.from_numpy, net))


def numpy_cases() -> Cases:
    """The steps in NumPy, by hand."""
    import numpy as np

    def build(net: Net) -> Work:
        x, y, layers = _data(net)
        weights = [array for layer in layers for array in layer]
        first = [np.zeros_like(w) for w in weights]
        second = [np.zeros_like(w) for w in weights]
        rows = np.arange(net.batch)
        rng = np.random.default_rng(1)
        count = 0

        def step() -> object:
            nonlocal count
            count += 1
            inputs, scales = [x], [1.0]
            for index, (w, b) in enumerate(layers):
                z = inputs[-1] @ w + b
                if index < len(layers) - 1:
                    z = np.maximum(z, 0)
                    if net.dropout:
                        kept = rng.random(z.shape, dtype=np.float32) >= net.dropout
                        scales.append(kept * np.float32(1 / (1 - net.dropout)))
                        z *= scales[-1]
                    else:
                        scales.append(1.0)
                inputs.append(z)
            e = np.exp(inputs[-1] - inputs[-1].max(1, keepdims=True))
            grad = e / e.sum(1, keepdims=True)
            loss = -np.log(grad[rows, y]).mean()
            grad[rows, y] -= 1
            grad /= net.batch
            grads: list[Any] = []
            for index in range(len(layers) - 1, -1, -1):
                grads[:0] = [inputs[index].T @ grad, grad.sum(0)]
                if index:
                    grad = (grad @ layers[index][0].T) * (inputs[index] > 0) * scales[index]
            for w, g, m, v in zip(weights, grads, first, second, strict=True):
                if net.adam:
                    m += (1 - BETA1) * (g - m)
                    v += (1 - BETA2) * (g * g - v)
                    root = np.sqrt(v) / (1 - BETA2**count) ** 0.5 + EPS
                    w -= 1e-3 / (1 - BETA1**count) * m / root
                else:
                    m *= MOMENTUM
                    m += g
                    w -= RATE * m
            return loss

        return step

    return _cases(build)


def jax_cases() -> Cases:
    """The steps in JAX, jitted, the old state's memory given away."""
    from functools import partial

    import jax
    import jax.numpy as jnp

    def build(net: Net) -> Work:
        x, y, layers = _data(net)
        x, y = jnp.asarray(x), jnp.asarray(y)
        weights = jax.tree.map(jnp.asarray, layers)

        def loss_of(layers: Any, key: Any) -> Any:
            z = x
            for index, (w, b) in enumerate(layers):
                z = z @ w + b
                if index == len(layers) - 1:
                    break
                z = jax.nn.relu(z)
                if net.dropout:
                    kept = jax.random.bernoulli(jax.random.fold_in(key, index), 1 - net.dropout, z.shape)
                    z = jnp.where(kept, z / (1 - net.dropout), 0)
            return -jnp.take_along_axis(jax.nn.log_softmax(z), y[:, None], 1).mean()

        @partial(jax.jit, donate_argnums=(0, 1, 2, 3, 4))
        def step(weights: Any, first: Any, second: Any, count: Any, key: Any) -> Any:
            key, own = jax.random.split(key)
            loss, grads = jax.value_and_grad(loss_of)(weights, own)
            count = count + 1
            if net.adam:
                first = jax.tree.map(lambda m, g: m + (1 - BETA1) * (g - m), first, grads)
                second = jax.tree.map(lambda v, g: v + (1 - BETA2) * (g * g - v), second, grads)
                rate, spread = 1e-3 / (1 - BETA1**count), (1 - BETA2**count) ** 0.5
                update = jax.tree.map(lambda m, v: rate * m / (jnp.sqrt(v) / spread + EPS), first, second)
            else:
                first = jax.tree.map(lambda m, g: MOMENTUM * m + g, first, grads)
                update = jax.tree.map(lambda m: RATE * m, first)
            return jax.tree.map(lambda w, u: w - u, weights, update), first, second, count, key, loss

        zeros = partial(jax.tree.map, jnp.zeros_like)
        state = [weights, zeros(weights), zeros(weights), jnp.zeros(()), jax.random.key(0)]

        def run() -> object:
            *state[:], loss = step(*state)
            return jax.block_until_ready(loss)

        return run

    return _cases(build)


LIBRARIES = {"adret": adret_cases, "numpy": numpy_cases, "torch": torch_cases, "jax": jax_cases}

if __name__ == "__main__":
    compare(list(NETS), LIBRARIES)
