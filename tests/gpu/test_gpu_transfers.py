"""Graphs that cross from one device to another before anything of them is computed.

Depends on a GPU or a software adapter. Invariant: what many share is met once, however many ways lead to it.
"""

from __future__ import annotations

import adret as ad
import numpy as np


def test_a_shared_graph_waits_for_a_transfer(device: str) -> None:
    y = (ad.ones(3) * 2).to(device)
    for _ in range(60):
        y = y * 0.5 + y * 0.5
    there_and_back = (y + y.to("cpu").to(device)).to("cpu")
    np.testing.assert_array_equal(there_and_back.numpy(), [4, 4, 4])
