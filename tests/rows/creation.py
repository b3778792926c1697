"""Rows of functions that make tensors from sizes and numbers.

Depends on `record`. Invariant: a call takes the dtype's name and the device; its reference takes the dtype's name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import adret as ad
import numpy as np

from .record import ALL, FLOATS, NUMBERS, SIGNED, rounded


@dataclass(frozen=True)
class Creation:
    """A function that makes a tensor.

    Attributes:
        name: Its public name.
        call: Takes a dtype's name and a device.
        reference: Takes nothing; its values are rounded to the dtype.
        dtypes: What it makes.
        variant: Tells rows of one name apart.
        refuses: Whether other dtypes cannot hold the values.
    """

    name: str
    call: Callable[[str, str], ad.Tensor]
    reference: Callable[[], np.ndarray]
    dtypes: tuple[str, ...] = ALL
    variant: str = ""
    refuses: bool = True

    @property
    def label(self) -> str:
        """The name in test reports."""
        return f"{self.name}[{self.variant}]" if self.variant else self.name

    def expected(self, dtype: str) -> np.ndarray:
        """The values as the dtype holds them."""
        return rounded(np.asarray(self.reference()), dtype)


def _plain(name, *arguments, reference, dtypes=ALL, variant="", refuses=True, **settings) -> Creation:
    function = getattr(ad, name)
    return Creation(
        name,
        lambda dtype, device: function(*arguments, dtype=dtype, device=device, **settings),
        reference,
        dtypes,
        variant,
        refuses,
    )


def _like(name, *arguments, value) -> Creation:
    function = getattr(ad, name)
    return Creation(
        name,
        lambda dtype, device: function(ad.zeros((2, 3), dtype=dtype, device=device), *arguments),
        lambda: np.full((2, 3), value),
    )


_LIST = [[1, 0], [0, 1], [1, 1]]

ROWS = [
    _plain("zeros", (2, 3), reference=lambda: np.zeros((2, 3))),
    _plain("zeros", 4, reference=lambda: np.zeros(4), variant="one size"),
    _plain("zeros", (), reference=lambda: np.zeros(()), variant="0-d"),
    _plain("ones", (2, 0), reference=lambda: np.ones((2, 0))),
    _plain("ones", (2, 3), reference=lambda: np.ones((2, 3)), variant="matrix"),
    _plain("full", (3,), 1, reference=lambda: np.full(3, 1)),
    _plain("full", (3,), 7, reference=lambda: np.full(3, 7), dtypes=NUMBERS, variant="seven", refuses=False),
    _plain("full", (3,), -2.5, reference=lambda: np.full(3, -2.5), dtypes=FLOATS, variant="float", refuses=False),
    _like("zeros_like", value=0),
    _like("ones_like", value=1),
    _like("full_like", 1, value=1),
    _plain("arange", 7, reference=lambda: np.arange(7), dtypes=NUMBERS),
    _plain("arange", 5, -6, -2, reference=lambda: np.arange(5, -6, -2), dtypes=FLOATS + SIGNED, variant="downwards"),
    _plain("arange", 1, 5, 0.5, reference=lambda: np.arange(1, 5, 0.5), dtypes=FLOATS, variant="halves", refuses=False),
    _plain("arange", 3, 3, reference=lambda: np.arange(0), dtypes=NUMBERS, variant="nothing"),
    _plain("linspace", 0, 8, 5, reference=lambda: np.linspace(0, 8, 5), dtypes=NUMBERS, refuses=False, variant="whole"),
    _plain("linspace", 0, 1, 5, reference=lambda: np.linspace(0, 1, 5), dtypes=FLOATS, refuses=False),
    _plain(
        "linspace",
        -1.0,
        3.0,
        8,
        endpoint=False,
        reference=lambda: np.linspace(-1, 3, 8, False),
        dtypes=FLOATS,
        variant="open",
        refuses=False,
    ),
    _plain("linspace", 2, 5, 1, reference=lambda: np.linspace(2, 5, 1), dtypes=FLOATS, variant="one", refuses=False),
    _plain("eye", 3, reference=lambda: np.eye(3)),
    _plain("eye", 3, 5, k=1, reference=lambda: np.eye(3, 5, 1), variant="above"),
    _plain("eye", 4, 2, k=-2, reference=lambda: np.eye(4, 2, -2), variant="below"),
    _plain("tensor", _LIST, reference=lambda: np.array(_LIST)),
    _plain("asarray", _LIST, reference=lambda: np.array(_LIST)),
    _plain("asarray", np.array(_LIST, dtype=np.int16), reference=lambda: np.array(_LIST), variant="array"),
]
