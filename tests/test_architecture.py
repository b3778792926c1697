"""Holds the shape of the source: who may use whom, how long a file may be, what no file may contain.

Depends on the source tree only, not on the built package, except where the table of operations is compared with it.
Invariant: a rule stands here once, with the rooms that it binds; code under test may reach further than code in use.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = ROOT / "rust/core/src"
PACKAGE = ROOT / "python/adret"
LONGEST = 600

VOCABULARY = {"backend", "code", "dtype", "error", "group", "layout", "plan", "rng", "shape"}
# What each room of the core may use, besides itself and the vocabulary.
ARROWS: dict[str, set[str]] = {
    "kit": set(),
    "wgsl": set(),
    "graph": {"kit"},
    "cpu": {"kit"},
    "ops": {"graph", "kit", "wgsl"},
    "autograd": {"graph", "ops"},
    "schedule": {"graph", "ops", "kit"},
    "compile": {"evaluate", "graph", "profile", "schedule"},
    "profile": set(),
    "evaluate": {"autograd", "cpu", "graph", "kit", "ops", "profile", "schedule"},
}

# Functions of the namespace that put nothing into the graph: settings, questions, gradients, exchange of memory.
NOT_OPERATIONS = {
    *("__array_namespace_info__", "autocast", "broadcast_shapes", "can_cast", "checkpoint", "compile", "devices"),
    *("dtype", "eval", "finfo"),
    *("from_dlpack", "from_numpy", "functional_call", "get_default_device", "get_default_dtype", "get_num_threads"),
    *(
        "grad",
        "gradcheck",
        "hessian",
        "hvp",
        "iinfo",
        "inspect",
        "is_grad_enabled",
        "isdtype",
        "jacobian",
        "jvp",
        "kernel",
    ),
    *("load", "manual_seed", "promote_types", "reset_device", "reset_peak_memory", "result_type", "save"),
    *("set_default_device", "set_default_dtype", "set_num_threads", "stats", "trim_memory", "value_and_grad", "vjp"),
    *("evaluate", "fit", "predict", "summary"),
}


def sources(*suffixes: str) -> list[Path]:
    """The project's own files with these suffixes."""
    files = [ROOT / "x.py"] if ".py" in suffixes else []
    for room in ("rust", "python", "tests", "examples", "benches", "fuzz"):
        files += (path for path in (ROOT / room).rglob("*") if path.suffix in suffixes and "target" not in path.parts)
    return sorted(path for path in files if not any(part.startswith(".") for part in path.relative_to(ROOT).parts))


def name_of(path: Path) -> str:
    """A path as messages show it."""
    return str(path.relative_to(ROOT))


def in_use(path: Path) -> str:
    """A Rust file without comments and without its tests."""
    if path.stem == "tests" or "tests" in path.parts:
        return ""
    text = path.read_text(encoding="utf-8").split("#[cfg(test)]\nmod tests {")[0]
    return re.sub(r"//.*", "", text)


def uses(text: str) -> set[str]:
    """The rooms that a file of the core names: `crate::room::…`, and those in `crate::{room, …}`."""
    rooms = set(re.findall(r"\bcrate::([a-z_]+)", text))
    for group in re.findall(r"\bcrate::\{(.*?)\};", text, re.DOTALL):
        depth = 0
        for word in re.findall(r"[a-z_]\w*|[{}]", group):
            depth += (word == "{") - (word == "}")
            if depth == 0 and word not in "{}" and word.islower():
                rooms.add(word)
    return rooms


def rooms_of_core() -> Iterator[tuple[str, Path]]:
    """Every file of the core, with the room it is in."""
    for path in sorted(CORE.rglob("*.rs")):
        first = path.relative_to(CORE).parts[0].removesuffix(".rs")
        if first != "lib":
            yield first, path


def test_every_room_of_the_core_has_its_arrows() -> None:
    rooms = {room for room, _ in rooms_of_core()}
    assert rooms <= VOCABULARY | set(ARROWS), "a new room: write down in ARROWS what it may use"


def test_arrows_of_the_core() -> None:
    wrong: list[str] = []
    rooms = VOCABULARY | set(ARROWS)
    for room, path in rooms_of_core():
        allowed = VOCABULARY | {room} | ARROWS.get(room, set())
        wrong += (f"{name_of(path)} uses {other}" for other in sorted((uses(in_use(path)) & rooms) - allowed))
    assert not wrong, "\n".join(wrong)


def dependencies(crate: str) -> set[str]:
    """What a crate's manifest lists."""
    manifest = tomllib.loads((ROOT / "rust" / crate / "Cargo.toml").read_text(encoding="utf-8"))
    tables = [manifest, *manifest.get("target", {}).values()]
    return {name for table in tables for name in table.get("dependencies", {})}


def test_the_core_knows_neither_python_nor_wgpu() -> None:
    assert dependencies("core").isdisjoint({"adret-gpu", "adret-py", "pyo3", "wgpu"})
    wrong = [name_of(path) for path in CORE.rglob("*.rs") if re.search(r"\b(wgpu|pyo3)::", in_use(path))]
    assert not wrong


def test_the_files_crate_knows_neither_python_nor_wgpu() -> None:
    assert dependencies("core").isdisjoint({"adret-files", "safetensors", "serde_json"})
    assert dependencies("files").isdisjoint({"adret-gpu", "adret-py", "pyo3", "wgpu"})
    assert "adret-files" not in dependencies("gpu")


def test_the_gpu_crate_knows_kernels_not_operations() -> None:
    assert dependencies("gpu").isdisjoint({"adret-py", "pyo3"})
    inner = r"adret_core::(?:\{[^;]*\b)?(ops|graph|autograd|schedule|evaluate|cpu)\b"
    wrong = [name_of(path) for path in (ROOT / "rust/gpu/src").rglob("*.rs") if re.search(inner, in_use(path))]
    assert not wrong


def imported(path: Path) -> set[str]:
    """Absolute names of the modules that a Python file of the package imports."""
    package = ["adret", *path.relative_to(PACKAGE).parts[:-1]]
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize(
    ("room", "other"),
    [
        ("nn", "optim"),
        ("optim", "nn"),
        *(
            (room, other)
            for room in ("nn", "optim", "data")
            for other in ("training", "callbacks", "plot", "tensorboard")
        ),
        ("data", "nn"),
        ("data", "optim"),
    ],
)
def test_layers_and_optimisers_do_not_know_each_other(room: str, other: str) -> None:
    for path in (PACKAGE / room).rglob("*.py"):
        wrong = {name for name in imported(path) if name.startswith(f"adret.{other}")}
        assert not wrong, f"{name_of(path)} imports {wrong}"


def test_the_package_imports_no_array_library_at_its_start() -> None:
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        tops = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        heads = {getattr(node, "module", None) or node.names[0].name for node in tops if not getattr(node, "level", 0)}
        assert heads.isdisjoint({"numpy", "tqdm", "matplotlib", "torch"}), f"{name_of(path)} imports {heads}"


def body(text: str, start: int) -> str:
    """What a closure that begins here evaluates: a block, or an expression up to the end of its argument."""
    depth = 0
    for at in range(start, len(text)):
        depth += (text[at] in "({[") - (text[at] in ")}]")
        if depth < 0 or (depth == 0 and text[at] in "},;"):
            return text[start:at]
    return text[start:]


def test_closures_use_no_vectors() -> None:
    """A closure may be compiled without the vector instructions of its function: they are calls then, and slow.

    Constants of a vector (`V::LANES`) are no instructions.
    """
    closure, vector = re.compile(r"\|[^|\n;]*\| ?(?![|=])"), re.compile(r"\bV::(?!LANES|ALL|MANY)|<V[,>]")
    tried = closure.search("rows.for_each(|row| self.tile::<V>(row, 2));")
    assert tried and vector.search(body("rows.for_each(|row| self.tile::<V>(row, 2));", tried.end()))
    for path in (CORE / "kit").rglob("*.rs"):
        text = in_use(path)
        for found in closure.finditer(text):
            line = text[: found.start()].count("\n") + 1
            assert not vector.search(body(text, found.end())), f"{name_of(path)}:{line}: a closure with vectors"


def test_no_file_is_too_long() -> None:
    lengths = {
        name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in sources(".rs", ".py", ".wgsl")
    }
    long = {name: lines for name, lines in lengths.items() if lines > LONGEST}
    assert not long, f"over {LONGEST} lines: {long}. Cut the file along its ideas."


def test_every_file_says_what_it_is() -> None:
    silent = [name_of(path) for path in sources(".rs") if not path.read_text(encoding="utf-8").startswith("//!")]
    silent += [
        name_of(path) for path in sources(".py") if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not silent


def test_nothing_unfinished_and_no_machine_s_paths() -> None:
    # Spelled in pieces, so that this file passes its own test.
    words = ["TO" + "DO", "FIX" + "ME", "X" + "XX"]
    calls = ["todo" + "!(", "unimplemented" + "!(", "dbg" + "!("]
    paths = ["/" + "work/", "/" + "home/", "/" + "root/", "C:" + "\\\\"]
    pattern = re.compile("|".join([*(rf"\b{word}\b" for word in words), *(re.escape(text) for text in calls + paths)]))
    found = [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in sources(".rs", ".py", ".pyi", ".wgsl", ".toml", ".md")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, "\n".join(found)


def test_every_operation_has_a_row_in_the_table() -> None:
    ad = pytest.importorskip("adret", reason="the table is compared with the built package")
    from table import ELSEWHERE, NAMES

    kinds = {"builtin_function_or_method", "function"}
    namespace = {name for name in ad.__all__ if type(getattr(ad, name)).__name__ in kinds}
    missing = namespace - NOT_OPERATIONS - set(NAMES) - set(ELSEWHERE)
    assert not missing, f"no row in tests/table.py, nor a line in its ELSEWHERE: {sorted(missing)}"
