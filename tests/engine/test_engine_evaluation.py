"""What one evaluation computes, when evaluation happens unasked, and what is kept for the backward pass.

Depends on the engine's counters: nothing here measures time.
"""

from __future__ import annotations

import gc

import adret as ad
import numpy as np
import pytest
from counters import Counters, measured

MEGABYTE = 1 << 20


def vector(megabytes: float = 1.0, **settings) -> ad.Tensor:
    """An evaluated float32 vector of that size."""
    x = ad.tensor(np.linspace(-1, 1, int(megabytes * MEGABYTE) // 4, dtype=np.float32), **settings)
    ad.eval(x)
    return x


def test_nothing_runs_before_a_value_is_asked_for() -> None:
    """Building a graph launches nothing; asking twice runs once."""
    x = vector()
    counted = Counters()
    y = ad.tanh(x * 2 + 1) - x
    assert counted.since("launches") == 0
    y.numpy()
    assert counted.since("runs") == 1
    y.numpy(), y.tolist(), y[3:5].numpy()
    assert counted.since("runs") == 1


def test_pointwise_chains_are_one_launch() -> None:
    """A chain of pointwise ops, and the reduction that reads it, share a kernel."""
    x = vector()
    counted = Counters()
    (ad.tanh(x * 2 + 1) * ad.sigmoid(x) - x * x).numpy()
    assert counted.since("launches") == 1
    counted = Counters()
    ad.sum(ad.exp(x) * x).item()
    assert counted.since("launches") <= 2
    rows = ad.tensor(np.random.default_rng(0).standard_normal((64, 100)).astype(np.float32))
    counted = Counters()
    ad.softmax(rows, axis=-1).numpy()
    assert counted.since("launches") == 1


def test_live_tensors_of_the_same_graph_are_evaluated_together() -> None:
    """What has a live handle and shares pending work comes along; what shares none stays pending."""
    x = vector()
    shared = x + 1
    first, second, stranger = shared * 2, shared * 3, ad.exp(vector())
    counted = Counters()
    first.numpy()
    assert counted.since("runs") == 1
    second.numpy()
    shared.numpy()
    assert counted.since("runs") == 1, "a live tensor of the same graph was left pending"
    stranger.numpy()
    assert counted.since("runs") == 2, "an unrelated tensor was evaluated unasked"


def test_dropped_intermediates_take_no_memory() -> None:
    """Only live handles get buffers of their own."""
    x = vector()
    counted = measured()
    a = ad.exp(x)
    b = ad.sin(a)
    c = b * a
    del a, b
    c.numpy()
    assert counted.since("bytes_in_use") <= x.nbytes + 4096


def test_values_of_dead_graphs_are_given_back() -> None:
    """Memory in use returns to where it was."""
    x = vector()
    gc.collect()
    counted = Counters()
    for _ in range(5):
        y = ad.sum(ad.exp(x) * x, keepdims=True) + x
        y.numpy()
    del y
    gc.collect()
    assert abs(counted.since("bytes_in_use")) <= 4096


def test_a_loop_that_never_asks_is_evaluated_by_itself() -> None:
    """The pending graph stays bounded, and the result is right."""
    total, one = ad.tensor(0.0, dtype="float64"), ad.tensor(1.0, dtype="float64")
    largest = 0
    for step in range(30_000):
        total = total + one * 0.5
        if step % 500 == 0:
            largest = max(largest, ad.stats()["pending_nodes"])
    assert largest < 25_000
    assert total.item() == 15_000.0


def test_a_loop_with_gradients_that_never_asks_is_evaluated_by_itself() -> None:
    """Also where every node carries a history."""
    w = ad.tensor(0.5, dtype="float64", requires_grad=True)
    total = ad.tensor(0.0, dtype="float64")
    for _ in range(12_000):
        total = total + w * 0.5
    total.backward()
    assert w.grad.item() == 6000.0
    assert abs(total.item() - 3000.0) < 1e-9


class Network:
    """Two layers with a loss, on data of some size."""

    def __init__(self, rows: int = 256, width: int = 256) -> None:
        rng = np.random.default_rng(0)
        self.x = ad.tensor(rng.standard_normal((rows, width)).astype(np.float32))
        self.weights = [
            ad.tensor((rng.standard_normal((width, width)) / 16).astype(np.float32), requires_grad=True)
            for _ in range(3)
        ]
        ad.eval(self.x, *self.weights)

    def loss(self) -> ad.Tensor:
        hidden = self.x
        for weight in self.weights:
            hidden = ad.tanh(hidden @ weight) * ad.sigmoid(hidden) + 0.1
        return (hidden * hidden).mean()

    def step(self, ask: bool) -> list[np.ndarray]:
        for weight in self.weights:
            weight.grad = None
        loss = self.loss()
        if ask:
            loss.item()
        loss.backward()
        ad.eval(*(weight.grad for weight in self.weights))
        return [weight.grad.numpy() for weight in self.weights]


def test_asking_for_the_loss_first_costs_no_second_forward_pass() -> None:
    """The same products, nearly the same peak, and the same bits with and without `.item()`."""
    network = Network()
    flops, peaks, gradients = [], [], []
    for ask in (False, True):
        network.step(ask)
        counted = measured()
        gradients.append(network.step(ask))
        flops.append(counted.since("matmul_flops"))
        peaks.append(counted.peak())
    assert flops[0] == flops[1], "products were computed twice"
    # Nine products: a forward one and two backward ones per layer, less the gradient of the data.
    assert flops[0] == 2 * 256**3 * 8
    assert peaks[1] <= 1.5 * peaks[0] + MEGABYTE
    for plain, asked in zip(*gradients, strict=True):
        assert plain.tobytes() == asked.tobytes()


def test_pointwise_nodes_are_recomputed_not_stored() -> None:
    """A long chain of pointwise ops with a history keeps no buffer per op after an evaluation."""
    x = vector(requires_grad=True)
    y = x
    for _ in range(20):
        y = ad.tanh(y * 1.1 + 0.1)
    counted = measured()
    loss = y.sum()
    del y
    loss.item()
    assert counted.since("bytes_in_use") <= 4 * x.nbytes, "the chain was stored op by op"
    loss.backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_without_gradients_inputs_are_dropped() -> None:
    """A value without history keeps nothing of what it was made of."""
    with ad.no_grad():
        x = vector(requires_grad=True)
        counted = Counters()
        y = ad.sum(ad.exp(x @ x) + x)
        y.item()
        del x
        gc.collect()
    assert counted.since("bytes_in_use") <= -MEGABYTE + 4096


def test_a_backward_pass_releases_the_history() -> None:
    """Saved values go; a second pass raises and names the way out; retain_graph keeps them."""
    network = Network(64, 64)
    loss = network.loss()
    loss.backward(retain_graph=True)
    first = network.weights[0].grad.numpy(copy=True)
    loss.backward()
    assert np.allclose(network.weights[0].grad.numpy(), 2 * first, rtol=1e-6)
    with pytest.raises(ad.GradError, match="retain_graph"):
        loss.backward()


def test_slices_gradient_costs_one_buffer() -> None:
    """200 slices of one tensor: memory and launches grow with the elements, not with slices times elements."""

    def run(count: int) -> tuple[int, int]:
        x = ad.tensor(np.ones((count, 4096), np.float32), requires_grad=True)
        ad.eval(x)
        counted = measured()
        loss = sum(((x[t] * (t + 1.0)).sum() for t in range(count)), start=ad.tensor(0.0))
        loss.backward()
        assert np.array_equal(x.grad.numpy()[:, 0], np.arange(1, count + 1))
        return counted.peak() // x.nbytes, counted.since("launches")

    (small_peak, small), (large_peak, large) = run(50), run(200)
    assert large_peak <= 6, f"peak of {large_peak} times the tensor"
    assert large_peak <= small_peak + 2
    assert large <= 4.5 * small + 20


def test_expanded_and_taken_gradients_accumulate_in_order() -> None:
    """Repeated indices add up, deterministically."""
    x = ad.tensor(np.arange(6.0), requires_grad=True)
    (ad.take(x, ad.tensor([0, 0, 5, 0])) * ad.tensor([1.0, 2.0, 3.0, 4.0], dtype="float64")).sum().backward()
    assert x.grad.tolist() == [7, 0, 0, 0, 0, 3]
    y = ad.tensor(1.5, dtype="float64", requires_grad=True)
    ad.broadcast_to(y, (3, 4)).sum().backward()
    assert y.grad.item() == 12.0


def test_a_bad_tensor_does_not_keep_a_loop_from_being_evaluated() -> None:
    """A live tensor with a bad index waits for whoever asks for it; all others are computed in time."""
    bad = ad.take(ad.arange(3), ad.tensor([0, 4]) + 1, axis=0)
    total, waiting = ad.zeros(()), ad.stats()["pending_nodes"]
    for _ in range(20_000):
        total = total + 1
    assert ad.stats()["pending_nodes"] - waiting < 9_000
    assert total.item() == 20_000
    with pytest.raises(ad.OutOfRangeError):
        bad.tolist()
