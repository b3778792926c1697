"""The table of a model: its numbers, its text, and that the model stays as it was.

Depends on the installed package.
"""

from __future__ import annotations

from typing import Any

import adret as ad
import numpy as np
import pytest
from adret import nn


class Block(nn.Module):
    """Calls one layer twice, in a module of its own."""

    def __init__(self, size: int) -> None:
        self.layer = nn.Linear(size, size)
        self.unused = nn.Linear(2, 2)

    def forward(self, x: ad.Tensor) -> ad.Tensor:
        return self.layer(self.layer(x)) + x


class Pair(nn.Module):
    """Takes words and numbers, gives two outputs."""

    def __init__(self) -> None:
        self.words = nn.Embedding(10, 4)
        self.numbers = nn.Linear(3, 4, bias=False)

    def forward(self, words: ad.Tensor, numbers: ad.Tensor) -> tuple[ad.Tensor, ad.Tensor]:
        return self.words(words), self.numbers(numbers)


def test_nested_and_repeated_layers() -> None:
    model = nn.Sequential(nn.Linear(6, 4), Block(4), nn.LayerNorm(4))
    found = ad.summary(model, (5, 6))
    assert [(row.path, row.kind, row.depth, row.output_shape) for row in found.rows] == [
        ("", "Sequential", 0, (5, 4)),
        ("0", "Linear", 1, (5, 4)),
        ("1", "Block", 1, (5, 4)),
        ("1.layer", "Linear", 2, (5, 4)),
        ("1.layer", "Linear", 2, (5, 4)),
        ("2", "LayerNorm", 1, (5, 4)),
    ]
    assert [row.parameters for row in found.rows] == [0, 28, 0, 20, 0, 8]
    assert [row.multiply_adds for row in found.rows] == [0, 5 * 24, 0, 5 * 16, 5 * 16, 0]
    assert found.parameters == found.trainable_parameters == 28 + 20 + 6 + 8
    assert found.multiply_adds == 5 * (24 + 16 + 16)
    assert found.parameter_bytes == 4 * found.parameters
    assert found.input_bytes == 4 * 30
    assert found.output_bytes == 4 * 4 * 20


def test_several_inputs_and_dtypes() -> None:
    found = ad.summary(Pair(), [(2, 7), (2, 3)], dtype=[ad.int64, ad.float32])
    assert found.rows[0].output_shape == [(2, 7, 4), (2, 4)]
    assert found.rows[1].output_shape == (2, 7, 4)
    assert found.multiply_adds == 2 * 12, "looking up multiplies nothing"
    with pytest.raises(ad.DomainError, match="1 dtypes for 2 inputs"):
        ad.summary(Pair(), [(2, 7), (2, 3)], dtype=[ad.int64])


def test_frozen_parameters_and_dtypes_of_the_model() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)).to(ad.float64)
    model[0].requires_grad_(False)
    found = ad.summary(model, (1, 2))
    assert (found.parameters, found.trainable_parameters) == (12, 6)
    assert found.input_bytes == 16
    assert "12 (6 not trained)" in str(found)


def test_weights_meet_every_position() -> None:
    """Layers with more than matrices are counted by the shapes of weights, inputs and outputs alone."""

    class Conv2d(nn.Module):
        def __init__(self) -> None:
            self.weight = nn.Parameter(ad.zeros((8, 3, 5, 5)))
            self.bias = nn.Parameter(ad.zeros(8))

        def forward(self, x: ad.Tensor) -> ad.Tensor:
            return ad.zeros((x.shape[0], 8, x.shape[2] - 4, x.shape[3] - 4))

    class LSTM(nn.Module):
        def __init__(self) -> None:
            self.weight_ih_l0 = nn.Parameter(ad.zeros((16, 3)))
            self.weight_hh_l0 = nn.Parameter(ad.zeros((16, 4)))

        def forward(self, x: ad.Tensor) -> Any:
            return ad.zeros((*x.shape[:2], 4)), (ad.zeros((1, x.shape[1], 4)),) * 2

    assert ad.summary(Conv2d(), (2, 3, 28, 28)).multiply_adds == 2 * 24 * 24 * 8 * 3 * 25
    assert ad.summary(LSTM(), (7, 2, 3)).multiply_adds == 7 * 2 * 16 * (3 + 4)


def test_nothing_is_computed_and_the_model_stays() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5), Block(3))
    model[2].eval()

    def attributes() -> list[dict[str, Any]]:
        return [{**vars(module), "training": module.training} for module in model.modules()]

    before = attributes()
    state, runs = ad.random.get_state(), ad.stats()["runs"]
    ad.summary(model, (1, 3))
    assert attributes() == before
    assert ad.random.get_state() == state
    assert ad.stats()["runs"] == runs
    assert ad.is_grad_enabled()


def test_errors_of_the_model_arrive_and_it_stays() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(4, 1))
    with pytest.raises(ad.ShapeError, match=r"^1: linear"):
        ad.summary(model, (1, 3))
    assert all("forward" not in vars(module) for module in model.modules())
    assert model.training


def test_a_forward_of_one_s_own_is_given_back() -> None:
    model = nn.Linear(2, 2)
    model.forward = lambda x: x * 2
    own = model.forward
    assert ad.summary(model, (1, 2)).rows[0].output_shape == (1, 2)
    assert model.forward is own
    np.testing.assert_array_equal(model(ad.ones(2)).numpy(), [2.0, 2.0])


def test_tables() -> None:
    found = ad.summary(nn.Sequential(nn.Linear(1000, 1000), nn.ReLU()), (64, 1000))
    lines = str(found).splitlines()
    assert lines[3].split() == ["0:", "Linear", "(64,", "1000)", "1,001,000", "64,000,000"]
    assert "parameters 3.8 MiB" in lines[-1]
    assert repr(found) == str(found)
    html = found._repr_html_()
    assert html.count("<tr>") == 4
    assert "1,001,000" in html
