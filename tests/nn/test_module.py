"""Modules: attributes, walks, modes, calls, display.

Depends on the installed package. Invariant: no test needs trained values.
"""

from __future__ import annotations

import copy
import pickle
import time

import adret as ad
import pytest
from adret import _changes, nn


class Block(nn.Module):
    """A layer with a buffer, for nesting."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 3)
        self.register_buffer("steps", ad.zeros(()))
        self.register_buffer("scratch", ad.zeros(2), persistent=False)

    def forward(self, input: ad.Tensor) -> ad.Tensor:
        return self.fc(input)


class Net(nn.Module):
    """Two blocks in a list, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(), Block()])
        self.head = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
        self.scale = nn.Parameter(ad.ones(()))

    def forward(self, input: ad.Tensor) -> ad.Tensor:
        for block in self.blocks:
            input = block(input)
        return self.head(input) * self.scale


PATHS = ["scale", *(f"{m}.{p}" for m in ("blocks.0.fc", "blocks.1.fc", "head.0") for p in ("weight", "bias"))]


def test_walks_name_everything_once() -> None:
    net = Net()
    assert [path for path, _ in net.named_parameters()] == PATHS
    assert [path for path, _ in net.named_buffers()] == [
        "blocks.0.steps",
        "blocks.0.scratch",
        "blocks.1.steps",
        "blocks.1.scratch",
    ]
    assert [path for path, _ in net.named_modules()] == [
        "", "blocks", "blocks.0", "blocks.0.fc", "blocks.1", "blocks.1.fc", "head", "head.0", "head.1",
    ]  # fmt: skip
    assert [name for name, _ in net.named_children()] == ["blocks", "head"]
    assert [path for path, _ in net.named_parameters("net", recurse=False)] == ["net.scale"]
    assert net.get_submodule("blocks.1.fc") is net.blocks[1].fc
    with pytest.raises(ad.DomainError, match=r"'2'.*There are: 0, 1"):
        net.get_submodule("blocks.2")


def test_shared_parameters_are_listed_once_and_saved_twice() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    assert len(list(net.parameters())) == 3
    assert set(net.state_dict()) == {"0.weight", "0.bias", "1.weight", "1.bias"}


def test_a_module_in_itself_ends_the_walk() -> None:
    net = nn.Sequential(nn.Linear(1, 1))
    net.add_module("again", net)
    assert len(list(net.modules())) == 2


def test_parameters_are_replaced_by_parameters_only() -> None:
    layer = nn.Linear(2, 2)
    with pytest.raises(TypeError, match=r"weight.*assign"):
        layer.weight = layer.weight * 2
    layer.weight = nn.Parameter(ad.ones((2, 2)))
    layer.bias = None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    del layer.weight
    assert list(layer.parameters()) == []


def test_buffers_may_be_replaced_and_deleted() -> None:
    block = Block()
    block.steps = block.steps + 1
    assert dict(block.named_buffers())["steps"].item() == 1.0
    del block.steps
    assert [name for name, _ in block.named_buffers()] == ["scratch"]
    assert [name for name, _ in Block().named_buffers()] == ["steps", "scratch"]


@pytest.mark.parametrize("name", ["", "a.b", "forward", "training"])
def test_names_that_cannot_be_attributes(name: str) -> None:
    with pytest.raises(ad.DomainError):
        nn.Module().add_module(name, nn.Identity())


def test_modes_reach_everything() -> None:
    net = Net()
    assert all(module.training for module in net.modules())
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    net.head.train()
    assert net.head[0].training
    assert not net.training


def test_requires_grad_and_zero_grad() -> None:
    net = Net()
    net.head.requires_grad_(False)
    net(ad.ones((2, 3))).sum().backward()
    assert net.head[0].weight.grad is None
    assert net.scale.grad is not None
    net.zero_grad(set_to_none=False)
    assert net.scale.grad.item() == 0.0
    net.zero_grad()
    assert net.scale.grad is None


def test_apply_visits_children_first() -> None:
    seen: list[str] = []
    nn.Sequential(nn.Linear(1, 1), nn.ReLU()).apply(lambda module: seen.append(type(module).__name__))
    assert seen == ["Linear", "ReLU", "Sequential"]


def test_to_keeps_the_objects_and_their_gradients() -> None:
    net = Net()
    before = list(net.parameters())
    net(ad.ones((2, 3))).sum().backward()
    net.to(ad.float64)
    assert all(new is old for new, old in zip(net.parameters(), before, strict=True))
    assert {p.dtype for p in net.parameters()} == {ad.float64}
    assert {p.grad.dtype for p in net.parameters()} == {ad.float64}
    assert all(p.is_leaf and p.requires_grad for p in net.parameters())
    assert net(ad.ones((2, 3), dtype=ad.float64)).dtype == ad.float64
    with pytest.raises(TypeError, match="floating"):
        net.to(ad.int64)


def test_to_leaves_integers_alone() -> None:
    module = nn.Module()
    module.register_buffer("count", ad.zeros((), dtype=ad.int64))
    module.to(ad.float64)
    assert dict(module.named_buffers())["count"].dtype == ad.int64
    assert module.cpu() is module


def test_errors_name_the_path() -> None:
    net = Net()
    net.blocks[1].fc.weight = nn.Parameter(ad.ones((3, 4)))
    with pytest.raises(ad.ShapeError, match=r"blocks\.1\.fc"):
        net(ad.ones((2, 3)))
    # The failed call left no scope behind.
    with pytest.raises(ad.ShapeError) as error:
        ad.ones((2, 3)) @ ad.ones((4, 3))
    assert "blocks" not in str(error.value)


def test_the_missing_forward_is_explained() -> None:
    class Empty(nn.Module):
        pass

    with pytest.raises(TypeError, match="forward"):
        Empty()(1)


def test_a_module_works_without_calling_super() -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(1, 1)

    assert len(list(Plain().parameters())) == 2


def test_repr_is_a_tree() -> None:
    assert repr(Net()) == (
        "Net(\n"
        "  (blocks): ModuleList(\n"
        "    (0): Block(\n"
        "      (fc): Linear(in_features=3, out_features=3, bias=True)\n"
        "    )\n"
        "    (1): Block(\n"
        "      (fc): Linear(in_features=3, out_features=3, bias=True)\n"
        "    )\n"
        "  )\n"
        "  (head): Sequential(\n"
        "    (0): Linear(in_features=3, out_features=2, bias=True)\n"
        "    (1): ReLU()\n"
        "  )\n"
        ")"
    )
    assert repr(nn.Parameter(ad.ones(1))).startswith("Parameter containing:\ntensor([1.")


def test_copies_are_independent_and_keep_parameters() -> None:
    net = Net()
    for copied in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert [type(p) for p in copied.parameters()] == [nn.Parameter] * len(PATHS)
        assert all(p.requires_grad and p.is_leaf for p in copied.parameters())
        assert [path for path, _ in copied.named_parameters()] == PATHS
        with ad.no_grad():
            copied.scale.assign(ad.zeros(()))
        assert net.scale.item() == 1.0
        assert [path for path, _ in copied.named_buffers()] == [path for path, _ in net.named_buffers()]


def test_changes_are_counted() -> None:
    net = Net()
    for change in (
        lambda: setattr(net, "scale", nn.Parameter(ad.ones(()))),
        lambda: net.eval(),
        lambda: net.requires_grad_(False),
        lambda: net.head.append(nn.ReLU()),
        lambda: delattr(net, "scale"),
    ):
        before = _changes.count
        change()
        assert _changes.count > before
    before = _changes.count
    net.head(ad.ones((1, 3)))
    assert _changes.count == before


def test_parameters_of_any_data() -> None:
    assert nn.Parameter([1.0, 2.0]).tolist() == [1.0, 2.0]
    source = ad.ones(2)
    parameter = nn.Parameter(source * 3)
    assert parameter.is_leaf
    assert isinstance(parameter, ad.Tensor)
    assert not nn.Parameter(source, requires_grad=False).requires_grad
    assert not source.requires_grad
    with ad.no_grad():
        parameter -= 1
    assert isinstance(parameter, nn.Parameter)
    assert source.tolist() == [1.0, 1.0]


def test_calls_cost_little() -> None:
    class Empty(nn.Module):
        def forward(self, input: int) -> int:
            return input

    net = nn.Sequential(Empty())
    layer = net[0]

    def best(function: object) -> float:
        rounds = []
        for _ in range(7):
            start = time.perf_counter()
            for _ in range(2000):
                function(0)  # type: ignore[operator]
            rounds.append((time.perf_counter() - start) / 2000)
        return min(rounds)

    # About 1 µs is the aim; the bound leaves room for a busy machine.
    assert best(layer) - best(layer.forward) < 10e-6


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
def test_conversions_by_name(name: str) -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    before = [id(p) for p in model.parameters()]
    convert = {"float16": model.half, "bfloat16": model.bfloat16, "float32": model.float, "float64": model.double}[name]
    assert convert() is model
    assert [id(p) for p in model.parameters()] == before
    assert all(p.dtype == getattr(ad, name) for p in model.parameters())
    assert model[1].num_batches_tracked.dtype == ad.int64


def test_parameters_and_buffers_by_path() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    assert model.get_parameter("0.weight") is model[0].weight
    assert model.get_buffer("1.running_mean") is model[1].running_mean
    with pytest.raises(AttributeError, match=r"no parameter '1.running_mean'. There are: 0.weight, 0.bias"):
        model.get_parameter("1.running_mean")
    with pytest.raises(AttributeError, match="no buffer 'x'"):
        nn.Linear(1, 1).get_buffer("x")
