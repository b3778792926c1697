//! Values with a gradient rule of their own: a stable or cheap formula in place of the composition's derivative.
//! Depends on `graph`. Invariant: the value is input 0 and carries no history; the other inputs serve the gradient only.

use std::fmt;
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use crate::error::Result;
use crate::graph::{
    Cotangent, GradMode, Lowering, Meta, Op, Tensor, View, Vjp, apply, apply_across, grad_enabled, identity,
};

/// Gradients with respect to the inputs that `with_vjp` was given, in their order.
pub type Rule = Arc<dyn Fn(&Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> + Send + Sync>;

/// `value` as a function of `inputs` whose gradient is `rule`.
///
/// # Errors
/// For inputs on different devices.
pub fn with_vjp(value: &Tensor, inputs: &[&Tensor], rule: Rule, name: &'static str) -> Result<Tensor> {
    if !grad_enabled() || !inputs.iter().any(|input| input.requires_grad()) {
        return Ok(value.clone());
    }
    let value = if value.requires_grad() { identity(value) } else { value.clone() };
    let all: SmallVec<[&Tensor; 4]> = std::iter::once(&value).chain(inputs.iter().copied()).collect();
    apply(Custom { name, rule }, &all)
}

/// Runs `make` without recording history: the value of a `with_vjp`.
pub(crate) fn unrecorded<T>(make: impl FnOnce() -> Result<T>) -> Result<T> {
    let _mode = GradMode::set(false);
    make()
}

struct Custom {
    name: &'static str,
    rule: Rule,
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Custom({})", self.name)
    }
}

impl Op for Custom {
    fn name(&self) -> &'static str {
        self.name
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        Ok(smallvec![inputs[0].clone()])
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        let inner = Vjp { inputs: &cx.inputs[1..], outputs: cx.outputs, grads: cx.grads, needs: &cx.needs[1..] };
        let mut gradients = (self.rule)(&inner)?;
        gradients.insert(0, None);
        Ok(gradients)
    }
    fn lower(&self) -> Lowering {
        Lowering::View(View::Identity)
    }
    fn computed_inputs(&self, _inputs: usize) -> usize {
        1
    }
}

/// `values` as a function of `inputs` with one gradient rule for all of them together.
///
/// A node between the values and the inputs, which nothing computes, gathers the cotangents of all values before the
/// rule is called; `cx.outputs` are that node's, see `part`. The rule may be called for some of the values only.
///
/// # Errors
/// None of its own.
pub fn with_joint_vjp(values: &[Tensor], inputs: &[&Tensor], rule: Rule, name: &'static str) -> Result<Vec<Tensor>> {
    if !grad_enabled() || values.is_empty() || !inputs.iter().any(|input| input.requires_grad()) {
        return Ok(values.to_vec());
    }
    let metas = values.iter().map(|value| value.meta().clone()).collect();
    let joint = apply_across(Joint { name, rule, metas }, inputs, values[0].device())?;
    values.iter().zip(&joint).map(|(value, of)| part(value, of, name)).collect()
}

/// `value` as that output of the node which `with_joint_vjp` has made.
///
/// # Errors
/// None of its own.
pub fn part(value: &Tensor, of: &Tensor, name: &'static str) -> Result<Tensor> {
    let value = if value.requires_grad() { identity(value) } else { value.clone() };
    if !grad_enabled() {
        return Ok(value);
    }
    Ok(apply_across(Part { name }, &[&value, of], value.device())?.remove(0))
}

struct Joint {
    name: &'static str,
    rule: Rule,
    metas: SmallVec<[Meta; 1]>,
}

impl fmt::Debug for Joint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Joint({})", self.name)
    }
}

impl Op for Joint {
    fn name(&self) -> &'static str {
        self.name
    }
    fn infer(&self, _inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        Ok(self.metas.clone())
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        (self.rule)(cx)
    }
    fn lower(&self) -> Lowering {
        // Never asked for: a part's value is its first input.
        Lowering::View(View::Identity)
    }
    fn computed_inputs(&self, _inputs: usize) -> usize {
        0
    }
}

#[derive(Debug)]
struct Part {
    name: &'static str,
}

impl Op for Part {
    fn name(&self) -> &'static str {
        self.name
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        Ok(smallvec![inputs[0].clone()])
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        Ok(smallvec![None, Some(Cotangent::Dense(cx.grad().clone()))])
    }
    fn lower(&self) -> Lowering {
        Lowering::View(View::Identity)
    }
    fn computed_inputs(&self, _inputs: usize) -> usize {
        1
    }
}
