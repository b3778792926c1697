"""DLPack capsules taken apart and made by hand, as another library's extension would.

Depends on ctypes. Invariant: what `Taken` has taken is given back once, by `release`; what `Array` hands out is counted
until then.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np

DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class DLTensor(ctypes.Structure):
    """`DLTensor` of dlpack.h."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("kind", ctypes.c_int32),
        ("number", ctypes.c_int32),
        ("rank", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class Versioned(ctypes.Structure):
    """`DLManagedTensorVersioned`."""

    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", DELETER),
        ("flags", ctypes.c_uint64),
        ("array", DLTensor),
    ]


class Legacy(ctypes.Structure):
    """`DLManagedTensor`."""

    _fields_ = [("array", DLTensor), ("context", ctypes.c_void_p), ("deleter", DELETER)]


_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
_rename = ctypes.pythonapi.PyCapsule_SetName
_rename.restype, _rename.argtypes = ctypes.c_int, [ctypes.py_object, ctypes.c_char_p]
_new = ctypes.pythonapi.PyCapsule_New
_new.restype, _new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, DELETER]


class Taken:
    """What a consumer of a capsule holds: where the elements are, and the duty to give them back."""

    def __init__(self, capsule: object) -> None:
        versioned = "versioned" in repr(capsule)
        name = b"dltensor_versioned" if versioned else b"dltensor"
        self.address = _pointer(capsule, name)
        self.managed = (Versioned if versioned else Legacy).from_address(self.address)
        self.flags = self.managed.flags if versioned else None
        self.array = self.managed.array
        _rename(capsule, b"used_" + name)
        self.used_name = b"used_" + name

    @property
    def device(self) -> tuple[int, int]:
        """Device type and number."""
        return self.array.kind, self.array.number

    def numpy(self) -> np.ndarray:
        """The elements, where the processor can read their address; the memory is shared."""
        kinds = {0: "i", 1: "u", 2: "f", 6: "b"}
        dtype = np.dtype(f"{kinds[self.array.code]}{self.array.bits // 8}")
        shape, strides = self.array.shape[: self.array.rank], self.array.strides[: self.array.rank]
        bytes_ = [stride * dtype.itemsize for stride in strides]
        reach = [(size - 1) * stride for size, stride in zip(shape, bytes_, strict=True)]
        low, high = sum(min(part, 0) for part in reach), sum(max(part, 0) for part in reach) + dtype.itemsize
        if 0 in shape:
            return np.empty(shape, dtype)
        memory = (ctypes.c_char * (high - low)).from_address(self.array.data + self.array.byte_offset + low)
        return np.ndarray(shape, dtype, memory, -low, bytes_)

    def release(self) -> None:
        """Gives the elements back."""
        self.managed.deleter(self.address)


class Array:
    """An array of a library on CUDA's device `number`: elements of NumPy's, at addresses that stand for CUDA's."""

    def __init__(self, elements: np.ndarray, number: int = 1, kind: int = 2, *, old: bool = False) -> None:
        self.elements, self.number, self.kind, self.old = elements, number, kind, old
        self.asked: list[dict] = []
        self.alive = 0
        self._kept: list[object] = []

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.kind, self.number

    def __dlpack__(self, **arguments) -> object:
        self.asked.append(arguments)
        if self.old and set(arguments) - {"stream"}:
            raise TypeError("this library is from before DLPack 1.0")
        if arguments.get("dl_device") == (1, 0):
            return self.elements.copy().__dlpack__(max_version=arguments.get("max_version"))
        return self._capsule(versioned=not self.old)

    def _capsule(self, *, versioned: bool) -> object:
        x = self.elements
        shape = (ctypes.c_int64 * x.ndim)(*x.shape)
        strides = (ctypes.c_int64 * x.ndim)(*(stride // x.itemsize for stride in x.strides))
        name = b"dltensor_versioned" if versioned else b"dltensor"

        @DELETER
        def give_back(_: int) -> None:
            self.alive -= 1

        @DELETER
        def forget(capsule: int) -> None:
            valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(
                ("PyCapsule_IsValid", ctypes.pythonapi)
            )
            if valid(capsule, name):
                give_back(0)

        pointer = ctypes.POINTER(ctypes.c_int64)
        code = {"i": 0, "u": 1, "f": 2, "b": 6}[x.dtype.kind]
        array = DLTensor(
            x.ctypes.data,
            self.kind,
            self.number,
            x.ndim,
            code,
            x.itemsize * 8,
            1,
            ctypes.cast(shape, pointer),
            ctypes.cast(strides, pointer),
            0,
        )
        managed = Versioned(1, 0, None, give_back, 0, array) if versioned else Legacy(array, None, give_back)
        self._kept += [shape, strides, managed, give_back, forget]
        self.alive += 1
        return _new(ctypes.addressof(managed), name, forget)


def views(x: np.ndarray) -> Sequence[np.ndarray]:
    """Views of a matrix with strides of every kind."""
    return [x, x.T, x[::-1], x[:, ::-2], x[1:, 2:], x[0, 0, ...], x[:0], np.broadcast_to(x[:1], x.shape)]
