"""Random nonsense handed to every public function: it may raise, it may not break.

Depends on adret. Allowed are the library's exceptions (not InternalError) and Python's own for arguments; a panic,
a crash or a harmed bystander is a bug.
"""

from __future__ import annotations

import random

import adret as ad
import numpy as np
import pytest
from adret import nn

ALLOWED = (ad.AdretError, TypeError, ValueError, OverflowError, IndexError, AttributeError)
SKIPPED = {
    # Change the state of the process, not a value.
    "manual_seed",
    "set_num_threads",
    "set_default_dtype",
    "set_default_device",
    "set_grad_enabled",
    "push_scope",
    "pop_scope",
    "reset_peak_memory",
    "no_grad",
    "enable_grad",
}
TRIES = 60


def public_functions() -> list[str]:
    """Names of the namespace's functions."""
    names = [name for name in dir(ad) if not name.startswith("_") and name not in SKIPPED]
    return [name for name in names if callable(getattr(ad, name)) and not isinstance(getattr(ad, name), type)]


def argument(rng: random.Random) -> object:
    """Anything that a user might hand over, sensible or not."""
    shape = tuple(rng.choice([0, 1, 2, 3, 4]) for _ in range(rng.choice([0, 1, 1, 2, 2, 3])))
    dtype = rng.choice(
        ["float32", "float64", "int64", "int32", "bool", "uint8", "float16", "bfloat16", "int8", "uint64"]
    )
    makers = [
        lambda: ad.ones(shape, dtype=dtype),
        lambda: ad.zeros(shape),
        lambda: ad.arange(6).reshape(2, 3),
        lambda: ad.ones(shape, dtype="float64", requires_grad=True),
        lambda: ad.broadcast_to(ad.ones(1), (2**10, 2**10)),
        lambda: ad.tensor([float("nan"), float("inf")]),
        lambda: rng.choice([0, 1, -1, 2, 5, -7, 2**31, -(2**63), 2**63, 2**64, 2**200]),
        lambda: rng.choice([0.0, 1.5, -0.5, float("nan"), float("inf"), 1e308, -1e-308]),
        lambda: rng.choice([True, False, None, ..., "", "mean", "cpu", "float32", "gpu:99", "\0", "é" * 50, b"x"]),
        lambda: rng.choice(
            [(), [], (1, 2), [0, -1], (2, -1), [[1, 2], [3]], [None], ["a"], {}, {"a": 1}, set(), range(3)]
        ),
        lambda: rng.choice([(2**40, 2**40), (2**62, 4), (-1, -1), (0, 2**63 - 1), [2**31] * 3]),
        lambda: rng.choice(
            [slice(None), object(), int, lambda x: x, np.float32(1), np.ones(3), np.ones((2, 0)), np.array("a")]
        ),
        lambda: [ad.ones(2), ad.ones(rng.choice([2, 3]))],
        lambda: ad.float32,
    ]
    return rng.choice(makers)()


def call(function, rng: random.Random) -> object:
    """One call with random arguments."""
    arguments = [argument(rng) for _ in range(rng.choice([0, 1, 1, 2, 2, 3, 4]))]
    names = ["axis", "keepdims", "dtype", "device", "correction", "reduction", "k", "value", "shape", "copy"]
    keywords = {rng.choice(names): argument(rng) for _ in range(rng.choice([0, 0, 0, 1, 2]))}
    return function(*arguments, **keywords)


def small(value: object) -> bool:
    """Whether a result can be evaluated in a test."""
    return isinstance(value, ad.Tensor) and value.size < 100_000


@pytest.mark.parametrize("name", public_functions())
def test_functions(name: str) -> None:
    """Random calls of one function, their results evaluated where they are small."""
    rng = random.Random(name)
    bystander = ad.tensor([1.0, 2.0])
    for _ in range(TRIES):
        try:
            result = call(getattr(ad, name), rng)
            for part in result if isinstance(result, tuple | list) else (result,):
                if small(part):
                    part.tolist()
        except ad.InternalError as error:
            pytest.fail(f"{name}: internal error: {error}")
        except ALLOWED as error:
            assert "panicked" not in str(error)
        except MemoryError as error:
            assert isinstance(error, ad.OutOfMemoryError), error
        except BaseException as error:
            pytest.fail(f"{name}: {type(error).__name__}: {error}")
    assert bystander.tolist() == [1, 2]
    assert ad.is_grad_enabled()


METHODS = [
    name
    for name in dir(ad.Tensor)
    if not name.startswith("__")
    or name
    in (
        "__add__",
        "__getitem__",
        "__setitem__",
        "__matmul__",
        "__pow__",
        "__eq__",
        "__iadd__",
        "__array__",
        "__contains__",
        "__dlpack__",
        "__format__",
        "__rsub__",
        "__divmod__",
        "__round__",
    )
]


@pytest.mark.parametrize("name", METHODS)
def test_methods(name: str) -> None:
    """Random calls of one method or attribute on random tensors."""
    rng = random.Random(name)
    for _ in range(TRIES):
        tensor = argument(rng)
        if not small(tensor):
            continue
        try:
            value = getattr(tensor, name)
            result = call(value, rng) if callable(value) else value
            if small(result):
                result.tolist()
        except ad.InternalError as error:
            pytest.fail(f"{name}: internal error: {error}")
        except (*ALLOWED, MemoryError, BufferError):
            continue
        except BaseException as error:
            pytest.fail(f"{name}: {type(error).__name__}: {error}")


LAYERS = [
    "Linear",
    "LayerNorm",
    "Embedding",
    "Dropout",
    "Flatten",
    "Unflatten",
    "Softmax",
    "GELU",
    "CrossEntropyLoss",
    "NLLLoss",
    "BCEWithLogitsLoss",
    "MSELoss",
    "ELU",
    "LeakyReLU",
    "HuberLoss",
]


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    """Random constructions and calls of layers."""
    rng = random.Random(name)
    for _ in range(TRIES):
        try:
            layer = call(getattr(nn, name), rng)
            result = call(layer, rng)
            if small(result):
                result.tolist()
        except ad.InternalError as error:
            pytest.fail(f"{name}: internal error: {error}")
        except (*ALLOWED, MemoryError, KeyError):
            continue
        except BaseException as error:
            pytest.fail(f"{name}: {type(error).__name__}: {error}")


def test_module_paths_survive_failing_layers() -> None:
    """After all that, errors outside modules name no module."""
    with pytest.raises(ad.ShapeError) as caught:
        ad.zeros(2) + ad.zeros(3)
    assert str(caught.value).startswith("add")
