//! What functions accept: tensors, numbers, sizes and axes, as Python users write them.
//! Depends on `tensor` and `data`. Invariant: no shape is computed here; what is handed on is what the user wrote.

use adret_core::dtype::Scalar;
use adret_core::error::{Error, ErrorKind};
use adret_core::graph::Tensor;
use adret_core::ops::{self, Operand};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString, PyTuple, PyType};
use smallvec::SmallVec;

use crate::compiled::VariableObject;
use crate::data;
use crate::errors::{call, exception, wrong_kind};
use crate::tensor::TensorObject;

/// A tensor argument.
#[derive(Clone, Debug)]
pub(crate) struct TensorArgument(pub(crate) Tensor);

fn class_name(object: &Bound<'_, PyAny>) -> String {
    object.get_type().name().map_or_else(|_| "an object".to_owned(), |name| name.to_string())
}

impl<'py> FromPyObject<'_, 'py> for TensorArgument {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match object.cast::<TensorObject>() {
            Ok(tensor) => Ok(Self(tensor.get().tensor())),
            Err(_) => Err(wrong_kind(
                object.py(),
                format!("argument: expected a Tensor, not {}. Make one with ad.tensor(…).", class_name(&object)),
            )),
        }
    }
}

/// Tensors in a list or a tuple, or along the first axis of one.
#[derive(Clone, Debug)]
pub(crate) struct Tensors(pub(crate) Vec<Tensor>);

impl<'py> FromPyObject<'_, 'py> for Tensors {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(tensor) = object.cast::<TensorObject>() {
            return call(object.py(), || ops::unstack(&tensor.get().tensor(), 0)).map(Self);
        }
        let items = object.try_iter().map_err(|_| {
            wrong_kind(
                object.py(),
                format!("argument: expected a list of tensors, not {}. Write [x, y].", class_name(&object)),
            )
        })?;
        items.map(|item| item?.extract().map(|TensorArgument(tensor)| tensor)).collect::<PyResult<_>>().map(Self)
    }
}

/// The number that a Python object is: Python's own, or NumPy's by its value.
pub(crate) fn scalar(object: &Bound<'_, PyAny>) -> PyResult<Option<Scalar>> {
    if let Ok(number) = object.cast::<PyFloat>() {
        return number.extract().map(|value| Some(Scalar::Float(value)));
    }
    if let Ok(truth) = object.cast::<PyBool>() {
        return Ok(Some(Scalar::Bool(truth.is_true())));
    }
    if object.is_instance_of::<PyInt>() {
        return integer(object).map(Some);
    }
    if object.is_instance_of::<PyType>() || !object.hasattr("dtype")? || !object.hasattr("item")? {
        return Ok(None);
    }
    // A NumPy scalar (or 0-d array) counts as the Python number of its value.
    if object.getattr("ndim")?.extract::<usize>()? != 0 {
        return Ok(None);
    }
    let value = object.call_method0("item")?;
    let plain = [value.is_instance_of::<PyFloat>(), value.is_instance_of::<PyInt>()].contains(&true);
    if plain { scalar(&value) } else { Ok(None) }
}

/// An integer of any size that a dtype can hold.
fn integer(object: &Bound<'_, PyAny>) -> PyResult<Scalar> {
    let value = object.extract::<i64>().map(i128::from).or_else(|_| object.extract::<i128>());
    value.map(Scalar::Int).map_err(|_| {
        exception(object.py(), Error::value("int: more than 128 bits fit no dtype. Use a float or a smaller integer."))
    })
}

/// A tensor or a weak scalar; `None` where the object is neither. Arrays of other libraries are copied.
pub(crate) fn operand(object: &Bound<'_, PyAny>) -> PyResult<Option<Operand>> {
    if let Ok(tensor) = object.cast::<TensorObject>() {
        return Ok(Some(Operand::Tensor(tensor.get().tensor())));
    }
    if let Some(scalar) = scalar(object)? {
        return Ok(Some(Operand::Scalar(scalar)));
    }
    if let Ok(variable) = object.cast::<VariableObject>() {
        return Ok(Some(Operand::Variable(variable.get().0.clone())));
    }
    Ok(data::foreign(object)?.map(Operand::Tensor))
}

/// An argument that may be a tensor or a number.
#[derive(Clone, Debug)]
pub(crate) struct OperandArgument(pub(crate) Operand);

impl<'py> FromPyObject<'_, 'py> for OperandArgument {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        operand(&object)?.map(Self).ok_or_else(|| {
            let given = class_name(&object);
            wrong_kind(
                object.py(),
                format!("argument: expected a Tensor or a number, not {given}. Make one with ad.tensor(…)."),
            )
        })
    }
}

/// An operand that meets `tensor`; arrays of other libraries go to its device.
pub(crate) fn operand_beside(object: &Bound<'_, PyAny>, tensor: &Tensor) -> PyResult<Option<Operand>> {
    match operand(object)? {
        Some(Operand::Tensor(array))
            if array.device() != tensor.device() && !object.is_instance_of::<TensorObject>() =>
        {
            call(object.py(), || ops::to_device(&array, tensor.device()).map(Operand::Tensor)).map(Some)
        }
        other => Ok(other),
    }
}

/// An object as Python prints it, cut where it is long.
fn written(object: &Bound<'_, PyAny>) -> String {
    let text = object.repr().map_or_else(|_| "an object".to_owned(), |text| text.to_string());
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// An object with its class: what a message says of one that a function does not take.
pub(crate) fn described(object: &Bound<'_, PyAny>) -> String {
    format!("{}, of class {}", written(object), class_name(object))
}

/// What is said of an object that is no whole number, or of one beyond 64 bits.
fn no_integer(object: &Bound<'_, PyAny>, wanted: &str) -> PyErr {
    let text = written(object);
    if object.is_instance_of::<PyInt>() {
        let message = format!("integer: {text} does not fit 64 bits. Use a smaller number.");
        return exception(object.py(), Error::new(ErrorKind::Index, message));
    }
    let class = class_name(object);
    wrong_kind(object.py(), format!("integer: {text} is no whole number, but {class}. Use {wanted}."))
}

/// A whole number: an int, or what counts as one.
pub(crate) fn whole<'py, N>(object: &Bound<'py, PyAny>) -> PyResult<N>
where
    N: for<'a> FromPyObject<'a, 'py, Error = PyErr>,
{
    object.extract().map_err(|_| no_integer(object, "an int"))
}

/// A number.
pub(crate) fn real(object: &Bound<'_, PyAny>) -> PyResult<f64> {
    object.extract().map_err(|_| {
        wrong_kind(
            object.py(),
            format!("number: {} is no number, but {}. Use a float.", written(object), class_name(object)),
        )
    })
}

/// A truth.
pub(crate) fn truth(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    object.extract().map_err(|_| {
        wrong_kind(
            object.py(),
            format!("bool: {} is no truth, but {}. Use True or False.", written(object), class_name(object)),
        )
    })
}

/// A whole number or None.
pub(crate) fn whole_or_none(object: &Bound<'_, PyAny>) -> PyResult<Option<isize>> {
    if object.is_none() { Ok(None) } else { whole(object).map(Some) }
}

/// Whole numbers: one, or a sequence.
#[derive(Clone, Debug)]
pub(crate) struct Integers(pub(crate) SmallVec<[isize; 4]>);

impl<'py> FromPyObject<'_, 'py> for Integers {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(number) = object.extract::<isize>() {
            return Ok(Self(SmallVec::from_elem(number, 1)));
        }
        let single = || no_integer(&object, "an int or a tuple of ints");
        if object.is_instance_of::<PyString>() {
            return Err(single());
        }
        object.try_iter().map_err(|_| single())?.map(|item| whole(&item?)).collect::<PyResult<_>>().map(Self)
    }
}

impl Integers {
    /// The numbers of `f(2, 3)` or `f((2, 3))`.
    pub(crate) fn of_arguments(arguments: &Bound<'_, PyTuple>) -> PyResult<Self> {
        match arguments.len() {
            1 => arguments.get_item(0)?.extract(),
            _ => arguments.as_any().extract(),
        }
    }
}

/// A number of things, not negative.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count(pub(crate) usize);

impl<'py> FromPyObject<'_, 'py> for Count {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let number: isize = whole(&object)?;
        usize::try_from(number)
            .map(Self)
            .map_err(|_| exception(object.py(), Error::value(format!("count: {number} is negative. Use 0 or more."))))
    }
}

/// Sizes of a shape: one, or a sequence, none negative.
#[derive(Clone, Debug)]
pub(crate) struct Sizes(pub(crate) SmallVec<[usize; 4]>);

impl<'py> FromPyObject<'_, 'py> for Sizes {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let Integers(numbers) = object.extract().map_err(|error: PyErr| {
            let py = object.py();
            if !error.is_instance_of::<PyIndexError>(py) {
                return error;
            }
            exception(
                py,
                Error::shape(format!("shape: {} has a size beyond 64 bits. Use smaller sizes.", written(&object))),
            )
        })?;
        let sizes = numbers.iter().map(|&size| {
            usize::try_from(size).map_err(|_| {
                exception(object.py(), Error::shape(format!("shape: size {size} is negative. Sizes are 0 or more.")))
            })
        });
        sizes.collect::<PyResult<_>>().map(Self)
    }
}
