//! Making nodes. Depends on `node`, `op`, `mode`. Invariant: a user's mistake is raised here, before a node exists.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::capture::note;
use super::mode::{current_scope, grad_enabled, scope_name};
use super::node::{History, Node, Storage, Tensor};
use super::op::{Cotangent, Kind, Lowering, Meta, Op, View, Vjp};
use super::recorder::recording;
use super::slot::GradSlot;
use crate::backend::{Device, HostArguments, computes};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::plan::{Argument, Candidate, Caps, Structured};
use crate::shape::Shape;

/// Applies an op to inputs of one device; the only output.
///
/// # Errors
/// What `Op::infer` finds, and inputs on different devices.
pub fn apply(op: impl Op + 'static, inputs: &[&Tensor]) -> Result<Tensor> {
    Ok(Tensor { node: node(Box::new(op), inputs, inputs[0].device())?, output: 0 })
}

/// Applies an op with several outputs.
///
/// # Errors
/// As `apply`.
pub fn apply_multi(op: impl Op + 'static, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let node = node(Box::new(op), inputs, inputs[0].device())?;
    Ok((0..node.outputs.len()).map(|output| Tensor { node: node.clone(), output }).collect())
}

/// Applies an op that computes nothing from all its inputs, so that they may be on several devices.
///
/// # Errors
/// What `Op::infer` finds.
pub fn apply_across(op: impl Op + 'static, inputs: &[&Tensor], device: Device) -> Result<Vec<Tensor>> {
    let node = unchecked(Box::new(op), inputs, device)?;
    Ok((0..node.outputs.len()).map(|output| Tensor { node: node.clone(), output }).collect())
}

/// Applies an op without inputs on a device.
///
/// # Errors
/// What `Op::infer` finds.
pub fn source(op: impl Op + 'static, device: Device) -> Result<Tensor> {
    Ok(Tensor { node: node(Box::new(op), &[], device)?, output: 0 })
}

fn node(op: Box<dyn Op>, inputs: &[&Tensor], device: Device) -> Result<Arc<Node>> {
    for (position, input) in inputs.iter().enumerate() {
        if input.device() != device {
            return Err(in_scope(Error::device(format!(
                "{}: operand 0 is on {device} and operand {position} on {}. Move one with .to(device).",
                op.name(),
                input.device()
            ))));
        }
    }
    unchecked(op, inputs, device)
}

fn unchecked(op: Box<dyn Op>, inputs: &[&Tensor], device: Device) -> Result<Arc<Node>> {
    note(inputs);
    let metas: SmallVec<[&Meta; 4]> = inputs.iter().map(|input| input.meta()).collect();
    let metas = op.infer(&metas).map_err(in_scope)?;
    if let Some(meta) = metas.iter().find(|meta| !computes(device, meta.dtype)) {
        return Err(in_scope(unsupported(op.name(), meta.dtype, inputs, device)));
    }
    let lowering = op.lower();
    let device = if let Lowering::Transfer(target) = lowering { target } else { device };
    let recorded = grad_enabled()
        && metas.iter().any(|meta| meta.dtype.is_float())
        && inputs.iter().any(|input| input.requires_grad());
    let history = if recorded { History::Recorded } else { History::None };

    // A view of a value that is there is there at once; a recording must see where it came from.
    let view = match &lowering {
        Lowering::View(view) if !recording() && op.computed_inputs(inputs.len()) > 0 => {
            inputs[0].storage().and_then(|storage| {
                let layout = view.layout(&storage.layout, &metas[0].shape)?;
                Some(Storage { buffer: storage.buffer.clone(), layout })
            })
        }
        _ => None,
    };
    if let (Some(storage), History::None) = (&view, history) {
        return Ok(Arc::new(ready(metas, device, storage.clone(), None)));
    }
    let inputs = inputs.iter().map(|&input| input.clone()).collect();
    let node = Node::new(Some((op, lowering.kind())), inputs, metas, device, history, None);
    if let Some(storage) = view {
        node.set_value(0, storage);
    }
    Ok(Arc::new(node))
}

/// The device cannot hold what the op would make.
fn unsupported(op: &str, dtype: DType, inputs: &[&Tensor], device: Device) -> Error {
    let operands: Vec<String> = inputs.iter().map(|input| input.dtype().to_string()).collect();
    let from = if operands.is_empty() { String::new() } else { format!(" of {}", operands.join(" and ")) };
    let instead = if dtype.is_float() { "float32" } else { "int32" };
    Error::dtype(format!(
        "{op}: the result{from} is {dtype}, which {device} does not compute in. \
         Convert an operand first, as in x.astype(\"{instead}\"), or stay on the CPU."
    ))
}

fn ready(metas: SmallVec<[Meta; 1]>, device: Device, storage: Storage, slot: Option<Arc<GradSlot>>) -> Node {
    let node = Node::new(None, SmallVec::new(), metas, device, History::None, slot);
    node.set_value(0, storage);
    node
}

/// Adds the module path to an error's text.
fn in_scope(mut error: Error) -> Error {
    let path = scope_name(current_scope());
    if !path.is_empty() {
        error.message = format!("{path}: {}", error.message);
    }
    error
}

/// A tensor of a value that is there.
pub fn from_storage(dtype: DType, storage: Storage, device: Device) -> Tensor {
    let meta = Meta::new(storage.layout.shape.clone(), dtype);
    Tensor { node: Arc::new(ready(smallvec![meta], device, storage, None)), output: 0 }
}

/// A tensor whose value will be set by whoever made it; a leaf where it has a slot.
pub fn promise(meta: Meta, device: Device, slot: Option<Arc<GradSlot>>) -> Tensor {
    let op: Box<dyn Op> = Box::new(Promised);
    let node = Node::new(Some((op, Kind::Dear)), SmallVec::new(), smallvec![meta], device, History::None, slot);
    Tensor { node: Arc::new(node), output: 0 }
}

/// A value that another evaluation is computing. Evaluations wait for each other, so only that one's failure lets anyone see this op.
#[derive(Debug)]
struct Promised;

impl Op for Promised {
    fn name(&self) -> &'static str {
        "compiled"
    }
    fn infer(&self, _inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        Err(Error::internal("compiled: a promised value is not inferred"))
    }
    fn vjp(&self, _cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        Ok(SmallVec::new())
    }
    fn lower(&self) -> Lowering {
        Lowering::Structured(Arc::new(Self))
    }
}

impl Structured for Promised {
    fn name(&self) -> &'static str {
        "compiled"
    }
    fn cpu(&self, _arguments: &HostArguments<'_>) -> Result<()> {
        Err(Error::internal("compiled: the call that was to compute this tensor failed. Read the tensor again."))
    }
    fn gpu(&self, _arguments: &[Argument], _slots: usize, _caps: &Caps) -> Vec<Candidate> {
        Vec::new()
    }
}

/// The same value without its history.
pub fn identity(tensor: &Tensor) -> Tensor {
    alias(tensor, None)
}

/// The same value as a differentiable leaf whose gradient gathers in `slot`.
pub fn leaf(tensor: &Tensor, slot: Arc<GradSlot>) -> Tensor {
    alias(tensor, Some(slot))
}

fn alias(tensor: &Tensor, slot: Option<Arc<GradSlot>>) -> Tensor {
    let metas: SmallVec<[Meta; 1]> = smallvec![tensor.meta().clone()];
    let node = match tensor.storage().filter(|_| !recording()) {
        Some(storage) => ready(metas, tensor.device(), storage.clone(), slot),
        None => {
            let inputs = smallvec![tensor.clone()];
            let op: Box<dyn Op> = Box::new(Alias);
            Node::new(Some((op, Kind::View)), inputs, metas, tensor.device(), History::None, slot)
        }
    };
    Tensor { node: Arc::new(node), output: 0 }
}

/// Another name for a value.
#[derive(Debug)]
struct Alias;

impl Op for Alias {
    fn name(&self) -> &'static str {
        "alias"
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        Ok(smallvec![inputs[0].clone()])
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        Ok(smallvec![Some(Cotangent::Dense(cx.grad().clone()))])
    }
    fn lower(&self) -> Lowering {
        Lowering::View(View::Identity)
    }
}

impl View {
    /// The layout of this view of `base`, where strides can express it.
    pub fn layout(&self, base: &Layout, shape: &Shape) -> Option<Layout> {
        Some(match self {
            View::Identity => base.clone(),
            View::Reshape => base.reshape(shape)?,
            View::Permute(order) => base.permute(order),
            View::Expand => base.expand(shape),
            View::Slice { starts, steps } => base.slice(starts, steps, shape),
            View::Pad { .. } if base.shape == *shape => base.clone(),
            View::Pad { .. } => return None,
        })
    }
}
