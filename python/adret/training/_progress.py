"""What a training shows: a bar in terminals and notebooks, a line per epoch elsewhere, or nothing.

Depends on tqdm, imported when a bar is shown. Invariant: values are asked for at a bounded rate.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from .._core import DomainError
from ._history import shorter

SECONDS_BETWEEN = 0.2

Values = Callable[[], Mapping[str, float]]


class Progress:
    """Shows nothing; the base of what shows something."""

    watches_steps = False
    """Whether `step` is to be called."""

    def begin(self, epoch: int, epochs: int, batches: int | None) -> None:
        """An epoch begins."""

    def step(self, values: Values) -> None:
        """A batch is done; `values` fetches the means so far."""

    def end(self, values: Mapping[str, float]) -> None:
        """An epoch is done."""

    def close(self) -> None:
        """The training is over."""


def written(values: Mapping[str, float]) -> str:
    """Values for one line."""
    return ", ".join(f"{name} {shorter(value)}" for name, value in values.items())


class Lines(Progress):
    """Prints one line per epoch."""

    def begin(self, epoch: int, epochs: int, batches: int | None) -> None:
        """Notes the time."""
        self._title = f"epoch {epoch + 1}/{epochs}"
        self._start = time.perf_counter()

    def end(self, values: Mapping[str, float]) -> None:
        """Prints the line."""
        print(f"{self._title}: {written(values)} ({time.perf_counter() - self._start:.1f} s)", flush=True)


class Bars(Progress):
    """A bar per epoch.

    Args:
        make: tqdm's class.
    """

    watches_steps = True

    def __init__(self, make: Any) -> None:
        """Takes the kind of bar."""
        self._make = make
        self._bar: Any = None
        self._done = 0
        self._shown = 0.0

    def begin(self, epoch: int, epochs: int, batches: int | None) -> None:
        """Opens the bar."""
        self._bar = self._make(total=batches, desc=f"epoch {epoch + 1}/{epochs}", unit="batch", mininterval=0)
        self._done = 0
        self._shown = time.perf_counter()

    def step(self, values: Values) -> None:
        """Moves the bar, at most a few times per second."""
        self._done += 1
        now = time.perf_counter()
        if now - self._shown >= SECONDS_BETWEEN:
            self._shown = now
            self._bar.set_postfix_str(written(values()), refresh=False)
            self._bar.update(self._done)
            self._done = 0

    def end(self, values: Mapping[str, float]) -> None:
        """Fills the bar."""
        self._bar.set_postfix_str(written(values), refresh=False)
        self._bar.update(self._done)
        self.close()

    def close(self) -> None:
        """Closes the bar where it stands."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def in_notebook() -> bool:
    """Whether a notebook's kernel runs this."""
    return "ipykernel" in sys.modules


def _bar() -> Any:
    if in_notebook() and _has_widgets():
        from tqdm.notebook import tqdm
    else:
        from tqdm import tqdm
    return tqdm


def _has_widgets() -> bool:
    from importlib.util import find_spec

    return find_spec("ipywidgets") is not None


def progress_of(verbose: bool | int | str) -> Progress:
    """What a training shows, for `fit`'s argument `verbose`."""
    if verbose == "auto":
        error_stream: Any = sys.stderr
        shows = in_notebook() or (error_stream is not None and error_stream.isatty())
        return Bars(_bar()) if shows else Lines()
    if verbose in (0, 1, 2) and not isinstance(verbose, str):
        return (Progress, lambda: Bars(_bar()), Lines)[int(verbose)]()
    raise DomainError(
        f"fit: verbose is {verbose!r}. Use 'auto', 0 or False for nothing, 1 or True for a bar, 2 for a line per epoch."
    )
