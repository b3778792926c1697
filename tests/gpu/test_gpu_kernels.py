"""The library's own kernels in every form that they take: squares of products, parts of sums, long sorts, halves.

Depends on the `device` fixture. Forms are chosen by size, or by environment variables that are read when a device is
opened.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import adret as ad
import numpy as np
import pytest

on_gpu = pytest.mark.parametrize("device", ["gpu"], indirect=True)
RNG = np.random.default_rng(0)


@contextmanager
def environment(device: str, name: str, value: str) -> Iterator[None]:
    """Opens the device with an environment variable, and afterwards anew without it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(name, value)
        ad.reset_device(device)
        yield
    ad.reset_device(device)


def both(device: str, function, *arrays: np.ndarray, rtol: float = 1e-4, atol: float = 1e-4) -> None:
    """The function gives the same on the processor and on the device."""
    expected, found = (function(*(ad.tensor(a, device=where) for a in arrays)).numpy() for where in ("cpu", device))
    np.testing.assert_allclose(found.astype(np.float64), expected.astype(np.float64), rtol=rtol, atol=atol)


def floats(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


# Products


@on_gpu
@pytest.mark.parametrize("side", [16, 32, 64, 128])
def test_squares_of_products(side: int, device: str) -> None:
    with environment(device, "ADRET_GPU_TILE", str(side)):
        for m, n, k in [(1, 1, 1), (5, 7, 3), (16, 16, 16), (65, 33, 20), (130, 129, 17)]:
            both(device, lambda a, b: a @ b, floats(m, k), floats(k, n))
        both(device, lambda a, b: a.T @ b.T, floats(40, 70), floats(50, 40))
        both(device, lambda a, b: a[::2, 3:] @ b, floats(90, 43), floats(40, 50))
        both(device, lambda a, b: ad.flip(a, axis=1) @ b, floats(3, 50, 40), floats(3, 40, 50))
        both(device, lambda a, b: a.astype("int32") @ b.astype("int32"), 10 * floats(40, 30), 10 * floats(30, 20))
        # With epilogues.
        both(device, lambda a, b, c: ((a @ b) + c).tanh() * 2, floats(40, 30), floats(30, 50), floats(50))
        both(device, lambda a, b: ad.where(a @ b > 0, 1.0, 0.0), floats(4, 40, 30), floats(4, 30, 50))
        both(device, lambda a, b: (a @ b).astype("float16") + 1, floats(40, 30), floats(30, 50), rtol=2e-3, atol=2e-3)


@on_gpu
@pytest.mark.parametrize(
    "shape", [(1, 300, 500), (300, 1, 500), (1, 1, 5000), (3, 5, 4096), (20, 20, 3000), (64, 64, 2048)]
)
def test_vectors_and_long_sums(shape: tuple[int, int, int], device: str) -> None:
    m, n, k = shape
    both(device, lambda a, b: a @ b, floats(m, k), floats(k, n), atol=1e-3)
    both(device, lambda a, b: a.T @ b.T, floats(k, m), floats(n, k), atol=1e-3)
    both(device, lambda a, b: ((a @ b) * 0.5 + 1).relu(), floats(2, m, k), floats(2, k, n), atol=1e-3)


@on_gpu
def test_half_products_sum_in_float32(device: str) -> None:
    a = np.full((4, 4096), 1.0, np.float16)
    product = ad.tensor(a, device=device) @ ad.tensor(a.T.copy(), device=device)
    assert product.dtype == ad.float16
    assert product.tolist() == [[4096.0] * 4] * 4


@on_gpu
def test_a_product_with_its_epilogue_is_one_launch(device: str) -> None:
    a, b, c = (ad.tensor(floats(40, 40), device=device) for _ in range(3))
    ad.eval((a @ b + c).tanh())
    before = ad.stats()["launches"]
    ad.eval((a @ b + c).tanh())
    assert ad.stats()["launches"] - before == 1


# Folds


@on_gpu
@pytest.mark.parametrize("disabled", ["", "subgroup"])
def test_folds_with_and_without_subgroups(disabled: str, device: str) -> None:
    with environment(device, "ADRET_GPU_DISABLE", disabled):
        for rows, length in [(3, 100), (5, 1000), (1, 70_000), (300, 40), (2, 257)]:
            x = floats(rows, length)
            for fold in (ad.sum, ad.max, ad.min, ad.argmax, ad.argmin):
                both(device, lambda x, fold=fold: fold(x, axis=1), x, rtol=1e-4, atol=1e-3)
            both(device, lambda x: ad.prod(1 + x * 0.001, axis=1), x)
            both(device, lambda x: ad.sum((x * 10).astype("int32"), axis=1), x)
            both(device, lambda x: ad.any(x > 4, axis=1), x)
            both(device, lambda x: ad.softmax(x, axis=1), x)
        with_nan = floats(4, 300)
        with_nan[1, 200] = np.nan
        both(device, lambda x: ad.max(x, axis=1), with_nan)


# 16-bit floats


@on_gpu
@pytest.mark.parametrize("dtype", [ad.float16, ad.bfloat16])
def test_every_half_survives(dtype: ad.dtype, device: str) -> None:
    bits = np.arange(65536, dtype=np.uint16)
    wide = (
        bits.view(np.float16).astype(np.float32)
        if dtype == ad.float16
        else (bits.astype(np.uint32) << 16).view(np.float32)
    )
    wide = wide[np.isfinite(wide)]
    x = ad.tensor(wide, device=device).astype(dtype)
    np.testing.assert_array_equal(x.astype("float32").numpy(), wide)
    np.testing.assert_array_equal((x * 1).cpu().astype("float32").numpy(), wide)


@on_gpu
@pytest.mark.parametrize("dtype", [ad.float16, ad.bfloat16])
def test_rounding_to_half_is_the_processors(dtype: ad.dtype, device: str) -> None:
    values = np.concatenate(
        [
            RNG.integers(0, 2**32, 20_000, dtype=np.uint32).view(np.float32),
            np.array(
                [0.0, -0.0, 65504, 65519.99, 65520, 1e9, np.inf, -np.inf, np.nan, 2**-24, 2**-25, 3 * 2**-26, 6e-8],
                np.float32,
            ),
        ]
    )
    expected, found = (
        ad.tensor(values, device=where).astype(dtype).astype("float32").numpy() for where in ("cpu", device)
    )
    np.testing.assert_array_equal(found, expected)


@on_gpu
def test_odd_slices_of_halves(device: str) -> None:
    values = np.arange(31, dtype=np.float16)
    x = ad.tensor(values, device=device)
    for part in (slice(1, None), slice(3, 8), slice(None, None, 2), slice(7, 8)):
        np.testing.assert_array_equal(x[part].numpy(), values[part])
        np.testing.assert_array_equal((x[part] + 1).numpy(), values[part] + 1)
    x[3:6] = 0
    assert x.tolist()[2:7] == [2.0, 0.0, 0.0, 0.0, 6.0]


@on_gpu
def test_disabled_dtypes_are_absent(device: str) -> None:
    with environment(device, "ADRET_GPU_DISABLE", "f16, bf16"):
        with pytest.raises(ad.DTypeError, match=r"float16.*astype"):
            ad.ones(3, dtype=ad.float16, device=device)
        with pytest.raises(ad.DTypeError, match="bfloat16"):
            ad.ones(3, device=device).astype(ad.bfloat16)
        assert (ad.ones(3, device=device) + 1).tolist() == [2.0, 2.0, 2.0]
    assert ad.ones(3, dtype=ad.float16, device=device).tolist() == [1.0, 1.0, 1.0]


# Sorting


@on_gpu
@pytest.mark.parametrize("length", [512, 513, 1024, 1025, 5000])
@pytest.mark.parametrize("descending", [False, True])
def test_long_rows_are_sorted(length: int, descending: bool, device: str) -> None:
    x = RNG.integers(-50, 50, (3, length)).astype(np.float32)
    x[1, 7] = np.nan
    both(device, lambda x: ad.sort(x, axis=1, descending=descending), x)
    both(device, lambda x: ad.argsort(x, axis=1, descending=descending), x)
    both(device, lambda x: ad.sort(x.T, axis=0, descending=descending), x)
    both(device, lambda x: ad.argsort(x.astype("int32"), axis=1, descending=descending), np.nan_to_num(x))


# What is not there


def test_every_operation_has_a_kernel() -> None:
    """Ops without a routine for GPUs: a mask's positions decide a shape, so its values must be on the processor."""
    missing = []
    for path in sorted((Path(__file__).parents[2] / "rust/core/src/ops").rglob("*.rs")):
        text = path.read_text(encoding="utf-8")
        for owner, body in re.findall(r"impl Structured for (\w+) \{(.*?)\n\}", text, re.DOTALL):
            gpu = re.search(r"fn gpu\(.*?\{(.*?)\n    \}", body, re.DOTALL)
            if gpu and gpu[1].strip() in ("Vec::new()", "vec![]"):
                missing.append(owner)
    assert missing == ["Positions"]
