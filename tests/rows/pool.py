"""Rows of pooling, windows as columns, interpolation and padding: functions of `nn.functional`.

Depends on `record`. Invariant: references visit every window, position by position.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
from adret.nn import functional as F

from .record import ALL, FLOATS, NUMBERS, SMALL, Row, Values, always, real, same, wide

DISTINCT = Values(distinct=True, integers=(-9, 9))
Positions = list[list[int]]


def sliding(size: int, kernel: int, stride: int, padding: int = 0, dilation: int = 1, ceil: bool = False) -> Positions:
    """The positions of every window along an axis, those in the padding among them."""
    rest = size + 2 * padding - dilation * (kernel - 1) - 1
    count = (math.ceil if ceil else math.floor)(rest / stride) + 1
    if ceil and (count - 1) * stride >= size + padding:
        count -= 1
    return [[i * stride - padding + t * dilation for t in range(kernel)] for i in range(count)]


def shared(size: int, count: int) -> Positions:
    """The positions of windows that share an axis evenly."""
    return [list(range(i * size // count, -(-(i + 1) * size // count))) for i in range(count)]


def each(x: np.ndarray, windows: list[Positions]) -> Iterator[tuple[tuple[int, ...], list[tuple[int, ...]]]]:
    """Every window's number with the places on the axes that it takes, row by row."""
    sizes = x.shape[-len(windows) :]
    for number in itertools.product(*(range(len(axis)) for axis in windows)):
        places = itertools.product(*(axis[i] for axis, i in zip(windows, number, strict=True)))
        yield number, [place for place in places if all(0 <= p < n for p, n in zip(place, sizes, strict=True))]


def pooled(x: np.ndarray, windows: list[Positions], take: Callable[[np.ndarray], np.ndarray], dtype=None) -> np.ndarray:
    """What `take` makes of the elements of every window, `[..., elements]`."""
    lead = x.shape[: x.ndim - len(windows)]
    result = np.zeros((*lead, *(len(axis) for axis in windows)), dtype or x.dtype)
    for number, places in each(x, windows):
        result[(..., *number)] = take(np.stack([x[(..., *place)] for place in places], -1))
    return result


def maxima(x: np.ndarray, windows: list[Positions]) -> np.ndarray:
    """The largest of every window."""
    return pooled(x, windows, lambda items: items.max(-1))


def maxima_and_places(x: np.ndarray, windows: list[Positions]) -> tuple[np.ndarray, np.ndarray]:
    """The largest of every window, and the number of the first place in the plane that holds it."""
    sizes = x.shape[-len(windows) :]
    values = maxima(x, windows)
    numbers = np.zeros(values.shape, np.int64)
    for number, places in each(x, windows):
        best = np.stack([x[(..., *place)] for place in places], -1).argmax(-1)
        numbers[(..., *number)] = np.array([np.ravel_multi_index(place, sizes) for place in places])[best]
    return values, numbers


def means(x: np.ndarray, windows: list[Positions]) -> np.ndarray:
    """The mean of what every window takes."""
    return pooled(x, windows, lambda items: items.mean(-1))


def columns(x: np.ndarray, height: Positions, width: Positions) -> np.ndarray:
    """Windows as columns."""
    batch, channels, rows, across = x.shape
    result = np.zeros((batch, channels, len(height[0]) * len(width[0]), len(height) * len(width)), x.dtype)
    for (i, ys), (j, xs) in itertools.product(enumerate(height), enumerate(width)):
        for (a, y), (b, z) in itertools.product(enumerate(ys), enumerate(xs)):
            if 0 <= y < rows and 0 <= z < across:
                result[:, :, a * len(xs) + b, i * len(width) + j] = x[:, :, y, z]
    return result.reshape(batch, channels * len(height[0]) * len(width[0]), len(height) * len(width))


def images(x: np.ndarray, size: tuple[int, int], height: Positions, width: Positions) -> np.ndarray:
    """Columns added up where they came from."""
    positions = len(height[0]) * len(width[0])
    x = x.reshape(x.shape[0], x.shape[1] // positions, positions, x.shape[-1])
    result = np.zeros((*x.shape[:2], *size), x.dtype)
    for (i, ys), (j, xs) in itertools.product(enumerate(height), enumerate(width)):
        for (a, y), (b, z) in itertools.product(enumerate(ys), enumerate(xs)):
            if 0 <= y < size[0] and 0 <= z < size[1]:
                result[:, :, y, z] += x[:, :, a * len(xs) + b, i * len(width) + j]
    return result


def _cubic(distance: float) -> float:
    d = abs(distance)
    if d <= 1:
        return 1.25 * d**3 - 2.25 * d**2 + 1
    return -0.75 * d**3 + 3.75 * d**2 - 6 * d + 3 if d < 2 else 0.0


def interpolated(x: np.ndarray, sizes: tuple[int, ...], mode: str, align: bool = False) -> np.ndarray:
    """Interpolation axis by axis, by a full matrix of weights."""
    for axis, count in enumerate(sizes, x.ndim - len(sizes)):
        size = x.shape[axis]
        weights = np.zeros((count, size))
        for i in range(count):
            place = i * (size - 1) / max(count - 1, 1) if align else (i + 0.5) * size / count - 0.5
            if mode == "nearest":
                weights[i, min(int(i * size / count), size - 1)] = 1
            elif mode == "nearest-exact":
                weights[i, min(int((i + 0.5) * size / count), size - 1)] = 1
            elif mode == "cubic":
                for j in range(math.floor(place) - 1, math.floor(place) + 3):
                    weights[i, min(max(j, 0), size - 1)] += _cubic(place - j)
            else:
                place = min(max(place, 0.0), size - 1)
                low = min(int(place), size - 1)
                weights[i, low] += 1 - (place - low)
                weights[i, min(low + 1, size - 1)] += place - low
        x = np.moveaxis(np.tensordot(np.moveaxis(x, axis, -1), weights, ([-1], [1])), -1, axis)
    return x


def _local_response(x: np.ndarray, size: int) -> np.ndarray:
    result = np.empty_like(x)
    for c in range(x.shape[1]):
        near = x[:, max(c - size // 2, 0) : c + (size - 1) // 2 + 1]
        result[:, c] = x[:, c] / (1.5 + 0.5 * (near**2).sum(1) / size) ** 0.6
    return result


ONE = (((2, 7),), ((1, 2, 5),), ((0, 2, 7),), ((1, 17, 40),))
TWO = (((1, 4, 5),), ((2, 3, 6, 5),), ((0, 3, 6, 5),), ((1, 21, 7, 8),), ((2, 4, 70, 66),))
THREE = (((1, 2, 3, 4),), ((2, 3, 4, 5, 4),), ((1, 9, 3, 5, 4),))


def _max(name: str, call, windows, shapes, variant: str, **rest) -> Row:
    return Row(
        name,
        call,
        lambda x: maxima(x, windows(x.shape)),
        (DISTINCT,),
        shapes,
        NUMBERS,
        gradient=True,
        ulps=0,
        variant=variant,
        **rest,
    )


def _mean(name: str, call, reference, shapes, variant: str = "") -> Row:
    return Row(
        name, call, wide(reference), (SMALL,), shapes, ALL, real, gradient=True, ulps=4, scale=9, variant=variant
    )


def _interpolate(mode: str, sizes: tuple[int, ...], shapes, how: str, align: bool | None = None) -> Row:
    moves = mode.startswith("nearest")
    return Row(
        "interpolate",
        lambda x: F.interpolate(x, size=sizes, mode=mode, align_corners=align),
        lambda x: interpolated(np.asarray(x, np.float64), sizes, how, bool(align)),
        (SMALL,),
        shapes,
        (*FLOATS, "int16", "int8", "uint16", "uint8", "bool") if moves else FLOATS,
        gradient=True,
        ulps=0 if moves else 8,
        scale=0 if moves else 9,
        variant=f"{mode}, {align}",
    )


ROWS = [
    _max("max_pool1d", lambda x: F.max_pool1d(x, 2), lambda s: [sliding(s[-1], 2, 2)], ONE, "k2"),
    _max(
        "max_pool1d",
        lambda x: F.max_pool1d(x, 3, 2, 1, 2, True),
        lambda s: [sliding(s[-1], 3, 2, 1, 2, True)],
        ONE,
        "dilated, padded, rounded up",
    ),
    _max("max_pool2d", lambda x: F.max_pool2d(x, 2), lambda s: [sliding(n, 2, 2) for n in s[-2:]], TWO, "k2"),
    _max(
        "max_pool2d",
        lambda x: F.max_pool2d(x, 3, 2, 1),
        lambda s: [sliding(n, 3, 2, 1) for n in s[-2:]],
        TWO,
        "k3 s2 p1",
    ),
    _max(
        "max_pool2d",
        lambda x: F.max_pool2d(x, (3, 2), (1, 3), (1, 0), (1, 2), True),
        lambda s: [sliding(s[-2], 3, 1, 1), sliding(s[-1], 2, 3, 0, 2, True)],
        TWO,
        "each axis its own",
    ),
    _max("max_pool3d", lambda x: F.max_pool3d(x, 2, 1), lambda s: [sliding(n, 2, 1) for n in s[-3:]], THREE, "k2 s1"),
    _max(
        "adaptive_max_pool2d",
        lambda x: F.adaptive_max_pool2d(x, (3, 2)),
        lambda s: [shared(s[-2], 3), shared(s[-1], 2)],
        TWO,
        "",
    ),
    Row(
        "max_pool2d",
        lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True)[1],
        lambda x: maxima_and_places(x, [sliding(n, 3, 2, 1) for n in x.shape[-2:]])[1],
        (DISTINCT,),
        TWO[:4],
        NUMBERS,
        always("int64"),
        variant="places",
    ),
    Row(
        "adaptive_max_pool3d",
        lambda x: F.adaptive_max_pool3d(x, 2, return_indices=True)[1],
        lambda x: maxima_and_places(x, [shared(n, 2) for n in x.shape[-3:]])[1],
        (DISTINCT,),
        THREE,
        NUMBERS,
        always("int64"),
        variant="places",
    ),
    Row(
        "max_pool2d",
        lambda x: F.max_pool2d(x, 2, channels_last=True),
        lambda x: np.moveaxis(maxima(np.moveaxis(x, -1, -3), [sliding(n, 2, 2) for n in x.shape[-3:-1]]), -3, -1),
        (DISTINCT,),
        (((4, 3, 2),), ((2, 5, 4, 3),), ((2, 5, 4, 40),)),
        NUMBERS,
        gradient=True,
        ulps=0,
        variant="channels last",
    ),
    _mean("avg_pool1d", lambda x: F.avg_pool1d(x, 2), lambda x: means(x, [sliding(x.shape[-1], 2, 2)]), ONE),
    _mean(
        "avg_pool2d",
        lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
        lambda x: means(x, [sliding(n, 3, 2, 1) for n in x.shape[-2:]]),
        TWO,
        "k3 s2 p1",
    ),
    _mean(
        "avg_pool2d",
        lambda x: F.avg_pool2d(x, (2, 3), 2, (1, 0), divisor_override=5),
        lambda x: pooled(
            x, [sliding(x.shape[-2], 2, 2, 1), sliding(x.shape[-1], 3, 2)], lambda items: items.sum(-1) / 5
        ),
        TWO,
        "divisor",
    ),
    _mean(
        "avg_pool3d",
        lambda x: F.avg_pool3d(x, 2, 1, ceil_mode=True),
        lambda x: means(x, [sliding(n, 2, 1) for n in x.shape[-3:]]),
        THREE,
    ),
    _mean(
        "avg_pool2d",
        lambda x: F.avg_pool2d(x, 2, channels_last=True),
        lambda x: np.moveaxis(means(np.moveaxis(x, -1, -3), [sliding(n, 2, 2) for n in x.shape[-3:-1]]), -3, -1),
        (((4, 3, 2),), ((2, 5, 4, 40),)),
        "channels last",
    ),
    _mean(
        "adaptive_avg_pool2d",
        lambda x: F.adaptive_avg_pool2d(x, (3, 7)),
        lambda x: means(x, [shared(x.shape[-2], 3), shared(x.shape[-1], 7)]),
        TWO,
    ),
    _mean(
        "adaptive_avg_pool1d",
        lambda x: F.adaptive_avg_pool1d(x, 1),
        lambda x: x.mean(-1, keepdims=True),
        ONE,
    ),
    Row(
        "unfold",
        lambda x: F.unfold(x, (2, 3), (2, 1), (1, 2), (1, 2)),
        lambda x: columns(x, sliding(x.shape[2], 2, 1, 1, 2), sliding(x.shape[3], 3, 2, 2)),
        (SMALL,),
        (((1, 2, 3, 4),), ((2, 3, 5, 4),), ((0, 3, 5, 4),), ((1, 40, 9, 33),)),
        ALL,
        same,
        gradient=True,
        ulps=0,
    ),
    Row(
        "fold",
        lambda x: F.fold(x, (3, 4), 2, padding=1, stride=2),
        lambda x: images(x, (3, 4), sliding(3, 2, 2, 1), sliding(4, 2, 2, 1)),
        (SMALL,),
        (((1, 4, 6),), ((2, 12, 6),), ((0, 8, 6),)),
        NUMBERS,
        gradient=True,
        ulps=1,
        refuses=False,
    ),
    Row(
        "fold",
        lambda x: F.fold(x, (3, 3), 2),
        lambda x: images(x, (3, 3), sliding(3, 2, 1), sliding(3, 2, 1)),
        (SMALL,),
        (((1, 4, 4),), ((2, 12, 4),)),
        FLOATS,
        gradient=True,
        ulps=2,
        scale=8,
        variant="overlapping",
        refuses=False,
    ),
    _interpolate("nearest", (4,), (((1, 2, 3),), ((2, 20, 7),)), "nearest"),
    _interpolate("nearest-exact", (4, 3), (((1, 2, 3, 2),), ((2, 9, 7, 8),)), "nearest-exact"),
    _interpolate("linear", (5,), (((1, 2, 3),), ((2, 20, 7),)), "linear", True),
    _interpolate("bilinear", (4, 5), (((1, 2, 3, 2),), ((2, 20, 7, 9),)), "linear", False),
    _interpolate("bilinear", (4, 5), (((1, 2, 3, 2),), ((2, 20, 7, 9),)), "linear", True),
    _interpolate("trilinear", (2, 3, 4), (((1, 1, 3, 2, 3),), ((1, 7, 2, 5, 3),)), "linear", False),
    _interpolate("bicubic", (5, 3), (((1, 1, 3, 4),), ((2, 9, 6, 7),)), "cubic", False),
    Row(
        "pixel_shuffle",
        lambda x: F.pixel_shuffle(x, 2),
        lambda x: (
            x.reshape(x.shape[0], -1, 2, 2, *x.shape[2:])
            .transpose(0, 1, 4, 2, 5, 3)
            .reshape(x.shape[0], -1, x.shape[2] * 2, x.shape[3] * 2)
        ),
        (SMALL,),
        (((1, 4, 2, 3),), ((2, 8, 3, 3),)),
        ALL,
        gradient=True,
        ulps=0,
    ),
    Row(
        "pixel_unshuffle",
        lambda x: F.pixel_unshuffle(x, 2),
        lambda x: (
            x.reshape(*x.shape[:2], x.shape[2] // 2, 2, x.shape[3] // 2, 2)
            .transpose(0, 1, 3, 5, 2, 4)
            .reshape(x.shape[0], -1, x.shape[2] // 2, x.shape[3] // 2)
        ),
        (SMALL,),
        (((1, 1, 4, 6),), ((2, 3, 4, 2),)),
        ALL,
        gradient=True,
        ulps=0,
    ),
    *(
        Row(
            "local_response_norm",
            lambda x, size=size: F.local_response_norm(x, size, 0.5, 0.6, 1.5),
            wide(lambda x, size=size: _local_response(x, size)),
            (SMALL,),
            (((1, 4, 3),), ((2, 5, 3, 2),)),
            FLOATS,
            gradient=True,
            ulps=16,
            scale=4,
            variant=f"{size} channels",
            refuses=False,
        )
        for size in (3, 4)
    ),
    *(
        Row(
            "pad",
            lambda x, mode=mode: F.pad(x, (2, 1), mode),
            lambda x, kind=kind: np.pad(x, [(0, 0)] * (x.ndim - 1) + [(2, 1)], kind),
            (SMALL,),
            (((2, 4),), ((2, 3, 5),)),
            ALL,
            gradient=True,
            ulps=0,
            variant=mode,
        )
        for mode, kind in (("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap"))
    ),
]
