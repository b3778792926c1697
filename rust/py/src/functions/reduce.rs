//! Reductions: axes that disappear, or stay with size 1.
//! Depends on the core's `ops`. Invariant: `axis` is one axis, several, or `None` for all.

use adret_core::dtype::DType;
use adret_core::error::Result;
use adret_core::graph::Tensor;
use adret_core::ops::{self, Reduction};
use pyo3::prelude::*;

use super::add_functions;
use crate::arguments::{Integers, TensorArgument, real, truth, whole_or_none};
use crate::dtype::DTypeArgument;
use crate::engine;
use crate::tensor::TensorObject;

fn slice(axis: &Option<Integers>) -> Option<&[isize]> {
    axis.as_ref().map(|axes| &axes.0[..])
}

/// A reduction in a dtype of the user's choice.
fn in_dtype(
    kind: Reduction,
    x: &Tensor,
    axis: &Option<Integers>,
    dtype: Option<DTypeArgument>,
    keepdims: bool,
) -> Result<Tensor> {
    let Some(DTypeArgument(dtype)) = dtype else { return ops::reduce(kind, x, slice(axis), keepdims) };
    ops::astype(&ops::reduce(kind, &engine::astype(x, dtype)?, slice(axis), keepdims)?, dtype)
}

macro_rules! reductions {
    ($($name:ident $method:literal = $kind:ident, $summary:literal, $input:literal => $output:literal;)*) => {
        $(
            #[doc = concat!(
                $summary,
                "\n\nArgs:\n    x: A tensor.\n    axis: The axis, or several; all by default.\n    keepdims: Whether reduced axes stay, with size 1.",
                "\n\nRaises:\n    OutOfRangeError: If there is no such axis.",
                "\n\nExample:\n    >>> ad.", $method, "(ad.tensor(", $input, "))\n    tensor(", $output, ")"
            )]
            #[pyfunction]
            #[pyo3(name = $method, signature = (x, /, axis = None, *, keepdims = false))]
            fn $name(py: Python<'_>, x: TensorArgument, axis: Option<Integers>, #[pyo3(from_py_with = truth)] keepdims: bool) -> PyResult<TensorObject> {
                engine::tensor(py, || ops::reduce(Reduction::$kind, &x.0, slice(&axis), keepdims))
            }
        )*

        #[pymethods]
        impl TensorObject {
            $(
                #[doc = concat!($summary, "\n\nThe function `adret.", $method, "` as a method.")]
                #[pyo3(name = $method, signature = (axis = None, keepdims = false))]
                fn $name(&self, py: Python<'_>, axis: Option<Integers>, #[pyo3(from_py_with = truth)] keepdims: bool) -> PyResult<Self> {
                    engine::tensor(py, || ops::reduce(Reduction::$kind, &self.tensor(), slice(&axis), keepdims))
                }
            )*
        }

        fn register_reductions(module: &Bound<'_, PyModule>) -> PyResult<()> {
            add_functions!(module, $($name),*);
            Ok(())
        }
    };
}

reductions! {
    max_of "max" = Max, "The largest element; NaN wins; equal ones share the gradient.", "[1, 5, 3]" => "5";
    min_of "min" = Min, "The smallest element; NaN wins; equal ones share the gradient.", "[1, 5, 3]" => "1";
    mean_of "mean" = Mean, "The arithmetic mean; of integers in float32.", "[1.0, 2.0, 6.0]" => "3.";
    any_of "any" = Any, "Whether an element is other than 0.", "[0, 1]" => "True";
    all_of "all" = All, "Whether all elements are other than 0.", "[0, 1]" => "False";
}

macro_rules! typed_reductions {
    ($($name:ident $method:literal = $kind:ident, $summary:literal, $input:literal => $output:literal;)*) => {
        $(
            #[doc = concat!(
                $summary,
                "\n\nArgs:\n    x: A tensor.\n    axis: The axis, or several; all by default.",
                "\n    dtype: Element type of the result; by default that of x, small integers widened to 64 bits.",
                "\n    keepdims: Whether reduced axes stay, with size 1.",
                "\n\nRaises:\n    OutOfRangeError: If there is no such axis.",
                "\n\nExample:\n    >>> ad.", $method, "(ad.tensor(", $input, "))\n    tensor(", $output, ")"
            )]
            #[pyfunction]
            #[pyo3(name = $method, signature = (x, /, axis = None, *, dtype = None, keepdims = false))]
            fn $name(
                py: Python<'_>,
                x: TensorArgument,
                axis: Option<Integers>,
                dtype: Option<DTypeArgument>,
                #[pyo3(from_py_with = truth)] keepdims: bool,
            ) -> PyResult<TensorObject> {
                engine::tensor(py, || in_dtype(Reduction::$kind, &x.0, &axis, dtype, keepdims))
            }
        )*

        #[pymethods]
        impl TensorObject {
            $(
                #[doc = concat!($summary, "\n\nThe function `adret.", $method, "` as a method.")]
                #[pyo3(name = $method, signature = (axis = None, *, dtype = None, keepdims = false))]
                fn $name(
                    &self,
                    py: Python<'_>,
                    axis: Option<Integers>,
                    dtype: Option<DTypeArgument>,
                    #[pyo3(from_py_with = truth)] keepdims: bool,
                ) -> PyResult<Self> {
                    engine::tensor(py, || in_dtype(Reduction::$kind, &self.tensor(), &axis, dtype, keepdims))
                }
            )*
        }

        fn register_typed(module: &Bound<'_, PyModule>) -> PyResult<()> {
            add_functions!(module, $($name),*);
            Ok(())
        }
    };
}

typed_reductions! {
    sum_of "sum" = Sum, "The sum of the elements.", "[1, 2, 3]" => "6";
    prod_of "prod" = Prod, "The product of the elements.", "[2, 3, 4]" => "24";
}

macro_rules! statistics {
    ($($name:ident $method:literal = $function:path, $summary:literal => $output:literal;)*) => {
        $(
            #[doc = concat!(
                $summary,
                "\n\nArgs:\n    x: A tensor.\n    axis: The axis, or several; all by default.",
                "\n    correction: Is subtracted from the number of elements in the divisor; 1 gives the unbiased estimate.",
                "\n    keepdims: Whether reduced axes stay, with size 1.",
                "\n\nExample:\n    >>> ad.", $method, "(ad.tensor([1.0, 3.0]))\n    tensor(", $output, ")"
            )]
            #[pyfunction]
            #[pyo3(name = $method, signature = (x, /, axis = None, *, correction = 0.0, keepdims = false))]
            fn $name(
                py: Python<'_>,
                x: TensorArgument,
                axis: Option<Integers>,
                #[pyo3(from_py_with = real)] correction: f64,
                #[pyo3(from_py_with = truth)] keepdims: bool,
            ) -> PyResult<TensorObject> {
                engine::tensor(py, || $function(&x.0, slice(&axis), correction, keepdims))
            }
        )*

        #[pymethods]
        impl TensorObject {
            $(
                #[doc = concat!($summary, "\n\nThe function `adret.", $method, "` as a method.")]
                #[pyo3(name = $method, signature = (axis = None, *, correction = 0.0, keepdims = false))]
                fn $name(
                    &self,
                    py: Python<'_>,
                    axis: Option<Integers>,
                    #[pyo3(from_py_with = real)] correction: f64,
                    #[pyo3(from_py_with = truth)] keepdims: bool,
                ) -> PyResult<Self> {
                    engine::tensor(py, || $function(&self.tensor(), slice(&axis), correction, keepdims))
                }
            )*
        }

        fn register_statistics(module: &Bound<'_, PyModule>) -> PyResult<()> {
            add_functions!(module, $($name),*);
            Ok(())
        }
    };
}

statistics! {
    var_of "var" = ops::variance, "The mean squared distance from the mean." => "1.";
    std_of "std" = ops::std, "The square root of the variance." => "1.";
}

macro_rules! positions {
    ($($name:ident $method:literal = $function:path, $summary:literal => $output:literal;)*) => {
        $(
            #[doc = concat!(
                $summary,
                "\n\nThe first of equal ones, as int64; without an axis, of the flattened tensor.",
                "\n\nExample:\n    >>> ad.", $method, "(ad.tensor([3, 7, 1]))\n    tensor(", $output, ")"
            )]
            #[pyfunction]
            #[pyo3(name = $method, signature = (x, /, axis = None, *, keepdims = false))]
            fn $name(py: Python<'_>, x: TensorArgument, #[pyo3(from_py_with = whole_or_none)] axis: Option<isize>, #[pyo3(from_py_with = truth)] keepdims: bool) -> PyResult<TensorObject> {
                engine::tensor(py, || $function(&x.0, axis, keepdims))
            }
        )*

        #[pymethods]
        impl TensorObject {
            $(
                #[doc = concat!($summary, "\n\nThe function `adret.", $method, "` as a method.")]
                #[pyo3(name = $method, signature = (axis = None, keepdims = false))]
                fn $name(&self, py: Python<'_>, #[pyo3(from_py_with = whole_or_none)] axis: Option<isize>, #[pyo3(from_py_with = truth)] keepdims: bool) -> PyResult<Self> {
                    engine::tensor(py, || $function(&self.tensor(), axis, keepdims))
                }
            )*
        }

        fn register_positions(module: &Bound<'_, PyModule>) -> PyResult<()> {
            add_functions!(module, $($name),*);
            Ok(())
        }
    };
}

positions! {
    argmax_of "argmax" = ops::argmax, "Where the largest element is." => "1";
    argmin_of "argmin" = ops::argmin, "Where the smallest element is." => "2";
}

/// log(sum(exp(x))), without overflow.
///
/// Example:
///     >>> ad.logsumexp(ad.tensor([0.0, 0.0]))
///     tensor(0.6931)
#[pyfunction]
#[pyo3(signature = (x, /, axis = None, *, keepdims = false))]
fn logsumexp(
    py: Python<'_>,
    x: TensorArgument,
    axis: Option<Integers>,
    #[pyo3(from_py_with = truth)] keepdims: bool,
) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::logsumexp(&x.0, slice(&axis), keepdims))
}

/// The square root of the sum of squares; its gradient at 0 is 0.
///
/// Example:
///     >>> ad.norm(ad.tensor([3.0, 4.0]))
///     tensor(5.)
#[pyfunction]
#[pyo3(signature = (x, /, axis = None, *, keepdims = false))]
fn norm(
    py: Python<'_>,
    x: TensorArgument,
    axis: Option<Integers>,
    #[pyo3(from_py_with = truth)] keepdims: bool,
) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::norm(&x.0, slice(&axis), keepdims))
}

/// How many elements are other than 0, as int64.
///
/// Example:
///     >>> ad.count_nonzero(ad.tensor([0, 3, 5]))
///     tensor(2)
#[pyfunction]
#[pyo3(signature = (x, /, axis = None, *, keepdims = false))]
fn count_nonzero(
    py: Python<'_>,
    x: TensorArgument,
    axis: Option<Integers>,
    #[pyo3(from_py_with = truth)] keepdims: bool,
) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::reduce(Reduction::Sum, &ops::astype(&x.0, DType::Bool)?, slice(&axis), keepdims))
}

/// Puts the functions into the module.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    register_reductions(module)?;
    register_typed(module)?;
    register_statistics(module)?;
    register_positions(module)?;
    add_functions!(module, logsumexp, norm, count_nonzero);
    Ok(())
}
