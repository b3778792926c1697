"""The gradients of every differentiable row against central differences in float64, to second order.

Depends on the table. `gradcheck` itself is tested first: it must find a wrong gradient, and name the element.
"""

from __future__ import annotations

import adret as ad
import numpy as np
import pytest
from layouts import place
from rows.record import Row
from table import ROWS

DIFFERENTIABLE = [row for row in ROWS if row.gradient]
LARGEST_SECOND = 24


def function_of(row: Row, shapes: tuple, layout: str = "contiguous"):
    """The row as a function of its differentiable operands, and those operands."""
    values = row.sample(7, "float64", shapes)
    placed = [place(v, d.fixed or "float64", layout)[0] for v, d in zip(values, row.inputs, strict=True)]
    free = [number for number, domain in enumerate(row.inputs) if domain.differentiable]

    def function(*operands: ad.Tensor) -> ad.Tensor:
        arguments = list(placed)
        for number, operand in zip(free, operands, strict=True):
            arguments[number] = operand
        result = row.call(*arguments)
        parts = result if isinstance(result, tuple | list) else [result]
        # Different weights, so that parts cannot stand in for each other.
        return sum(
            ((part * (1.0 + 0.5 * n)).sum() for n, part in enumerate(parts)), start=ad.tensor(0.0, dtype="float64")
        )

    return function, [placed[number] for number in free]


@pytest.mark.parametrize("row", DIFFERENTIABLE, ids=lambda row: row.label)
def test_first_order(row: Row) -> None:
    """Backward passes agree with finite differences, element by element, through tensor-valued results."""
    for shapes in row.shapes:
        if sum(int(np.prod(shape)) for shape in shapes) > 200:
            continue
        values = row.sample(3, "float64", shapes)
        placed = [place(v, d.fixed or "float64", "contiguous")[0] for v, d in zip(values, row.inputs, strict=True)]
        free = [number for number, domain in enumerate(row.inputs) if domain.differentiable]

        def function(*operands, placed=placed, free=free):
            arguments = list(placed)
            for number, operand in zip(free, operands, strict=True):
                arguments[number] = operand
            return row.call(*arguments)

        assert ad.gradcheck(function, tuple(placed[number] for number in free)), shapes


@pytest.mark.parametrize("row", [row for row in DIFFERENTIABLE if row.second], ids=lambda row: row.label)
def test_second_order(row: Row) -> None:
    """Gradients of gradients agree with finite differences of gradients."""
    shapes = row.shapes[0]
    function, operands = function_of(row, shapes)
    if sum(operand.size for operand in operands) > LARGEST_SECOND:
        pytest.fail(f"the first shapes of {row.label} are too large for second derivatives")
    assert ad.gradcheck(lambda *xs: ad.sin(function(*xs) * 0.3), tuple(operands), second_order=True)


@pytest.mark.parametrize("layout", ["transposed", "sliced", "negative step", "broadcast last"])
def test_layouts(layout: str) -> None:
    """Gradients of strided operands equal those of contiguous copies."""
    wrong = []
    for row in DIFFERENTIABLE:
        values = row.sample(5, "float64", row.shapes[0])
        gradients = []
        for copied in (False, True):
            placed = [place(v, d.fixed or "float64", layout) for v, d in zip(values, row.inputs, strict=True)]
            tensors = [
                place(np.ascontiguousarray(v), d.fixed or "float64", "contiguous")[0] if copied else tensor
                for (tensor, v), d in zip(placed, row.inputs, strict=True)
            ]
            free = [t.requires_grad_() for t, d in zip(tensors, row.inputs, strict=True) if d.differentiable]
            result = row.call(*tensors)
            parts = result if isinstance(result, tuple | list) else [result]
            sum(((part * part).sum() for part in parts), start=ad.tensor(0.0, dtype="float64")).backward()
            gradients.append([tensor.grad.numpy() for tensor in free])
        for strided, contiguous in zip(*gradients, strict=True):
            if not np.allclose(strided, contiguous, rtol=1e-12, atol=1e-14, equal_nan=True):
                wrong.append(f"{row.label}: {strided.ravel()[:4]} and {contiguous.ravel()[:4]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("row", DIFFERENTIABLE, ids=lambda row: row.label)
def test_reading_the_value_first_changes_no_gradient(row: Row) -> None:
    """Operands that nobody else holds keep their values until the backward pass, whatever was evaluated before."""
    values = row.sample(11, "float64", row.shapes[0])
    for held, domain in enumerate(row.inputs):
        if not domain.differentiable:
            continue
        gradients = []
        for ask in (False, True):
            leaf = place(values[held], "float64", "contiguous")[0].requires_grad_()
            result = row.call(
                *(
                    leaf * 1.0 if n == held else place(v, d.fixed or "float64", "contiguous")[0]
                    for n, (v, d) in enumerate(zip(values, row.inputs, strict=True))
                )
            )
            parts = list(result) if isinstance(result, tuple | list) else [result]
            if ask:
                ad.eval(*(part.detach() for part in parts))
            loss = sum(((part * part).sum() for part in parts), start=ad.tensor(0.0, dtype="float64"))
            del result, parts
            if ask:
                loss.item()
            loss.backward()
            gradients.append(leaf.grad.numpy(copy=True))
        assert gradients[0].tobytes() == gradients[1].tobytes(), f"operand {held}: {gradients[0]} and {gradients[1]}"


def _wrong_square(x: ad.Tensor) -> ad.Tensor:
    """x² whose gradient misses a factor at one element."""
    mask = ad.tensor([1.0, 0.5, 1.0], dtype="float64")
    return (x * x.detach()) * 2 * mask + (x * x).detach() * (1 - 2 * mask)


def test_gradcheck_finds_a_wrong_gradient() -> None:
    """It raises, naming the operand and the element; or returns False."""
    x = ad.tensor([1.0, 2.0, 3.0], dtype="float64")
    with pytest.raises(ad.AdretError) as caught:
        ad.gradcheck(_wrong_square, (x,))
    assert "1" in str(caught.value)
    assert not ad.gradcheck(_wrong_square, (x,), raise_exception=False)
    assert ad.gradcheck(lambda x: x * x, (x,))


def test_gradcheck_finds_a_wrong_second_derivative() -> None:
    """A gradient that is right in value but detached from its operand has a wrong derivative."""
    x = ad.tensor([0.5, 1.5], dtype="float64")

    def halves(x: ad.Tensor) -> ad.Tensor:
        return x * x.detach() * 2 - (x * x).detach()

    assert ad.gradcheck(halves, (x,))
    assert not ad.gradcheck(halves, (x,), second_order=True, raise_exception=False)


def test_gradcheck_wants_float64() -> None:
    """In float32 the differences would drown in rounding."""
    with pytest.raises(ad.DTypeError):
        ad.gradcheck(lambda x: x * x, (ad.tensor([1.0]),))
