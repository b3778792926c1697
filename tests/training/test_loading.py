"""What is loaded when: importing the package leaves out what only trainings need.

Depends on the installed package, in a process of its own.
"""

from __future__ import annotations

import subprocess
import sys

import adret as ad
import pytest

PROGRAM = """
import sys
import adret
slow = ("numpy", "tqdm", "matplotlib", "csv", "dataclasses", "inspect")
heavy = [name for name in sys.modules if name.split(".")[0] in slow]
later = tuple(f"adret.{room}" for room in ("training", "callbacks", "data", "plot", "tensorboard"))
late = [name for name in sys.modules if name.startswith(later)]
assert not heavy and not late, (heavy, late)
assert "adret.optim.lr_scheduler" not in sys.modules
assert {"fit", "data", "callbacks", "plot"} <= set(dir(adret))
assert adret.fit is adret.training.fit
assert adret.optim.lr_scheduler.StepLR.__name__ == "StepLR"
"""


def test_trainings_are_loaded_when_asked_for() -> None:
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_unknown_names_are_errors() -> None:
    with pytest.raises(AttributeError, match="'adret' has no attribute 'fits'"):
        ad.fits  # noqa: B018
    with pytest.raises(AttributeError, match=r"'adret\.optim' has no attribute 'schedules'"):
        ad.optim.schedules  # noqa: B018
