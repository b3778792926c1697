"""Batches on the way to a device.

Depends on the core and on trees. Invariant: values do not change on the way; integers that do not fit are an error.
"""

from __future__ import annotations

from typing import Any

from .._core import DTypeError, OutOfRangeError, Tensor, all, asarray, empty, int32, int64
from ..autograd import leaves_of, rebuilt
from ._columns import is_array


def device_of(name: str, device: object) -> str:
    """A device by the name that its tensors tell.

    Raises:
        DTypeError: If it is not a name.
        DeviceError: If there is no such device.
    """
    if not isinstance(device, str):
        raise DTypeError(f'{name}: device is a {type(device).__name__}. Use "cpu", "gpu" or "gpu:1".')
    return empty((0,), device=device).device


def moved(name: str, device: str, tree: Any) -> Any:
    """A tree whose tensors and arrays are tensors on the device; what else it holds stays."""
    if isinstance(tree, Tensor):
        return to(name, device, tree)
    leaves = [to(name, device, asarray(leaf)) if is_array(leaf) else leaf for leaf in leaves_of(tree)]
    return rebuilt(tree, leaves)


def to(name: str, device: str, tensor: Tensor) -> Tensor:
    """The tensor there; int64 becomes int32 on GPUs, which mostly lack it.

    Raises:
        DTypeError: If the device does not have the dtype.
        OutOfRangeError: If integers do not fit into int32.
    """
    if tensor.device == device:
        return tensor
    if tensor.dtype == int64 and not device.startswith("cpu"):
        narrow = tensor.astype(int32)
        if not all(narrow.astype(int64) == tensor).item():
            raise OutOfRangeError(
                f"{name}: integers of a batch do not fit into int32, the default of GPUs. "
                "Give smaller numbers, or leave the batches on the CPU."
            )
        tensor = narrow
    return tensor.to(device=device)
