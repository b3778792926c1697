//! A recurrent unit over a sequence. Depends on `gradient`, `routine` and `kit::recurrent`.
//! Invariant: outputs, the last state, cells and what the gradient needs of all steps are results of one node.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::gradient::gradients;
use super::routine::{line, matrix, optional, rows, sequence, target};
use super::shaders;
use crate::backend::{Device, HostArguments, binds, computes};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::{Cotangent, Key, Lowering, Meta, Op, Tensor, Vjp, apply_multi};
use crate::kit::recurrent::{Element, Forward, Unit};
use crate::plan::{Argument, Candidate, Caps, Cost, Structured};
use crate::shape::Shape;

/// What a recurrent unit is run on.
#[derive(Clone, Copy, Debug)]
pub struct Recurrence<'a> {
    /// What is done in a step.
    pub unit: Unit,
    /// What the inputs contribute to the gates, `[step, batch, gates · hidden]`.
    pub given: &'a Tensor,
    /// The recurrent weight, `[gates · hidden, state]`.
    pub weight: &'a Tensor,
    /// The first h, `[batch, state]`.
    pub h: &'a Tensor,
    /// The first cell, `[batch, hidden]`, for units that have one.
    pub c: Option<&'a Tensor>,
    /// What is added to the product of weight and h, `[gates · hidden]`, for units that treat it by itself.
    pub bias: Option<&'a Tensor>,
    /// How many steps each row has, int64 `[batch]`; all of them for `None`.
    pub lengths: Option<&'a Tensor>,
    /// Maps an LSTM's h to a smaller one, `[state, hidden]`.
    pub projection: Option<&'a Tensor>,
    /// Whether the last step comes first.
    pub reverse: bool,
}

/// Runs a unit over all steps: outputs `[step, batch, state]`, the last h, and the last cell if there are cells. Behind a row's end outputs are
/// zeros and the state stays.
///
/// # Errors
/// For shapes that do not fit, and dtypes other than float32 or float64 for all.
pub fn recurrent(what: &Recurrence<'_>) -> Result<Vec<Tensor>> {
    check(what)?;
    let steps = Steps {
        unit: what.unit,
        reverse: what.reverse,
        bias: what.bias.is_some(),
        lengths: what.lengths.is_some(),
        projection: what.projection.is_some(),
    };
    let mut inputs = vec![what.given, what.weight, what.h];
    inputs.extend([what.c, what.bias, what.lengths, what.projection].into_iter().flatten());
    let mut outputs = apply_multi(steps, &inputs)?;
    outputs.truncate(if what.unit.has_cell() { 3 } else { 2 });
    Ok(outputs)
}

/// Buffers that a step binds at most on a GPU, run-time numbers among them.
const BINDINGS: usize = 10;

/// Whether a device runs all steps by one routine; on a GPU without lengths and projections.
pub fn has_routine(device: Device, dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F64) && computes(device, dtype) && binds(device) >= BINDINGS
}

fn check(what: &Recurrence<'_>) -> Result<()> {
    let Recurrence { unit, given, weight, h, c, bias, lengths, projection, .. } = *what;
    let shape = |x: Option<&Tensor>| x.map_or("none".to_string(), |x| x.shape().to_string());
    let gates = unit.gates();
    let fits = given.rank() == 3 && weight.rank() == 2 && given.shape()[0] > 0 && {
        let (batch, width, state) = (given.shape()[1], given.shape()[2], weight.shape()[1]);
        let hidden = width / gates;
        let is = |x: Option<&Tensor>, sizes: &[usize]| x.is_none_or(|x| x.shape()[..] == *sizes);
        width == gates * hidden
            && weight.shape()[0] == width
            && is(Some(h), &[batch, state])
            && c.is_some() == unit.has_cell()
            && is(c, &[batch, hidden])
            && (bias.is_none() || unit.is_separate())
            && is(bias, &[width])
            && is(lengths, &[batch])
            && (projection.is_none() || unit.has_cell())
            && is(projection, &[state, hidden])
            && (projection.is_some() || state == hidden)
    };
    if !fits {
        return Err(Error::shape(format!(
            "recurrent: given is {}, weight {}, h {}, c {}, bias {}, lengths {} and projection {}. Use [step, batch, {gates} · hidden], \
             [{gates} · hidden, state], [batch, state], [batch, hidden], [{gates} · hidden], [batch] and [state, hidden].",
            given.shape(),
            weight.shape(),
            h.shape(),
            shape(c),
            shape(bias),
            shape(lengths),
            shape(projection)
        )));
    }
    let dtype = given.dtype();
    let others = [Some(weight), Some(h), c, bias, projection];
    if !matches!(dtype, DType::F32 | DType::F64) || others.iter().flatten().any(|other| other.dtype() != dtype) {
        let names: Vec<String> = others.iter().flatten().map(|other| other.dtype().to_string()).collect();
        return Err(Error::dtype(format!(
            "recurrent: given is {dtype}, the others {}. Use float32 or float64 for all.",
            names.join(", ")
        )));
    }
    match lengths {
        Some(lengths) if lengths.dtype() != DType::I64 => {
            Err(Error::dtype(format!("recurrent: lengths are {}. Use int64.", lengths.dtype())))
        }
        _ => Ok(()),
    }
}

/// The node's attributes: which of the inputs that not every call has are there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps {
    pub(super) unit: Unit,
    pub(super) reverse: bool,
    pub(super) bias: bool,
    pub(super) lengths: bool,
    pub(super) projection: bool,
}

/// Inputs by name.
pub(super) struct Inputs<'a, T> {
    pub(super) given: &'a T,
    pub(super) weight: &'a T,
    pub(super) h: &'a T,
    pub(super) c: Option<&'a T>,
    pub(super) bias: Option<&'a T>,
    pub(super) lengths: Option<&'a T>,
    pub(super) projection: Option<&'a T>,
}

/// Outputs by name.
pub(super) struct Outputs<'a, T> {
    pub(super) h: &'a T,
    pub(super) last_h: &'a T,
    pub(super) last_c: Option<&'a T>,
    pub(super) cells: Option<&'a T>,
    pub(super) saved: Option<&'a T>,
}

impl Steps {
    pub(super) fn numbers(&self, key: &mut Key) {
        let flags = [self.reverse, self.bias, self.lengths, self.projection];
        key.number(self.unit as u64);
        key.number(flags.iter().fold(0, |bits, &flag| 2 * bits + u64::from(flag)));
    }

    pub(super) fn inputs<'a, T>(&self, list: &'a [T]) -> Inputs<'a, T> {
        let mut rest = list[3..].iter();
        Inputs {
            given: &list[0],
            weight: &list[1],
            h: &list[2],
            c: optional(self.unit.has_cell(), &mut rest),
            bias: optional(self.bias, &mut rest),
            lengths: optional(self.lengths, &mut rest),
            projection: optional(self.projection, &mut rest),
        }
    }

    pub(super) fn outputs<'a, T>(&self, list: &'a [T]) -> Outputs<'a, T> {
        let mut rest = list[2..].iter();
        Outputs {
            h: &list[0],
            last_h: &list[1],
            last_c: optional(self.unit.has_cell(), &mut rest),
            cells: optional(self.unit.has_cell(), &mut rest),
            saved: optional(self.unit.saved() > 0, &mut rest),
        }
    }

    /// # Safety
    /// The arguments hold elements of `E`.
    unsafe fn run<E: Element>(&self, host: &HostArguments<'_>) -> Result<()> {
        let inputs =
            3 + [self.unit.has_cell(), self.bias, self.lengths, self.projection].iter().filter(|&&is| is).count();
        let (inputs, outputs) = host.arguments.split_at(inputs);
        let (inputs, outputs) = (self.inputs(inputs), self.outputs(outputs));
        let forward = Forward::<E> {
            sequence: sequence(self, &inputs.given.layout.shape, &inputs.weight.layout.shape, inputs.lengths),
            given: rows(inputs.given),
            weight: matrix(inputs.weight),
            bias: inputs.bias.map(line),
            projection: inputs.projection.map(matrix),
            start: [rows(inputs.h), rows(inputs.c.unwrap_or(inputs.h))],
            h: target(outputs.h),
            cells: outputs.cells.map(target),
            saved: outputs.saved.map(target),
            last: [Some(target(outputs.last_h)), outputs.last_c.map(target)],
        };
        // SAFETY: the arguments hold what their layouts say; results are contiguous and nobody else's.
        unsafe { forward.run(host.parallel) }
    }
}

impl Op for Steps {
    fn name(&self) -> &'static str {
        name(self.unit)
    }
    fn key(&self, key: &mut Key) {
        self.numbers(key);
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        let (given, state, dtype) = (&inputs[0].shape, inputs[1].shape[1], inputs[0].dtype);
        let (steps, batch, hidden) = (given[0], given[1], given[2] / self.unit.gates());
        let mut made: SmallVec<[Meta; 1]> = smallvec![
            Meta::new(Shape::new(&[steps, batch, state])?, dtype),
            Meta::new(Shape::new(&[batch, state])?, dtype),
        ];
        if self.unit.has_cell() {
            made.push(Meta::new(Shape::new(&[batch, hidden])?, dtype));
            made.push(Meta::new(Shape::new(&[steps, batch, hidden])?, dtype));
        }
        if self.unit.saved() > 0 {
            made.push(Meta::new(Shape::new(&[steps, batch, self.unit.saved() * hidden])?, dtype));
        }
        Ok(made)
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        gradients(self, cx)
    }
    fn lower(&self) -> Lowering {
        Lowering::Structured(Arc::new(*self))
    }
}

/// The name that users know.
pub(super) fn name(unit: Unit) -> &'static str {
    match unit {
        Unit::RnnTanh | Unit::RnnRelu => "rnn",
        Unit::Lstm => "lstm",
        Unit::Gru => "gru",
    }
}

impl Structured for Steps {
    fn name(&self) -> &'static str {
        name(self.unit)
    }

    fn cost(&self, arguments: &[Argument]) -> Cost {
        let given = &arguments[0].layout.shape;
        Cost {
            flops: products(self.unit, [given[0], given[1]], &arguments[1].layout.shape, self.projection),
            ..Cost::moving(arguments)
        }
    }

    fn cpu(&self, host: &HostArguments<'_>) -> Result<()> {
        // SAFETY: the dtypes say what the arguments hold; the call admits no others.
        unsafe {
            match host.arguments[0].dtype {
                DType::F64 => self.run::<f64>(host),
                _ => self.run::<f32>(host),
            }
        }
    }

    fn gpu(&self, arguments: &[Argument], _slots: usize, caps: &Caps) -> Vec<Candidate> {
        if self.lengths || self.projection {
            return Vec::new();
        }
        let numbers: Vec<usize> = (0..arguments.len()).collect();
        let (inputs, outputs) = numbers.split_at(3 + usize::from(self.unit.has_cell()) + usize::from(self.bias));
        shaders::forward(self, &self.inputs(inputs), &self.outputs(outputs), arguments, caps).into_iter().collect()
    }
}

/// The work of the products with the recurrent weight, and with the projection if there is one.
pub(super) fn products(unit: Unit, rows: [usize; 2], weight: &[usize], projection: bool) -> u64 {
    let rows = rows.iter().map(|&size| size as u64).product::<u64>();
    let (width, state) = (weight[0] as u64, weight[1] as u64);
    let projected = if projection { width / unit.gates() as u64 * state } else { 0 };
    2 * rows * (width * state + projected)
}
