"""CIFAR's binary files: records of label bytes and 3 x 32 x 32 bytes of picture, in a folder or an archive.

Depends on `_idx` for errors and bounded reading. Invariant: an archive is never unpacked to the disk, and nothing in it
is found but by its exact name.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

from .._core import FileFormatError
from ._idx import decompressed, wrong

PICTURE = 3 * 32 * 32
# The archives have 177 and 186 MB inside.
LARGEST = 512 << 20


class Kind(NamedTuple):
    """What the files of one set are called and how a record begins."""

    name: str
    folder: str
    archive: str
    pickles: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    labels: tuple[tuple[str, int], ...]
    """For each label byte its name and the number of classes."""


CIFAR10 = Kind(
    "cifar10",
    "cifar-10-batches-bin",
    "cifar-10-binary.tar.gz",
    "cifar-10-batches-py",
    tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    ("test_batch.bin",),
    (("label", 10),),
)
CIFAR100 = Kind(
    "cifar100",
    "cifar-100-binary",
    "cifar-100-binary.tar.gz",
    "cifar-100-python",
    ("train.bin",),
    ("test.bin",),
    (("coarse label", 20), ("fine label", 100)),
)


def read_cifar(kind: Kind, place: Path) -> tuple[Any, Any, Any, Any]:
    """Pictures `[n, 3, 32, 32]` and labels `[n, label bytes]` for training and for testing, as arrays of NumPy.

    Raises:
        FileNotFoundError: If neither the files nor the archive are there; says which are expected where.
        FileFormatError: If a file or the archive is damaged.
    """
    import numpy as np

    names = (*kind.train, *kind.test)
    contents = _from_folder(kind, place) or _from_archive(kind, place)
    parts = {name: _records(kind, where, content) for name, (where, content) in zip(names, contents, strict=True)}
    train = np.concatenate([parts[name] for name in kind.train])
    test = np.concatenate([parts[name] for name in kind.test])
    count = len(kind.labels)

    def pictures(records: Any) -> Any:
        return records[:, count:].reshape(-1, 3, 32, 32)

    return pictures(train), train[:, :count], pictures(test), test[:, :count]


def _from_folder(kind: Kind, place: Path) -> list[tuple[str, bytes]]:
    """Name and content of every file, of a folder that has them; nothing where none has any."""
    names = (*kind.train, *kind.test)
    for folder in (place / kind.folder, place):
        present = [name for name in names if (folder / name).is_file()]
        if missing := [name for name in names if present and name not in present]:
            raise FileNotFoundError(f"{kind.name}: {folder} has no {', '.join(missing)}. Put the missing files there.")
        if present:
            for name in names:
                size = (folder / name).stat().st_size
                if size > LARGEST:
                    raise wrong(kind.name, folder / name, 0, f"the file has {size} bytes; {LARGEST} are read at most")
            return [(str(folder / name), (folder / name).read_bytes()) for name in names]
    return []


def _from_archive(kind: Kind, place: Path) -> list[tuple[str, bytes]]:
    path = place if place.is_file() else place / kind.archive
    if not path.is_file():
        pickled = [folder for folder in (place / kind.pickles, place) if (folder / _pickle_of(kind)).is_file()]
        hint = f" {pickled[0]} is the Python version: pickles, which could run anything." if pickled else ""
        raise FileNotFoundError(
            f"{kind.name}: {place} has neither {', '.join((*kind.train, *kind.test))}, in itself or in {kind.folder}, "
            f"nor {kind.archive}.{hint} Nothing is downloaded: put the binary version there, unpacked or not."
        )
    content = decompressed(kind.name, path, LARGEST)
    found: dict[str, tuple[str, bytes]] = {}
    wanted = {f"{kind.folder}/{name}": name for name in (*kind.train, *kind.test)}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            for member in archive:
                name = wanted.get(member.name.removeprefix("./"))
                if name is None:
                    continue
                begin, end = member.offset_data, member.offset_data + member.size
                if name in found or not member.isreg() or member.issparse() or not begin <= end <= len(content):
                    what = f"the archive's member {member.name} is there twice, no plain file, or cut off"
                    raise wrong(kind.name, path, member.offset, what)
                found[name] = (f"{path}: {member.name}", content[begin:end])
    except FileFormatError:
        raise
    except (tarfile.TarError, ValueError, OverflowError, EOFError, RecursionError) as error:
        raise wrong(kind.name, path, 0, f"the archive's table of contents is damaged: {error or 'nested'}") from None
    if missing := [member for member, name in wanted.items() if name not in found]:
        raise wrong(kind.name, path, len(content), f"the archive has no {', '.join(missing)}")
    return [found[name] for name in (*kind.train, *kind.test)]


def _pickle_of(kind: Kind) -> str:
    return kind.train[0].removesuffix(".bin")


def _records(kind: Kind, where: str, content: bytes) -> Any:
    import numpy as np

    size = len(kind.labels) + PICTURE
    if not content or len(content) % size:
        raise wrong(
            kind.name, where, len(content), f"the file ends after {len(content)} bytes, not after records of {size}"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, size)
    for column, (label, classes) in enumerate(kind.labels):
        bad = np.flatnonzero(records[:, column] >= classes)
        if len(bad):
            row = int(bad[0])
            what = f"the {label} of picture {row} is {records[row, column]}, and there are {classes} classes"
            raise wrong(kind.name, where, row * size + column, what)
    return records
