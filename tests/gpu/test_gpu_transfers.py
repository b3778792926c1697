"""Graphs that cross from one device to another before anything of them is computed.

Depends on a GPU or a software adapter. Invariant: what many share is met once, however many ways lead to it; what has
arrived is overwritten by nobody while a tensor shows it.
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


def test_what_arrived_is_not_overwritten_by_its_gradient(device: str) -> None:
    for make in (
        lambda: ad.tensor([1.0, 2.0, 3.0], device=device, requires_grad=True),
        lambda: ad.tensor([1.0, 2.0, 3.0]).to(device).requires_grad_(),
        lambda: ad.nn.Parameter(ad.tensor([1.0, 2.0, 3.0]).to(device)),
    ):
        x = make()
        (x * x).sum().backward()
        assert x.grad is not None
        ad.eval(x.grad)
        assert (x.tolist(), x.grad.tolist()) == ([1, 2, 3], [2, 4, 6])


def test_views_of_what_arrived_keep_their_values(device: str) -> None:
    x = ad.tensor([[1.0, 2.0], [3.0, 4.0]]).to(device)
    views = [x.T, x[1:], x.reshape(4)]
    doubled = [view * 2 for view in views]
    del x
    ad.eval(*doubled)
    assert [view.tolist() for view in views] == [[[1, 3], [2, 4]], [[3, 4]], [1, 2, 3, 4]]
    assert [view.tolist() for view in doubled] == [[[2, 6], [4, 8]], [[6, 8]], [2, 4, 6, 8]]
