"""Layers and losses against vectors of PyTorch: values, gradients of inputs and of parameters.

Depends on vectors.json, which make_vectors.py writes. Invariant: float64 throughout, agreement to 1e-10.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import adret as ad
import numpy as np
import pytest
from adret import nn

CASES = json.loads(Path(__file__).with_name("vectors.json").read_text(encoding="utf-8"))["cases"]
EXACT = {"rtol": 1e-10, "atol": 1e-12}


def name_of(case: dict[str, Any]) -> str:
    """A case's module and settings."""
    settings = ",".join(f"{key}={value}" for key, value in case["settings"].items())
    return f"{case['module']}({settings})"


def as_tensor(values: Any) -> ad.Tensor:
    """Floats as float64, integers as int64."""
    array = np.asarray(values)
    return ad.tensor(array, requires_grad=array.dtype == np.float64)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_agrees_with_pytorch(case: dict[str, Any]) -> None:
    weights = ("weight", "pos_weight")
    settings = {k: as_tensor(v).detach() if k in weights else v for k, v in case["settings"].items()}
    module = getattr(nn, case["module"])(**settings).to(ad.float64)
    module.load_state_dict(case["state"])
    inputs = [as_tensor(values) for values in case["inputs"]]
    output = module(*inputs)
    np.testing.assert_allclose(output.detach().numpy(), np.asarray(case["output"]), **EXACT)
    (output * as_tensor(case["weight"]).detach()).sum().backward()
    for tensor, expected in zip(inputs, case["input_grads"], strict=True):
        assert (tensor.grad is None) == (expected is None)
        if expected is not None:
            np.testing.assert_allclose(tensor.grad.numpy(), np.asarray(expected), **EXACT)
    for path, parameter in module.named_parameters():
        np.testing.assert_allclose(parameter.grad.numpy(), np.asarray(case["grads"][path]), **EXACT)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_repr_names_the_class(case: dict[str, Any]) -> None:
    if "weight" not in case["settings"]:
        assert repr(getattr(nn, case["module"])(**case["settings"])).startswith(case["module"] + "(")


def test_linear_takes_any_leading_axes() -> None:
    layer = nn.Linear(3, 2)
    for leading in [(), (4,), (2, 4), (0,), (2, 0, 3)]:
        assert layer(ad.ones((*leading, 3))).shape == (*leading, 2)


def test_linear_begins_like_pytorch() -> None:
    layer = nn.Linear(100, 400)
    for tensor in (layer.weight, layer.bias):
        values = tensor.detach().numpy()
        assert np.abs(values).max() <= 0.1
        assert np.abs(values).max() > 0.099 or values.size < 1000
        assert abs(values.mean()) < 0.01


def test_dropout_keeps_the_mean_and_the_gradient_fits_the_mask() -> None:
    x = ad.ones(20_000, requires_grad=True)
    y = nn.Dropout(0.25)(x)
    values = y.detach().numpy()
    assert set(np.unique(values).round(4)) == {0.0, np.float32(1.3333)}
    assert abs(values.mean() - 1) < 0.02
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), values)


def test_dropout_at_its_ends() -> None:
    x = ad.ones(5)
    assert nn.Dropout(0.0)(x).tolist() == [1.0] * 5
    assert nn.Dropout(1.0)(x).tolist() == [0.0] * 5
    assert nn.Dropout(0.9).eval()(x).tolist() == [1.0] * 5
    with pytest.raises(ad.DomainError, match="probability"):
        nn.Dropout(1.5)


def test_prelu_has_one_slope_per_channel() -> None:
    x = -ad.ones((2, 3, 4))
    layer = nn.PReLU(3)
    with ad.no_grad():
        layer.weight.assign(ad.tensor([1.0, 2.0, 3.0]))
    assert layer(x)[0, :, 0].tolist() == [-1.0, -2.0, -3.0]
    with pytest.raises(ad.ShapeError, match="prelu"):
        layer(ad.ones((2, 4)))


def test_embedding_padding() -> None:
    layer = nn.Embedding(4, 2, padding_idx=-1)
    assert layer.padding_idx == 3
    assert layer.weight[3].tolist() == [0.0, 0.0]
    assert layer.weight.requires_grad
    assert layer.weight.is_leaf
    with pytest.raises(ad.DomainError, match="padding_idx"):
        nn.Embedding(4, 2, padding_idx=4)
    with pytest.raises(IndexError):
        layer(ad.tensor([4]))


def test_layer_norm_names_the_shapes() -> None:
    with pytest.raises(ad.ShapeError, match=r"\(2, 5\).*\(4,\)"):
        nn.LayerNorm(4)(ad.ones((2, 5)))


def test_constant_rows_stay_finite() -> None:
    x = ad.ones((2, 4), requires_grad=True)
    nn.LayerNorm(4)(x).sum().backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_losses_check_their_reduction() -> None:
    with pytest.raises(ad.DomainError, match="'mean', 'sum' or 'none'"):
        nn.MSELoss("average")


@pytest.mark.parametrize("value", [-1000.0, 0.0, 1000.0])
@pytest.mark.parametrize("target", [0.0, 1.0])
def test_bce_with_logits_is_finite(value: float, target: float) -> None:
    x = ad.tensor([value], requires_grad=True)
    loss = nn.BCEWithLogitsLoss()(x, ad.tensor([target]))
    loss.backward()
    assert np.isfinite([loss.item(), x.grad.item()]).all()


def test_cross_entropy_checks_labels() -> None:
    with pytest.raises(IndexError):
        nn.CrossEntropyLoss()(ad.zeros((2, 3)), ad.tensor([0, 3])).item()


def test_unflatten_and_one_hot() -> None:
    assert nn.functional.one_hot(ad.tensor([1, 0])).tolist() == [[0, 1], [1, 0]]
    assert nn.functional.one_hot(ad.tensor([1]), 3).dtype == ad.int64
    for sizes in [(5, 2), (-1, -1), (-1, 5), (0, -1)]:
        with pytest.raises(ad.ShapeError, match="unflatten"):
            nn.functional.unflatten(ad.zeros((2, 12)), 1, sizes)
