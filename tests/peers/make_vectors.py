"""Makes `tests/training/vectors.npz`: what PyTorch's training gives from given weights and data.

Run by hand, where PyTorch is: `python tests/peers/make_vectors.py`. The file notes the version. Depends on PyTorch
and NumPy.
"""

from __future__ import annotations

import pathlib

import numpy as np
import torch

STEPS, ROWS, FEATURES, HIDDEN, CLASSES = 200, 48, 6, 12, 4
TARGET = pathlib.Path(__file__).parents[1] / "training" / "vectors.npz"

OPTIMISERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.8, nesterov=True, weight_decay=1e-3),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "amsgrad": lambda p: torch.optim.Adam(p, lr=0.02, betas=(0.8, 0.99), eps=1e-6, weight_decay=1e-2, amsgrad=True),
}
LOSSES = {
    "classes": lambda y, labels, targets: torch.nn.functional.cross_entropy(y, labels),
    "values": lambda y, labels, targets: torch.nn.functional.mse_loss(y, targets),
}


def train(dtype: torch.dtype, optimiser: str, loss: str, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Losses of all steps and the last weights."""
    model = torch.nn.Sequential(
        torch.nn.Linear(FEATURES, HIDDEN), torch.nn.Tanh(), torch.nn.Linear(HIDDEN, CLASSES)
    ).to(dtype)
    model.load_state_dict(
        {name[2:]: torch.tensor(values, dtype=dtype) for name, values in given.items() if name[:2] == "w:"}
    )
    x, targets = (torch.tensor(given[name], dtype=dtype) for name in ("x", "targets"))
    labels = torch.tensor(given["labels"])
    stepper = OPTIMISERS[optimiser](model.parameters())
    losses = []
    for step in range(STEPS):
        batch = slice(step % 3 * 16, step % 3 * 16 + 16)
        stepper.zero_grad()
        value = LOSSES[loss](model(x[batch]), labels[batch], targets[batch])
        value.backward()
        stepper.step()
        losses.append(value.item())
    weights = {f"last:{name}": tensor.detach().numpy() for name, tensor in model.state_dict().items()}
    return {"losses": np.array(losses), **weights}


def main() -> None:
    """Writes the file."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(7)
    given = {
        "x": rng.standard_normal((ROWS, FEATURES)),
        "targets": rng.standard_normal((ROWS, CLASSES)),
        "labels": rng.integers(0, CLASSES, ROWS),
        "w:0.weight": rng.standard_normal((HIDDEN, FEATURES)) * 0.4,
        "w:0.bias": rng.standard_normal(HIDDEN) * 0.1,
        "w:2.weight": rng.standard_normal((CLASSES, HIDDEN)) * 0.3,
        "w:2.bias": rng.standard_normal(CLASSES) * 0.1,
    }
    # Weights and data that float32 holds exactly serve both dtypes.
    given = {
        name: values if name == "labels" else values.astype(np.float32).astype(float) for name, values in given.items()
    }
    stored = {f"given|{name}": values for name, values in given.items()}
    for optimiser in OPTIMISERS:
        for loss in LOSSES:
            for dtype in (torch.float64, torch.float32):
                key = f"{optimiser}|{loss}|{str(dtype).removeprefix('torch.')}"
                stored.update({f"{key}|{name}": v for name, v in train(dtype, optimiser, loss, given).items()})
    stored["torch"] = np.array(torch.__version__)
    np.savez_compressed(TARGET, **stored)


if __name__ == "__main__":
    main()
