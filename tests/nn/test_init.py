"""Initialisation: ranges and spreads by the published formulae.

Depends on the installed package. Invariant: seeds are fixed, samples large enough for 2 % of tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import adret as ad
import numpy as np
import pytest
from adret import nn
from adret.nn import init

OUT, IN = 300, 200


def sample(function: object, *arguments: object, **settings: object) -> np.ndarray:
    """The values that a function of `init` gives a weight."""
    ad.manual_seed(1)
    tensor = ad.empty((OUT, IN))
    assert function(tensor, *arguments, **settings) is tensor  # type: ignore[operator]
    return tensor.numpy()


@pytest.mark.parametrize(
    ("function", "settings", "std"),
    [
        (init.xavier_uniform_, {}, math.sqrt(2 / (IN + OUT))),
        (init.xavier_uniform_, {"gain": 3.0}, 3 * math.sqrt(2 / (IN + OUT))),
        (init.xavier_normal_, {"gain": 0.5}, 0.5 * math.sqrt(2 / (IN + OUT))),
        (init.kaiming_uniform_, {}, math.sqrt(2 / IN)),
        (init.kaiming_uniform_, {"a": math.sqrt(5)}, math.sqrt(1 / 3 / IN)),
        (init.kaiming_normal_, {"mode": "fan_out", "nonlinearity": "relu"}, math.sqrt(2 / OUT)),
        (init.kaiming_normal_, {"nonlinearity": "tanh"}, 5 / 3 / math.sqrt(IN)),
        (init.normal_, {"mean": 0.0, "std": 2.0}, 2.0),
        (init.uniform_, {"a": -3.0, "b": 3.0}, math.sqrt(3)),
    ],
)
def test_spread(function: object, settings: dict[str, object], std: float) -> None:
    values = sample(function, **settings)
    assert abs(values.std() / std - 1) < 0.02
    assert abs(values.mean() / std) < 0.02
    if "uniform" in function.__name__:  # type: ignore[attr-defined]
        assert np.abs(values).max() <= math.sqrt(3) * std * (1 + 1e-6)
        assert np.abs(values).max() > math.sqrt(3) * std * 0.999


def test_fixed_values() -> None:
    assert (sample(init.constant_, 2.5) == 2.5).all()
    assert (sample(init.zeros_) == 0).all()
    assert (sample(init.ones_) == 1).all()
    np.testing.assert_array_equal(sample(init.eye_), np.eye(OUT, IN))


def test_kernels_count_into_the_fans() -> None:
    ad.manual_seed(1)
    values = init.kaiming_uniform_(ad.empty((64, 16, 5, 5)), nonlinearity="relu").numpy()
    assert abs(values.std() / math.sqrt(2 / (16 * 25)) - 1) < 0.02


@pytest.mark.parametrize(
    ("name", "param", "gain"),
    [
        ("linear", None, 1.0),
        ("conv2d", None, 1.0),
        ("sigmoid", None, 1.0),
        ("tanh", None, 5 / 3),
        ("relu", None, math.sqrt(2)),
        ("leaky_relu", None, math.sqrt(2 / 1.0001)),
        ("leaky_relu", 0.2, math.sqrt(2 / 1.04)),
        ("selu", None, 0.75),
    ],
)
def test_gains(name: str, param: float | None, gain: float) -> None:
    assert init.calculate_gain(name, param) == pytest.approx(gain)


def test_errors_say_what_to_do() -> None:
    with pytest.raises(ad.ShapeError, match="two axes"):
        init.xavier_uniform_(ad.empty(3))
    with pytest.raises(ad.DomainError, match="fan_in"):
        init.kaiming_normal_(ad.empty((2, 2)), mode="both")
    with pytest.raises(ad.DomainError, match="softsign"):
        init.calculate_gain("softsign")
    with pytest.raises(ad.ShapeError, match="matrix"):
        init.eye_(ad.empty((2, 2, 2)))


def test_parameters_stay_leaves_and_seeds_repeat() -> None:
    layer = nn.Linear(4, 4)
    init.normal_(layer.weight)
    assert layer.weight.is_leaf
    assert layer.weight.requires_grad
    ad.manual_seed(7)
    first = nn.Linear(4, 4).state_dict()
    ad.manual_seed(7)
    second = nn.Linear(4, 4).state_dict()
    assert all(first[path].tolist() == second[path].tolist() for path in first)
    assert init.uniform_(ad.empty(3, dtype=ad.float64)).dtype == ad.float64


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4), (6, 2, 3), (2, 3, 3, 3)])
@pytest.mark.parametrize("dtype", [ad.float32, ad.float64])
def test_orthogonal(shape: tuple[int, ...], dtype: ad.DType) -> None:
    w = nn.init.orthogonal_(ad.empty(shape, dtype=dtype), gain=2.0).reshape(shape[0], -1)
    rows = w if w.shape[0] <= w.shape[1] else w.T
    np.testing.assert_allclose((rows @ rows.T).numpy(), 4 * np.eye(rows.shape[0]), atol=1e-5)


def test_orthogonal_follows_the_seed() -> None:
    ad.manual_seed(3)
    first = nn.init.orthogonal_(ad.empty((3, 3)))
    ad.manual_seed(3)
    assert first.tolist() == nn.init.orthogonal_(ad.empty((3, 3))).tolist()
    assert nn.init.orthogonal_(ad.empty((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("groups", [1, 2])
def test_dirac_keeps_the_channels(groups: int) -> None:
    x = ad.random.randn(2, 4, 5, 5)
    weight = nn.init.dirac_(ad.empty((4, 4 // groups, 3, 3)), groups)
    assert nn.functional.conv2d(x, weight, padding=1, groups=groups).tolist() == x.tolist()


def test_sparse_zeroes_a_share_of_every_column() -> None:
    w = nn.init.sparse_(ad.empty((10, 50)), 0.25, std=2.0)
    assert set((w == 0).sum(axis=0).tolist()) == {3}
    assert 1.5 < float(w.std()) < 2.0


def test_truncated_normal_stays_within() -> None:
    w = nn.init.trunc_normal_(ad.empty(10_000), mean=1.0, std=2.0, a=0.0, b=2.0)
    assert 0.0 <= float(w.min()) <= float(w.max()) <= 2.0
    assert abs(float(w.mean()) - 1.0) < 0.05


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("orthogonal_: the tensor is (3,)", lambda: nn.init.orthogonal_(ad.empty(3))),
        ("dirac_: the tensor is (3, 2)", lambda: nn.init.dirac_(ad.empty((3, 2)))),
        ("3 output channels are not divided by 2 groups", lambda: nn.init.dirac_(ad.empty((3, 2, 1)), 2)),
        ("sparsity is 1.5", lambda: nn.init.sparse_(ad.empty((3, 2)), 1.5)),
        ("Use low < high", lambda: nn.init.trunc_normal_(ad.empty(3), a=2.0, b=1.0)),
    ],
)
def test_mistakes_of_structured_values(text: str, call: Callable[[], object]) -> None:
    with pytest.raises(ad.AdretError) as raised:
        call()
    assert text in str(raised.value)


def test_parameters_as_a_vector_and_back() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    vector = nn.utils.parameters_to_vector(model.parameters())
    assert vector.shape == (13,)
    vector.sum().backward()
    assert all(p.grad is not None and bool((p.grad == 1).all()) for p in model.parameters())
    before = [id(p) for p in model.parameters()]
    nn.utils.vector_to_parameters(ad.arange(13.0), model.parameters())
    assert [id(p) for p in model.parameters()] == before
    assert nn.utils.parameters_to_vector(model.parameters()).tolist() == list(range(13))
    with pytest.raises(ad.ShapeError, match=r"Give \(13,\)"):
        nn.utils.vector_to_parameters(ad.ones(12), model.parameters())
    with pytest.raises(ad.DomainError, match="no parameters"):
        nn.utils.parameters_to_vector([])
