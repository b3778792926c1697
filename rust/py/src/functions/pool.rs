//! Pooling, columns of windows and interpolation, for `nn.functional`.
//! Depends on the core's `ops`. Invariant: numbers per axis come as lists of equal length, checked in Python.

use adret_core::error::Error;
use adret_core::ops::{self, Interpolation, Windows};
use pyo3::prelude::*;

use super::add_functions;
use crate::arguments::{Sizes, TensorArgument};
use crate::engine;
use crate::errors::exception;
use crate::tensor::TensorObject;

/// Numbers per axis: kernel, stride, padding, dilation, and whether sizes are rounded up.
#[derive(FromPyObject)]
struct WindowsArgument(Sizes, Sizes, Sizes, Sizes, bool);

impl WindowsArgument {
    fn windows(self) -> Windows {
        let list = |sizes: Sizes| sizes.0.into_iter().collect();
        Windows {
            kernel: list(self.0),
            stride: list(self.1),
            padding: list(self.2),
            dilation: list(self.3),
            ceil_mode: self.4,
        }
    }
}

/// Maxima of windows; with `indices` also where they came from.
///
/// Example:
///     >>> x = ad.tensor([[[1.0, 3.0, 2.0, 0.0]]])
///     >>> ad.nn.functional.max_pool1d(x, 2).tolist()
///     [[[3.0, 2.0]]]
#[pyfunction]
#[pyo3(signature = (x, windows, channels_last, indices, /))]
fn max_pool(
    py: Python<'_>,
    x: TensorArgument,
    windows: WindowsArgument,
    channels_last: bool,
    indices: bool,
) -> PyResult<Vec<TensorObject>> {
    let windows = windows.windows();
    engine::tensors(py, || {
        let (values, places) = ops::max_pool(&x.0, &windows, channels_last, indices)?;
        Ok(std::iter::once(values).chain(places).collect())
    })
}

/// Averages of windows.
///
/// Example:
///     >>> x = ad.tensor([[[1.0, 3.0, 2.0, 0.0]]])
///     >>> ad.nn.functional.avg_pool1d(x, 2).tolist()
///     [[[2.0, 1.0]]]
#[pyfunction]
#[pyo3(signature = (x, windows, count_padding, divisor, channels_last, /))]
fn avg_pool(
    py: Python<'_>,
    x: TensorArgument,
    windows: WindowsArgument,
    count_padding: bool,
    divisor: Option<f64>,
    channels_last: bool,
) -> PyResult<TensorObject> {
    let windows = windows.windows();
    engine::tensor(py, || ops::avg_pool(&x.0, &windows, count_padding, divisor, channels_last))
}

/// Maxima of windows that share the axes evenly; with `indices` also where they came from.
///
/// Example:
///     >>> x = ad.tensor([[[1.0, 3.0, 2.0, 0.0]]])
///     >>> ad.nn.functional.adaptive_max_pool1d(x, 1).tolist()
///     [[[3.0]]]
#[pyfunction]
#[pyo3(signature = (x, counts, channels_last, indices, /))]
fn adaptive_max_pool(
    py: Python<'_>,
    x: TensorArgument,
    counts: Vec<Option<usize>>,
    channels_last: bool,
    indices: bool,
) -> PyResult<Vec<TensorObject>> {
    engine::tensors(py, || {
        let (values, places) = ops::adaptive_max_pool(&x.0, &counts, channels_last, indices)?;
        Ok(std::iter::once(values).chain(places).collect())
    })
}

/// Averages of windows that share the axes evenly.
///
/// Example:
///     >>> x = ad.tensor([[[1.0, 3.0, 2.0, 0.0]]])
///     >>> ad.nn.functional.adaptive_avg_pool1d(x, 1).tolist()
///     [[[1.5]]]
#[pyfunction]
#[pyo3(signature = (x, counts, channels_last, /))]
fn adaptive_avg_pool(
    py: Python<'_>,
    x: TensorArgument,
    counts: Vec<Option<usize>>,
    channels_last: bool,
) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::adaptive_avg_pool(&x.0, &counts, channels_last))
}

/// Windows as columns.
///
/// Example:
///     >>> ad.nn.functional.unfold(ad.ones((1, 1, 3, 3)), 2).shape
///     (1, 4, 4)
#[pyfunction]
#[pyo3(signature = (x, windows, /))]
fn unfold(py: Python<'_>, x: TensorArgument, windows: WindowsArgument) -> PyResult<TensorObject> {
    let windows = windows.windows();
    engine::tensor(py, || ops::unfold(&x.0, &windows))
}

/// Columns added up where `unfold` has them from.
///
/// Example:
///     >>> ad.nn.functional.fold(ad.ones((1, 4, 4)), (3, 3), 2).shape
///     (1, 1, 3, 3)
#[pyfunction]
#[pyo3(signature = (x, size, windows, /))]
fn fold(py: Python<'_>, x: TensorArgument, size: Sizes, windows: WindowsArgument) -> PyResult<TensorObject> {
    let windows = windows.windows();
    engine::tensor(py, || ops::fold(&x.0, &size.0, &windows))
}

/// Other sizes of the spatial axes: "nearest", "nearest-exact", "linear" or "cubic".
///
/// Example:
///     >>> ad.nn.functional.interpolate(ad.ones((1, 1, 2)), scale_factor=2).shape
///     (1, 1, 4)
#[pyfunction]
#[pyo3(signature = (x, sizes, scales, mode, align_corners, /))]
fn interpolate(
    py: Python<'_>,
    x: TensorArgument,
    sizes: Sizes,
    scales: Vec<Option<f64>>,
    mode: &str,
    align_corners: bool,
) -> PyResult<TensorObject> {
    let how = match mode {
        "nearest" => Interpolation::Nearest,
        "nearest-exact" => Interpolation::NearestExact,
        "linear" => Interpolation::Linear,
        "cubic" => Interpolation::Cubic,
        _ => return Err(exception(py, Error::value(format!("interpolate: mode is {mode:?}. Use another.")))),
    };
    engine::tensor(py, || ops::interpolate(&x.0, &sizes.0, &scales, how, align_corners))
}

/// Puts the functions into the module.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    add_functions!(module, max_pool, avg_pool, adaptive_max_pool, adaptive_avg_pool, unfold, fold, interpolate);
    Ok(())
}
