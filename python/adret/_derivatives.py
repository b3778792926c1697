"""Derivatives as matrices, and their products with vectors: `jacobian`, `hessian`, `hvp`.

Depends on `autograd`. Invariant: a derivative's shape is the output's followed by the argument's.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from . import _core
from ._core import GradError, ShapeError, Tensor, enable_grad
from .autograd import Tree, grad, pull, rebuilt, selected, tensors_of


def jacobian(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that returns f's derivative with respect to every element.

    J[i, j] = d f(x)[i] / d x[j], by one backward pass per element of the value, or per element of the arguments where
    these are fewer.

    Args:
        f: Returns a tensor, or a tree of them.
        argnums: The argument to differentiate by, or several; each may be a tree of tensors.

    Returns:
        A function of f's arguments. For each tensor of the value, and in it for each tensor of the argument, the result
        has a tensor of the shapes of both, one after the other. For several arguments each is a tuple of these.

    Raises:
        GradError: If argnums names no argument.

    Example:
        >>> ad.jacobian(lambda x: x * x)(ad.tensor([1.0, 2.0]))
        tensor([[2., 0.],
                [0., 4.]])
    """

    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        chosen = selected("jacobian", argnums, len(args))
        trees = tuple(args[number] for number in chosen)
        given = tensors_of("jacobian", trees)
        create_graph = any(tensor.requires_grad for tensor in given)
        with enable_grad():
            variables = [_core._variable(tensor) for tensor in given]
            arguments = list(args)
            for number, tree in zip(chosen, rebuilt(trees, variables), strict=True):
                arguments[number] = tree
            value = f(*arguments, **kwargs)
            outputs = tensors_of("jacobian", value)
            wide = sum(variable.size for variable in variables) < sum(output.size for output in outputs)
            blocks = (_columns if wide else _rows)(outputs, variables, create_graph)
        found = [rebuilt(trees, row) for row in blocks]
        return rebuilt(value, [row[0] if isinstance(argnums, int) else row for row in found])

    return wrapper


def _rows(outputs: Sequence[Tensor], variables: Sequence[Tensor], create_graph: bool) -> list[list[Tensor]]:
    """For each output and variable the derivative, from one vjp per element of the output."""
    blocks: list[list[Tensor]] = []
    for output in outputs:
        rows = [pull([output], [unit], variables, create_graph) for unit in _units(output)]
        blocks.append(
            [
                _core.stack([row[which] for row in rows]).reshape((*output.shape, *variable.shape))
                if rows
                else _core.zeros((*output.shape, *variable.shape), dtype=variable.dtype, device=variable.device)
                for which, variable in enumerate(variables)
            ]
        )
    return blocks


def _columns(outputs: Sequence[Tensor], variables: Sequence[Tensor], create_graph: bool) -> list[list[Tensor]]:
    """The same from one jvp per element of the variables; a jvp is the derivative of the vjp by its cotangents."""
    dummies = [_core._variable(_core.zeros_like(output)) for output in outputs]
    gradients = pull(outputs, dummies, variables, True)
    blocks: list[list[Tensor]] = [[] for _ in outputs]
    for which, variable in enumerate(variables):
        columns = [pull([gradients[which]], [unit], dummies, create_graph) for unit in _units(variable)]
        for number, output in enumerate(outputs):
            shape = (*output.shape, *variable.shape)
            blocks[number].append(
                _core.stack([column[number] for column in columns], axis=-1).reshape(shape)
                if columns
                else _core.zeros(shape, dtype=output.dtype, device=output.device)
            )
    return blocks


def _units(tensor: Tensor) -> list[Tensor]:
    """Tensors of that shape with a single 1, one per element."""
    count = math.prod(tensor.shape)
    units = _core.eye(count, dtype=tensor.dtype, device=tensor.device)
    return [units[place].reshape(tensor.shape) for place in range(count)]


def hessian(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that returns f's second derivatives: the jacobian of its gradient.

    H[i, j] = d² f(x) / d x[i] d x[j]

    Args:
        f: Returns a tensor of one element.
        argnums: The argument to differentiate by, or several; each may be a tree of tensors.

    Returns:
        A function of f's arguments; the result has the structure of the argument twice, one inside the other.

    Raises:
        GradError: If f's value has more than one element.

    Example:
        >>> ad.hessian(lambda x: x[0] * x[1] * x[1])(ad.tensor([1.0, 2.0]))
        tensor([[0., 4.],
                [4., 2.]])
    """
    return jacobian(grad(f, argnums), argnums)


def hvp(f: Callable[..., Any], primals: Sequence[Tree], tangents: Sequence[Tree]) -> tuple[Any, tuple[Any, ...]]:
    """F's value, and the product of its hessian with a direction, without the hessian.

    Args:
        f: Returns a tensor of one element.
        primals: Its arguments: trees of tensors.
        tangents: The direction: tensors of the same shapes.

    Returns:
        The value, and a tuple with the structure of `primals`.

    Raises:
        GradError: If f's value has more than one element.
        ShapeError: If tangents and primals differ in shape.

    Example:
        >>> ad.hvp(lambda x: (x**3).sum(), (ad.tensor([1.0, 2.0]),), (ad.tensor([1.0, 10.0]),))
        (tensor(9.), (tensor([  6., 120.]),))
    """
    primals = tuple(primals)
    given = tensors_of("hvp", primals)
    directions = tensors_of("hvp", tuple(tangents))
    shapes = [tensor.shape for tensor in given], [tensor.shape for tensor in directions]
    if shapes[0] != shapes[1]:
        raise ShapeError(f"hvp: primals are {shapes[0]} and tangents {shapes[1]}. They must agree.")
    create_graph = any(tensor.requires_grad for tensor in [*given, *directions])
    with enable_grad():
        variables = [_core._variable(tensor) for tensor in given]
        value = f(*rebuilt(primals, variables))
        if not isinstance(value, Tensor) or value.size != 1:
            shown = value.shape if isinstance(value, Tensor) else type(value).__name__
            raise GradError(f"hvp: the function returned {shown}, not a tensor of one element. Reduce it.")
        slopes = pull([value], [None], variables, True)
        products = pull(slopes, directions, variables, create_graph)
    return (value if create_graph else value.detach()), rebuilt(primals, products)
