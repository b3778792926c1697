"""Parameters as one vector, and back.

Depends on the core only. Invariant: the order is that of the parameters, each row by row.
"""

# The core is private to the package, of which this is a part.
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Iterable

from ... import _core
from ..._core import DomainError, ShapeError, Tensor, no_grad

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters in one vector, differentiable.

    Args:
        parameters: The parameters.

    Raises:
        DomainError: If there are none.

    Example:
        >>> parameters_to_vector([ad.ones((1, 2)), ad.zeros(1)]).tolist()
        [1.0, 1.0, 0.0]
    """
    given = list(parameters)
    if not given:
        raise DomainError("parameters_to_vector: there are no parameters. Give at least one.")
    return _core.concat([_core.reshape(parameter, (-1,)) for parameter in given])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Gives parameters the values of a vector.

    Args:
        vec: As many elements as all parameters have.
        parameters: The parameters.

    Raises:
        ShapeError: If the vector has another number of elements.

    Example:
        >>> w = ad.zeros((1, 2))
        >>> vector_to_parameters(ad.tensor([1.0, 2.0]), [w])
        >>> w.tolist()
        [[1.0, 2.0]]
    """
    given = list(parameters)
    total = sum(parameter.size for parameter in given)
    if vec.ndim != 1 or vec.size != total:
        raise ShapeError(
            f"vector_to_parameters: the vector is {vec.shape} and the parameters have {total} elements. "
            f"Give ({total},)."
        )
    start = 0
    with no_grad():
        for parameter in given:
            part = vec[start : start + parameter.size]
            parameter.assign(_core.astype(_core.reshape(part, parameter.shape), parameter.dtype))
            start += parameter.size
