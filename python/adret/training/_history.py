"""What a training reached, epoch by epoch.

Depends on nothing of the package; plots need matplotlib. Invariant: every list has one entry per finished epoch.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import Any


class History:
    """Losses and metrics of a training.

    Example:
        >>> history = ad.History()
        >>> history.append(0, {"loss": 0.5, "accuracy": 0.75})
        >>> history.append(1, {"loss": 0.25, "accuracy": 1.0})
        >>> history["loss"], history.epochs
        ([0.5, 0.25], [0, 1])
        >>> history
        History(2 epochs; loss: 0.5 -> 0.25; accuracy: 0.75 -> 1)
    """

    def __init__(self) -> None:
        """Begins without epochs."""
        self.history: dict[str, list[float]] = {}
        """Values by name; those of the validation data begin with `val_`."""
        self.epochs: list[int] = []
        """Numbers of the finished epochs."""
        self.interrupted = False
        """Whether Ctrl-C ended the training."""

    def append(self, epoch: int, values: dict[str, float]) -> None:
        """Adds an epoch; a name that is new, or missing, has NaN where it has no value."""
        for name in values:
            self.history.setdefault(name, [float("nan")] * len(self.epochs))
        for name, list_of_values in self.history.items():
            list_of_values.append(values.get(name, float("nan")))
        self.epochs.append(epoch)

    def __getitem__(self, name: str) -> list[float]:
        """The values of that name."""
        if name not in self.history:
            raise KeyError(f"History: there is no {name!r}. There are: {', '.join(self.history) or 'none'}.")
        return self.history[name]

    def __contains__(self, name: object) -> bool:
        """Whether there are values of that name."""
        return name in self.history

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self.history)

    def keys(self) -> list[str]:
        """The names."""
        return list(self.history)

    def __len__(self) -> int:
        """Number of finished epochs."""
        return len(self.epochs)

    def plot(self, names: Sequence[str] | None = None, axes: Any = None) -> Any:
        """Draws curves: one picture per quantity, training and validation together.

        Args:
            names: Quantities, such as "loss"; all for None.
            axes: matplotlib's axes, one per quantity; None makes a figure.

        Returns:
            The figure.

        Raises:
            ImportError: If matplotlib is missing.
        """
        try:
            # By name: a type checker need not have matplotlib either.
            library: Any = importlib.import_module("matplotlib.pyplot")
        except ImportError as error:
            raise ImportError(
                "History.plot: matplotlib is missing. Install it with `pip install matplotlib`."
            ) from error
        pictures: dict[str, list[str]] = {}
        for name in self.history:
            pictures.setdefault(name.removeprefix("val_"), []).append(name)
        chosen = list(pictures) if names is None else list(names)
        for name in chosen:
            if name not in pictures:
                self[name]  # raises, with the names that there are
                pictures[name] = [name]
        if axes is None:
            _, made = library.subplots(1, max(len(chosen), 1), figsize=(4.8 * max(len(chosen), 1), 3.4), squeeze=False)
            axes = made[0]
        elif not hasattr(axes, "__len__"):
            axes = [axes]
        for picture, name in zip(axes, chosen, strict=False):
            for curve in pictures[name]:
                picture.plot(self.epochs, self.history[curve], label=curve, marker="." if len(self) < 20 else None)
            picture.set_xlabel("epoch")
            picture.set_title(name)
            picture.legend()
        figure = axes[0].figure
        figure.tight_layout()
        return figure

    def __repr__(self) -> str:
        """The first and the last values."""
        if not self.epochs:
            return "History(0 epochs)"
        parts = [f"{len(self)} epoch{'s' if len(self) > 1 else ''}{', interrupted' if self.interrupted else ''}"]
        for name, values in self.history.items():
            shown = shorter(values[-1]) if len(values) == 1 else f"{shorter(values[0])} -> {shorter(values[-1])}"
            parts.append(f"{name}: {shown}")
        return f"History({'; '.join(parts)})"

    def _repr_html_(self) -> str:
        """A table for notebooks: the last ten epochs."""
        first = max(0, len(self) - 10)
        head = "".join(f"<th>{name}</th>" for name in ("epoch", *self.history))
        rows = "".join(
            f"<tr><td>{self.epochs[row]}</td>"
            + "".join(f"<td>{shorter(values[row])}</td>" for values in self.history.values())
            + "</tr>"
            for row in range(first, len(self))
        )
        more = f"<caption>the last {len(self) - first} of {len(self)} epochs</caption>" if first else ""
        return f"<table>{more}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def shorter(value: float) -> str:
    """A number in four significant digits."""
    return f"{value:.4g}"
