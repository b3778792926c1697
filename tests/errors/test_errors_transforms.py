"""The table of mistakes with transforms, functions and hooks: which exception, and what it says.

Depends on adret. Every message names the function, the values, and what to do.
"""

from __future__ import annotations

from collections.abc import Callable

import adret as ad
import pytest
from adret import nn


def leaf(*shape: int) -> ad.Tensor:
    return ad.ones(shape, requires_grad=True)


def returning(found: object) -> type[ad.Function]:
    """A function of a tensor and a number whose backward returns that."""

    class Rule(ad.Function):
        @staticmethod
        def forward(ctx, x, n):
            return x * n

        @staticmethod
        def backward(ctx, grad):
            return found

    return Rule


def backward_of(found: object) -> None:
    returning(found).apply(leaf(2, 3), 2.0).sum().backward()


class Silent(ad.Function):
    @staticmethod
    def forward(ctx, x):
        return 3 if x is None else x * 2.0


def saving(value: object) -> None:
    class Saving(ad.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(value)
            return x * 2.0

    Saving.apply(leaf(2))


ONE = ad.ones(())

MISTAKES: list[tuple[str, Callable[[], object], type[Exception], tuple[str, ...]]] = [
    ("jacobian, argnums", lambda: ad.jacobian(lambda x: x, argnums=2)(ONE), ad.GradError, ("jacobian", "2", "1")),
    ("jacobian, int", lambda: ad.jacobian(lambda x: x)(ad.tensor(1)), ad.DTypeError, ("int64", "astype")),
    ("jacobian, no tensor", lambda: ad.jacobian(lambda x: "text")(ONE), ad.DTypeError, ("jacobian", "str")),
    ("hessian of a vector", lambda: ad.hessian(lambda x: x)(ad.ones(2)), ad.GradError, ("grad", "(2,)", "one element")),
    ("hvp of a vector", lambda: ad.hvp(lambda x: x, (leaf(2),), (leaf(2),)), ad.GradError, ("hvp", "(2,)", "Reduce")),
    ("hvp, shapes", lambda: ad.hvp(lambda x: x.sum(), (leaf(2),), (leaf(3),)), ad.ShapeError, ("hvp", "(2,)", "(3,)")),
    ("jvp, shapes", lambda: ad.jvp(lambda x: x, (leaf(2),), (leaf(3),)), ad.ShapeError, ("jvp", "(2,)", "(3,)")),
    ("Function, too few", lambda: backward_of(leaf(2, 3)), ad.GradError, ("Rule", "1 gradients", "2 arguments")),
    ("Function, too many", lambda: backward_of((leaf(2, 3), None, ONE)), ad.GradError, ("Rule", "3 gradients", "None")),
    ("Function, shape", lambda: backward_of((leaf(3), None)), ad.ShapeError, ("Rule", "argument 0", "(3,)", "(2, 3)")),
    ("Function, no tensor", lambda: backward_of((3.0, None)), ad.DTypeError, ("Rule", "float", "argument 0")),
    ("Function, no output", lambda: Silent.apply(None), TypeError, ("Silent", "int", "tensor")),
    ("Function, no backward", lambda: Silent.apply(leaf(2)).sum().backward(), NotImplementedError, ("backward",)),
    ("Function, no forward", lambda: ad.Function.apply(leaf(2)), NotImplementedError, ("forward",)),
    ("save_for_backward", lambda: saving(3), ad.DTypeError, ("save_for_backward", "int", "attribute")),
    (
        "hook, no gradient",
        lambda: ad.ones(2).register_hook(print),
        ad.GradError,
        ("register_hook", "(2,)", "requires_"),
    ),
    ("hook, no function", lambda: leaf(2).register_hook(3), TypeError, ("register_hook", "function")),
    ("retain_grad", lambda: ad.ones(2).retain_grad(), ad.GradError, ("retain_grad", "(2,)")),
    ("module hook", lambda: nn.ReLU().register_forward_hook(3), TypeError, ("register_forward_hook", "int")),
    (
        "functional_call, path",
        lambda: ad.functional_call(nn.Linear(1, 1), {"wieght": ONE}, ONE),
        ad.DomainError,
        ("functional_call", "wieght", "weight, bias"),
    ),
    (
        "functional_call, twice",
        lambda: ad.functional_call(nn.Linear(1, 1), ({"bias": ONE}, {"bias": ONE}), ONE),
        ad.DomainError,
        ("functional_call", "bias", "once"),
    ),
    (
        "functional_call, number",
        lambda: ad.functional_call(nn.Linear(1, 1), {"bias": 1.0}, ONE),
        ad.DTypeError,
        ("functional_call", "bias", "float"),
    ),
]


@pytest.mark.parametrize(("call", "kind", "says"), [row[1:] for row in MISTAKES], ids=[row[0] for row in MISTAKES])
def test_mistakes(call: Callable[[], object], kind: type[Exception], says: tuple[str, ...]) -> None:
    with pytest.raises(kind) as caught:
        call()
    missing = [part for part in says if part not in str(caught.value)]
    assert not missing, f"{caught.value} does not say {missing}"
    assert ad.is_grad_enabled()
