"""Recurrent layers, attention and transformers against vectors of PyTorch: values and all gradients.

Depends on sequence_vectors.json, which make_sequence_vectors.py writes. Invariant: float64, agreement to 1e-9.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import adret as ad
import numpy as np
import pytest
from adret import nn

CASES = json.loads(Path(__file__).with_name("sequence_vectors.json").read_text(encoding="utf-8"))["cases"]
EXACT = {"rtol": 1e-9, "atol": 1e-11}


def name_of(case: dict[str, Any]) -> str:
    """A case's module, settings, and how it is called."""
    settings = ",".join(f"{key}={value}" for key, value in case["settings"].items())
    return f"{case['module']}({settings}){','.join(case['call'])}"


def flat(result: Any) -> list[Any]:
    """The tensors of nested tuples, in order."""
    if isinstance(result, tuple):
        return [leaf for part in result for leaf in flat(part)]
    return [] if result is None else [result]


def made(value: Any) -> Any:
    """Leaves from nested lists."""
    if isinstance(value, dict):
        return tuple(made(each) for each in value["tuple"])
    array = np.asarray(value)
    return ad.tensor(array, requires_grad=array.dtype == np.float64)


def called(case: dict[str, Any]) -> dict[str, Any]:
    """The keyword arguments of the call: masks are tensors."""
    given = case["call"].items()
    return {key: made(value).detach() if key.endswith("mask") else value for key, value in given}


def gradients(case: dict[str, Any], module: nn.Module, inputs: list[Any], outputs: list[ad.Tensor]) -> None:
    """Compares the gradients of the weighted sum."""
    pairs = zip(outputs, case["weights"], strict=True)
    sum((output * ad.tensor(np.asarray(weight))).sum() for output, weight in pairs).backward()
    for leaf, expected in zip(flat(tuple(inputs)), case["input_grads"], strict=True):
        np.testing.assert_allclose(leaf.grad.numpy(), np.asarray(expected), **EXACT)
    for path, parameter in module.named_parameters():
        np.testing.assert_allclose(parameter.grad.numpy(), np.asarray(case["grads"][path]), err_msg=path, **EXACT)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_agrees_with_pytorch(case: dict[str, Any]) -> None:
    module = getattr(nn, case["module"])(**case["settings"]).to(ad.float64)
    assert list(module.state_dict()) == list(case["state"])
    module.load_state_dict(case["state"])
    inputs = [made(value) for value in case["inputs"]]
    outputs = flat(module(*inputs, **called(case)))
    for output, expected in zip(outputs, case["outputs"], strict=True):
        assert output.shape == np.shape(expected)
        np.testing.assert_allclose(output.detach().numpy(), np.asarray(expected), **EXACT)
    gradients(case, module, inputs, outputs)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_compiled_alike(case: dict[str, Any]) -> None:
    module = getattr(nn, case["module"])(**case["settings"]).to(ad.float64)
    module.load_state_dict(case["state"])
    inputs = [made(value) for value in case["inputs"]]
    call = called(case)
    step = ad.compile(lambda *inputs: [output.detach() for output in flat(module(*inputs, **call))])
    for _ in range(3):
        for output, expected in zip(step(*inputs), case["outputs"], strict=True):
            np.testing.assert_allclose(output.numpy(), np.asarray(expected), **EXACT)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU", "MultiheadAttention"])
def test_gradients_by_differences(kind: str) -> None:
    ad.manual_seed(0)
    recurrent = kind != "MultiheadAttention"
    module = getattr(nn, kind)(2, 2).to(ad.float64)
    names = [name for name, _ in module.named_parameters()]

    def run(x: ad.Tensor, *values: ad.Tensor) -> ad.Tensor:
        state = dict(zip(names, values, strict=True))
        arguments = (x,) if recurrent else (x, x, x)
        return ad.functional_call(module, state, arguments)[0]

    values = [parameter.detach() for parameter in module.parameters()]
    assert ad.gradcheck(run, (ad.random.normal((3, 2, 2), dtype=ad.float64), *values))


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_second_derivatives_by_differences(kind: str) -> None:
    ad.manual_seed(0)
    module = getattr(nn, kind)(2, 2).to(ad.float64)
    state = {name: parameter.detach() for name, parameter in module.named_parameters()}
    x = ad.random.normal((3, 2, 2), dtype=ad.float64)

    def slope(weight: ad.Tensor, x: ad.Tensor) -> tuple[ad.Tensor, ...]:
        def total(weight: ad.Tensor, x: ad.Tensor) -> ad.Tensor:
            output = ad.functional_call(module, {**state, "weight_hh_l0": weight}, (x,))[0]
            return (output * output).sum()

        return ad.grad(total, argnums=(0, 1))(weight, x)

    assert ad.gradcheck(slope, (state["weight_hh_l0"], x))
