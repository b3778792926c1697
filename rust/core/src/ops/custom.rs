//! Values with a gradient rule of their own: a stable or cheap formula in place of the composition's derivative.
//! Depends on `graph`. Invariant: the value is input 0 and carries no history; the other inputs serve the gradient only.

use std::fmt;
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use crate::error::Result;
use crate::graph::{Cotangent, GradMode, Lowering, Meta, Op, Tensor, View, Vjp, apply, grad_enabled, identity};

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
