//! The form `Σ x · kernel · y` as three primitives, each of which makes one of the three from the others. Depends on `kit::conv`, `shader`.
//! Invariant: the derivative of each by each of its inputs is one of the three, so gradients of any order are made of them.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::super::reduce::sum_axes;
use super::gpu;
use crate::backend::{HostArgument, HostArguments};
use crate::dtype::DType;
use crate::error::Result;
use crate::graph::{Cotangent, Key, Lowering, Meta, Op, Tensor, Vjp, apply};
use crate::kit::conv::{Axis, Element, Form, Source};
use crate::kit::simd;
use crate::plan::{Argument, Candidate, Caps, Cost, Structured};
use crate::shape::Shape;

/// Which of the three is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    /// y from x, the kernel and perhaps a bias.
    Output,
    /// x from y, the kernel and perhaps a bias.
    Input,
    /// The kernel from x and y.
    Kernel,
}

/// x `[batch, groups · inputs, …]`, kernel `[groups · outputs, inputs, …]`, y `[batch, groups · outputs, …]`.
#[derive(Clone, Debug)]
pub(super) struct Conv {
    pub(super) part: Part,
    /// What users called.
    pub(super) name: &'static str,
    pub(super) groups: usize,
    /// One to three.
    pub(super) axes: SmallVec<[Axis; 3]>,
}

impl Conv {
    fn of(&self, part: Part, inputs: &[&Tensor]) -> Result<Option<Cotangent>> {
        apply(Self { part, ..self.clone() }, inputs).map(|gradient| Some(Cotangent::Dense(gradient)))
    }
}

impl Op for Conv {
    fn name(&self) -> &'static str {
        self.name
    }
    fn key(&self, key: &mut Key) {
        key.number(self.part as u64);
        key.number(self.groups as u64);
        key.number(self.axes.len() as u64);
        for axis in &self.axes {
            for number in [axis.x, axis.kernel, axis.y, axis.stride, axis.dilation, axis.padding] {
                key.number(number as u64);
            }
        }
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        let (first, second) = (&inputs[0].shape, &inputs[1].shape);
        let (lead, size): ([usize; 2], fn(&Axis) -> usize) = match self.part {
            Part::Output => ([first[0], second[0]], |axis| axis.y),
            Part::Input => ([first[0], second[1] * self.groups], |axis| axis.x),
            Part::Kernel => ([second[1], first[1] / self.groups], |axis| axis.kernel),
        };
        let sizes: SmallVec<[usize; 5]> = lead.into_iter().chain(self.axes.iter().map(size)).collect();
        Ok(smallvec![Meta::new(Shape::new(&sizes)?, inputs[0].dtype)])
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        let (grad, [first, second]) = (cx.grad(), [&cx.inputs[0], &cx.inputs[1]]);
        let mut gradients: SmallVec<[Option<Cotangent>; 2]> = smallvec![None; cx.inputs.len()];
        if cx.needs[0] {
            gradients[0] = match self.part {
                Part::Output => self.of(Part::Input, &[grad, second])?,
                Part::Input => self.of(Part::Output, &[grad, second])?,
                Part::Kernel => self.of(Part::Input, &[second, grad])?,
            };
        }
        if cx.needs[1] {
            gradients[1] = match self.part {
                Part::Output => self.of(Part::Kernel, &[first, grad])?,
                Part::Input => self.of(Part::Kernel, &[grad, first])?,
                Part::Kernel => self.of(Part::Output, &[first, grad])?,
            };
        }
        if cx.needs.get(2) == Some(&true) {
            let others = (0..grad.rank()).filter(|&axis| axis != 1).collect();
            gradients[2] = Some(Cotangent::Dense(sum_axes(grad, others)?));
        }
        Ok(gradients)
    }
    fn lower(&self) -> Lowering {
        Lowering::Structured(Arc::new(self.clone()))
    }
}

/// An argument with axes of size 1 in front of its spatial ones.
fn source(argument: &HostArgument<'_>) -> Source {
    let given = &argument.layout.strides;
    let spatial = given.len() - 2;
    let mut strides = [0; 5];
    strides[..2].copy_from_slice(&given[..2]);
    strides[5 - spatial..].copy_from_slice(&given[2..]);
    Source { start: argument.data, strides }
}

impl Conv {
    /// # Safety
    /// The arguments hold elements of `E`.
    unsafe fn run<E: Element>(&self, host: &HostArguments<'_>) -> Result<()> {
        let (target, arguments) = host.arguments.split_last().expect("a result and what it is made of");
        let sizes = |number: usize| &arguments[number].layout.shape;
        let (batch, inputs, outputs) = match self.part {
            Part::Output | Part::Input => (sizes(0)[0], sizes(1)[1], sizes(1)[0] / self.groups),
            Part::Kernel => (sizes(0)[0], sizes(0)[1] / self.groups, sizes(1)[1] / self.groups),
        };
        let mut axes = [Axis::ONE; 3];
        axes[3 - self.axes.len()..].copy_from_slice(&self.axes);
        let form = Form { batch, groups: self.groups, inputs, outputs, axes };
        let (first, second) = (source(&arguments[0]), source(&arguments[1]));
        let bias = arguments.get(2).map(|bias| (bias.data, bias.layout.strides[0]));
        let (path, parallel) = (simd::path(), host.parallel);
        // SAFETY: arguments hold what their layouts say, and the result is contiguous and nobody else's.
        unsafe {
            match self.part {
                Part::Output => form.output::<E>(path, &first, &second, bias, target.data, parallel),
                Part::Input => form.input::<E>(path, &first, &second, bias, target.data, parallel),
                Part::Kernel => form.kernel::<E>(path, &first, &second, target.data, parallel),
            }
        }
    }
}

impl Structured for Conv {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cost(&self, arguments: &[Argument]) -> Cost {
        let elements = |argument: &Argument| argument.layout.shape.elements() as u64;
        let (result, inputs) = arguments.split_last().expect("a result and what it is made of");
        let (y, kernel) = match self.part {
            Part::Output => (result, &inputs[1]),
            Part::Input => (&inputs[0], &inputs[1]),
            Part::Kernel => (&inputs[1], result),
        };
        // Every element of y meets the kernel of its channel once, on the padding too; then a bias is added.
        let products = elements(y) * elements(kernel) / (kernel.layout.shape[0] as u64).max(1);
        let bias = if inputs.len() > 2 { elements(result) } else { 0 };
        Cost { flops: 2 * products + bias, ..Cost::moving(arguments) }
    }

    fn cpu(&self, host: &HostArguments<'_>) -> Result<()> {
        // SAFETY: the dtypes say what the arguments hold; the calls admit no others.
        unsafe {
            match host.arguments[0].dtype {
                DType::F64 => self.run::<f64>(host),
                _ => self.run::<f32>(host),
            }
        }
    }

    fn gpu(&self, arguments: &[Argument], _slots: usize, caps: &Caps) -> Vec<Candidate> {
        gpu::candidates(self, arguments, caps)
    }
}
