"""Differences of the engine's counters.

Depends on adret.
"""

from __future__ import annotations

import adret as ad


class Counters:
    """Counts what happens between two looks.

    Example:
        >>> counted = Counters()
        >>> counted.since("runs")
        0
    """

    def __init__(self) -> None:
        self.start = ad.stats()

    def since(self, name: str) -> int:
        """How much a counter has grown."""
        return ad.stats()[name] - self.start[name]

    def peak(self) -> int:
        """The largest number of bytes above the start, if `reset_peak_memory` was called there."""
        return ad.stats()["peak_bytes"] - self.start["bytes_in_use"]


def measured() -> Counters:
    """Counters with the peak measured anew."""
    ad.reset_peak_memory()
    return Counters()
