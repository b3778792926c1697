"""Pickles and copies: of tensors, parameters, modules, optimisers and generators; and between processes.

Depends on adret. Invariant: values, dtypes, `requires_grad` and what is shared within one pickle stay; places do not:
whatever was pickled arrives on the CPU.
"""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from typing import Any

import adret as ad
import pytest
from adret import nn, optim

DTYPES = ["bool", "int8", "int64", "uint8", "uint64", "float16", "bfloat16", "float32", "float64"]
PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)


class Tied(nn.Module):
    """Two layers that share a weight, a buffer, and a generator of their own."""

    def __init__(self) -> None:
        """Makes them."""
        self.encode = nn.Linear(3, 3)
        self.decode = nn.Linear(3, 3)
        self.decode.weight = self.encode.weight
        self.register_buffer("seen", ad.zeros(2, dtype="int64"))
        self.register_buffer("scratch", ad.ones(1), persistent=False)
        self.dice = ad.random.Generator(3)

    def forward(self, x: Any) -> Any:
        """Both."""
        return self.decode(self.encode(x)) + ad.random.uniform(3, generator=self.dice)


def _train(model: nn.Module, optimizer: optim.Optimizer, steps: int) -> list[float]:
    losses: list[float] = []
    for _ in range(steps):
        loss = (model(ad.ones((2, 3))) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_tensors(dtype: str, protocol: int) -> None:
    for x in (ad.arange(6).reshape(2, 3).astype(dtype).T, ad.tensor(1, dtype=dtype), ad.zeros((0, 2), dtype=dtype)):
        again = pickle.loads(pickle.dumps(x, protocol))
        assert type(again) is ad.Tensor
        assert (again.dtype, again.shape, again.tolist()) == (x.dtype, x.shape, x.tolist())


def test_requires_grad_stays() -> None:
    leaf = ad.ones(2, requires_grad=True)
    assert pickle.loads(pickle.dumps(leaf)).requires_grad
    assert pickle.loads(pickle.dumps(leaf)).is_leaf
    assert not pickle.loads(pickle.dumps(leaf.detach())).requires_grad
    # A history is not pickled: the value is.
    assert not pickle.loads(pickle.dumps(leaf * 2)).requires_grad
    frozen = pickle.loads(pickle.dumps(nn.Parameter(ad.ones(2), requires_grad=False)))
    assert type(frozen) is nn.Parameter
    assert not frozen.requires_grad


def test_pickles_arrive_on_the_cpu(device: str) -> None:
    model = nn.Linear(2, 1).to(device)
    again = pickle.loads(pickle.dumps({"x": ad.ones(2, device=device, requires_grad=True), "model": model}))
    assert again["x"].device == again["model"].weight.device == "cpu"
    assert again["x"].requires_grad
    assert again["model"].weight.tolist() == model.weight.tolist()
    # A copy within the process stays where it is.
    assert copy.deepcopy(model).weight.device == device


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_model_and_optimiser_stay_together(duplicate: Any) -> None:
    ad.manual_seed(0)
    model = Tied()
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    _train(model, optimizer, 2)
    model.eval()
    other, other_optimizer = duplicate((model, optimizer))
    assert not other.training
    assert other.decode.weight is other.encode.weight
    assert other.encode.weight is not model.encode.weight
    assert [id(p) for p in other_optimizer.param_groups[0]["params"]] == [id(p) for p in other.parameters()]
    assert set(other_optimizer.state) == set(other.parameters())
    assert dict(other.named_buffers()).keys() == {"seen", "scratch"}
    assert "scratch" not in other.state_dict()
    # From here on both go the same way, and neither disturbs the other.
    assert _train(other, other_optimizer, 3) == _train(model, optimizer, 3)


@pytest.mark.parametrize("name", [name for name in optim.__all__ if name not in ("Optimizer", "lr_scheduler")])
def test_every_optimiser(name: str) -> None:
    kind = getattr(optim, name)
    if not (isinstance(kind, type) and issubclass(kind, optim.Optimizer)):
        pytest.skip("no optimiser")
    ad.manual_seed(1)
    model = nn.Linear(3, 2)
    optimizer = kind(model.parameters(), lr=0.01)
    _train(model, optimizer, 2)
    other, other_optimizer = pickle.loads(pickle.dumps((model, optimizer)))
    assert type(other_optimizer) is kind
    assert _train(other, other_optimizer, 3) == _train(model, optimizer, 3)


def test_shared_within_one_pickle() -> None:
    x = nn.Parameter(ad.ones(2))
    a, b = pickle.loads(pickle.dumps([x, x]))
    assert a is b
    a, b = copy.deepcopy([x, x])
    assert a is b


def test_generators_go_on() -> None:
    dice = ad.random.Generator(2**63 + 5)
    ad.random.uniform(7, generator=dice)
    for again in (pickle.loads(pickle.dumps(dice)), copy.deepcopy(dice)):
        assert again.state == dice.state
        expected = ad.random.Generator()
        expected.state = dice.state
        assert ad.random.uniform(5, generator=again).tolist() == ad.random.uniform(5, generator=expected).tolist()


def test_a_pickle_that_lies() -> None:
    def rebuild(data: bytes, dtype: Any, shape: Any) -> Any:
        return ad._core._rebuild(ad.Tensor, data, dtype, shape, False)

    assert rebuild(b"\0" * 8, ad.float32, (2,)).tolist() == [0.0, 0.0]
    for data, dtype, shape in (
        (b"\0" * 7, ad.float32, (2,)),
        (b"", ad.float32, (2**62, 2**62)),
        (b"\2", ad.bool, (1,)),
    ):
        with pytest.raises(ad.AdretError):
            rebuild(data, dtype, shape)


def _work(model: nn.Module, x: ad.Tensor) -> tuple[ad.Tensor, Any]:
    return model(x), model.state_dict()


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_other_processes(method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    model, x = nn.Linear(3, 2), ad.random.randn(4, 3)
    expected = model(x).tolist()
    with multiprocessing.get_context(method).Pool(1) as pool:
        y, state = pool.apply(_work, (model, x))
    assert y.tolist() == expected
    assert state["weight"].tolist() == model.weight.tolist()
