"""The LSTM's own routine against its steps in ordinary operations, which sequences with lengths still take."""

import adret as ad
import numpy as np
import pytest
from adret import nn

SIZES = [(1, 1, 1), (3, 2, 5), (7, 9, 16), (4, 17, 33), (12, 40, 20)]


def pair(layer: nn.LSTM, x: ad.Tensor, hx: tuple[ad.Tensor, ad.Tensor]) -> list[list[np.ndarray]]:
    """Values and gradients by the routine, and by steps."""
    results: list[list[np.ndarray]] = []
    for lengths in (None, [x.shape[0]] * x.shape[1]):
        inputs = [x.detach(), *(state.detach() for state in hx)]
        for tensor in inputs:
            tensor.requires_grad = True
        output, (h, c) = layer(inputs[0], (inputs[1], inputs[2]), lengths=lengths)
        (output.sin().sum() + (2 * h).cos().sum() + (c * c).sum()).backward()
        found = [output, h, c, *(tensor.grad for tensor in (*inputs, *layer.parameters()))]
        results.append([value.detach().numpy() for value in found])
        layer.zero_grad()
    return results


@pytest.mark.parametrize("dtype", [ad.float32, ad.float64])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("layers", [{}, {"bidirectional": True}, {"num_layers": 2, "bias": False}])
def test_routine_and_steps_agree(dtype: ad.DType, sizes: tuple[int, int, int], layers: dict[str, object]) -> None:
    steps, batch, hidden = sizes
    rng = np.random.default_rng(7)
    layer = nn.LSTM(3, hidden, dtype=dtype, **layers)
    count = layer.num_layers * (1 + layer.bidirectional)
    x = ad.asarray(rng.standard_normal((steps, batch, 3)), dtype=dtype)
    hx = tuple(ad.asarray(rng.standard_normal((count, batch, hidden)), dtype=dtype) for _ in range(2))
    routine, plain = pair(layer, x, (hx[0], hx[1]))
    for ours, theirs in zip(routine, plain, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4 if dtype == ad.float32 else 1e-11, atol=1e-4)


def test_the_routine_is_one_launch_for_all_steps() -> None:
    layer = nn.LSTM(4, 8)
    x = ad.ones((50, 3, 4))
    with ad.no_grad():
        ad.eval(layer(x)[0])
        before = ad.stats()["launches"]
        ad.eval(layer(x)[0])
    assert ad.stats()["launches"] - before < 10


@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_of_any_order(reverse: bool) -> None:
    rng = np.random.default_rng(3)
    layer = nn.LSTM(2, 3, dtype=ad.float64, bidirectional=reverse)
    x = ad.asarray(rng.standard_normal((3, 2, 2)))
    h, c = (ad.asarray(rng.standard_normal((1 + reverse, 2, 3))) for _ in range(2))
    names = [name for name, _ in layer.named_parameters()]
    weights = [parameter.detach() for parameter in layer.parameters()]

    def run(*tensors: ad.Tensor) -> ad.Tensor:
        values = dict(zip(names, tensors[3:], strict=True))
        output, (last_h, last_c) = ad.functional_call(layer, values, (tensors[0], (tensors[1], tensors[2])))
        return output.sum() + (last_h * last_c).sum()

    assert ad.gradcheck(run, (x, h, c, *weights), second_order=True)


def test_same_bits_for_any_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    layer = nn.LSTM(5, 24)
    x = ad.asarray(rng.standard_normal((6, 37, 5)).astype(np.float32))
    found: list[list[bytes]] = []
    threads = ad.get_num_threads()
    try:
        for count in (1, 2, 4):
            ad.set_num_threads(count)
            layer(x)[0].sin().sum().backward()
            found.append([parameter.grad.numpy().tobytes() for parameter in layer.parameters()])
            layer.zero_grad()
    finally:
        ad.set_num_threads(threads)
    assert found[0] == found[1] == found[2]
