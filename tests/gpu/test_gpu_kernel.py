"""Kernels that users write: values, gradients, layouts, and what is wrong with them.

Depends on the `device` fixture.
"""

from __future__ import annotations

import re
from typing import Any

import adret as ad
import numpy as np
import pytest

MATVEC = """
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = id.x;
    if (row >= y_size) {
        return;
    }
    var sum = 0.0;
    for (var column = 0u; column < x_size; column = column + 1u) {
        sum = sum + a[row * x_size + column] * x[column];
    }
    y[row] = sum;
}
"""
TWICE = """
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x < x_size) {
        y[id.x] = x[id.x] + x[id.x];
    }
}
"""


def workgroups(tensor: ad.Tensor) -> int:
    return (tensor.size + 63) // 64


def matvec(gradient: bool = True) -> Any:
    return ad.kernel(
        MATVEC,
        inputs=["a", "x"],
        outputs={"y": lambda a, x: a.shape[0]},
        grid=lambda a, x: (a.shape[0] + 63) // 64,
        vjp=(lambda inputs, outputs, grads: (ad.outer(grads[0], inputs[1]), inputs[0].T @ grads[0]))
        if gradient
        else None,
        name="matvec",
    )


def twice(text: str = TWICE, **changes: Any) -> Any:
    given: dict[str, Any] = {"inputs": ["x"], "outputs": {"y": lambda x: x.shape}, "grid": workgroups, "name": "twice"}
    return ad.kernel(text, **(given | changes))


on_gpu = pytest.mark.parametrize("device", ["gpu"], indirect=True)


@on_gpu
@pytest.mark.parametrize("rows", [1, 63, 64, 200])
def test_a_matrix_and_a_vector(rows: int, device: str) -> None:
    rng = np.random.default_rng(0)
    values, vector = rng.standard_normal((rows, 30)), rng.standard_normal(30)
    found = []
    for product in (matvec(), ad.matmul):
        a = ad.tensor(values.astype(np.float32), device=device, requires_grad=True)
        x = ad.tensor(vector.astype(np.float32), device=device, requires_grad=True)
        y = product(a, x)
        (y**2).sum().backward()
        assert a.grad is not None and x.grad is not None
        found.append([y.detach().numpy(), a.grad.numpy(), x.grad.numpy()])
    for own, library in zip(*found, strict=True):
        np.testing.assert_allclose(own, library, rtol=1e-4, atol=1e-5)


@on_gpu
def test_views_arrive_as_plain_arrays(device: str) -> None:
    x = ad.tensor(np.arange(24, dtype=np.float32).reshape(4, 6), device=device)
    double = twice()
    for view in (
        x,
        x.T,
        x[1:, 2:5],
        ad.flip(x, axis=0),
        x[:, 3],
        x[2],
        x.reshape(-1)[7:],
        ad.broadcast_to(x[0], (3, 6)),
    ):
        np.testing.assert_array_equal(double(view).numpy(), 2 * view.numpy())
        np.testing.assert_array_equal(double(view + 0).numpy(), 2 * view.numpy())


@on_gpu
@pytest.mark.parametrize("dtype", ["float32", "int32", "uint32"])
def test_dtypes_and_several_outputs(dtype: str, device: str) -> None:
    text = """
    @compute @workgroup_size(8, 8)
    fn main(@builtin(global_invocation_id) id: vec3<u32>) {
        if (id.y >= x_shape[0] || id.x >= x_shape[1]) { return; }
        let at = id.y * x_shape[1] + id.x;
        double[at] = x[at] + x[at];
        place[at] = i32(at);
    }
    """
    both = ad.kernel(
        text,
        ["x"],
        {"double": lambda x: x.shape, "place": (lambda x: x.shape, ad.int32)},
        grid=lambda x: ((x.shape[1] + 7) // 8, (x.shape[0] + 7) // 8),
    )
    x = ad.tensor(np.arange(150).reshape(10, 15), dtype=dtype, device=device)
    double, place = both(x)
    assert double.tolist() == (x + x).tolist()
    assert place.dtype == ad.int32
    assert place.reshape(-1).tolist() == list(range(150))


@on_gpu
def test_empty_tensors_and_scalars(device: str) -> None:
    assert twice()(ad.zeros((0, 3), device=device)).shape == (0, 3)
    assert twice()(ad.tensor(2.5, device=device)).item() == 5.0


@on_gpu
def test_inside_compiled_functions_and_other_graphs(device: str) -> None:
    run = ad.compile(lambda x: (twice_(x * 3) + 1).sum())
    twice_ = twice()
    for _ in range(4):
        assert run(ad.ones(5, device=device)).item() == 35.0


@on_gpu
def test_a_kernel_without_gradient_says_so(device: str) -> None:
    a = ad.ones((2, 3), device=device, requires_grad=True)
    y = matvec(gradient=False)(a, ad.ones(3, device=device))
    with pytest.raises(ad.GradError, match=r"matvec: .*vjp"):
        y.sum().backward()


@on_gpu
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TWICE.replace("x[id.x] + x[id.x]", "x[id.x] + z"), r"twice: line 5, column \d+: .*z"),
        (TWICE.replace("return", "retrun").replace("if (", "iff ("), r"twice: line 4, column"),
        (TWICE.replace("y[id.x] =", "y[id.x] = 1u +"), r"twice: line|twice: "),
        (TWICE.replace("y[id.x] = x[id.x] + x[id.x]", "x[id.x] = 1.0"), "twice: line 5"),
        (TWICE.replace("fn main", "fn other"), "twice: .*main"),
        ("", "twice: "),
        (
            TWICE
            + "@group(0) @binding(7) var<storage> more: array<f32>;\n"
            + "@compute @workgroup_size(1) fn f() { _ = more[0]; }",
            "",
        ),
    ],
)
def test_wrong_texts_are_told_with_their_line(text: str, message: str, device: str) -> None:
    x = ad.ones(4, device=device)
    try:
        result = twice(text)(x)
    except ad.DomainError as error:
        assert re.search(message, str(error)), str(error)
    else:
        assert not message, "the text was accepted"
        ad.eval(result)
    assert twice()(x).tolist() == [2.0, 2.0, 2.0, 2.0]


@on_gpu
def test_reading_beyond_the_end_does_no_harm(device: str) -> None:
    wild = twice(TWICE.replace("x[id.x] + x[id.x]", "x[id.x + 1000000u]"))
    assert wild(ad.ones(4, device=device)).shape == (4,)
    ad.eval(wild(ad.ones(4, device=device)))


@on_gpu
def test_mistakes_of_a_call(device: str) -> None:
    x = ad.ones(4, device=device)
    with pytest.raises(TypeError, match="1 inputs are declared"):
        twice()(x, x)
    with pytest.raises(ad.DTypeError, match="not a tensor"):
        twice()(np.ones(4))
    with pytest.raises(ad.DTypeError, match=r"float16.*astype"):
        twice()(x.astype("float16"))
    with pytest.raises(ad.DomainError, match="no name"):
        twice(inputs=["1x"])(x)
    with pytest.raises(ad.DomainError, match="twice"):
        twice(inputs=["y"])(x)
    with pytest.raises(ad.ShapeError, match="grid"):
        twice(grid=(1, 1, 1, 1))(x)
    with pytest.raises(ad.ShapeError, match="grid"):
        twice(grid=1.5)(x)
    with pytest.raises(ad.ShapeError, match="y is"):
        twice(outputs={"y": -1})(x)
    with pytest.raises(ad.DomainError, match="workgroups"):
        twice(grid=10**6)(x)
    with pytest.raises(ad.DomainError, match="at least one"):
        twice(inputs=[])
    with pytest.raises(ad.DeviceError, match="operand"):
        matvec()(ad.ones((2, 3), device=device), ad.ones(3))
    bad = twice(vjp=lambda inputs, outputs, grads: (None, None))
    with pytest.raises(ad.GradError, match="2 gradients for 1"):
        bad(ad.ones(4, device=device, requires_grad=True)).sum().backward()


def test_the_processor_runs_no_shaders() -> None:
    with pytest.raises(ad.DeviceError, match=r"twice: .*GPU.*to\('gpu'\)"):
        twice()(ad.ones(4))
