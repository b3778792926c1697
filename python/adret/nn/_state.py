"""What a module's tensors hold: listing, loading, moving, clearing.

Depends on the core only; `_module` calls it. Invariant: a tensor object stays the same object, whatever value, dtype or
device it is given, so optimisers and other owners keep seeing it.
"""

# A module's own listings are for this file only.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from .._core import DomainError, DType, DTypeError, ShapeError, Tensor, asarray, int32, int64, no_grad, zeros_like

if TYPE_CHECKING:
    from ._module import Module


class IncompatibleKeys(NamedTuple):
    """Paths on which a module and a state differ."""

    missing_keys: list[str]
    """In the module only."""
    unexpected_keys: list[str]
    """In the state only."""


def entries(module: Module, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Parameters and persistent buffers by path; what two modules share stands under both paths."""
    for name, parameter in module._own_parameters():
        yield prefix + name, parameter
    for name, buffer in module._own_buffers():
        if module._buffers[name]:
            yield prefix + name, buffer
    for name, child in module.named_children():
        yield from entries(child, f"{prefix}{name}.")


def _value(path: str, given: Any, dtype: DType) -> Tensor:
    try:
        return given.detach().astype(dtype) if isinstance(given, Tensor) else asarray(given, dtype=dtype)
    except DTypeError as error:
        raise DTypeError(f"load_state_dict: {path}: {error}") from error


def load(module: Module, state: Mapping[str, Any], strict: bool) -> IncompatibleKeys:
    """Checks everything, then gives the module's tensors the state's values."""
    if not isinstance(state, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise DTypeError(
            f"load_state_dict: the state is a {type(state).__name__}. Pass what state_dict() or ad.load gave."
        )
    own = dict(entries(module))
    missing = [path for path in own if path not in state]
    unexpected = [path for path in state if path not in own]
    values = {path: _value(path, state[path], own[path].dtype) for path in own if path in state}
    misshaped = [
        f"{path} is {own[path].shape} in the module and {value.shape} in the state"
        for path, value in values.items()
        if own[path].shape != value.shape
    ]
    complaints = [f"wrong shapes: {'; '.join(misshaped)}"] if misshaped else []
    if strict and unexpected:
        complaints.insert(0, f"unexpected: {', '.join(unexpected)}")
    if strict and missing:
        complaints.insert(0, f"missing: {', '.join(missing)}")
    if complaints:
        kind = ShapeError if strict and not missing and not unexpected else DomainError
        advice = "Build the module as it was when the state was saved"
        if not misshaped:
            advice += ", or pass strict=False to load what fits"
        raise kind(f"load_state_dict: {type(module).__name__} and the state differ: {'. '.join(complaints)}. {advice}.")
    with no_grad():
        for path, value in values.items():
            target = own[path]
            target.assign(value.to(target.device))
    return IncompatibleKeys(missing, unexpected)


def move(tensor: Tensor, device: str | None, dtype: DType | None) -> None:
    """Takes a tensor, and its gradient, to a device and (where it is floating) to a dtype. Call under `no_grad`."""
    grad = tensor.grad
    for value in (tensor,) if grad is None else (tensor, grad):
        moved = value if device is None else value.to(device)
        if moved.device != "cpu" and value.dtype == int64:
            # Counters: GPUs hold 32-bit integers in place of 64-bit ones.
            moved = value.astype(int32).to(moved.device)
        if dtype is not None and value.dtype.is_floating_point:
            moved = moved.astype(dtype)
        if moved is not value:
            value._rebind(moved)


def clear_grad(tensor: Tensor, set_to_none: bool) -> None:
    """Forgets the gradient, or replaces it with zeros."""
    if set_to_none:
        tensor.grad = None
    elif tensor.grad is not None:
        tensor.grad = zeros_like(tensor.grad)
