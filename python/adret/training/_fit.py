"""The training loop.

Depends on everything else in this folder and on `callbacks`. Invariant: per batch the loop calls the step, counts, and
reads one number where that costs nothing; all else happens once per epoch or at a bounded rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from typing import Any

from .. import nn, optim
from .._core import DomainError, DTypeError, Tensor, random_integers
from ..callbacks import Callback
from ..callbacks._base import writes
from ._batches import Place, batches_of, length_of, no_batches
from ._errors import NonFiniteError
from ._finite import Copy, all_finite, find, first_bad_parameter
from ._history import History
from ._losses import Loss, loss_of
from ._metrics import Means, Metric, metrics_of
from ._modes import restored_modes, set_mode
from ._progress import progress_of
from ._step import Step, compiled, evaluation_step, samples_in, training_step

OPTIMIZERS: dict[str, Callable[[list[nn.Parameter]], optim.Optimizer]] = {
    "sgd": optim.SGD,
    "adam": optim.Adam,
    "adamw": optim.AdamW,
    "rmsprop": optim.RMSprop,
    "adagrad": optim.Adagrad,
}

# Batches between two looks at the loss. Evaluating on a CPU has finished when the step returns; elsewhere a look waits.
LOOK_EVERY = {"cpu": 1}
LOOK_EVERY_ELSEWHERE = 16


class Training:
    """A training under way; callbacks see it."""

    def __init__(
        self, model: nn.Module, loss: Loss, metrics: dict[str, Metric], optimizer: optim.Optimizer, place: Place
    ) -> None:
        """Begins with an empty history."""
        self.model = model
        self.loss = loss
        self.metrics = metrics
        self.optimizer = optimizer
        self.place = place
        self.history = History()
        self.stopping = False
        self.epoch = 0
        self.batch = 0

    def stop(self) -> None:
        """Ends the training after this epoch."""
        self.stopping = True


def fit(
    model: nn.Module,
    data: Any,
    loss: Any,
    optimizer: optim.Optimizer | str,
    epochs: int = 1,
    batch_size: int = 32,
    validation_data: Any = None,
    metrics: Any = (),
    callbacks: Sequence[Callback] = (),
    shuffle: bool = True,
    seed: int | None = None,
    verbose: bool | int | str = "auto",
    clip_grad_norm: float | None = None,
    compile: bool = True,
) -> History:
    """Trains a model.

    Floating-point data is converted to the dtype of the model's parameters, and all data is taken to their device.

    Args:
        model: What is trained. It is in training mode meanwhile, and gets its modes back.
        data: `(X, y)`; a dataset of pairs; a `DataLoader`; or an iterable of batches `(x, y)`.
        loss: A function of output and target, a loss module, or a name: "cross_entropy" (of logits),
            "categorical_cross_entropy" (of probabilities), "bce", "bce_with_logits", "mse", "mae", "huber", ...
        optimizer: An optimiser of the model's parameters, or a name with its default settings: "sgd", "adam", "adamw",
            "rmsprop", "adagrad".
        epochs: How often the data is gone through.
        batch_size: Samples per step, where the data is not in batches already.
        validation_data: As `data`; evaluated after every epoch, under names that begin with `val_`.
        metrics: Names ("accuracy", "binary_accuracy", "mae", "mse") or functions of output and target, or functions by
            name. They are means over the epoch's batches.
        callbacks: Are told of epochs and batches, in this order.
        shuffle: Whether every epoch has a random order of its own, where the data is not in batches already.
        seed: Decides the orders; None draws from `ad.random`.
        verbose: "auto" for a bar in terminals and notebooks and a line per epoch elsewhere; 0 or False for nothing,
            1 or True for a bar, 2 for lines.
        clip_grad_norm: A bound on the gradients' norm.
        compile: Whether steps are recorded and replayed, as by `ad.compile`. Pass False where model, loss or metrics
            do more than tensor arithmetic, or depend on Python values that change from batch to batch.

    Returns:
        Losses and metrics of every epoch. Ctrl-C ends the training and returns what there is, marked `interrupted`.

    Raises:
        NonFiniteError: If the loss or a parameter is NaN or infinite; the error names the first layer at fault.
        Exception: Whatever data, model or callbacks raise; `history` of the exception holds the epochs before.

    Example:
        >>> x = ad.linspace(-1.0, 1.0, 64).reshape(64, 1)
        >>> model = ad.nn.Linear(1, 1)
        >>> history = ad.fit(model, (x, 3 * x - 1), "mse", ad.optim.SGD(model.parameters(), lr=0.1), epochs=20,
        ...                  batch_size=8, verbose=0)
        >>> history["loss"][-1] < 1e-3
        True
    """
    if not isinstance(model, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise DTypeError(f"fit: model is a {type(model).__name__}. Give an nn.Module.")
    if epochs < 0:
        raise DomainError(f"fit: epochs is {epochs}. Use 0 or more.")
    if clip_grad_norm is not None and not clip_grad_norm > 0:
        raise DomainError(f"fit: clip_grad_norm is {clip_grad_norm}. Use a bound above 0, or None.")
    chosen = loss_of("fit", loss)
    measures = metrics_of("fit", metrics, chosen.output)
    place = Place(model)
    if shuffle and seed is None:
        seed = int(random_integers((), 0, 1 << 31).item())
    batches = batches_of("fit", data, place, batch_size, shuffle, seed)
    validation = None if validation_data is None else batches_of("fit", validation_data, place, batch_size)
    progress = progress_of(verbose)

    training = Training(model, chosen, measures, _optimizer_of(model, optimizer), place)
    loop = _Loop(training, batches, validation, clip_grad_norm, compile, list(callbacks))
    history = training.history
    with ExitStack() as stack:
        stack.enter_context(restored_modes(model))
        stack.callback(progress.close)
        for callback in loop.callbacks:
            callback.set_training(training)
        try:
            try:
                for callback in loop.callbacks:
                    callback.on_train_begin({})
                for epoch in range(epochs):
                    progress.begin(epoch, epochs, length_of(batches))
                    values = loop.epoch(epoch, progress.step if progress.watches_steps else None)
                    progress.end(values)
                    if training.stopping:
                        break
            except KeyboardInterrupt:
                history.interrupted = True
                training.optimizer.zero_grad()
            finally:
                for callback in loop.callbacks:
                    callback.on_train_end({})
        except Exception as error:
            with suppress(AttributeError):
                error.history = history  # pyright: ignore[reportAttributeAccessIssue]
            error.add_note(
                f"fit: in epoch {training.epoch + 1}, after {training.batch} batches of it. "
                f"The history of {len(history)} finished epochs is the exception's attribute `history`."
            )
            raise
    return history


def _optimizer_of(model: nn.Module, optimizer: Any) -> optim.Optimizer:
    if isinstance(optimizer, optim.Optimizer):
        return optimizer
    if not isinstance(optimizer, str):
        raise DTypeError(f"fit: optimizer is a {type(optimizer).__name__}. Give an optimiser, or a name.")
    if optimizer not in OPTIMIZERS:
        raise DomainError(f"fit: there is no optimizer {optimizer!r}. Use one of: {', '.join(OPTIMIZERS)}.")
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise DomainError(f"fit: {type(model).__name__} has no parameters that require grad: nothing can be trained.")
    return OPTIMIZERS[optimizer](parameters)


class _Loop:
    """Epochs of a training."""

    def __init__(
        self,
        training: Training,
        batches: Iterable[Any],
        validation: Iterable[Any] | None,
        clip_norm: float | None,
        compile: bool,
        callbacks: list[Callback],
    ) -> None:
        self.training = training
        self.callbacks = callbacks
        self._batches = batches
        self._validation = validation
        model, loss, metrics, device = training.model, training.loss, training.metrics, training.place.device
        names = ["loss", *metrics]
        self._means = Means(names, device)
        step = training_step(model, loss, metrics, self._means, training.optimizer, clip_norm)
        self._step: Step = compiled(step) if compile else step
        self._validation_means = Means(names, device)
        check = evaluation_step(model, loss, metrics, self._validation_means)
        self._validation_step: Step = compiled(check) if compile else check
        self._look_every = LOOK_EVERY.get(device.split(":")[0], LOOK_EVERY_ELSEWHERE)
        self._copy = Copy(model)
        self._recent: list[tuple[Any, Any, Tensor]] = []
        # Callbacks that keep the base's empty methods are not called per batch.
        self._begins = [callback.on_batch_begin for callback in callbacks if writes(callback, "on_batch_begin")]
        self._ends = [callback.on_batch_end for callback in callbacks if writes(callback, "on_batch_end")]

    def epoch(self, number: int, shown: Any) -> dict[str, float]:
        """One epoch: its values, which are in the history too."""
        training = self.training
        training.epoch, training.batch = number, 0
        for callback in self.callbacks:
            callback.on_epoch_begin(number, {})
        set_mode(training.model, True)
        self._means.reset()
        self._copy.take()
        if number == 0:
            training.optimizer.zero_grad()
        self._train(shown)
        if training.batch == 0:
            raise no_batches("fit", number)
        self._look()
        values = self._means.read()
        if not all_finite([p for group in training.optimizer.param_groups for p in group["params"]]):
            self._fail_on_parameters()
        if self._validation is not None:
            values |= {f"val_{name}": value for name, value in self._evaluate(number).items()}
        for callback in self.callbacks:
            callback.on_epoch_end(number, values)
        training.history.append(number, values)
        return values

    def _train(self, shown: Any) -> None:
        training, means, step, recent = self.training, self._means, self._step, self._recent
        look_every, begins, ends = self._look_every, self._begins, self._ends
        for number, (x, y) in enumerate(self._batches):
            for begin in begins:
                begin(number, {})
            loss = step(x, y)
            means.count += samples_in(x)
            training.batch = number + 1
            recent.append((x, y, loss))
            if len(recent) >= look_every:
                self._look()
            for end in ends:
                end(number, {"loss": loss})
            if shown is not None:
                shown(means.read)

    def _look(self) -> None:
        """Looks at the losses since the last look."""
        recent = self._recent
        for number, (x, y, loss) in enumerate(recent):
            value = loss.item()
            if not math.isfinite(value):
                batch = self.training.batch - len(recent) + number + 1
                recent.clear()
                self._fail(value, batch, x, y)
        if len(recent) > 1:
            self._means.fold()
        recent.clear()

    def _fail(self, value: float, batch: int, x: Any, y: Any) -> None:
        training = self.training
        finding = find(training.model, training.loss, x, y, self._copy)
        error = NonFiniteError(
            f"fit: the loss is {value} in epoch {training.epoch + 1} at batch {batch}. First not finite: {finding.text}"
        )
        error.layer = finding.layer
        raise error

    def _fail_on_parameters(self) -> None:
        finding = first_bad_parameter(self.training.model)
        error = NonFiniteError(
            f"fit: the last update of epoch {self.training.epoch + 1} made parameters that are not finite. "
            f"First: {finding.text if finding else 'a parameter outside the model'}. "
            "Lower the rate, or bound the gradients with clip_grad_norm."
        )
        error.layer = finding.layer if finding else None
        raise error

    def _evaluate(self, epoch: int) -> dict[str, float]:
        assert self._validation is not None
        return run_evaluation(
            self.training.model,
            self._validation,
            self._validation_step,
            self._validation_means,
            "validation_data",
            epoch,
        )


def run_evaluation(
    model: nn.Module, batches: Iterable[Any], step: Step, means: Means, name: str, epoch: int = 0
) -> dict[str, float]:
    """The means over batches, in evaluation mode."""
    set_mode(model, False)
    means.reset()
    for number, (x, y) in enumerate(batches, 1):
        step(x, y)
        means.count += samples_in(x)
        if number % LOOK_EVERY_ELSEWHERE == 0:
            means.fold()
    if not means.count:
        raise no_batches(name, epoch)
    return means.read()
