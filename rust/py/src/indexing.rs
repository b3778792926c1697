//! `x[…]` and `x[…] = value`: Python's index expressions handed to the engine.
//! Depends on `arguments`, `data`. Invariant: a boolean mask is evaluated here, because the result's shape depends on it.

use adret_core::backend::Device;
use adret_core::dtype::DType;
use adret_core::error::{Error, Result};
use adret_core::graph::Tensor;
use adret_core::ops::{self, Index, Operand};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyEllipsis, PyInt, PyList, PySlice, PyString, PyTuple};

use crate::arguments::operand_beside;
use crate::device::DeviceArgument;
use crate::dtype::DTypeArgument;
use crate::errors::{call, exception, wrong_kind};
use crate::tensor::TensorObject;
use crate::{data, engine};

/// The parts of an index expression.
fn indices(key: &Bound<'_, PyAny>, tensor: &Tensor) -> PyResult<Vec<Index>> {
    match key.cast::<PyTuple>() {
        Ok(parts) => parts.iter().map(|part| index(&part, tensor)).collect(),
        Err(_) => Ok(vec![index(key, tensor)?]),
    }
}

fn bound(part: &Bound<'_, PyAny>, name: &str) -> PyResult<Option<isize>> {
    let value = part.getattr(name)?;
    if value.is_none() {
        return Ok(None);
    }
    // Python's slices accept integers of any size; beyond the address space they mean the end.
    value.extract::<isize>().map(Some).or_else(|error| match value.extract::<i128>() {
        Ok(number) => Ok(Some(if number < 0 { isize::MIN } else { isize::MAX })),
        Err(_) => Err(error),
    })
}

fn index(part: &Bound<'_, PyAny>, tensor: &Tensor) -> PyResult<Index> {
    let py = part.py();
    if part.is_instance_of::<PyInt>() && !part.is_instance_of::<PyBool>() {
        return integer(part);
    }
    if part.is_instance_of::<PySlice>() {
        return Ok(Index::Slice {
            start: bound(part, "start")?,
            stop: bound(part, "stop")?,
            step: bound(part, "step")?,
        });
    }
    if part.is_none() {
        return Ok(Index::NewAxis);
    }
    if part.is_instance_of::<PyEllipsis>() {
        return Ok(Index::Ellipsis);
    }
    if part.is_instance_of::<PyString>() {
        return Err(refused(part));
    }
    if let Ok(positions) = part.cast::<TensorObject>() {
        return Ok(Index::Tensor(positions.get().tensor()));
    }
    let home = DeviceArgument(Device::Cpu);
    let positions = if part.is_instance_of::<PyList>() || part.is_instance_of::<PyTuple>() {
        // An empty list selects nothing, whatever the default dtype.
        let dtype = (part.len()? == 0).then_some(DTypeArgument(DType::I64));
        data::tensor_of(part, dtype, Some(home))?
    } else if !part.is_instance_of::<PyBool>() && part.hasattr("__index__")? && !part.hasattr("shape")? {
        return integer(part);
    } else {
        data::tensor_of(part, None, Some(home)).map_err(|_| refused(part))?
    };
    call(py, || at_home(positions, tensor.device())).map(Index::Tensor)
}

/// Positions from the CPU on the indexed tensor's device, whose integers may be smaller.
fn at_home(positions: Tensor, device: Device) -> Result<Tensor> {
    if device == Device::Cpu || !positions.dtype().is_integer() {
        return Ok(positions);
    }
    let (low, high) = (i64::from(i32::MIN), i64::from(i32::MAX));
    // Held inside the range, what is out of bounds stays out of bounds.
    let held = ops::clip(&ops::astype(&positions, DType::I64)?, Some(low.into()), Some(high.into()))?;
    ops::to_device(&ops::astype(&held, ops::default_integer(device))?, device)
}

/// Masks decide the shape of what they select: their values are needed on the CPU, now.
fn settle(py: Python<'_>, indices: &mut [Index]) -> PyResult<()> {
    for index in indices {
        if let Index::Tensor(mask) = index
            && mask.dtype() == DType::Bool
        {
            if mask.device() != Device::Cpu {
                *mask = call(py, || ops::to_device(mask, Device::Cpu))?;
            }
            engine::evaluate(py, std::slice::from_ref(mask))?;
        }
    }
    Ok(())
}

fn integer(part: &Bound<'_, PyAny>) -> PyResult<Index> {
    part.extract::<isize>().map(Index::Int).map_err(|_| {
        exception(part.py(), Error::index("index: the integer is beyond every axis. Use one within the axis's size."))
    })
}

fn refused(part: &Bound<'_, PyAny>) -> PyErr {
    let class = part.get_type().name().map_or_else(|_| "object".to_owned(), |name| name.to_string());
    wrong_kind(
        part.py(),
        format!("index: {class} is no index. Use integers, slices, ..., None, or integer or boolean arrays."),
    )
}

#[pymethods]
impl TensorObject {
    fn __getitem__(&self, key: &Bound<'_, PyAny>) -> PyResult<Self> {
        let tensor = self.tensor();
        let mut indices = indices(key, &tensor)?;
        settle(key.py(), &mut indices)?;
        engine::tensor(key.py(), || ops::index_get(&tensor, &indices))
    }

    fn __setitem__(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = key.py();
        self.write(py, "x[…] = value", |old| {
            let mut indices = indices(key, old)?;
            let value = match operand_beside(value, old)? {
                Some(value) => value,
                None => data::tensor_of(value, None, Some(DeviceArgument(old.device())))?.into(),
            };
            let single = match &value {
                Operand::Scalar(_) | Operand::Variable(_) => true,
                Operand::Tensor(value) => value.shape().elements() == 1,
            };
            match &mut indices[..] {
                // One number wherever a mask holds is a choice between values, which waits like any other.
                [Index::Tensor(mask)] if single && mask.dtype() == DType::Bool => {
                    if mask.device() != old.device() {
                        *mask = call(py, || ops::to_device(mask, old.device()))?;
                    }
                }
                indices => settle(py, indices)?,
            }
            call(py, || ops::index_set(old, &indices, &value))
        })
    }
}
