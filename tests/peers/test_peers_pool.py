"""Pooling, columns, interpolation and padding, live against PyTorch: random settings, values and gradients.

Run by `x.py test --peers`. Depends on PyTorch. Invariant: a seed is a case; what PyTorch refuses, adret refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import adret as ad
import numpy as np
import pytest
from adret.nn import functional as F

pytestmark = pytest.mark.peers

TOLERANCE = {"float64": 1e-10, "float32": 2e-5}


@pytest.fixture(scope="module")
def torch():
    """PyTorch, on one thread."""
    module = __import__("torch")
    module.set_num_threads(1)
    return module


def numbers(rng: np.random.Generator, axes: int, low: int, high: int) -> Any:
    """One number, or one for each axis."""
    if rng.random() < 0.5:
        return int(rng.integers(low, high))
    return tuple(int(n) for n in rng.integers(low, high, size=axes))


def image(rng: np.random.Generator, axes: int, low: int = 1, high: int = 11, batch: bool | None = None) -> np.ndarray:
    """Distinct numbers, with ties, infinities and NaN now and then; few and many planes."""
    batched = rng.random() < 0.8 if batch is None else batch
    planes = [int(rng.integers(1, 4)), int(rng.choice([1, 2, 3, 5, 7, 9, 17]))][0 if batched else 1 :]
    shape = (*planes, *(int(n) for n in rng.integers(low, high, size=axes)))
    values = rng.standard_normal(shape)
    kind = rng.random()
    if kind < 0.3:
        values = np.round(values)
    elif kind < 0.4:
        values[rng.random(shape) < 0.1] = np.nan
    elif kind < 0.5:
        values[rng.random(shape) < 0.5] = -np.inf
    return values.astype(rng.choice(["float64", "float32"]))


def agree(
    torch,
    ours: Callable[..., Any],
    theirs: Callable[..., Any],
    values: np.ndarray,
    what: str,
    lenient: bool = False,
) -> None:
    """The same values and gradients, or both refuse, unless `lenient`: PyTorch's own rules differ between ranks."""
    mine = ad.tensor(values, requires_grad=True)
    other = torch.tensor(values, requires_grad=True)
    try:
        expected = theirs(other)
    except (RuntimeError, ValueError):
        if not lenient:
            with pytest.raises(ad.AdretError):
                ours(mine)
        return
    got = ours(mine)
    tolerance = TOLERANCE[str(values.dtype)]
    if isinstance(expected, tuple):
        np.testing.assert_array_equal(got[1].numpy(), expected[1].numpy(), err_msg=what)
        got, expected = got[0], expected[0]
    close = {"rtol": tolerance, "atol": tolerance, "err_msg": what}
    np.testing.assert_allclose(got.detach().numpy(), expected.detach().numpy(), **close)
    weights = np.random.default_rng(0).standard_normal(got.shape).astype(values.dtype)
    (got * ad.tensor(weights)).sum().backward()
    (expected * torch.tensor(weights)).sum().backward()
    np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), **close)


@pytest.mark.parametrize("seed", range(160))
def test_max_pool(torch, seed: int) -> None:
    rng = np.random.default_rng([1, seed])
    axes = int(rng.integers(1, 4))
    settings = {
        "kernel_size": numbers(rng, axes, 1, 5),
        "stride": numbers(rng, axes, 1, 4) if rng.random() < 0.7 else None,
        "padding": numbers(rng, axes, 0, 3),
        "dilation": numbers(rng, axes, 1, 3) if rng.random() < 0.4 else 1,
        "ceil_mode": bool(rng.random() < 0.4),
        "return_indices": bool(rng.random() < 0.5),
    }
    values = image(rng, axes)
    name = f"max_pool{axes}d"
    ours, theirs = getattr(F, name), getattr(torch.nn.functional, name)
    what = f"{values.shape} {settings}"
    lenient = settings["ceil_mode"] or settings.get("dilation", 1) != 1 or axes == 3
    agree(torch, lambda x: ours(x, **settings), lambda x: theirs(x, **settings), values, what, lenient)


@pytest.mark.parametrize("seed", range(120))
def test_avg_pool(torch, seed: int) -> None:
    rng = np.random.default_rng([2, seed])
    axes = int(rng.integers(1, 4))
    settings = {
        "kernel_size": numbers(rng, axes, 1, 5),
        "stride": numbers(rng, axes, 1, 4) if rng.random() < 0.7 else None,
        "padding": numbers(rng, axes, 0, 3),
        "ceil_mode": bool(rng.random() < 0.4),
        "count_include_pad": bool(rng.random() < 0.5),
    }
    if axes > 1 and rng.random() < 0.3:
        settings["divisor_override"] = int(rng.choice([-3, 1, 5]))
    values = image(rng, axes)
    name = f"avg_pool{axes}d"
    ours, theirs = getattr(F, name), getattr(torch.nn.functional, name)
    what = f"{values.shape} {settings}"
    lenient = settings["ceil_mode"] or settings.get("dilation", 1) != 1 or axes == 3
    agree(torch, lambda x: ours(x, **settings), lambda x: theirs(x, **settings), values, what, lenient)


@pytest.mark.parametrize("seed", range(120))
def test_adaptive_pool(torch, seed: int) -> None:
    rng = np.random.default_rng([3, seed])
    axes = int(rng.integers(1, 4))
    sizes = tuple(None if rng.random() < 0.2 else int(n) for n in rng.integers(1, 14, size=axes))
    if axes == 1:
        sizes = (sizes[0] or 3,)
    kind = str(rng.choice(["avg", "max"]))
    settings = {"return_indices": bool(rng.random() < 0.5)} if kind == "max" else {}
    values = image(rng, axes)
    name = f"adaptive_{kind}_pool{axes}d"
    ours, theirs = getattr(F, name), getattr(torch.nn.functional, name)
    agree(
        torch,
        lambda x: ours(x, sizes, **settings),
        lambda x: theirs(x, sizes, **settings),
        values,
        f"{values.shape} {sizes}",
    )


@pytest.mark.parametrize("seed", range(100))
def test_unfold_and_fold(torch, seed: int) -> None:
    rng = np.random.default_rng([4, seed])
    settings = {
        "kernel_size": numbers(rng, 2, 1, 4),
        "dilation": numbers(rng, 2, 1, 3),
        "padding": numbers(rng, 2, 0, 4),
        "stride": numbers(rng, 2, 1, 4),
    }
    values = np.nan_to_num(image(rng, 2, 2, 9), neginf=0.5)
    what = f"{values.shape} {settings}"
    theirs = torch.nn.functional
    agree(torch, lambda x: F.unfold(x, **settings), lambda x: theirs.unfold(x, **settings), values, what)
    size = values.shape[-2:]
    try:
        columns = theirs.unfold(torch.tensor(values), **settings).numpy()
    except RuntimeError:
        return
    agree(torch, lambda x: F.fold(x, size, **settings), lambda x: theirs.fold(x, size, **settings), columns, what)


MODES = {
    1: ("nearest", "nearest-exact", "linear", "area"),
    2: ("nearest", "nearest-exact", "bilinear", "bicubic", "area"),
    3: ("nearest", "nearest-exact", "trilinear", "area"),
}


@pytest.mark.parametrize("seed", range(240))
def test_interpolate(torch, seed: int) -> None:
    rng = np.random.default_rng([5, seed])
    axes = int(rng.integers(1, 4))
    settings: dict[str, Any] = {"mode": str(rng.choice(MODES[axes]))}
    if "linear" in settings["mode"] or "cubic" in settings["mode"]:
        settings["align_corners"] = bool(rng.random() < 0.5)
    if rng.random() < 0.5:
        settings["size"] = numbers(rng, axes, 1, 16)
    else:
        factors = [float(f) for f in rng.choice([0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 0.7, 1.3], size=axes)]
        settings["scale_factor"] = factors if rng.random() < 0.5 else factors[0]
        if rng.random() < 0.3 and settings["mode"] != "area":
            settings["recompute_scale_factor"] = True
    values = np.nan_to_num(image(rng, axes, 2, 9, batch=True), neginf=0.5)
    if settings["mode"] == "nearest" and settings.get("scale_factor") is not None:
        # Where the rounded size is the old one, PyTorch's gradient is that of another function than its value.
        settings["recompute_scale_factor"] = True
    theirs = torch.nn.functional.interpolate
    agree(
        torch,
        lambda x: F.interpolate(x, **settings),
        lambda x: theirs(x, **settings),
        values,
        f"{values.shape} {values.dtype} {settings}",
    )


@pytest.mark.parametrize("seed", range(40))
def test_unpooling(torch, seed: int) -> None:
    rng = np.random.default_rng([6, seed])
    axes = int(rng.integers(1, 4))
    kernel, values = int(rng.integers(1, 4)), image(rng, axes, 3, 9)
    values = np.nan_to_num(values, neginf=0.5)
    padding = int(rng.integers(0, kernel // 2 + 1))
    pool, unpool = f"max_pool{axes}d", f"max_unpool{axes}d"

    def both(module: Any) -> Callable[..., Any]:
        def run(x: Any) -> Any:
            maxima, places = getattr(module, pool)(x, kernel, None, padding, return_indices=True)
            return getattr(module, unpool)(maxima, places, kernel, None, padding, list(values.shape[-axes:]))

        return run

    agree(torch, both(F), both(torch.nn.functional), values, f"{values.shape} {kernel} {padding}")


@pytest.mark.parametrize("seed", range(60))
def test_pad(torch, seed: int) -> None:
    rng = np.random.default_rng([7, seed])
    axes = int(rng.integers(1, 4))
    mode = str(rng.choice(["constant", "reflect", "replicate", "circular"]))
    amounts = [int(n) for n in rng.integers(0 if mode != "constant" else -2, 4, size=2 * axes)]
    values = image(rng, axes, 2, 6, batch=True)
    agree(
        torch,
        lambda x: F.pad(x, amounts, mode),
        lambda x: torch.nn.functional.pad(x, amounts, mode),
        values,
        f"{values.shape} {amounts} {mode}",
    )


@pytest.mark.parametrize("seed", range(30))
def test_shuffles_and_local_response(torch, seed: int) -> None:
    rng = np.random.default_rng([8, seed])
    factor, size = int(rng.integers(1, 4)), int(rng.integers(1, 7))
    shape = (2, factor * factor * int(rng.integers(1, 4)), factor * 2, factor * 3)
    values = rng.standard_normal(shape)
    theirs = torch.nn.functional
    agree(torch, lambda x: F.pixel_shuffle(x, factor), lambda x: theirs.pixel_shuffle(x, factor), values, "shuffle")
    agree(torch, lambda x: F.pixel_unshuffle(x, factor), lambda x: theirs.pixel_unshuffle(x, factor), values, "un")
    settings = {"alpha": 0.5, "beta": 0.6, "k": 1.5}
    agree(
        torch,
        lambda x: F.local_response_norm(x, size, **settings),
        lambda x: theirs.local_response_norm(x, size, **settings),
        values,
        f"local response {size}",
    )
