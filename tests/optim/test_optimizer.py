"""What all optimisers share: groups, state, errors, and how a step is evaluated.

Depends on the installed package. Invariant: tests count plans and tensors, never time.
"""

from __future__ import annotations

import copy
import pickle

import adret as ad
import pytest
from adret import _changes, nn, optim


def train(net: nn.Module, optimizer: optim.Optimizer, steps: int) -> list[float]:
    """Fits a line; the losses."""
    x = ad.expand_dims(ad.linspace(-1.0, 1.0, 8), 1)
    losses = []
    for _ in range(steps):
        loss = ((net(x) - (2 * x - 1)) ** 2).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize(
    "make",
    [
        lambda p: optim.SGD(p, lr=0.1),
        lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
        lambda p: optim.Adam(p, lr=0.1),
        lambda p: optim.Adam(p, lr=0.1, amsgrad=True),
    ],
)
def test_trains_and_plans_once(make: object) -> None:
    ad.manual_seed(0)
    net = nn.Linear(1, 1)
    optimizer = make(net.parameters())  # type: ignore[operator]
    losses = [loss for _ in range(3) for loss in train(net, optimizer, 1)]
    misses = ad.stats()["plan_misses"]
    for number in range(100):
        optimizer.param_groups[0]["lr"] = 0.1 - number * 5e-4
        losses += train(net, optimizer, 1)
    assert ad.stats()["plan_misses"] == misses, "a changed rate or step count made a new plan"
    assert losses[-1] < 0.01 * losses[0]


def test_groups_have_settings_of_their_own() -> None:
    a, b = (ad.ones(1, requires_grad=True) for _ in range(2))
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 1.0}], lr=0.5)
    (a + b).sum().backward()
    optimizer.step()
    assert [a.item(), b.item()] == [0.5, 0.0]
    c = ad.ones(1, requires_grad=True)
    optimizer.add_param_group({"params": [c], "momentum": 0.9})
    assert [group["momentum"] for group in optimizer.param_groups] == [0.0, 0.0, 0.9]
    assert "Parameter Group 2" in repr(optimizer)


def test_parameters_without_gradient_stay() -> None:
    a, b = (ad.ones(1, requires_grad=True) for _ in range(2))
    optimizer = optim.Adam([a, b], lr=0.5)
    a.sum().backward()
    optimizer.step()
    assert a.item() != 1.0
    assert b.item() == 1.0
    assert b not in optimizer.state


def test_the_loss_of_a_closure_is_returned() -> None:
    p = ad.ones(1, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.25)

    def closure() -> ad.Tensor:
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with ad.no_grad():
        assert optimizer.step(closure).item() == 1.0
    assert p.item() == 0.5


def test_a_step_leaves_leaves_and_computes_them() -> None:
    p = nn.Parameter(ad.ones(3))
    optimizer = optim.SGD([p], lr=0.1, momentum=0.9)
    for _ in range(3):
        (p * p).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        assert p.is_leaf
        assert p.requires_grad
        assert p.grad is None
        assert not optimizer.state[p]["momentum_buffer"].requires_grad


def test_gradients_may_be_kept_and_gathered() -> None:
    p = ad.ones(1, requires_grad=True)
    optimizer = optim.SGD([p], lr=1.0, momentum=0.5)
    (3 * p).sum().backward()
    optimizer.step()
    assert p.grad.item() == 3.0
    (3 * p).sum().backward()
    assert p.grad.item() == 6.0
    assert optimizer.state[p]["momentum_buffer"].item() == 3.0
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.item() == 0.0


def test_the_rate_may_be_a_tensor() -> None:
    rate = ad.tensor(0.5)
    p = ad.ones(1, requires_grad=True)
    optimizer = optim.SGD([p], lr=rate)
    p.sum().backward()
    optimizer.step()
    assert p.item() == 0.5


def test_state_follows_the_parameter() -> None:
    net = nn.Linear(1, 1)
    optimizer = optim.Adam(net.parameters(), lr=0.1)
    train(net, optimizer, 2)
    net.to(ad.float64)
    x = ad.ones((1, 1), dtype=ad.float64)
    net(x).sum().backward()
    optimizer.step()
    assert optimizer.state[net.weight]["exp_avg"].dtype == ad.float64
    assert net.weight.dtype == ad.float64


def test_pickles() -> None:
    p = ad.ones(2, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1, momentum=0.9)
    p.sum().backward()
    optimizer.step()
    copied = pickle.loads(pickle.dumps(optimizer))
    assert copied.param_groups[0]["lr"] == 0.1
    (parameter,) = copied.param_groups[0]["params"]
    assert copied.state[parameter]["momentum_buffer"].tolist() == [1.0, 1.0]
    assert copy.deepcopy(optimizer).param_groups[0]["params"][0] is not p


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda p: optim.SGD([]), ValueError, "no parameters"),
        (lambda p: optim.SGD(p), TypeError, r"\[tensor\]"),
        (lambda p: optim.SGD([3.0]), TypeError, "float"),
        (lambda p: optim.SGD([p, p]), ValueError, "before"),
        (lambda p: optim.SGD([p * 2]), RuntimeError, "leaves"),
        (lambda p: optim.SGD([p], lr=-1.0), ValueError, "lr is -1.0"),
        (lambda p: optim.SGD([p], lr=float("nan")), ValueError, "lr is nan"),
        (lambda p: optim.SGD([p], momentum=-0.1), ValueError, "momentum"),
        (lambda p: optim.SGD([p], nesterov=True), ValueError, "nesterov"),
        (lambda p: optim.Adam([p], betas=(0.9, 1.0)), ValueError, "betas"),
        (lambda p: optim.Adam([p], eps=-1.0), ValueError, "eps"),
    ],
)
def test_mistakes_are_explained(make: object, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make(ad.ones(1, requires_grad=True))  # type: ignore[operator]


def test_loading_checks_the_groups() -> None:
    p, q = (ad.ones(1, requires_grad=True) for _ in range(2))
    state = optim.SGD([p, q]).state_dict()
    with pytest.raises(ad.DomainError, match=r"\[1\].*\[2\]"):
        optim.SGD([p]).load_state_dict(state)


def test_changes_are_counted() -> None:
    p = ad.ones(1, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1, momentum=0.9)
    before = _changes.count
    optimizer.param_groups[0]["momentum"] = 0.8
    assert _changes.count == before + 1
    optimizer.param_groups[0]["momentum"] = 0.8
    optimizer.param_groups[0]["lr"] = 0.2
    p.sum().backward()
    optimizer.step()
    assert _changes.count == before + 1, "what is set already is no change, and every step reads the rate anyway"


@pytest.mark.parametrize(
    ("text", "make"),
    [
        ("Adam: betas is 0.9. Use two numbers", lambda p: optim.Adam(p, betas=0.9)),
        ("RAdam: betas is (0.9,). Use two numbers", lambda p: optim.RAdam(p, betas=(0.9,))),
        ("Rprop: etas is None. Use two numbers", lambda p: optim.Rprop(p, etas=None)),
        ("SGD: params is a int. Pass module.parameters()", lambda p: optim.SGD(5)),
    ],
)
def test_settings_of_a_wrong_kind(text, make):
    with pytest.raises(ad.DTypeError) as raised:
        make([ad.ones(1, requires_grad=True)])
    assert text in str(raised.value)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam"])
@pytest.mark.parametrize("dtype", [ad.float16, ad.bfloat16, ad.float64])
def test_a_rate_that_is_a_tensor_does_not_change_the_dtype(name, dtype):
    results = []
    for rate in (0.125, ad.tensor(0.125)):
        parameter = ad.tensor([1.0, -2.0], dtype=dtype, requires_grad=True)
        optimizer = getattr(optim, name)([parameter], lr=rate)
        for _ in range(3):
            (parameter * parameter).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        assert parameter.dtype == dtype
        results.append(parameter.detach().astype(ad.float64).numpy())
    # The rate is rounded to the parameter's dtype, the number is not.
    assert abs(results[0] - results[1]).max() < (0.05 if dtype != ad.float64 else 1e-6)
