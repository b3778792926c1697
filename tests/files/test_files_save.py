"""Saving and loading: what comes back, and that others can read it.

Depends on adret, NumPy and the package safetensors, where it is installed. Invariant: what was saved is loaded bit
for bit.
"""

from __future__ import annotations

import math
import os
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import adret as ad
import numpy as np
import pytest
from adret import nn, optim
from hypothesis import given
from hypothesis import strategies as st

DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
DTYPES += ["float16", "bfloat16", "float32", "float64"]


def _bits(x: ad.Tensor) -> tuple[Any, ...]:
    """Everything that a tensor is."""
    wide = x.astype(ad.float32) if x.dtype == ad.bfloat16 else x
    return x.dtype, x.shape, wide.detach().numpy().tobytes()


def _same(a: Any, b: Any) -> bool:
    """Whether two structures are the same, types and bits included."""
    if type(a) is not type(b):
        return False
    if isinstance(a, ad.Tensor):
        return _bits(a) == _bits(b)
    if isinstance(a, dict):
        return len(a) == len(b) and all(
            _same(x, y) and _same(v, w) for (x, v), (y, w) in zip(a.items(), b.items(), strict=True)
        )
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, float):
        # Outside tensors, one NaN is as good as another.
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    return a == b


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype(dtype: str, tmp_path: Path) -> None:
    tensors = {"matrix": ad.arange(6).reshape(2, 3).astype(dtype), "scalar": ad.tensor(1, dtype=dtype)}
    tensors |= {"empty": ad.zeros((0, 3), dtype=dtype), "": ad.ones(1, dtype=dtype)}
    ad.save(tmp_path / "x", tensors)
    assert _same(ad.load(tmp_path / "x"), tensors)


def test_special_values(tmp_path: Path) -> None:
    x = np.array([math.nan, math.inf, -math.inf, -0.0, 5e-324])
    x.view(np.int64)[0] |= 12345  # A payload of its own.
    ad.save(tmp_path / "x", {"x": ad.tensor(x)})
    assert ad.load(tmp_path / "x")["x"].numpy().tobytes() == x.tobytes()


LAYOUTS = {
    "transposed": lambda x: x.T,
    "sliced": lambda x: x[1:, ::2],
    "reversed": lambda x: ad.flip(x),
    "broadcast": lambda x: ad.broadcast_to(x[0], (5, 6)),
    "pending": lambda x: x * 2 + 1,
    "shared": lambda x: ad.from_dlpack(np.arange(12.0)[::-3]),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout(name: str, tmp_path: Path, device: str) -> None:
    x = LAYOUTS[name](ad.arange(24, dtype=ad.float32).reshape(4, 6).to(device))
    ad.save(tmp_path / "x", {"x": x})
    loaded = ad.load(tmp_path / "x")["x"]
    assert (loaded.device, loaded.tolist()) == ("cpu", x.tolist())
    if x.dtype == ad.float32:
        again = ad.load(tmp_path / "x", device=device)["x"]
        assert (again.device, again.tolist()) == (device, x.tolist())


def test_the_default_device_does_not_matter(tmp_path: Path, device: str) -> None:
    ad.save(tmp_path / "x", {"x": ad.ones(2)})
    ad.set_default_device(device)
    try:
        assert ad.load(tmp_path / "x")["x"].device == "cpu"
    finally:
        ad.set_default_device("cpu")


def test_what_is_loaded_is_a_value(tmp_path: Path) -> None:
    path = tmp_path / "x"
    weight = nn.Parameter(ad.ones(3))
    ad.save(path, {"w": weight})
    loaded = ad.load(path)["w"]
    assert type(loaded) is ad.Tensor
    assert not loaded.requires_grad
    # Neither the file's replacement nor its end under the reader's feet changes what was read.
    ad.save(path, {"w": ad.zeros(3)})
    os.truncate(path, 0)
    path.unlink()
    assert loaded.tolist() == [1.0, 1.0, 1.0]


def test_order_stays(tmp_path: Path) -> None:
    tensors = {"c": ad.ones(1, dtype="uint8"), "a": ad.ones(1, dtype="float64"), "b": ad.ones(1)}
    ad.save(tmp_path / "x", tensors)
    assert list(ad.load(tmp_path / "x")) == list(ad.inspect(tmp_path / "x").tensors) == ["c", "a", "b"]


def test_the_same_content_is_the_same_file(tmp_path: Path) -> None:
    state = {"b": ad.ones(2), "a": [1, {"x": ad.zeros(3)}]}
    for name in ("first", "second"):
        ad.save(tmp_path / name, state, metadata={"z": "1", "a": "2"})
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_training_state(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    optimizer = optim.Adam(model.parameters(), lr=0.1, betas=(0.8, 0.9))
    (model(ad.ones((2, 3))) ** 2).sum().backward()
    optimizer.step()
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": 3,
        "random": ad.random.get_state(),
        "history": [(0, 1.5), (1, math.nan), (2, -math.inf)],
        "names": {1: "one", None: "none", False: "false", 2.5: "float"},
        "large": -(2**70),
        "text": 'quotes " and \ud800 and \U0001f600 and \0',
        "nothing": None,
        "empty": [{}, [], ()],
    }
    ad.save(tmp_path / "state", state)
    loaded = ad.load(tmp_path / "state")
    assert isinstance(state["optimizer"], dict)
    plain = {**state, "optimizer": {**state["optimizer"]}}
    # Dictionaries of other classes come back as dictionaries.
    plain["optimizer"]["param_groups"] = [dict(group) for group in plain["optimizer"]["param_groups"]]
    assert _same(loaded, plain)
    assert "model.0.weight" in ad.inspect(tmp_path / "state").tensors
    optim.Adam(model.parameters()).load_state_dict(loaded["optimizer"])


def test_a_lone_tensor_and_subclasses(tmp_path: Path) -> None:
    ad.save(tmp_path / "x", ad.arange(3))
    assert ad.load(tmp_path / "x").tolist() == [0, 1, 2]
    ad.save(tmp_path / "x", OrderedDict(b=ad.ones(1), a=1))
    assert _same(ad.load(tmp_path / "x"), {"b": ad.ones(1), "a": 1})


def test_a_tensor_at_several_places_is_one(tmp_path: Path) -> None:
    shared = ad.arange(4)
    ad.save(tmp_path / "x", [shared, {"a": shared}, ad.arange(4)])
    first, second, third = ad.load(tmp_path / "x")
    assert first is second["a"]
    assert third is not first
    assert len(ad.inspect(tmp_path / "x").tensors) == 2


def test_names_that_would_collide(tmp_path: Path) -> None:
    state = {"a.b": ad.tensor(1), "a": {"b": ad.tensor(2)}, "__metadata__": ad.tensor(3), 1: ad.tensor(4)}
    state |= {"1": ad.tensor(5), "\ud800": ad.tensor(6)}
    ad.save(tmp_path / "x", state)
    assert _same(ad.load(tmp_path / "x"), state)


TENSORS = st.builds(lambda n, d: ad.arange(n).astype(d), st.integers(0, 3), st.sampled_from(DTYPES))
KEYS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    TENSORS | KEYS | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4) | st.tuples(inner, inner),
    max_leaves=12,
)


@given(VALUES)
def test_any_structure_comes_back(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    ad.save(path, value)
    assert _same(ad.load(path), value)


def _circle() -> list[Any]:
    circle: list[Any] = []
    circle.append({"again": circle})
    return circle


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


MISTAKES = {
    "set": ({"a": [1, {2}]}, ad.DTypeError, "save: obj['a'][1] is a set"),
    "array": ({"a": np.ones(2)}, ad.DTypeError, "obj['a'] is a ndarray.*ad.tensor"),
    "bytes": (b"x", ad.DTypeError, "obj is a bytes"),
    "module": ({"m": nn.Tanh()}, ad.DTypeError, "obj['m'] is a Tanh"),
    "complex": ([1j], ad.DTypeError, "obj[0] is a complex"),
    "key": ({(1, 2): 3}, ad.DTypeError, "key that is a tuple"),
    "circle": (_circle(), ad.DomainError, "obj[0]['again'] contains itself"),
    "deep": (_deep(65), ad.DomainError, "deeper than 64"),
    "int": ([1 << 9000], ad.DomainError, "obj[0] is an int of 9001 bits"),
    "rank": ({"x": [ad.zeros((1,) * 65)]}, ad.ShapeError, '"x.0" has 65 axes'),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str, tmp_path: Path) -> None:
    value, kind, says = MISTAKES[name]
    path = tmp_path / "x"
    path.write_text("earlier")
    with pytest.raises(kind, match=re.sub(r"([\[\]()'])", r"\\\1", says)):
        ad.save(path, value)
    assert [file.name for file in tmp_path.iterdir()] == ["x"]
    assert path.read_text() == "earlier"


def test_the_deepest(tmp_path: Path) -> None:
    ad.save(tmp_path / "x", _deep(64))
    assert ad.load(tmp_path / "x") == _deep(64)


def test_swapped_arguments() -> None:
    with pytest.raises(ad.DTypeError, match="path comes first"):
        ad.save({"x": ad.ones(1)}, "x")  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError):
        ad.load(3)  # pyright: ignore[reportArgumentType]


def test_files_are_for_the_outside_of_a_recording(tmp_path: Path) -> None:
    ad.save(tmp_path / "x", {"x": ad.ones(2)})

    @ad.compile
    def reads(x: ad.Tensor) -> ad.Tensor:
        return x + ad.load(tmp_path / "x")["x"]

    @ad.compile
    def writes(x: ad.Tensor) -> ad.Tensor:
        y = x + 1
        ad.save(tmp_path / "y", {"y": y})
        return y

    for function in (reads, writes):
        assert function(ad.ones(2)).tolist() == [2.0, 2.0]
        with pytest.raises(ad.CompileError):
            function(ad.ones(2))


def test_values_that_cannot_be_computed(tmp_path: Path) -> None:
    bad = ad.take(ad.arange(3), ad.tensor([1, 4]) + 1, axis=0)
    ad.save(tmp_path / "x", {"x": ad.ones(1)})
    with pytest.raises(ad.OutOfRangeError, match="take"):
        ad.save(tmp_path / "x", {"x": bad})
    assert ad.load(tmp_path / "x")["x"].tolist() == [1.0]
    assert len(list(tmp_path.iterdir())) == 1


def test_metadata(tmp_path: Path) -> None:
    texts = {"author": "ünïcödé \U0001f600", "": "line\nline"}
    ad.save(tmp_path / "x", {"x": ad.ones((2, 3), dtype="bfloat16")}, metadata=texts)
    summary = ad.inspect(tmp_path / "x")
    assert summary.metadata == texts
    assert summary.tensors == {"x": ((2, 3), ad.bfloat16, 12)}
    assert summary.nbytes == (tmp_path / "x").stat().st_size
    for wrong, kind in (({"a": 1}, ad.DTypeError), ({"a": "\ud800"}, ad.DTypeError)):
        with pytest.raises(kind, match="metadata"):
            ad.save(tmp_path / "x", {}, metadata=wrong)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ad.DomainError, match="library's own"):
        ad.save(tmp_path / "x", {}, metadata={"adret.structure": "1"})


def test_what_safetensors_writes(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy", reason="the package safetensors is not installed")
    arrays = {dtype: np.arange(5).astype(dtype) for dtype in DTYPES if dtype != "bfloat16"}
    safetensors.save_file(arrays, tmp_path / "theirs", metadata={"format": "np"})
    loaded = ad.load(tmp_path / "theirs")
    assert set(loaded) == set(arrays)
    for name, array in arrays.items():
        assert loaded[name].dtype.name == name
        assert (loaded[name].numpy() == array).all()
    assert ad.inspect(tmp_path / "theirs").metadata == {"format": "np"}


def test_what_safetensors_reads(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors", reason="the package safetensors is not installed")
    tensors = {dtype: ad.arange(5).astype(dtype) for dtype in DTYPES}
    ad.save(tmp_path / "ours", tensors, metadata={"k": "v"})
    raw = dict(safetensors.deserialize((tmp_path / "ours").read_bytes()))
    assert set(raw) == set(DTYPES)
    for name, entry in raw.items():
        assert list(entry["shape"]) == [5]
        exact = tensors[name].astype("float32") if name == "bfloat16" else tensors[name]
        data = bytes(entry["data"])
        if name == "bfloat16":
            data = (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).tobytes()
        assert data == exact.numpy().tobytes()
    # Nested state is readable as tensors too.
    ad.save(tmp_path / "nested", {"a": [ad.ones(2)], "b": 1})
    assert [name for name, _ in safetensors.deserialize((tmp_path / "nested").read_bytes())] == ["a.0"]


@pytest.mark.skipif(os.name != "posix", reason="links and modes are POSIX's")
def test_a_path_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ad.save("relative", {"x": ad.ones(1)})
    (tmp_path / "link").symlink_to("relative")
    ad.save(tmp_path / "link", {"x": ad.zeros(1)})
    assert (tmp_path / "link").is_symlink()
    assert ad.load("relative")["x"].tolist() == [0.0]
    (tmp_path / "relative").chmod(0o600)
    ad.save("relative", {})
    assert (tmp_path / "relative").stat().st_mode & 0o777 == 0o600
    assert {file.name for file in tmp_path.iterdir()} == {"relative", "link"}
