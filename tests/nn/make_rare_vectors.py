"""Writes rare_vectors.json: what PyTorch's rarer activations, distances and losses give. Run by hand, with PyTorch.

Depends on PyTorch and NumPy. Invariant: float64, and every case has a value and the gradients of all float operands.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

RANDOM = np.random.default_rng(0)
OPERANDS: dict[str, Any] = {
    "x": RANDOM.normal(size=(4, 6)) * 2,
    "y": RANDOM.normal(size=(4, 6)),
    "z": RANDOM.normal(size=(4, 6)),
    "positive": np.abs(RANDOM.normal(size=(4, 6))) + 0.1,
    "variances": np.array([1e-9, 0.5, 2.0, 0.1]),
    "signs": np.where(RANDOM.random((4, 6)) < 0.5, -1, 1),
    "pairs": np.array([1, -1, -1, 1]),
    "labels": np.array([5, 0, 2, 2]),
    "bits": RANDOM.integers(0, 2, (4, 6)),
    "weights": RANDOM.random(6),
    "images": RANDOM.normal(size=(2, 4, 7, 9)),
    "form": RANDOM.normal(size=(3, 6, 6)),
    "shift": RANDOM.normal(size=3),
}
for name in ("x", "y"):
    logits = OPERANDS[name] - np.log(np.exp(OPERANDS[name]).sum(1, keepdims=True))
    OPERANDS["log_" + name] = logits
OPERANDS["shares"] = np.exp(OPERANDS["log_y"])
OPERANDS = {name: np.round(values, 6) if values.dtype.kind == "f" else values for name, values in OPERANDS.items()}

CASES: list[tuple[str, list[str], dict[str, Any]]] = [
    *((name, ["x"], {}) for name in ("mish", "selu", "hardswish", "tanhshrink", "softsign", "logsigmoid", "glu")),
    *((name, ["x"], {}) for name in ("hardtanh", "softshrink", "hardshrink")),
    ("hardtanh", ["x"], {"min_val": -0.5, "max_val": 0.75}),
    ("celu", ["x"], {"alpha": 2.0}),
    ("softshrink", ["x"], {"lambd": 1.0}),
    ("hardshrink", ["x"], {"lambd": 1.0}),
    ("threshold", ["x"], {"threshold": 0.25, "value": -2.0}),
    ("softmin", ["x"], {"dim": 0}),
    ("glu", ["x"], {"dim": 0}),
    *(("normalize", ["x"], {"p": p, "dim": dim}) for p, dim in ((1.0, 1), (2.0, 0), (2.5, 1))),
    *(("pairwise_distance", ["x", "y"], {"p": p, "keepdim": p == 3.0}) for p in (1.0, 2.0, 3.0)),
    ("cosine_similarity", ["x", "y"], {}),
    ("cosine_similarity", ["x", "y"], {"dim": 0}),
    ("kl_div", ["log_x", "shares"], {"reduction": "batchmean"}),
    ("kl_div", ["log_x", "log_y"], {"reduction": "mean", "log_target": True}),
    ("margin_ranking_loss", ["x", "y", "signs"], {"margin": 0.25}),
    ("hinge_embedding_loss", ["x", "signs"], {"margin": 0.75, "reduction": "none"}),
    ("cosine_embedding_loss", ["x", "y", "pairs"], {"margin": 0.125, "reduction": "sum"}),
    ("triplet_margin_loss", ["x", "y", "z"], {"reduction": "none", "margin": 3.0}),
    ("triplet_margin_loss", ["x", "y", "z"], {"swap": True, "p": 1.0}),
    ("soft_margin_loss", ["x", "signs"], {}),
    ("multi_margin_loss", ["x", "labels"], {"p": 2, "margin": 0.5, "reduction": "none"}),
    ("multi_margin_loss", ["x", "labels", "weights"], {}),
    ("multilabel_soft_margin_loss", ["x", "bits"], {}),
    ("multilabel_soft_margin_loss", ["x", "bits", "weights"], {"reduction": "none"}),
    ("poisson_nll_loss", ["x", "positive"], {"full": True}),
    ("poisson_nll_loss", ["positive", "positive"], {"log_input": False}),
    ("gaussian_nll_loss", ["x", "y", "positive"], {"full": True}),
    ("gaussian_nll_loss", ["x", "y", "variances"], {"reduction": "sum"}),
    ("bilinear", ["x", "y", "form", "shift"], {}),
    ("channel_shuffle", ["images"], {"groups": 2}),
    ("lp_pool1d", ["positive"], {"norm_type": 3, "kernel_size": 2}),
    ("lp_pool2d", ["images"], {"norm_type": 2, "kernel_size": [2, 3], "stride": 2, "ceil_mode": True}),
    *(
        ("interpolate", ["images"], {"mode": mode, "antialias": True, **how})
        for mode in ("bilinear", "bicubic")
        for how in ({"size": [3, 14]}, {"scale_factor": [0.375, 1.5]}, {"size": [4, 5], "align_corners": True})
    ),
]


def run(name: str, operands: list[str], settings: dict[str, Any]) -> dict[str, Any]:
    """Value and gradients of the sum of value * cos(0, 1, 2, …)."""
    given = [torch.tensor(OPERANDS[operand]) for operand in operands]
    # A loss's labels have no gradient in PyTorch, though some are floats.
    tensors = [
        x.requires_grad_() if x.is_floating_point() and operand != "weights" else x
        for x, operand in zip(given, operands, strict=True)
    ]
    named = {"weight": tensors.pop()} if operands[-1] == "weights" else {}
    value = getattr(F, name)(*tensors, **named, **settings)
    (value * torch.arange(value.numel(), dtype=torch.float64).reshape(value.shape).cos()).sum().backward()
    gradients = [None if x.grad is None else x.grad.flatten().tolist() for x in tensors]
    value = value.detach()
    return {"shape": list(value.shape), "value": value.flatten().tolist(), "gradients": gradients}


if __name__ == "__main__":
    vectors = {
        "source": f"torch {torch.__version__}",
        "operands": {name: values.tolist() for name, values in OPERANDS.items()},
        "cases": [
            {"function": name, "operands": operands, "settings": settings, **run(name, operands, settings)}
            for name, operands, settings in CASES
        ],
    }
    text = json.dumps(vectors, separators=(",", ":"))
    Path(__file__).with_name("rare_vectors.json").write_text(text + "\n", encoding="utf-8")
