"""Records of an event file: a length, its checksum, the data, their checksum.

Depends on the core's errors. Invariant: a record is returned only if both checksums are right.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from .._core import FileFormatError

# An event is a number, a picture or a histogram; what claims to be larger is damage.
LARGEST = 1 << 28


@cache
def _table() -> tuple[int, ...]:
    """The remainders of all bytes, for the polynomial of CRC-32C (reflected)."""
    found: list[int] = []
    for byte in range(256):
        rest = byte
        for _ in range(8):
            rest = rest >> 1 ^ (0x82F63B78 if rest & 1 else 0)
        found.append(rest)
    return tuple(found)


def crc32c(data: bytes) -> int:
    """The checksum CRC-32C (Castagnoli)."""
    table = _table()
    rest = 0xFFFFFFFF
    for byte in data:
        rest = table[(rest ^ byte) & 0xFF] ^ rest >> 8
    return rest ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    """The checksum as files hold it: turned, and shifted by a constant, so that it may be part of data itself."""
    rest = crc32c(data)
    return ((rest >> 15 | rest << 17 & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF


def record(data: bytes) -> bytes:
    """The bytes of one record."""
    length = struct.pack("<Q", len(data))
    return b"".join((length, struct.pack("<I", masked(length)), data, struct.pack("<I", masked(data))))


def records(path: Path) -> Iterator[tuple[int, bytes]]:
    """Place and data of every whole record; one that the writer has not finished at the end is left out.

    Raises:
        FileFormatError: If a checksum is wrong, or a length is beyond all measure.
    """
    with path.open("rb") as file:
        place = 0
        while len(head := file.read(12)) == 12:
            length, check = struct.unpack("<QI", head)
            if masked(head[:8]) != check:
                raise _damaged(path, place, "the checksum of the length is wrong")
            if length > LARGEST:
                raise _damaged(path, place, f"the length is {length}, more than {LARGEST} bytes")
            data, tail = file.read(length), file.read(4)
            if len(data) < length or len(tail) < 4:
                return
            if struct.unpack("<I", tail)[0] != masked(data):
                raise _damaged(path, place + 12, "the checksum of the data is wrong")
            yield place + 12, data
            place += 16 + length


def _damaged(path: Path, place: int, what: str) -> FileFormatError:
    return FileFormatError(f"read_events: {path}: byte {place}: {what}. Write the file again.")
