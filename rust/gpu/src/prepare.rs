//! Kernels made ready once: lowered to launches, compiled. Depends on `pipeline` and the core's printer.
//! Invariant: a prepared kernel holds no buffer and no number that a run decides.

use std::sync::Arc;

use adret_core::error::{Error, Result};
use adret_core::group::Linear;
use adret_core::plan::{Candidate, Caps, Kernel, Launch, Parameter};
use adret_core::wgsl::lower;

use crate::pipeline::{Pipeline, Pipelines};

/// A kernel as its launches.
#[derive(Debug)]
pub(crate) struct Ready {
    /// The device that compiled it.
    owner: Arc<Pipelines>,
    pub(crate) launches: Vec<(Launch, Arc<Pipeline>)>,
    /// Bytes of temporaries that live during the kernel alone.
    pub(crate) scratch: Vec<usize>,
}

impl Ready {
    fn new(kernel: &Kernel, caps: &Caps, pipelines: &Arc<Pipelines>) -> Result<Ready> {
        let best: Candidate = lower(kernel, caps)?
            .into_iter()
            .next()
            .ok_or_else(|| Error::internal("gpu: a kernel has no shader. Please report this."))?;
        let launches = best
            .launches
            .into_iter()
            .map(|launch| pipelines.get(&launch, 0).map(|pipeline| (launch, pipeline)))
            .collect::<Result<_>>()?;
        Ok(Ready { owner: Arc::clone(pipelines), launches, scratch: best.temporaries })
    }
}

/// Either kept beside the kernel or plan, or made for one run.
pub(crate) enum Lease<'a, T> {
    Kept(&'a T),
    Own(T),
}

impl<T> std::ops::Deref for Lease<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Lease::Kept(kept) => kept,
            Lease::Own(own) => own,
        }
    }
}

/// The kernel's launches, from its first run on this device on without work.
///
/// # Errors
/// When the kernel has no shader, or the driver cannot compile it.
pub(crate) fn ready<'a>(kernel: &'a Kernel, caps: &Caps, pipelines: &Arc<Pipelines>) -> Result<Lease<'a, Ready>> {
    let make = || Ready::new(kernel, caps, pipelines);
    match kernel.prepared.get_or_make::<Result<Ready>>(make) {
        Some(Ok(ready)) if Arc::ptr_eq(&ready.owner, pipelines) => Ok(Lease::Kept(ready)),
        // Made by another device, or failed before: failures such as exhausted memory may pass.
        _ => make().map(Lease::Own),
    }
}

/// Appends the words of a launch, as bytes. `start` gives the element where an argument's binding points; `checks` is where the launch's first
/// check reports.
///
/// # Errors
/// When a number exceeds 32 bits.
pub(crate) fn words(
    launch: &Launch,
    slots: &[u64],
    start: &dyn Fn(usize) -> isize,
    checks: u32,
    words: &mut Vec<u8>,
) -> Result<()> {
    for parameter in &launch.parameters {
        words.extend_from_slice(&word(parameter, slots, start, checks)?.to_le_bytes());
    }
    Ok(())
}

/// Whether the words that the launch wants as multiples of four are such.
///
/// # Errors
/// When a number exceeds 32 bits.
pub(crate) fn aligned(launch: &Launch, slots: &[u64], start: &dyn Fn(usize) -> isize) -> Result<bool> {
    for &number in &launch.aligned {
        if word(&launch.parameters[number], slots, start, 0)? % 4 != 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

fn word(parameter: &Parameter, slots: &[u64], start: &dyn Fn(usize) -> isize, checks: u32) -> Result<u32> {
    let signed = |number: i64| {
        i32::try_from(number).map(|number| number as u32).map_err(|_| {
            Error::value(format!("gpu: the number {number} exceeds the 32 bits that kernels count with. Use the CPU."))
        })
    };
    let linear = |linear: &Linear| linear.resolve(slots);
    Ok(match parameter {
        Parameter::Word(word) => *word,
        Parameter::Linear(number) => signed(linear(number))?,
        Parameter::Checks => checks,
        Parameter::SlotLow(slot) => slots[*slot] as u32,
        Parameter::SlotHigh(slot) => (slots[*slot] >> 32) as u32,
        Parameter::Element { argument, index } => signed(start(*argument) as i64 + linear(index))?,
    })
}
