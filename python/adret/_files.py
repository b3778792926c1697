"""Saving and loading: tensors and the structure around them, in the safetensors format.

Depends on the core, which reads and writes the files. Invariant: nothing in a file is ever executed, and a dictionary
of tensors is a plain safetensors file that every reader of the format understands.

Tensors are stored by name. Structure that names cannot express is JSON in the file's metadata, in which each value is
itself (None, bool, int, float, str), a list, or an object with one member: {"tensor": name}, {"tuple": […]},
{"dict": [[key, value], …]}, or {"float": "nan"} for what JSON has no number for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from os import PathLike
from typing import Any, NamedTuple, cast

from . import _core
from ._core import DomainError, DType, DTypeError, FileFormatError, Tensor

# Where the metadata holds the structure.
_STRUCTURE = "adret.structure"
# Deeper structures are mistakes, or attacks on the reader's stack.
_DEEPEST = 64
# Readers of JSON take no longer numbers.
_WIDEST = 8192

Path = str | PathLike[str]


class StoredTensor(NamedTuple):
    """What a file says of one tensor."""

    shape: tuple[int, ...]
    """Sizes of the axes."""
    dtype: DType
    """Element type."""
    nbytes: int
    """Bytes of all elements."""


class FileSummary(NamedTuple):
    """What a file holds."""

    tensors: dict[str, StoredTensor]
    """By name, in the order in which they were saved."""
    metadata: dict[str, str]
    """Texts by name."""
    nbytes: int
    """Bytes of the whole file."""


def save(path: Path, obj: Any, *, metadata: Mapping[str, str] | None = None) -> None:
    """Writes tensors, or nested training state, to a file in the safetensors format.

    A dictionary of tensors becomes a plain safetensors file. Dictionaries, lists and tuples of tensors, numbers, texts,
    bools and None come back from `load` as they were, with a tensor that stands at several places as one object.
    Values are stored, not places nor histories: what is loaded lies on the CPU and does not require a gradient.

    The file appears as a whole: until the new one is on the disk, the path leads to the earlier one, whatever happens.

    Args:
        path: Where to; an earlier file is replaced.
        obj: What to save, for instance `model.state_dict()`.
        metadata: Texts that `inspect` shows.

    Raises:
        DTypeError: If something in `obj` cannot be saved.
        DomainError: If `obj` contains itself or is nested too deeply, or `metadata` has a name of the library's own.
        OSError: If the system refuses: `PermissionError`, `IsADirectoryError`, …; the earlier file is unharmed.

    Source:
        The safetensors format, https://github.com/huggingface/safetensors.

    Example:
        >>> import tempfile
        >>> model = ad.nn.Linear(3, 2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     ad.save(f"{folder}/state", {"model": model.state_dict(), "epoch": 3})
        ...     state = ad.load(f"{folder}/state")
        >>> state["epoch"], state["model"]["weight"].shape
        (3, (2, 3))
    """
    if isinstance(path, Tensor | dict | list | tuple):
        raise DTypeError(f"save: the path is a {type(path).__name__}. Write ad.save(path, obj): the path comes first.")
    texts = dict(metadata or {})
    wrong = next((key for key, value in texts.items() if not (_is_text(key) and _is_text(value))), None)
    if wrong is not None:
        raise DTypeError(f"save: metadata[{wrong!r}] is no text. Pass names and values that are valid str.")
    if _STRUCTURE in texts:
        raise DomainError(f"save: metadata has the library's own name {_STRUCTURE!r}. Choose another.")
    if _is_plain(obj):
        tensors = list(obj.items())
    else:
        writer = _Writer()
        structure = writer.encode(obj, ())
        import json

        texts[_STRUCTURE] = json.dumps(structure, separators=(",", ":"), allow_nan=False)
        tensors = [(name, tensor) for tensor, name in writer.names.values()]
    _core._save_file(path, tensors, texts)


def load(path: Path, device: str | None = None) -> Any:
    """Reads what `save` wrote, or any other safetensors file as a dictionary of tensors.

    The file is read to memory of the tensors' own: what happens to it later changes nothing. Nothing in it is executed,
    and whatever is not exactly in the format is refused.

    Args:
        path: The file.
        device: Where the tensors go; by default the CPU.

    Raises:
        FileFormatError: If the content breaks the format; says at which byte and in which tensor.
        OSError: If the system refuses: `FileNotFoundError`, `PermissionError`, …

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     ad.save(f"{folder}/x", {"x": ad.arange(3)})
        ...     ad.load(f"{folder}/x")
        {'x': tensor([0, 1, 2])}
    """
    try:
        tensors, metadata = _core._load_file(path, device)
    except FileFormatError as error:
        raise _foreign(path) or error from None
    text = metadata.get(_STRUCTURE)
    if text is None:
        return tensors
    import json

    try:
        reader = _Reader(tensors)
        value = reader.decode(json.loads(text), 0)
        reader.finish()
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise FileFormatError(
            f"load: {path}: the metadata {_STRUCTURE!r} is damaged: {reason}. Save the file again, or read its tensors "
            "with another safetensors reader."
        ) from None
    return value


# How files of other formats begin, what they are, and the way from there to here.
_TORCH = "Load it where PyTorch is installed, and write its tensors with safetensors.torch.save_file"
_FORMATS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x93NUMPY", "a NumPy array (.npy)", "Read it with numpy.load, and make it a tensor with ad.tensor"),
    (b"PK\x03\x04", "a zip archive", "Take out what is in it first"),
    (b"\x89HDF\r\n", "an HDF5 file (Keras's .h5, for instance)", "Read it with h5py, and make tensors of its arrays"),
    (b"\x80", "a pickle (an old .pt or .pkl), whose reading runs what is in it", _TORCH),
    (b"\x1f\x8b", "compressed by gzip", "Unpack it first"),
)


def _foreign(path: Path, name: str = "load") -> FileFormatError | None:
    """What to say of a file that is of another well-known format."""
    import zipfile
    from os.path import isfile

    # Opening a pipe would wait for its writer.
    if not isfile(path):
        return None
    try:
        with open(path, "rb") as file:
            start = file.read(8)
        found = next((row for row in _FORMATS if start.startswith(row[0])), None)
        # As the length of a header, these bytes would be one that is hardly ever met.
        if found is None or int.from_bytes(start, "little") < 1 << 24:
            return None
        _, kind, advice = found
        if start.startswith(b"PK"):
            with zipfile.ZipFile(path) as archive:
                members = archive.namelist()
            if members and all(member.endswith(".npy") for member in members):
                kind = "NumPy's archive of arrays (.npz)"
                advice = "Read it with numpy.load, and make a dictionary of tensors with ad.tensor"
            elif any(member.endswith("data.pkl") for member in members):
                kind, advice = "a checkpoint of PyTorch (.pt, .pth), which is a pickle", _TORCH
    except (OSError, zipfile.BadZipFile):
        return None
    return FileFormatError(f"{name}: {path} is {kind}, not a safetensors file. {advice}.")


def inspect(path: Path) -> FileSummary:
    """Says what a file holds, without reading a tensor.

    Args:
        path: A safetensors file.

    Raises:
        FileFormatError: If the header breaks the format.
        OSError: If the system refuses.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     ad.save(f"{folder}/x", {"x": ad.ones((2, 3))}, metadata={"made by": "me"})
        ...     summary = ad.inspect(f"{folder}/x")
        >>> summary.tensors["x"], summary.metadata
        (StoredTensor(shape=(2, 3), dtype=adret.float32, nbytes=24), {'made by': 'me'})
    """
    try:
        entries, metadata, nbytes = _core._inspect_file(path)
    except FileFormatError as error:
        raise _foreign(path, "inspect") or error from None
    tensors = {name: StoredTensor(tuple(shape), dtype, size) for name, shape, dtype, size in entries}
    return FileSummary(tensors, metadata, nbytes)


def _is_text(value: object) -> bool:
    """Whether this is a str that UTF-8 can express."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_plain(obj: Any) -> bool:
    """Whether names and tensors alone say everything."""
    if not isinstance(obj, dict):
        return False
    items = cast("dict[Any, Any]", obj).items()
    return all(_is_text(key) and key != "__metadata__" and isinstance(value, Tensor) for key, value in items)


class _Writer:
    """Takes a structure apart: tensors by name, the rest as JSON values."""

    def __init__(self) -> None:
        """Starts with no tensors."""
        # By identity: the tensor, kept so that no other object gets its identity, and its name.
        self.names: dict[int, tuple[Tensor, str]] = {}
        self.taken = {"__metadata__"}
        self.open: set[int] = set()

    def encode(self, value: Any, path: tuple[object, ...]) -> Any:
        """The JSON value of a value; `path` leads to it."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            if value.bit_length() > _WIDEST:
                raise DomainError(f"save: {_shown(path)} is an int of {value.bit_length()} bits. Save it as a text.")
            return int(value)
        if isinstance(value, float):
            return _encode_float(float(value))
        if isinstance(value, str):
            return str(value)
        if isinstance(value, Tensor):
            if id(value) not in self.names:
                self.names[id(value)] = (value, self.name(path))
            return {"tensor": self.names[id(value)][1]}
        if isinstance(value, dict | list | tuple):
            return self.container(cast("dict[Any, Any] | list[Any] | tuple[Any, ...]", value), path)
        raise DTypeError(
            f"save: {_shown(path)} is a {type(value).__name__}, which files do not hold. Use tensors, numbers, texts, "
            "bools, None, and dicts, lists and tuples of them; an array becomes a tensor with ad.tensor."
        )

    def container(self, value: dict[Any, Any] | list[Any] | tuple[Any, ...], path: tuple[object, ...]) -> Any:
        """The JSON value of a dictionary, a list or a tuple."""
        if id(value) in self.open:
            raise DomainError(f"save: {_shown(path)} contains itself. Save a structure without circles.")
        if len(path) >= _DEEPEST:
            raise DomainError(f"save: {_shown(path[:4])}… is nested deeper than {_DEEPEST} levels. Flatten it.")
        self.open.add(id(value))
        if isinstance(value, dict):
            pairs: list[Any] = []
            for key, item in value.items():
                if not isinstance(key, int | float | str | None):
                    raise DTypeError(
                        f"save: {_shown(path)} has a key that is a {type(key).__name__}. Use texts, numbers, bools or "
                        "None as keys."
                    )
                pairs.append([self.encode(key, path), self.encode(item, (*path, key))])
            encoded: Any = {"dict": pairs}
        else:
            items = [self.encode(item, (*path, number)) for number, item in enumerate(value)]
            encoded = items if isinstance(value, list) else {"tuple": items}
        self.open.remove(id(value))
        return encoded

    def name(self, path: tuple[object, ...]) -> str:
        """A name of its own for the tensor at `path`: its keys, joined by dots."""
        plain = ".".join(str(key) for key in path).encode(errors="replace").decode() or "tensor"
        name, number = plain, 2
        while name in self.taken:
            name, number = f"{plain}~{number}", number + 1
        self.taken.add(name)
        return name


def _encode_float(value: float) -> Any:
    finite = value - value == 0
    return value if finite else {"float": str(value)}


def _shown(path: tuple[object, ...]) -> str:
    """A path as Python writes it."""
    return "obj" + "".join(f"[{key!r}]" for key in path)


class _Reader:
    """Puts a structure together again. Raises `ValueError` where it is not what `_Writer` makes."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        """Takes the tensors by name."""
        self.tensors = tensors
        self.used: set[str] = set()

    def decode(self, value: Any, depth: int) -> Any:
        """The value of a JSON value."""
        if depth > _DEEPEST:
            raise ValueError(f"nested deeper than {_DEEPEST} levels")
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, list):
            return [self.decode(item, depth + 1) for item in cast("list[Any]", value)]
        members = cast("dict[str, Any]", value)
        if len(members) != 1:
            raise ValueError(f"an object has {len(members)} members instead of one")
        ((kind, content),) = members.items()
        if kind == "tensor" and isinstance(content, str):
            if content not in self.tensors:
                raise ValueError(f"it names the tensor {content[:200]!r}, which is not there")
            self.used.add(content)
            return self.tensors[content]
        if kind == "float" and content in ("nan", "inf", "-inf"):
            return float(content)
        if kind == "tuple" and isinstance(content, list):
            return tuple(self.decode(item, depth + 1) for item in cast("list[Any]", content))
        if kind == "dict" and isinstance(content, list):
            return dict(self.pairs(cast("list[Any]", content), depth))
        raise ValueError(f"an object has the member {kind[:200]!r} of a {type(content).__name__}")

    def finish(self) -> None:
        """Checks that no tensor was left over."""
        left = next((name for name in self.tensors if name not in self.used), None)
        if left is not None:
            raise ValueError(f"it does not say where the tensor {left[:200]!r} stands")

    def pairs(self, pairs: list[Any], depth: int) -> Iterator[tuple[Any, Any]]:
        """Keys and values of a dictionary."""
        for pair in pairs:
            if not isinstance(pair, list) or len(cast("list[Any]", pair)) != 2:
                raise ValueError("a dictionary has something else than pairs")
            key, item = cast("list[Any]", pair)
            key = self.decode(key, depth)
            if isinstance(key, list | dict | tuple | Tensor):
                raise ValueError(f"a dictionary has a {type(cast('object', key)).__name__} as a key")
            yield key, self.decode(item, depth + 1)
