"""Four elements at once: every size around a multiple of four, every start, broadcast operands, several dtypes in one
kernel, words that two 16-bit floats share; elementwise and in products of matrices.

Depends on the `device` fixture. What is computed is exact, so the device must give the processor's bits. The form is
forced on and off; by itself it is taken by large tensors and by 16-bit floats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import adret as ad
import numpy as np
import pytest

pytestmark = pytest.mark.parametrize("device", ["gpu"], indirect=True)

RNG = np.random.default_rng(5)
FLOATS = ["float32", "float16", "bfloat16"]


@pytest.fixture(params=["1", "0", ""], ids=["fours", "ones", "chosen"], autouse=True)
def _form(request: pytest.FixtureRequest, device: str) -> Iterator[None]:
    """Opens the device with the form forced, and afterwards anew as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADRET_GPU_VECTORS", request.param)
        ad.reset_device(device)
        yield
    ad.reset_device(device)


def whole(*shape: int) -> np.ndarray:
    return RNG.integers(-8, 9, shape).astype(np.float32)


def same(device: str, function: Callable[..., ad.Tensor | tuple[ad.Tensor, ...]], *arrays: np.ndarray) -> None:
    """The function gives the same bits on the processor and on the device."""
    results = []
    for where in ("cpu", device):
        outcome = function(*(ad.tensor(a, device=where) for a in arrays))
        outcome = outcome if isinstance(outcome, tuple) else (outcome,)
        ad.eval(*outcome)
        results.append([tensor.cpu() for tensor in outcome])
    for expected, found in zip(*results, strict=True):
        assert (expected.dtype, expected.shape) == (found.dtype, found.shape)
        plain = [tensor.astype("float32") if "float" in str(tensor.dtype) else tensor for tensor in (found, expected)]
        np.testing.assert_array_equal(plain[0].numpy(), plain[1].numpy())


@pytest.mark.parametrize("dtype", FLOATS)
def test_every_size(dtype: str, device: str) -> None:
    for size in [*range(1, 68), 255, 256, 257, 1021, 1027]:
        same(device, lambda x, y: x.astype(dtype) * 2 + y.astype(dtype), whole(size), whole(size))


@pytest.mark.parametrize("dtype", FLOATS)
def test_every_start(dtype: str, device: str) -> None:
    for first in range(9):
        for length in (1, 2, 3, 4, 5, 8, 17, 30):
            part = slice(first, first + length)

            def sliced(x: ad.Tensor, y: ad.Tensor, part: slice = part, length: int = length) -> ad.Tensor:
                x = x.astype(dtype)
                ad.eval(x)
                return x[part] + y[:length].astype(dtype)

            same(device, sliced, whole(40), whole(30))


@pytest.mark.parametrize("dtype", [*FLOATS, "int32", "uint8", "bool"])
def test_neighbours_of_what_is_written_stay(dtype: str, device: str) -> None:
    for first in range(6):
        for length in range(1, 12):

            def written(x: ad.Tensor, y: ad.Tensor, first: int = first, length: int = length) -> ad.Tensor:
                x, y = (x > 0, y > 0) if dtype == "bool" else (x.abs().astype(dtype), y.abs().astype(dtype))
                ad.eval(x, y)
                x[first : first + length] = y[:length]
                return x

            same(device, written, whole(20), whole(12))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(3, 4), (5, 8), (4, 7), (2, 3, 4), (3, 5, 6), (1, 12), (6, 1), (7, 68)])
def test_broadcast_operands(shape: tuple[int, ...], dtype: str, device: str) -> None:
    def mixed(x: ad.Tensor, row: ad.Tensor, column: ad.Tensor, number: ad.Tensor) -> ad.Tensor:
        x, row, column, number = (tensor.astype(dtype) for tensor in (x, row, column, number))
        return (x + row) * column - number

    column = (*shape[:-1], 1)
    same(device, mixed, whole(*shape), whole(shape[-1]), whole(*column), whole(1))


@pytest.mark.parametrize("size", [4, 15, 64, 67])
def test_several_outputs_of_several_dtypes(size: int, device: str) -> None:
    def several(x: ad.Tensor, y: ad.Tensor) -> tuple[ad.Tensor, ...]:
        half, brain, number = x.astype("float16"), y.astype("bfloat16"), x.astype("int32")
        total = half.astype("float32") + brain.astype("float32") * number.astype("float32")
        return total, total.astype("float16"), total > 0, number * 3, total.astype("int8"), total.astype("bfloat16")

    same(device, several, whole(size), whole(size))


@pytest.mark.parametrize("dtype", FLOATS)
def test_views(dtype: str, device: str) -> None:
    x = whole(6, 8, 12)
    for view in (
        lambda x: x.transpose(0, 2),
        lambda x: x[:, 1:, 3:],
        lambda x: x[:, :, ::2],
        lambda x: ad.flip(x, axis=2),
        lambda x: x[:, 1:5, 4:8],
        lambda x: x.reshape(-1)[5:],
        lambda x: ad.pad(x, ((0, 0), (1, 2), (0, 0))),
        lambda x: ad.pad(x, ((0, 0), (0, 0), (1, 3))),
        lambda x: ad.pad(x, ((2, 0), (0, 0), (4, 4))),
    ):

        def seen(x: ad.Tensor, view: Callable[[ad.Tensor], ad.Tensor] = view) -> ad.Tensor:
            x = x.astype(dtype)
            ad.eval(x)
            return view(x) * 2 + 1

        same(device, seen, x)


@pytest.mark.parametrize("dtype", FLOATS)
def test_in_place(dtype: str, device: str) -> None:
    def stepped(x: ad.Tensor, y: ad.Tensor) -> tuple[ad.Tensor, ...]:
        x, y = x.astype(dtype), y.astype(dtype)
        ad.eval(x, y)
        for _ in range(3):
            x += y * 2
            x *= 0.5
            ad.eval(x)
        return x, y

    for size in (1, 6, 33, 128):
        same(device, stepped, whole(size), whole(size))


def test_positions_random_numbers_and_choices(device: str) -> None:
    for shape in ((66,), (5, 12), (3, 7)):
        size = int(np.prod(shape))

        def chosen(x: ad.Tensor, shape: tuple[int, ...] = shape, size: int = size) -> tuple[ad.Tensor, ...]:
            place = ad.arange(size, device=x.device, dtype="int32").reshape(shape)
            drawn = ad.random.uniform(shape, generator=ad.random.Generator(3)).to(x.device)
            return ad.where(x > 0, place, -place), (place.astype("float32") * x).astype("float16"), drawn * 2

        same(device, chosen, whole(*shape))


@pytest.mark.parametrize(
    ("side", "dtype"),
    [("32", "float32"), ("64", "float16"), ("128", "float32"), ("", "float32"), ("", "bfloat16"), ("", "int32")],
)
def test_products(side: str, dtype: str, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADRET_GPU_TILE", side)
    ad.reset_device(device)

    def product(
        left: Callable[[ad.Tensor], ad.Tensor], right: Callable[[ad.Tensor], ad.Tensor]
    ) -> Callable[..., ad.Tensor]:
        def made(a: ad.Tensor, b: ad.Tensor) -> ad.Tensor:
            a, b = a.astype(dtype), b.astype(dtype)
            ad.eval(a, b)
            return left(a) @ right(b)

        return made

    def as_it_is(x: ad.Tensor) -> ad.Tensor:
        return x

    for m, n, k in [(36, 40, 44), (33, 36, 41), (140, 132, 20)]:
        same(device, product(as_it_is, as_it_is), whole(m, k), whole(k, n))
        same(device, product(lambda a: a.T, lambda b: b.T), whole(k, m), whole(n, k))
    # Starts and steps that vectors do not take.
    same(device, product(lambda a: a[:, 1:41], as_it_is), whole(36, 44), whole(40, 36))
    same(device, product(lambda a: a[:, 4:44], lambda b: b[2:, :36]), whole(36, 44), whole(42, 40))
    same(device, product(lambda a: a[1:, :], lambda b: b[:, 3:]), whole(37, 42), whole(42, 39))
    same(device, product(as_it_is, lambda b: b[:, 4:]), whole(3, 36, 40), whole(40, 40))
    same(device, product(lambda a: a[1:], lambda b: b.transpose(1, 2)), whole(4, 36, 40), whole(3, 44, 40))

    def finished(a: ad.Tensor, b: ad.Tensor, row: ad.Tensor, column: ad.Tensor) -> tuple[ad.Tensor, ...]:
        a, b, row, column = (tensor.astype(dtype) for tensor in (a, b, row, column))
        sums = a @ b
        biased = ad.maximum(sums + row, 0) * column
        return biased, (biased > 3), biased.astype("float32").astype("float16")

    for m, n, k in [(36, 40, 12), (35, 38, 10)]:
        same(device, finished, whole(m, k) / 4, whole(k, n) / 4, whole(n), whole(m, 1))


def test_long_sums(device: str) -> None:
    same(device, lambda a, b: a @ b, whole(20, 2048), whole(2048, 24))
    same(device, lambda a, b: (a.astype("float16") @ b.astype("float16")) * 2, whole(20, 1100) / 8, whole(1100, 22) / 8)
