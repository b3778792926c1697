//! Running a program. Depends on `program` and `evaluate`.
//! Invariant: names are bound to the run's results before it starts, so that nobody reads memory that is being overwritten, and get their
//! old tensors back when it fails.

use std::sync::Arc;

use super::program::{Input, Name, Patch, Program, Returned};
use super::refuse;
use crate::backend::{Buffer, Memory};
use crate::dtype::Scalar;
use crate::error::Result;
use crate::evaluate::{self, Cancelled};
use crate::graph::{self, GradSlot, Handle, Origin, Storage, Tensor, from_storage};
use crate::layout::Layout;
use crate::profile::{self, Activity};

/// What came of a replay.
#[derive(Debug)]
pub enum Replay {
    /// It ran: the returned tensors.
    Done(Vec<Handle>),
    /// The program no longer describes the function; nothing was done.
    Stale,
}

/// A name with what it names now.
struct Bound {
    handle: Handle,
    tensor: Tensor,
}

/// Names bound to what a run will compute; dropped without `keep`, after an error or a panic, they get their tensors back.
struct Promises<'a>(Vec<(&'a Bound, Tensor)>);

impl<'a> Promises<'a> {
    fn make(program: &Program, bound: &'a [Bound], results: &mut [Option<Tensor>]) -> Self {
        let made = program.writes.iter().map(|&(name, result)| {
            let (name, meta) = (&bound[name], &program.results[result].meta);
            let promise = || graph::promise(meta.clone(), program.device, name.tensor.node.slot.clone());
            let tensor = results[result].get_or_insert_with(promise).clone();
            name.handle.rebind(tensor.clone());
            (name, tensor)
        });
        Self(made.collect())
    }

    fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Promises<'_> {
    fn drop(&mut self) {
        for (name, promised) in &self.0 {
            name.handle.rebind_if(promised, name.tensor.clone());
        }
    }
}

impl Program {
    /// Does once more what was recorded.
    ///
    /// `streams` are where the streams of random numbers stand now, as key and block.
    ///
    /// # Errors
    /// As `evaluate`; every name has its old tensor then.
    pub fn replay(&self, arguments: &[Handle], streams: &[(u64, u64)], cancelled: &Cancelled<'_>) -> Result<Replay> {
        let _watched = profile::watch(Activity::Evaluate);
        let Some(bound) = self.bind(arguments, cancelled)? else { return Ok(Replay::Stale) };
        if self.expected.iter().any(|(slot, held)| self.slot(slot, &bound).get().is_some() != *held) {
            return Ok(Replay::Stale);
        }
        let Some(plan) = &self.plan else {
            let held = self.held(&bound);
            self.slots.iter().for_each(|(slot, _)| self.slot(slot, &bound).set(None));
            return self.returned(held, &bound, &[]).map(Replay::Done);
        };
        let Some(inputs) = self.inputs(&bound) else { return Ok(Replay::Stale) };
        let numbers = self.numbers(streams);
        let backend = evaluate::backend(self.device)?;

        let mut results: Vec<Option<Tensor>> = vec![None; self.results.len()];
        // Other evaluations wait, so that none of them meets a promise.
        let scope = |kernel: usize| self.scopes[kernel];
        evaluate::alone(|| -> Result<()> {
            let promises = Promises::make(self, &bound, &mut results);
            let outputs = evaluate::execute(plan, &inputs, &numbers, &*backend, cancelled, &scope)?;
            promises.keep();
            self.publish(&outputs, &inputs, &numbers, &mut results);
            Ok(())
        })?;
        let results: Vec<Tensor> = results.into_iter().map(|result| result.expect("every result was made")).collect();
        let held = self.held(&bound);
        for (slot, number) in &self.slots {
            self.slot(slot, &bound).set(number.map(|number| Handle::new(results[number].clone())));
        }
        self.returned(held, &bound, &results).map(Replay::Done)
    }

    /// Gradients to return that slots hold before they are written.
    fn held(&self, bound: &[Bound]) -> Vec<Option<Handle>> {
        let held = |place: &Returned| match place {
            Returned::Held(slot) => self.slot(slot, bound).get(),
            _ => None,
        };
        self.returned.iter().map(held).collect()
    }

    /// What the call returns, once the slots are written.
    fn returned(&self, held: Vec<Option<Handle>>, bound: &[Bound], results: &[Tensor]) -> Result<Vec<Handle>> {
        let gone =
            || refuse("compile: another thread cleared a gradient that the function returns. Let one thread use it.");
        let handle = |(place, held): (&Returned, Option<Handle>)| match place {
            Returned::Result(number) => Ok(Handle::new(results[*number].clone())),
            Returned::Name(number) => Ok(Handle::new(bound[*number].tensor.clone())),
            Returned::Gradient(slot) => self.slot(slot, bound).get().ok_or_else(gone),
            Returned::Held(_) => held.ok_or_else(gone),
        };
        self.returned.iter().zip(held).map(handle).collect()
    }

    /// A slot of the recorded call; where it was an argument's, that of the argument now.
    fn slot<'a>(&self, slot: &'a Arc<GradSlot>, bound: &'a [Bound]) -> &'a Arc<GradSlot> {
        let same = |then: &Option<Arc<GradSlot>>| then.as_ref().is_some_and(|then| Arc::ptr_eq(then, slot));
        let argument = |(name, _): &(&Name, &Bound)| matches!(name.origin, Origin::Argument(_)) && same(&name.slot);
        let found = self.names.iter().zip(bound).find(argument);
        found.and_then(|(_, bound)| bound.tensor.node.slot.as_ref()).unwrap_or(slot)
    }

    /// Gives the results their values.
    fn publish(&self, outputs: &[Memory], leaves: &[Memory], numbers: &[u64], results: &mut [Option<Tensor>]) {
        for (place, result) in self.results.iter().zip(results) {
            let (buffer, first) = match place.base {
                Ok(output) => outputs[output].clone(),
                Err(leaf) => leaves[leaf].clone(),
            };
            let offset = first + place.offset.resolve(numbers) as isize;
            let layout = Layout { shape: place.meta.shape.clone(), strides: place.strides.clone(), offset };
            let storage = Storage { buffer, layout };
            match result {
                Some(tensor) => tensor.node.set_value(0, storage),
                None => *result = Some(from_storage(place.meta.dtype, storage, self.device)),
            }
        }
    }

    /// What the names name now; `None` where that is not what was recorded.
    fn bind(&self, arguments: &[Handle], cancelled: &Cancelled<'_>) -> Result<Option<Vec<Bound>>> {
        let mut bound: Vec<Bound> = Vec::with_capacity(self.names.len());
        for name in &self.names {
            let handle = match &name.origin {
                Origin::Argument(number) => arguments.get(*number).cloned(),
                Origin::Handle(handle) => Some(handle.clone()),
                Origin::Gradient(slot, _) => self.slot(slot, &bound).get(),
            };
            let Some(handle) = handle else { return Ok(None) };
            let tensor = handle.tensor();
            let same = *tensor.meta() == name.meta
                && tensor.requires_grad() == name.requires_grad
                && gathers(name, &tensor)
                && tensor.device() == self.device
                && name.same_as.is_none_or(|other| bound[other].tensor.key() == tensor.key());
            if !same {
                return Ok(None);
            }
            if tensor.storage().is_none() {
                evaluate::evaluate(std::slice::from_ref(&tensor), cancelled)?;
            }
            bound.push(Bound { handle, tensor });
        }
        Ok(Some(bound))
    }

    /// The leaves' memory; `None` where strides differ, or memory that a result is to take over is held by others too.
    fn inputs(&self, bound: &[Bound]) -> Option<Vec<Memory>> {
        // Counted before anything here holds a buffer: the handle and `bound` hold the node, the node holds the buffer.
        let free = |tensor: &Tensor, storage: &Storage| {
            Arc::strong_count(&tensor.node) == 2
                && Arc::strong_count(&storage.buffer) == 1
                && Buffer::recyclable(&*storage.buffer)
                && storage.layout.offset == 0
                && storage.layout.is_contiguous()
        };
        for input in &self.inputs {
            if let Input::Name { number, strides, donated } = input {
                let tensor = &bound[*number].tensor;
                let storage = tensor.storage()?;
                if storage.layout.strides != *strides || (*donated && !free(tensor, storage)) {
                    return None;
                }
            }
        }
        let memory = |input: &Input| {
            let storage = match input {
                Input::Name { number, .. } => bound[*number].tensor.storage()?,
                Input::Constant(storage) => storage,
            };
            Some((storage.buffer.clone(), storage.layout.offset))
        };
        self.inputs.iter().map(memory).collect()
    }

    fn numbers(&self, streams: &[(u64, u64)]) -> Vec<u64> {
        let mut numbers = self.numbers.clone();
        for patch in &self.patches {
            match patch {
                Patch::Variable { slot, dtype, variable } => {
                    numbers[*slot] = Scalar::Float(variable.get()).to_slot(*dtype);
                }
                Patch::Key { slot, stream } => numbers[*slot] = streams[*stream].0,
                Patch::Counter { slot, stream, offset } => numbers[*slot] = streams[*stream].1.wrapping_add(*offset),
            }
        }
        numbers
    }
}

/// Whether a tensor's gradient goes where it went: an argument may bring its own slot, unless hooks listen to either.
fn gathers(name: &Name, tensor: &Tensor) -> bool {
    match (&name.slot, &tensor.node.slot) {
        (None, None) => true,
        (Some(then), Some(now)) => {
            let listens = || then.has_hooks() || now.has_hooks();
            Arc::ptr_eq(then, now) || (matches!(name.origin, Origin::Argument(_)) && !listens())
        }
        _ => false,
    }
}
