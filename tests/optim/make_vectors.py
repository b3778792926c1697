"""Writes vectors.json: what PyTorch's optimisers make of given gradients. Run by hand, with PyTorch installed.

Depends on PyTorch. Invariant: everything is float64, so that arithmetic in another order still agrees to 1e-12.
"""

import json
from pathlib import Path

import torch

START = [[0.5, -1.25, 2.0], [0.75]]
GRADS = [
    [[0.1, -0.2, 0.3], [1.0]],
    [[0.5, 0.25, -0.75], [-2.0]],
    [[0.0, 1.5, 0.125], [0.5]],
    [[-0.3, 0.2, 0.1], [0.25]],
    [[0.01, -0.02, 3.0], [-0.125]],
]
CASES = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.05}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.5, "maximize": True, "weight_decay": 0.1}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "betas": [0.8, 0.9], "eps": 1e-3}),
    ("Adam", {"lr": 0.05, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.05, "amsgrad": True}),
    ("Adam", {"lr": 0.05, "amsgrad": True, "maximize": True, "weight_decay": 0.01}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.1, "betas": [0.8, 0.9], "eps": 1e-3, "weight_decay": 0.3}),
    ("AdamW", {"lr": 0.05, "amsgrad": True, "maximize": True}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.0}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.1, "alpha": 0.8, "eps": 1e-3, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.05, "momentum": 0.9}),
    ("RMSprop", {"lr": 0.05, "centered": True}),
    ("RMSprop", {"lr": 0.05, "centered": True, "momentum": 0.5, "maximize": True, "weight_decay": 0.01}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.5, "eps": 1e-3, "weight_decay": 0.1}),
    ("Adagrad", {"lr": 0.1, "initial_accumulator_value": 0.25, "maximize": True}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.7, "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("Adamax", {}),
    ("Adamax", {"lr": 0.1, "betas": [0.8, 0.9], "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("NAdam", {}),
    ("NAdam", {"lr": 0.1, "betas": [0.8, 0.9], "eps": 1e-3, "weight_decay": 0.1, "momentum_decay": 0.5}),
    ("NAdam", {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("RAdam", {}),
    ("RAdam", {"lr": 0.1, "betas": [0.8, 0.9], "eps": 1e-3, "weight_decay": 0.1}),
    ("RAdam", {"lr": 0.1, "betas": [0.5, 0.99], "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("Rprop", {}),
    ("Rprop", {"lr": 0.1, "etas": [0.25, 1.5], "step_sizes": [0.05, 0.12], "maximize": True}),
]


def run(name: str, settings: dict[str, object]) -> list[list[list[float]]]:
    """The parameters after each step; the rate is halved before the fourth."""
    parameters = [torch.tensor(values, dtype=torch.float64, requires_grad=True) for values in START]
    optimizer = getattr(torch.optim, name)(parameters, **settings)
    path: list[list[list[float]]] = []
    for number, grads in enumerate(GRADS):
        for parameter, values in zip(parameters, grads, strict=True):
            parameter.grad = torch.tensor(values, dtype=torch.float64)
        if number == 3:
            optimizer.param_groups[0]["lr"] /= 2
        optimizer.step()
        path.append([parameter.tolist() for parameter in parameters])
    return path


if __name__ == "__main__":
    # Products of momenta are kept in the default dtype.
    torch.set_default_dtype(torch.float64)
    vectors = {
        "source": f"torch {torch.__version__}",
        "start": START,
        "grads": GRADS,
        "cases": [{"optimizer": name, "settings": settings, "path": run(name, settings)} for name, settings in CASES],
    }
    Path(__file__).with_name("vectors.json").write_text(json.dumps(vectors, indent=1) + "\n", encoding="utf-8")
