"""The ways in which a tensor of given values can lie in memory.

Depends on NumPy and adret. Invariant: every builder starts from evaluated memory, so the operation under test meets
strides, not a pending view of something computed.
"""

from __future__ import annotations

import adret as ad
import numpy as np

LAYOUTS = ("contiguous", "transposed", "sliced", "negative step", "broadcast first", "broadcast last")
SHORT = ("contiguous", "transposed", "sliced")


def upload(values: np.ndarray, dtype: str, device: str = "cpu") -> ad.Tensor:
    """A contiguous tensor; `values` are float64 for every float dtype."""
    if dtype == "bfloat16":
        return ad.astype(ad.tensor(values.astype(np.float32), device=device), ad.bfloat16)
    return ad.tensor(np.ascontiguousarray(values).astype(dtype).reshape(values.shape), device=device)


def download(tensor: ad.Tensor) -> np.ndarray:
    """The elements; bfloat16 as float32, in which they are exact."""
    if tensor.dtype == ad.bfloat16:
        tensor = ad.astype(tensor, ad.float32)
    return np.asarray(tensor.to("cpu").numpy())


def place(values: np.ndarray, dtype: str, layout: str, device: str = "cpu") -> tuple[ad.Tensor, np.ndarray]:
    """A tensor in that layout, and its values, which broadcasting layouts make equal along an axis."""

    def ready(array: np.ndarray) -> ad.Tensor:
        tensor = upload(array, dtype, device)
        ad.eval(tensor)
        return tensor

    rank = values.ndim
    if layout == "contiguous" or rank == 0:
        return ready(values), values
    if layout == "transposed":
        backwards = tuple(reversed(range(rank)))
        return ad.permute_dims(ready(values.transpose(backwards)), backwards), values
    if layout == "sliced":
        larger = np.ones([2 * size + 1 for size in values.shape]).astype(values.dtype)
        larger[tuple(slice(1, None, 2) for _ in values.shape)] = values
        return ready(larger)[tuple(slice(1, None, 2) for _ in values.shape)], values
    if layout == "negative step":
        return ready(values[..., ::-1])[..., ::-1], values
    axis = 0 if layout == "broadcast first" else rank - 1
    if values.shape[axis] == 0:
        return ready(values), values
    row = values.take([0], axis)
    return ad.broadcast_to(ready(row), values.shape), np.broadcast_to(row, values.shape)
