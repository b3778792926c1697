"""Writes vectors.json: what PyTorch's layers and losses give. Run by hand, with PyTorch installed.

Depends on PyTorch. Invariant: everything is float64, so that arithmetic in another order still agrees to 1e-11. A case
is a module's name and settings, its state, its inputs, its output, and the gradients of a weighted sum of the output.
"""

import json
from pathlib import Path
from typing import Any

import torch

Json = Any
random = torch.Generator().manual_seed(0)


def normal(*shape: int) -> torch.Tensor:
    """Numbers with three decimals, so that the file stays small and exact."""
    return torch.round(torch.randn(shape, generator=random, dtype=torch.float64) * 1000) / 1000


def labels(classes: int, *shape: int) -> torch.Tensor:
    """Random labels."""
    return torch.randint(0, classes, shape, generator=random)


PROBABILITIES = torch.tensor([[0.2, 0.5, 0.3, 0.0], [0.25, 0.25, 0.25, 0.25], [1.0, 0.0, 0.0, 0.0]]).double()
CLASS_WEIGHT = torch.tensor([0.5, 1.0, 2.0, 0.25]).double()
POINTS = torch.tensor([[-30.0, -2.5, -1.0, -0.25], [0.25, 1.0, 2.5, 30.0]]).double()
ACTIVATIONS: list[tuple[str, dict[str, Json]]] = [
    ("ReLU", {}),
    ("LeakyReLU", {}),
    ("LeakyReLU", {"negative_slope": 0.3}),
    ("PReLU", {"num_parameters": 4}),
    ("ELU", {}),
    ("ELU", {"alpha": 0.5}),
    ("GELU", {}),
    ("GELU", {"approximate": "tanh"}),
    ("SiLU", {}),
    ("Softplus", {}),
    ("Softplus", {"beta": 2.0, "threshold": 5.0}),
    ("Sigmoid", {}),
    ("Tanh", {}),
    ("Softmax", {"dim": -1}),
    ("Softmax", {"dim": 0}),
    ("LogSoftmax", {"dim": -1}),
]
LAYERS: list[tuple[str, dict[str, Json], list[torch.Tensor]]] = [
    ("Linear", {"in_features": 3, "out_features": 2}, [normal(2, 4, 3)]),
    ("Linear", {"in_features": 3, "out_features": 2, "bias": False}, [normal(3)]),
    ("LayerNorm", {"normalized_shape": 4}, [normal(3, 4)]),
    ("LayerNorm", {"normalized_shape": [2, 3], "eps": 0.1}, [normal(2, 2, 3)]),
    ("LayerNorm", {"normalized_shape": [3], "elementwise_affine": False}, [normal(2, 3)]),
    ("LayerNorm", {"normalized_shape": [3], "bias": False}, [normal(2, 3)]),
    ("Embedding", {"num_embeddings": 5, "embedding_dim": 3}, [torch.tensor([[0, 4], [4, 2]])]),
    ("Embedding", {"num_embeddings": 5, "embedding_dim": 3, "padding_idx": 4}, [torch.tensor([[0, 4], [4, 2]])]),
    ("Flatten", {}, [normal(2, 3, 2)]),
    ("Unflatten", {"dim": 1, "unflattened_size": [3, -1]}, [normal(2, 6)]),
]
REGRESSIONS: list[tuple[str, dict[str, Json]]] = [
    ("MSELoss", {}),
    ("L1Loss", {}),
    ("SmoothL1Loss", {}),
    ("SmoothL1Loss", {"beta": 0.3}),
    ("HuberLoss", {"delta": 0.7}),
]
CLASSES: list[tuple[str, dict[str, Json], list[torch.Tensor]]] = [
    ("BCELoss", {}, [torch.sigmoid(normal(3, 2)), torch.sigmoid(normal(3, 2))]),
    ("BCELoss", {"weight": [0.5, 2.0]}, [torch.sigmoid(normal(3, 2)), labels(2, 3, 2).double()]),
    ("BCEWithLogitsLoss", {}, [normal(3, 2) * 30, labels(2, 3, 2).double()]),
    ("BCEWithLogitsLoss", {"weight": [0.5, 2.0], "pos_weight": [3.0, 0.5]}, [normal(3, 2), labels(2, 3, 2).double()]),
    ("NLLLoss", {}, [torch.log_softmax(normal(5, 4), 1), labels(4, 5)]),
    (
        "NLLLoss",
        {"weight": CLASS_WEIGHT.tolist(), "ignore_index": 2},
        [torch.log_softmax(normal(5, 4), 1), labels(4, 5)],
    ),
    ("CrossEntropyLoss", {}, [normal(5, 4), labels(4, 5)]),
    ("CrossEntropyLoss", {}, [normal(4), labels(4)]),
    ("CrossEntropyLoss", {}, [normal(2, 4, 3), labels(4, 2, 3)]),
    ("CrossEntropyLoss", {"ignore_index": 1}, [normal(5, 4), torch.tensor([0, 1, 3, 1, 2])]),
    ("CrossEntropyLoss", {"weight": CLASS_WEIGHT.tolist()}, [normal(5, 4), labels(4, 5)]),
    ("CrossEntropyLoss", {"label_smoothing": 0.2}, [normal(5, 4), labels(4, 5)]),
    (
        "CrossEntropyLoss",
        {"weight": CLASS_WEIGHT.tolist(), "label_smoothing": 0.1, "ignore_index": 3},
        [normal(5, 4), torch.tensor([0, 1, 3, 1, 2])],
    ),
    ("CrossEntropyLoss", {}, [normal(3, 4), PROBABILITIES]),
    ("CrossEntropyLoss", {"weight": CLASS_WEIGHT.tolist(), "label_smoothing": 0.1}, [normal(3, 4), PROBABILITIES]),
]


def case(name: str, settings: dict[str, Json], inputs: list[torch.Tensor]) -> dict[str, Json]:
    """Runs a module on its inputs and writes down everything that a comparison needs."""
    made = {k: torch.tensor(v).double() if k in ("weight", "pos_weight") else v for k, v in settings.items()}
    module = getattr(torch.nn, name)(**made).double()
    with torch.no_grad():
        for parameter in module.parameters():
            # An embedding's padding row stays zero.
            zero = (parameter == 0).all(dim=-1, keepdim=True) if name == "Embedding" else torch.tensor(False)
            parameter.copy_(torch.where(zero, 0.0, normal(*parameter.shape)))
    state = {key: value.tolist() for key, value in module.state_dict().items()}
    inputs = [value.clone().requires_grad_(value.is_floating_point()) for value in inputs]
    output = module(*inputs)
    weight = normal(*output.shape)
    (output * weight).sum().backward()
    return {
        "module": name,
        "settings": settings,
        "state": state,
        "inputs": [value.tolist() for value in inputs],
        "output": output.tolist(),
        "weight": weight.tolist(),
        "input_grads": [value.grad.tolist() if value.grad is not None else None for value in inputs],
        "grads": {key: value.grad.tolist() for key, value in module.named_parameters()},
    }


if __name__ == "__main__":
    cases = [case(name, settings, [POINTS]) for name, settings in ACTIVATIONS]
    cases += [case(*layer) for layer in LAYERS]
    for reduction in ("mean", "sum", "none"):
        for name, settings in REGRESSIONS:
            cases.append(case(name, {**settings, "reduction": reduction}, [normal(3, 2), normal(3, 2)]))
        cases += [case(name, {**settings, "reduction": reduction}, inputs) for name, settings, inputs in CLASSES]
    rows = ",\n".join(json.dumps(row) for row in cases)
    text = f'{{"source": "torch {torch.__version__}", "cases": [\n{rows}\n]}}\n'
    Path(__file__).with_name("vectors.json").write_text(text, encoding="utf-8")
