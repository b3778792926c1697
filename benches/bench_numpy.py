"""Every family of functions against NumPy, over sizes where a call is more than its overhead.

Depends on `yardstick`. Invariant: both libraries do the same arithmetic on the same arrays, in NumPy's own spelling.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from yardstick import Cases, Work, compare

Function = Callable[..., Any]

# Functions that both libraries have under one name, or under the two names given.
ONE = ["abs", "exp", "log", "sqrt", "sin", "cos", "tanh", "floor", "square", "sign", "isnan", "negative"]
ONE += ["reciprocal", "expm1", "log1p", "log2", "log10", "tan", "atan:arctan", "sinh", "cosh", "asinh:arcsinh", "round"]
# The same for operands in (0, 1).
UNIT = ["asin:arcsin", "acos:arccos", "atanh:arctanh"]
TWO = ["add", "multiply", "divide", "subtract", "maximum", "minimum", "less", "equal", "atan2:arctan2", "pow:power"]
FOLDS = ["sum", "mean", "var", "max", "min", "prod", "argmax", "argmin", "any", "all", "std"]
SIZES = {"10k": (10_000,), "1M": (1_000, 1_000)}


def _named(names: list[str]) -> list[tuple[str, str]]:
    return [tuple(name.split(":")) if ":" in name else (name, name) for name in names]  # pyright: ignore


def _table(library: str) -> dict[str, tuple[Function, tuple[Any, ...]]]:
    """Every case: a function of arrays, and what makes its arrays (shapes, dtypes or arrays)."""
    if library == "adret":
        import adret as module
    else:
        import numpy as module  # pyright: ignore
    which = 0 if library == "adret" else 1
    table: dict[str, tuple[Function, tuple[Any, ...]]] = {}
    for size, shape in SIZES.items():
        for dtype in ["float32", "float64", "int32"]:
            for names in _named(UNIT) if dtype != "int32" else []:
                table[f"{names[0]} {dtype} {size}"] = (getattr(module, names[which]), ((shape, f"unit {dtype}"),))
            for names in _named(ONE):
                if dtype == "int32" and names[0] not in ("abs", "square", "negative", "sign"):
                    continue
                table[f"{names[0]} {dtype} {size}"] = (getattr(module, names[which]), ((shape, dtype),))
            for names in _named(TWO):
                if dtype == "int32" and names[0] in ("divide", "atan2", "pow"):
                    continue
                table[f"{names[0]} {dtype} {size}"] = (
                    getattr(module, names[which]),
                    ((shape, dtype), (shape, dtype)),
                )
            for name in FOLDS:
                function = getattr(module, name)
                table[f"{name} {dtype} {size}"] = (function, ((shape, dtype),))
                if size == "1M":
                    for axis in (0, 1):
                        table[f"{name} axis {axis} {dtype} {size}"] = (
                            lambda x, function=function, axis=axis: function(x, axis=axis),
                            ((shape, dtype),),
                        )
        many = (shape, "float32")
        index = (shape, "index")
        rows: dict[str, tuple[Function, tuple[Any, ...]]] = {
            "where": (lambda x, y: module.where(x < y, x, y), (many, many)),
            "clip": (lambda x: module.clip(x, -0.5, 0.5), (many,)),
            "cast to float64": (lambda x: x.astype(module.float64), (many,)),
            "cast to int32": (lambda x: x.astype(module.int32), (many,)),
            "slice step": (lambda x: x[..., ::2] + 1, (many,)),
            "slice negative": (lambda x: x[..., ::-1] + 1, (many,)),
            "flip": (lambda x: module.flip(x) + 1, (many,)),
            "concat": (lambda x, y: module.concatenate([x, y]) if which else module.concat([x, y]), (many, many)),
            "stack": (lambda x, y: module.stack([x, y], axis=-1), (many, many)),
            "take": (lambda x, i: module.take(x.reshape(-1), i.reshape(-1)), (many, index)),
            "gather along": (
                lambda x, i: module.take_along_axis(x.reshape(-1), i.reshape(-1), axis=0),
                (many, index),
            ),
            "sort": (lambda x: module.sort(x), (many,)),
            "argsort": (lambda x: module.argsort(x), (many,)),
            "cumsum": (lambda x: module.cumsum(x), (many,)),
            "diff": (lambda x: module.diff(x), (many,)),
            "isclose": (lambda x, y: module.isclose(x, y), (many, many)),
            "logaddexp": (lambda x, y: module.logaddexp(x, y), (many, many)),
            "unique": (lambda i: module.unique_values(i), (index,)),
            "searchsorted": (lambda x, y: module.searchsorted(module.sort(x.reshape(-1)), y), (many, many)),
            "broadcast row": (lambda x: x + x[..., :1], (many,)),
            "copy": (lambda x: x + 0, (many,)),
            "roll": (lambda x: module.roll(x, 7), (many,)),
            "pad": (lambda x: module.pad(x, [(2, 2)] * x.ndim), (many,)),
            "outer": (lambda x: x.reshape(-1)[:1000, None] * x.reshape(-1)[None, :1000], (many,)),
            "cumulative product of three": (lambda x: x * x * x, (many,)),
            "uniform": (_uniform(module, which, shape), ()),
            "normal": (_normal(module, which, shape), ()),
        }
        table.update({f"{name} {size}": row for name, row in rows.items()})
    for size in [16, 33, 64, 200, 777]:
        for dtype in ["float32", "float64", "int32"]:
            square = ((size, size), dtype)
            table[f"matmul {dtype} {size}"] = (module.matmul, (square, square))
        table[f"matmul transposed {size}"] = (
            lambda a, b: module.matmul(a.T, b.T),
            (((size, size), "float32"), ((size, size), "float32")),
        )
    table["matmul batched 64x32x32"] = (module.matmul, (((64, 32, 32), "float32"), ((64, 32, 32), "float32")))
    table["matvec 1000"] = (module.matmul, (((1000, 1000), "float32"), ((1000,), "float32")))
    table["matvec float64 1000"] = (module.matmul, (((1000, 1000), "float64"), ((1000,), "float64")))
    table["einsum of heads"] = (
        lambda a, b: module.einsum("bihd,bjhd->bhij", a, b),
        (((4, 64, 4, 32), "float32"), ((4, 64, 4, 32), "float32")),
    )
    table["eye 1000"] = (lambda: module.eye(1000, dtype=module.float32), ())
    table["vecmat 1000"] = (module.matmul, (((1000,), "float32"), ((1000, 1000), "float32")))
    table["dot 100k"] = (module.matmul, (((100_000,), "float32"), ((100_000,), "float32")))
    for dtype in ["float32", "float64", "int32", "int64"]:
        table.update({f"{name} {dtype}": row for name, row in _layouts(module, dtype).items()})
    table.update(_masks(module))
    return table


def _layouts(module: Any, dtype: str) -> dict[str, tuple[Function, tuple[Any, ...]]]:
    """Transposed, permuted, sliced, broadcast and narrow operands."""
    square, cube, narrow, flat = (
        ((1000, 1000), dtype),
        ((100, 100, 100), dtype),
        ((100_000, 3), dtype),
        ((3, 100_000), dtype),
    )
    permuted = module.permute_dims
    rows: dict[str, tuple[Function, tuple[Any, ...]]] = {
        "transpose 2000": (lambda x: x.T + 1, (((2000, 2000), dtype),)),
        "permute 100x100x100": (lambda x: permuted(x, (2, 0, 1)) + 1, (cube,)),
        "transposed and not": (lambda x: x + x.T, (square,)),
        "transposed copy": (lambda x: x.T.reshape(-1), (square,)),
        "transposed copy of three columns": (lambda x: x.T.reshape(-1), (narrow,)),
        "transposed copy of three rows": (lambda x: x.T.reshape(-1), (flat,)),
        "permuted copy of heads": (lambda x: permuted(x, (0, 2, 1, 3)).reshape(-1), (((8, 128, 8, 64), dtype),)),
        "transposed cast": (lambda x: x.T.astype(module.float64), (square,)),
        "rows sliced": (lambda x: x[::2] + 1, (square,)),
        "columns sliced": (lambda x: x[:, ::3] + 1, (square,)),
        "window": (lambda x: x[100:900, 100:900] * 2, (square,)),
        "column broadcast": (lambda x, y: x + y, (square, ((1000, 1), dtype))),
        "row broadcast": (lambda x, y: x + y, (square, ((1000,), dtype))),
        "outer broadcast": (lambda x, y: x * y, (((1000, 1), dtype), ((1, 1000), dtype))),
        "three columns broadcast": (lambda x, y: x * y, (narrow, ((100_000, 1), dtype))),
        "three columns by three": (lambda x, y: x * y, (narrow, ((3,), dtype))),
        "where broadcast": (lambda x, y: module.where(x > y, x, y), (square, ((1000,), dtype))),
        "floor_divide by 3": (lambda x: x // 3, (square,)),
        "remainder of 7": (lambda x: x % 7, (square,)),
        "tril": (module.tril, (square,)),
        "tile": (lambda x: module.tile(x, (2, 3)), (((400, 400), dtype),)),
        "repeat rows": (lambda x: module.repeat(x, 3, axis=0), (((500, 500), dtype),)),
        "repeat columns": (lambda x: module.repeat(x, 3, axis=1), (((500, 500), dtype),)),
        "take narrow rows": (lambda x, i: module.take(x, i, axis=0), (narrow, ((100_000,), "index"))),
        "pad with a value": (_padding(module), (square,)),
        "sort 100k": (lambda x: module.sort(x), (((100_000,), dtype),)),
        "sort rows of five": (lambda x: module.sort(x), (((20_000, 5), dtype),)),
        "sort rows of sixteen": (lambda x: module.sort(x), (((6_000, 16), dtype),)),
        "sort rows of hundred": (lambda x: module.sort(x), (((1_000, 100), dtype),)),
        "sort columns": (lambda x: module.sort(x, axis=0), (((20, 5_000), dtype),)),
        "argsort rows of sixteen": (lambda x: module.argsort(x), (((6_000, 16), dtype),)),
        "cumsum axis 0": (lambda x: module.cumsum(x, axis=0), (square,)),
        "cumsum axis 1": (lambda x: module.cumsum(x, axis=1), (square,)),
        "pad images": (lambda x: module.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)]), (((32, 16, 28, 28), dtype),)),
    }
    for axis in (0, 1):
        rows[f"roll axis {axis}"] = (lambda x, axis=axis: module.roll(x, 7, axis=axis), (square,))
        rows[f"flip axis {axis}"] = (lambda x, axis=axis: module.flip(x, axis=axis) + 1, (square,))
        rows[f"concat axis {axis}"] = (lambda x, axis=axis: module.concat([x, x], axis=axis), (square,))
    for name in ["sum", "max", "mean", "argmax"]:
        function = getattr(module, name)
        shapes = {
            "of three columns": narrow,
            "of three rows": flat,
            "of sixteen columns": ((100_000, 16), dtype),
            "100x100x100": cube,
        }
        for shape, maker in shapes.items():
            for axis in range(len(maker[0])):
                rows[f"{name} axis {axis} {shape}"] = (lambda x, f=function, axis=axis: f(x, axis=axis), (maker,))
        for axis in (None, 0, 1):
            rows[f"{name} axis {axis} transposed"] = (lambda x, f=function, axis=axis: f(x.T, axis=axis), (square,))
    for axes in [(0, 1), (0, 2), (1, 2)]:
        rows[f"sum axes {axes}"] = (lambda x, axes=axes: module.sum(x, axis=axes), (cube,))
        rows[f"var axes {axes}"] = (lambda x, axes=axes: module.var(x, axis=axes), (cube,))
    return rows


def _padding(module: Any) -> Function:
    named = {"value": 2} if module.__name__ == "adret" else {"constant_values": 2}
    return lambda x: module.pad(x, [(2, 2), (2, 2)], **named)


def _masks(module: Any) -> dict[str, tuple[Function, tuple[Any, ...]]]:
    """What there is to do with truth values."""
    mask = ((1000, 1000), "bool")
    rows: dict[str, tuple[Function, tuple[Any, ...]]] = {
        "and": (lambda x, y: x & y, (mask, mask)),
        "not transposed": (lambda x: ~x.T, (mask,)),
        "transposed copy bool": (lambda x: x.T.reshape(-1), (mask,)),
        "bool to float32": (lambda x: x.astype(module.float32), (mask,)),
        "count_nonzero": (lambda x: module.count_nonzero(x), (mask,)),
        "nonzero": (lambda x: module.nonzero(x), (mask,)),
        "where of a column": (lambda x, y: module.where(x[:, :1], y, 0.0), (mask, ((1000, 1000), "float32"))),
    }
    for name in ["any", "all", "sum"]:
        for axis in (None, 0, 1):
            function = getattr(module, name)
            rows[f"{name} axis {axis} bool"] = (lambda x, f=function, axis=axis: f(x, axis=axis), (mask,))
    return rows


def _uniform(module: Any, which: int, shape: tuple[int, ...]) -> Function:
    if which:
        rng = module.random.default_rng(0)
        return lambda: rng.random(shape, dtype="float32")
    return lambda: module.random.uniform(shape)


def _normal(module: Any, which: int, shape: tuple[int, ...]) -> Function:
    if which:
        rng = module.random.default_rng(0)
        return lambda: rng.standard_normal(shape, dtype="float32")
    return lambda: module.random.normal(shape)


def _cases(library: str) -> Cases:
    import numpy as np

    def ready(function: Function, makers: tuple[Any, ...]) -> Callable[[], Work]:
        def make() -> Work:
            rng = np.random.default_rng(0)
            arrays: list[Any] = []
            for shape, dtype in makers:
                if dtype == "index":
                    arrays.append(rng.integers(0, int(np.prod(shape)), shape))
                elif dtype.startswith("unit "):
                    arrays.append((rng.random(shape) * 0.9 + 0.05).astype(dtype.removeprefix("unit ")))
                elif dtype == "bool":
                    arrays.append(rng.random(shape) < 0.5)
                elif dtype in ("int32", "int64"):
                    arrays.append(rng.integers(1, 100, shape).astype(dtype))
                else:
                    arrays.append((rng.random(shape) * 2 + 0.1).astype(dtype))
            if library == "numpy":
                return lambda: function(*arrays)
            import adret as ad

            tensors = [ad.tensor(array) for array in arrays]
            return lambda: ad.eval(function(*tensors))

        return make

    return {name: ready(function, makers) for name, (function, makers) in _table(library).items()}


LIBRARIES = {"adret": lambda: _cases("adret"), "numpy": lambda: _cases("numpy")}

if __name__ == "__main__":
    compare(list(_table("numpy")), LIBRARIES)
