//! Functions that take indices.
//! Depends on the core's `ops`. Invariant: negative indices count from the end, but for labels; others outside the range raise.

use adret_core::ops;
use pyo3::prelude::*;

use super::add_functions;
use crate::arguments::{Count, TensorArgument, truth, whole};
use crate::dtype::{DTypeArgument, default_float};
use crate::engine;
use crate::tensor::TensorObject;

/// The entries `indices` along an axis; the axis is replaced by the axes of `indices`.
///
/// Raises:
///     OutOfRangeError: If an index is outside the axis.
///
/// Example:
///     >>> ad.take(ad.tensor([10, 20, 30]), ad.tensor([2, 0]))
///     tensor([30, 10])
#[pyfunction]
#[pyo3(signature = (x, indices, /, *, axis = 0))]
fn take(
    py: Python<'_>,
    x: TensorArgument,
    indices: TensorArgument,
    #[pyo3(from_py_with = whole)] axis: isize,
) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::take(&x.0, &indices.0, axis))
}

/// The rows of a matrix that integers name.
///
/// Raises:
///     OutOfRangeError: If there is no such row; none is counted from the end.
///
/// Example:
///     >>> from adret._core import embedding
///     >>> embedding(ad.tensor([1, 0]), ad.tensor([[1.0], [2.0]])).tolist()
///     [[2.0], [1.0]]
#[pyfunction]
#[pyo3(signature = (indices, weight, /))]
fn embedding(py: Python<'_>, indices: TensorArgument, weight: TensorArgument) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::embedding(&indices.0, &weight.0))
}

/// The entries that `indices`, of the tensor's rank, name along an axis for each place of the others.
///
/// Example:
///     >>> x = ad.tensor([[3, 1], [2, 4]])
///     >>> ad.take_along_axis(x, ad.tensor([[1], [0]]), axis=1)
///     tensor([[1],
///             [2]])
#[pyfunction]
#[pyo3(signature = (x, indices, /, *, axis = -1))]
fn take_along_axis(
    py: Python<'_>,
    x: TensorArgument,
    indices: TensorArgument,
    #[pyo3(from_py_with = whole)] axis: isize,
) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::take_along_axis(&x.0, &indices.0, axis))
}

/// x with `updates` added at the entries that `indices` name along an axis: the inverse of `take_along_axis`.
///
/// Example:
///     >>> ad.scatter_add(ad.zeros(3), ad.tensor([0, 0, 2]), ad.tensor([1.0, 2.0, 3.0]), axis=0)
///     tensor([3., 0., 3.])
#[pyfunction]
#[pyo3(signature = (x, indices, updates, /, *, axis = -1))]
fn scatter_add(
    py: Python<'_>,
    x: TensorArgument,
    indices: TensorArgument,
    updates: TensorArgument,
    #[pyo3(from_py_with = whole)] axis: isize,
) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::scatter_add(&x.0, &indices.0, axis, &updates.0))
}

/// A row of zeros with a one at the label's place, for every label.
///
/// Example:
///     >>> ad.one_hot(ad.tensor([1]), 3)
///     tensor([[0., 1., 0.]])
#[pyfunction]
#[pyo3(signature = (labels, classes, /, *, dtype = None))]
fn one_hot(
    py: Python<'_>,
    labels: TensorArgument,
    classes: Count,
    dtype: Option<DTypeArgument>,
) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::one_hot(&labels.0, classes.0, dtype.map_or_else(default_float, |dtype| dtype.0)))
}

/// The elements in ascending order along an axis; NaN comes last.
///
/// Example:
///     >>> ad.sort(ad.tensor([3, 1, 2]))
///     tensor([1, 2, 3])
#[pyfunction]
#[pyo3(signature = (x, /, *, axis = -1, descending = false, stable = true))]
fn sort(
    py: Python<'_>,
    x: TensorArgument,
    #[pyo3(from_py_with = whole)] axis: isize,
    #[pyo3(from_py_with = truth)] descending: bool,
    #[pyo3(from_py_with = truth)] stable: bool,
) -> PyResult<TensorObject> {
    // Equal elements always keep their order.
    let _ = stable;
    engine::tensor(py, || ops::sort(&x.0, axis, descending))
}

/// The places of the elements in ascending order along an axis, as int64; equal ones keep their order.
///
/// Example:
///     >>> ad.argsort(ad.tensor([3, 1, 2]))
///     tensor([1, 2, 0])
#[pyfunction]
#[pyo3(signature = (x, /, *, axis = -1, descending = false, stable = true))]
fn argsort(
    py: Python<'_>,
    x: TensorArgument,
    #[pyo3(from_py_with = whole)] axis: isize,
    #[pyo3(from_py_with = truth)] descending: bool,
    #[pyo3(from_py_with = truth)] stable: bool,
) -> PyResult<TensorObject> {
    let _ = stable;
    engine::tensor(py, || ops::argsort(&x.0, axis, descending))
}

/// Puts the functions into the module.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    add_functions!(module, take, embedding, take_along_axis, scatter_add, one_hot, sort, argsort);
    Ok(())
}
