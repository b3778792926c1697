"""Files that lie: each is refused with its name, a byte and, where there is one, the tensor.

Depends on adret. Invariant: no file makes the library crash, hang, or take what is not exactly in the format.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import adret as ad
import pytest

POSIX = pytest.mark.skipif(os.name != "posix", reason="pipes and owners are POSIX's")


def _file(header: str | bytes | dict[str, Any], data: int | bytes = 0, length: int | None = None) -> bytes:
    """A file of this header, with so many bytes of data, that claims `length` bytes of header."""
    text = json.dumps(header, separators=(",", ":")) if isinstance(header, dict) else header
    text = text.encode() if isinstance(text, str) else text
    data = bytes(data) if isinstance(data, int) else data
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def _entry(dtype: str, shape: list[Any], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@dataclass(frozen=True)
class Lie:
    """A file that must be refused.

    Attributes:
        content: Its bytes.
        byte: Where the fault is said to lie.
        tensor: The tensor that is named.
        says: A part of the message.
    """

    content: bytes
    byte: int
    tensor: str | None
    says: str


X = '{"x":'  # 5 bytes: the first entry begins at byte 13.
TWICE = '{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"x":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}'
LIES = {
    "empty file": Lie(b"", 0, None, "ends after 0 bytes"),
    "seven bytes": Lie(bytes(7), 7, None, "ends after 7 bytes"),
    "no header": Lie(bytes(8), 8, None, "does not begin with '{'"),
    "header beyond the file": Lie(_file("{}", length=3), 0, None, "would have 3 bytes, and the file ends after 2"),
    "header of 2^63": Lie(_file("{}", length=2**63), 0, None, "100000000 are allowed"),
    "header of 2^64 - 1": Lie(_file("{}", length=2**64 - 1), 0, None, "100000000 are allowed"),
    "header of 100 MB": Lie(_file("{}", length=100_000_000), 0, None, "the file ends after 2"),
    "bad UTF-8": Lie(_file(b'{"\xff":1}'), 10, None, "0xff is not UTF-8"),
    "list": Lie(_file("[]"), 8, None, "begin with '{'"),
    "leading space": Lie(_file(" {}"), 8, None, "begin with '{'"),
    "cut JSON": Lie(_file('{"x":'), 12, None, "no JSON object"),
    "bad JSON": Lie(_file('{"x" 1}'), 13, None, "no JSON object"),
    "two objects": Lie(_file("{}{}"), 10, None, "no JSON object"),
    "zero after the header": Lie(_file("{}\0"), 10, None, "no JSON object"),
    "name with a bad escape": Lie(_file('{"\\ud800":1}'), 16, None, "no JSON object"),
    "entry is a number": Lie(_file('{"x":1}'), 13, "x", "the entry is no object"),
    "entry is a list": Lie(_file('{"x":["U8",[1],[0,1]]}', 1), 13, "x", "the entry is no object"),
    "no dtype": Lie(_file('{"x":{"shape":[1],"data_offsets":[0,1]}}', 1), 46, "x", "missing field `dtype`"),
    "no shape": Lie(_file('{"x":{"dtype":"U8","data_offsets":[0,1]}}', 1), 47, "x", "missing field `shape`"),
    "no offsets": Lie(_file('{"x":{"dtype":"U8","shape":[1]}}', 1), 38, "x", "missing field `data_offsets`"),
    "dtype twice": Lie(_file('{"x":{"dtype":"U8","dtype":"U8"}}'), 33, "x", "duplicate field"),
    "another member": Lie(_file('{"x":{"dtype":"U8","more":1}}'), 32, "x", "unknown field `more`"),
    "name twice": Lie(_file(TWICE, 2), 65, "x", "twice"),
    "metadata twice": Lie(_file('{"__metadata__":{},"__metadata__":{}}'), 42, "__metadata__", "twice"),
    "metadata is null": Lie(_file('{"__metadata__":null}'), 27, None, "no object of texts"),
    "metadata of numbers": Lie(_file('{"__metadata__":{"a":1}}'), 29, None, "no object of texts"),
    "metadata's name twice": Lie(_file('{"__metadata__":{"a":"","a":""}}'), 24, None, '"a" twice'),
    "unknown dtype": Lie(_file({"x": _entry("Q7", [1], 0, 1)}, 1), 25, "x", "Q7"),
    "dtype of others": Lie(_file({"x": _entry("F8_E4M3", [1], 0, 1)}, 1), 13, "x", "F8_E4M3 cannot be computed with"),
    "complex": Lie(_file({"x": _entry("C64", [1], 0, 8)}, 8), 13, "x", "C64 cannot be computed with"),
    "negative size": Lie(_file({"x": _entry("U8", [-1], 0, 1)}, 1), 37, "x", "invalid value: integer `-1`"),
    "fractional size": Lie(_file({"x": _entry("U8", [1.5], 0, 1)}, 1), 38, "x", "floating point `1.5`"),
    "size of 2^64": Lie(_file({"x": _entry("U8", [2**64], 0, 1)}, 1), 55, "x", "invalid type: floating point"),
    "product of sizes": Lie(_file({"x": _entry("U8", [2**33, 2**33], 0, 1)}, 1), 13, "x", "more elements than memory"),
    "product with a zero": Lie(_file({"x": _entry("U8", [2**63, 2, 0], 0, 0)}), 13, "x", "more elements than memory"),
    "bytes of the product": Lie(_file({"x": _entry("F64", [2**61], 0, 0)}), 13, "x", "more elements than memory"),
    "axes": Lie(_file({"x": _entry("U8", [1] * 65, 0, 1)}, 1), 13, "x", "65 axes are more than 64"),
    "size for another dtype": Lie(_file({"x": _entry("F32", [2], 0, 4)}, 4), 13, "x", "takes 8 bytes"),
    "offsets backwards": Lie(_file({"x": _entry("U8", [1], 1, 0)}, 1), 13, "x", "run backwards, 1 to 0"),
    "offsets of 2^64": Lie(_file({"x": _entry("U8", [1], 0, 2**64)}, 1), 76, "x", "floating point"),
    "offsets overflow": Lie(_file({"x": _entry("U8", [1], 2**64 - 2, 2**64 - 1)}, 1), 13, "x", "beyond any file"),
    "data missing": Lie(_file({"x": _entry("U8", [9], 0, 9)}, 8), 69, "x", "the file ends at 69"),
    "data left over": Lie(_file({"x": _entry("U8", [1], 0, 1)}, 3), 62, None, "the last 2 bytes belong to no tensor"),
    "data without tensors": Lie(_file("{}", 5), 10, None, "the last 5 bytes belong to no tensor"),
    "gap at the start": Lie(_file({"x": _entry("U8", [1], 1, 2)}, 2), 61, "x", "belong to no tensor"),
    "gap": Lie(_file({"x": _entry("U8", [1], 0, 1), "y": _entry("U8", [1], 2, 3)}, 3), 114, "y", "belong to no tensor"),
    "overlap": Lie(_file({"x": _entry("U8", [2], 0, 2), "y": _entry("U8", [2], 1, 3)}, 3), 114, "y", "inside another"),
    "the same place": Lie(
        _file({"x": _entry("U8", [1], 0, 1), "y": _entry("U8", [1], 0, 1)}, 1), 113, "y", "inside another"
    ),
    "deep nesting": Lie(_file(X + "[" * 100_000 + "]" * 100_000 + "}"), 13, "x", "the entry is no object"),
    "deep nesting in an entry": Lie(
        _file(X + '{"shape":' + "[" * 100_000 + "]" * 100_000 + "}}"), 22, "x", "invalid type: sequence"
    ),
    "deep nesting, open": Lie(_file(X + '{"a":' * 100_000), 500_012, None, "no JSON object"),
    "long name": Lie(_file({"x" * 100_000: _entry("U8", [2], 0, 1)}, 1), 100_012, "x" * 200 + "…", "takes 2 bytes"),
}


@pytest.mark.parametrize("name", LIES)
@pytest.mark.parametrize("read", [ad.load, ad.inspect])
def test_lies(name: str, read: Any, tmp_path: Path) -> None:
    lie, path = LIES[name], tmp_path / "model.safetensors"
    path.write_bytes(lie.content)
    with pytest.raises(ad.FileFormatError) as raised:
        read(path)
    message = str(raised.value)
    assert message.startswith(f"{read.__name__}: {path}, byte {lie.byte}"), message[:300]
    named = "" if lie.tensor is None else f', tensor "{lie.tensor}"'
    assert message.startswith(f"{read.__name__}: {path}, byte {lie.byte}{named}: "), message[:300]
    assert lie.says in message
    assert "save it or fetch it again" in message
    assert len(message) < 1000
    assert isinstance(raised.value, ValueError)
    assert isinstance(raised.value, ad.AdretError)


def test_a_bool_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(_file({"x": _entry("BOOL", [3], 0, 3)}, b"\0\1\2"))
    with pytest.raises(ad.FileFormatError, match='byte 65, tensor "x": 0x02 is no bool'):
        ad.load(path)


def test_every_truncation(tmp_path: Path) -> None:
    path = tmp_path / "x"
    ad.save(path, {"a": ad.arange(3), "b": [ad.ones(2, dtype="bool"), {"c": 1.5}]}, metadata={"k": "v"})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ad.FileFormatError):
            ad.load(path)
    path.write_bytes(whole)
    assert ad.load(path)["a"].tolist() == [0, 1, 2]


def test_every_changed_byte(tmp_path: Path) -> None:
    path = tmp_path / "x"
    ad.save(path, [ad.arange(2, dtype="int8"), {"k": (1.5, None)}])
    whole = path.read_bytes()
    for place in range(len(whole)):
        for value in {0, 0x22, 0x30, 0xFF, whole[place] ^ 1} - {whole[place]}:
            path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            try:
                ad.load(path)
            except ad.FileFormatError as error:
                assert str(path) in str(error)


STRUCTURES = {
    "no JSON": "{",
    "two values": "1 2",
    "unknown kind": '{"object":"os.system"}',
    "two members": '{"tensor":"x","more":1}',
    "no member": "{}",
    "another tensor": '{"tensor":"y"}',
    "tensor is a number": '{"tensor":1}',
    "tuple is a text": '{"tuple":"x"}',
    "dict is a dict": '{"dict":{}}',
    "triple": '{"dict":[[1,2,3]]}',
    "key is a list": '{"dict":[[[],1]]}',
    "key is a tensor": '{"dict":[[{"tensor":"x"},1]]}',
    "float is a number": '{"float":1}',
    "deep": "[" * 66 + "]" * 66,
    "very deep": "[" * 100_000,
    "long number": "1" * 10_000,
    "tensor left over": "[]",
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_structures_that_lie(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    metadata = {"adret.structure": STRUCTURES[name]}
    path.write_bytes(_file({"__metadata__": metadata, "x": _entry("U8", [1], 0, 1)}, 1))
    with pytest.raises(ad.FileFormatError, match=r"'adret\.structure' is damaged") as raised:
        ad.load(path)
    assert str(path) in str(raised.value)
    assert len(str(raised.value)) < 1000


def test_a_million_tensors(tmp_path: Path) -> None:
    count = 1_000_000
    entries = ",".join(f'"{n}":{{"dtype":"U8","shape":[],"data_offsets":[{n},{n + 1}]}}' for n in range(count))
    path = tmp_path / "x"
    path.write_bytes(_file("{" + entries + "}", count))
    assert len(ad.inspect(path).tensors) == count


@POSIX
def test_what_is_no_file(tmp_path: Path) -> None:
    for call in (ad.load, ad.inspect, lambda path: ad.save(path, {})):
        with pytest.raises(IsADirectoryError) as raised:
            call(tmp_path)
        assert raised.value.filename == str(tmp_path)
    with pytest.raises(FileNotFoundError) as raised:
        ad.load(tmp_path / "none")
    assert raised.value.filename == str(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        ad.save(tmp_path / "none" / "x", {})
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        ad.save(tmp_path / "file" / "x", {})
    with pytest.raises((ValueError, OSError)):
        ad.load("nul\0byte")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ad.FileFormatError, match="no ordinary file"):
        ad.load(tmp_path / "pipe")
    with pytest.raises(OSError, match="neither a file nor a folder"):
        ad.save(tmp_path / "pipe", {})


def test_a_file_that_claims_more_than_there_is_memory(tmp_path: Path) -> None:
    path = tmp_path / "x"
    size = 1 << 43
    header = _file({"x": _entry("U8", [size], 0, size)})
    with path.open("wb") as file:
        file.write(header)
        try:
            file.truncate(len(header) + size)
        except OSError:
            pytest.skip("the file system holds no sparse file of 8 TiB")
    assert ad.inspect(path).tensors["x"].nbytes == size
    with pytest.raises(ad.OutOfMemoryError, match='"x"'):
        ad.load(path)


@POSIX
def test_permissions(tmp_path: Path) -> None:
    # As another user than root, for whom every file is open.
    program = """
import os, sys
import adret as ad
folder = sys.argv[1]
ad.save(folder + "/secret", {"x": ad.ones(1)})
os.chmod(folder + "/secret", 0)
os.mkdir(folder + "/closed", 0o500)
os.chmod(folder, 0o777)
if os.geteuid() == 0:
    os.setuid(65534)
for call in (lambda: ad.load(folder + "/secret"), lambda: ad.save(folder + "/secret", {})):
    try:
        call()
    except PermissionError as error:
        assert error.filename == folder + "/secret", error.filename
    else:
        raise SystemExit("the file was open")
try:
    ad.save(folder + "/closed/x", {})
except PermissionError:
    print("refused")
"""
    folder = tmp_path / "shared"
    folder.mkdir()
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(parent.stat().st_mode | 0o755)
    done = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=False)
    assert done.stdout == "refused\n", done.stderr
