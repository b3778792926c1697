"""What the plots have in common: colours, names, files. Depends on matplotlib.

Invariant: a library has one colour and one mark in every plot, told apart in grey too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

NAMES = {"adret": "adret", "numpy": "NumPy", "torch": "PyTorch", "jax": "JAX"}
COLOURS = {"adret": "#b5179e", "numpy": "#4d7ea8", "torch": "#e76f51", "jax": "#2a9d8f"}
MARKS = {"adret": "D", "numpy": "s", "torch": "o", "jax": "^"}
INK, PALE = "#333333", "#d8d8d8"


def figure(width: float, height: float) -> Any:
    """An empty figure, on white: it is shown on pages of any colour."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def plain(axes: Any) -> None:
    """Takes away what says nothing."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(which="major", color=PALE, linewidth=0.6)
    axes.set_axisbelow(True)


def save(of: Any, folder: Path, name: str) -> list[Path]:
    """Writes a figure as PNG and as SVG, whose letters stay letters and whose bytes depend on the figures alone."""
    import matplotlib as mpl

    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}{suffix}" for suffix in (".png", ".svg")]
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "adret"}):
        of.savefig(files[0], dpi=110)
        of.savefig(files[1], metadata={"Date": None})
    print(f"plot: {', '.join(map(str, files))}")
    return files


def machine_of(file: Path) -> str:
    """Where figures were taken, in one line."""
    benches = json.loads(file.read_text(encoding="utf-8"))
    found = [bench["machine"] for bench in benches.values() if "machine" in bench]
    if not found:
        return ""
    versions = ", ".join(
        f"{NAMES.get(library, library)} {version}" for library, version in found[0]["libraries"].items() if version
    )
    return f"{found[0]['processor']}, {found[0]['cores']} cores; {versions}"


def arguments() -> tuple[Path, Path] | None:
    """The file of figures and the folder for plots; nothing where one cannot draw."""
    file, folder = Path(sys.argv[1]), Path(sys.argv[2])
    if not file.exists():
        print("no plot: nothing was measured")
        return None
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        print("no plot: matplotlib is not installed")
        return None
    return file, folder
