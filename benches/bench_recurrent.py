"""Training steps of recurrent networks: adret against PyTorch and JAX, on the CPU, in float32.

Depends on `yardstick`. Invariant: a step is forward, loss on the last output, backward and update by SGD with momentum
of the same network with the same sizes in every library; JAX's is a jitted scan.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from yardstick import Cases, Work, compare


class Case(NamedTuple):
    """One layer and a linear one on its last output; `loop` is a loop of the user's over the steps instead."""

    kind: str
    batch: int
    steps: int
    features: int
    hidden: int
    loop: bool = False


SIZES = [(32, 50, 32, 128), (1, 100, 64, 256), (64, 20, 128, 512), (16, 200, 8, 16)]
ALL = [Case(kind, *sizes) for kind in ("RNN", "GRU", "LSTM") for sizes in SIZES]
ALL.append(Case("RNN", 32, 100, 32, 128, loop=True))
CASES = {
    f"{case.kind.lower()}{' in a loop' if case.loop else ''} b{case.batch} t{case.steps} "
    f"{case.features}-{case.hidden}": case
    for case in ALL
}
LABELS, RATE, MOMENTUM = 10, 0.01, 0.9
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def data(case: Case) -> tuple[Any, Any]:
    """A batch `[batch, time, features]` and its labels, as NumPy arrays."""
    import numpy as np

    rng = np.random.default_rng(0)
    x = rng.standard_normal((case.batch, case.steps, case.features), dtype=np.float32)
    return x, rng.integers(0, LABELS, case.batch)


def module_step(library: Any, tensor: Any, case: Case) -> Work:
    """The step that adret and PyTorch share word for word."""
    nn = library.nn
    x, y = (tensor(array) for array in data(case))
    if case.loop:
        layer = nn.ModuleList([nn.Linear(case.features, case.hidden), nn.Linear(case.hidden, case.hidden)])
        start = tensor(data(case)[0][:, 0, :1] * 0)
    else:
        layer = getattr(nn, case.kind)(case.features, case.hidden, batch_first=True)
        start = None
    head = nn.Linear(case.hidden, LABELS)
    parameters = [*layer.parameters(), *head.parameters()]
    optimizer = library.optim.SGD(parameters, lr=RATE, momentum=MOMENTUM)

    def last() -> Any:
        if start is None:
            return layer(x)[0][:, -1]
        h = start.expand(case.batch, case.hidden)
        for step in range(case.steps):
            h = library.tanh(layer[0](x[:, step]) + layer[1](h))
        return h

    def step() -> object:
        loss = nn.functional.cross_entropy(head(last()), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return step


def adret() -> Cases:
    """The steps in adret, compiled but for the user's loop."""
    import adret as ad

    def build(case: Case) -> Work:
        step = module_step(ad, ad.tensor, case)
        return step if case.loop else ad.compile(step)

    return {name: lambda case=case: build(case) for name, case in CASES.items()}


def torch() -> Cases:
    """The steps in PyTorch."""
    import torch

    return {name: lambda case=case: module_step(torch, torch.from_numpy, case) for name, case in CASES.items()}


def jax() -> Cases:
    """The steps in JAX."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    def advance(case: Case, state: Any, given: Any, weight: Any, bias: Any) -> Any:
        own = state[0] @ weight
        if case.kind == "RNN":
            return (jnp.tanh(given + own + bias),)
        if case.kind == "GRU":
            (r, z, n), (own_r, own_z, own_n) = (jnp.split(part, 3, -1) for part in (given, own + bias))
            z = jax.nn.sigmoid(z + own_z)
            return ((1 - z) * jnp.tanh(n + jax.nn.sigmoid(r + own_r) * own_n) + z * state[0],)
        i, f, g, o = jnp.split(given + own + bias, 4, -1)
        c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
        return jax.nn.sigmoid(o) * jnp.tanh(c), c

    def build(case: Case) -> Work:
        rng = np.random.default_rng(1)
        rows, hidden = GATES[case.kind] * case.hidden, case.hidden
        shapes = [(case.features, rows), (rows,), (hidden, rows), (rows,), (hidden, LABELS), (LABELS,)]
        weights = [jnp.asarray(rng.uniform(-1, 1, shape) / hidden**0.5, dtype=jnp.float32) for shape in shapes]
        x, y = (jnp.asarray(array) for array in data(case))

        def loss_of(weights: Any) -> Any:
            inner, bias_in, own, bias, outer, bias_out = weights
            given = jnp.swapaxes(x, 0, 1) @ inner + bias_in
            state = tuple(jnp.zeros((case.batch, hidden)) for _ in range(2 if case.kind == "LSTM" else 1))
            state, _ = jax.lax.scan(lambda state, row: (advance(case, state, row, own, bias), None), state, given)
            scores = jax.nn.log_softmax(state[0] @ outer + bias_out)
            return -jnp.take_along_axis(scores, y[:, None], 1).mean()

        @jax.jit
        def step(weights: Any, first: Any) -> Any:
            loss, grads = jax.value_and_grad(loss_of)(weights)
            first = jax.tree.map(lambda m, g: MOMENTUM * m + g, first, grads)
            return jax.tree.map(lambda w, m: w - RATE * m, weights, first), first, loss

        state = [weights, [jnp.zeros_like(w) for w in weights]]

        def run() -> object:
            *state[:], loss = step(*state)
            return jax.block_until_ready(loss)

        return run

    return {name: lambda case=case: build(case) for name, case in CASES.items()}


LIBRARIES = {"adret": adret, "torch": torch, "jax": jax}

if __name__ == "__main__":
    compare(list(CASES), LIBRARIES)
