//! The fold primitive with its gradients, and the calls that are one fold.
//! Depends on `expr`. Invariant: axes are ascending and within the rank; an empty fold has an identity.

use smallvec::{SmallVec, smallvec};

use super::super::autocast;
use super::super::axes::{Axes, normalize_axes, normalize_axis};
use super::super::expr::Expr;
use super::super::movement::{broadcast_to, keep_axes, reshape_to, same};
use super::super::operand::default_integer;
use super::super::pointwise::{astype, folded_in_order};
use super::{Reduction, product};
use crate::backend::Device;
use crate::code::{Code, Fold};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::{Cotangent, Key, Lowering, Meta, Op, Tensor, Vjp, apply};
use crate::shape::Shape;

/// Folds `axes`, which disappear.
#[derive(Debug)]
struct Reduce {
    fold: Fold,
    axes: Axes,
}

impl Op for Reduce {
    fn name(&self) -> &'static str {
        match self.fold {
            Fold::Sum => "sum",
            Fold::Prod => "prod",
            Fold::Max => "max",
            Fold::Min => "min",
            Fold::ArgMax => "argmax",
            Fold::ArgMin => "argmin",
        }
    }
    fn key(&self, key: &mut Key) {
        key.list(&self.axes, |axis| axis as u64);
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        let Meta { shape, dtype } = inputs[0];
        let kept = (0..shape.rank()).filter(|axis| !self.axes.contains(axis)).map(|axis| shape[axis]);
        let dtype = if matches!(self.fold, Fold::ArgMax | Fold::ArgMin) { DType::I64 } else { *dtype };
        Ok(smallvec![Meta::new(Shape::from_sound(kept), dtype)])
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        let x = &cx.inputs[0];
        if !cx.needs[0] || matches!(self.fold, Fold::ArgMax | Fold::ArgMin) {
            return Ok(smallvec![None]);
        }
        let spread = |y: &Tensor| broadcast_to(&keep_axes(y, x.shape(), &self.axes)?, x.shape());
        let gradient = match self.fold {
            Fold::Sum => spread(cx.grad())?,
            Fold::Prod => product::gradient(x, &self.axes, &cx.outputs[0], cx.grad())?,
            _ => {
                // Ties share: each extreme element gets grad / (number of extremes).
                let tie = Expr::from(x).with(Code::Equal, Expr::from(spread(&cx.outputs[0])));
                let count = tie.then(|tie| sum_axes(&astype(tie, x.dtype())?, self.axes.clone()));
                let share = (Expr::from(cx.grad()) / count).then(spread);
                tie.choose(share, 0.0).done()?
            }
        };
        Ok(smallvec![Some(Cotangent::Dense(gradient))])
    }
    fn lower(&self) -> Lowering {
        Lowering::Reduce { fold: self.fold, axes: self.axes.clone() }
    }
}

/// One fold over known axes.
pub(super) fn fold_axes(fold: Fold, x: &Tensor, axes: Axes) -> Result<Tensor> {
    if axes.is_empty() {
        return same(x);
    }
    let x = folded_in_order(x, &axes)?;
    apply(Reduce { fold, axes }, &[&x])
}

/// The sum over known axes, in the tensor's own dtype.
pub(crate) fn sum_axes(x: &Tensor, axes: Axes) -> Result<Tensor> {
    fold_axes(Fold::Sum, x, axes)
}

/// The largest over known axes, kept with size 1; of at least one element.
pub(crate) fn extreme(fold: Fold, x: &Tensor, axes: &Axes) -> Result<Tensor> {
    keep_axes(&fold_axes(fold, x, axes.clone())?, x.shape(), axes)
}

/// The tensor in the dtype of its sums and products.
pub(crate) fn widened(x: &Tensor) -> Result<Tensor> {
    let dtype = match (x.dtype(), x.device()) {
        (dtype, _) if dtype.is_float() => dtype,
        (dtype, Device::Cpu) if dtype.is_unsigned() => DType::U64,
        (dtype, _) if dtype.is_unsigned() => dtype.promote(DType::U32),
        (dtype, device) => dtype.promote(default_integer(device)),
    };
    astype(x, dtype)
}

/// Reduces the named axes, or all of them; `keepdims` leaves them with size 1.
///
/// # Errors
/// For axes that do not exist, and for the extremes of no elements.
pub fn reduce(kind: Reduction, x: &Tensor, axes: Option<&[isize]>, keepdims: bool) -> Result<Tensor> {
    let axes = normalize_axes(kind.name(), axes, x.rank())?;
    let result = match kind {
        Reduction::Sum if x.dtype() == DType::Bool => count(x, &axes)?,
        Reduction::Sum => fold_axes(Fold::Sum, &widened(&autocast::widened(x)?)?, axes.clone())?,
        Reduction::Prod => fold_axes(Fold::Prod, &widened(&autocast::widened(x)?)?, axes.clone())?,
        Reduction::Max | Reduction::Min => {
            refuse_empty(kind.name(), x, &axes)?;
            fold_axes(if kind == Reduction::Max { Fold::Max } else { Fold::Min }, x, axes.clone())?
        }
        Reduction::Mean => mean(x, &axes)?,
        Reduction::Any => fold_axes(Fold::Max, &astype(x, DType::Bool)?, axes.clone())?,
        Reduction::All => fold_axes(Fold::Min, &astype(x, DType::Bool)?, axes.clone())?,
    };
    if keepdims { keep_axes(&result, x.shape(), &axes) } else { Ok(result) }
}

/// How many are true: added in 32 bits where these suffice, which takes half the time.
fn count(x: &Tensor, axes: &Axes) -> Result<Tensor> {
    let most: usize = axes.iter().map(|&axis| x.shape()[axis]).product();
    let dtype = if i32::try_from(most).is_ok() { DType::I32 } else { DType::I64 };
    astype(&fold_axes(Fold::Sum, &astype(x, dtype)?, axes.clone())?, default_integer(x.device()))
}

/// The mean; half precision sums in float32, where the sum cannot overflow.
fn mean(x: &Tensor, axes: &Axes) -> Result<Tensor> {
    let x = &autocast::widened(x)?;
    let dtype = if x.dtype().is_float() { x.dtype() } else { DType::F32 };
    let wide = astype(x, dtype.promote(DType::F32))?;
    let count: usize = axes.iter().map(|&axis| x.shape()[axis]).product();
    let mean = Expr::from(sum_axes(&wide, axes.clone())) / count as f64;
    astype(&mean.done()?, dtype)
}

fn refuse_empty(name: &str, x: &Tensor, axes: &[usize]) -> Result<()> {
    // An empty result asks for no extreme at all.
    let kept_empty = (0..x.rank()).any(|axis| !axes.contains(&axis) && x.shape()[axis] == 0);
    match axes.iter().find(|&&axis| x.shape()[axis] == 0) {
        Some(axis) if !kept_empty => Err(Error::value(format!(
            "{name}: axis {axis} of {} has no elements, and {name} of nothing is not defined. Give at least one element.",
            x.shape()
        ))),
        _ => Ok(()),
    }
}

/// Position of the first largest element along `axis` (int64); without an axis, in the flattened tensor.
///
/// # Errors
/// For an axis that does not exist, or that has no elements.
pub fn argmax(x: &Tensor, axis: Option<isize>, keepdims: bool) -> Result<Tensor> {
    position("argmax", Fold::ArgMax, x, axis, keepdims)
}

/// Position of the first smallest element along `axis` (int64); without an axis, in the flattened tensor.
///
/// # Errors
/// For an axis that does not exist, or that has no elements.
pub fn argmin(x: &Tensor, axis: Option<isize>, keepdims: bool) -> Result<Tensor> {
    position("argmin", Fold::ArgMin, x, axis, keepdims)
}

fn position(name: &'static str, fold: Fold, x: &Tensor, axis: Option<isize>, keepdims: bool) -> Result<Tensor> {
    let axes: Axes = match axis {
        Some(axis) => smallvec![normalize_axis(name, axis, x.rank())?],
        None => (0..x.rank()).collect(),
    };
    refuse_empty(name, x, &axes)?;
    // A 0-d tensor is a row of one element.
    let found = if x.rank() == 0 {
        apply(Reduce { fold, axes: smallvec![0] }, &[&reshape_to(x, &Shape::from_sound([1]))?])?
    } else {
        apply(Reduce { fold, axes: axes.clone() }, &[x])?
    };
    let found = astype(&found, default_integer(x.device()))?;
    if keepdims { keep_axes(&found, x.shape(), &axes) } else { Ok(found) }
}
