"""Hooks of modules, and modules as functions of their parameters.

Depends on adret.
"""

from __future__ import annotations

import copy

import adret as ad
import pytest
from adret import nn


def layer() -> nn.Linear:
    made = nn.Linear(2, 2, bias=False)
    with ad.no_grad():
        made.weight.assign(ad.tensor([[1.0, 2.0], [3.0, 4.0]]))
    return made


def test_forward_hooks_in_order() -> None:
    module, calls = layer(), []
    module.register_forward_pre_hook(lambda m, args: calls.append("before") or (args[0] * 2.0))
    module.register_forward_hook(lambda m, args, output: calls.append(("after", args[0].tolist())))
    module.register_forward_hook(lambda m, args, output: output + 1.0)
    first = module.register_forward_hook(lambda m, args, output: calls.append("first"), prepend=True)
    assert module(ad.ones(2)).tolist() == [7.0, 15.0]
    assert calls == ["before", "first", ("after", [2.0, 2.0])]
    first.remove()
    calls.clear()
    module(ad.ones(2))
    assert calls == ["before", ("after", [2.0, 2.0])]


def test_hooks_with_keyword_arguments() -> None:
    class Scaled(nn.Module):
        def forward(self, x, scale=1.0):
            return x * scale

    module, seen = Scaled(), []
    module.register_forward_pre_hook(lambda m, args, kwargs: (args, {"scale": kwargs["scale"] * 2}), with_kwargs=True)
    module.register_forward_hook(lambda m, args, kwargs, output: seen.append(kwargs), with_kwargs=True)
    assert module(ad.ones(1), scale=3.0).item() == 6.0
    assert seen == [{"scale": 6.0}]
    with (
        module.register_forward_pre_hook(lambda m, args, kwargs: 3, with_kwargs=True),
        pytest.raises(TypeError, match=r"Scaled: it returned int. Return \(args, kwargs\)"),
    ):
        module(ad.ones(1), scale=3.0)


def test_hooks_that_are_always_called() -> None:
    module, calls = layer(), []
    module.register_forward_hook(lambda m, args, output: calls.append(output), always_call=True)
    module.register_forward_hook(lambda m, args, output: calls.append("never"))
    with pytest.raises(ad.ShapeError):
        module(ad.ones(5))
    assert calls == [None]


def test_errors_inside_hooked_children_name_their_path() -> None:
    net = nn.Sequential(layer(), nn.Linear(3, 1))
    net[1].register_forward_hook(lambda m, args, output: None)
    with pytest.raises(ad.ShapeError, match=r"^1: "):
        net(ad.ones(2))


def test_copies_and_state() -> None:
    module, calls = layer(), []
    handle = module.register_forward_hook(lambda m, args, output: calls.append(m))
    again = copy.deepcopy(module)
    handle.remove()
    module(ad.ones(2))
    again(ad.ones(2))
    assert calls == [again]
    assert list(module.state_dict()) == ["weight"]
    assert [name for name, _ in module.named_modules()] == [""]


def test_backward_hooks_see_both_sides() -> None:
    module, seen = layer(), []
    module.register_full_backward_hook(lambda m, inputs, outputs: seen.append((inputs, outputs)))
    x = ad.ones((1, 2), requires_grad=True)
    (module(x) * 2.0).sum().backward()
    ((grad_input,), (grad_output,)) = seen[0]
    assert grad_input.tolist() == [[8.0, 12.0]] == x.grad.tolist()
    assert grad_output.tolist() == [[2.0, 2.0]]
    assert module.weight.grad.tolist() == [[2.0, 2.0], [2.0, 2.0]]


def test_backward_hooks_replace() -> None:
    module = layer()
    module.register_full_backward_pre_hook(lambda m, outputs: (outputs[0] * 10.0,))
    module.register_full_backward_hook(lambda m, inputs, outputs: (inputs[0] + outputs[0],))
    x = ad.ones((1, 2), requires_grad=True)
    module(x).sum().backward()
    assert x.grad.tolist() == [[50.0, 70.0]]
    assert module.weight.grad.tolist() == [[10.0, 10.0], [10.0, 10.0]]


def test_backward_hooks_of_several_inputs_and_outputs() -> None:
    class Two(nn.Module):
        def forward(self, x, n, y):
            return {"sum": x + y * n, "product": x * y}

    module, seen = Two(), []
    module.register_full_backward_hook(lambda m, inputs, outputs: seen.append((inputs, outputs)))
    x, y = ad.full((), 3.0, requires_grad=True), ad.full((), 5.0, requires_grad=True)
    module(x, 2, y)["sum"].backward()
    inputs, outputs = seen[0]
    assert [None if grad is None else grad.item() for grad in inputs] == [1.0, None, 2.0]
    assert [grad.item() for grad in outputs] == [1.0, 0.0]


def test_backward_hooks_where_no_input_needs_a_gradient() -> None:
    module, seen = layer(), []
    module.register_full_backward_hook(lambda m, inputs, outputs: seen.append(inputs))
    module(ad.ones((1, 2))).sum().backward()
    assert seen == [(None,)]
    assert module.weight.grad is not None
    with ad.no_grad():
        assert not module(ad.ones((1, 2))).requires_grad


def test_backward_hooks_return_what_fits() -> None:
    for changed, says in [
        (lambda m, i, o: (i[0], i[0]), "Linear: it returned 2 gradients for 1"),
        (lambda m, i, o: (i[0].sum(),), r"gradient 0 became \(\) and was \(1, 2\)"),
    ]:
        module = layer()
        module.register_full_backward_hook(changed)
        with pytest.raises(ad.GradError, match=says):
            module(ad.ones((1, 2), requires_grad=True)).sum().backward()


def test_backward_hooks_to_second_order() -> None:
    module = layer().to(ad.float64)
    module.register_full_backward_hook(lambda m, inputs, outputs: (inputs[0] * 3.0,))
    x = ad.tensor([[0.3, 0.7]], dtype=ad.float64)
    slope = ad.grad(lambda x: (module(x) ** 2).sum())(x)
    plain = ad.grad(lambda x: ((x @ module.weight.T) ** 2).sum())(x)
    assert ad.max(ad.abs(slope - 3.0 * plain)).item() < 1e-12
    # The hook acts in both passes.
    hessian = ad.hessian(lambda x: (module(x) ** 2).sum())(x).reshape((2, 2))
    weight = module.weight.detach()
    assert ad.max(ad.abs(hessian - 9.0 * 2.0 * (weight.T @ weight))).item() < 1e-12


def test_functional_call() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    x = ad.random.normal((4, 2))
    own = dict(net.named_parameters())
    others = {path: ad.random.normal(p.shape).requires_grad_() for path, p in own.items()}
    y = ad.functional_call(net, others, x)
    expected = ad.tanh(x @ others["0.weight"].T + others["0.bias"]) @ others["2.weight"].T + others["2.bias"]
    assert ad.max(ad.abs(y - expected)).item() < 1e-6
    assert dict(net.named_parameters()).keys() == own.keys()
    assert all(parameter is own[path] for path, parameter in net.named_parameters())
    y.sum().backward()
    assert all(tensor.grad is not None for tensor in others.values())
    assert all(parameter.grad is None for parameter in own.values())


def test_functional_call_with_some_and_with_kwargs() -> None:
    class Affine(nn.Module):
        def __init__(self):
            self.w = nn.Parameter(ad.ones(1))
            self.register_buffer("seen", ad.zeros(1))

        def forward(self, x, *, shift=0.0):
            self.seen.assign(self.seen + 1.0)
            return x * self.w + shift

    module = Affine()
    seen = ad.full((1,), 5.0)
    found = ad.functional_call(module, ({"w": ad.full((1,), 3.0)}, {"seen": seen}), (ad.ones(1),), {"shift": 1.0})
    assert (found.item(), seen.item(), module.seen.item()) == (4.0, 6.0, 0.0)
    assert ad.functional_call(module, {}, ad.ones(1)).item() == 1.0
    assert module.seen.item() == 1.0


def test_functional_call_restores_after_errors() -> None:
    module = layer()
    own = module.weight
    with pytest.raises(ad.ShapeError):
        ad.functional_call(module, {"weight": ad.ones((7, 7))}, ad.ones(2))
    assert module.weight is own


def test_functional_call_of_tied_weights() -> None:
    net = nn.Sequential(layer(), layer())
    net[1].weight = net[0].weight
    twos = ad.eye(2) * 2.0
    assert ad.functional_call(net, {"0.weight": twos}, ad.ones(2)).tolist() == [4.0, 4.0]
    assert ad.functional_call(net, {"0.weight": twos}, ad.ones(2), tie_weights=False).tolist() == [6.0, 14.0]
    with pytest.raises(ad.DomainError, match=r"\.weight and .\.weight are one tensor"):
        ad.functional_call(net, {"0.weight": twos, "1.weight": ad.eye(2)}, ad.ones(2))


def test_functional_call_in_transforms() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Tanh()).to(ad.float64)
    x = ad.ones(2, dtype=ad.float64)
    weights = {path: parameter.detach() for path, parameter in net.named_parameters()}
    loss = lambda weights: (ad.functional_call(net, weights, x) ** 2).sum()
    gradient = ad.grad(loss)(weights)
    loss_of_net = (net(x) ** 2).sum()
    loss_of_net.backward()
    for path, parameter in net.named_parameters():
        assert gradient[path].tolist() == parameter.grad.tolist()
    assert ad.hessian(loss)(weights)["0.weight"]["0.bias"].shape == (2, 2, 2)
