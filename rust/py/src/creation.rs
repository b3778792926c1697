//! Functions that make tensors: from data, of one value, of ranges.
//! Depends on `data` and the core's `ops`. Invariant: float32, int64 and bool are what Python's numbers become.

use adret_core::backend::Device;
use adret_core::dtype::{DType, Scalar};
use adret_core::error::Error;
use adret_core::graph::Tensor;
use adret_core::ops;
use pyo3::prelude::*;

use crate::arguments::{self, Count, Sizes, TensorArgument, real, truth, whole};
use crate::device::{DeviceArgument, or_default};
use crate::dtype::{DTypeArgument, default_float, of_scalar};
use crate::errors::{exception, wrong_kind};
use crate::functions::add_functions;
use crate::tensor::TensorObject;
use crate::{data, dlpack, engine};

/// A tensor with a copy of the data.
///
/// Python's floats become float32, integers int64, truths bool; arrays keep their dtype.
///
/// Args:
///     data: A number, nested lists of numbers, an array of any library, or a tensor.
///     dtype: Element type of the result.
///     device: Where it lives.
///     requires_grad: Whether `backward` gathers its gradient in `grad`.
///
/// Raises:
///     ShapeError: If nested lists are ragged; the message says where.
///     DTypeError: If the data are not numbers.
///
/// Example:
///     >>> ad.tensor([[1, 2], [3, 4]])
///     tensor([[1, 2],
///             [3, 4]])
#[pyfunction]
#[pyo3(signature = (data, dtype = None, device = None, requires_grad = false))]
fn tensor(
    data: &Bound<'_, PyAny>,
    dtype: Option<DTypeArgument>,
    device: Option<DeviceArgument>,
    #[pyo3(from_py_with = truth)] requires_grad: bool,
) -> PyResult<TensorObject> {
    let object = TensorObject::new(data::tensor_of(data, dtype, device)?);
    object.require_grad(data.py(), requires_grad)?;
    Ok(object)
}

/// The data as a tensor: a tensor itself where nothing changes, else a copy.
///
/// Args:
///     obj: What `tensor` takes.
///     dtype: Element type of the result.
///     device: Where it lives.
///     copy: `False` shares memory through DLPack or raises; `True` and `None` copy.
///
/// Example:
///     >>> x = ad.ones(2)
///     >>> ad.asarray(x) is x
///     True
#[pyfunction]
#[pyo3(signature = (obj, /, *, dtype = None, device = None, copy = None))]
fn asarray<'py>(
    obj: &Bound<'py, PyAny>,
    dtype: Option<DTypeArgument>,
    device: Option<DeviceArgument>,
    copy: Option<bool>,
) -> PyResult<Bound<'py, TensorObject>> {
    let py = obj.py();
    if let Ok(tensor) = obj.cast::<TensorObject>() {
        let present = tensor.get().tensor();
        let changes = dtype.is_some_and(|dtype| dtype.0 != present.dtype())
            || device.is_some_and(|device| device.0 != present.device());
        if !changes && copy != Some(true) {
            return Ok(tensor.clone());
        }
        if copy == Some(false) {
            return Err(exception(py, Error::value("asarray: another dtype or device needs a copy. Allow one.")));
        }
        let converted = engine::tensor(py, || {
            let x = ops::astype(&present, dtype.map_or(present.dtype(), |dtype| dtype.0))?;
            let target = device.map_or(present.device(), |device| device.0);
            if target == x.device() { Ok(x) } else { ops::to_device(&x, target) }
        })?;
        return Bound::new(py, converted);
    }
    let tensor = if copy == Some(false) {
        let shared = dlpack::import::share(obj, false)?;
        if dtype.is_some_and(|dtype| dtype.0 != shared.dtype()) || device.is_some_and(|device| device.0 != Device::Cpu)
        {
            return Err(exception(py, Error::value("asarray: another dtype or device needs a copy. Allow one.")));
        }
        shared
    } else {
        data::tensor_of(obj, dtype, device)?
    };
    Bound::new(py, TensorObject::new(tensor))
}

/// A tensor with a copy of a NumPy array, of its dtype.
///
/// Example:
///     >>> import numpy as np
///     >>> ad.from_numpy(np.arange(3))
///     tensor([0, 1, 2])
#[pyfunction]
#[pyo3(signature = (array, /))]
fn from_numpy(array: &Bound<'_, PyAny>) -> PyResult<TensorObject> {
    match data::foreign(array)? {
        Some(tensor) => Ok(TensorObject::new(data::place(array.py(), tensor, None, or_default(None))?)),
        None => Err(exception(array.py(), Error::dtype(data::refusal(array)))),
    }
}

fn filled(
    py: Python<'_>,
    shape: &Sizes,
    value: Scalar,
    dtype: DType,
    device: Option<DeviceArgument>,
    requires_grad: bool,
) -> PyResult<TensorObject> {
    let object = engine::tensor(py, || ops::full(&shape.0, value, dtype, or_default(device)))?;
    object.require_grad(py, requires_grad)?;
    Ok(object)
}

macro_rules! constants {
    ($($name:ident $like:ident $value:literal $text:literal $output:literal;)*) => {
        $(
            #[doc = concat!($text, "\n\nExample:\n    >>> ad.", stringify!($name), "(2)\n    tensor(", $output, ")")]
            #[pyfunction]
            #[pyo3(signature = (shape, dtype = None, device = None, requires_grad = false))]
            fn $name(
                py: Python<'_>,
                shape: Sizes,
                dtype: Option<DTypeArgument>,
                device: Option<DeviceArgument>,
                #[pyo3(from_py_with = truth)] requires_grad: bool,
            ) -> PyResult<TensorObject> {
                let dtype = dtype.map_or_else(default_float, |dtype| dtype.0);
                filled(py, &shape, Scalar::Int($value), dtype, device, requires_grad)
            }

            #[doc = concat!(
                $text, " Shape, dtype and device are those of x.",
                "\n\nExample:\n    >>> ad.", stringify!($like), "(ad.tensor([5.0, 6.0]))\n    tensor(", $output, ")"
            )]
            #[pyfunction]
            #[pyo3(signature = (x, /, *, dtype = None, device = None))]
            fn $like(
                py: Python<'_>,
                x: TensorArgument,
                dtype: Option<DTypeArgument>,
                device: Option<DeviceArgument>,
            ) -> PyResult<TensorObject> {
                like(py, &x.0, Scalar::Int($value), dtype, device)
            }
        )*
    };
}

fn like(
    py: Python<'_>,
    x: &Tensor,
    value: Scalar,
    dtype: Option<DTypeArgument>,
    device: Option<DeviceArgument>,
) -> PyResult<TensorObject> {
    let dtype = dtype.map_or(x.dtype(), |dtype| dtype.0);
    let device = device.map_or(x.device(), |device| device.0);
    engine::tensor(py, || ops::full(x.shape(), value, dtype, device))
}

constants! {
    zeros zeros_like 0 "Zeros." "[0., 0.]";
    ones ones_like 1 "Ones." "[1., 1.]";
    empty empty_like 0 "Elements to be written; they are zeros." "[0., 0.]";
}

fn number(value: &Bound<'_, PyAny>, name: &str) -> PyResult<Scalar> {
    if let Some(scalar) = arguments::scalar(value)? {
        return Ok(scalar);
    }
    match value.cast::<TensorObject>() {
        // A 0-d tensor stands for its number.
        Ok(tensor) if tensor.get().tensor().rank() == 0 => {
            let tensor = tensor.get().tensor();
            Ok(crate::values::one(tensor.dtype(), &engine::read(value.py(), &tensor)?))
        }
        _ => Err(wrong_kind(value.py(), format!("{name} is {}. Use a number.", arguments::described(value)))),
    }
}

/// One value everywhere.
///
/// Example:
///     >>> ad.full((2, 2), 7)
///     tensor([[7, 7],
///             [7, 7]])
#[pyfunction]
#[pyo3(signature = (shape, fill_value, dtype = None, device = None, requires_grad = false))]
fn full(
    py: Python<'_>,
    shape: Sizes,
    fill_value: &Bound<'_, PyAny>,
    dtype: Option<DTypeArgument>,
    device: Option<DeviceArgument>,
    #[pyo3(from_py_with = truth)] requires_grad: bool,
) -> PyResult<TensorObject> {
    let value = number(fill_value, "full: fill_value")?;
    let dtype = dtype.map_or_else(|| of_scalar(value, or_default(device)), |dtype| dtype.0);
    filled(py, &shape, value, dtype, device, requires_grad)
}

/// One value everywhere. Shape, dtype and device are those of x.
///
/// Example:
///     >>> ad.full_like(ad.zeros(2), 7)
///     tensor([7., 7.])
#[pyfunction]
#[pyo3(signature = (x, /, fill_value, *, dtype = None, device = None))]
fn full_like(
    py: Python<'_>,
    x: TensorArgument,
    fill_value: &Bound<'_, PyAny>,
    dtype: Option<DTypeArgument>,
    device: Option<DeviceArgument>,
) -> PyResult<TensorObject> {
    like(py, &x.0, number(fill_value, "full: fill_value")?, dtype, device)
}

/// Numbers from `start` up to, without, `stop` in steps; `arange(stop)` begins at 0.
///
/// Example:
///     >>> ad.arange(1, 10, 3)
///     tensor([1, 4, 7])
#[pyfunction]
#[pyo3(signature = (start, /, stop = None, step = None, *, dtype = None, device = None))]
fn arange(
    py: Python<'_>,
    start: &Bound<'_, PyAny>,
    stop: Option<&Bound<'_, PyAny>>,
    step: Option<&Bound<'_, PyAny>>,
    dtype: Option<DTypeArgument>,
    device: Option<DeviceArgument>,
) -> PyResult<TensorObject> {
    let first = number(start, "arange: start")?;
    let (start, stop) = match stop {
        None => (Scalar::Int(0), first),
        Some(stop) => (first, number(stop, "arange: stop")?),
    };
    let step = step.map_or(Ok(Scalar::Int(1)), |step| number(step, "arange: step"))?;
    let float = [start, stop, step].iter().any(|number| matches!(number, Scalar::Float(_)));
    let dtype = dtype.map_or_else(
        || if float { default_float() } else { ops::default_integer(or_default(device)) },
        |dtype| dtype.0,
    );
    engine::tensor(py, || ops::arange(start, stop, step, dtype, or_default(device)))
}

/// `num` evenly spaced numbers from `start` to `stop`, which is among them unless `endpoint` is false.
///
/// Example:
///     >>> ad.linspace(0, 1, 3)
///     tensor([0.0000, 0.5000, 1.0000])
#[pyfunction]
#[pyo3(signature = (start, stop, /, num, *, dtype = None, device = None, endpoint = true))]
fn linspace(
    py: Python<'_>,
    #[pyo3(from_py_with = real)] start: f64,
    #[pyo3(from_py_with = real)] stop: f64,
    num: Count,
    dtype: Option<DTypeArgument>,
    device: Option<DeviceArgument>,
    #[pyo3(from_py_with = truth)] endpoint: bool,
) -> PyResult<TensorObject> {
    let dtype = dtype.map_or_else(default_float, |dtype| dtype.0);
    engine::tensor(py, || ops::linspace(start, stop, num.0, endpoint, dtype, or_default(device)))
}

/// Ones on the k-th diagonal of a matrix, zeros elsewhere.
///
/// Example:
///     >>> ad.eye(2)
///     tensor([[1., 0.],
///             [0., 1.]])
#[pyfunction]
#[pyo3(signature = (n_rows, n_cols = None, /, *, k = 0, dtype = None, device = None))]
fn eye(
    py: Python<'_>,
    n_rows: Count,
    n_cols: Option<Count>,
    #[pyo3(from_py_with = whole)] k: i64,
    dtype: Option<DTypeArgument>,
    device: Option<DeviceArgument>,
) -> PyResult<TensorObject> {
    let dtype = dtype.map_or_else(default_float, |dtype| dtype.0);
    engine::tensor(py, || ops::eye(n_rows.0, n_cols.unwrap_or(n_rows).0, k, dtype, or_default(device)))
}

/// Puts the functions into the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    add_functions!(
        module,
        tensor,
        asarray,
        from_numpy,
        zeros,
        zeros_like,
        ones,
        ones_like,
        empty,
        empty_like,
        full,
        full_like,
        arange,
        linspace,
        eye,
        dlpack::import::from_dlpack,
    );
    Ok(())
}
