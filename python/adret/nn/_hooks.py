"""Hooks of modules: functions of the user's around a module's forward and backward pass.

Depends on `autograd` and the core; `_module` calls it. Invariant: a call that no hook changes has the values and
gradients of a call without hooks.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from .. import _core
from .._core import DTypeError, GradError, Tensor, is_grad_enabled
from .._hooks import RemovableHandle
from ..autograd import leaves_of, rebuilt

if TYPE_CHECKING:
    from ._module import Module

_numbers = itertools.count()

Grads = tuple[Tensor | None, ...]


class Hook(NamedTuple):
    """A hook with the ways in which it wants to be called."""

    function: Callable[..., Any]
    with_kwargs: bool = False
    always_call: bool = False


class Hooks:
    """The hooks of one module, by kind, in the order in which they are called."""

    def __init__(self) -> None:
        """Starts without hooks."""
        self.forward_pre: dict[int, Hook] = {}
        self.forward: dict[int, Hook] = {}
        self.backward_pre: dict[int, Hook] = {}
        self.backward: dict[int, Hook] = {}


def register(module: Module, kind: str, hook: Hook, prepend: bool) -> RemovableHandle:
    """Adds a hook of that kind."""
    if not callable(hook.function):
        raise DTypeError(
            f"register_{kind}_hook: {type(hook.function).__name__} cannot be called. Pass a function of the module."
        )
    hooks = module._hooks
    if hooks is None:
        hooks = vars(module)["_hooks"] = Hooks()
    registered: dict[int, Hook] = getattr(hooks, kind)
    number = next(_numbers)
    earlier = dict(registered)
    if prepend:
        registered.clear()
    registered[number] = hook
    if prepend:
        registered.update(earlier)

    return RemovableHandle(lambda: registered.pop(number, None))


def call(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`module.forward` with the hooks around it."""
    hooks = module._hooks
    assert hooks is not None
    waiting = dict(hooks.forward)
    try:
        for hook in list(hooks.forward_pre.values()):
            args, kwargs = _before(module, hook, args, kwargs)
        watch = None
        if (hooks.backward or hooks.backward_pre) and is_grad_enabled():
            watch = _Watch(module, hooks)
            args = watch.inputs(args)
        output = module.forward(*args, **kwargs)
        for number, hook in hooks.forward.copy().items():
            waiting.pop(number, None)
            output = _after(module, hook, args, kwargs, output)
        return output if watch is None else watch.outputs(output)
    except BaseException:
        for hook in waiting.values():
            if hook.always_call:
                _after(module, hook, args, kwargs, None)
        raise


def _before(module: Module, hook: Hook, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    if not hook.with_kwargs:
        changed = hook.function(module, args)
        if changed is None:
            return args, kwargs
        return _tuple(changed), kwargs
    changed: Any = hook.function(module, args, kwargs)
    if changed is None:
        return args, kwargs
    both = _tuple(changed)
    if len(both) != 2:
        raise DTypeError(
            f"forward_pre_hook of {type(module).__name__}: it returned {type(changed).__name__}. "
            "Return (args, kwargs), or None."
        )
    return both[0], both[1]


def _tuple(value: Any) -> tuple[Any, ...]:
    return cast("tuple[Any, ...]", value) if isinstance(value, tuple) else (value,)


def _after(module: Module, hook: Hook, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
    given = (module, args, kwargs, output) if hook.with_kwargs else (module, args, output)
    changed = hook.function(*given)
    return output if changed is None else changed


class _Watch:
    """One call of a module whose backward pass has hooks: the identity on its inputs and outputs, with a rule."""

    def __init__(self, module: Module, hooks: Hooks) -> None:
        self.module = module
        self.backward_pre = hooks.backward_pre
        self.backward = hooks.backward
        self.arguments = 0
        self.places: list[int] = []
        self.grad_output: Grads = ()

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments; their gradients pass the hooks on the way out."""
        self.arguments = len(args)
        self.places = [place for place, arg in enumerate(args) if isinstance(arg, Tensor) and arg.requires_grad]
        if not self.places:
            return args

        def rule(grads: list[Tensor | None], _: list[bool], __: list[Tensor | None]) -> list[Tensor | None]:
            whole: list[Tensor | None] = [None] * self.arguments
            for place, grad, (shape, dtype, device) in zip(self.places, grads, metas, strict=True):
                whole[place] = _core.zeros(shape, dtype=dtype, device=device) if grad is None else grad
            changed = self._run(tuple(whole))
            return [changed[place] for place in self.places]

        metas, joined = _identity([args[place] for place in self.places], rule)
        found = list(args)
        for place, tensor in zip(self.places, joined, strict=True):
            found[place] = tensor
        return tuple(found)

    def outputs(self, output: Any) -> Any:
        """The output; its gradients pass the hooks on the way in."""
        leaves = leaves_of(output)
        places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, Tensor) and leaf.requires_grad]
        if not places:
            return output

        def rule(grads: list[Tensor | None], _: list[bool], __: list[Tensor | None]) -> list[Tensor | None]:
            whole: list[Tensor | None] = [None] * len(leaves)
            for place, grad, (shape, dtype, device) in zip(places, grads, metas, strict=True):
                whole[place] = _core.zeros(shape, dtype=dtype, device=device) if grad is None else grad
            grad_output: Grads = tuple(whole)
            for hook in list(self.backward_pre.values()):
                grad_output = self._replaced(
                    "full_backward_pre_hook", hook.function(self.module, grad_output), grad_output
                )
            self.grad_output = grad_output
            if not self.places:
                self._run((None,) * self.arguments)
            return [grad_output[place] for place in places]

        metas, joined = _identity([leaves[place] for place in places], rule)
        for place, tensor in zip(places, joined, strict=True):
            leaves[place] = tensor
        # The rule needs to know how many there are, not what they are.
        found = rebuilt(output, leaves)
        leaves[:] = [None] * len(leaves)
        return found

    def _run(self, grad_input: Grads) -> Grads:
        # A tensor that was kept would hold the graph, which holds this.
        grad_output, self.grad_output = self.grad_output, ()
        for hook in list(self.backward.values()):
            changed = hook.function(self.module, grad_input, grad_output)
            grad_input = self._replaced("full_backward_hook", changed, grad_input)
        return grad_input

    def _replaced(self, name: str, changed: Any, grads: Grads) -> Grads:
        if changed is None:
            return grads
        found = _tuple(changed)
        where = f"{name} of {type(self.module).__name__}"
        if len(found) != len(grads):
            raise GradError(
                f"{where}: it returned {len(found)} gradients for {len(grads)}. Return one for each, or None."
            )
        for number, (new, old) in enumerate(zip(found, grads, strict=True)):
            if new is not None and (old is None or not isinstance(new, Tensor) or new.shape != old.shape):
                shown = new.shape if isinstance(new, Tensor) else type(new).__name__
                raise GradError(
                    f"{where}: gradient {number} became {shown} and was {None if old is None else old.shape}. "
                    "Return a tensor of the same shape, and None where there was none."
                )
        return tuple(found)


Meta = tuple[tuple[int, ...], _core.DType, str]


def _identity(tensors: Sequence[Tensor], rule: Callable[..., list[Tensor | None]]) -> tuple[list[Meta], list[Tensor]]:
    """The tensors as outputs of one function with that rule, and what they look like."""
    metas = [(tensor.shape, tensor.dtype, tensor.device) for tensor in tensors]
    return metas, _core._joined(tensors, tensors, rule, [False] * len(tensors))
