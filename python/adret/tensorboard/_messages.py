"""Messages in the binary form of protocol buffers: fields with a number, a kind and a value.

Depends on nothing. Invariant: `fields` of what `message` made gives back the same numbers and values.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

Value = int | float | bytes | str
"""An integer, a double, or bytes: another message, a text, packed numbers."""


def _variable(number: int) -> bytes:
    """An integer in groups of seven bits, the lowest first."""
    number &= 0xFFFFFFFFFFFFFFFF
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def message(*parts: tuple[int, Value]) -> bytes:
    """The bytes of fields given as number and value."""
    found = bytearray()
    for number, value in parts:
        if isinstance(value, int):
            found += _variable(number << 3) + _variable(value)
        elif isinstance(value, float):
            found += _variable(number << 3 | 1) + struct.pack("<d", value)
        else:
            data = value.encode() if isinstance(value, str) else value
            found += _variable(number << 3 | 2) + _variable(len(data)) + data
    return bytes(found)


def single(number: int, value: float) -> bytes:
    """A field with a number of 32 bits; what is too large becomes infinite."""
    try:
        packed = struct.pack("<f", value)
    except OverflowError:
        packed = struct.pack("<f", float("inf") if value > 0 else float("-inf"))
    return _variable(number << 3 | 5) + packed


def packed(values: list[float]) -> bytes:
    """Doubles, one after the other."""
    return struct.pack(f"<{len(values)}d", *values)


def unpacked(data: bytes) -> list[float]:
    """Doubles, one after the other.

    Raises:
        ValueError: If bytes are left over.
    """
    if len(data) % 8:
        raise ValueError("doubles that are cut off")
    return list(struct.unpack(f"<{len(data) // 8}d", data))


def fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Number and value of every field; numbers of 32 bits are floats.

    Raises:
        ValueError: If the bytes are no message.
    """
    place = 0
    while place < len(data):
        key, place = _number(data, place)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, place = _number(data, place)
            yield number, value
            continue
        if kind == 2:
            size, place = _number(data, place)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of the unknown kind {kind}")
        part = data[place : place + size]
        if len(part) < size:
            raise ValueError("a field that is cut off")
        place += size
        yield number, part if kind == 2 else struct.unpack("<d" if kind == 1 else "<f", part)[0]


def _number(data: bytes, place: int) -> tuple[int, int]:
    """A number of variable length, and the place behind it."""
    found = shift = 0
    while True:
        if place >= len(data) or shift > 63:
            raise ValueError("an integer that is cut off")
        byte = data[place]
        found |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return found & 0xFFFFFFFFFFFFFFFF, place
