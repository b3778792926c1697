"""Files of other formats: what they are, and the way from there to here.

Depends on the installed package. Invariant: nothing in them is executed.
"""

from __future__ import annotations

import gzip
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import adret as ad
import numpy as np
import pytest


class Danger:
    """Leaves a trace if it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return open, ("/nonexistent/unpickled", "w")


def _zip(path: Path, member: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, b"x")


WRITERS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a.npz": (lambda path: np.savez(path, x=np.ones(3)), "archive of arrays (.npz)", "numpy.load"),
    "a.npy": (lambda path: np.save(path, np.ones(3)), "a NumPy array (.npy)", "numpy.load"),
    "a.pt": (lambda path: _zip(path, "archive/data.pkl"), "a checkpoint of PyTorch", "safetensors.torch.save_file"),
    "a.pkl": (lambda path: path.write_bytes(pickle.dumps(Danger())), "a pickle", "safetensors.torch.save_file"),
    "a.zip": (lambda path: _zip(path, "notes.txt"), "a zip archive", "Take out"),
    "a.h5": (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + b"0" * 90), "an HDF5 file", "h5py"),
    "a.gz": (lambda path: path.write_bytes(gzip.compress(b"x", mtime=1_700_000_000)), "gzip", "Unpack it"),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("read", [ad.load, ad.inspect])
def test_the_kind_of_file_is_named(tmp_path: Path, name: str, read: Callable[[Path], object]) -> None:
    write, kind, advice = WRITERS[name]
    write(tmp_path / name)
    with pytest.raises(ad.FileFormatError) as raised:
        read(tmp_path / name)
    text = str(raised.value)
    assert text.startswith(f"{read.__name__}: {tmp_path / name} is ")
    assert kind in text
    assert advice in text


@pytest.mark.parametrize(
    "start", [b"PK\x03\x04", b"PK\x03\x04" + b"\0" * 60, b"\x80\x02" + b"\0" * 30, b"\x1f\x8b", b""]
)
def test_damaged_files_are_told_as_before(tmp_path: Path, start: bytes) -> None:
    (tmp_path / "x").write_bytes(start)
    with pytest.raises(ad.FileFormatError, match="damaged or not in the safetensors format"):
        ad.load(tmp_path / "x")
