"""Pictures as PNG files, the plainest kind: eight bits, no filters.

Depends on the standard library. Invariant: `decoded` gives back what `encoded` was given.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Channels, and the kind of colour that the format calls so.
_COLOURS = {1: 0, 3: 2, 4: 6}


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def encoded(picture: Any) -> bytes:
    """The file of a picture `[height, width, 1, 3 or 4]` of bytes, an array of NumPy."""
    height, width, channels = picture.shape
    rows = b"".join(b"\0" + row.tobytes() for row in picture)
    head = struct.pack(">IIBBBBB", width, height, 8, _COLOURS[channels], 0, 0, 0)
    return _SIGNATURE + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def decoded(data: bytes) -> Any:
    """The picture `[height, width, channels]` of a file that `encoded` made.

    Raises:
        ValueError: If it is no such file.
    """
    import numpy as np

    if data[:8] != _SIGNATURE or data[12:16] != b"IHDR" or len(data) < 41:
        raise ValueError("a picture that is no PNG file")
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", data[16:29])
    channels = next((count for count, kind in _COLOURS.items() if kind == colour), 0)
    size = height * (1 + width * channels)
    if depth != 8 or not channels or any(rest) or not 0 < size <= 1 << 28:
        raise ValueError("a picture of another kind than is written here")
    (length,) = struct.unpack(">I", data[33:37])
    stream = zlib.decompressobj()
    try:
        rows = stream.decompress(data[41 : 41 + length], size + 1)
    except zlib.error as error:
        raise ValueError(f"a picture that cannot be decompressed: {error}") from None
    if len(rows) != size:
        raise ValueError("a picture that is cut off, or too long")
    lines = np.frombuffer(rows, np.uint8).reshape(height, -1)
    if lines[:, 0].any():
        raise ValueError("a picture with filters, which are not written here")
    return lines[:, 1:].reshape(height, width, channels)
