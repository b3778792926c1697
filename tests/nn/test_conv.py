"""Convolutions against their definition: values, first and second gradients, dtypes, layouts, layers, padding.

Depends on adret, NumPy and `convolutions`.
"""

from __future__ import annotations

import adret as ad
import adret.nn.functional as F
import numpy as np
import pytest
from adret import nn
from adret.autograd import pull
from convolutions import Case, random_case
from hypothesis import given, settings
from hypothesis import strategies as st

CONV = (F.conv1d, F.conv2d, F.conv3d)
TRANSPOSE = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
CASES = [random_case(seed) for seed in range(200)]


def leaf(values: np.ndarray, dtype: str = "float64") -> ad.Tensor:
    return ad.tensor(values, dtype=dtype, requires_grad=True)


def near(ours: ad.Tensor | None, theirs: np.ndarray, tolerance: float = 1e-10) -> None:
    assert ours is not None
    assert ours.shape == theirs.shape
    scale = max(1.0, float(np.abs(theirs).max(initial=0.0)))
    assert np.abs(ours.detach().numpy() - theirs).max(initial=0.0) <= tolerance * scale


def conv(case: Case, x: ad.Tensor, kernel: ad.Tensor, bias: ad.Tensor | None = None, **rest) -> ad.Tensor:
    return CONV[case.rank - 1](x, kernel, bias, case.stride, case.padding, case.dilation, case.groups, **rest)


def transpose(case: Case, y: ad.Tensor, kernel: ad.Tensor, bias: ad.Tensor | None = None, **rest) -> ad.Tensor:
    function = TRANSPOSE[case.rank - 1]
    return function(y, kernel, bias, case.stride, case.padding, case.extra, case.groups, case.dilation, **rest)


def check(case: Case) -> None:
    """Value, gradients and gradients of gradients, of the convolution and of its transpose."""
    x0, k0, y0 = case.values()
    rng = np.random.default_rng(case.seed + 1)
    bias0 = rng.standard_normal(k0.shape[0])
    hx, hk = rng.standard_normal(x0.shape), rng.standard_normal(k0.shape)
    x, k, g, bias = leaf(x0), leaf(k0), leaf(y0), leaf(bias0)
    y = conv(case, x, k, bias)
    near(y, case.output(x0, k0) + bias0.reshape(-1, *(1,) * case.rank))
    dx, dk, db = pull([y], [g], [x, k, bias], True)
    near(dx, case.input(y0, k0))
    near(dk, case.weight(x0, y0))
    near(db, y0.sum((0, *range(2, 2 + case.rank))))
    second = (dx * ad.tensor(hx)).sum() + (dk * ad.tensor(hk)).sum()
    ddx, ddk, ddg = pull([second], [None], [x, k, g], False)
    near(ddx, case.input(y0, hk))
    near(ddk, case.weight(hx, y0))
    near(ddg, case.output(hx, k0) + case.output(x0, hk))
    bias0 = rng.standard_normal(x0.shape[1])
    bias = leaf(bias0)
    z = transpose(case, g, k, bias)
    near(z, case.input(y0, k0) + bias0.reshape(-1, *(1,) * case.rank))
    dg, dk, db = pull([z], [x], [g, k, bias], False)
    near(dg, case.output(x0, k0))
    near(dk, case.weight(x0, y0))
    near(db, x0.sum((0, *range(2, 2 + case.rank))))


@pytest.mark.parametrize("part", range(10))
def test_random_cases(part: int) -> None:
    for case in CASES[part * 20 : part * 20 + 20]:
        check(case)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(1000, 100_000))
def test_cases_found_by_search(seed: int) -> None:
    check(random_case(seed))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_dtypes(dtype: str) -> None:
    """Narrow floats are multiplied and added in float32, and rounded once."""
    for case in CASES[:40]:
        x0, k0, y0 = (np.asarray(ad.tensor(values, dtype=dtype).astype("float64")) for values in case.values())
        x, k, g = leaf(x0, dtype), leaf(k0, dtype), ad.tensor(y0, dtype=dtype)
        y = conv(case, x, k)
        dx, dk = pull([y], [g], [x, k], False)
        assert all(part.dtype == getattr(ad, dtype) for part in (y, dx, dk))
        tolerance = {"float16": 2e-3, "bfloat16": 1e-2, "float32": 1e-5}[dtype]
        near(y.astype("float64"), case.output(x0, k0), tolerance)
        near(dx.astype("float64"), case.input(y0, k0), tolerance)
        near(dk.astype("float64"), case.weight(x0, y0), tolerance)


@pytest.mark.parametrize("dtype", ["int64", "int8", "bool"])
def test_other_dtypes_are_refused(dtype: str) -> None:
    with pytest.raises(ad.DTypeError, match="floats"):
        F.conv1d(ad.zeros((1, 1, 4), dtype=dtype), ad.zeros((1, 1, 2), dtype=dtype))


@pytest.mark.parametrize("last", [False, True])
def test_layouts_change_no_value(last: bool) -> None:
    """Channels last in the call, and inputs that are views of any strides."""
    for case in CASES[:60]:
        x0, k0, y0 = case.values()
        wide = np.zeros((*x0.shape[:-1], 2 * x0.shape[-1]))
        wide[..., ::2] = x0[..., ::-1]
        view = ad.tensor(wide)[..., ::2].flip(axis=-1)
        turned = ad.tensor(np.ascontiguousarray(np.moveaxis(k0, 1, -1)))
        kernel = ad.moveaxis(turned, -1, 1)
        near(conv(case, view, kernel), case.output(x0, k0))
        ones = ad.broadcast_to(ad.ones(1, dtype="float64"), y0.shape)
        near(transpose(case, ones, kernel), case.input(np.ones_like(y0), k0))
        moved = leaf(np.ascontiguousarray(np.moveaxis(x0, 1, -1)))
        y = conv(case, moved, ad.tensor(k0), channels_last=True)
        near(y, np.moveaxis(case.output(x0, k0), 1, -1))
        (dx,) = pull([y], [ad.tensor(np.moveaxis(y0, 1, -1).copy())], [moved], False)
        near(dx, np.moveaxis(case.input(y0, k0), 1, -1))
        if last:
            single = conv(case, moved[0], ad.tensor(k0), channels_last=True)
            near(single, np.moveaxis(case.output(x0, k0), 1, -1)[0])
        else:
            near(conv(case, ad.tensor(x0)[0], ad.tensor(k0)), case.output(x0, k0)[0])


def test_same_and_valid() -> None:
    rng = np.random.default_rng(0)
    for kernel, dilation in [(1, 1), (2, 1), (3, 2), (4, 3), (5, 1)]:
        x, k = rng.standard_normal((2, 3, 13)), rng.standard_normal((4, 3, kernel))
        span = dilation * (kernel - 1)
        padded = np.pad(x, [(0, 0), (0, 0), (span // 2, span - span // 2)])
        expected = F.conv1d(ad.tensor(padded), ad.tensor(k), dilation=dilation)
        near(F.conv1d(ad.tensor(x), ad.tensor(k), padding="same", dilation=dilation), expected.detach().numpy())
        valid = F.conv1d(ad.tensor(x), ad.tensor(k), padding="valid", dilation=dilation)
        near(valid, F.conv1d(ad.tensor(x), ad.tensor(k), dilation=dilation).numpy())


BIG = [
    Case(2, 2, 1, 16, 20, (40, 41), (3, 3), (1, 1), (1, 1), (1, 1)),
    Case(2, 1, 1, 3, 17, (70, 70), (7, 7), (2, 2), (3, 3), (1, 1)),
    Case(2, 3, 24, 1, 1, (30, 33), (3, 3), (1, 1), (1, 1), (1, 1)),
    Case(2, 3, 24, 1, 2, (30, 33), (5, 5), (2, 2), (2, 2), (1, 1)),
    Case(2, 3, 4, 8, 8, (21, 20), (3, 3), (1, 1), (2, 2), (2, 2)),
    Case(2, 9, 1, 64, 70, (2, 2), (3, 3), (1, 1), (1, 1), (1, 1)),
    Case(2, 4, 1, 48, 33, (14, 14), (1, 1), (1, 1), (0, 0), (1, 1)),
    Case(2, 4, 1, 48, 33, (14, 14), (1, 1), (2, 2), (0, 0), (1, 1)),
    Case(1, 1, 1, 2, 3, (100_001,), (5,), (1,), (2,), (1,)),
    Case(1, 2, 1, 1, 16, (30_000,), (400,), (160,), (200,), (1,)),
    Case(3, 2, 1, 5, 6, (12, 13, 14), (3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1)),
    Case(2, 1, 1, 2, 2, (5, 5), (3, 3), (1, 1), (900, 900), (900, 900)),
    Case(1, 1, 1, 1, 1, (6,), (2,), (5,), (0,), (1,)),
]


@pytest.mark.parametrize("case", BIG, ids=lambda case: f"{case.rank}d-{case.sizes}-k{case.kernel}")
def test_sizes_that_are_cut_into_parts(case: Case) -> None:
    check(case)
    x0, k0, y0 = (values.astype("float32") for values in case.values())
    x, k = leaf(x0, "float32"), leaf(k0, "float32")
    y = conv(case, x, k)
    dx, dk = pull([y], [ad.tensor(y0)], [x, k], False)
    near(y, case.output(x0, k0), 1e-4)
    near(dx, case.input(y0, k0), 1e-4)
    near(dk, case.weight(x0, y0), 1e-4)


def test_bits_depend_on_no_thread() -> None:
    before = ad.get_num_threads()
    try:
        for case in (*BIG[:8], *CASES[:10]):
            found = []
            for threads in (1, 2, 5):
                ad.set_num_threads(threads)
                x, k, g = (leaf(values.astype("float32"), "float32") for values in case.values())
                y = conv(case, x, k)
                found.append([part.detach().numpy().tobytes() for part in (y, *pull([y], [g], [x, k], False))])
            assert found[0] == found[1] == found[2]
    finally:
        ad.set_num_threads(before)


def test_what_is_not_finite_stays_where_it_is() -> None:
    """Elements between the rows of a padded plane, which are computed along, spoil nothing."""
    for groups, channels in ((1, 20), (3, 3)):
        x = np.random.default_rng(0).standard_normal((2, channels, 9, 9))
        x[0, 0, 0, 8] = np.inf
        k = np.random.default_rng(1).standard_normal((channels, channels // groups, 3, 3))
        a, b = leaf(x), leaf(k)
        y = F.conv2d(a, b, padding=1, groups=groups)
        touched = np.zeros((9, 9), bool)
        touched[:2, 7:] = True
        finite = np.isfinite(y.detach().numpy())
        assert finite[1].all() and finite[0][:, ~touched].all()
        cotangent = np.zeros(y.shape)
        cotangent[:, :, 4, 4] = 1
        _, dk = pull([y], [ad.tensor(cotangent)], [a, b], False)
        # Taps that meet the infinite element somewhere, if only with a cotangent of 0.
        meets = np.zeros(dk.shape, bool)
        meets[: channels // groups, 0, :2, 1:] = True
        assert np.array_equal(np.isfinite(dk.numpy()), ~meets)


def test_only_what_is_asked_for_is_computed() -> None:
    x, k = ad.ones((1, 2, 6, 6)), ad.ones((3, 2, 3, 3), requires_grad=True)
    y = F.conv2d(x, k)
    ad.eval(y)
    before = ad.stats()["launches"]
    y.backward(ad.ones(y.shape))
    ad.eval(k.grad)
    # The gradient of the kernel, and the ones.
    assert ad.stats()["launches"] - before <= 2


def test_steps_and_taps_far_apart() -> None:
    """Working memory and time follow from what there is to compute, not from how far apart it lies."""
    y = F.conv_transpose1d(ad.ones((1, 2, 3)), ad.ones((2, 1, 2)), ad.ones(1), stride=200_000, dilation=50_000)
    assert y.shape == (1, 1, 450_001)
    assert y.sum().item() == 450_001 + 2 * 3 * 2
    x = ad.ones((1, 1, 5, 5), requires_grad=True)
    y = F.conv2d(x, ad.ones((1, 1, 3, 3)), padding=20_000, dilation=20_000)
    assert y.tolist() == [[[[1.0] * 5] * 5]]
    y.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [[[[1.0] * 5] * 5]]
    long = ad.ones((1, 1, 300_000))
    assert F.conv1d(long, long).tolist() == [[[300_000.0]]]


def test_empty_batches() -> None:
    k, bias = ad.ones((3, 2, 3, 3), requires_grad=True), ad.ones(3, requires_grad=True)
    x = ad.ones((0, 2, 6, 6), requires_grad=True)
    y = F.conv2d(x, k, bias)
    assert y.shape == (0, 3, 4, 4)
    y.sum().backward()
    assert k.grad is not None and not k.grad.numpy().any()
    assert x.grad is not None and x.grad.shape == x.shape


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_modes(mode: str) -> None:
    name = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode]
    x0 = np.random.default_rng(0).standard_normal((2, 3, 5, 6))
    for amounts in [(1, 2), (3, 0, 2, 4), (0, 1, 4, 4), (2, 2, 1, 1, 1, 0), ()]:
        widths = [(0, 0)] * 4
        for i in range(0, len(amounts), 2):
            widths[3 - i // 2] = (amounts[i], amounts[i + 1])
        x = leaf(x0)
        y = F.pad(x, amounts, mode=mode)
        near(y, np.pad(x0, widths, mode=name))
        cotangent = np.random.default_rng(1).standard_normal(y.shape)
        (dx,) = pull([y], [ad.tensor(cotangent)], [x], False)
        numbers = np.pad(np.arange(x0.size).reshape(x0.shape), widths, mode=name)
        near(dx, np.bincount(numbers.ravel(), cotangent.ravel(), x0.size).reshape(x0.shape))


def test_padding_with_a_value_and_cutting() -> None:
    x = ad.tensor(np.arange(12.0).reshape(3, 4))
    near(F.pad(x, (1, 2), value=7.0), np.pad(x.numpy(), [(0, 0), (1, 2)], constant_values=7))
    assert F.pad(x, (-1, -1)).tolist() == [[1.0, 2.0], [5.0, 6.0], [9.0, 10.0]]
    assert F.pad(x, (-4, 0)).shape == (3, 0)
    assert F.pad(x, (-2, 2, 0, -2)).tolist() == [[2.0, 3.0, 0.0, 0.0]]


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_layers_pad_and_convolve(mode: str, channels_last: bool) -> None:
    layer = nn.Conv2d(3, 4, (3, 2), padding=(2, 1), padding_mode=mode, dtype="float64", channels_last=channels_last)
    x = ad.tensor(np.random.default_rng(0).standard_normal((2, 3, 6, 7)))
    how = {"zeros": "constant"}.get(mode, mode)
    expected = F.conv2d(F.pad(x, (1, 1, 2, 2), mode=how), layer.weight, layer.bias)
    given = ad.moveaxis(x, 1, -1) if channels_last else x
    found = layer(given)
    near(ad.moveaxis(found, -1, 1) if channels_last else found, expected.detach().numpy())
    same = nn.Conv2d(3, 4, (3, 2), padding="same", padding_mode=mode, dtype="float64")
    assert same(x).shape == (2, 4, 6, 7)


def test_layers_have_the_parameters_of_pytorch() -> None:
    layer = nn.Conv2d(6, 8, 3, groups=2)
    assert {name: p.shape for name, p in layer.state_dict().items()} == {"weight": (8, 3, 3, 3), "bias": (8,)}
    bound = 1 / np.sqrt(27)
    weight = np.abs(layer.weight.detach().numpy())
    assert 0.9 * bound < weight.max() <= bound and np.abs(layer.bias.detach().numpy()).max() <= bound
    up = nn.ConvTranspose2d(6, 8, 3, groups=2, bias=False)
    assert {name: p.shape for name, p in up.state_dict().items()} == {"weight": (6, 4, 3, 3)}
    assert repr(nn.Conv2d(1, 6, 5, padding=2)) == "Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1), padding=(2, 2))"


def test_a_transpose_takes_the_size_that_it_should_make() -> None:
    up = nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1)
    x = ad.ones((2, 3, 5, 6))
    assert up(x).shape == (2, 4, 9, 11)
    assert up(x, output_size=(10, 11)).shape == (2, 4, 10, 11)
    assert up(x, output_size=(2, 4, 10, 12)).shape == (2, 4, 10, 12)
    with pytest.raises(ad.ShapeError, match="9 to 10"):
        up(x, output_size=(11, 11))


def test_compiled_steps_train() -> None:
    """A small network learns, compiled or not, in the same bits."""
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((16, 1, 8, 8)).astype("float32"), rng.integers(0, 3, 16)

    def train(compiled: bool) -> list[float]:
        ad.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 4, 3, stride=2), nn.Flatten(), nn.Linear(36, 3)
        )
        optimizer = ad.optim.SGD(net.parameters(), lr=0.5)

        def step(x: ad.Tensor, y: ad.Tensor) -> ad.Tensor:
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            return loss

        run = ad.compile(step) if compiled else step
        return [run(ad.tensor(images), ad.tensor(labels)).item() for _ in range(20)]

    losses = train(False)
    assert losses[-1] < 0.7 * losses[0]
    assert train(True) == losses
