"""What is inside a network: the kernels it learned, and what a layer makes of an input.

Depends on `_figure`, `_images` and `nn`. Invariant: the network is as it was: modes, hooks and gradients.
"""

from __future__ import annotations

from typing import Any

from .._core import DomainError, DTypeError, ShapeError, Tensor, no_grad
from ..nn import Module
from ..training._modes import restored_modes, set_mode
from ._figure import MOST, Path, array_of, finished, span
from ._images import grid


def filters(layer: Any, count: int = 64, path: Path | None = None) -> Any:
    """Draws the kernels of a convolution: in colour where it sees three channels, else blue below 0 and red above.

    Args:
        layer: A convolution, or its weights `[out, in, height, width]` (`[out, in, length]` in one dimension).
        count: How many kernels are drawn at most, the first input's first.
        path: Where to write the figure; the suffix says the format.

    Returns:
        The figure, of matplotlib. Kernels of more than one input channel stand in rows, one per output channel.

    Raises:
        ShapeError: If the weights are not those of a convolution.
        DTypeError: If a module has no weights.
        DomainError: If `count` is less than 1.
        ImportError: If matplotlib is missing.

    Example:
        >>> len(filters(ad.random.normal((6, 1, 5, 5))).axes)
        6
    """
    import numpy as np

    weight: Any = getattr(layer, "weight", None) if isinstance(layer, Module) else layer
    if weight is None:
        raise DTypeError(f"plot.filters: a {type(layer).__name__} has no weight. Give a convolution, or its weights.")
    if count < 1:
        raise DomainError(f"plot.filters: count is {count}. Use 1 or more.")
    kernels = array_of("filters", "the weight", weight)
    if kernels.ndim == 3:
        kernels = kernels[:, :, None]
    if kernels.ndim != 4 or 0 in kernels.shape:
        raise ShapeError(
            f"plot.filters: the weight is {kernels.shape}. Give a convolution's, [out, in, height, width]."
        )
    inputs = kernels.shape[1]
    low, high = span(kernels)
    largest = max(abs(low), abs(high), 1e-12)
    count = min(count, MOST)
    if inputs == 3:
        pictures = (np.clip(kernels[:count] / largest, -1, 1).transpose(0, 2, 3, 1) + 1) / 2
        return finished("filters", grid("filters", pictures, limits=(0.0, 1.0)), path)
    columns = min(inputs, count)
    shown = kernels[: count // columns, :columns].reshape(-1, *kernels.shape[2:])
    figure = grid("filters", shown, None if inputs == 1 else columns, cmap="RdBu_r", limits=(-largest, largest))
    return finished("filters", figure, path)


def feature_maps(model: Module, input: Any, layer: str | Module, count: int = 64, path: Path | None = None) -> Any:
    """Draws what a layer of a network makes of one input, channel by channel.

    Args:
        model: The network; it is run in evaluation mode and left as it was.
        input: What the network takes, a batch; its first sample is drawn.
        layer: The layer, or its path, such as "features.0".
        count: How many channels are drawn at most.
        path: Where to write the figure; the suffix says the format.

    Returns:
        The figure, of matplotlib.

    Raises:
        DomainError: If the network has no such layer, or does not call it; if `count` is less than 1.
        ShapeError: If the layer's output is not `[n, channels, height, width]`.
        ImportError: If matplotlib is missing.

    Example:
        >>> model = ad.nn.Sequential(ad.nn.Unflatten(1, (4, 5, 5)), ad.nn.ReLU(), ad.nn.Flatten())
        >>> len(feature_maps(model, ad.random.normal((1, 100)), "1").axes)
        4
    """
    if count < 1:
        raise DomainError(f"plot.feature_maps: count is {count}. Use 1 or more.")
    name, found = _layer(model, layer)
    seen: list[Any] = []

    def note(_module: Module, _inputs: Any, output: Any) -> None:
        seen.append(output)

    handle = found.register_forward_hook(note)
    try:
        with restored_modes(model), no_grad():
            set_mode(model, False)
            model(input)
    finally:
        handle.remove()
    if not seen:
        raise DomainError(f"plot.feature_maps: the network did not call its layer {name!r}. Choose one that it uses.")
    output = seen[0]
    if not isinstance(output, Tensor) or output.ndim != 4 or 0 in output.shape:
        shape = output.shape if isinstance(output, Tensor) else type(output).__name__
        raise ShapeError(
            f"plot.feature_maps: the output of {name!r} is {shape}. "
            "Choose a layer that gives [n, channels, height, width]."
        )
    maps = array_of("feature_maps", "the output", output[0])
    figure = grid("feature_maps", maps[: min(count, MOST)], cmap="viridis")
    figure.suptitle(f"{name}: {min(count, len(maps))} of {len(maps)} channels", fontsize=9)
    return finished("feature_maps", figure, path)


def _layer(model: Module, layer: str | Module) -> tuple[str, Module]:
    for name, module in model.named_modules():
        if module is layer or (isinstance(layer, str) and name == layer and name):
            return name or type(module).__name__, module
    there = ", ".join(repr(name) for name, _ in model.named_modules() if name)
    told = repr(layer) if isinstance(layer, str) else f"this {type(layer).__name__}"
    raise DomainError(f"plot.feature_maps: the network has no layer {told}. There are {there or 'no layers below it'}.")
