"""Random configurations, live against JAX: functions, gradients of functions, promotion.

Run by `x.py test --peers`. Depends on JAX in float64 mode.
"""

from __future__ import annotations

import adret as ad
import numpy as np
import pytest

pytestmark = pytest.mark.peers

ROUNDS = 25


@pytest.fixture(scope="module")
def jax():
    """JAX with 64 bits."""
    module = __import__("jax")
    module.config.update("jax_enable_x64", True)
    return module


def assert_close(ours, theirs, what: str, tolerance: float = 1e-9) -> None:
    """Values with NaN."""
    got, expected = ours.numpy(), np.asarray(theirs)
    assert got.shape == expected.shape, what
    assert np.allclose(got, expected, rtol=tolerance, atol=tolerance, equal_nan=True), (what, got, expected)


def test_transforms_of_functions(jax) -> None:
    """grad, value_and_grad and vjp of the same function, nested too."""
    jnp = jax.numpy

    def network(library, softmax):
        def loss(weights, x):
            hidden = library.tanh(x @ weights["first"]) * weights["scale"]
            return (softmax(hidden @ weights["second"]) ** 2).sum() + library.sin(weights["scale"]).sum()

        return loss

    ours = network(ad, lambda x: ad.softmax(x, axis=-1))
    theirs = network(jnp, lambda x: jax.nn.softmax(x, axis=-1))
    for seed in range(ROUNDS):
        rng = np.random.default_rng(seed)
        values = {
            "first": rng.standard_normal((3, 4)),
            "second": rng.standard_normal((4, 5)),
            "scale": rng.standard_normal(4),
        }
        x = rng.standard_normal((int(rng.integers(1, 6)), 3))
        mine = {name: ad.tensor(value) for name, value in values.items()}
        value, gradients = ad.value_and_grad(ours)(mine, ad.tensor(x))
        expected, wanted = jax.value_and_grad(theirs)(values, x)
        assert_close(value, expected, f"value {seed}")
        for name in values:
            assert_close(gradients[name], wanted[name], f"gradient {seed} {name}")
        second = ad.grad(lambda w: (ad.grad(ours)(w, ad.tensor(x))["scale"] ** 2).sum())(mine)
        other = jax.grad(lambda w: (jax.grad(theirs)(w, x)["scale"] ** 2).sum())(values)
        for name in values:
            assert_close(second[name], other[name], f"second gradient {seed} {name}")


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "mean", "var", "std", "argmax", "argmin", "any", "all"])
def test_reductions(jax, name: str) -> None:
    """Any axes, with and without keepdims."""
    for seed in range(ROUNDS):
        rng = np.random.default_rng(seed)
        shape = tuple(int(size) for size in rng.integers(1, 6, size=int(rng.integers(1, 4))))
        values = rng.standard_normal(shape)
        values = values > 0 if name in ("any", "all") else values
        axis = int(rng.integers(-len(shape), len(shape))) if seed % 3 else None
        keep = bool(seed % 2)
        ours = getattr(ad, name)(ad.tensor(values), axis=axis, keepdims=keep)
        assert_close(ours, getattr(jax.numpy, name)(values, axis=axis, keepdims=keep), f"{name} {seed}")


@pytest.mark.parametrize(
    "name", ["matmul", "outer", "where", "clip", "tril", "triu", "roll", "tile", "repeat", "flip", "pad"]
)
def test_movement_and_products(jax, name: str) -> None:
    """The gradients of a weighted sum, which also tell where every element went."""
    jnp = jax.numpy
    for seed in range(ROUNDS):
        rng = np.random.default_rng(seed)
        n, m, k = (int(size) for size in rng.integers(1, 6, size=3))
        x, y = rng.standard_normal((n, m)), rng.standard_normal((m, k))
        shift = int(rng.integers(-3, 4))
        pairs = {
            "matmul": (lambda a: a @ ad.tensor(y), lambda a: a @ y),
            "outer": (lambda a: ad.outer(a[0], ad.tensor(y[0])), lambda a: jnp.outer(a[0], y[0])),
            "where": (lambda a: ad.where(a > 0, a * a, -a), lambda a: jnp.where(a > 0, a * a, -a)),
            "clip": (lambda a: ad.clip(a, -0.5, 0.5), lambda a: jnp.clip(a, -0.5, 0.5)),
            "tril": (lambda a: ad.tril(a, k=shift), lambda a: jnp.tril(a, shift)),
            "triu": (lambda a: ad.triu(a, k=shift), lambda a: jnp.triu(a, shift)),
            "roll": (lambda a: ad.roll(a, shift, axis=1), lambda a: jnp.roll(a, shift, axis=1)),
            "tile": (lambda a: ad.tile(a, (2, k)), lambda a: jnp.tile(a, (2, k))),
            "repeat": (lambda a: ad.repeat(a, k, axis=0), lambda a: jnp.repeat(a, k, axis=0)),
            "flip": (lambda a: ad.flip(a, axis=0), lambda a: jnp.flip(a, 0)),
            "pad": (lambda a: ad.pad(a, ((k, 1), (0, n))), lambda a: jnp.pad(a, ((k, 1), (0, n)))),
        }
        mine, other = pairs[name]
        expected = other(jnp.asarray(x))
        assert_close(mine(ad.tensor(x)), expected, f"{name} {seed}")
        weights = rng.standard_normal(expected.shape)
        gradient = ad.grad(lambda a: (mine(a) * ad.tensor(weights)).sum())(ad.tensor(x))
        assert_close(
            gradient, jax.grad(lambda a: (other(a) * weights).sum())(jnp.asarray(x)), f"gradient of {name} {seed}"
        )


def test_bfloat16_rounds_as_in_jax(jax) -> None:
    """Casts and arithmetic of the narrow floats agree to the bit."""
    values = np.random.default_rng(0).standard_normal(2000).astype(np.float32) * 100
    for dtype in ("bfloat16", "float16"):
        ours, theirs = ad.tensor(values).astype(dtype), jax.numpy.asarray(values).astype(dtype)
        for mine, other in ((ours, theirs), (ours * ours, theirs * theirs), (ours + 1, theirs + 1)):
            got = mine.astype("float32").numpy()
            assert np.array_equal(got, np.asarray(other.astype("float32"))), dtype
