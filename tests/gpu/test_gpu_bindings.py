"""Work with more tensors than one kernel of an adapter can bind, on adapters that bind many and few.

Depends on the `device` fixture. Invariant: values are the CPU's, however few buffers a kernel may use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import adret as ad
import numpy as np
import pytest
from adret import nn, optim

pytestmark = pytest.mark.parametrize("device", ["gpu"], indirect=True)

# As the adapter has it, what every implementation of WebGPU binds, and the least that is admitted.
LIMITS = (None, 8, 4)


@pytest.fixture(params=LIMITS, ids=str)
def few(request: pytest.FixtureRequest, device: str) -> Iterator[str]:
    """A device whose kernels bind so many buffers."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param is not None:
            patch.setenv("ADRET_GPU_BINDINGS", str(request.param))
        ad.reset_device(device)
        yield device
    ad.reset_device(device)


def arrays(count: int, *shape: int) -> list[np.ndarray]:
    """Numbers for so many tensors."""
    rng = np.random.default_rng(count)
    return [rng.standard_normal(shape).astype(np.float32) for _ in range(count)]


def gradients(y: ad.Tensor, leaves: Sequence[ad.Tensor], again: bool = False) -> list[ad.Tensor]:
    """Gradients of a number, of which gradients can be taken again."""
    y.backward(create_graph=again)
    found = []
    for leaf in leaves:
        assert leaf.grad is not None
        found.append(leaf.grad)
        leaf.grad = None
    return found


def agree(work: Callable[..., list[ad.Tensor]], data: list[np.ndarray], device: str) -> None:
    """Asserts that both devices compute the same, with everything evaluated at once."""

    def values(place: str) -> list[np.ndarray]:
        results = work(*[ad.tensor(array, device=place, requires_grad=True) for array in data])
        ad.eval(*results)
        return [result.detach().numpy() for result in results]

    for got, expected in zip(values(device), values("cpu"), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4 * max(1.0, float(np.abs(expected).max())))


def mixed(*tensors: ad.Tensor) -> ad.Tensor:
    """One expression of all."""
    y = tensors[0]
    for number, x in enumerate(tensors[1:]):
        y = y * 0.5 + x if number % 3 else ad.maximum(y, x)
    return y


@pytest.mark.parametrize("count", [7, 20, 33, 45, 80])
def test_many_tensors_in_one_expression(few: str, count: int) -> None:
    def work(*tensors: ad.Tensor) -> list[ad.Tensor]:
        y = mixed(*tensors)
        loss = (y * y).sum()
        return [y, loss, *gradients(loss, tensors)]

    agree(work, arrays(count, 3, 5), few)


def test_many_results_of_one_expression(few: str) -> None:
    agree(lambda *tensors: [x * mixed(*tensors[:3]) + 1 for x in tensors], arrays(41, 4, 3), few)


def test_many_tensors_in_rows(few: str) -> None:
    def work(*tensors: ad.Tensor) -> list[ad.Tensor]:
        y = ad.softmax(mixed(*tensors), axis=-1)
        return [y, y.max(1), *gradients((y * y).sum(), tensors)]

    agree(work, arrays(37, 6, 40), few)


def test_many_tensors_behind_a_product(few: str) -> None:
    def work(*tensors: ad.Tensor) -> list[ad.Tensor]:
        y = tensors[0] @ tensors[1] + mixed(*tensors[2:])
        return [y, ad.relu(y), *gradients(y.tanh().sum(), tensors)]

    agree(work, arrays(40, 6, 6), few)


def test_many_slices_and_pieces(few: str) -> None:
    def work(*tensors: ad.Tensor) -> list[ad.Tensor]:
        joined = ad.concat([x[:, ::2] for x in tensors] + [x.T[:3] for x in tensors], axis=1)
        return [joined, *gradients((joined * joined).sum(), tensors)]

    agree(work, arrays(36, 3, 3), few)


@pytest.mark.parametrize("lengths", [None, [5, 3, 2]])
@pytest.mark.parametrize("projection", [0, 2])
def test_second_order_of_an_lstm(few: str, projection: int, lengths: list[int] | None) -> None:
    """What lies between the steps of its gradient is the widest expression that layers make."""

    def work(x: ad.Tensor) -> list[ad.Tensor]:
        ad.manual_seed(0)
        layer = nn.LSTM(3, 4, proj_size=projection).to(x.device)
        parameters = list(layer.parameters())
        if lengths is None:
            out = layer(x)[0]
        else:
            out = layer(nn.utils.rnn.pack_padded_sequence(x, lengths))[0].data
        first = gradients((out * out).sum(), [x, *parameters], again=True)
        again = sum(((g * g).sum() for g in first), ad.zeros((), device=x.device))
        return [*first, *gradients(again, [x, *parameters])]

    agree(work, arrays(1, 5, 3, 3), few)


@pytest.mark.parametrize("rule", [optim.Adam, optim.AdamW, optim.RMSprop])
def test_steps_of_optimisers(few: str, rule: type[optim.Optimizer]) -> None:
    def parameters(place: str) -> list[np.ndarray]:
        ad.manual_seed(1)
        model = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Tanh(), nn.Linear(8, 3)).to(place)
        optimizer = rule(model.parameters(), lr=0.01)
        x = ad.tensor(arrays(1, 10, 6)[0], device=place)
        y = ad.tensor(np.arange(10, dtype=np.int32) % 3, device=place)

        @ad.compile
        def step() -> ad.Tensor:
            loss = ad.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return loss

        for _ in range(4):
            ad.eval(step())
        return [parameter.detach().numpy() for parameter in model.parameters()]

    for got, expected in zip(parameters(few), parameters("cpu"), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4)
