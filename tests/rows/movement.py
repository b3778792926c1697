"""Rows of functions that move elements and change none.

Depends on `record`. Invariant: results are exact in every dtype.
"""

from __future__ import annotations

import adret as ad
import numpy as np

from .record import ALL, BOOL, FLOATS, INTEGERS, SMALL, Row, Values

CUBE = (((2, 3, 4),), ((1, 0, 2),), ((5, 1, 7),))
MATRIX = (((3, 4),), ((0, 3),), ((2, 5, 3),))
ANY = (((3, 4),), ((),), ((0, 2),), ((2, 3, 5),))


def _row(name, call, reference, shapes, variant="", inputs=(SMALL,), dtypes=ALL) -> Row:
    return Row(name, call, reference, inputs, shapes, dtypes, gradient=True, ulps=0, variant=variant)


def _pad(value):
    return lambda x: np.pad(x, [(1, 2), (0, 1)], constant_values=np.asarray(value).astype(x.dtype))


_ROWS = [
    _row("reshape", lambda x: ad.reshape(x, (4, -1)), lambda x: x.reshape(4, -1), (((3, 4),), ((2, 2, 5),))),
    _row("reshape", lambda x: ad.reshape(x, (-1,)), lambda x: x.reshape(-1), ANY, "flat"),
    _row("permute_dims", lambda x: ad.permute_dims(x, (2, 0, 1)), lambda x: x.transpose(2, 0, 1), CUBE),
    _row("permute_dims", lambda x: ad.permute_dims(x, (-3, -1, 1)), lambda x: x.transpose(0, 2, 1), CUBE, "negative"),
    _row("transpose", lambda x: ad.transpose(x, 0, -1), lambda x: np.swapaxes(x, 0, -1), CUBE),
    _row("matrix_transpose", ad.matrix_transpose, lambda x: np.swapaxes(x, -1, -2), MATRIX),
    _row("moveaxis", lambda x: ad.moveaxis(x, 0, -1), lambda x: np.moveaxis(x, 0, -1), CUBE),
    _row(
        "broadcast_to",
        lambda x: ad.broadcast_to(x, (2, 3, 4)),
        lambda x: np.broadcast_to(x, (2, 3, 4)),
        (((3, 1),), ((),), ((2, 3, 4),), ((2, 1, 1),)),
    ),
    _row("squeeze", lambda x: ad.squeeze(x, 1), lambda x: x.squeeze(1), (((3, 1, 4),), ((1, 1),), ((0, 1),))),
    _row("squeeze", lambda x: ad.squeeze(x), lambda x: x.squeeze(), (((1, 3, 1, 4),), ((1, 1),), ((),)), "all"),
    _row("expand_dims", lambda x: ad.expand_dims(x, -1), lambda x: x[..., None], ANY),
    _row("expand_dims", lambda x: ad.expand_dims(x, axis=0), lambda x: x[None], ANY, "first"),
    _row("flatten", lambda x: ad.flatten(x, 1), lambda x: x.reshape(x.shape[0], -1), (((2, 3, 2),), ((3, 0, 2),))),
    _row("flip", lambda x: ad.flip(x, axis=1), lambda x: np.flip(x, 1), CUBE),
    _row("flip", ad.flip, np.flip, ANY, "all"),
    _row("pad", lambda x: ad.pad(x, ((1, 2), (0, 1))), _pad(0), (((2, 3),), ((0, 3),), ((1, 1),))),
    _row("pad", lambda x: ad.pad(x, ((1, 2), (0, 1)), value=1), _pad(1), (((2, 3),), ((0, 3),)), "ones"),
    _row(
        "concat",
        lambda a, b, c: ad.concat([a, b, c], axis=1),
        lambda a, b, c: np.concatenate([a, b, c], 1),
        (((3, 1), (3, 2), (3, 0)), ((0, 2), (0, 1), (0, 1)), ((2, 2, 3), (2, 1, 3), (2, 5, 3))),
        inputs=(SMALL, SMALL, SMALL),
    ),
    _row(
        "concat",
        lambda a, b: ad.concat((a, b), axis=None),
        lambda a, b: np.concatenate([a, b], None),
        (((2, 2), (3,)), ((), (2,))),
        "flat",
        (SMALL, SMALL),
    ),
    _row("concat", lambda a: ad.concat([a, a], axis=0), lambda a: np.concatenate([a, a]), (((2, 3),),), "twice"),
    _row(
        "stack",
        lambda a, b: ad.stack([a, b], axis=-1),
        lambda a, b: np.stack([a, b], -1),
        (((2, 3), (2, 3)), ((), ()), ((0, 2), (0, 2))),
        inputs=(SMALL, SMALL),
    ),
    _row("split", lambda x: ad.split(x, 2, 1), lambda x: tuple(np.split(x, 2, 1)), (((3, 4),), ((0, 2),))),
    _row("split", lambda x: ad.split(x, [1, 3], 1), lambda x: (x[:, :1], x[:, 1:]), (((3, 4),), ((0, 4),)), "sizes"),
    _row("unstack", ad.unstack, lambda x: tuple(x), (((3, 4),), ((1, 0),), ((2, 3, 2),))),
    _row(
        "repeat", lambda x: ad.repeat(x, 3, axis=1), lambda x: np.repeat(x, 3, 1), (((2, 2),), ((0, 2),), ((2, 1, 3),))
    ),
    _row("repeat", lambda x: ad.repeat(x, 2), lambda x: np.repeat(x, 2), (((2, 3),), ((),)), "flat"),
    _row(
        "tile",
        lambda x: ad.tile(x, (2, 3)),
        lambda x: np.tile(x, (2, 3)),
        (((2, 1),), ((3,),), ((0, 2),), ((2, 1, 3),)),
    ),
    _row("roll", lambda x: ad.roll(x, 2, axis=1), lambda x: np.roll(x, 2, 1), MATRIX),
    _row("roll", lambda x: ad.roll(x, -5), lambda x: np.roll(x, -5), ANY, "flat"),
    _row("roll", lambda x: ad.roll(x, (1, -1), axis=(0, 1)), lambda x: np.roll(x, (1, -1), (0, 1)), MATRIX, "two"),
    _row("tril", ad.tril, np.tril, MATRIX),
    _row("tril", lambda x: ad.tril(x, k=-1), lambda x: np.tril(x, -1), MATRIX, "below"),
    _row("triu", lambda x: ad.triu(x, k=1), lambda x: np.triu(x, 1), MATRIX),
    _row(
        "meshgrid",
        lambda a, b: tuple(ad.meshgrid(a, b)),
        lambda a, b: tuple(np.meshgrid(a, b)),
        (((3,), (4,)), ((0,), (2,))),
        inputs=(SMALL, SMALL),
    ),
    _row(
        "meshgrid",
        lambda a, b: tuple(ad.meshgrid(a, b, indexing="ij")),
        lambda a, b: tuple(np.meshgrid(a, b, indexing="ij")),
        (((3,), (4,)),),
        "ij",
        (SMALL, SMALL),
    ),
    _row(
        "broadcast_arrays",
        lambda a, b: tuple(ad.broadcast_arrays(a, b)),
        lambda a, b: tuple(np.broadcast_arrays(a, b)),
        (((3, 1), (4,)), ((), (2,))),
        inputs=(SMALL, SMALL),
    ),
    _row("getitem", lambda x: x[1:, ::-2], lambda x: x[1:, ::-2], MATRIX, "slices"),
    _row("getitem", lambda x: x[-1, ..., None, 1], lambda x: x[-1, ..., None, 1], CUBE[:1], "mixed"),
    _row(
        "setitem",
        lambda x, v: _written(x, (slice(None), slice(1, 3)), v),
        lambda x, v: _written(x.copy(), (slice(None), slice(1, 3)), v),
        (((3, 4), (3, 2)), ((3, 4), ()), ((2, 3), (2,))),
        "slice",
        (SMALL, SMALL),
    ),
]


def _written(x, key, value):
    """The operand after `x[key] = value`; a tensor is written through a new handle."""
    if isinstance(x, ad.Tensor):
        x = x.clone()
    x[key] = value
    return x


def _cast(dtype: str) -> Row:
    def reference(x: np.ndarray) -> np.ndarray:
        return x.astype(dtype if dtype not in ("float16", "bfloat16") else "float64")

    # Negative floats to unsigned types have no value in NumPy.
    values = Values(0, 9) if dtype.startswith("u") else Values(-9, 9)
    if dtype.startswith("u"):
        values = Values(0.1, 9, integers=(0, 9))
    return Row(
        "astype",
        lambda x: ad.astype(x, getattr(ad, dtype)),
        reference,
        (values,),
        ANY,
        ALL,
        lambda _: dtype,
        gradient=False,
        ulps=0 if dtype in ("float16", "bfloat16") else 0.51,
        variant=dtype,
    )


ROWS = _ROWS + [_cast(dtype) for dtype in FLOATS + INTEGERS + BOOL]
