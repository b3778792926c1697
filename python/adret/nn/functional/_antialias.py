"""Shrinking pictures without aliasing: every output element is a mean over all inputs that it covers.

Depends on the core. Invariant: the axes are independent, and each is a product with a matrix whose rows sum to one.
"""

# The core is private to the package, of which this is a part.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Callable, Sequence

from ... import _core
from ..._core import Tensor


def _triangle(x: float) -> float:
    return max(0.0, 1.0 - abs(x))


def _cubic(x: float) -> float:
    """Keys's kernel with the slope -1/2 at 1."""
    x = abs(x)
    if x < 1:
        return (1.5 * x - 2.5) * x * x + 1.0
    return ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0 if x < 2 else 0.0


# The kernel of each mode, and how far it reaches.
KERNELS: dict[str, tuple[Callable[[float], float], float]] = {"linear": (_triangle, 1.0), "cubic": (_cubic, 2.0)}


def _weights(how: str, taken: int, made: int, step: float) -> list[list[float]]:
    """What each of `made` elements takes from each of `taken`, an element's centres being `step` apart."""
    kernel, reach = KERNELS[how]
    # Where the axis shrinks, the kernel is stretched over what one output covers.
    stretch = max(step, 1.0)
    rows: list[list[float]] = []
    for number in range(made):
        centre = step * (number + 0.5)
        first = max(int(centre - reach * stretch + 0.5), 0)
        end = min(int(centre + reach * stretch + 0.5), taken)
        values = [kernel((place - centre + 0.5) / stretch) for place in range(first, end)]
        total = sum(values)
        row = [0.0] * taken
        row[first:end] = [value / total if total else 0.0 for value in values]
        rows.append(row)
    return rows


def resized(input: Tensor, sizes: Sequence[int], scales: Sequence[float | None], how: str, corners: bool) -> Tensor:
    """The pictures `[batch, channels, height, width]` with other heights and widths."""
    for axis, (made, scale) in enumerate(zip(sizes, scales, strict=True), 2):
        taken = input.shape[axis]
        step = taken / made if scale is None else scale
        if corners:
            step = (taken - 1) / (made - 1) if made > 1 else 0.0
        matrix = _core.tensor(_weights(how, taken, made, step), dtype=input.dtype, device=input.device)
        # [made, taken] · [taken, width], or [height, taken] · [taken, made]
        input = _core.matmul(matrix, input) if axis == 2 else _core.matmul(input, matrix.mT)
    return input
