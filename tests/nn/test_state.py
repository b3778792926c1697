"""Saving and loading modules.

Depends on the installed package. Invariant: loading is all or nothing.
"""

from __future__ import annotations

import adret as ad
import numpy as np
import pytest
from adret import nn


def net() -> nn.Sequential:
    """Two layers."""
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def test_a_state_is_a_snapshot() -> None:
    module = net()
    state = module.state_dict()
    assert list(state) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert not any(tensor.requires_grad for tensor in state.values())
    before = state["0.bias"].tolist()
    with ad.no_grad():
        module[0].bias.assign(ad.ones(4))
    assert state["0.bias"].tolist() == before
    assert list(module.state_dict(prefix="net.")) == [f"net.{path}" for path in state]


def test_loading_keeps_the_objects() -> None:
    source, target = net(), net()
    parameters = list(target.parameters())
    result = target.load_state_dict(source.state_dict())
    assert result.missing_keys == []
    assert result.unexpected_keys == []
    for (path, mine), theirs, before in zip(target.named_parameters(), source.parameters(), parameters, strict=True):
        assert mine is before, path
        assert mine.is_leaf
        assert mine.requires_grad
        assert mine.tolist() == theirs.tolist()


def test_loading_converts() -> None:
    module = net()
    module.load_state_dict({path: np.zeros(t.shape) for path, t in module.state_dict().items()})
    assert {p.dtype for p in module.parameters()} == {ad.float32}
    assert module[2].bias.tolist() == [0.0, 0.0]


def test_every_difference_is_in_one_error() -> None:
    module = net()
    state = {**module.state_dict(), "0.weight": ad.ones((4, 3)), "extra": ad.ones(1)}
    state["2.weight"] = ad.ones((4, 2))
    del state["0.bias"]
    before = module[0].weight.tolist()
    with pytest.raises(ad.DomainError) as error:
        module.load_state_dict(state)
    text = str(error.value)
    for part in ("missing: 0.bias", "unexpected: extra", "2.weight is (2, 4)", "(4, 2) in the state"):
        assert part in text
    assert module[0].weight.tolist() == before


def test_not_strict() -> None:
    module = net()
    result = module.load_state_dict({"0.bias": ad.ones(4), "extra": ad.ones(1)}, strict=False)
    assert result.missing_keys == ["0.weight", "2.weight", "2.bias"]
    assert result.unexpected_keys == ["extra"]
    assert module[0].bias.tolist() == [1.0] * 4
    with pytest.raises(ad.DomainError, match="wrong shapes"):
        module.load_state_dict({"0.bias": ad.ones(5)}, strict=False)


def test_shapes_alone_are_a_shape_error() -> None:
    module = nn.Linear(2, 2)
    with pytest.raises(ad.ShapeError, match="bias"):
        module.load_state_dict({"weight": ad.ones((2, 2)), "bias": ad.ones(3)})


def test_buffers_are_state_where_persistent() -> None:
    module = nn.Module()
    module.register_buffer("kept", ad.ones(2))
    module.register_buffer("scratch", ad.ones(2), persistent=False)
    module.register_buffer("nothing", None)
    assert list(module.state_dict()) == ["kept"]
    module.load_state_dict({"kept": ad.zeros(2)})
    assert dict(module.named_buffers())["kept"].tolist() == [0.0, 0.0]


def test_weights_of_losses_are_buffers() -> None:
    assert list(nn.CrossEntropyLoss(weight=ad.ones(3)).state_dict()) == ["weight"]
    assert nn.CrossEntropyLoss().state_dict() == {}
