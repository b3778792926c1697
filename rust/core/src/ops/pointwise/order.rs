//! The order of axes in which pointwise results lie: that of their operands, where these agree on one.
//! Depends on `movement` and `graph`. Invariant: the order never changes a value, only where it lies.
//!
//! `x.T + 1` read along the rows of its result would jump through `x`, line by line. Made as `(x + 1).T` it reads and writes one stream:
//! the operands are seen in the order in which they lie, and the result back in the order that was asked for; both are views.

use smallvec::SmallVec;

use super::super::movement::permute_axes;
use crate::error::Result;
use crate::graph::{Lowering, Op, Pointwise, Tensor, apply};
use crate::layout::Layout;

/// Axes from the slowest in memory to the fastest.
pub(crate) type AxisOrder = SmallVec<[usize; 4]>;

/// Fewer elements lie in the first-level cache, where every order is as fast as another.
const SMALL: usize = 4096;

/// A pointwise op on operands of one shape; the result lies as the operands do, where all of them that are not broadcast lie alike.
///
/// # Errors
/// As `apply`.
pub(super) fn apply_in_order(op: impl Op + 'static, inputs: &[&Tensor]) -> Result<Tensor> {
    let Some(order) = common_order(inputs) else { return apply(op, inputs) };
    let turned: SmallVec<[Tensor; 3]> =
        inputs.iter().map(|input| permute_axes(input, order.clone())).collect::<Result<_>>()?;
    let turned: SmallVec<[&Tensor; 3]> = turned.iter().collect();
    permute_axes(&apply(op, &turned)?, inverse(&order))
}

/// The permutation that takes `order` back.
pub(crate) fn inverse(order: &AxisOrder) -> AxisOrder {
    let mut back = order.clone();
    for (position, &axis) in order.iter().enumerate() {
        back[axis] = position;
    }
    back
}

/// The tensor with those of its axes that are to be folded in the order in which they lie: a fold does not mind, and reads one stream.
///
/// # Errors
/// None of its own.
pub(crate) fn folded_in_order(x: &Tensor, axes: &[usize]) -> Result<Tensor> {
    if axes.len() < 2 || x.shape().elements() < SMALL {
        return Ok(x.clone());
    }
    let Some(layout) = layout(x).filter(|layout| !is_repeated(layout)) else { return Ok(x.clone()) };
    let in_memory = axis_order(&layout);
    let mut folded = in_memory.into_iter().filter(|axis| axes.contains(axis));
    let order: AxisOrder =
        (0..x.rank()).map(|axis| if axes.contains(&axis) { folded.next().unwrap_or(axis) } else { axis }).collect();
    if order.is_sorted() { Ok(x.clone()) } else { permute_axes(x, order) }
}

/// The order in which tensors of one rank lie, where it is one and not row-major, and they are large.
pub(crate) fn common_order(inputs: &[&Tensor]) -> Option<AxisOrder> {
    if inputs[0].rank() < 2 || inputs[0].shape().elements() < SMALL {
        return None;
    }
    let mut common: Option<AxisOrder> = None;
    for input in inputs {
        let layout = layout(input)?;
        if is_repeated(&layout) {
            continue;
        }
        let order = axis_order(&layout);
        match &common {
            None if order.is_sorted() => return None,
            None => common = Some(order),
            Some(known) if *known != order => return None,
            Some(_) => {}
        }
    }
    common
}

/// Where the elements lie, or will lie: what views make of a row-major result; `None` where they need a copy.
fn layout(tensor: &Tensor) -> Option<Layout> {
    if let Some(storage) = tensor.storage() {
        return Some(storage.layout.clone());
    }
    let mut views: SmallVec<[Tensor; 4]> = SmallVec::new();
    let mut base = tensor.clone();
    let mut layout = loop {
        if let Some(storage) = base.storage() {
            break storage.layout.clone();
        }
        match base.node.op.as_ref().map(|op| op.lower()) {
            Some(Lowering::View(_)) => {
                let input = base.node.with_inputs(|inputs| inputs.first().cloned())?;
                views.push(std::mem::replace(&mut base, input));
            }
            // One number everywhere lies nowhere.
            Some(Lowering::Pointwise(Pointwise::Scalar)) => {
                let strides = SmallVec::from_elem(0, base.rank());
                break Layout { shape: base.shape().clone(), strides, offset: 0 };
            }
            _ => break Layout::contiguous(base.shape().clone()),
        }
    };
    for view in views.iter().rev() {
        let Some(Lowering::View(step)) = view.node.op.as_ref().map(|op| op.lower()) else { return None };
        layout = step.layout(&layout, view.shape())?;
    }
    Some(layout)
}

/// Whether elements are met more than once: a broadcast operand lies in no order of its own.
fn is_repeated(layout: &Layout) -> bool {
    layout.shape.iter().zip(&layout.strides).any(|(&size, &stride)| size > 1 && stride == 0)
}

/// Axes by falling strides; those of size 1 stay before the axis that they stand before.
fn axis_order(layout: &Layout) -> AxisOrder {
    let mut order: AxisOrder = (0..layout.shape.rank()).filter(|&axis| layout.shape[axis] != 1).collect();
    order.sort_by_key(|&axis| std::cmp::Reverse(layout.strides[axis].unsigned_abs()));
    let ones = (0..layout.shape.rank()).filter(|&axis| layout.shape[axis] == 1);
    for axis in ones {
        let at = order.iter().position(|&other| other > axis).unwrap_or(order.len());
        order.insert(at, axis);
    }
    order
}
