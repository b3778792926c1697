//! Recording what a function does to tensors, and doing it again without the function.
//! Depends on `evaluate` and `graph`. Invariant: a program names what it reads and writes (arguments, handles, gradient slots) and owns no
//! value but constants; whatever it relies on is checked before it runs, and `Stale` asks for another recording.

mod program;
mod replay;

use std::collections::HashMap;

pub use program::{Program, Stream};
pub use replay::Replay;

use crate::backend::Device;
use crate::error::{Error, ErrorKind, Result};
use crate::evaluate::{self, Cancelled, Seen};
use crate::graph::{self, Found, Handle, History, Origin, Recorder, Tensor};

/// What came of a recorded call, which has been evaluated in any case.
#[derive(Debug)]
pub enum Outcome {
    /// The call can be replayed.
    Recorded(Box<Program>),
    /// It cannot, and this is why.
    Refused(Error),
    /// It cannot, since what it returns can still be differentiated: the function is to be called itself.
    Differentiable,
    /// It could be once these tensors have their values.
    Later(Vec<Handle>),
}

/// Gives the arguments of a call, and what an earlier recording found `pending`, their values: recordings start from values.
///
/// # Errors
/// As `evaluate`.
pub fn settle(arguments: &[Handle], pending: &[Handle], cancelled: &Cancelled<'_>) -> Result<()> {
    let tensors: Vec<Tensor> = arguments.iter().chain(pending).map(Handle::tensor).collect();
    evaluate::evaluate(&tensors, cancelled)
}

/// An error of something that cannot be recorded.
pub fn refuse(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Compile, message)
}

/// What a recorded function leaves behind.
struct Effects {
    /// Tensors to compute, each once.
    results: Vec<Tensor>,
    number: HashMap<(u64, usize), usize>,
    /// Names from outside that have another tensor now.
    writes: Vec<(usize, usize)>,
    /// Gradient slots that were filled or cleared.
    slots: Vec<(usize, Option<usize>)>,
    /// What the returned handles are, in order.
    returned: Vec<program::Returned>,
}

impl Effects {
    fn result(&mut self, tensor: &Tensor) -> usize {
        let results = &mut self.results;
        *self.number.entry(tensor.key()).or_insert_with(|| {
            results.push(tensor.clone());
            results.len() - 1
        })
    }
}

/// The handle behind a name, as long as it is there.
fn handle_of(origin: &Origin, arguments: &[Handle]) -> Option<Handle> {
    match origin {
        Origin::Argument(number) => arguments.get(*number).cloned(),
        Origin::Handle(handle) => Some(handle.clone()),
        Origin::Gradient(_, handle) => handle.upgrade(),
    }
}

/// Evaluates everything that a recorded call changed or returned, and makes its program. After an error, `restore` undoes the call.
///
/// # Errors
/// As `evaluate`.
pub fn finish(
    recorder: &Recorder,
    arguments: &[Handle],
    returned: &[Handle],
    streams: &[Stream],
    cancelled: &Cancelled<'_>,
) -> Result<Outcome> {
    let effects = effects(recorder, arguments, returned);
    let effects = match effects.and_then(|effects| check(recorder, &effects).map(|open| (effects, open))) {
        Ok((effects, false)) => effects,
        unfit => {
            let all: Vec<Tensor> = names(&recorder.found, arguments).map(|(_, handle)| handle.tensor()).collect();
            evaluate::evaluate(&all, cancelled)?;
            return Ok(unfit.map_or_else(Outcome::Refused, |_| Outcome::Differentiable));
        }
    };
    if !recorder.pending.is_empty() {
        evaluate::evaluate(&effects.results, cancelled)?;
        return Ok(Outcome::Later(recorder.pending.clone()));
    }
    let Some(device) = effects.results.first().map(Tensor::device) else {
        return Ok(Outcome::Recorded(Box::new(Program::idle(recorder, &effects))));
    };
    let seen = evaluate::evaluate_seen(&effects.results, device, cancelled, |snapshot, plan| {
        Program::new(recorder, &effects, streams, snapshot, plan, device)
    });
    let outcome = match seen? {
        Seen::Ran(outcome) => {
            return Ok(outcome.map_or_else(Outcome::Refused, |program| Outcome::Recorded(Box::new(program))));
        }
        Seen::Transfers => Outcome::Refused(moves()),
        Seen::Early => Outcome::Later(Vec::new()),
    };
    evaluate::evaluate(&effects.results, cancelled)?;
    Ok(outcome)
}

fn moves() -> Error {
    refuse("compile: the function moves tensors between devices. Move them before, and pass them as arguments.")
}

/// Names from outside that were given other tensors, with their handles.
fn names<'a>(found: &'a [Found], arguments: &'a [Handle]) -> impl Iterator<Item = (usize, Handle)> + 'a {
    let rebound = found.iter().enumerate().filter(|(_, found)| found.rebound);
    rebound.filter_map(|(number, found)| Some((number, handle_of(&found.origin, arguments)?)))
}

/// Gives names back the tensors that they had before a recorded call that failed.
pub fn restore(recorder: &Recorder, arguments: &[Handle]) {
    for (number, handle) in names(&recorder.found, arguments) {
        if let Some(before) = recorder.found[number].before.upgrade() {
            handle.rebind(before);
        }
    }
}

fn effects(recorder: &Recorder, arguments: &[Handle], handles: &[Handle]) -> Result<Effects> {
    let mut effects = Effects {
        results: Vec::new(),
        number: HashMap::new(),
        writes: Vec::new(),
        slots: Vec::new(),
        returned: Vec::new(),
    };
    let old: HashMap<(u64, usize), usize> =
        recorder.found.iter().enumerate().rev().map(|(number, found)| (found.key, number)).collect();
    for (number, handle) in names(&recorder.found, arguments) {
        let tensor = handle.tensor();
        if tensor.node.id >= recorder.first {
            let result = effects.result(&tensor);
            effects.writes.push((number, result));
        } else if tensor.key() != recorder.found[number].key {
            return Err(refuse(
                "compile: a tensor was given a value computed before the call. Assign a copy, as in x + 0.",
            ));
        }
    }
    for (number, used) in recorder.slots.iter().enumerate().filter(|(_, used)| used.written) {
        let result = match used.slot.get().map(|handle| handle.tensor()) {
            None => None,
            Some(tensor) if tensor.node.id >= recorder.first => Some(effects.result(&tensor)),
            Some(_) => {
                return Err(refuse(
                    "compile: a .grad was set to a tensor computed before the call. Compute it in the function.",
                ));
            }
        };
        effects.slots.push((number, result));
    }
    for handle in handles {
        let tensor = handle.tensor();
        let slot = recorder.slots.iter().find(|used| used.slot.get().is_some_and(|grad| grad.id() == handle.id()));
        let place = if let Some(used) = slot {
            program::Returned::Gradient(used.slot.clone())
        } else if let Some(slot) = recorder.held_by(handle) {
            program::Returned::Held(slot.clone())
        } else if tensor.node.id >= recorder.first {
            program::Returned::Result(effects.result(&tensor))
        } else {
            let number = old.get(&tensor.key()).copied();
            program::Returned::Name(
                number.ok_or_else(|| refuse("compile: the function returns a tensor that it never read."))?,
            )
        };
        effects.returned.push(place);
    }
    Ok(effects)
}

/// Whether a replay could do all but leave results that can still be differentiated, and whether there are such.
fn check(recorder: &Recorder, effects: &Effects) -> Result<bool> {
    for tensor in &effects.results {
        if tensor.device() != effects.results[0].device() {
            return Err(moves());
        }
    }
    match stray(recorder, effects) {
        Some(tensor) => Err(refuse(format!(
            "compile: a tensor of shape {} made in the function outlives it, but is not returned. Return it, or write it into a \
             tensor made outside with .assign().",
            tensor.shape()
        ))),
        None => Ok(effects.results.iter().any(is_open)),
    }
}

/// Whether a result can still be differentiated.
fn is_open(tensor: &Tensor) -> bool {
    tensor.node.history() == History::Recorded && tensor.node.slot.is_none()
}

/// A tensor made in the call that somebody still holds, though it is no effect of the call.
fn stray(recorder: &Recorder, effects: &Effects) -> Option<Tensor> {
    let held = recorder.born.iter().filter_map(|born| Some(born.upgrade()?.tensor()));
    held.into_iter().find(|tensor| tensor.node.id >= recorder.first && !effects.number.contains_key(&tensor.key()))
}

/// Whether a tensor made in the call is still held by somebody who neither returns nor writes it: perhaps by garbage.
pub fn has_stray(recorder: &Recorder, arguments: &[Handle], returned: &[Handle]) -> bool {
    effects(recorder, arguments, returned).is_ok_and(|effects| stray(recorder, &effects).is_some())
}

/// Undoes what an evaluation that failed was to write: the tensors of these handles, noted before they were rebound.
#[derive(Debug)]
pub struct Rollback(Vec<(Handle, graph::WeakTensor)>);

impl Rollback {
    /// Notes what the handles name now, without keeping it alive.
    pub fn new(handles: impl IntoIterator<Item = Handle>) -> Self {
        Self(handles.into_iter().map(|handle| (handle.clone(), handle.tensor().downgrade())).collect())
    }

    /// Names the old tensors again, as far as a pending evaluation still holds them.
    pub fn restore(&self) {
        for (handle, before) in &self.0 {
            if let Some(before) = before.upgrade() {
                handle.rebind(before);
            }
        }
    }
}

/// The device of a program that computes nothing.
const NOWHERE: Device = Device::Cpu;
