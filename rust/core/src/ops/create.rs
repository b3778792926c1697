//! Tensors from nothing: constants, ranges, grids. Depends on `graph` and `pointwise`.
//! Invariant: values are run-time slots; only shapes and dtypes shape the graph.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::movement::{broadcast_to, reshape_to};
use super::operand::check_scalar;
use super::pointwise::{astype, binary, where_};
use crate::backend::Device;
use crate::code::Code;
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::graph::{
    Cotangent, Key, Lowering, Meta, Op, Pointwise, Tensor, Variable, Vjp, note_variable, recording, source,
};
use crate::shape::Shape;

/// One number everywhere.
#[derive(Debug)]
struct Full {
    shape: Shape,
    dtype: DType,
    value: Scalar,
}

impl Op for Full {
    fn name(&self) -> &'static str {
        "full"
    }
    fn key(&self, key: &mut Key) {
        key.list(&self.shape, |size| size as u64);
        key.number(self.dtype as u64);
    }
    fn slots(&self, slots: &mut Vec<u64>) {
        slots.push(self.value.to_slot(self.dtype));
    }
    fn infer(&self, _inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        Ok(smallvec![Meta::new(self.shape.clone(), self.dtype)])
    }
    fn vjp(&self, _cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        Ok(SmallVec::new())
    }
    fn lower(&self) -> Lowering {
        Lowering::Pointwise(Pointwise::Scalar)
    }
}

/// The row-major number of each element, as int64.
#[derive(Debug)]
struct Index(Shape);

impl Op for Index {
    fn name(&self) -> &'static str {
        "index"
    }
    fn key(&self, key: &mut Key) {
        key.list(&self.0, |size| size as u64);
    }
    fn infer(&self, _inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        Ok(smallvec![Meta::new(self.0.clone(), DType::I64)])
    }
    fn vjp(&self, _cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        Ok(SmallVec::new())
    }
    fn lower(&self) -> Lowering {
        Lowering::Pointwise(Pointwise::Index)
    }
}

/// `value` everywhere.
///
/// # Errors
/// When the shape is too large, or an integer dtype cannot hold the integer.
pub fn full(shape: &[usize], value: Scalar, dtype: DType, device: Device) -> Result<Tensor> {
    check_scalar("full", value, dtype)?;
    source(Full { shape: Shape::new(shape)?, dtype, value }, device)
}

/// A variable's value everywhere; where it is recorded, the value of each run.
///
/// # Errors
/// When the shape is too large.
pub fn full_variable(shape: &[usize], variable: &Arc<Variable>, dtype: DType, device: Device) -> Result<Tensor> {
    let tensor = full(shape, Scalar::Float(variable.get()), dtype, device)?;
    if recording() {
        note_variable(tensor.node.id, variable);
    }
    Ok(tensor)
}

/// `value` everywhere, of the shape, dtype and device of `x`.
///
/// # Errors
/// When an integer dtype cannot hold the integer.
pub fn full_like(x: &Tensor, value: Scalar) -> Result<Tensor> {
    full(x.shape(), value, x.dtype(), x.device())
}

/// Zeros of the shape, dtype and device of `x`.
///
/// # Errors
/// None of its own.
pub fn zeros_like(x: &Tensor) -> Result<Tensor> {
    full_like(x, Scalar::Bool(false))
}

/// 0, 1, … along one axis, as int64 of shape `[size]`.
pub(crate) fn ramp(size: usize, device: Device) -> Result<Tensor> {
    source(Index(Shape::new(&[size])?), device)
}

/// The index along `axis` at every element of a tensor of that shape, as int64.
pub(crate) fn index_grid(shape: &Shape, axis: usize, device: Device) -> Result<Tensor> {
    let sizes = (0..shape.rank()).map(|other| if other == axis { shape[axis] } else { 1 });
    broadcast_to(&reshape_to(&ramp(shape[axis], device)?, &Shape::from_sound(sizes))?, shape)
}

/// The float type in which ranges are computed before they take their own dtype.
fn range_dtype(dtype: DType, device: Device) -> DType {
    if device == Device::Cpu || dtype == DType::F64 { DType::F64 } else { DType::F32 }
}

/// `start + i · step` for all i with which it stays before `stop`.
///
/// # Errors
/// When `step` is 0, a bound is not finite, or the dtype is `bool`.
pub fn arange(start: Scalar, stop: Scalar, step: Scalar, dtype: DType, device: Device) -> Result<Tensor> {
    if dtype == DType::Bool {
        return Err(Error::dtype("arange: bool has no ranges. Use an integer dtype."));
    }
    if step.to_f64() == 0.0 {
        return Err(Error::value("arange: step is 0. Use a step that leads from start to stop."));
    }
    let size = match (integer(start), integer(stop), integer(step)) {
        (Some(start), Some(stop), Some(step)) => {
            let (span, stride) = if step > 0 { (stop - start, step) } else { (start - stop, -step) };
            (span.max(0) + stride - 1) / stride
        }
        _ => {
            let span = (stop.to_f64() - start.to_f64()) / step.to_f64();
            if !span.is_finite() {
                return Err(Error::value(format!(
                    "arange: from {} to {} in steps of {} has no finite length. Use finite numbers.",
                    start.to_f64(),
                    stop.to_f64(),
                    step.to_f64()
                )));
            }
            span.ceil().max(0.0) as i128
        }
    };
    let size = usize::try_from(size)
        .map_err(|_| Error::shape(format!("arange: {size} elements do not fit in memory. Use a larger step.")))?;
    let index = ramp(size, device)?;
    match (integer(start), integer(step)) {
        (Some(first), Some(stride)) if dtype.is_integer() => {
            if size > 0 {
                check_scalar("arange", start, dtype)?;
                check_scalar("arange", Scalar::Int(first + stride * (size as i128 - 1)), dtype)?;
            }
            // Steps of uint64 ranges may exceed int64; they wrap there and back.
            let wrapped = |value: i128| Scalar::Int(i128::from(value as i64));
            affine(&index, wrapped(first), wrapped(stride)).and_then(|range| astype(&range, dtype))
        }
        _ => {
            let index = astype(&index, range_dtype(dtype, device))?;
            affine(&index, Scalar::Float(start.to_f64()), Scalar::Float(step.to_f64()))
                .and_then(|range| astype(&range, dtype))
        }
    }
}

fn integer(scalar: Scalar) -> Option<i128> {
    match scalar {
        Scalar::Bool(value) => Some(value.into()),
        Scalar::Int(value) => Some(value),
        Scalar::Float(_) => None,
    }
}

/// start + index · step
fn affine(index: &Tensor, start: Scalar, step: Scalar) -> Result<Tensor> {
    let scaled = binary(Code::Mul, &index.into(), &step.into())?;
    binary(Code::Add, &scaled.into(), &start.into())
}

/// `num` numbers evenly from `start` to `stop`, which is the last one when `endpoint`.
///
/// # Errors
/// When the dtype is `bool`.
pub fn linspace(start: f64, stop: f64, num: usize, endpoint: bool, dtype: DType, device: Device) -> Result<Tensor> {
    if dtype == DType::Bool {
        return Err(Error::dtype("linspace: bool has no ranges. Use a float dtype."));
    }
    let gaps = if endpoint { num.saturating_sub(1) } else { num };
    let step = if gaps == 0 { 0.0 } else { (stop - start) / gaps as f64 };
    let index = ramp(num, device)?;
    let range = range_dtype(dtype, device);
    let mut values = affine(&astype(&index, range)?, Scalar::Float(start), Scalar::Float(step))?;
    if endpoint && num > 1 {
        // The last number is exactly `stop`, whatever rounding did to the others.
        let last = binary(Code::Equal, &index.into(), &Scalar::Int(num as i128 - 1).into())?;
        values = where_(&last, &full(&[num], Scalar::Float(stop), range, device)?.into(), &values.into())?;
    }
    astype(&values, dtype)
}

/// `[n, m]` with ones on the `k`-th diagonal (`k` > 0 lies above the main one) and zeros elsewhere.
///
/// # Errors
/// When the shape is too large.
pub fn eye(n: usize, m: usize, k: i64, dtype: DType, device: Device) -> Result<Tensor> {
    let [diagonal, column] = diagonal_and_column(&Shape::new(&[n, m])?, k, device)?;
    astype(&binary(Code::Equal, &column.into(), &diagonal.into())?, dtype)
}

/// At every element of a matrix, in the last two axes: the column of the `k`-th diagonal in its row, and its own. Of 32 bits where these hold
/// them: narrow numbers compare faster.
pub(crate) fn diagonal_and_column(shape: &Shape, k: i64, device: Device) -> Result<[Tensor; 2]> {
    let (rows, columns) = (shape[shape.rank() - 2] as i64, shape[shape.rank() - 1] as i64);
    let is_narrow = rows.saturating_add(columns) < i64::from(i32::MAX);
    // Beyond the corners, one diagonal is like another.
    let k = if is_narrow { k.clamp(-rows, columns) } else { k };
    let narrow = |grid: Tensor| if is_narrow { astype(&grid, DType::I32) } else { Ok(grid) };
    let row = narrow(index_grid(shape, shape.rank() - 2, device)?)?;
    let column = narrow(index_grid(shape, shape.rank() - 1, device)?)?;
    Ok([binary(Code::Add, &row.into(), &k.into())?, column])
}
