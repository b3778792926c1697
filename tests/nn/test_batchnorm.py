"""Running statistics and modes of normalising layers, in plain and compiled steps and in `fit`; mistakes.

Depends on adret and NumPy. Invariant: values and gradients of the functions are tested by their rows.
"""

from __future__ import annotations

from collections.abc import Callable

import adret as ad
import numpy as np
import pytest
from adret import nn, optim
from adret.nn import functional as F


def batches(count: int, *shape: int) -> list[np.ndarray]:
    """Random batches, no two alike in mean and spread."""
    rng = np.random.default_rng(0)
    return [(rng.standard_normal(shape) * (1 + n) + n).astype("float32") for n in range(count)]


def expected_statistics(inputs: list[np.ndarray], momentum: float | None) -> tuple[np.ndarray, np.ndarray]:
    """The running statistics after these batches."""
    channels = inputs[0].shape[1]
    mean, variance = np.zeros(channels), np.ones(channels)
    for number, x in enumerate(inputs, 1):
        axes = tuple(axis for axis in range(x.ndim) if axis != 1)
        factor = 1 / number if momentum is None else momentum
        x = x.astype(float)
        mean = mean + factor * (x.mean(axes) - mean)
        variance = variance + factor * (x.var(axes, ddof=1) - variance)
    return mean, variance


@pytest.mark.parametrize("momentum", [0.1, 0.7, None])
@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (4, 3, 5, 6), (2, 3, 2, 3, 4)])
def test_running_statistics(shape: tuple[int, ...], momentum: float | None) -> None:
    kind = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}[len(shape)]
    layer = kind(3, momentum=momentum)
    inputs = batches(4, *shape)
    for x in inputs:
        layer(ad.tensor(x))
    mean, variance = expected_statistics(inputs, momentum)
    np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.running_var.numpy(), variance, rtol=1e-4)
    assert layer.num_batches_tracked.item() == 4
    layer.eval()
    x = inputs[0]
    around = (-1, *(1,) * (x.ndim - 2))
    expected = (x - mean.reshape(around)) / np.sqrt(variance.reshape(around) + 1e-5)
    np.testing.assert_allclose(layer(ad.tensor(x)).detach().numpy(), expected, rtol=1e-3, atol=1e-4)
    assert layer.num_batches_tracked.item() == 4


@pytest.mark.parametrize("momentum", [0.1, 0.0, None])
@pytest.mark.parametrize("kind", [nn.BatchNorm2d, nn.InstanceNorm2d])
def test_nothing_moves_no_statistics(kind: type[nn.BatchNorm2d], momentum: float | None) -> None:
    """Of no elements there is no mean, and 0 times nothing would not be a number either."""
    layer = kind(3, momentum=momentum, affine=True, track_running_stats=True)
    layer.running_mean.assign(2.0)
    for shape in ((0, 3, 4, 5), (2, 3, 0, 5)):
        assert layer(ad.ones(shape)).shape == shape
        assert layer.running_mean.tolist() == [2.0] * 3
        assert layer.running_var.tolist() == [1.0] * 3


@pytest.mark.parametrize(
    "layer",
    [
        *(nn.BatchNorm1d(4, bias=False), nn.BatchNorm2d(4, bias=False), nn.BatchNorm3d(4, bias=False)),
        *(nn.InstanceNorm1d(4, affine=True, bias=False), nn.InstanceNorm2d(4, affine=True, bias=False)),
        *(nn.InstanceNorm3d(4, affine=True, bias=False), nn.GroupNorm(2, 4, bias=False)),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_weight_without_a_bias(layer: nn.BatchNorm2d) -> None:
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    assert layer.bias is None
    with ad.no_grad():
        layer.weight.assign(2.0)
    spatial = {"1d": (6,), "3d": (2, 3, 2)}.get(type(layer).__name__[-2:], (3, 4))
    y = layer(ad.tensor(batches(1, 5, 4, *spatial)[0])).detach().numpy()
    assert abs(y.mean()) < 1e-6
    assert abs(y.std() - 2) < 1e-3


def test_without_running_statistics_every_batch_has_its_own() -> None:
    layer = nn.BatchNorm2d(3, affine=False, track_running_stats=False)
    (x,) = batches(1, 4, 3, 2, 2)
    trained = layer(ad.tensor(x)).numpy()
    np.testing.assert_array_equal(layer.eval()(ad.tensor(x)).numpy(), trained)
    assert list(layer.state_dict()) == []


def test_state_dict_is_pytorchs() -> None:
    names = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    layer, other = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    assert list(layer.state_dict()) == names
    layer(ad.tensor([[1.0, 2.0], [3.0, 5.0]]))
    other.load_state_dict(layer.state_dict())
    assert other.num_batches_tracked.dtype == ad.int64
    for name in names:
        np.testing.assert_array_equal(getattr(other, name).detach().numpy(), getattr(layer, name).detach().numpy())
    layer.reset_parameters()
    assert layer.running_mean.tolist() == [0.0, 0.0]
    assert layer.running_var.tolist() == [1.0, 1.0]
    assert layer.num_batches_tracked.item() == 0


def network() -> nn.Sequential:
    """A small network with every kind of statistics."""
    ad.manual_seed(3)
    return nn.Sequential(
        nn.BatchNorm2d(2),
        nn.InstanceNorm2d(2, affine=True, track_running_stats=True),
        nn.GroupNorm(2, 2),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(18, 4),
        nn.BatchNorm1d(4, momentum=None),
        nn.Dropout(0.2),
        nn.Linear(4, 3),
    )


def trained(compiled: bool) -> tuple[list[float], dict[str, np.ndarray]]:
    """Losses and state after some steps."""
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

    def step(x: ad.Tensor, y: ad.Tensor) -> ad.Tensor:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    run = ad.compile(step) if compiled else step
    labels = ad.tensor([0, 1, 2, 0, 1, 2])
    losses = [run(ad.tensor(x), labels).item() for x in batches(6, 6, 2, 6, 6)]
    return losses, {name: value.numpy() for name, value in model.state_dict().items()}


def test_statistics_move_in_compiled_steps() -> None:
    plain, compiled = trained(False), trained(True)
    assert plain[0] == compiled[0]
    for name, value in plain[1].items():
        np.testing.assert_array_equal(value, compiled[1][name], err_msg=name)
    assert plain[1]["6.num_batches_tracked"] == 6
    mean, variance = expected_statistics(batches(6, 6, 2, 6, 6), 0.1)
    np.testing.assert_allclose(plain[1]["0.running_mean"], mean, rtol=1e-4)
    np.testing.assert_allclose(plain[1]["0.running_var"], variance, rtol=1e-4)


def test_fit_trains_and_evaluates_with_running_statistics() -> None:
    model = network()
    x = np.concatenate(batches(4, 6, 2, 6, 6))
    y = np.arange(24) % 3
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    ad.fit(model, (x, y), epochs=2, batch_size=6, optimizer=optimizer, loss=nn.CrossEntropyLoss())
    assert model[0].num_batches_tracked.item() == 8
    before = model[0].running_mean.numpy()
    ad.evaluate(model, (x, y), loss=nn.CrossEntropyLoss())
    np.testing.assert_array_equal(model[0].running_mean.numpy(), before)


def test_frozen_statistics_still_have_gradients() -> None:
    layer = nn.BatchNorm2d(3).eval()
    (values,) = batches(1, 2, 3, 4, 4)
    x = ad.tensor(values, requires_grad=True)
    layer(x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.full(values.shape, 1 / np.sqrt(1 + 1e-5)), rtol=1e-6)
    np.testing.assert_allclose(layer.bias.grad.numpy(), [32.0] * 3)
    np.testing.assert_allclose(layer.weight.grad.numpy(), values.sum((0, 2, 3)) / np.sqrt(1 + 1e-5), rtol=1e-4)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e5])
def test_far_from_zero_the_variance_stays_exact(offset: float) -> None:
    values = (np.random.default_rng(0).standard_normal((8, 4, 20, 20)) + offset).astype("float32")
    values[0, :, 0, 0] = offset - 300
    y = F.batch_norm(ad.tensor(values), None, None, training=True).numpy()
    wide = values.astype("float64")
    deviation = np.sqrt(wide.var((0, 2, 3), keepdims=True) + 1e-5)
    expected = (wide - wide.mean((0, 2, 3), keepdims=True)) / deviation
    # Rounding the mean to float32 shifts everything by half a unit in its last place.
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5 + abs(offset) * 2**-24)


def test_nan_and_infinity_stay_in_their_channel() -> None:
    values = np.ones((2, 3, 3, 3), "float32")
    values[0, 0, 0, 0], values[1, 1, 2, 2] = np.nan, np.inf
    y = F.batch_norm(ad.tensor(values), None, None, training=True).numpy()
    assert np.isnan(y[:, 0]).all()
    assert np.isnan(y[:, 1]).all()
    np.testing.assert_array_equal(y[:, 2], 0.0)


def test_no_running_statistic_moves_when_the_call_fails() -> None:
    mean, variance = ad.zeros(3), ad.ones(2)
    with pytest.raises(ad.ShapeError):
        F.batch_norm(ad.ones((4, 3)), mean, variance, training=True)
    assert mean.tolist() == [0.0, 0.0, 0.0]


def test_bits_do_not_depend_on_threads() -> None:
    x = ad.tensor(batches(1, 9, 5, 30, 40)[0])
    results = []
    for threads in (1, 2, 5):
        ad.set_num_threads(threads)
        results.append(F.batch_norm(x, None, None, training=True).numpy())
    ad.set_num_threads(0)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_instance_norm_with_running_statistics() -> None:
    layer = nn.InstanceNorm1d(2, track_running_stats=True)
    (x,) = batches(1, 3, 2, 5)
    layer(ad.tensor(x))
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.1 * x.mean((0, 2)), rtol=1e-5, atol=1e-6)
    expected = 0.9 + 0.1 * x.var(2, ddof=1).mean(0)
    np.testing.assert_allclose(layer.running_var.numpy(), expected, rtol=1e-5)
    alone = nn.InstanceNorm1d(2)
    np.testing.assert_array_equal(alone(ad.tensor(x[0])).numpy(), alone(ad.tensor(x)).numpy()[0])


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_dropout_of_channels(axes: int) -> None:
    ad.manual_seed(1)
    layer = getattr(nn, f"Dropout{axes}d")(0.25)
    x = ad.ones((40, 50, *(3,) * axes), requires_grad=True)
    y = layer(x)
    values = y.detach().numpy().reshape(40, 50, -1)
    assert (values == values[:, :, :1]).all()
    assert set(np.unique(values).round(4)) == {0.0, np.float32(1.3333)}
    assert abs((values == 0).mean() - 0.25) < 0.05
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy().reshape(40, 50, -1), values)
    assert layer.eval()(x).detach().numpy().tolist() == x.detach().numpy().tolist()


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    ad.manual_seed(1)
    y = nn.AlphaDropout(0.3)(ad.random.normal((200_000,))).numpy()
    assert abs(y.mean()) < 0.02
    assert abs(y.var() - 1) < 0.03


MISTAKES = [
    (lambda: nn.BatchNorm2d(3)(ad.ones((2, 4, 3, 3))), ad.ShapeError, ("BatchNorm2d", "4 channels", "axis 1", "3")),
    (lambda: nn.BatchNorm2d(3)(ad.ones((2, 3, 3))), ad.ShapeError, ("BatchNorm2d", "(2, 3, 3)", "4")),
    (lambda: nn.BatchNorm1d(3)(ad.ones((1, 3))), ad.ShapeError, ("batch_norm", "(1, 3)", "one element per channel")),
    (lambda: nn.BatchNorm1d(-1), ad.DomainError, ("BatchNorm1d", "-1")),
    (lambda: nn.BatchNorm1d(3, momentum=2.0), ad.DomainError, ("BatchNorm1d", "momentum", "2.0")),
    (lambda: F.batch_norm(ad.ones((2, 3)), None, None), ad.DomainError, ("batch_norm", "training", "running")),
    (lambda: F.batch_norm(ad.ones(3), None, None, training=True), ad.ShapeError, ("batch_norm", "(3,)")),
    (
        lambda: F.batch_norm(ad.ones((2, 3)), None, None, ad.ones(2), training=True),
        ad.ShapeError,
        ("batch_norm", "weight", "(2,)", "3 channels"),
    ),
    (lambda: F.instance_norm(ad.ones((2, 3, 1))), ad.ShapeError, ("instance_norm", "(2, 3, 1)", "one element")),
    (lambda: F.instance_norm(ad.ones((2, 3))), ad.ShapeError, ("instance_norm", "(2, 3)")),
    (lambda: F.instance_norm(ad.ones((2, 3, 2)), use_input_stats=False), ad.DomainError, ("instance_norm",)),
    (lambda: F.instance_norm(ad.ones((2, 3, 2)), weight=ad.ones(2)), ad.ShapeError, ("weight", "(2,)", "(3,)")),
    (lambda: F.group_norm(ad.ones((2, 3)), 2), ad.ShapeError, ("group_norm", "3 channels", "2 groups")),
    (lambda: nn.GroupNorm(2, 3), ad.DomainError, ("GroupNorm", "3 channels", "2 groups")),
    (lambda: nn.RMSNorm(3)(ad.ones((2, 4))), ad.ShapeError, ("rms_norm", "(2, 4)", "(3,)")),
    (lambda: nn.Dropout2d(1.5), ad.DomainError, ("Dropout2d", "1.5")),
    (lambda: F.dropout2d(ad.ones(3)), ad.ShapeError, ("dropout2d", "(3,)")),
    (lambda: F.alpha_dropout(ad.ones(3), -0.5, True), ad.DomainError, ("alpha_dropout", "-0.5")),
]


@pytest.mark.parametrize(("call", "kind", "says"), MISTAKES)
def test_mistakes(call: Callable[[], object], kind: type[Exception], says: tuple[str, ...]) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert all(part in str(caught.value) for part in says), str(caught.value)
