"""Convolutions by their definition, and random cases of them.

Depends on NumPy. Invariant: everything here is float64 and follows the formulae tap by tap.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product

import numpy as np


@dataclass(frozen=True)
class Case:
    """Sizes of one convolution, and what a call of it takes.

    Attributes:
        rank: Number of spatial axes.
        batch: Images.
        groups: Groups of channels.
        inputs: Channels of the input, per group.
        outputs: Channels of the output, per group.
        sizes: Spatial sizes of the input (of a transpose: of its result).
        kernel: Kernel sizes.
        stride: Steps.
        padding: Zeros on both sides.
        dilation: Steps between taps.
        seed: For the values.
    """

    rank: int
    batch: int
    groups: int
    inputs: int
    outputs: int
    sizes: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    seed: int = field(default=0)

    @property
    def out(self) -> tuple[int, ...]:
        """Spatial sizes of the output."""
        spans = zip(self.sizes, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        return tuple((x + 2 * p - d * (k - 1) - 1) // s + 1 for x, k, s, p, d in spans)

    @property
    def extra(self) -> tuple[int, ...]:
        """The output padding with which the transpose gives the input's sizes."""
        spans = zip(self.sizes, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        return tuple((x + 2 * p - d * (k - 1) - 1) % s for x, k, s, p, d in spans)

    def values(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, kernel and y."""
        rng = np.random.default_rng(self.seed)
        x = rng.standard_normal((self.batch, self.groups * self.inputs, *self.sizes))
        kernel = rng.standard_normal((self.groups * self.outputs, self.inputs, *self.kernel))
        return x, kernel, rng.standard_normal((self.batch, self.groups * self.outputs, *self.out))

    def _taps(self, x: np.ndarray):
        """Each tap with the view of the padded x that it meets."""
        for tap in product(*map(range, self.kernel)):
            window = tuple(
                slice(t * d, t * d + (y - 1) * s + 1, s)
                for t, d, s, y in zip(tap, self.dilation, self.stride, self.out, strict=True)
            )
            yield tap, x[(slice(None), slice(None), *window)]

    def _padded(self, x: np.ndarray) -> np.ndarray:
        return np.pad(x, [(0, 0), (0, 0), *((p, p) for p in self.padding)])

    def _grouped(self, x: np.ndarray) -> np.ndarray:
        return x.reshape(x.shape[0], self.groups, -1, *x.shape[2:])

    def output(self, x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        """y from x and the kernel."""
        y = np.zeros((self.batch, self.groups, self.outputs, *self.out))
        weights = kernel.reshape(self.groups, self.outputs, self.inputs, *self.kernel)
        for tap, window in self._taps(self._padded(x)):
            y += np.einsum("ngi...,goi->ngo...", self._grouped(window), weights[(..., *tap)])
        return y.reshape(self.batch, -1, *self.out)

    def input(self, y: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        """x from y and the kernel."""
        x = self._padded(np.zeros((self.batch, self.groups * self.inputs, *self.sizes)))
        weights = kernel.reshape(self.groups, self.outputs, self.inputs, *self.kernel)
        for tap, window in self._taps(x):
            part = np.einsum("ngo...,goi->ngi...", self._grouped(y), weights[(..., *tap)])
            window += part.reshape(window.shape)
        inside = tuple(slice(p, p + size) for p, size in zip(self.padding, self.sizes, strict=True))
        return x[(slice(None), slice(None), *inside)]

    def weight(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The kernel from x and y."""
        kernel = np.zeros((self.groups, self.outputs, self.inputs, *self.kernel))
        for tap, window in self._taps(self._padded(x)):
            flat = self._grouped(window).reshape(self.batch, self.groups, self.inputs, -1)
            pixels = y.reshape(self.batch, self.groups, self.outputs, -1)
            kernel[(..., *tap)] = np.einsum("ngip,ngop->goi", flat, pixels)
        return kernel.reshape(-1, self.inputs, *self.kernel)


def random_case(seed: int) -> Case:
    """A case of small sizes in which everything may differ from 1."""
    rng = np.random.default_rng(seed)

    def number(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    rank = number(1, 3)
    most = (24, 11, 7)[rank - 1]
    groups = (1, 1, 1, 2, 3)[number(0, 4)]
    kernel, stride, padding, dilation, sizes = [], [], [], [], []
    for _ in range(rank):
        k, s, p, d = number(1, 4), number(1, 3), number(0, 3), number(1, 3)
        least = max(d * (k - 1) + 1 - 2 * p, 1)
        kernel.append(k)
        stride.append(s)
        padding.append(p)
        dilation.append(d)
        sizes.append(number(least, max(least, most)))
    return Case(
        rank,
        number(1, 3),
        groups,
        number(1, 5),
        number(1, 5) if number(0, 3) else number(6, 20),
        *map(tuple, (sizes, kernel, stride, padding, dilation)),
        seed,
    )
