"""float64, int64 and uint64 on GPUs that have them, and clear errors on those that do not.

Depends on the table of operations. Invariant: values are those of the CPU's table, in the same dtypes; only positions,
whose dtype is the default integer, may be int32.
"""

from __future__ import annotations

import os
import subprocess
import sys

import adret as ad
import numpy as np
import pytest
from adret import nn, optim
from layouts import SHORT, download, place
from rows.record import Row
from table import ROWS

pytestmark = pytest.mark.parametrize("device", ["gpu"], indirect=True)

WIDE = ("float64", "int64", "uint64")
RNG = np.random.default_rng(5)


@pytest.fixture(autouse=True)
def _has_them(device: str) -> None:
    missing = {"float64", "int64"} - set(ad.devices()[device]["features"])
    if missing or os.environ.get("ADRET_GPU_DISABLE"):
        pytest.skip(f"the adapter has no {', '.join(sorted(missing))}")


def compared(row: Row, dtype: str, shapes: tuple, layout: str, device: str) -> str:
    """What is wrong with one call, or nothing."""
    values = row.sample(len(shapes[0]), dtype, shapes)
    placed = [place(v, domain.fixed or dtype, layout, device) for v, domain in zip(values, row.inputs, strict=True)]
    operands = [v for _, v in placed]
    got = row.call(*[tensor for tensor, _ in placed])
    got = list(got) if isinstance(got, tuple | list) else [got]
    scale = row.cancelling(operands)
    for tensor, reference in zip(got, row.expected(operands), strict=True):
        wanted = row.result(dtype)
        if tensor.dtype.name not in (wanted, {"int64": "int32"}.get(wanted)):
            return f"dtype {tensor.dtype}, expected {wanted}"
        problem = row.mismatch(download(tensor), reference, wanted, scale)
        if problem:
            return problem
    return ""


@pytest.mark.parametrize("row", [row for row in ROWS if set(WIDE) & set(row.dtypes)], ids=lambda row: row.label)
def test_operations(row: Row, device: str) -> None:
    found = []
    for dtype in [dtype for dtype in WIDE if dtype in row.dtypes]:
        for shapes in (row.shapes[0], *row.shapes[1:][-1:]):
            for layout in SHORT:
                try:
                    problem = compared(row, dtype, shapes, layout, device)
                except Exception as error:
                    problem = f"{type(error).__name__}: {error}"
                if problem:
                    found.append(f"{dtype} {shapes} {layout}: {problem}")
    assert not found, f"{len(found)} failures\n" + "\n".join(found[:8])


# Functions over their whole range, against the CPU, whose errors are tested against exact values.
RANGES = {
    "exp": (-750, 720),
    "expm1": (-45, 720),
    "log": None,
    "log1p": (-1, 1e9),
    "log2": None,
    "log10": None,
    "sin": (-1e9, 1e9),
    "cos": (-1e9, 1e9),
    "tan": (-1e6, 1e6),
    "asin": (-1, 1),
    "acos": (-1, 1),
    "atan": (-50, 50),
    "sinh": (-720, 720),
    "cosh": (-720, 720),
    "tanh": (-25, 25),
    "asinh": (-1e5, 1e5),
    "acosh": (1, 1e5),
    "atanh": (-1, 1),
    "sigmoid": (-750, 750),
    "erf": (-7, 7),
    "sqrt": (0, 1e300),
    "floor": (-1e6, 1e6),
    "ceil": (-1e6, 1e6),
    "round": (-1e6, 1e6),
    "trunc": (-1e6, 1e6),
    "sign": (-1, 1),
}
EDGES = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, -2.5, 3.5, 5e-324, 2.3e-308, 1.7e308, 1e22, -1e300]


@pytest.mark.parametrize("name", RANGES)
def test_functions_of_one_double(device: str, name: str) -> None:
    bounds = RANGES[name]
    bits = RNG.integers(0, 2**64, 2000, dtype=np.uint64).view(np.float64)
    near = 10.0 ** RNG.uniform(-300, 300, 2000) if bounds is None else RNG.uniform(*bounds, 2000)
    small = RNG.uniform(-2, 2, 2000) * 10.0 ** RNG.integers(-12, 1, 2000)
    with np.errstate(all="ignore"):
        x = np.concatenate([EDGES, near, small, bits])
    function = getattr(ad, name)
    want = function(ad.tensor(x)).numpy()
    got = function(ad.tensor(x, device=device)).numpy()
    with np.errstate(all="ignore"):
        close = np.abs(got - want) <= 8 * np.finfo(np.float64).eps * np.abs(want) + 1e-307
    wrong = ~(close | (got == want) | (np.isnan(got) & np.isnan(want)))
    assert not wrong.any(), (x[wrong][:5], got[wrong][:5], want[wrong][:5])
    assert (np.signbit(got) == np.signbit(want))[~np.isnan(want)].all()


@pytest.mark.parametrize("name", ["pow", "atan2", "maximum", "minimum", "floor_divide", "remainder"])
def test_functions_of_two_doubles(device: str, name: str) -> None:
    grid = np.array([*EDGES, 2.0, 3.0, -3.0, 1e-5])
    a, b = (part.ravel() for part in np.meshgrid(grid, grid))
    a = np.concatenate([a, RNG.uniform(-5, 5, 3000), 10.0 ** RNG.uniform(-30, 30, 3000)])
    b = np.concatenate([b, RNG.integers(-9, 9, 3000), RNG.uniform(-9, 9, 3000)]).astype(np.float64)
    function = getattr(ad, name)
    want = function(ad.tensor(a), ad.tensor(b)).numpy()
    got = function(ad.tensor(a, device=device), ad.tensor(b, device=device)).numpy()
    with np.errstate(all="ignore"):
        close = np.abs(got - want) <= 8 * np.finfo(np.float64).eps * np.abs(want) + 1e-307
    wrong = ~(close | (got == want) | (np.isnan(got) & np.isnan(want)))
    assert not wrong.any(), (a[wrong][:5], b[wrong][:5], got[wrong][:5], want[wrong][:5])


def test_conversions(device: str) -> None:
    dtypes = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32"]
    floats = np.array([0.0, -0.0, 1.5, -1.5, 300.7, -1e10, 1e18, 1e19, 1e25, -1e25, np.inf, -np.inf, np.nan, 1e-300])
    integers = np.array([0, 1, -1, 127, -129, 2**31, -(2**31) - 1, 2**62 + 12345, -(2**63)])
    for x in (floats, integers, integers.astype(np.uint64), floats.astype(np.float32)):
        for dtype in [*dtypes, "float64"]:
            want = ad.tensor(x).astype(dtype)
            got = ad.tensor(x, device=device).astype(dtype)
            assert got.dtype == want.dtype
            np.testing.assert_array_equal(got.numpy(), want.numpy(), f"{x.dtype} to {dtype}")


@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize("shape", [(3, 5), (40, 300), (1, 70_000), (2000, 3), (0, 4)])
def test_folds(device: str, dtype: str, shape: tuple[int, ...]) -> None:
    x = RNG.integers(0, 1 << 40, shape).astype(dtype)
    if dtype == "float64":
        x = x / 7 - 2.0**38
    here, there = ad.tensor(x), ad.tensor(x, device=device)
    for axis in (None, 0, 1):
        np.testing.assert_allclose(there.sum(axis).numpy(), here.sum(axis).numpy(), rtol=1e-13, atol=1e-3)
        if x.size:
            for name in ("max", "min", "argmax", "argmin"):
                got, want = (getattr(ad, name)(t, axis=axis).numpy() for t in (there, here))
                np.testing.assert_array_equal(got, want, f"{name} {axis}")


@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize("sizes", [(1, 1, 1), (5, 7, 3), (33, 70, 65), (130, 40, 150), (64, 2000, 8), (1, 300, 90)])
def test_products(device: str, dtype: str, sizes: tuple[int, int, int]) -> None:
    m, k, n = sizes
    a, b = (RNG.integers(0, 1000, shape).astype(dtype) for shape in ((2, m, k), (k, n)))
    if dtype == "float64":
        a, b = a / 1000 - 0.5, b / 1000 - 0.5
    got = (ad.tensor(a, device=device) @ ad.tensor(b, device=device) + 1).numpy()
    np.testing.assert_allclose(got, a @ b + np.ones((), a.dtype), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize("length", [7, 300, 3000])
@pytest.mark.parametrize("descending", [False, True])
def test_sorting(device: str, dtype: str, length: int, descending: bool) -> None:
    x = RNG.integers(0, 1 << 45, (3, length)).astype(dtype)
    x[:, ::5] = x[:, 1:2]
    if dtype == "float64":
        x[:, ::7] = np.nan
    for name in ("sort", "argsort"):
        got, want = (getattr(ad, name)(ad.tensor(x, device=d), descending=descending).numpy() for d in (device, "cpu"))
        np.testing.assert_array_equal(got, want, name)


def test_indices_of_64_bits(device: str) -> None:
    x = RNG.standard_normal((20, 4))
    there = ad.tensor(x, device=device, requires_grad=True)
    for indices in (np.array([3, -1, 19, 0]), np.array([3, 1], np.uint64)):
        for pending in (0, 1):
            place = ad.tensor(indices, device=device) + ad.tensor(0 * pending, dtype=str(indices.dtype), device=device)
            np.testing.assert_array_equal(ad.take(there, place, axis=0).detach().numpy(), x[indices.astype(int)])
            np.testing.assert_array_equal(there[place].detach().numpy(), x[indices.astype(int)])
    for bad in (20, -21, 2**40, -(2**40)):
        with pytest.raises(ad.OutOfRangeError, match="out of range for size 20"):
            ad.take(there, ad.tensor([1, bad], device=device, dtype=ad.int64) * 1, axis=0).tolist()
    ad.take(there, ad.tensor([1, 1, 5], dtype=ad.int64, device=device), axis=0).sum().backward()
    assert there.grad is not None and there.grad.sum(1).tolist()[:6] == [0, 8, 0, 0, 0, 4]
    labels = ad.tensor([0, 3, 2], dtype=ad.int64, device=device)
    loss = ad.nn.functional.cross_entropy(there[:3], labels)
    assert abs(loss.item() - ad.nn.functional.cross_entropy(ad.tensor(x[:3]), labels.cpu()).item()) < 1e-12


def test_whole_numbers_beyond_32_bits(device: str) -> None:
    x = ad.arange(5, dtype=ad.int64, device=device)
    assert (x * 2**40 - 3).tolist() == [n * 2**40 - 3 for n in range(5)]
    assert (x + 2**62).astype("float64").tolist() == [float(n + 2**62) for n in range(5)]
    assert ad.where(x > 2, ad.full(5, 2**50, dtype=ad.int64, device=device), x).tolist() == [0, 1, 2, 2**50, 2**50]
    assert (ad.tensor(2**63 + 5, dtype=ad.uint64, device=device) // 3).item() == (2**63 + 5) // 3


def test_a_network_in_double_precision(device: str) -> None:
    def trained(place: str) -> list[np.ndarray]:
        ad.manual_seed(3)
        model = nn.Sequential(
            nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 3)
        )
        model = model.to(dtype=ad.float64).to(place)
        optimizer = optim.Adam(model.parameters(), lr=0.01)
        rng = np.random.default_rng(0)
        x = ad.tensor(rng.standard_normal((8, 2, 6, 6)), device=place)
        y = ad.tensor(rng.integers(0, 3, 8), dtype=ad.int64, device=place)
        for _ in range(4):
            loss = ad.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        return [loss.numpy() if not loss.requires_grad else loss.detach().numpy()] + [
            p.detach().numpy() for p in model.parameters()
        ]

    for here, there in zip(trained("cpu"), trained(device), strict=True):
        assert there.dtype == np.float64
        np.testing.assert_allclose(there, here, rtol=1e-9, atol=1e-11)


LACKING = """
import adret as ad
x = ad.ones(3, device="gpu")
for dtype in ("float64", "int64", "uint64"):
    for make in (
        lambda: ad.zeros(2, dtype=dtype, device="gpu"),
        lambda: x.astype(dtype),
        lambda: ad.ones(2, dtype=dtype).to("gpu"),
    ):
        try:
            make().tolist()
        except ad.DTypeError as error:
            assert "gpu" in str(error) and "astype" in str(error), error
        else:
            raise AssertionError(dtype)
assert ad.argmax(x * 2 - ad.arange(3, dtype="float32", device="gpu")).item() == 0
assert ad.arange(3, device="gpu").dtype == ad.int32
"""


def test_adapters_without_them_say_so(device: str) -> None:
    environment = {**os.environ, "ADRET_GPU_DISABLE": "f64,int64"}
    done = subprocess.run([sys.executable, "-c", LACKING], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
