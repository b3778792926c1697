//! The program: a recording turned into data. Depends on `graph`, `plan` and `schedule`.
//! Invariant: places, numbers and checks only; the values of names are looked up when it runs.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Effects, NOWHERE, refuse};
use crate::backend::Device;
use crate::dtype::DType;
use crate::error::Error;
use crate::graph::{Found, GradSlot, Lowering, Meta, Origin, Pointwise, Recorder, Storage, Tensor, Variable};
use crate::group::Linear;
use crate::layout::Strides;
use crate::plan::Plan;
use crate::schedule::Snapshot;

/// A stream of random numbers as a recording used it: where it stood before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Names the stream.
    pub key: u64,
    /// First block taken.
    pub from: u64,
    /// The block after the last.
    pub to: u64,
}

/// A name from outside and what must be found there.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) origin: Origin,
    pub(super) meta: Meta,
    pub(super) requires_grad: bool,
    /// Where its gradient was gathered.
    pub(super) slot: Option<Arc<GradSlot>>,
    /// An earlier name that must name the same tensor.
    pub(super) same_as: Option<usize>,
}

/// A leaf of the plan.
#[derive(Debug)]
pub(super) enum Input {
    /// The value of a name, at these strides; `donated` where a result takes over its memory.
    Name { number: usize, strides: Strides, donated: bool },
    /// A value that every run shares.
    Constant(Storage),
}

/// A number that may change from run to run.
#[derive(Debug)]
pub(super) enum Patch {
    Variable { slot: usize, dtype: DType, variable: Arc<Variable> },
    Key { slot: usize, stream: usize },
    Counter { slot: usize, stream: usize, offset: u64 },
}

/// Where a result lies after a run.
#[derive(Debug)]
pub(super) struct ResultPlace {
    pub(super) meta: Meta,
    /// An output of the plan, or a leaf.
    pub(super) base: Result<usize, usize>,
    pub(super) strides: Strides,
    pub(super) offset: Linear,
}

/// What a returned tensor is.
#[derive(Clone, Debug)]
pub(super) enum Returned {
    Result(usize),
    /// What a name stood for before the run.
    Name(usize),
    /// The gradient in a slot after the run.
    Gradient(Arc<GradSlot>),
    /// The gradient in a slot before the run.
    Held(Arc<GradSlot>),
}

/// A recorded function.
#[derive(Debug)]
pub struct Program {
    pub(super) device: Device,
    pub(super) names: Vec<Name>,
    /// Gradient slots that were read before they were written, and whether they held a gradient.
    pub(super) expected: Vec<(Arc<GradSlot>, bool)>,
    pub(super) inputs: Vec<Input>,
    pub(super) plan: Option<Arc<Plan>>,
    /// Number of the module path of each kernel of the plan.
    pub(super) scopes: Vec<u32>,
    pub(super) numbers: Vec<u64>,
    pub(super) patches: Vec<Patch>,
    pub(super) results: Vec<ResultPlace>,
    /// Names that get a result.
    pub(super) writes: Vec<(usize, usize)>,
    /// Slots that get a result, or are cleared.
    pub(super) slots: Vec<(Arc<GradSlot>, Option<usize>)>,
    pub(super) returned: Vec<Returned>,
}

impl Program {
    /// A program of a function that computes no tensor.
    pub(super) fn idle(recorder: &Recorder, effects: &Effects) -> Self {
        Self::frame(recorder, effects, NOWHERE)
    }

    fn frame(recorder: &Recorder, effects: &Effects, device: Device) -> Self {
        let mut first: HashMap<(u64, usize), usize> = HashMap::new();
        let name = |(number, found): (usize, &Found)| {
            let earlier = *first.entry(found.key).or_insert(number);
            Name {
                origin: found.origin.clone(),
                meta: found.meta.clone(),
                requires_grad: found.requires_grad,
                slot: found.slot.clone(),
                same_as: (earlier != number).then_some(earlier),
            }
        };
        Self {
            device,
            names: recorder.found.iter().enumerate().map(name).collect(),
            expected: recorder.slots.iter().filter_map(|used| Some((used.slot.clone(), used.held?))).collect(),
            inputs: Vec::new(),
            plan: None,
            scopes: Vec::new(),
            numbers: Vec::new(),
            patches: Vec::new(),
            results: Vec::new(),
            writes: effects.writes.clone(),
            slots: effects.slots.iter().map(|&(slot, result)| (recorder.slots[slot].slot.clone(), result)).collect(),
            returned: effects.returned.clone(),
        }
    }

    /// The program of a recording whose graph was walked and planned.
    pub(super) fn new(
        recorder: &Recorder,
        effects: &Effects,
        streams: &[Stream],
        snapshot: &Snapshot,
        plan: &Arc<Plan>,
        device: Device,
    ) -> Result<Self, Error> {
        let mut program = Self::frame(recorder, effects, device);
        let numbers: HashMap<(u64, usize), usize> =
            recorder.found.iter().enumerate().rev().map(|(number, found)| (found.key, number)).collect();
        for (leaf, (tensor, _)) in snapshot.inputs().enumerate() {
            let donated = plan.outputs.iter().any(|output| output.donor == Some(leaf));
            program.inputs.push(input(tensor, donated, &numbers, recorder.first)?);
        }
        for tensor in &effects.results {
            let (base, strides, offset) =
                snapshot.window(tensor).ok_or_else(|| refuse("compile: a result has no place in memory."))?;
            program.results.push(ResultPlace { meta: tensor.meta().clone(), base, strides, offset });
        }
        program.numbers = snapshot.slots.iter().chain(&plan.constants).copied().collect();
        let variables: HashMap<u64, &Arc<Variable>> = recorder.variables.iter().map(|(id, v)| (*id, v)).collect();
        for (node, slot) in snapshot.nodes() {
            if let Some(&variable) = variables.get(&node.id) {
                let dtype = node.outputs[0].meta.dtype;
                program.patches.push(Patch::Variable { slot, dtype, variable: variable.clone() });
            } else if let Some(op) = &node.op
                && let Lowering::Pointwise(Pointwise::Random { .. }) = op.lower()
            {
                let (key, counter) = (snapshot.slots[slot], snapshot.slots[slot + 1]);
                let within = |stream: &Stream| {
                    stream.key == key && (stream.from..stream.to.max(stream.from + 1)).contains(&counter)
                };
                if let Some(stream) = streams.iter().position(within) {
                    program.patches.push(Patch::Key { slot, stream });
                    let offset = counter - streams[stream].from;
                    program.patches.push(Patch::Counter { slot: slot + 1, stream, offset });
                }
            }
        }
        program.scopes = plan.kernels.iter().map(|kernel| snapshot.scope(kernel.entry)).collect();
        program.plan = Some(plan.clone());
        Ok(program)
    }
}

fn input(tensor: &Tensor, donated: bool, numbers: &HashMap<(u64, usize), usize>, first: u64) -> Result<Input, Error> {
    let storage = tensor.storage().expect("leaves have their value");
    match numbers.get(&tensor.key()) {
        Some(&number) => Ok(Input::Name { number, strides: storage.layout.strides.clone(), donated }),
        // Made by the library itself from what is recorded: the same in every run.
        None if tensor.node.id >= first => Ok(Input::Constant(storage.clone())),
        None => Err(refuse(format!(
            "compile: the function differentiates through a tensor of shape {} that was computed before the call. Compute it inside, or \
             pass it as an argument without history (.detach()).",
            tensor.shape()
        ))),
    }
}
