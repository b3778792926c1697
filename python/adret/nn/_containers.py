"""Modules that hold modules or parameters: in a row, in a list, in a dictionary.

Depends on `_module`. Invariant: a container's entries are its attributes, so walks and `state_dict` need no special
case; a list's or dictionary's entries carry its name in error messages (`layers.2`), since they are called, it is not.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self, cast, overload

from .._core import DTypeError, OutOfRangeError, Tensor
from ._module import Module
from ._parameter import Parameter


def _position(owner: object, index: int, length: int) -> int:
    if not -length <= index < length:
        raise OutOfRangeError(
            f"{type(owner).__name__}: no entry {index} among {length}. Use -{length} to {length - 1}."
        )
    return index % length


class _Row(Module):
    """Modules under the names 0, 1, 2 and so on."""

    def __len__(self) -> int:
        """Number of modules."""
        return len(self._list())

    def __iter__(self) -> Iterator[Module]:
        """The modules in order."""
        return iter(self._list())

    def _list(self) -> list[Module]:
        return [value for value in vars(self).values() if isinstance(value, Module)]

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Module | Self:
        """The module at a position, or a container of those in a slice."""
        modules = self._list()
        if isinstance(index, slice):
            part = type(self)()
            part._fill(modules[index])
            return part
        return modules[_position(self, index, len(modules))]

    def __setitem__(self, index: int, module: Module) -> None:
        """Replaces the module at a position."""
        names = [name for name, value in vars(self).items() if isinstance(value, Module)]
        setattr(self, names[_position(self, index, len(names))], module)

    def __delitem__(self, index: int | slice) -> None:
        """Removes modules; those behind move up."""
        modules = self._list()
        del modules[index]
        for name, value in list(vars(self).items()):
            if isinstance(value, Module):
                delattr(self, name)
        self._fill(modules)

    def _fill(self, modules: Iterable[Module]) -> None:
        for module in modules:
            self.append(module)

    def append(self, module: Module) -> Self:
        """Adds a module at the end."""
        if not isinstance(module, Module):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise DTypeError(f"{type(self).__name__}: {type(module).__name__} is not a Module. Pass a Module instance.")
        setattr(self, str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Adds modules at the end."""
        self._fill(list(modules))
        return self


class Sequential(_Row):
    """Modules called one after another, each with the output of the one before.

    Args:
        *modules: The modules in order, or one ordered dictionary of named modules.

    Example:
        >>> net = Sequential(Linear(2, 3), ReLU(), Linear(3, 1))
        >>> net(ad.ones((4, 2))).shape
        (4, 1)
    """

    def __init__(self, *modules: Module | OrderedDict[str, Module]) -> None:
        """Takes modules in order, or one ordered dictionary."""
        if len(modules) == 1 and isinstance(modules[0], dict):
            for name, module in modules[0].items():
                self.add_module(name, module)
        else:
            self._fill(cast("tuple[Module, ...]", modules))

    def forward(self, input: Any) -> Any:
        """The last module's output."""
        for module in self._list():
            input = module(input)
        return input


class _Holder(Module):
    """A container that is never called itself: its entries carry its name in front of their own."""

    def __setattr__(self, name: str, value: object) -> None:
        """Sets an entry, which learns its whole name."""
        super().__setattr__(name, value)
        if self._scope and isinstance(value, Module):
            value._set_scope(f"{self._scope}.{name}")

    def _set_scope(self, name: str) -> None:
        super()._set_scope(name)
        for key, child in vars(self).items():
            if isinstance(child, Module):
                child._set_scope(f"{name}.{key}")


class ModuleList(_Holder, _Row):
    """A list of modules that its owner calls as it likes.

    Args:
        modules: The modules in order.

    Raises:
        DTypeError: If one is not a Module.

    Example:
        >>> layers = ModuleList(Linear(4, 4) for _ in range(3))
        >>> len(layers), len(list(layers.parameters()))
        (3, 6)
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        """Takes the modules in order."""
        self._fill(list(modules))

    def insert(self, index: int, module: Module) -> None:
        """Adds a module in front of a position; those behind move down."""
        modules = self._list()
        modules.insert(index, module)
        del self[:]
        self._fill(modules)


class ModuleDict(_Holder):
    """A dictionary of modules.

    Args:
        modules: Names with modules: a dictionary or pairs.

    Raises:
        DomainError: If a name has a dot or means something else already.

    Example:
        >>> ModuleDict({"encode": Linear(4, 2), "decode": Linear(2, 4)})["decode"].out_features
        4
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()) -> None:
        """Takes names with modules."""
        self.update(modules)

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Adds or replaces modules."""
        for name, module in dict(modules).items():
            self[name] = module

    def __getitem__(self, name: str) -> Any:
        """The module of that name."""
        value = vars(self).get(name)
        if not isinstance(value, Module):
            raise KeyError(f"ModuleDict: no module {name!r}. There are: {', '.join(self.keys()) or 'none'}.")
        return value

    def __setitem__(self, name: str, module: Module) -> None:
        """Adds or replaces a module."""
        self.add_module(name, module)

    def __delitem__(self, name: str) -> None:
        """Removes a module."""
        self.pop(name)

    def pop(self, name: str) -> Module:
        """Removes a module and returns it."""
        module: Module = self[name]
        delattr(self, name)
        return module

    def __contains__(self, name: str) -> bool:
        """Whether there is a module of that name."""
        return isinstance(vars(self).get(name), Module)

    def __len__(self) -> int:
        """Number of modules."""
        return len(self.keys())

    def __iter__(self) -> Iterator[str]:
        """The names in order."""
        return iter(self.keys())

    def keys(self) -> list[str]:
        """The names in order."""
        return [name for name, _ in self.items()]

    def values(self) -> list[Module]:
        """The modules in order."""
        return [module for _, module in self.items()]

    def items(self) -> list[tuple[str, Module]]:
        """Names with modules in order."""
        return [(name, value) for name, value in vars(self).items() if isinstance(value, Module)]


class ParameterList(Module):
    """A list of parameters; plain tensors become parameters.

    Args:
        values: The parameters in order.

    Example:
        >>> len(list(ParameterList([ad.zeros(2), ad.zeros(3)]).parameters()))
        2
    """

    def __init__(self, values: Iterable[Tensor] = ()) -> None:
        """Takes the parameters in order."""
        self.extend(values)

    def __len__(self) -> int:
        """Number of parameters."""
        return len(self._list())

    def __iter__(self) -> Iterator[Parameter]:
        """The parameters in order."""
        return iter(self._list())

    def _list(self) -> list[Parameter]:
        return [value for value in vars(self).values() if isinstance(value, Parameter)]

    def __getitem__(self, index: int) -> Parameter:
        """The parameter at a position."""
        return self._list()[_position(self, index, len(self))]

    def __setitem__(self, index: int, value: Tensor) -> None:
        """Replaces the parameter at a position."""
        name = str(_position(self, index, len(self)))
        setattr(self, name, value if isinstance(value, Parameter) else Parameter(value))

    def append(self, value: Tensor) -> Self:
        """Adds a parameter at the end."""
        setattr(self, str(len(self)), value if isinstance(value, Parameter) else Parameter(value))
        return self

    def extend(self, values: Iterable[Tensor]) -> Self:
        """Adds parameters at the end."""
        for value in values:
            self.append(value)
        return self

    def _shown(self) -> Iterator[tuple[str, object]]:
        return ((name, _Shape(value)) for name, value in vars(self).items() if isinstance(value, Parameter))


class ParameterDict(Module):
    """Parameters by name; plain tensors become parameters.

    Args:
        parameters: The parameters by name, or pairs.

    Raises:
        DTypeError: If a name is not a text.

    Example:
        >>> weights = ParameterDict({"left": ad.zeros(2)})
        >>> weights["right"] = ad.ones(3)
        >>> list(weights), weights["right"].shape
        (['left', 'right'], (3,))
    """

    def __init__(self, parameters: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]] = ()) -> None:
        """Takes the parameters."""
        self.update(parameters)

    def _dict(self) -> dict[str, Parameter]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Parameter)}

    def __len__(self) -> int:
        """Number of parameters."""
        return len(self._dict())

    def __iter__(self) -> Iterator[str]:
        """The names in order."""
        return iter(self._dict())

    def __contains__(self, name: object) -> bool:
        """Whether there is a parameter of that name."""
        return name in self._dict()

    def __getitem__(self, name: str) -> Parameter:
        """The parameter of that name."""
        return self._dict()[name]

    def __setitem__(self, name: str, value: Tensor) -> None:
        """Adds or replaces a parameter."""
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise DTypeError(f"ParameterDict: the name {name!r} is a {type(name).__name__}. Use a text.")
        if name not in self:
            self._check_new(name)
        setattr(self, name, value if isinstance(value, Parameter) else Parameter(value))

    def __delitem__(self, name: str) -> None:
        """Removes a parameter."""
        del self._dict()[name]
        delattr(self, name)

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._dict().keys()

    def values(self) -> Iterable[Parameter]:
        """The parameters."""
        return self._dict().values()

    def items(self) -> Iterable[tuple[str, Parameter]]:
        """Names and parameters."""
        return self._dict().items()

    def update(self, parameters: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]]) -> None:
        """Adds or replaces parameters."""
        pairs = cast("Mapping[str, Tensor]", parameters).items() if isinstance(parameters, Mapping) else parameters
        for name, value in pairs:
            self[name] = value

    def _shown(self) -> Iterator[tuple[str, object]]:
        return ((name, _Shape(value)) for name, value in self._dict().items())


class _Shape:
    """Shows a parameter by its dtype and shape."""

    def __init__(self, parameter: Parameter) -> None:
        self._text = f"Parameter of shape {parameter.shape}, {parameter.dtype}"

    def __repr__(self) -> str:
        return self._text
