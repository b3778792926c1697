"""The base class of optimisers: parameter groups, state, and the step.

Depends on the core only. Invariant: a step rebinds parameters and state without recording history and evaluates all of
them in one call, so gradients, updates and a live loss are one plan and memory is reused in place. A step that fails
leaves parameters, state and counts as they were. Rates are run-time numbers, so changing them never makes a new plan.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from .. import _changes
from .._core import (
    DomainError,
    DTypeError,
    GradError,
    Step,
    Tensor,
    Variable,
    enable_grad,
    is_recording,
    no_grad,
    zeros_like,
)
from .._core import (
    eval as evaluate,
)


class ParameterGroup(dict[str, Any]):
    """Parameters that share settings. A dictionary that counts its changes, but for settings that every step reads."""

    def __init__(self, settings: Mapping[str, Any], live: frozenset[str] = frozenset()) -> None:
        """Takes settings, and which of them are read anew in every step, recorded or not."""
        super().__init__(settings)
        self._live = live

    def __setitem__(self, key: str, value: Any) -> None:
        """Changes a setting, such as `group["lr"]`."""
        if key not in self._live:
            _changes.note(self.get(key), value)
        super().__setitem__(key, value)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles and copies as settings with their live names."""
        return ParameterGroup, (dict(self), self._live)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Changes several settings."""
        for key, value in dict(*args, **kwargs).items():
            self[key] = value


class Optimizer(ABC):
    """Changes parameters by their gradients; a subclass writes `update` for one parameter.

    Args:
        params: Parameters, or dictionaries with "params" and settings of their own.
        defaults: Settings of groups that do not set them.

    Raises:
        DTypeError: If `params` are not tensors of a floating dtype, or groups of them.
        DomainError: If there are none, or one is there twice.

    Example:
        >>> class SignDescent(Optimizer):
        ...     def __init__(self, params, lr):
        ...         super().__init__(params, {"lr": lr})
        ...     def update(self, parameter, grad, state, group):
        ...         parameter.assign(parameter - group["lr"] * ad.sign(grad))
        >>> p = ad.tensor([1.0, -2.0], requires_grad=True)
        >>> optimizer = SignDescent([p], lr=0.5)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> p.tolist()
        [0.5, -1.5]
    """

    live_settings: frozenset[str] = frozenset()
    """Settings that `numbers` reads in every step: changing them does not make compiled functions record again."""

    counts_steps: bool = False
    """Whether the state of each parameter counts its steps under "step"."""

    def __init__(self, params: Iterable[Tensor] | Iterable[dict[str, Any]], defaults: dict[str, Any]) -> None:
        """Takes parameters and default settings."""
        self.defaults = defaults
        self.state: dict[Tensor, dict[str, Any]] = {}
        self.param_groups: list[ParameterGroup] = []
        if isinstance(params, Tensor):
            raise DTypeError(f"{self._name()}: params is one Tensor. Pass a list: [tensor].")
        if hasattr(params, "parameters"):
            kind = type(params).__name__
            raise DTypeError(f"{self._name()}: params is a {kind}. Pass what it trains: module.parameters().")
        if not isinstance(params, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise DTypeError(
                f"{self._name()}: params is a {type(params).__name__}. Pass module.parameters(), or a list."
            )
        groups = list(params)
        if not groups:
            raise DomainError(
                f"{self._name()}: there are no parameters. Pass module.parameters() of a module with some."
            )
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(cast("dict[str, Any]", group))

    def _name(self) -> str:
        return type(self).__name__

    def __setattr__(self, name: str, value: object) -> None:
        """Sets an attribute and counts the change."""
        _changes.note(vars(self).get(name), value)
        object.__setattr__(self, name, value)

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Adds parameters with settings of their own, while training too.

        Args:
            param_group: "params", and any of the optimiser's settings.
        """
        given = param_group["params"]
        params: list[Any] = [given] if isinstance(given, Tensor) else list(given)
        known = {id(parameter) for group in self.param_groups for parameter in group["params"]}
        for number, parameter in enumerate(params):
            if not isinstance(parameter, Tensor):
                raise DTypeError(
                    f"{self._name()}: parameter {number} is a {type(parameter).__name__}. "
                    "Pass tensors that require grad."
                )
            if not parameter.is_leaf:
                raise GradError(
                    f"{self._name()}: parameter {number} was computed from others. Pass the leaves it came from, "
                    "or parameter.detach().requires_grad_()."
                )
            if id(parameter) in known:
                raise DomainError(f"{self._name()}: parameter {number} was given before. Pass every parameter once.")
            known.add(id(parameter))
        group = ParameterGroup({**self.defaults, **param_group, "params": params}, self.live_settings)
        self._check(group)
        self.param_groups.append(group)
        _changes.count += 1
        if not is_recording():
            # The first step would draw weights that are not there yet, hold them twice, and be planned for that alone.
            evaluate(*params)

    def _check(self, group: Mapping[str, Any]) -> None:
        """Raises on settings that make no sense; a subclass adds its own."""
        for name in ("lr", "eps", "weight_decay", "momentum"):
            value = group.get(name, 0)
            if isinstance(value, Tensor):
                continue
            if not hasattr(value, "__float__"):
                raise DTypeError(f"{self._name()}: {name} is a {type(value).__name__}. Use a number of 0 or more.")
            if not value >= 0:
                raise DomainError(f"{self._name()}: {name} is {value}. Use 0 or more.")
        for name in ("betas", "etas", "step_sizes"):
            value = group.get(name, (0, 0))
            if not isinstance(value, Sequence) or len(cast("Sequence[float]", value)) != 2:
                raise DTypeError(f"{self._name()}: {name} is {value!r}. Use two numbers, as in {name}=(0.5, 0.9).")

    def numbers(self, step: int, group: Mapping[str, Any]) -> tuple[float | Tensor, ...]:
        """The numbers of one parameter that differ from step to step: a rate, a correction. Changes nothing.

        It is called in every step, also where the step is replayed by `ad.compile`; its result reaches `update`.

        Args:
            step: Which step of this parameter it is, from 1 on, where the class counts steps; else 1.
            group: The settings in force.
        """
        return ()

    @abstractmethod
    def update(
        self, parameter: Tensor, grad: Tensor, state: dict[str, Any], group: Mapping[str, Any], *numbers: Any
    ) -> None:
        """Rebinds one parameter and its state. Called without recording history; need not evaluate anything.

        Args:
            parameter: To be changed through `assign`.
            grad: Its gradient.
            state: Kept from step to step; tensors in it are to be changed through `assign`.
            group: The settings in force.
            numbers: From `numbers`, to be used in tensor arithmetic only.
        """

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Changes every parameter that has a gradient, once.

        Args:
            closure: Computes the loss and its gradients anew; its result is returned.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            self._step()
        return loss

    def _step(self) -> None:
        due: list[tuple[Tensor, Tensor, dict[str, Any], ParameterGroup]] = []
        fresh: list[Tensor] = []
        for group in self.param_groups:
            for parameter in group["params"]:
                grad = parameter.grad
                if grad is None:
                    continue
                state = self.state.get(parameter)
                if state is None:
                    state = self.state[parameter] = {}
                    fresh.append(parameter)
                else:
                    _follow(parameter, state)
                due.append((parameter, grad, state, group))
        states = [state for _, _, state, _ in due] if self.counts_steps else []
        step = Step(_tensors(due), states)
        recording = is_recording()
        used: list[tuple[dict[str, Any], ParameterGroup, tuple[Any, ...]]] = []
        try:
            for parameter, grad, state, group in due:
                numbers: tuple[Any, ...] = self.numbers(state.get("step", 0) + 1, group)
                # A rate that is a tensor does not widen its parameters.
                numbers = tuple(n.astype(parameter.dtype) if isinstance(n, Tensor) else n for n in numbers)
                if recording:
                    numbers = tuple(n if isinstance(n, Tensor) else Variable(n) for n in numbers)
                    used.append((state, group, numbers))
                self.update(parameter, grad, state, group, *numbers)
            if recording:
                step.record(lambda: self._prepare(used))
            else:
                step.commit(_tensors(due))
        except BaseException:
            if step.undo():
                for parameter in fresh:
                    del self.state[parameter]
            raise

    def _prepare(self, used: list[tuple[dict[str, Any], ParameterGroup, tuple[Any, ...]]]) -> None:
        """Gives the numbers of a recorded step the values of the next one."""
        for state, group, variables in used:
            for variable, number in zip(variables, self.numbers(state.get("step", 0) + 1, group), strict=True):
                if not isinstance(variable, Tensor):
                    variable.value = number

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the parameters' gradients, or fills them with zeros."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if set_to_none:
                    parameter.grad = None
                elif parameter.grad is not None:
                    parameter.grad = zeros_like(parameter.grad)

    def state_dict(self) -> dict[str, Any]:
        """A snapshot of state and settings, parameters standing as numbers in order of their groups.

        Returns:
            "state": state by the parameter's number; "param_groups": settings, with numbers under "params".
        """
        numbers = {id(p): n for n, p in enumerate(p for group in self.param_groups for p in group["params"])}
        return {
            "state": {
                numbers[id(parameter)]: {
                    key: value.detach() if isinstance(value, Tensor) else value for key, value in state.items()
                }
                for parameter, state in self.state.items()
                if id(parameter) in numbers
            },
            "param_groups": [
                {**group, "params": [numbers[id(p)] for p in group["params"]]} for group in self.param_groups
            ],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes up state and settings from a snapshot; state goes to the parameters' devices and dtypes.

        Args:
            state_dict: From `state_dict` of an optimiser with as many groups and parameters.

        Raises:
            DomainError: If groups or their sizes differ.
        """
        groups = cast("list[Mapping[str, Any]]", state_dict["param_groups"])
        own, given = ([len(group["params"]) for group in side] for side in (self.param_groups, groups))
        if own != given:
            raise DomainError(
                f"load_state_dict: the optimiser has groups of {own} parameters and the state of {given}. "
                "Make the optimiser for the same parameters as when the state was saved."
            )
        parameters: dict[int, Tensor] = {}
        for group, settings in zip(self.param_groups, groups, strict=True):
            parameters.update(zip(settings["params"], group["params"], strict=True))
            group.update({key: value for key, value in settings.items() if key != "params"})
        self.state = {}
        for number, saved in state_dict["state"].items():
            parameter = parameters[number]
            # `detach` gives handles of our own: later steps must not write the snapshot.
            state = {key: value.detach() if isinstance(value, Tensor) else value for key, value in saved.items()}
            _follow(parameter, state)
            self.state[parameter] = state

    def __repr__(self) -> str:
        """The settings of every group."""
        lines = [f"{self._name()} ("]
        for number, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {number}")
            lines.extend(f"    {key}: {group[key]}" for key in sorted(group) if key != "params")
        return "\n".join([*lines, ")"])


def _tensors(due: list[tuple[Tensor, Tensor, dict[str, Any], ParameterGroup]]) -> list[Tensor]:
    """Everything that a step may rebind."""
    found: list[Tensor] = []
    for parameter, _, state, _ in due:
        found.append(parameter)
        found.extend(value for value in state.values() if isinstance(value, Tensor))
    return found


def _follow(parameter: Tensor, state: dict[str, Any]) -> None:
    """Takes state to where its parameter went (`Module.to`)."""
    for key, value in state.items():
        if isinstance(value, Tensor) and value.ndim == parameter.ndim:
            if value.device != parameter.device:
                value = state[key] = value.to(parameter.device)
            if value.dtype != parameter.dtype:
                state[key] = value.astype(parameter.dtype)
