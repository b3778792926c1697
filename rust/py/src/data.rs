//! Python data becoming tensors: numbers, nested lists, arrays of other libraries.
//! Depends on `nested`, `buffers`, `dlpack`. Invariant: what is made here is a copy, unless the function's name says `share`.

use adret_core::backend::Device;
use adret_core::compile;
use adret_core::dtype::{DType, Scalar};
use adret_core::error::Error;
use adret_core::graph::{self, GradMode, Tensor};
use adret_core::shape::Shape;
use adret_core::{evaluate, ops};
use pyo3::buffer::PyUntypedBuffer;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use crate::device::DeviceArgument;
use crate::dtype::DTypeArgument;
use crate::errors::{call, exception};
use crate::tensor::TensorObject;
use crate::{arguments, buffers, device, dlpack, dtype, engine, nested, values};

/// A tensor without history of the data's elements, of that dtype on that device.
pub(crate) fn tensor_of(
    data: &Bound<'_, PyAny>,
    dtype: Option<DTypeArgument>,
    device: Option<DeviceArgument>,
) -> PyResult<Tensor> {
    let py = data.py();
    let dtype = dtype.map(|dtype| dtype.0);
    // Python's own numbers take the default dtypes of the device that they are bound for.
    let target = device::or_default(device);
    let (tensor, home) = if let Ok(tensor) = data.cast::<TensorObject>() {
        let tensor = tensor.get().tensor();
        (graph::identity(&tensor), tensor.device())
    } else if let Some(scalar) = arguments::scalar(data)? {
        (of_scalar(py, scalar, strong_dtype(data)?, dtype, target)?, target)
    } else if data.is_instance_of::<PyList>() || data.is_instance_of::<PyTuple>() {
        (nested::tensor(data, dtype, target)?, target)
    } else if let Some(tensor) = foreign(data)? {
        (tensor, target)
    } else {
        return Err(exception(py, Error::dtype(refusal(data))));
    };
    let device = device.map_or(home, |device| device.0);
    place(py, tensor, dtype, device)
}

/// Why an object cannot become a tensor.
pub(crate) fn refusal(data: &Bound<'_, PyAny>) -> String {
    let class = data.get_type().name().map_or_else(|_| "object".to_owned(), |name| name.to_string());
    let advice = match class.as_str() {
        "str" | "bytes" | "str_" => "Text has no element type; encode it as integers.",
        "complex" => "Complex numbers are not supported; keep real and imaginary parts as two tensors.",
        "NoneType" => "Leave out missing values, or use float(\"nan\").",
        "dict" | "set" | "generator" => "Make a list of its numbers.",
        _ => "Use numbers, nested lists of them, or an array.",
    };
    format!("tensor: {class} is no number and no array. {advice}")
}

/// Conversion and transfer, outside every history.
pub(crate) fn place(py: Python<'_>, tensor: Tensor, dtype: Option<DType>, device: Device) -> PyResult<Tensor> {
    let _off = GradMode::set(false);
    call(py, || {
        let tensor = dtype.map_or_else(|| Ok(tensor.clone()), |dtype| ops::astype(&tensor, dtype))?;
        if tensor.device() == device { Ok(tensor) } else { ops::to_device(&tensor, device) }
    })
}

/// The dtype that a NumPy scalar brings along.
fn strong_dtype(data: &Bound<'_, PyAny>) -> PyResult<Option<DType>> {
    match data.getattr_opt("dtype")? {
        Some(dtype) => dtype.extract::<DTypeArgument>().map(|dtype| Some(dtype.0)),
        None => Ok(None),
    }
}

fn of_scalar(
    py: Python<'_>,
    scalar: Scalar,
    strong: Option<DType>,
    wanted: Option<DType>,
    target: Device,
) -> PyResult<Tensor> {
    let natural = strong.unwrap_or_else(|| dtype::of_scalar(scalar, target));
    // An integer is stored exactly as the dtype asked for; everything else converts like an array would.
    let dtype = match scalar {
        Scalar::Int(_) | Scalar::Bool(_) => wanted.unwrap_or(natural),
        Scalar::Float(_) => wanted.filter(|dtype| dtype.is_float()).unwrap_or(natural),
    };
    let mut bytes = Vec::with_capacity(8);
    call(py, || {
        values::encode(dtype, scalar, &mut bytes)?;
        from_bytes(dtype, &[], &bytes)
    })
}

/// A CPU tensor of these elements.
/// Data from outside the graph would be the same in every replay of a recording.
pub(crate) fn refuse_recording() -> adret_core::error::Result<()> {
    if graph::recording() {
        return Err(compile::refuse(
            "compile: the function makes a tensor of Python or NumPy data, which a recording would freeze. Make it outside \
             the function, pass it as an argument, or use ad.full, ad.zeros, ad.arange, …",
        ));
    }
    Ok(())
}

pub(crate) fn from_bytes(dtype: DType, shape: &[usize], bytes: &[u8]) -> adret_core::error::Result<Tensor> {
    refuse_recording()?;
    evaluate::from_bytes(dtype, &Shape::new(shape)?, bytes, Device::Cpu)
}

/// A copy of another library's array; `None` where the object is no array.
pub(crate) fn foreign(data: &Bound<'_, PyAny>) -> PyResult<Option<Tensor>> {
    let py = data.py();
    let text = data.is_instance_of::<PyString>() || data.is_instance_of::<PyBytes>();
    if text || data.is_instance_of::<pyo3::types::PyType>() {
        return Ok(None);
    }
    // SAFETY: asks the object's type whether it has the buffer protocol; the object is alive.
    if unsafe { pyo3::ffi::PyObject_CheckBuffer(data.as_ptr()) } != 0 {
        match PyUntypedBuffer::get(data) {
            Ok(buffer) => match buffers::copy(py, &buffer)? {
                Some(tensor) => return Ok(Some(tensor)),
                None => return Err(exception(py, Error::dtype(foreign_elements(data, &buffer)))),
            },
            // NumPy refuses dtypes that the protocol cannot name (dates, bfloat16).
            Err(_) if !data.hasattr("__dlpack__")? => return Err(exception(py, Error::dtype(refusal(data)))),
            Err(_) => {}
        }
    }
    if data.hasattr("__dlpack__")? {
        let shared = dlpack::import::share(data, true).map_err(|error| unsupported(data, error))?;
        return copied(py, &shared).map(Some);
    }
    if data.hasattr("__array__")? {
        return foreign(&data.call_method0("__array__")?);
    }
    Ok(None)
}

/// Why an array with such elements cannot become a tensor.
fn foreign_elements(data: &Bound<'_, PyAny>, buffer: &PyUntypedBuffer) -> String {
    let dtype = data.getattr("dtype").and_then(|dtype| dtype.str()).map(|dtype| dtype.to_string());
    let dtype = dtype.unwrap_or_else(|_| format!("format {:?}", buffer.format().to_string_lossy()));
    let advice = if dtype.starts_with("complex") {
        "Keep real and imaginary parts as two tensors."
    } else {
        "Convert the array to native numbers first, for instance with .astype(\"float32\")."
    };
    format!("tensor: elements of {dtype} have no dtype here. {advice}")
}

/// The error for an array whose elements have no dtype here.
fn unsupported(data: &Bound<'_, PyAny>, error: PyErr) -> PyErr {
    let py = data.py();
    match data.getattr("dtype").and_then(|dtype| dtype.extract::<DTypeArgument>()) {
        Ok(_) => error,
        Err(reason) => {
            reason.set_cause(py, Some(error));
            reason
        }
    }
}

/// A tensor of its own memory with the elements of a shared one.
pub(crate) fn copied(py: Python<'_>, shared: &Tensor) -> PyResult<Tensor> {
    let bytes = engine::read(py, shared)?;
    call(py, || from_bytes(shared.dtype(), shared.shape(), &bytes))
}
