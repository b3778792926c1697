"""Layers that pool and resize: what they add to the functions of the table, edge cases of values, and mistakes.

Depends on adret and NumPy. Invariant: values and gradients of the functions themselves are tested by their rows.
"""

from __future__ import annotations

from collections.abc import Callable

import adret as ad
import numpy as np
import pytest
from adret import nn
from adret.nn import functional as F


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    """Random numbers."""
    return np.random.default_rng(seed).standard_normal(shape)


LAYERS: list[tuple[nn.Module, Callable[[ad.Tensor], ad.Tensor], int]] = [
    (nn.MaxPool1d(2, padding=1), lambda x: F.max_pool1d(x, 2, padding=1), 1),
    (nn.MaxPool2d((3, 2), 1, dilation=2), lambda x: F.max_pool2d(x, (3, 2), 1, dilation=2), 2),
    (nn.MaxPool3d(2, ceil_mode=True), lambda x: F.max_pool3d(x, 2, ceil_mode=True), 3),
    (nn.AvgPool1d(3, 2, 1, count_include_pad=False), lambda x: F.avg_pool1d(x, 3, 2, 1, False, False), 1),
    (nn.AvgPool2d(2, divisor_override=3), lambda x: F.avg_pool2d(x, 2, divisor_override=3), 2),
    (nn.AvgPool3d((1, 2, 3)), lambda x: F.avg_pool3d(x, (1, 2, 3)), 3),
    (nn.AdaptiveAvgPool1d(3), lambda x: F.adaptive_avg_pool1d(x, 3), 1),
    (nn.AdaptiveAvgPool2d((None, 2)), lambda x: F.adaptive_avg_pool2d(x, (None, 2)), 2),
    (nn.AdaptiveAvgPool3d(2), lambda x: F.adaptive_avg_pool3d(x, 2), 3),
    (nn.AdaptiveMaxPool1d(9), lambda x: F.adaptive_max_pool1d(x, 9), 1),
    (nn.AdaptiveMaxPool2d(3), lambda x: F.adaptive_max_pool2d(x, 3), 2),
    (nn.AdaptiveMaxPool3d((1, 2, 3)), lambda x: F.adaptive_max_pool3d(x, (1, 2, 3)), 3),
    (nn.GlobalAvgPool(), lambda x: x.mean((2, 3)), 2),
    (nn.GlobalAvgPool(keepdim=True), lambda x: x.mean(2, keepdims=True), 1),
    (nn.Upsample(scale_factor=2), lambda x: F.interpolate(x, scale_factor=2), 2),
    (nn.Upsample((7, 3), mode="bilinear"), lambda x: F.interpolate(x, (7, 3), mode="bilinear"), 2),
    (nn.PixelShuffle(2), lambda x: F.pixel_shuffle(x, 2), 2),
    (nn.PixelUnshuffle(1), lambda x: F.pixel_unshuffle(x, 1), 2),
    (nn.Unfold(2, padding=1), lambda x: F.unfold(x, 2, padding=1), 2),
    (nn.LocalResponseNorm(3), lambda x: F.local_response_norm(x, 3), 2),
]


@pytest.mark.parametrize(("layer", "function", "axes"), LAYERS, ids=lambda value: repr(value)[:40])
def test_layers_are_their_functions(layer: nn.Module, function: Callable[[ad.Tensor], ad.Tensor], axes: int) -> None:
    x = ad.tensor(numbers(2, 4, 5, 6, 7)[:, :, *(0,) * (3 - axes)])
    np.testing.assert_array_equal(layer(x).numpy(), function(x).numpy())
    assert repr(layer).startswith(type(layer).__name__ + "(")


def test_fold_inverts_unfold_up_to_counts() -> None:
    x = ad.tensor(numbers(2, 3, 5, 6))
    unfold, fold = nn.Unfold(3, padding=1), nn.Fold((5, 6), 3, padding=1)
    counts = fold(unfold(ad.ones_like(x)))
    np.testing.assert_allclose((fold(unfold(x)) / counts).numpy(), x.numpy(), rtol=1e-12)


def test_unpooling_puts_maxima_back() -> None:
    x = ad.tensor(numbers(2, 3, 7, 6), requires_grad=True)
    values, places = nn.MaxPool2d(2, return_indices=True)(x)
    back = nn.MaxUnpool2d(2)(values, places, output_size=(7, 6))
    kept = back.detach().numpy() != 0
    np.testing.assert_array_equal(back.detach().numpy()[kept], x.detach().numpy()[kept])
    assert kept.sum() == values.size
    back.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), kept.astype(float))


@pytest.mark.parametrize("planes", [1, 40])
def test_the_first_maximum_gets_the_gradient(planes: int) -> None:
    x = ad.ones((1, planes, 4, 4), requires_grad=True)
    F.max_pool2d(x, 2).sum().backward()
    expected = np.zeros((4, 4))
    expected[::2, ::2] = 1
    np.testing.assert_array_equal(x.grad.numpy(), np.broadcast_to(expected, x.shape))


@pytest.mark.parametrize("planes", [1, 40])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_nan_is_the_largest_and_infinities_are_numbers(planes: int, dtype: str) -> None:
    row = ad.tensor([np.nan, 1.0, -np.inf, -np.inf, np.inf, 2.0], dtype=dtype, requires_grad=True)
    x = ad.broadcast_to(row, (1, planes, 6))
    pooled, places = F.max_pool1d(x, 2, return_indices=True)
    got = pooled.astype("float64").detach().numpy()
    np.testing.assert_array_equal(got, np.broadcast_to([np.nan, -np.inf, np.inf], (1, planes, 3)))
    np.testing.assert_array_equal(places.numpy(), np.broadcast_to([0, 2, 4], (1, planes, 3)))
    pooled.sum().backward()
    np.testing.assert_array_equal(row.grad.astype("float64").numpy(), np.array([1.0, 0, 1, 0, 1, 0]) * planes)


def test_extreme_integers() -> None:
    for dtype in ("int64", "uint64", "int8", "uint32"):
        limits = np.iinfo(dtype)
        x = ad.tensor(np.array([[[limits.min, limits.min, limits.max, limits.max - 1]]], dtype))
        assert F.max_pool1d(x, 2).tolist() == [[[limits.min, limits.max]]]


def test_large_planes_are_cut_into_blocks() -> None:
    values = numbers(1, 18, 90, 130).astype("float32")
    x = ad.tensor(values, requires_grad=True)
    pooled = F.max_pool2d(x, 3, 2, 1)
    padded = np.pad(values, [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))[:, :, ::2, ::2]
    np.testing.assert_array_equal(pooled.detach().numpy(), windows.max((-1, -2)))
    (pooled * pooled).sum().backward()
    expected = np.zeros_like(values)
    flat = windows.reshape(*windows.shape[:4], 9).argmax(-1)
    for place in np.ndindex(*flat.shape):
        y, x_ = place[2] * 2 - 1 + flat[place] // 3, place[3] * 2 - 1 + flat[place] % 3
        expected[place[0], place[1], y, x_] += 2 * windows[place].max()
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("planes", [1, 20])
def test_long_axes_are_cut_into_many_blocks(planes: int) -> None:
    values = numbers(1, planes, 500_000).astype("float32")[:, :, : 500_000 // planes]
    x = ad.tensor(values, requires_grad=True)
    pooled = F.max_pool1d(x, 3, 2, 1)
    padded = np.pad(values, [(0, 0), (0, 0), (1, 1)], constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 3, 2)[:, :, ::2]
    np.testing.assert_array_equal(pooled.detach().numpy(), windows.max(-1))
    pooled.sum().backward()
    assert x.grad.sum().item() == pooled.size
    np.testing.assert_array_equal((x.grad.numpy() > 0).sum(-1) > 0, True)
    averaged = F.interpolate(F.avg_pool1d(x.detach(), 4), size=values.shape[-1], mode="linear")
    assert abs(averaged.mean().item() - values.mean()) < 1e-3
    whole = F.adaptive_max_pool1d(x.detach(), 1, return_indices=True)
    np.testing.assert_array_equal(whole[1].numpy()[..., 0], values.argmax(-1))


def test_windows_of_more_than_256_positions() -> None:
    x = ad.tensor(numbers(3, 9, 20, 20), requires_grad=True)
    values, places = F.adaptive_max_pool2d(x, 1, return_indices=True)
    flat = x.detach().numpy().reshape(3, 9, -1)
    np.testing.assert_array_equal(places.numpy().reshape(3, 9), flat.argmax(-1))
    values.sum().backward()
    assert x.grad.numpy().reshape(3, 9, -1).argmax(-1).tolist() == flat.argmax(-1).tolist()


def test_bits_do_not_depend_on_threads() -> None:
    x = ad.tensor(numbers(8, 20, 40, 40).astype("float32"))
    results = []
    for threads in (1, 2, 5):
        ad.set_num_threads(threads)
        results.append([F.avg_pool2d(x, 3, 2, 1).numpy(), F.interpolate(x, (31, 17), mode="bilinear").numpy()])
    ad.set_num_threads(0)
    for others in results[1:]:
        for first, other in zip(results[0], others, strict=True):
            np.testing.assert_array_equal(first, other)


def test_empty_batches_pass_through() -> None:
    for result in (F.max_pool2d(ad.zeros((0, 3, 4, 4)), 2), F.avg_pool2d(ad.zeros((0, 3, 4, 4)), 2)):
        assert result.numpy().shape == (0, 3, 2, 2)
    x = ad.zeros((2, 0, 4, 4), requires_grad=True)
    F.max_pool2d(x, 2).sum().backward()
    assert x.grad.numpy().shape == (2, 0, 4, 4)


def test_no_taps_are_kept_without_gradients() -> None:
    x = ad.tensor(numbers(4, 16, 32, 32).astype("float32"))
    F.max_pool2d(x, 2).numpy()
    ad.reset_peak_memory()
    before = ad.stats()["peak_bytes"]
    F.max_pool2d(x, 2).numpy()
    assert ad.stats()["peak_bytes"] - before <= 2 * 4 * 16 * 16 * 16 * 4


MISTAKES = [
    (lambda: F.max_pool2d(ad.ones((1, 1, 3, 8)), 4), ad.ShapeError, ("max_pool2d", "axis 2", "(1, 1, 3, 8)", "4")),
    (lambda: F.max_pool2d(ad.ones((1, 3, 8)), 4), ad.ShapeError, ("max_pool2d", "axis 1", "(1, 3, 8)")),
    (lambda: F.max_pool2d(ad.ones((3, 8)), 2), ad.ShapeError, ("max_pool2d", "(3, 8)", "4", "batch, channels")),
    (lambda: F.max_pool2d(ad.ones((1, 1, 4, 4)), 2, padding=2), ad.DomainError, ("padding", "2", "half", "1 at most")),
    (lambda: F.max_pool2d(ad.ones((1, 1, 4, 4)), 0), ad.DomainError, ("max_pool2d", "kernel_size", "0")),
    (lambda: F.max_pool2d(ad.ones((1, 1, 4, 4)), 2, 0), ad.DomainError, ("max_pool2d", "stride", "0")),
    (lambda: F.max_pool2d(ad.ones((1, 1, 4, 4)), 2, -1), ad.DomainError, ("max_pool2d", "stride", "-1")),
    (lambda: F.max_pool2d(ad.ones((1, 1, 4, 4)), (2, 2, 2)), ad.DomainError, ("(2, 2, 2)", "one for each")),
    (lambda: F.max_pool2d(ad.ones((1, 1, 4, 4)), 2.5), TypeError, ("kernel_size", "2.5")),
    (lambda: F.max_pool2d(ad.ones((1, 1, 4, 4), dtype="bool"), 2), ad.DTypeError, ("max_pool2d", "bool", "astype")),
    (lambda: F.max_pool1d(ad.ones((1, 1, 0)), 1), ad.ShapeError, ("max_pool1d", "axis 2", "(1, 1, 0)")),
    (lambda: F.avg_pool2d(ad.ones((1, 1, 4, 4)), 2, divisor_override=0), ad.DomainError, ("divisor_override",)),
    (lambda: F.avg_pool3d(ad.ones((1, 1, 2, 2, 2)), 3), ad.ShapeError, ("avg_pool3d", "axis 2", "window takes 3")),
    (lambda: F.avg_pool1d(ad.ones((1, 1, 2)), 2**62), ad.ShapeError, ("avg_pool1d", "axis 2")),
    (lambda: F.max_pool1d(ad.ones((1, 1, 9)), 3, 1, 0, 2**62), ad.ShapeError, ("max_pool1d", "axis 2")),
    (lambda: F.adaptive_avg_pool2d(ad.ones((1, 1, 4, 4)), (1, 2, 3)), ad.DomainError, ("adaptive_avg_pool2d",)),
    (lambda: F.adaptive_avg_pool2d(ad.ones((1, 1, 4, 4)), -1), ad.DomainError, ("output_size", "-1")),
    (lambda: F.adaptive_max_pool1d(ad.ones((1, 1, 0)), 1), ad.ShapeError, ("adaptive_max_pool1d", "empty")),
    (lambda: F.adaptive_max_pool1d(ad.ones((1, 1, 2)), 2**60), (ad.ShapeError, ad.OutOfMemoryError), ()),
    (lambda: F.max_unpool2d(ad.ones((1, 2, 2)), ad.ones((1, 2)), 2), ad.ShapeError, ("max_unpool2d", "(1, 2)")),
    (
        lambda: F.max_unpool1d(ad.ones((1, 1, 2)), ad.tensor([[[0, 9]]]), 2).numpy(),
        ad.OutOfRangeError,
        ("9", "4"),
    ),
    (
        lambda: F.max_unpool1d(ad.ones((1, 1, 2)), ad.tensor([[[0, 1]]]), 2, output_size=(9,)),
        ad.ShapeError,
        ("max_unpool1d", "(9,)", "(4,)"),
    ),
    (lambda: F.interpolate(ad.ones((1, 1, 4)), 2, mode="cube"), ad.DomainError, ("'cube'", "'nearest'")),
    (lambda: F.interpolate(ad.ones((1, 1, 4)), 2, mode="bilinear"), ad.ShapeError, ("(1, 1, 4)", "'bilinear'", "4")),
    (lambda: F.interpolate(ad.ones((1, 1, 4))), ad.DomainError, ("size", "scale_factor")),
    (lambda: F.interpolate(ad.ones((1, 1, 4)), 2, 2.0), ad.DomainError, ("size", "scale_factor")),
    (lambda: F.interpolate(ad.ones((1, 1, 4)), scale_factor=-1.0), ad.DomainError, ("-1.0", "above 0")),
    (lambda: F.interpolate(ad.ones((1, 1, 4)), scale_factor=0.1), ad.ShapeError, ("interpolate", "(0,)", "axis 2")),
    (lambda: F.interpolate(ad.ones((1, 1, 4)), 2, align_corners=True), ad.DomainError, ("align_corners", "'nearest'")),
    (lambda: F.interpolate(ad.ones((1, 1, 4), dtype="int64"), 2), ad.DTypeError, ("int64", "float32")),
    (lambda: F.pixel_shuffle(ad.ones((1, 3, 2, 2)), 2), ad.ShapeError, ("pixel_shuffle", "3 channels", "2 * 2")),
    (lambda: F.pixel_unshuffle(ad.ones((1, 3, 3, 2)), 2), ad.ShapeError, ("pixel_unshuffle", "height 3")),
    (lambda: F.unfold(ad.ones((2, 2)), 2), ad.ShapeError, ("unfold", "(2, 2)")),
    (lambda: F.unfold(ad.ones((1, 1, 2, 2)), 3), ad.ShapeError, ("unfold", "height", "3")),
    (lambda: F.fold(ad.ones((1, 4, 5)), (3, 3), 2), ad.ShapeError, ("fold", "(1, 4, 5)", "4 windows")),
    (lambda: F.fold(ad.ones((1, 5, 4)), (3, 3), 2), ad.ShapeError, ("fold", "(1, 5, 4)", "4 positions")),
    (lambda: F.local_response_norm(ad.ones((2, 2)), 3), ad.ShapeError, ("local_response_norm", "(2, 2)")),
    (lambda: nn.MaxPool2d(0), ad.DomainError, ("MaxPool2d", "kernel_size")),
    (lambda: nn.AvgPool2d(3, padding=2), ad.DomainError, ("AvgPool2d", "padding", "1 at most")),
    (lambda: nn.AdaptiveAvgPool2d((1, 2, 3)), ad.DomainError, ("AdaptiveAvgPool2d", "output_size")),
    (lambda: nn.Upsample(), ad.DomainError, ("Upsample", "size", "scale_factor")),
    (lambda: nn.GlobalAvgPool()(ad.ones((2, 3))), ad.ShapeError, ("GlobalAvgPool", "(2, 3)")),
]


@pytest.mark.parametrize(("call", "kind", "says"), MISTAKES)
def test_mistakes(call: Callable[[], object], kind: type[Exception], says: tuple[str, ...]) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert all(part in str(caught.value) for part in says), str(caught.value)


def test_errors_name_the_layer() -> None:
    model = nn.Sequential(nn.Identity(), nn.Sequential(nn.MaxPool2d(4)))
    with pytest.raises(ad.ShapeError, match=r"1\.0.*max_pool2d"):
        model(ad.ones((1, 1, 3, 3)))


def test_the_same_under_compile() -> None:
    x = ad.tensor(numbers(2, 17, 6, 6))

    def value(x: ad.Tensor) -> ad.Tensor:
        y = F.interpolate(F.avg_pool2d(F.max_pool2d(x, 2, 1), 2), scale_factor=2, mode="bilinear")
        return (y * y).sum()

    step = ad.value_and_grad(value)
    plain, compiled = step(x), ad.compile(step)
    for _ in range(4):
        for ours, expected in zip(compiled(x), plain, strict=True):
            np.testing.assert_array_equal(ours.numpy(), expected.numpy())
