//! Products of matrices and vectors.
//! Depends on the core's `ops`. Invariant: function and method of one name are the same.

use adret_core::ops;
use pyo3::prelude::*;

use super::add_functions;
use crate::arguments::{TensorArgument, whole};
use crate::engine;
use crate::tensor::TensorObject;

/// The matrix product over the last two axes; leading axes broadcast; vectors stand as a row or a column.
///
/// Shape:
///     x1 `[..., m, k]`, x2 `[..., k, n]`, result `[..., m, n]`.
///
/// Raises:
///     ShapeError: If the inner sizes differ.
///     DTypeError: For bool; use astype.
///
/// Example:
///     >>> ad.matmul(ad.tensor([[1.0, 2.0]]), ad.tensor([[3.0], [4.0]]))
///     tensor([[11.]])
#[pyfunction]
#[pyo3(signature = (x1, x2, /))]
fn matmul(py: Python<'_>, x1: TensorArgument, x2: TensorArgument) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::matmul(&x1.0, &x2.0))
}

/// The sum of products along an axis.
///
/// Example:
///     >>> ad.vecdot(ad.tensor([1, 2]), ad.tensor([3, 4]))
///     tensor(11)
#[pyfunction]
#[pyo3(signature = (x1, x2, /, *, axis = -1))]
fn vecdot(
    py: Python<'_>,
    x1: TensorArgument,
    x2: TensorArgument,
    #[pyo3(from_py_with = whole)] axis: isize,
) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::vecdot(&x1.0, &x2.0, axis))
}

/// The sum of products of two vectors.
///
/// Example:
///     >>> ad.dot(ad.tensor([1, 2]), ad.tensor([3, 4]))
///     tensor(11)
#[pyfunction]
#[pyo3(signature = (x1, x2, /))]
fn dot(py: Python<'_>, x1: TensorArgument, x2: TensorArgument) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::dot(&x1.0, &x2.0))
}

/// Every element of one vector times every element of another.
///
/// Example:
///     >>> ad.outer(ad.tensor([1, 2]), ad.tensor([3, 4]))
///     tensor([[3, 4],
///             [6, 8]])
#[pyfunction]
#[pyo3(signature = (x1, x2, /))]
fn outer(py: Python<'_>, x1: TensorArgument, x2: TensorArgument) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::outer(&x1.0, &x2.0))
}

/// x @ weight.T + bias
///
/// Shape:
///     x `[..., in]`, weight `[out, in]`, bias `[out]`, result `[..., out]`.
///
/// Example:
///     >>> ad.linear(ad.ones((1, 2)), ad.ones((3, 2)), ad.zeros(3))
///     tensor([[2., 2., 2.]])
#[pyfunction]
#[pyo3(signature = (x, weight, bias = None, /))]
fn linear(
    py: Python<'_>,
    x: TensorArgument,
    weight: TensorArgument,
    bias: Option<TensorArgument>,
) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::linear(&x.0, &weight.0, bias.as_ref().map(|bias| &bias.0)))
}

#[pymethods]
impl TensorObject {
    /// The matrix product with `other`.
    #[pyo3(name = "matmul")]
    fn times(&self, py: Python<'_>, other: TensorArgument) -> PyResult<Self> {
        engine::tensor(py, || ops::matmul(&self.tensor(), &other.0))
    }
}

/// Puts the functions into the module.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    add_functions!(module, matmul, vecdot, dot, outer, linear);
    Ok(())
}
