//! Nested lists of numbers becoming a tensor.
//! Depends on `values`. Invariant: every row of one level has the same size, or the error names the first that differs.

use adret_core::backend::Device;
use adret_core::dtype::{DType, Scalar};
use adret_core::error::Error;
use adret_core::graph::Tensor;
use adret_core::ops::default_integer;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt, PyList, PyTuple};

use crate::dtype::{self, DTypeArgument};
use crate::errors::{call, exception};
use crate::tensor::TensorObject;
use crate::{arguments, data, engine, values};

/// Lists nested deeper than this are refused: shapes of that rank serve nobody, and a list may contain itself.
const DEEPEST: usize = 32;

/// What is known of the lists so far.
#[derive(Default)]
struct Reading {
    shape: Vec<usize>,
    /// Set once a number was met: the shape is complete.
    complete: bool,
    /// Where we are: the index at every level.
    path: Vec<usize>,
    elements: Vec<Scalar>,
    /// Dtypes that arrays among the elements bring along.
    strong: Option<DType>,
    float: bool,
    integer: bool,
    /// Integers above the range of int64.
    unsigned: bool,
}

/// A CPU tensor of the numbers in nested lists or tuples, in the dtype of device `target` where they bring none along.
///
/// # Errors
/// Ragged lists, and elements that are not numbers.
pub(crate) fn tensor(list: &Bound<'_, PyAny>, wanted: Option<DType>, target: Device) -> PyResult<Tensor> {
    let mut reading = Reading::default();
    reading.read(list)?;
    let natural = reading.natural(target);
    let integers = !reading.float && !reading.strong.is_some_and(DType::is_float);
    let stored = wanted.filter(|dtype| integers || dtype.is_float()).unwrap_or(natural);
    let mut bytes = Vec::with_capacity(reading.elements.len() * stored.size());
    call(list.py(), || {
        reading.elements.iter().try_for_each(|&element| values::encode(stored, element, &mut bytes))?;
        data::from_bytes(stored, &reading.shape, &bytes)
    })
}

impl Reading {
    /// The dtype of the elements: arrays' dtypes promoted, Python numbers weak beside them.
    fn natural(&self, target: Device) -> DType {
        let weak = match self {
            Reading { float: true, .. } => Some(dtype::default_float()),
            Reading { unsigned: true, .. } => Some(DType::U64),
            Reading { integer: true, .. } => Some(default_integer(target)),
            _ if self.elements.is_empty() => Some(dtype::default_float()),
            _ => None,
        };
        match (self.strong, weak) {
            (None, weak) => weak.unwrap_or(DType::Bool),
            (Some(strong), Some(weak)) if weak.is_float() && !strong.is_float() => weak,
            (Some(DType::Bool), Some(weak)) => weak,
            (Some(strong), _) => strong,
        }
    }

    fn place(&self) -> String {
        self.path.iter().map(|index| format!("[{index}]")).collect()
    }

    fn read(&mut self, item: &Bound<'_, PyAny>) -> PyResult<()> {
        // Python's own numbers first: they are the many.
        if let Ok(number) = item.cast_exact::<PyFloat>() {
            self.float = true;
            return self.element(item, Scalar::Float(number.extract()?));
        }
        if let (true, Ok(number)) = (item.is_exact_instance_of::<PyInt>(), item.extract::<i64>()) {
            self.integer = true;
            return self.element(item, Scalar::Int(number.into()));
        }
        if let Ok(list) = item.cast::<PyList>() {
            return self.row(item, list.len(), list.iter());
        }
        if let Ok(tuple) = item.cast::<PyTuple>() {
            return self.row(item, tuple.len(), tuple.iter());
        }
        if let Ok(tensor) = item.cast::<TensorObject>() {
            return self.array(item, &tensor.get().tensor());
        }
        if let Some(scalar) = arguments::scalar(item)? {
            if let Some(dtype) = item.getattr_opt("dtype")? {
                self.promote(dtype.extract::<DTypeArgument>()?.0);
            } else {
                match scalar {
                    Scalar::Bool(_) => {}
                    Scalar::Int(value) => {
                        self.integer = true;
                        self.unsigned |= value > i128::from(i64::MAX);
                    }
                    Scalar::Float(_) => self.float = true,
                }
            }
            return self.element(item, scalar);
        }
        match data::foreign(item)? {
            Some(tensor) => self.array(item, &tensor),
            None => {
                Err(exception(item.py(), Error::dtype(format!("{} (at index {})", data::refusal(item), self.place()))))
            }
        }
    }

    fn row<'py>(
        &mut self,
        item: &Bound<'py, PyAny>,
        size: usize,
        children: impl Iterator<Item = Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        self.enter(item, size)?;
        for (index, child) in children.enumerate() {
            self.path.push(index);
            self.read(&child)?;
            self.path.pop();
        }
        // A row without elements ends the shape as a number does.
        self.complete |= size == 0;
        Ok(())
    }

    /// Checks or records the size at the level of the path.
    fn enter(&mut self, item: &Bound<'_, PyAny>, size: usize) -> PyResult<()> {
        let level = self.path.len();
        let problem = match self.shape.get(level) {
            Some(&expected) if expected == size => return Ok(()),
            Some(expected) => format!("has size {size} where {expected} is expected"),
            None if self.complete => format!("is a sequence of size {size} where a number is expected"),
            None if level == DEEPEST => format!("is nested more than {DEEPEST} deep"),
            None => {
                self.shape.push(size);
                return Ok(());
            }
        };
        Err(exception(
            item.py(),
            Error::shape(format!(
                "tensor: the lists are ragged: the item at {} {problem}. Make all rows equally long.",
                self.place()
            )),
        ))
    }

    fn element(&mut self, item: &Bound<'_, PyAny>, scalar: Scalar) -> PyResult<()> {
        self.complete = true;
        if self.path.len() < self.shape.len() {
            return Err(exception(
                item.py(),
                Error::shape(format!(
                    "tensor: the lists are ragged: the item at {} is a number where a sequence of size {} is expected. \
                     Make all rows equally long.",
                    self.place(),
                    self.shape[self.path.len()]
                )),
            ));
        }
        self.elements.push(scalar);
        Ok(())
    }

    fn promote(&mut self, dtype: DType) {
        self.strong = Some(self.strong.map_or(dtype, |strong| strong.promote(dtype)));
    }

    /// The elements of an array among the rows.
    fn array(&mut self, item: &Bound<'_, PyAny>, tensor: &Tensor) -> PyResult<()> {
        self.promote(tensor.dtype());
        let depth = self.path.len();
        for &size in tensor.shape().iter() {
            self.enter(item, size)?;
            self.path.push(0);
        }
        for scalar in values::decode(tensor.dtype(), &engine::read(item.py(), tensor)?) {
            self.element(item, scalar)?;
        }
        self.complete = true;
        self.path.truncate(depth);
        Ok(())
    }
}
