"""The base class of layers and networks.

Depends on the core's scopes (for error messages) and on `_parameter` and `_state`. Invariant: parameters, buffers and
children are ordinary attributes, found by their type in the order in which they were first set; nothing is listed twice
over. Only buffers need a registry, since any tensor may be an attribute without being state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

from .. import _changes, _core
from .._core import AdretError, DomainError, DType, DTypeError, Tensor, no_grad, pop_scope, push_scope
from .._hooks import RemovableHandle
from . import _hooks, _state
from ._parameter import Parameter


def _without_forward(self: Module, *_: Any, **__: Any) -> Any:
    kind = type(self).__name__
    raise TypeError(f"{kind}: it has no forward method. Write `def forward(self, input): …` in class {kind}.")


def _locate(error: AdretError, name: str) -> None:
    """Puts the module's path before an error's text; called from the innermost module outwards."""
    inner, text = vars(error).get("_origin", ("", str(error)))
    path = f"{name}.{inner}" if inner else name
    vars(error)["_origin"] = (path, text)
    # The core writes the path itself where it made the error.
    error.args = (text if text.startswith(f"{path}: ") else f"{path}: {text}",)


def _explain(module: Module, args: tuple[Any, ...], error: AttributeError) -> None:
    """Raises what is wrong with the input of one of the library's layers, where it is no tensor."""
    if args and not isinstance(args[0], Tensor) and type(module).__module__.startswith("adret."):
        given = type(args[0]).__name__
        text = f"{type(module).__name__}: expected a Tensor, not {given}. Make one with ad.tensor(…)."
        raise DTypeError(text) from error


# Stands for an attribute that is not there yet: different from every value.
_ABSENT = object()


def _is_plain(value: object) -> bool:
    return isinstance(value, Tensor) and not isinstance(value, Parameter)


class Module:
    """A layer or a network: parameters, children, and a `forward` that computes with them.

    Set parameters, buffers and children as attributes in `__init__`; write `forward`; call the module.

    Example:
        >>> class Twice(Module):
        ...     def __init__(self):
        ...         self.factor = Parameter([2.0])
        ...     def forward(self, input):
        ...         return input * self.factor
        >>> Twice()(ad.ones(3)).tolist()
        [2.0, 2.0, 2.0]
    """

    training: bool = True
    """Whether the module is training (dropout draws, running statistics move) or evaluating."""

    # Name under the parent, for error messages; empty for the outermost module.
    _scope: str = ""
    # Buffer name -> whether `state_dict` holds it. The class's own is empty and never written.
    _buffers: Mapping[str, bool] = {}

    # Set where a hook is registered.
    _hooks: _hooks.Hooks | None = None

    forward: Callable[..., Any] = _without_forward
    """Computes the module's output; every module writes its own."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Computes `forward(*args, **kwargs)`; errors raised within name the module."""
        scope = self._scope
        if scope:
            push_scope(scope)
        try:
            return _hooks.call(self, args, kwargs) if self._hooks else self.forward(*args, **kwargs)
        except AdretError as error:
            if scope:
                _locate(error, scope)
            raise
        except AttributeError as error:
            _explain(self, args, error)
            raise
        finally:
            if scope:
                pop_scope()

    # Attributes

    def __setattr__(self, name: str, value: object) -> None:
        """Sets an attribute; a parameter may only be replaced by a parameter or None."""
        _changes.note(getattr(self, name, _ABSENT), value)
        if isinstance(value, Module):
            value._set_scope(name)
        elif _is_plain(value) and isinstance(self.__dict__.get(name), Parameter):
            raise DTypeError(
                f"{type(self).__name__}: {name} is a Parameter and the new value a plain Tensor. "
                f"Write `with ad.no_grad(): module.{name}.assign(value)`, or set an nn.Parameter."
            )
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        """Deletes an attribute, and forgets it where it was a buffer."""
        _changes.count += 1
        object.__delattr__(self, name)
        if name in self._buffers:
            self.__dict__["_buffers"] = {key: kept for key, kept in self._buffers.items() if key != name}

    def _set_scope(self, name: str) -> None:
        self.__dict__["_scope"] = name

    def _check_new(self, name: str) -> None:
        if not name or "." in name:
            raise DomainError(f"{type(self).__name__}: {name!r} cannot name an attribute. Use a name without dots.")
        if name not in self.__dict__ and hasattr(self, name):
            raise DomainError(f"{type(self).__name__}: {name!r} already means something else. Choose another name.")

    def add_module(self, name: str, module: Module | None) -> None:
        """Sets a child, under a name that may be made at run time."""
        self._check_new(name)
        setattr(self, name, module)

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """Sets a parameter, under a name that may be made at run time."""
        self._check_new(name)
        setattr(self, name, parameter)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Sets a tensor that is state but not trained: running statistics, class weights.

        Args:
            name: The attribute's name.
            tensor: The initial value, or None.
            persistent: Whether `state_dict` holds it.
        """
        self._check_new(name)
        self.__dict__["_buffers"] = {**self._buffers, name: persistent}
        setattr(self, name, tensor)

    # Walks

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Each direct child with its name, once."""
        seen: set[int] = set()
        for name, value in list(vars(self).items()):
            if isinstance(value, Module) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def children(self) -> Iterator[Module]:
        """Each direct child, once."""
        return (child for _, child in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """The module itself and everything below it, once each, with paths like `layers.2`."""
        return self._walk(prefix, set())

    def _walk(self, path: str, seen: set[int]) -> Iterator[tuple[str, Module]]:
        if id(self) in seen:
            return
        seen.add(id(self))
        yield path, self
        for name, child in self.named_children():
            yield from child._walk(f"{path}.{name}" if path else name, seen)

    def modules(self) -> Iterator[Module]:
        """The module itself and everything below it, once each."""
        return (module for _, module in self.named_modules())

    def _own_parameters(self) -> Iterator[tuple[str, Parameter]]:
        return ((name, value) for name, value in list(vars(self).items()) if isinstance(value, Parameter))

    def _own_buffers(self) -> Iterator[tuple[str, Tensor]]:
        for name in self._buffers:
            value = self.__dict__.get(name)
            if isinstance(value, Tensor):
                yield name, value

    def named_parameters(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Parameter]]:
        """Each parameter with its path, once, though several modules may share it."""
        seen: set[int] = set()
        for path, module in self.named_modules(prefix) if recurse else [(prefix, self)]:
            for name, value in module._own_parameters():
                if id(value) not in seen:
                    seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Each parameter, once.

        Example:
            >>> sum(p.size for p in Linear(3, 2).parameters())
            8
        """
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """Each buffer with its path, once."""
        seen: set[int] = set()
        for path, module in self.named_modules(prefix) if recurse else [(prefix, self)]:
            for name, value in module._own_buffers():
                if id(value) not in seen:
                    seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Each buffer, once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module at a path like `layers.2`; the module itself for the empty path."""
        module = self
        for name in target.split(".") if target else []:
            child = vars(module).get(name)
            if not isinstance(child, Module):
                names = ", ".join(name for name, _ in module.named_children()) or "none"
                raise DomainError(f"get_submodule: {target!r} has no module {name!r}. There are: {names}.")
            module = child
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter under a path such as `encoder.0.weight`.

        Raises:
            AttributeError: If there is none.
        """
        return self._under(target, "parameter", dict(self.named_parameters()))

    def get_buffer(self, target: str) -> Tensor:
        """The buffer under a path such as `encoder.0.running_mean`.

        Raises:
            AttributeError: If there is none.
        """
        return self._under(target, "buffer", dict(self.named_buffers()))

    def _under(self, target: str, kind: str, known: dict[str, Any]) -> Any:
        if target not in known:
            names = ", ".join(known) or "none"
            raise AttributeError(f"{type(self).__name__}: there is no {kind} {target!r}. There are: {names}.")
        return known[target]

    def apply(self, fn: Callable[[Module], object]) -> Self:
        """Calls `fn` with every module below, then with the module itself; for initialisation."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    # Modes and placement

    def train(self, mode: bool = True) -> Self:
        """Puts the module and all below it into training mode, or out of it."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Puts the module and all below it into evaluation mode."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Says for every parameter whether a backward pass gathers its gradient."""
        _changes.count += 1
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the parameters' gradients, or fills them with zeros."""
        for parameter in self.parameters():
            _state.clear_grad(parameter, set_to_none)

    def to(self, device: str | DType | None = None, dtype: DType | None = None) -> Self:
        """Moves parameters and buffers to a device, or floating ones to a dtype, or both; they stay the same objects.

        Example:
            >>> Linear(2, 1).to(ad.float64).weight.dtype
            adret.float64
        """
        if isinstance(device, DType):
            device, dtype = None, device
        if dtype is not None and not dtype.is_floating_point:
            raise DTypeError(f"to: a module cannot be {dtype}. Pass a floating dtype, such as ad.float64.")
        _changes.count += 1
        with no_grad():
            for tensor in (*self.parameters(), *self.buffers()):
                _state.move(tensor, device, dtype)
        return self

    def half(self) -> Self:
        """Converts floating parameters and buffers to float16."""
        return self.to(dtype=_core.float16)

    def bfloat16(self) -> Self:
        """Converts floating parameters and buffers to bfloat16."""
        return self.to(dtype=_core.bfloat16)

    def float(self) -> Self:
        """Converts floating parameters and buffers to float32."""
        return self.to(dtype=_core.float32)

    def double(self) -> Self:
        """Converts floating parameters and buffers to float64.

        Example:
            >>> Linear(2, 1).double().weight.dtype
            adret.float64
        """
        return self.to(dtype=_core.float64)

    def cpu(self) -> Self:
        """Moves parameters and buffers to the CPU."""
        return self.to("cpu")

    # Hooks

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Calls `hook(module, args)` before `forward`; what it returns replaces the positional arguments.

        Args:
            hook: Returns None, the arguments as a tuple, or the only one.
            prepend: Whether it comes before the hooks that are there.
            with_kwargs: Whether it is called as `hook(module, args, kwargs)` and returns both, or None.

        Example:
            >>> layer = ReLU()
            >>> handle = layer.register_forward_pre_hook(lambda module, args: -args[0])
            >>> layer(ad.tensor([-2.0])).item()
            2.0
            >>> handle.remove()
        """
        return _hooks.register(self, "forward_pre", _hooks.Hook(hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Calls `hook(module, args, output)` after `forward`; what it returns replaces the output.

        Args:
            hook: Returns None or another output.
            prepend: Whether it comes before the hooks that are there.
            with_kwargs: Whether it is called as `hook(module, args, kwargs, output)`.
            always_call: Whether it is called, with None as the output, where `forward` raises.

        Example:
            >>> seen = []
            >>> layer = Linear(3, 2)
            >>> with layer.register_forward_hook(lambda module, args, output: seen.append(output.shape)):
            ...     _ = layer(ad.ones((5, 3)))
            >>> seen
            [(5, 2)]
        """
        return _hooks.register(self, "forward", _hooks.Hook(hook, with_kwargs, always_call), prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Calls `hook(module, grad_output)` before the gradient of the module's inputs is computed.

        Args:
            hook: Takes the gradients of the outputs as a tuple; returns None, or others in their place.
            prepend: Whether it comes before the hooks that are there.
        """
        return _hooks.register(self, "backward_pre", _hooks.Hook(hook), prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Calls `hook(module, grad_input, grad_output)` when the gradient of the module's inputs is there.

        Args:
            hook: Takes tuples, with None for arguments without a gradient; returns None, or other gradients of the
                inputs. They are gradients of positional arguments, and all None where no argument requires grad.
            prepend: Whether it comes before the hooks that are there.

        Example:
            >>> layer = Linear(3, 1, bias=False)
            >>> x = ad.ones(3, requires_grad=True)
            >>> handle = layer.register_full_backward_hook(lambda module, grads, _: (ad.ones(3),))
            >>> layer(x).sum().backward()
            >>> x.grad
            tensor([1., 1., 1.])
        """
        return _hooks.register(self, "backward", _hooks.Hook(hook), prepend)

    # State

    def state_dict(self, prefix: str = "") -> dict[str, Tensor]:
        """A snapshot of parameters and persistent buffers by path; later training does not change it.

        Example:
            >>> sorted(Linear(2, 1).state_dict())
            ['bias', 'weight']
        """
        return {path: tensor.detach() for path, tensor in _state.entries(self, prefix)}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> _state.IncompatibleKeys:
        """Gives parameters and buffers the values of a snapshot; they stay the same objects.

        All or nothing: everything is checked before the first value is written. Values are converted to
        the module's dtypes and moved to its devices.

        Args:
            state_dict: Tensors (or arrays) by path.
            strict: Whether missing and unexpected paths are errors.

        Returns:
            The missing and the unexpected paths.

        Raises:
            DomainError: If paths are missing or unexpected, and `strict`.
            ShapeError: If only shapes differ.
        """
        return _state.load(self, state_dict, strict)

    # Display

    def extra_repr(self) -> str:
        """The settings shown between the parentheses of `repr`."""
        return ""

    def __repr__(self) -> str:
        """The tree of modules with their settings."""
        settings = self.extra_repr()
        lines = [f"  ({name}): {repr(child).replace(chr(10), chr(10) + '  ')}" for name, child in self._shown()]
        if not lines:
            return f"{type(self).__name__}({settings})"
        return "\n".join([f"{type(self).__name__}(", *([f"  {settings}"] if settings else []), *lines, ")"])

    def _shown(self) -> Iterator[tuple[str, object]]:
        return ((name, value) for name, value in list(vars(self).items()) if isinstance(value, Module))
