//! Functions that move elements: other shapes, other orders, joined and cut.
//! Depends on the core's `ops`. Invariant: no element changes its value.

use adret_core::ops;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use super::add_functions;
use crate::arguments::{Count, Integers, OperandArgument, Sizes, TensorArgument, Tensors, whole, whole_or_none};
use crate::dtype::DTypeArgument;
use crate::engine;
use crate::errors::wrong_kind;
use crate::tensor::TensorObject;

/// The elements in row-major order under another shape; one size may be -1.
///
/// Raises:
///     ShapeError: If the numbers of elements differ.
///
/// Example:
///     >>> ad.reshape(ad.arange(6), (2, -1)).shape
///     (2, 3)
#[pyfunction]
#[pyo3(signature = (x, /, shape, *, copy = None))]
fn reshape(py: Python<'_>, x: TensorArgument, shape: Integers, copy: Option<bool>) -> PyResult<TensorObject> {
    // Tensors never change, so that a copy cannot be told from a view.
    let _ = copy;
    engine::tensor(py, || ops::reshape(&x.0, &shape.0))
}

/// The axes in another order.
///
/// Example:
///     >>> ad.permute_dims(ad.zeros((2, 3, 4)), (2, 0, 1)).shape
///     (4, 2, 3)
#[pyfunction]
#[pyo3(signature = (x, /, axes))]
fn permute_dims(py: Python<'_>, x: TensorArgument, axes: Integers) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::permute_dims(&x.0, &axes.0))
}

/// The last two axes exchanged.
///
/// Example:
///     >>> ad.matrix_transpose(ad.zeros((5, 2, 3))).shape
///     (5, 3, 2)
#[pyfunction]
#[pyo3(signature = (x, /))]
fn matrix_transpose(py: Python<'_>, x: TensorArgument) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::matrix_transpose(&x.0))
}

/// Two axes exchanged.
///
/// Example:
///     >>> ad.transpose(ad.zeros((2, 3, 4)), 0, 2).shape
///     (4, 3, 2)
#[pyfunction]
#[pyo3(signature = (x, axis1, axis2, /))]
fn transpose(
    py: Python<'_>,
    x: TensorArgument,
    #[pyo3(from_py_with = whole)] axis1: isize,
    #[pyo3(from_py_with = whole)] axis2: isize,
) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::transpose(&x.0, axis1, axis2))
}

/// The axes `source` at the places `destination`, the others in their order.
///
/// Example:
///     >>> ad.moveaxis(ad.zeros((2, 3, 4)), 0, -1).shape
///     (3, 4, 2)
#[pyfunction]
#[pyo3(signature = (x, source, destination, /))]
fn moveaxis(
    py: Python<'_>,
    x: TensorArgument,
    #[pyo3(from_py_with = whole)] source: isize,
    #[pyo3(from_py_with = whole)] destination: isize,
) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::moveaxis(&x.0, source, destination))
}

/// The tensor repeated along new axes and axes of size 1.
///
/// Example:
///     >>> ad.broadcast_to(ad.tensor([1, 2]), (2, 2))
///     tensor([[1, 2],
///             [1, 2]])
#[pyfunction]
#[pyo3(signature = (x, /, shape))]
fn broadcast_to(py: Python<'_>, x: TensorArgument, shape: Sizes) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::broadcast_to(&x.0, &shape.0))
}

/// Axes of size 1 left out: those named, or all of them.
///
/// Raises:
///     ShapeError: If a named axis has another size.
///
/// Example:
///     >>> ad.squeeze(ad.zeros((1, 3, 1)), 0).shape
///     (3, 1)
#[pyfunction]
#[pyo3(signature = (x, /, axis = None))]
fn squeeze(py: Python<'_>, x: TensorArgument, axis: Option<Integers>) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::squeeze(&x.0, axis.as_ref().map(|axes| &axes.0[..])))
}

/// A new axis of size 1 at place `axis`.
///
/// Example:
///     >>> ad.expand_dims(ad.zeros((2, 3)), axis=1).shape
///     (2, 1, 3)
#[pyfunction]
#[pyo3(signature = (x, /, axis = 0))]
fn expand_dims(py: Python<'_>, x: TensorArgument, #[pyo3(from_py_with = whole)] axis: isize) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::expand_dims(&x.0, axis))
}

/// The axes from `start` to `end` joined into one.
///
/// Example:
///     >>> ad.flatten(ad.zeros((2, 3, 4)), 1).shape
///     (2, 12)
#[pyfunction]
#[pyo3(signature = (x, /, start = 0, end = -1))]
fn flatten(
    py: Python<'_>,
    x: TensorArgument,
    #[pyo3(from_py_with = whole)] start: isize,
    #[pyo3(from_py_with = whole)] end: isize,
) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::flatten(&x.0, start, end))
}

/// The order along the axes reversed; along all of them by default.
///
/// Example:
///     >>> ad.flip(ad.tensor([1, 2, 3]))
///     tensor([3, 2, 1])
#[pyfunction]
#[pyo3(signature = (x, /, axis = None))]
fn flip(py: Python<'_>, x: TensorArgument, axis: Option<Integers>) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::flip(&x.0, axis.as_ref().map(|axes| &axes.0[..])))
}

/// One pair of counts per axis.
fn pairs(object: &Bound<'_, PyAny>) -> PyResult<Vec<(Count, Count)>> {
    let text = || object.repr().map_or_else(|_| "an object".to_owned(), |text| text.to_string());
    let wrong =
        || wrong_kind(object.py(), format!("pad: pad_width is {}. Give a pair (before, after) per axis.", text()));
    let axes = object.try_iter().map_err(|_| wrong())?;
    let pair = |axis: PyResult<Bound<'_, PyAny>>| {
        let numbers: Integers = axis?.extract()?;
        let [before, after] = numbers.0[..] else { return Err(wrong()) };
        let count = |number: isize| number.into_pyobject(object.py())?.extract::<Count>();
        Ok((count(before)?, count(after)?))
    };
    axes.map(pair).collect()
}

/// `before` and `after` elements of one value around the tensor, per axis.
///
/// Args:
///     x: A tensor.
///     pad_width: One pair `(before, after)` per axis.
///     value: What the new elements are.
///
/// Example:
///     >>> ad.pad(ad.tensor([1, 2]), [(1, 2)])
///     tensor([0, 1, 2, 0, 0])
#[pyfunction]
#[pyo3(signature = (x, /, pad_width, value = None))]
fn pad(
    py: Python<'_>,
    x: TensorArgument,
    #[pyo3(from_py_with = pairs)] pad_width: Vec<(Count, Count)>,
    value: Option<OperandArgument>,
) -> PyResult<TensorObject> {
    let value = match value.map(|value| value.0) {
        None => adret_core::dtype::Scalar::Int(0),
        Some(ops::Operand::Scalar(value)) => value,
        Some(_) => return Err(wrong_kind(py, "pad: value is a tensor. Use a number.")),
    };
    let (before, after): (Vec<_>, Vec<_>) = pad_width.into_iter().map(|(before, after)| (before.0, after.0)).unzip();
    engine::tensor(py, || ops::pad(&x.0, &before, &after, value))
}

/// Tensors one after the other along an axis; `None` flattens them first.
///
/// Raises:
///     ShapeError: If other sizes differ.
///
/// Example:
///     >>> ad.concat([ad.tensor([1, 2]), ad.tensor([3])])
///     tensor([1, 2, 3])
#[pyfunction]
#[pyo3(signature = (arrays, /, *, axis = Some(0)))]
fn concat(
    py: Python<'_>,
    arrays: Tensors,
    #[pyo3(from_py_with = whole_or_none)] axis: Option<isize>,
) -> PyResult<TensorObject> {
    engine::tensor(py, || {
        let tensors = arrays.0.into_iter().map(|array| match axis {
            Some(_) => Ok(array),
            None => ops::reshape(&array, &[-1]),
        });
        ops::concat(&tensors.collect::<Result<Vec<_>, _>>()?, axis.unwrap_or(0))
    })
}

/// Tensors of one shape along a new axis.
///
/// Example:
///     >>> ad.stack([ad.tensor([1, 2]), ad.tensor([3, 4])])
///     tensor([[1, 2],
///             [3, 4]])
#[pyfunction]
#[pyo3(signature = (arrays, /, *, axis = 0))]
fn stack(py: Python<'_>, arrays: Tensors, #[pyo3(from_py_with = whole)] axis: isize) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::stack(&arrays.0, axis))
}

/// The parts along an axis: as many of one size, or of the sizes given.
///
/// Example:
///     >>> ad.split(ad.arange(6), [1, 5])[1]
///     tensor([1, 2, 3, 4, 5])
#[pyfunction]
#[pyo3(signature = (x, /, sections, axis = 0))]
fn split<'py>(
    py: Python<'py>,
    x: TensorArgument,
    sections: &Bound<'py, PyAny>,
    #[pyo3(from_py_with = whole)] axis: isize,
) -> PyResult<Bound<'py, PyList>> {
    let parts = if let Ok(sections) = sections.extract::<usize>() {
        engine::tensors(py, || ops::split(&x.0, sections, axis))?
    } else {
        let sizes: Sizes = sections.extract()?;
        engine::tensors(py, || ops::split_sizes(&x.0, &sizes.0, axis))?
    };
    PyList::new(py, parts)
}

/// The tensors along an axis, without it.
///
/// Example:
///     >>> ad.unstack(ad.tensor([[1, 2], [3, 4]]))[0]
///     tensor([1, 2])
#[pyfunction]
#[pyo3(signature = (x, /, *, axis = 0))]
fn unstack<'py>(
    py: Python<'py>,
    x: TensorArgument,
    #[pyo3(from_py_with = whole)] axis: isize,
) -> PyResult<Bound<'py, PyTuple>> {
    PyTuple::new(py, engine::tensors(py, || ops::unstack(&x.0, axis))?)
}

/// Every element so many times in a row; without an axis, of the flattened tensor.
///
/// Example:
///     >>> ad.repeat(ad.tensor([1, 2]), 2)
///     tensor([1, 1, 2, 2])
#[pyfunction]
#[pyo3(signature = (x, repeats, /, *, axis = None))]
fn repeat(
    py: Python<'_>,
    x: TensorArgument,
    repeats: Count,
    #[pyo3(from_py_with = whole_or_none)] axis: Option<isize>,
) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::repeat(&x.0, repeats.0, axis))
}

/// The whole tensor so many times along each axis.
///
/// Example:
///     >>> ad.tile(ad.tensor([1, 2]), (2,))
///     tensor([1, 2, 1, 2])
#[pyfunction]
#[pyo3(signature = (x, repetitions, /))]
fn tile(py: Python<'_>, x: TensorArgument, repetitions: Sizes) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::tile(&x.0, &repetitions.0))
}

/// The elements moved on by `shift` places along an axis; the last come first.
///
/// Example:
///     >>> ad.roll(ad.tensor([1, 2, 3]), 1)
///     tensor([3, 1, 2])
#[pyfunction]
#[pyo3(signature = (x, /, shift, *, axis = None))]
fn roll(py: Python<'_>, x: TensorArgument, shift: Integers, axis: Option<Integers>) -> PyResult<TensorObject> {
    let Some(axes) = axis else {
        let [shift] = shift.0[..] else {
            return Err(wrong_kind(py, "roll: several shifts without axes. Give one shift, or as many axes."));
        };
        return engine::tensor(py, || ops::roll(&x.0, shift, None));
    };
    if shift.0.len() != 1 && shift.0.len() != axes.0.len() {
        return Err(wrong_kind(
            py,
            format!(
                "roll: there are {} shifts and {} axes. Give one shift, or one per axis.",
                shift.0.len(),
                axes.0.len()
            ),
        ));
    }
    engine::tensor(py, || {
        let shifts = shift.0.iter().cycle();
        axes.0.iter().zip(shifts).try_fold(x.0.clone(), |x, (&axis, &shift)| ops::roll(&x, shift, Some(axis)))
    })
}

/// Zeros above the k-th diagonal of the last two axes.
///
/// Example:
///     >>> ad.tril(ad.ones((2, 2)))
///     tensor([[1., 0.],
///             [1., 1.]])
#[pyfunction]
#[pyo3(signature = (x, /, *, k = 0))]
fn tril(py: Python<'_>, x: TensorArgument, #[pyo3(from_py_with = whole)] k: i64) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::tril(&x.0, k))
}

/// Zeros below the k-th diagonal of the last two axes.
///
/// Example:
///     >>> ad.triu(ad.ones((2, 2)))
///     tensor([[1., 1.],
///             [0., 1.]])
#[pyfunction]
#[pyo3(signature = (x, /, *, k = 0))]
fn triu(py: Python<'_>, x: TensorArgument, #[pyo3(from_py_with = whole)] k: i64) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::triu(&x.0, k))
}

/// The tensor in another dtype; the gradient comes back in its own.
///
/// Example:
///     >>> ad.astype(ad.tensor([1.7]), ad.int64)
///     tensor([1])
#[pyfunction]
#[pyo3(signature = (x, dtype, /, *, copy = true, device = None))]
fn astype(
    py: Python<'_>,
    x: TensorArgument,
    dtype: DTypeArgument,
    copy: bool,
    device: Option<crate::device::DeviceArgument>,
) -> PyResult<TensorObject> {
    let _ = copy;
    engine::tensor(py, || match device {
        Some(device) if device.0 != x.0.device() => engine::moved(&x.0, dtype.0, device.0),
        _ => engine::astype(&x.0, dtype.0),
    })
}

#[pymethods]
impl TensorObject {
    /// The elements in row-major order under another shape: `x.reshape(2, -1)` or `x.reshape((2, -1))`.
    #[pyo3(name = "reshape", signature = (*shape))]
    fn reshaped(&self, py: Python<'_>, shape: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let sizes = Integers::of_arguments(shape)?;
        engine::tensor(py, || ops::reshape(&self.tensor(), &sizes.0))
    }

    /// The same as `reshape`.
    #[pyo3(signature = (*shape))]
    fn view(&self, py: Python<'_>, shape: &Bound<'_, PyTuple>) -> PyResult<Self> {
        self.reshaped(py, shape)
    }

    /// The axes in another order: `x.permute(2, 0, 1)`.
    #[pyo3(signature = (*axes))]
    fn permute(&self, py: Python<'_>, axes: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let axes = Integers::of_arguments(axes)?;
        engine::tensor(py, || ops::permute_dims(&self.tensor(), &axes.0))
    }

    /// Two axes exchanged.
    #[pyo3(name = "transpose", signature = (axis1, axis2, /))]
    fn transposed_axes(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = whole)] axis1: isize,
        #[pyo3(from_py_with = whole)] axis2: isize,
    ) -> PyResult<Self> {
        engine::tensor(py, || ops::transpose(&self.tensor(), axis1, axis2))
    }

    /// The axes from `start` to `end` joined into one.
    #[pyo3(name = "flatten", signature = (start = 0, end = -1))]
    fn flattened(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = whole)] start: isize,
        #[pyo3(from_py_with = whole)] end: isize,
    ) -> PyResult<Self> {
        engine::tensor(py, || ops::flatten(&self.tensor(), start, end))
    }

    /// Axes of size 1 left out: those named, or all of them.
    #[pyo3(name = "squeeze", signature = (axis = None))]
    fn squeezed(&self, py: Python<'_>, axis: Option<Integers>) -> PyResult<Self> {
        engine::tensor(py, || ops::squeeze(&self.tensor(), axis.as_ref().map(|axes| &axes.0[..])))
    }

    /// A new axis of size 1 at place `axis`.
    fn unsqueeze(&self, py: Python<'_>, #[pyo3(from_py_with = whole)] axis: isize) -> PyResult<Self> {
        engine::tensor(py, || ops::expand_dims(&self.tensor(), axis))
    }

    /// The tensor repeated along new axes and axes of size 1.
    #[pyo3(signature = (*shape))]
    fn expand(&self, py: Python<'_>, shape: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let sizes: Sizes = if shape.len() == 1 { shape.get_item(0)?.extract()? } else { shape.as_any().extract()? };
        engine::tensor(py, || ops::broadcast_to(&self.tensor(), &sizes.0))
    }

    /// The order along the axes reversed.
    #[pyo3(name = "flip", signature = (axis = None))]
    fn flipped(&self, py: Python<'_>, axis: Option<Integers>) -> PyResult<Self> {
        engine::tensor(py, || ops::flip(&self.tensor(), axis.as_ref().map(|axes| &axes.0[..])))
    }
}

/// Puts the functions into the module.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    add_functions!(
        module,
        reshape,
        permute_dims,
        matrix_transpose,
        transpose,
        moveaxis,
        broadcast_to,
        squeeze,
        expand_dims,
        flatten,
        flip,
        pad,
        concat,
        stack,
        split,
        unstack,
        repeat,
        tile,
        roll,
        tril,
        triu,
        astype,
    );
    Ok(())
}
