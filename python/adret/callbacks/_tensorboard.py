"""Event files of a training.

Depends on `_base`; the writer is loaded when a training begins. Invariant: values are those of the history.
"""

from __future__ import annotations

import os
from typing import Any

from ._base import Callback, Logs


class TensorBoard(Callback):
    """Writes losses and metrics of every epoch to an event file, for `tensorboard --logdir FOLDER`.

    Args:
        log_dir: The folder; runs to compare go to folders of their own, side by side.
        histogram_freq: After how many epochs the distribution of every parameter is written; 0 for never.
        graph_input: An input, for which the network's graph is written at the beginning; None for no graph.

    Raises:
        OSError: While training, if the file cannot be written.

    Example:
        >>> import tempfile
        >>> x = ad.ones((4, 1))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     told = TensorBoard(folder)
        ...     history = ad.fit(ad.nn.Linear(1, 1), (x, x), "mse", "sgd", epochs=2, callbacks=[told], verbose=0)
        ...     [event.tag for event in ad.tensorboard.read_events(folder)]
        ['loss', 'loss']
    """

    def __init__(self, log_dir: str | os.PathLike[str], histogram_freq: int = 0, graph_input: Any = None) -> None:
        """Takes the folder."""
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = histogram_freq
        self.graph_input = graph_input
        self._writer: Any = None

    def on_train_begin(self, logs: Logs) -> None:
        """Opens the file, and writes the graph."""
        from ..tensorboard import SummaryWriter

        self._writer = SummaryWriter(self.log_dir)
        if self.graph_input is not None:
            self._writer.add_graph(self.model, self.graph_input)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Writes the epoch's values."""
        for name, value in logs.items():
            # Training and validation of one quantity stand together.
            tag = f"{name.removeprefix('val_')}/validation" if name.startswith("val_") else name
            self._writer.add_scalar(tag, value, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            for name, parameter in self.model.named_parameters():
                self._writer.add_histogram(name.replace(".", "/"), parameter, epoch)

    def on_train_end(self, logs: Logs) -> None:
        """Closes the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
