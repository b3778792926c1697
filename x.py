#!/usr/bin/env python3
"""The developer's one command: sets up, builds, tests, checks, measures and packs adret.

    python3 x.py demo      trains a small network on handwritten digits
    python3 x.py test      every test: Rust, Python, CPU and software Vulkan, documentation, examples
    python3 x.py check     formatters, linters and the type checker
    python3 x.py bench     the library against NumPy, PyTorch and JAX
    python3 x.py docs      the documentation, in docs/_build/
    python3 x.py wheel     the package, in dist/: a wheel and the source archive

Depends on the standard library only. Invariant: every command does its own set-up and repeats none of it: a machine
with Python 3.11, Rust and a C compiler is enough, and a second run starts at once.
"""

from __future__ import annotations

import argparse
import ctypes.util
import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PEERS = ROOT / ".venv-peers"
TOOLS = [
    "maturin>=1.8,<2",
    "numpy>=2",
    "tqdm",
    "pytest",
    "hypothesis",
    "scikit-learn",
    "matplotlib",
    "safetensors",
    "ruff",
    "pyright",
    *(ROOT / "docs/requirements.txt").read_text().split(),
]
RIVALS = ["torch", "torchvision", "jax", "numpy>=2", "tqdm", "scikit-learn", "pytest", "hypothesis"]
# Sources of the extension module; Python files are used in place.
SOURCES = ["Cargo.toml", "Cargo.lock", "pyproject.toml", "rust"]
# The C library that wheels for Linux may ask for at most: that of Debian 10, RHEL 8 and Ubuntu 18.10.
OLDEST_GLIBC = (2, 28)
VULKAN = ["libvulkan1", "mesa-vulkan-drivers"]
# 64-bit ARM as Rust names it, and the folder where Debian and Ubuntu keep its C library.
ARM = "aarch64-unknown-linux-gnu"
ARM_LIBRARY = Path("/usr/aarch64-linux-gnu")
# The core's tests that depend on the vector path: few enough that an emulator runs them in a minute.
ARM_PARTS = ["kit::gemm", "kit::math", "kit::simd", "kit::tiles", "kit::transpose", "kit::vector", "cpu::tests::matmul"]


def main() -> int:
    """Parses the command line and runs one command; the result is the exit status."""
    parser = argparse.ArgumentParser(prog="x.py", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("demo", help="train on handwritten digits")
    test = commands.add_parser("test", help="run every test")
    test.add_argument("--peers", action="store_true", help="compare with PyTorch and JAX too (installs 5 GB)")
    test.add_argument("--full", action="store_true", help="the full product of test axes")
    test.add_argument("--arm", action="store_true", help="the core's tests for 64-bit ARM too, in an emulator")
    commands.add_parser("check", help="formatters, linters, type checker")
    bench = commands.add_parser("bench", help="measure against other libraries")
    bench.add_argument("--no-peers", action="store_true", help="NumPy only: install neither PyTorch nor JAX")
    bench.add_argument("--json", type=os.path.abspath, help="write every figure, with the machine, into this file")
    bench.add_argument(
        "--plot", type=os.path.abspath, help="draw ratios, and cost against size, as PNG and SVG into this folder"
    )
    bench.add_argument("--device", choices=("cpu", "gpu"), default="cpu", help="where the work is done")
    bench.add_argument("--quick", action="store_true", help="see that every case runs; figures mean nothing then")
    bench.add_argument("cases", nargs="*", help="only cases whose names contain one of these")
    commands.add_parser("docs", help="build the documentation")
    commands.add_parser("wheel", help="build the package: wheel and source archive")
    arguments = parser.parse_args()
    if sys.version_info < (3, 11):  # noqa: UP036 (this file is started by whatever Python there is)
        print("x.py: Python 3.11 or newer is needed, this is " + sys.version.split()[0], file=sys.stderr)
        return 1
    os.chdir(ROOT)
    try:
        return globals()[f"run_{arguments.command}"](arguments)
    except StepError as failure:
        print(f"\nx.py {arguments.command}: {failure}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        return 130


# Commands


def run_demo(_: argparse.Namespace) -> int:
    """Trains on the digits and shows the accuracy."""
    python = build()
    step("demo", [python, "examples/digits.py", "out"])
    return 0


def run_test(arguments: argparse.Namespace) -> int:
    """Runs all tests; goes on after a failure, so that one run shows everything."""
    python = build()
    steps = Steps()
    # The bindings hold no Rust tests: they need a running Python, and are tested from there.
    packages = ["--workspace", "--exclude", "adret-py"]
    vulkan = software_vulkan()
    gpu = {"ADRET_ALLOW_SOFTWARE_GPU": "1", "LP_NUM_THREADS": "0"} if vulkan else {}
    if have_cargo_tool("nextest"):
        steps.run("Rust tests", ["cargo", "nextest", "run", *packages, "--no-tests", "pass", "--no-fail-fast"], gpu)
    else:
        steps.run("Rust tests", ["cargo", "test", *packages, "--all-targets", "--quiet", "--no-fail-fast"], gpu)
    steps.run("Rust documentation tests", ["cargo", "test", *packages, "--doc", "--quiet"])
    # The tests take the CPU and, where Vulkan is there, the GPU in turn.
    steps.run("Python tests", [python, "-m", "pytest", "-q", *["--full"] * arguments.full, "tests"], gpu)
    steps.run("Documentation", documentation(python))
    if arguments.arm:
        test_arm(steps)
    if arguments.peers:
        peers = build(PEERS, RIVALS)
        beside = ["-m", "pytest", "-q", "--peers", "-m", "peers", "tests"]
        steps.run("Python tests beside PyTorch and JAX", [peers, *beside])
    return steps.close("test")


def test_arm(steps: Steps) -> None:
    """Runs the core's tests for 64-bit ARM in an emulator: on NEON, and what depends on the path on plain code too."""
    settings = arm_emulator()
    if settings is None:
        return
    command = ["cargo", "test", "--target", ARM, "--package", "adret-core", "--lib", "--quiet", "--"]
    for path, parts in {"neon": ARM_PARTS, "portable": ["kit::tiles"]}.items():
        steps.run(f"Rust tests on emulated 64-bit ARM, {path}", [*command, *parts], {**settings, "ADRET_CPU": path})


def arm_emulator() -> dict[str, str] | None:
    """What Cargo is told so that it builds and runs for 64-bit ARM; None, and why, where a tool is missing."""
    if platform.machine() in ("aarch64", "arm64"):
        print("\nThis is a 64-bit ARM processor: its tests have been run, without an emulator.")
        return None
    emulators = [found for name in ("qemu-aarch64-static", "qemu-aarch64") if (found := shutil.which(name))]
    linker = shutil.which("aarch64-linux-gnu-gcc")
    rustc = ["rustc", "--print", "target-libdir", "--target", ARM]
    printed = (
        subprocess.run(rustc, cwd=ROOT, capture_output=True, text=True, check=False) if shutil.which("rustc") else None
    )
    standard = printed is not None and printed.returncode == 0 and Path(printed.stdout.strip()).is_dir()
    needed = {
        f"Rust's standard library for it (rustup target add {ARM})": standard,
        "a C compiler and library (the package gcc-aarch64-linux-gnu)": linker is not None and ARM_LIBRARY.is_dir(),
        "an emulator (the package qemu-user-static)": bool(emulators),
    }
    if not all(needed.values()):
        print("\nTests for 64-bit ARM are left out. Missing:")
        for what in (what for what, found in needed.items() if not found):
            print(f"  {what}")
        return None
    print(f"\n64-bit ARM: linked by {linker}, run by {emulators[0]}")
    name = ARM.upper().replace("-", "_")
    return {
        f"CARGO_TARGET_{name}_LINKER": str(linker),
        f"CARGO_TARGET_{name}_RUNNER": f"{emulators[0]} -L {ARM_LIBRARY}",
    }


def run_check(_: argparse.Namespace) -> int:
    """Runs the formatters in their checking mode, the linters and the type checker."""
    python = build()
    # The bindings are compiled against this Python, whatever else is installed.
    rust = {"PYO3_PYTHON": python}
    files = python_files()
    steps = Steps()
    steps.run("Rust format", ["cargo", "fmt", "--all", "--check"])
    steps.run(
        "Rust lint",
        ["cargo", "clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"],
        rust,
    )
    steps.run("Python format", [python, "-m", "ruff", "format", "--check", *files])
    steps.run("Python lint", [python, "-m", "ruff", "check", *files])
    steps.run("Python types", [python, "-m", "pyright", "--project", str(ROOT)])
    if have_cargo_tool("deny"):
        steps.run("Licences and advisories", ["cargo", "deny", "check"])
    return steps.close("check")


def run_bench(arguments: argparse.Namespace) -> int:
    """Measures against the other libraries that are there."""
    python = build() if arguments.no_peers else build(PEERS, RIVALS)
    if arguments.plot and call("matplotlib", [python, "-c", "import matplotlib"]) != 0:
        step("matplotlib", [python, "-m", "pip", "install", "--quiet", "matplotlib"])
    options = [*["--quick"] * arguments.quick, *arguments.cases]
    steps = Steps()
    if arguments.device == "gpu":
        json = ["--json", arguments.json] if arguments.json else []
        steps.run("device", [python, "benches/device.py", *json, *options], {"ADRET_DEVICE": ""})
        return steps.close("bench")
    with tempfile.TemporaryDirectory() as folder:
        figures = arguments.json or os.path.join(folder, "figures.json")
        for file in sorted(ROOT.glob("benches/bench_*.py")):
            steps.run(file.stem, [python, str(file.relative_to(ROOT)), "--json", figures, *options])
        steps.run("summary", [python, "benches/summary.py", figures])
        for file in sorted(ROOT.glob("benches/plot_*.py")) if arguments.plot else []:
            steps.run(file.stem, [python, str(file.relative_to(ROOT)), figures, arguments.plot])
    return steps.close("bench")


def run_docs(_: argparse.Namespace) -> int:
    """Builds the documentation into docs/_build/."""
    step("documentation", documentation(build()))
    print("\ndocs/_build/index.html")
    return 0


def documentation(python: str) -> list[str]:
    """The command that builds the pages: all of them, since unchanged ones show docstrings; a warning is an error."""
    return [python, "-m", "sphinx", "-W", "--keep-going", "--quiet", "--fresh-env", "-b", "html", "docs", "docs/_build"]


def run_wheel(_: argparse.Namespace) -> int:
    """Builds the wheel and the source archive into dist/."""
    python = environment(VENV, TOOLS)
    maturin = [python, "-m", "maturin"]
    # Maturin looks for zig beside the first Python on the path.
    inside = {"VIRTUAL_ENV": str(VENV), "PATH": os.pathsep.join([str(Path(python).parent), os.environ.get("PATH", "")])}
    step("source archive", [*maturin, "sdist", "--out", "dist"], inside)
    wheel = [*maturin, "build", "--release", "--locked", "--out", "dist"]
    zig = sys.platform == "linux" and call("zig", [python, "-m", "pip", "install", "--quiet", "ziglang"]) == 0
    if zig:
        # Zig links against the C library of older systems than this one.
        wheel += ["--zig", "--compatibility", "manylinux_{}_{}".format(*OLDEST_GLIBC)]
    step("wheel", wheel, inside)
    newest = max(ROOT.glob("dist/*.whl"), key=lambda path: path.stat().st_mtime)
    print(f"\n{newest.relative_to(ROOT)}: {newest.stat().st_size / 1e6:.1f} MB")
    if sys.platform == "linux":
        check_glibc(newest, strict=zig)
    return 0


def check_glibc(wheel: Path, strict: bool) -> None:
    """Says which C library a wheel needs; raises where `strict` and it is newer than promised."""
    with zipfile.ZipFile(wheel) as archive:
        modules = b"".join(archive.read(name) for name in archive.namelist() if name.endswith(".so"))
    # The names of symbols' versions stand in the module as text.
    needed = max((int(a), int(b)) for a, b in re.findall(rb"GLIBC_(\d+)\.(\d+)", modules))
    print(f"needs glibc {needed[0]}.{needed[1]} or newer")
    if needed <= OLDEST_GLIBC:
        return
    promised = f"{OLDEST_GLIBC[0]}.{OLDEST_GLIBC[1]}"
    if strict:
        raise StepError(f"the wheel needs glibc {needed[0]}.{needed[1]}, newer than {promised}")
    print(f"This wheel is for systems as new as this one: zig, which links for glibc {promised}, cannot be had here.")
    print("Build where PyPI can be reached, or on an older system, for a wheel that others can use.")


# Steps


class StepError(Exception):
    """A step that others need did not succeed."""


def announce(name: str, command: list[str], extra: dict[str, str]) -> None:
    """Shows what runs now, so that it can be repeated by hand."""
    settings = " ".join(f"{key}={shlex.quote(value)}" for key, value in extra.items())
    print(f"\n== {name}: {settings} {shlex.join(command)}".replace(":  ", ": "), flush=True)


def call(name: str, command: list[str], extra: dict[str, str] | None = None) -> int:
    """Runs a command in the repository with its output streaming; the result is its exit status."""
    extra = extra or {}
    announce(name, command, extra)
    variables = {**os.environ, **extra}
    # A foreign environment would otherwise decide which Python is built for.
    for unwanted in ("PYTHONPATH", "PYTHONHOME", "CONDA_PREFIX"):
        variables.pop(unwanted, None)
    try:
        return subprocess.run(command, cwd=ROOT, env=variables, stdin=subprocess.DEVNULL, check=False).returncode
    except FileNotFoundError as error:
        hint = "Install Rust from https://rustup.rs." if command[0] == "cargo" else ""
        print(f"{command[0]}: not found. {hint}", file=sys.stderr)
        return error.errno or 127


def step(name: str, command: list[str], extra: dict[str, str] | None = None) -> None:
    """Runs a command that must succeed."""
    status = call(name, command, extra)
    if status != 0:
        raise StepError(f"{name} failed (exit status {status})")


class Steps:
    """Independent steps whose failures are gathered."""

    def __init__(self) -> None:
        """Starts with nothing run."""
        self.results: list[tuple[str, int, float]] = []

    def run(self, name: str, command: list[str], extra: dict[str, str] | None = None) -> None:
        """Runs one step and keeps its exit status."""
        start = time.perf_counter()
        status = call(name, command, extra)
        self.results.append((name, status, time.perf_counter() - start))

    def close(self, title: str) -> int:
        """Lists the results; the exit status is 1 if any step failed."""
        print(f"\n== {title}")
        for name, status, seconds in self.results:
            print(f"{'ok    ' if status == 0 else 'FAILED'} {seconds:7.1f} s  {name}")
        failed = ", ".join(name for name, status, _ in self.results if status != 0)
        print(f"{title}: {'failed: ' + failed if failed else 'all passed'}", flush=True)
        return 1 if failed else 0


# Set-up


def environment(folder: Path, packages: list[str]) -> str:
    """A virtual environment with these packages; made anew where it is broken. The result is its Python."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    # Run from inside an environment, this is the Python that the environment was made from.
    base = getattr(sys, "_base_executable", sys.executable)
    stamp = folder / "adret-packages"
    wanted = [f"{base} {sys.version.split()[0]}", *packages]
    found = stamp.read_text().splitlines() if stamp.exists() else [""]
    pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
    works = python.exists() and subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode == 0
    if works and found == wanted:
        return str(python)
    if not works or found[0] != wanted[0]:
        shutil.rmtree(folder, ignore_errors=True)
        step("environment", [base, "-m", "venv", folder.name])
        (folder / ".gitignore").write_text("*\n")
    step("packages", [*pip, "install", "--quiet", *packages])
    stamp.write_text("\n".join(wanted))
    return str(python)


def build(folder: Path = VENV, packages: list[str] = TOOLS) -> str:
    """The package, built for speed and installed in place, if its sources changed. The result is the Python to use."""
    tools = environment(VENV, TOOLS)
    python = environment(folder, packages)
    stamp = folder / "adret-build"
    if not stamp.exists() or stamp.read_text() != fingerprint():
        if shutil.which("cargo") is None:
            raise StepError("cargo was not found. Install Rust from https://rustup.rs.")
        step("build", [tools, "-m", "maturin", "develop", "--release"], {"VIRTUAL_ENV": str(folder)})
        stamp.write_text(fingerprint())
    return python


def fingerprint() -> str:
    """Changes when a source of the extension module, or the built module itself, changes."""
    digest = hashlib.sha256()
    for source in SOURCES:
        path = ROOT / source
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        for file in [*files, *sorted(ROOT.glob("python/adret/_core.*")) * (source == SOURCES[-1])]:
            status = file.stat()
            digest.update(f"{file.relative_to(ROOT)} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def have_cargo_tool(name: str) -> bool:
    """Whether `cargo NAME` is installed."""
    return shutil.which(f"cargo-{name}") is not None


def software_vulkan() -> bool:
    """Whether Vulkan is there, in software at least; installs it where this is allowed."""
    if sys.platform != "linux":
        print("\nNo software Vulkan on this system: the GPU tests are left out.")
        return False
    if ctypes.util.find_library("vulkan") and any(Path("/usr/share/vulkan/icd.d").glob("*.json")):
        return True
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        print(f"\nNo Vulkan: the GPU tests are left out. Install {' and '.join(VULKAN)} to run them.")
        return False
    apt = {"DEBIAN_FRONTEND": "noninteractive"}
    call("package lists", ["apt-get", "update", "-qq"], apt)
    step("software Vulkan", ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *VULKAN], apt)
    return True


def python_files() -> list[str]:
    """What the Python formatter and linter read."""
    return [path for path in ("python", "tests", "examples", "benches", "docs", "x.py") if (ROOT / path).exists()]


if __name__ == "__main__":
    sys.exit(main())
