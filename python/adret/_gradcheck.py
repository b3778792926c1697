"""The check of gradients against central differences.

Depends on `autograd`. Invariant: the functions checked see float64 only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import _core
from ._core import DTypeError, GradError, Tensor, enable_grad, no_grad
from .autograd import pull, tensors_of

Outputs = tuple[Tensor, ...]


def gradcheck(
    f: Callable[..., Any],
    inputs: Tensor | Sequence[Tensor],
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    second_order: bool = False,
    raise_exception: bool = True,
) -> bool:
    """Compares gradients with central differences, element by element.

    Args:
        f: Returns a tensor or several.
        inputs: float64 tensors; others are passed on as they are.
        eps: Half the distance of the two points of a difference.
        atol: Difference that is always accepted.
        rtol: Difference that is accepted relative to the numerical value.
        second_order: Whether gradients of gradients are checked as well.
        raise_exception: Whether a mismatch raises, or gives `False`.

    Raises:
        GradError: On a mismatch; the message names the worst element and both values.

    Example:
        >>> ad.gradcheck(lambda x: x.exp(), ad.tensor([0.0, 1.0], dtype=ad.float64))
        True
    """
    given = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    numbers = [number for number, tensor in enumerate(given) if tensor.dtype == _core.float64]
    if not numbers:
        raise DTypeError("gradcheck: no input is float64, and float32 is too coarse. Use .astype(ad.float64).")

    def outputs(*variables: Tensor) -> Outputs:
        arguments = list(given)
        for number, variable in zip(numbers, variables, strict=True):
            arguments[number] = variable
        return tuple(output for output in tensors_of("gradcheck", f(*arguments)) if output.dtype.is_floating_point)

    def gradients(*variables: Tensor) -> Outputs:
        with enable_grad():
            fresh = [_core._variable(variable) for variable in variables]
            values = outputs(*fresh)
            weights = [_weights(value) for value in values]
            return tuple(pull(values, weights, fresh, True))

    points = [given[number].detach() for number in numbers]
    problem = _worst(outputs, points, numbers, eps, atol, rtol, "gradcheck")
    if problem is None and second_order:
        problem = _worst(gradients, points, numbers, eps, atol, rtol, "gradcheck of the gradient")
    if problem is not None and raise_exception:
        raise GradError(problem)
    return problem is None


def _weights(value: Tensor) -> Tensor:
    """A cotangent that differs from element to element."""
    return _core.cos(_core.arange(value.size, dtype=value.dtype, device=value.device) + 1.0).reshape(value.shape)


def _worst(
    f: Callable[..., Outputs],
    points: Sequence[Tensor],
    numbers: Sequence[int],
    eps: float,
    atol: float,
    rtol: float,
    name: str,
) -> str | None:
    """Describes the element whose two derivatives differ most beyond what is accepted."""
    import numpy as np

    analytical, shapes = _analytical(f, points)
    worst, found = 0.0, None
    for which, point in enumerate(points):
        expected = _numerical(f, point, which, points, eps)
        for output, (own, other) in enumerate(zip(analytical[which], expected, strict=True)):
            with np.errstate(invalid="ignore"):
                excess = np.abs(own - other) - atol - rtol * np.abs(other)
            excess = np.where(own == other, 0.0, np.where(np.isnan(excess), np.inf, excess))
            if excess.size and excess.max() > worst:
                worst = float(excess.max())
                place, element = np.unravel_index(int(excess.argmax()), excess.shape)
                found = (which, output, int(place), int(element), own[place, element], other[place, element])
    if found is None:
        return None
    which, output, place, element, own, other = found
    return (
        f"{name}: input {numbers[which]} at {_index(element, points[which].shape)}, output {output} at "
        f"{_index(place, shapes[output])}: the gradient is {own:.9g} and the difference quotient {other:.9g}. "
        "The gradient is wrong there, or the function is not smooth."
    )


def _analytical(f: Callable[..., Outputs], points: Sequence[Tensor]) -> tuple[list[list[Any]], list[tuple[int, ...]]]:
    """Per input and output a matrix `[elements of the output, elements of the input]`; the outputs' shapes."""
    import numpy as np

    with enable_grad():
        variables = [_core._variable(point) for point in points]
        values = f(*variables)
    matrices = [[np.zeros((value.size, point.size)) for value in values] for point in points]
    for output, value in enumerate(values):
        units = _core.eye(value.size, dtype=value.dtype, device=value.device)
        rows = [pull([value], [units[place].reshape(value.shape)], variables, False) for place in range(value.size)]
        _core.eval(rows)
        for place, row in enumerate(rows):
            for which, gradient in enumerate(row):
                matrices[which][output][place] = gradient.numpy().reshape(-1)
    return matrices, [value.shape for value in values]


def _numerical(f: Callable[..., Outputs], point: Tensor, which: int, points: Sequence[Tensor], eps: float) -> list[Any]:
    """Per output a matrix `[elements of the output, elements of the input]` of difference quotients."""
    import numpy as np

    base = point.numpy(copy=True)

    def values(element: int, offset: float) -> list[Any]:
        moved = base.copy()
        moved.reshape(-1)[element] += offset
        arguments = list(points)
        arguments[which] = _core.from_numpy(moved).to(device=point.device)
        with no_grad():
            found = [output.detach() for output in f(*arguments)]
        _core.eval(found)
        return [output.numpy().reshape(-1).astype(np.float64) for output in found]

    columns = [
        [(high - low) / (2 * eps) for high, low in zip(values(element, eps), values(element, -eps), strict=True)]
        for element in range(point.size)
    ]
    if not columns:
        return [np.zeros((output.size, 0)) for output in f(*points)]
    return [np.stack(column, axis=1) for column in zip(*columns, strict=True)]


def _index(element: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    index: list[int] = []
    for length in reversed(shape):
        index.append(element % length)
        element //= length
    return tuple(reversed(index))
