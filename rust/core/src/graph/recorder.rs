//! Watches one thread while a function is recorded: which handles and gradient slots it reads and writes, in what state it found them.
//! Depends on `handle` and `node`. Invariant: watching holds names, never values, so that recorded memory can still be reused in place.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::handle::{Handle, WeakHandle};
use super::node::{Tensor, WeakTensor, next_id};
use super::op::Meta;
use super::slot::GradSlot;

thread_local! {
    static ACTIVE: Cell<bool> = const { Cell::new(false) };
    static RECORDER: RefCell<Option<Recorder>> = const { RefCell::new(None) };
}

/// A number that Python may set between the runs of a recording: a rate, a correction. Weak beside tensors, as Python's floats are.
#[derive(Debug, Default)]
pub struct Variable(AtomicU64);

impl Variable {
    /// A variable of that value.
    pub fn new(value: f64) -> Self {
        Self(AtomicU64::new(value.to_bits()))
    }
    /// Its value now.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
    /// Changes it: for what is built, and what is replayed, from now on.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }
}

/// A name through which a recorded function reaches a tensor from outside.
#[derive(Clone, Debug)]
pub enum Origin {
    /// An argument of the call.
    Argument(usize),
    /// A tensor that the function knows: a parameter, a buffer, the state of an optimiser.
    Handle(Handle),
    /// The gradient gathered in a leaf's slot, and the handle that it had.
    Gradient(Arc<GradSlot>, WeakHandle),
}

/// What was found under a name when it was first used.
#[derive(Clone, Debug)]
pub struct Found {
    /// The name.
    pub origin: Origin,
    /// The tensor, by node and output.
    pub key: (u64, usize),
    /// The same, as long as somebody holds it.
    pub before: WeakTensor,
    /// Its shape and dtype.
    pub meta: Meta,
    /// Whether gradients flow into it.
    pub requires_grad: bool,
    /// Where its gradient is gathered.
    pub slot: Option<Arc<GradSlot>>,
    /// Whether the name was given to another tensor.
    pub rebound: bool,
}

/// What became of a gradient slot.
#[derive(Clone, Debug)]
pub struct SlotUse {
    /// The slot.
    pub slot: Arc<GradSlot>,
    /// Whether it held a gradient when first read; `None` where it was written first.
    pub held: Option<bool>,
    /// Whether it was written.
    pub written: bool,
}

/// Everything noted so far.
#[derive(Debug, Default)]
pub struct Recorder {
    /// Nodes from this number on are of the recording.
    pub first: u64,
    /// Names from outside, in order of first use.
    pub found: Vec<Found>,
    /// Gradient slots used.
    pub slots: Vec<SlotUse>,
    /// Nodes whose number comes from a variable.
    pub variables: Vec<(u64, Arc<Variable>)>,
    /// Names whose tensors were still to be computed.
    pub pending: Vec<Handle>,
    /// Handles made meanwhile.
    pub born: Vec<WeakHandle>,
    /// Their numbers: a name made meanwhile for a tensor from outside is no name from outside.
    inside: HashSet<usize>,
    known: HashMap<usize, usize>,
    gradients: HashMap<usize, Arc<GradSlot>>,
}

/// Whether this thread records.
pub fn recording() -> bool {
    ACTIVE.get()
}

/// Starts to watch this thread; `arguments` are the tensors of the call.
pub fn start_recording(arguments: &[Handle]) {
    let mut recorder = Recorder { first: next_id(), ..Recorder::default() };
    for (number, handle) in arguments.iter().enumerate() {
        if !recorder.known.contains_key(&handle.id()) {
            recorder.add(handle.id(), Origin::Argument(number), &handle.tensor());
        }
    }
    RECORDER.set(Some(recorder));
    ACTIVE.set(true);
}

/// Ends the watch; what was noted.
pub fn stop_recording() -> Option<Recorder> {
    ACTIVE.set(false);
    RECORDER.take()
}

fn note(body: impl FnOnce(&mut Recorder)) {
    // Freeing what is noted may come back here; the watch is not for that.
    RECORDER.with(|cell| {
        if let Ok(mut recorder) = cell.try_borrow_mut()
            && let Some(recorder) = recorder.as_mut()
        {
            body(recorder);
        }
    });
}

impl Recorder {
    fn add(&mut self, id: usize, origin: Origin, tensor: &Tensor) -> usize {
        self.known.insert(id, self.found.len());
        self.found.push(Found {
            origin,
            key: tensor.key(),
            before: tensor.downgrade(),
            meta: tensor.meta().clone(),
            requires_grad: tensor.requires_grad(),
            slot: tensor.node.slot.clone(),
            rebound: false,
        });
        self.found.len() - 1
    }

    /// The number of a name that names, or named, a tensor from outside.
    fn meet(&mut self, handle: &Handle, tensor: &Tensor) -> Option<usize> {
        if let Some(&number) = self.known.get(&handle.id()) {
            return Some(number);
        }
        if tensor.node.id >= self.first || self.inside.contains(&handle.id()) {
            return None;
        }
        let origin = match self.gradients.get(&handle.id()) {
            Some(slot) => Origin::Gradient(slot.clone(), handle.downgrade()),
            None => Origin::Handle(handle.clone()),
        };
        if tensor.storage().is_none() {
            self.pending.push(handle.clone());
        }
        Some(self.add(handle.id(), origin, tensor))
    }

    /// The slot that held this handle when it was first read.
    pub fn held_by(&self, handle: &Handle) -> Option<&Arc<GradSlot>> {
        self.gradients.get(&handle.id())
    }

    fn slot(&mut self, slot: &Arc<GradSlot>) -> Option<&mut SlotUse> {
        self.slots.iter_mut().find(|known| Arc::ptr_eq(&known.slot, slot))
    }
}

/// A handle was made.
pub(super) fn note_born(handle: &Handle) {
    note(|recorder| {
        recorder.born.push(handle.downgrade());
        recorder.inside.insert(handle.id());
    });
}

/// A handle was read.
pub(super) fn note_read(handle: &Handle, tensor: &Tensor) {
    note(|recorder| {
        recorder.meet(handle, tensor);
    });
}

/// A handle is given another tensor than `old`.
pub(super) fn note_rebound(handle: &Handle, old: &Tensor) {
    note(|recorder| {
        if let Some(number) = recorder.meet(handle, old) {
            recorder.found[number].rebound = true;
        }
    });
}

/// A slot was read.
pub(super) fn note_slot_read(slot: &Arc<GradSlot>, grad: Option<&Handle>) {
    note(|recorder| {
        if recorder.slot(slot).is_none() {
            recorder.slots.push(SlotUse { slot: slot.clone(), held: Some(grad.is_some()), written: false });
            if let Some(grad) = grad {
                recorder.gradients.insert(grad.id(), slot.clone());
            }
        }
    });
}

/// A slot was written.
pub(super) fn note_slot_written(slot: &Arc<GradSlot>) {
    note(|recorder| match recorder.slot(slot) {
        Some(known) => known.written = true,
        None => recorder.slots.push(SlotUse { slot: slot.clone(), held: None, written: true }),
    });
}

/// The node of that number holds a variable's value.
pub fn note_variable(node: u64, variable: &Arc<Variable>) {
    note(|recorder| recorder.variables.push((node, variable.clone())));
}
