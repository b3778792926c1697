"""What the Array API standard asks for besides functions of tensors: facts about dtypes, and helpers.

Depends on the core only. Invariant: nothing here computes on elements.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

from . import _core
from ._core import DomainError, DType, DTypeError, Tensor, dtype

__array_api_version__ = "2025.12"

e = 2.718281828459045
inf = float("inf")
nan = float("nan")
newaxis = None
pi = 3.141592653589793


class FloatInfo(NamedTuple):
    """Limits of a floating-point dtype."""

    dtype: DType
    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float


class IntegerInfo(NamedTuple):
    """Limits of an integer dtype."""

    dtype: DType
    bits: int
    max: int
    min: int


_FLOATS = {
    # name: bits of the mantissa, largest exponent
    "float16": (10, 15),
    "bfloat16": (7, 127),
    "float32": (23, 127),
    "float64": (52, 1023),
}
_SIGNED = ("int8", "int16", "int32", "int64")
_UNSIGNED = ("uint8", "uint16", "uint32", "uint64")


def _dtype_of(type: DType | Tensor | str) -> DType:
    return type.dtype if isinstance(type, Tensor) else dtype(type)


def finfo(type: DType | Tensor | str, /) -> FloatInfo:
    """Limits of a floating-point dtype.

    Args:
        type: A dtype, its name, or a tensor.

    Returns:
        `dtype`, `bits`, `eps`, `max`, `min` and `smallest_normal`.

    Raises:
        DTypeError: If it is not a floating-point dtype.

    Example:
        >>> ad.finfo(ad.float64).eps
        2.220446049250313e-16
    """
    found = _dtype_of(type)
    if found.name not in _FLOATS:
        raise DTypeError(f"finfo: {found.name} is no floating-point dtype. Use iinfo.")
    mantissa, exponent = _FLOATS[found.name]
    largest = (2.0 - 2.0**-mantissa) * 2.0**exponent
    return FloatInfo(found, found.itemsize * 8, 2.0**-mantissa, largest, -largest, 2.0 ** (1 - exponent))


def iinfo(type: DType | Tensor | str, /) -> IntegerInfo:
    """Limits of an integer dtype.

    Args:
        type: A dtype, its name, or a tensor.

    Returns:
        `dtype`, `bits`, `max` and `min`.

    Raises:
        DTypeError: If it is not an integer dtype.

    Example:
        >>> ad.iinfo("int8").max
        127
    """
    found = _dtype_of(type)
    bits = found.itemsize * 8
    if found.name in _SIGNED:
        return IntegerInfo(found, bits, 2 ** (bits - 1) - 1, -(2 ** (bits - 1)))
    if found.name in _UNSIGNED:
        return IntegerInfo(found, bits, 2**bits - 1, 0)
    raise DTypeError(f"iinfo: {found.name} is no integer dtype. Use finfo.")


_KINDS = {
    "bool": ("bool",),
    "signed integer": _SIGNED,
    "unsigned integer": _UNSIGNED,
    "integral": _SIGNED + _UNSIGNED,
    "real floating": tuple(_FLOATS),
    "complex floating": (),
    "numeric": _SIGNED + _UNSIGNED + tuple(_FLOATS),
}


def isdtype(dtype: DType, kind: DType | str | tuple[DType | str, ...], /) -> bool:
    """Whether a dtype is another, or of a kind, or one of several.

    Kinds are "bool", "signed integer", "unsigned integer", "integral", "real floating", "complex floating", "numeric".

    Args:
        dtype: The dtype in question.
        kind: A dtype, the name of a kind, or a tuple of these.

    Raises:
        DomainError: If there is no such kind.

    Example:
        >>> ad.isdtype(ad.int8, "integral")
        True
    """
    if isinstance(kind, tuple):
        return any(isdtype(dtype, one) for one in kind)
    if isinstance(kind, DType):
        return dtype == kind
    if kind not in _KINDS:
        raise DomainError(f"isdtype: kind {kind!r} is unknown. Use one of {', '.join(_KINDS)}.")
    return dtype.name in _KINDS[kind]


def result_type(*operands: Tensor | DType | bool | int | float) -> DType:
    """The dtype that tensors, dtypes and weak Python numbers promote to.

    Args:
        *operands: Tensors, dtypes, and Python numbers, which count by their kind only.

    Raises:
        DomainError: If there are only numbers.

    Example:
        >>> ad.result_type(ad.float32, ad.int8), ad.result_type(ad.int8, 1.5)
        (adret.float32, adret.float32)
    """
    strong = [_dtype_of(operand) for operand in operands if isinstance(operand, Tensor | DType)]
    weak = [operand for operand in operands if not isinstance(operand, Tensor | DType)]
    if not strong:
        raise DomainError("result_type: there is no tensor and no dtype. Pass one at least.")
    result = functools.reduce(_core.promote_types, strong)
    if any(isinstance(number, float) for number in weak) and not result.is_floating_point:
        return _core.get_default_dtype()
    if result == _core.bool and any(type(number) is int for number in weak):
        return _core.int64
    return result


def can_cast(from_: DType | Tensor | str, to: DType | str, /) -> bool:
    """Whether promotion leads from one dtype to another.

    Args:
        from_: A dtype, its name, or a tensor.
        to: The dtype, or its name, in question.

    Example:
        >>> ad.can_cast(ad.int8, ad.float32), ad.can_cast(ad.float32, ad.int8)
        (True, False)
    """
    return _core.promote_types(_dtype_of(from_), to) == dtype(to)


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that several shapes broadcast to.

    Args:
        *shapes: Tuples of sizes.

    Raises:
        ShapeError: If they do not fit together.

    Example:
        >>> ad.broadcast_shapes((3, 1), (4,))
        (3, 4)
    """
    result: list[int] = []
    for shape in shapes:
        sizes = [*[1] * (len(result) - len(shape)), *shape]
        result = [*[1] * (len(sizes) - len(result)), *result]
        for axis, size in enumerate(sizes):
            if result[axis] == 1:
                result[axis] = size
            elif size not in (1, result[axis]):
                listed = ", ".join(map(str, shapes))
                raise _core.ShapeError(
                    f"broadcast_shapes: {listed}: sizes {result[axis]} and {size} meet, counted from the last axis at "
                    f"{axis - len(sizes)}. Sizes must be equal or 1."
                )
    return tuple(result)


def broadcast_arrays(*arrays: Tensor) -> list[Tensor]:
    """The tensors, all of the shape that they broadcast to.

    Args:
        *arrays: Tensors.

    Raises:
        ShapeError: If their shapes do not fit together.

    Example:
        >>> [x.shape for x in ad.broadcast_arrays(ad.zeros((3, 1)), ad.zeros(4))]
        [(3, 4), (3, 4)]
    """
    shape = broadcast_shapes(*(array.shape for array in arrays))
    return [_core.broadcast_to(array, shape) for array in arrays]


def meshgrid(*arrays: Tensor, indexing: str = "xy") -> list[Tensor]:
    """Coordinates of a grid from the coordinates of its axes.

    Args:
        *arrays: One vector per axis.
        indexing: "xy" exchanges the first two axes of the results, "ij" does not.

    Example:
        >>> ad.meshgrid(ad.arange(2), ad.arange(3))[0].shape
        (3, 2)
    """
    if indexing not in ("xy", "ij"):
        raise DomainError(f"meshgrid: indexing is {indexing!r}. Use 'xy' or 'ij'.")
    rank = len(arrays)
    order = list(range(rank))
    if indexing == "xy" and rank > 1:
        order[:2] = [1, 0]
    shapes = [[1] * rank for _ in arrays]
    for shape, axis in zip(shapes, order, strict=True):
        shape[axis] = -1
    return broadcast_arrays(*(array.reshape(*shape) for array, shape in zip(arrays, shapes, strict=True)))


class Info:
    """Facts about the namespace, as the Array API asks for them.

    Example:
        >>> ad.__array_namespace_info__().default_device()
        'cpu'
    """

    def capabilities(self) -> dict[str, Any]:
        """What the namespace can do beyond the obvious."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": None}

    def default_device(self) -> str:
        """Where new tensors are made."""
        return _core.get_default_device()

    def default_dtypes(self, *, device: str | None = None) -> dict[str, DType]:
        """The dtypes of Python's numbers."""
        return {"real floating": _core.get_default_dtype(), "integral": _core.int64, "indexing": _core.int64}

    def devices(self) -> list[str]:
        """The devices of this machine."""
        return list(_core.devices())

    def dtypes(self, *, device: str | None = None, kind: str | tuple[str, ...] | None = None) -> Mapping[str, DType]:
        """The standard's dtypes by name, of a kind."""
        names = [name for name in ("bool", *_KINDS["numeric"]) if name not in ("float16", "bfloat16")]
        return {name: dtype(name) for name in names if kind is None or isdtype(dtype(name), kind)}


def __array_namespace_info__() -> Info:  # noqa: N807
    """Facts about the namespace.

    Example:
        >>> ad.__array_namespace_info__().capabilities()["boolean indexing"]
        True
    """
    return Info()
