"""Arguments that fit nothing, given to pooling, padding, interpolation and normalisation: an exception, and no harm.

Depends on hypothesis. Invariant: whatever is asked for is either computed or refused with a public exception; nothing
panics, and nothing asks for memory without end.
"""

from __future__ import annotations

from collections.abc import Callable

import adret as ad
import pytest
from adret.nn import functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

NUMBERS = st.sampled_from([-(2**63), -2, -1, 0, 1, 2, 3, 7, 2**31, 2**40, 2**62, 2**63 - 1])
ODD = st.sampled_from([None, 1.5, "a", (), (1, 2, 3, 4), True, float("nan"), float("inf"), 2**70])
ARGUMENTS = st.one_of(NUMBERS, NUMBERS, st.tuples(NUMBERS), st.tuples(NUMBERS, NUMBERS), ODD)
SHAPES = st.lists(st.sampled_from([0, 1, 2, 5]), min_size=0, max_size=6).map(tuple)
REFUSALS = (ad.AdretError, TypeError, ValueError, OverflowError, IndexError)

CALLS: dict[str, Callable[..., object]] = {
    "max_pool1d": lambda x, a, b, c, d: F.max_pool1d(x, a, b, c, d),
    "max_pool2d": lambda x, a, b, c, d: F.max_pool2d(x, a, b, c, d, ceil_mode=True, return_indices=True),
    "max_pool3d": lambda x, a, b, c, d: F.max_pool3d(x, a, b, c, d, channels_last=True),
    "avg_pool1d": lambda x, a, b, c, d: F.avg_pool1d(x, a, b, c, d, channels_last=True),
    "avg_pool2d": lambda x, a, b, c, d: F.avg_pool2d(x, a, b, c, True, False, d),
    "adaptive_avg_pool2d": lambda x, a, b, c, d: F.adaptive_avg_pool2d(x, a),
    "adaptive_max_pool1d": lambda x, a, b, c, d: F.adaptive_max_pool1d(x, a, True),
    "max_unpool2d": lambda x, a, b, c, d: F.max_unpool2d(x, x.astype("int64"), a, b, c, None if d is None else (d, d)),
    "unfold": lambda x, a, b, c, d: F.unfold(x, a, b, c, d),
    "fold": lambda x, a, b, c, d: F.fold(x, a, b, c, d),
    "interpolate": lambda x, a, b, c, d: F.interpolate(x, a, mode="nearest"),
    "scaled": lambda x, a, b, c, d: F.interpolate(x, scale_factor=a, mode="bilinear"),
    "pixel_shuffle": lambda x, a, b, c, d: F.pixel_shuffle(x, a),
    "pixel_unshuffle": lambda x, a, b, c, d: F.pixel_unshuffle(x, a),
    "local_response_norm": lambda x, a, b, c, d: F.local_response_norm(x, a),
    "pad": lambda x, a, b, c, d: F.pad(x, (a, b), "reflect"),
    "pad circular": lambda x, a, b, c, d: F.pad(x, (a, b, c, d), "circular"),
    "batch_norm": lambda x, a, b, c, d: F.batch_norm(x, None, None, training=True, eps=a),
    "instance_norm": lambda x, a, b, c, d: F.instance_norm(x),
    "group_norm": lambda x, a, b, c, d: F.group_norm(x, a),
}


@pytest.mark.parametrize("name", CALLS)
@settings(deadline=None)
@given(st.data())
def test_computed_or_refused(name: str, data: st.DataObject) -> None:
    x = ad.ones(data.draw(SHAPES), requires_grad=True)
    arguments = [data.draw(ARGUMENTS) for _ in range(4)]
    try:
        result = CALLS[name](x, *arguments)
        values = result[0] if isinstance(result, tuple) else result
        if values.size > 1 << 20:
            return
        values.sum().backward()
        ad.eval(values, x.grad)
    except REFUSALS as error:
        assert not isinstance(error, ad.InternalError), (arguments, x.shape, error)


@pytest.mark.parametrize(
    ("shape", "call"),
    [
        ((0, 0, 5), lambda x: F.adaptive_max_pool1d(x, 1 << 40, True)[0]),
        ((0, 0, 5), lambda x: F.interpolate(x, 1 << 40, mode="nearest")),
        ((0, 0, 5), lambda x: F.interpolate(x, 1 << 40, mode="linear")),
        ((1, 5, 1), lambda x: F.adaptive_avg_pool2d(x, (0, 1 << 40))),
        ((1, 5, 1), lambda x: F.adaptive_max_pool2d(x, (0, 1 << 40), True)[0]),
    ],
)
def test_endless_axes_of_empty_results(shape: tuple[int, ...], call: Callable[[ad.Tensor], ad.Tensor]) -> None:
    # The result has no element, so an axis may be longer than memory; nothing must be made for its length.
    x = ad.ones(shape, requires_grad=True)
    result = call(x)
    assert result.size == 0
    result.sum().backward()
    assert x.grad is not None
    assert not x.grad.numpy().any()
