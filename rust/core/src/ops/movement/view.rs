//! The five view primitives: reshape, permute, expand, slice, pad. They run nothing; strides express them.
//! Depends on `graph` and `reduce`. Invariant: each checks only what the calls above it could not get wrong unnoticed.

use smallvec::{SmallVec, smallvec};

use super::super::reduce::sum_axes;
use super::{SliceAxis, permute_axes, reshape_to, slice_axes};
use crate::error::Result;
use crate::graph::{Cotangent, Key, Lowering, Meta, Op, Tensor, View, Vjp};
use crate::shape::Shape;

type Metas = SmallVec<[Meta; 1]>;
type Cotangents = SmallVec<[Option<Cotangent>; 2]>;

fn dense(cx: &Vjp<'_>, gradient: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Cotangents> {
    Ok(smallvec![if cx.needs[0] { Some(Cotangent::Dense(gradient(cx.grad())?)) } else { None }])
}

fn sizes(key: &mut Key, shape: &Shape) {
    key.list(shape, |size| size as u64);
}

/// The same value: a node of its own, so that a leaf's handle and its result differ.
#[derive(Debug)]
pub(super) struct Same;

impl Op for Same {
    fn name(&self) -> &'static str {
        "identity"
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<Metas> {
        Ok(smallvec![inputs[0].clone()])
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<Cotangents> {
        dense(cx, |grad| Ok(grad.clone()))
    }
    fn lower(&self) -> Lowering {
        Lowering::View(View::Identity)
    }
}

/// Another shape with as many elements.
#[derive(Debug)]
pub(super) struct Reshape(pub(super) Shape);

impl Op for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }
    fn key(&self, key: &mut Key) {
        sizes(key, &self.0);
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<Metas> {
        Ok(smallvec![Meta::new(self.0.clone(), inputs[0].dtype)])
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<Cotangents> {
        dense(cx, |grad| reshape_to(grad, cx.inputs[0].shape()))
    }
    fn lower(&self) -> Lowering {
        Lowering::View(View::Reshape)
    }
}

/// Axes in another order.
#[derive(Debug)]
pub(super) struct Permute(pub(super) SmallVec<[usize; 4]>);

impl Op for Permute {
    fn name(&self) -> &'static str {
        "permute_dims"
    }
    fn key(&self, key: &mut Key) {
        key.list(&self.0, |axis| axis as u64);
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<Metas> {
        let shape = Shape::from_sound(self.0.iter().map(|&axis| inputs[0].shape[axis]));
        Ok(smallvec![Meta::new(shape, inputs[0].dtype)])
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<Cotangents> {
        let mut inverse: SmallVec<[usize; 4]> = smallvec![0; self.0.len()];
        for (to, &from) in self.0.iter().enumerate() {
            inverse[from] = to;
        }
        dense(cx, |grad| permute_axes(grad, inverse))
    }
    fn lower(&self) -> Lowering {
        Lowering::View(View::Permute(self.0.clone()))
    }
}

/// New leading axes, and axes of size 1 repeated.
#[derive(Debug)]
pub(super) struct Expand(pub(super) Shape);

impl Op for Expand {
    fn name(&self) -> &'static str {
        "broadcast_to"
    }
    fn key(&self, key: &mut Key) {
        sizes(key, &self.0);
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<Metas> {
        Ok(smallvec![Meta::new(self.0.clone(), inputs[0].dtype)])
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<Cotangents> {
        let from = cx.inputs[0].shape();
        let lead = self.0.rank() - from.rank();
        let repeated = (0..self.0.rank()).filter(|&axis| axis < lead || from[axis - lead] != self.0[axis]).collect();
        dense(cx, |grad| reshape_to(&sum_axes(grad, repeated)?, from))
    }
    fn lower(&self) -> Lowering {
        Lowering::View(View::Expand)
    }
}

/// Elements `start + i · step` of every axis.
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) starts: SmallVec<[isize; 4]>,
    pub(super) steps: SmallVec<[isize; 4]>,
    pub(super) sizes: Shape,
}

impl Op for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }
    fn key(&self, key: &mut Key) {
        sizes(key, &self.sizes);
        key.list(&self.steps, |step| step as u64);
    }
    fn slots(&self, slots: &mut Vec<u64>) {
        slots.extend(self.starts.iter().map(|&start| start as u64));
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<Metas> {
        Ok(smallvec![Meta::new(self.sizes.clone(), inputs[0].dtype)])
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<Cotangents> {
        Ok(smallvec![cx.needs[0].then(|| Cotangent::Slice {
            grad: cx.grad().clone(),
            starts: self.starts.clone(),
            steps: self.steps.clone(),
        })])
    }
    fn lower(&self) -> Lowering {
        Lowering::View(View::Slice { starts: self.starts.clone(), steps: self.steps.clone() })
    }
}

/// Zeros around the elements; negative amounts never occur.
#[derive(Debug)]
pub(super) struct Pad {
    pub(super) before: SmallVec<[isize; 4]>,
    pub(super) sizes: Shape,
}

impl Op for Pad {
    fn name(&self) -> &'static str {
        "pad"
    }
    fn key(&self, key: &mut Key) {
        sizes(key, &self.sizes);
    }
    fn slots(&self, slots: &mut Vec<u64>) {
        slots.extend(self.before.iter().map(|&before| before as u64));
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<Metas> {
        Ok(smallvec![Meta::new(self.sizes.clone(), inputs[0].dtype)])
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<Cotangents> {
        let inner = cx.inputs[0].shape();
        let window: SmallVec<[SliceAxis; 4]> =
            self.before.iter().zip(inner.iter()).map(|(&start, &size)| SliceAxis { start, step: 1, size }).collect();
        dense(cx, |grad| slice_axes(grad, &window))
    }
    fn lower(&self) -> Lowering {
        Lowering::View(View::Pad { before: self.before.clone() })
    }
}
