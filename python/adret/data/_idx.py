"""IDX files, the format of MNIST: a magic number, sizes, then bytes; plain or compressed by gzip.

Depends on the core. Invariant: no more bytes are read or decompressed than the header speaks of, and a header is
believed only as far as the pictures' kind allows.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from .._core import FileFormatError

# No set of small pictures is larger; what claims to be is an attack on memory.
LARGEST = 1 << 30
_CHUNK = 1 << 20
_GZIP = b"\x1f\x8b"
_ADVICE = "Take the file from its source again."


def wrong(name: str, path: object, offset: int, what: str, advice: str = _ADVICE) -> FileFormatError:
    """The error of a damaged file: who reads, which file, at which byte, what is wrong."""
    return FileFormatError(f"{name}: {path}: byte {offset}: {what}. {advice}")


def read_idx(name: str, path: Path, axes: tuple[int | None, ...]) -> Any:
    """The bytes of an IDX file as an array of NumPy.

    Args:
        name: Who asks, for messages.
        path: The file, compressed or not; which one is seen from its first bytes, not from its name.
        axes: The sizes that the file must have; None where any number is right.

    Raises:
        FileFormatError: If magic number, sizes or length are not those of such a file.
    """
    import numpy as np

    head = 4 + 4 * len(axes)

    def length(header: bytes) -> int:
        return head + prod(_sizes(name, path, header, axes))

    content = read_whole(name, path, head, length)
    sizes = _sizes(name, path, bytes(content[:head]), axes)
    return np.frombuffer(content, np.uint8, offset=head).reshape(sizes)


def _sizes(name: str, path: Path, header: bytes, axes: tuple[int | None, ...]) -> list[int]:
    magic = 0x0800 + len(axes)  # bytes without sign, and the number of axes
    found = int.from_bytes(header[:4], "big")
    if found != magic:
        kinds = {0x0801: ", the one of labels", 0x0803: ", the one of pictures"}
        raise wrong(name, path, 0, f"the magic number is 0x{found:08x}{kinds.get(found, '')}, not 0x{magic:08x}")
    sizes: list[int] = []
    for axis, wanted in enumerate(axes):
        offset = 4 + 4 * axis
        size = int.from_bytes(header[offset : offset + 4], "big", signed=True)
        if size < 1:
            raise wrong(name, path, offset, f"the size of axis {axis} is {size}, not a positive number")
        if wanted is not None and size != wanted:
            raise wrong(name, path, offset, f"the size of axis {axis} is {size}, not {wanted}")
        sizes.append(size)
    if prod(sizes) > LARGEST:
        raise wrong(name, path, 4, f"the sizes {sizes} mean {prod(sizes)} bytes; more than {LARGEST} are not read")
    return sizes


def read_whole(name: str, path: Path, head: int, length: Callable[[bytes], int]) -> bytearray:
    """A file's content, decompressed where it is compressed, which must have exactly the length it says.

    Args:
        name: Who asks, for messages.
        path: The file.
        head: Length of the header in bytes.
        length: The whole length in bytes, header and all, from the header.

    Raises:
        FileFormatError: If the content ends early, goes on, or cannot be decompressed.
    """
    import gzip

    with path.open("rb") as file:
        is_compressed = file.read(2) == _GZIP
        file.seek(0)
        stream: Any = gzip.GzipFile(fileobj=file) if is_compressed else file
        unit = " (decompressed)" if is_compressed else ""
        content = bytearray()
        try:
            _extend(stream, content, head)
            if len(content) < head:
                raise wrong(name, path, len(content), f"the file ends{unit} in its header of {head} bytes")
            whole = length(bytes(content))
            _extend(stream, content, whole + 1)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            reason = str(error).rstrip(".")
            raise wrong(name, path, file.tell(), f"gzip cannot go on after {len(content)} bytes: {reason}") from None
        if len(content) < whole:
            what = f"the content ends{unit} and its header speaks of {whole} bytes"
            raise wrong(name, path, len(content), what)
        if len(content) > whole:
            raise wrong(
                name, path, whole, f"the content goes on{unit} after the {whole} bytes that its header speaks of"
            )
        return content


def _extend(stream: BinaryIO, content: bytearray, length: int) -> None:
    """Reads on until the content has that length or the stream ends; in chunks, so that only real bytes take memory."""
    while len(content) < length:
        chunk = stream.read(min(_CHUNK, length - len(content)))
        if not chunk:
            return
        content += chunk


def decompressed(name: str, path: Path, largest: int) -> bytes:
    """The whole content of a gzip file, which may have at most `largest` bytes.

    Raises:
        FileFormatError: If it cannot be decompressed, or is larger.
    """
    import gzip

    content = bytearray()
    with path.open("rb") as file:
        try:
            _extend(gzip.GzipFile(fileobj=file), content, largest + 1)  # pyright: ignore[reportArgumentType]
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            reason = str(error).rstrip(".")
            raise wrong(name, path, file.tell(), f"gzip cannot go on after {len(content)} bytes: {reason}") from None
    if len(content) > largest:
        raise wrong(name, path, 0, f"the decompressed content has more than {largest} bytes, which are not read")
    return bytes(content)
