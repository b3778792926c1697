"""Writing values to a file.

Depends on `_base`. Invariant: what is in the file is complete after every epoch.
"""

from __future__ import annotations

import os
from typing import Any

from ._base import Callback, Logs


class CSVLogger(Callback):
    """Writes a line per epoch to a file of comma-separated values, with a line of names first.

    Args:
        path: The file.
        separator: Stands between values.
        append: Whether lines are added to a file that is there.

    Raises:
        OSError: While training, if the file cannot be written.

    Example:
        >>> CSVLogger("training.csv").path
        'training.csv'
    """

    def __init__(self, path: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        """Takes the path."""
        self.path = os.fspath(path)
        self.separator = separator
        self.append = append
        self._file: Any = None
        self._names: list[str] | None = None

    def on_train_begin(self, logs: Logs) -> None:
        """Opens the file."""
        self._names = None
        if self.append and os.path.exists(self.path):
            with open(self.path, encoding="utf-8") as file:
                first = file.readline().strip()
            self._names = first.split(self.separator)[1:] if first else None
        self._file = open(self.path, "a" if self.append else "w", encoding="utf-8", newline="")  # noqa: SIM115

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Writes the line."""
        import csv

        writer = csv.writer(self._file, delimiter=self.separator)
        if self._names is None:
            self._names = list(logs)
            writer.writerow(["epoch", *self._names])
        writer.writerow([epoch, *(logs.get(name, "") for name in self._names)])
        self._file.flush()

    def on_train_end(self, logs: Logs) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
