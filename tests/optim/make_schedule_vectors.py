"""Writes schedules.json: the rates that PyTorch's schedules set. Run by hand, with PyTorch installed.

Depends on PyTorch. Invariant: two groups with rates of their own, and an optimiser's step before every schedule's.
"""

import json
import warnings
from pathlib import Path

import torch

RATES = [1.0, 0.25]
STEPS = 12
METRICS = [1.0, 0.8, 0.8, 0.79999, 0.9, 0.95, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7]
CASES = [
    ("StepLR", {"step_size": 3}),
    ("PolynomialLR", {}),
    ("PolynomialLR", {"total_iters": 9, "power": 0.5}),
    ("CosineAnnealingWarmRestarts", {"T_0": 4}),
    ("CosineAnnealingWarmRestarts", {"T_0": 2, "T_mult": 2, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 1, "T_mult": 3}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 3}),
    (
        "CyclicLR",
        {"base_lr": [0.1, 0.2], "max_lr": [0.5, 1.0], "step_size_up": 2, "step_size_down": 3, "mode": "triangular2"},
    ),
    (
        "CyclicLR",
        {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 4, "mode": "exp_range", "gamma": 0.9, "cycle_momentum": False},
    ),
    ("StepLR", {"step_size": 1, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [2, 5, 5, 9], "gamma": 0.5}),
    ("ConstantLR", {}),
    ("ConstantLR", {"factor": 0.5, "total_iters": 3}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 1.0, "end_factor": 0.1, "total_iters": 8}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("CosineAnnealingLR", {"T_max": 4}),
    ("CosineAnnealingLR", {"T_max": 12, "eta_min": 0.01}),
    ("CosineAnnealingLR", {"T_max": 1, "eta_min": 0.1}),
    ("ReduceLROnPlateau", {"patience": 1}),
    ("ReduceLROnPlateau", {"mode": "max", "patience": 0, "factor": 0.5, "cooldown": 2, "min_lr": [0.1, 0.2]}),
    ("ReduceLROnPlateau", {"patience": 1, "threshold": 0.05, "threshold_mode": "abs", "factor": 0.5}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 13}),
    ("OneCycleLR", {"max_lr": [0.5, 2.0], "epochs": 3, "steps_per_epoch": 5, "anneal_strategy": "linear"}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 14, "three_phase": True, "pct_start": 0.4, "div_factor": 10.0}),
]


def run(name: str, settings: dict[str, object]) -> dict[str, list[list[float]]]:
    """Rates and momenta of both groups, at first and after each step."""
    parameters = [torch.ones(1, requires_grad=True) for _ in RATES]
    groups = [{"params": [p], "lr": rate} for p, rate in zip(parameters, RATES, strict=True)]
    optimizer = torch.optim.SGD(groups, lr=9.0, momentum=0.9)
    schedule = getattr(torch.optim.lr_scheduler, name)(optimizer, **settings)
    rates, momenta = ([[group[key] for group in optimizer.param_groups]] for key in ("lr", "momentum"))
    for metric in METRICS[:STEPS]:
        optimizer.step()
        schedule.step(metric) if name == "ReduceLROnPlateau" else schedule.step()
        rates.append([group["lr"] for group in optimizer.param_groups])
        momenta.append([group["momentum"] for group in optimizer.param_groups])
    return {"rates": rates, "momenta": momenta}


if __name__ == "__main__":
    warnings.simplefilter("error")
    vectors = {
        "source": f"torch {torch.__version__}",
        "start": RATES,
        "metrics": METRICS,
        "cases": [{"schedule": name, "settings": settings, **run(name, settings)} for name, settings in CASES],
    }
    Path(__file__).with_name("schedules.json").write_text(json.dumps(vectors) + "\n", encoding="utf-8")
