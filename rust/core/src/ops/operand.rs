//! Operands of binary functions: promotion with weak Python scalars, and broadcasting by explicit views.
//! Depends on `create` and `movement`. Invariant: what leaves `agree` has one shape and one dtype.

use std::sync::Arc;

use super::create::{full, full_variable};
use super::movement::broadcast_to;
use super::pointwise::astype;
use crate::backend::Device;
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::graph::{Tensor, Variable};
use crate::shape::Shape;

/// A tensor, or a Python scalar, whose dtype yields to that of the tensors beside it.
#[derive(Clone, Debug)]
pub enum Operand {
    /// A tensor.
    Tensor(Tensor),
    /// A Python scalar.
    Scalar(Scalar),
    /// A number that may change between the runs of a recording; otherwise a Python float.
    Variable(Arc<Variable>),
}

impl From<Tensor> for Operand {
    fn from(tensor: Tensor) -> Self {
        Operand::Tensor(tensor)
    }
}

impl From<&Tensor> for Operand {
    fn from(tensor: &Tensor) -> Self {
        Operand::Tensor(tensor.clone())
    }
}

impl From<Scalar> for Operand {
    fn from(scalar: Scalar) -> Self {
        Operand::Scalar(scalar)
    }
}

impl From<f64> for Operand {
    fn from(value: f64) -> Self {
        Operand::Scalar(Scalar::Float(value))
    }
}

impl From<i64> for Operand {
    fn from(value: i64) -> Self {
        Operand::Scalar(Scalar::Int(value.into()))
    }
}

impl From<bool> for Operand {
    fn from(value: bool) -> Self {
        Operand::Scalar(Scalar::Bool(value))
    }
}

/// The default integer: 64 bits, but for graphics adapters, whose shaders count in 32.
pub fn default_integer(device: Device) -> DType {
    if device == Device::Cpu { DType::I64 } else { DType::I32 }
}

/// The dtype that a scalar has beside no tensor.
fn scalar_dtype(scalar: Scalar, device: Device) -> DType {
    match scalar {
        Scalar::Bool(_) => DType::Bool,
        Scalar::Int(_) => default_integer(device),
        Scalar::Float(_) => DType::F32,
    }
}

/// What a tensor dtype becomes beside a scalar.
fn beside(dtype: DType, scalar: Scalar, device: Device) -> DType {
    match scalar {
        Scalar::Bool(_) => dtype,
        Scalar::Int(_) if dtype == DType::Bool => default_integer(device),
        Scalar::Int(_) => dtype,
        Scalar::Float(_) if dtype.is_float() => dtype,
        Scalar::Float(_) => DType::F32,
    }
}

/// The common dtype of operands: tensors promote, then scalars join weakly. Default integers are those of `device`.
pub fn result_type(operands: &[&Operand], device: Device) -> DType {
    let tensors = operands.iter().filter_map(|operand| match operand {
        Operand::Tensor(tensor) => Some(tensor.dtype()),
        _ => None,
    });
    let scalars = operands.iter().filter_map(|operand| match operand {
        Operand::Tensor(_) => None,
        Operand::Scalar(scalar) => Some(*scalar),
        Operand::Variable(variable) => Some(Scalar::Float(variable.get())),
    });
    match tensors.reduce(DType::promote) {
        Some(dtype) => scalars.fold(dtype, |dtype, scalar| beside(dtype, scalar, device)),
        None => scalars.map(|scalar| scalar_dtype(scalar, device)).max().unwrap_or(DType::F32),
    }
}

/// Refuses integers that a dtype cannot hold.
pub(crate) fn check_scalar(name: &str, scalar: Scalar, dtype: DType) -> Result<()> {
    match (scalar, dtype.integer_range()) {
        (Scalar::Int(value), Some((low, high))) if dtype != DType::Bool && (value < low || value > high) => {
            Err(Error::value(format!(
                "{name}: {value} is out of bounds for {dtype} ({low} to {high}). Convert the tensor to a wider dtype with astype."
            )))
        }
        _ => Ok(()),
    }
}

/// Operands as tensors of the shape that all broadcast to and of the dtype that `dtype` makes of the common one.
pub(crate) fn agree(
    name: &str,
    lhs: &Operand,
    rhs: &Operand,
    dtype: impl FnOnce(DType) -> DType,
) -> Result<[Tensor; 2]> {
    let (shape, device) = common_shape(name, &[lhs, rhs])?;
    let common = dtype(result_type(&[lhs, rhs], device));
    Ok([place(name, lhs, common, &shape, device)?, place(name, rhs, common, &shape, device)?])
}

/// An operand as a tensor of that dtype and shape.
pub(crate) fn place(name: &str, operand: &Operand, dtype: DType, shape: &Shape, device: Device) -> Result<Tensor> {
    match operand {
        Operand::Tensor(tensor) if tensor.dtype() == dtype && tensor.shape() == shape => Ok(tensor.clone()),
        Operand::Tensor(tensor) => broadcast_to(&astype(tensor, dtype)?, shape),
        Operand::Scalar(scalar) => {
            check_scalar(name, *scalar, dtype)?;
            full(shape, *scalar, dtype, device)
        }
        Operand::Variable(variable) => full_variable(shape, variable, dtype, device),
    }
}

/// The shape that all tensors among the operands broadcast to, and the first one's device.
pub(crate) fn common_shape(name: &str, operands: &[&Operand]) -> Result<(Shape, Device)> {
    let mut found: Option<(Shape, Device)> = None;
    for operand in operands {
        let Operand::Tensor(tensor) = operand else { continue };
        found = Some(match found {
            None => (tensor.shape().clone(), tensor.device()),
            Some((shape, device)) if shape == *tensor.shape() => (shape, device),
            Some((shape, device)) => (broadcast_shapes(name, &shape, tensor.shape())?, device),
        });
    }
    found.ok_or_else(|| {
        Error::dtype(format!("{name}: every operand is a Python scalar. Make one of them a tensor with adret.tensor."))
    })
}

/// The shape that two shapes broadcast to.
///
/// # Errors
/// Where sizes differ and neither is 1.
pub(crate) fn broadcast_shapes(name: &str, a: &Shape, b: &Shape) -> Result<Shape> {
    if let Some(shape) = a.broadcast(b)? {
        return Ok(shape);
    }
    let back = (1..=a.rank().min(b.rank()))
        .find(|&back| {
            let (x, y) = (a[a.rank() - back], b[b.rank() - back]);
            x != y && x != 1 && y != 1
        })
        .unwrap_or(1);
    Err(Error::shape(format!(
        "{name}: a is {a} and b is {b}: sizes {} and {} of axis -{back} differ. Make them equal, or one of them 1.",
        a[a.rank() - back],
        b[b.rank() - back],
    )))
}
