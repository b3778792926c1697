"""Containers: their sequence and dictionary behaviour.

Depends on the installed package. Invariant: whatever was done to a container, its names are its positions.
"""

from __future__ import annotations

from collections import OrderedDict

import adret as ad
import pytest
from adret import nn


def names(module: nn.Module) -> list[str]:
    """The children's names."""
    return [name for name, _ in module.named_children()]


def test_sequential() -> None:
    a, b, c = nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)
    net = nn.Sequential(a, b)
    assert net.append(c) is net
    assert len(net) == 3
    assert list(net) == [a, b, c]
    assert net[0] is a
    assert net[-1] is c
    assert list(net[1:]) == [b, c]
    assert names(net[1:]) == ["0", "1"]
    assert net(ad.ones((5, 2))).shape == (5, 1)
    net[1] = nn.ReLU()
    assert isinstance(net[1], nn.ReLU)
    del net[0]
    assert names(net) == ["0", "1"]
    assert net[1] is c
    for wrong in (2, -3):
        with pytest.raises(IndexError, match="among 2"):
            net[wrong]


def test_sequential_of_names() -> None:
    net = nn.Sequential(OrderedDict([("first", nn.Linear(2, 3)), ("second", nn.ReLU())]))
    assert names(net) == ["first", "second"]
    assert net[0] is net.first
    assert net(ad.ones((1, 2))).shape == (1, 3)


def test_empty_sequential_is_the_identity() -> None:
    x = ad.ones(2)
    assert nn.Sequential()(x) is x
    assert repr(nn.Sequential()) == "Sequential()"


def test_only_modules_go_in() -> None:
    for wrong in (nn.Linear, 3, ad.ones(1)):
        with pytest.raises(TypeError, match="not a Module"):
            nn.Sequential(wrong)


def test_module_list() -> None:
    a, b, c = (nn.Linear(1, 1) for _ in range(3))
    layers = nn.ModuleList([a]).extend([c])
    layers.insert(1, b)
    assert list(layers) == [a, b, c]
    assert names(layers) == ["0", "1", "2"]
    del layers[0]
    assert list(layers) == [b, c]
    assert list(layers.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    with pytest.raises(TypeError, match="forward"):
        layers(ad.ones(1))


def test_module_dict() -> None:
    a, b = nn.Linear(1, 1), nn.ReLU()
    table = nn.ModuleDict({"a": a})
    table["b"] = b
    assert list(table) == ["a", "b"]
    assert len(table) == 2
    assert "a" in table
    assert "training" not in table
    assert list(table.values()) == [a, b]
    assert table.pop("b") is b
    assert table.items() == [("a", a)]
    with pytest.raises(KeyError, match="There are: a"):
        table["b"]
    with pytest.raises(ad.DomainError, match="another name"):
        table["keys"] = b


def test_parameter_list() -> None:
    values = nn.ParameterList([ad.zeros(2), nn.Parameter(ad.ones(3))])
    assert values.append(ad.ones(())) is values
    assert len(values) == 3
    assert all(isinstance(value, nn.Parameter) for value in values)
    values[0] = ad.ones(4)
    assert values[0].shape == (4,)
    assert [name for name, _ in values.named_parameters()] == ["0", "1", "2"]
    assert "(1): Parameter of shape (3,)" in repr(values)


@pytest.mark.parametrize("container", [nn.ModuleList, lambda items: nn.ModuleDict({"0": items[0]})])
def test_entries_carry_the_holder_s_name(container: object) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            self.layers = nn.ModuleDict({"inner": container([nn.Linear(2, 2)])})  # type: ignore[operator]

        def forward(self, input: ad.Tensor) -> ad.Tensor:
            return self.layers["inner"]["0" if isinstance(self.layers["inner"], nn.ModuleDict) else 0](input)

    with pytest.raises(ad.ShapeError, match=r"layers\.inner\.0"):
        Net()(ad.ones((1, 3)))
