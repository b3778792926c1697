//! Running sums and products, under the names of NumPy and of the Array API standard.
//! Depends on the core's `ops`. Invariant: NumPy's names flatten without an axis, the standard's ask for one.

use adret_core::error::{Error, Result};
use adret_core::graph::Tensor;
use adret_core::ops::{self, Running};
use pyo3::prelude::*;

use super::add_functions;
use crate::arguments::{TensorArgument, truth, whole_or_none};
use crate::dtype::DTypeArgument;
use crate::engine;
use crate::tensor::TensorObject;

/// Along an axis, or over the flattened tensor.
fn flat(running: Running, x: &Tensor, axis: Option<isize>, dtype: Option<DTypeArgument>) -> Result<Tensor> {
    let dtype = dtype.map(|DTypeArgument(dtype)| dtype);
    match axis {
        Some(axis) => ops::cumulative(running, x, axis, dtype),
        None => ops::cumulative(running, &ops::reshape(x, &[-1])?, 0, dtype),
    }
}

/// Along the only axis, or the one that is named; `initial` puts what precedes the first element before it.
fn standard(
    name: &str,
    running: Running,
    x: &Tensor,
    axis: Option<isize>,
    dtype: Option<DTypeArgument>,
    initial: bool,
) -> Result<Tensor> {
    if axis.is_none() && x.rank() != 1 {
        return Err(Error::value(format!(
            "{name}: x is {} and no axis was given. Name the axis to run along, as axis=0.",
            x.shape()
        )));
    }
    let axis = axis.unwrap_or(0);
    let result = ops::cumulative(running, x, axis, dtype.map(|DTypeArgument(dtype)| dtype))?;
    if !initial {
        return Ok(result);
    }
    let mut sizes = result.shape().to_vec();
    sizes[ops::normalize_axis(name, axis, x.rank())?] = 1;
    let neutral = adret_core::dtype::Scalar::Int((running == Running::Product).into());
    let first = ops::full(&sizes, neutral, result.dtype(), result.device())?;
    ops::concat(&[first, result], axis)
}

macro_rules! scans {
    ($($name:ident $standard:ident $method:literal $long:literal = $running:ident, $summary:literal, $formula:literal => $output:literal, $begun:literal;)*) => {
        $(
            #[doc = concat!(
                $summary, ": ", $formula,
                "\n\nArgs:\n    x: A tensor.\n    axis: The axis to run along; by default, of the flattened tensor.",
                "\n    dtype: Element type of the result; by default that of x, small integers widened to 64 bits.",
                "\n\nReturns:\n    A tensor of the shape of x, or 1-d without an axis.",
                "\n\nRaises:\n    OutOfRangeError: If there is no such axis.",
                "\n\nExample:\n    >>> ad.", $method, "(ad.tensor([2, 3, 4]))\n    tensor(", $output, ")"
            )]
            #[pyfunction]
            #[pyo3(signature = (x, /, axis = None, *, dtype = None))]
            fn $name(
                py: Python<'_>,
                x: TensorArgument,
                #[pyo3(from_py_with = whole_or_none)] axis: Option<isize>,
                dtype: Option<DTypeArgument>,
            ) -> PyResult<TensorObject> {
                engine::tensor(py, || flat(Running::$running, &x.0, axis, dtype))
            }

            #[doc = concat!(
                $summary, ", as the Array API standard has it: ", $formula,
                "\n\nArgs:\n    x: A tensor.\n    axis: The axis to run along; may be left out for 1-d tensors.",
                "\n    dtype: Element type of the result; by default that of x, small integers widened to 64 bits.",
                "\n    include_initial: Whether the result begins with what precedes the first element, and is longer by one.",
                "\n\nRaises:\n    OutOfRangeError: If there is no such axis.\n    DomainError: If an axis is needed and missing.",
                "\n\nExample:\n    >>> ad.", $long, "(ad.tensor([2, 3, 4]), include_initial=True)\n    tensor(", $begun, ")"
            )]
            #[pyfunction]
            #[pyo3(signature = (x, /, *, axis = None, dtype = None, include_initial = false))]
            fn $standard(
                py: Python<'_>,
                x: TensorArgument,
                #[pyo3(from_py_with = whole_or_none)] axis: Option<isize>,
                dtype: Option<DTypeArgument>,
                #[pyo3(from_py_with = truth)] include_initial: bool,
            ) -> PyResult<TensorObject> {
                engine::tensor(py, || standard($long, Running::$running, &x.0, axis, dtype, include_initial))
            }
        )*

        #[pymethods]
        impl TensorObject {
            $(
                #[doc = concat!($summary, ".\n\nThe function `adret.", $method, "` as a method.")]
                #[pyo3(signature = (axis = None, *, dtype = None))]
                fn $name(&self, py: Python<'_>, #[pyo3(from_py_with = whole_or_none)] axis: Option<isize>, dtype: Option<DTypeArgument>) -> PyResult<Self> {
                    engine::tensor(py, || flat(Running::$running, &self.tensor(), axis, dtype))
                }
            )*
        }

        /// Adds the functions to the module.
        pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
            add_functions!(module, $($name, $standard),*);
            Ok(())
        }
    };
}

scans! {
    cumsum cumulative_sum "cumsum" "cumulative_sum" = Sum, "Running sums", "yᵢ = x₀ + … + xᵢ" => "[2, 5, 9]", "[0, 2, 5, 9]";
    cumprod cumulative_prod "cumprod" "cumulative_prod" = Product, "Running products", "yᵢ = x₀ · … · xᵢ" => "[ 2,  6, 24]", "[ 1,  2,  6, 24]";
}
