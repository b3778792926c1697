"""Random programs that write, share and keep: the same bits whether values are asked for at once or last."""

from __future__ import annotations

import adret as ad
import numpy as np
import pytest


def _run(seed: int, eager: float) -> list[np.ndarray | None]:
    rng, chance = np.random.default_rng(seed), np.random.default_rng(seed + 1000)
    shape = (int(rng.choice([1, 4, 7])), int(rng.choice([1, 3, 65, 1000])))
    leaves = [ad.tensor(rng.normal(size=shape), requires_grad=True) for _ in range(rng.integers(1, 4))]
    views: list[ad.Tensor] = []
    kept: list[np.ndarray] = []
    for _ in range(25):
        p, q = leaves[rng.integers(len(leaves))], leaves[rng.integers(len(leaves))]
        kind, place = rng.integers(12), rng.random()
        view = views[int(place * len(views))] if views else None
        if kind == 0:
            (ad.softmax(p, axis=1) * q).sum().backward()
        elif kind == 1:
            (ad.tanh(p) * q + p).mean().backward()
        elif kind == 2:
            with ad.no_grad():
                for leaf in leaves:
                    if leaf.grad is not None:
                        leaf.assign(leaf - 0.1 * leaf.grad)
        elif kind == 3:
            with ad.no_grad():
                p[0] = q[-1] * 0.5
        elif kind == 4:
            with ad.no_grad():
                p[:, ::2] *= 0.9
        elif kind == 5:
            views.append(p.detach()[:, ::-1] if place < 0.5 else p.detach())
        elif kind == 6 and p.grad is not None:
            with ad.no_grad():
                p.grad *= 0.5
        elif kind == 7 and p.grad is not None:
            views.append(p.grad.detach())
            p.grad = None
        elif kind == 8 and view is not None:
            view += 1.0
        elif kind == 9 and view is not None:
            with ad.no_grad():
                p.assign(view)
            view[0] = view[-1] * 2.0
        elif kind == 10 and q.grad is not None:
            p.grad = q.grad
        elif kind == 11 and view is not None:
            views = [other for other in views if other is not view]
        if chance.random() < eager:
            ad.eval(*leaves, *views)
        elif chance.random() < 0.1 * (eager > 0):
            kept.append(p.detach().numpy())
    copies = [array.copy() for array in kept]
    values = [None if t is None else t.detach().numpy() for t in (*leaves, *views, *(leaf.grad for leaf in leaves))]
    assert all(np.array_equal(one, other) for one, other in zip(copies, kept, strict=True))
    return values


@pytest.mark.parametrize("seed", range(24))
def test_writing_and_sharing_give_the_same_whenever_values_are_asked_for(seed: int) -> None:
    last = _run(seed, 0.0)
    for eager in (0.3, 1.0):
        for one, other in zip(last, _run(seed, eager), strict=True):
            assert (one is None) == (other is None)
            assert one is None or np.array_equal(one, other)
