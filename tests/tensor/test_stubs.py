"""The stubs of the compiled part say what is there.

Depends on adret. Invariant: names and parameters of `_core.pyi` and of the module are the same.
"""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import adret as ad
import pytest
from adret import _core

STUBS = ast.parse((Path(ad.__file__).parent / "_core.pyi").read_text(encoding="utf-8"))
FUNCTIONS = {node.name: node for node in STUBS.body if isinstance(node, ast.FunctionDef)}
CLASSES = {node.name: node for node in STUBS.body if isinstance(node, ast.ClassDef)}
VALUES = {
    node.target.id for node in STUBS.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
}
TYPING_ONLY = {"ArrayLike", "_Named"}


def _parameters(node: ast.FunctionDef) -> list[tuple[str, str]]:
    """Names with their kinds."""
    arguments = node.args
    return [
        *((a.arg, "POSITIONAL_ONLY") for a in arguments.posonlyargs),
        *((a.arg, "POSITIONAL_OR_KEYWORD") for a in arguments.args),
        *([(arguments.vararg.arg, "VAR_POSITIONAL")] if arguments.vararg else []),
        *((a.arg, "KEYWORD_ONLY") for a in arguments.kwonlyargs),
    ]


def test_the_same_names() -> None:
    there = {name for name in vars(_core) if not name.startswith("__")}
    assert there == set(FUNCTIONS) | (set(CLASSES) - TYPING_ONLY) | VALUES


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_the_same_parameters(name: str) -> None:
    signature = inspect.signature(getattr(_core, name))
    assert _parameters(FUNCTIONS[name]) == [(p.name, p.kind.name) for p in signature.parameters.values()]
    optional = [p.name for p in signature.parameters.values() if p.default is not p.empty]
    arguments = FUNCTIONS[name].args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [a.arg for a in positional[len(positional) - len(arguments.defaults) :]]
    defaults += [a.arg for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None]
    assert optional == defaults


@pytest.mark.parametrize("name", sorted(set(CLASSES) - TYPING_ONLY))
def test_the_same_members(name: str) -> None:
    stubs = {node.name for node in CLASSES[name].body if isinstance(node, ast.FunctionDef)}
    there = {key for key in vars(getattr(_core, name)) if not key.startswith("__")}
    assert {key for key in stubs if not key.startswith("__")} == there
    assert all(hasattr(getattr(_core, name), key) for key in stubs)


def test_every_function_is_exported() -> None:
    private = {"push_scope", "pop_scope", "set_random_state", "Generator"}
    # What optimisers and `compile` are made of.
    private |= {"CompiledFunction", "Step", "Variable", "is_recording"}
    # What `nn.functional` has under PyTorch's names and arguments.
    private |= {
        "batch_norm",
        "embedding",
        "adaptive_avg_pool",
        "adaptive_max_pool",
        "avg_pool",
        "fold",
        "interpolate",
        "max_pool",
        "unfold",
    }
    public = {n for n in {*FUNCTIONS, *CLASSES} - TYPING_ONLY if not n.startswith(("_", "random_"))} - private
    assert public <= set(ad.__all__)
    assert {name for name in ad.__all__ if not hasattr(ad, name)} == set()
