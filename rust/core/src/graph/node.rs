//! Nodes and the tensors that point at them.
//! Depends on `op` and `backend`. Invariant: a node's value, once set, never changes; inputs are dropped when neither value nor gradient needs them.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::mark::Mark;
use super::op::{Kind, Meta, Op};
use super::slot::GradSlot;
use crate::backend::{BufferRef, Device};
use crate::dtype::DType;
use crate::layout::Layout;
use crate::shape::Shape;

/// A computed value: a buffer and where the elements lie in it.
#[derive(Clone, Debug)]
pub struct Storage {
    /// Memory.
    pub buffer: BufferRef,
    /// Place of the elements, counted from the buffer's start.
    pub layout: Layout,
}

/// Whether a node can be differentiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// Not recorded: no input required a gradient, or recording was off.
    None,
    /// Recorded.
    Recorded,
    /// Recorded, then used up by a backward pass.
    Released,
}

/// One result of a node.
#[derive(Debug)]
pub struct Output {
    /// Shape and dtype.
    pub meta: Meta,
    /// The value, once computed.
    pub storage: OnceLock<Storage>,
    /// The place of a value that an evaluation reads.
    pub place: Mark,
    /// Number of live handles.
    pub(super) live: AtomicU32,
}

/// What changes in a node's life.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) inputs: SmallVec<[Tensor; 2]>,
    pub(super) history: History,
    /// Slots of outputs that hooks watch or whose gradient is retained, though the node is no leaf.
    watched: Vec<(usize, Arc<GradSlot>)>,
}

/// An operation applied to inputs, or a leaf.
pub struct Node {
    /// Grows with time of birth: inputs are older than their users.
    pub id: u64,
    /// `None` for leaves.
    pub op: Option<Box<dyn Op>>,
    /// The op's sort; `Cheap` for leaves.
    pub kind: Kind,
    /// Its place in the graph that an evaluation walks.
    pub place: Mark,
    /// Where it is computed and lives.
    pub device: Device,
    /// The module path in force at its birth, see `mode`.
    pub scope: u32,
    /// Results.
    pub outputs: SmallVec<[Output; 1]>,
    /// The gradient slot that makes this node a differentiable leaf.
    pub slot: Option<Arc<GradSlot>>,
    pub(super) registered: AtomicBool,
    counted: AtomicBool,
    pub(super) links: Mutex<Links>,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

pub(super) static PENDING: AtomicUsize = AtomicUsize::new(0);

/// Nodes born from now on have at least this number.
pub fn next_id() -> u64 {
    NEXT_ID.load(Ordering::Relaxed)
}

impl Node {
    /// A node; counted as pending where it has an op that computes.
    pub(super) fn new(
        op: Option<(Box<dyn Op>, Kind)>,
        inputs: SmallVec<[Tensor; 2]>,
        metas: SmallVec<[Meta; 1]>,
        device: Device,
        history: History,
        slot: Option<Arc<GradSlot>>,
    ) -> Self {
        let (op, kind) = op.map_or((None, Kind::Cheap), |(op, kind)| (Some(op), kind));
        // What nothing computes waits for nothing.
        let counted = op.as_ref().is_some_and(|op| inputs.is_empty() || op.computed_inputs(inputs.len()) > 0);
        if counted {
            PENDING.fetch_add(1, Ordering::Relaxed);
        }
        let output = |meta| Output { meta, storage: OnceLock::new(), place: Mark::default(), live: AtomicU32::new(0) };
        let outputs = metas.into_iter().map(output).collect();
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            op,
            kind,
            place: Mark::default(),
            device,
            scope: super::mode::current_scope(),
            outputs,
            slot,
            registered: AtomicBool::new(false),
            counted: AtomicBool::new(counted),
            links: Mutex::new(Links { inputs, history, watched: Vec::new() }),
        }
    }

    /// Whether every output has its value.
    pub fn is_ready(&self) -> bool {
        self.outputs.iter().all(|output| output.storage.get().is_some())
    }

    /// Gives output `output` its value, unless it has one.
    pub fn set_value(&self, output: usize, storage: Storage) {
        let _ = self.outputs[output].storage.set(storage);
        if self.is_ready() && self.counted.swap(false, Ordering::AcqRel) {
            PENDING.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The inputs, as long as they are kept.
    pub fn inputs(&self) -> SmallVec<[Tensor; 2]> {
        self.links.lock().inputs.clone()
    }

    /// Calls `f` with the inputs, without cloning them. `f` must not touch this node's links.
    pub fn with_inputs<T>(&self, f: impl FnOnce(&[Tensor]) -> T) -> T {
        f(&self.links.lock().inputs)
    }

    /// Calls `f` with the inputs that the value is computed from, those that serve its gradient only, and the history.
    pub fn with_links<T>(&self, f: impl FnOnce(&[Tensor], &[Tensor], History) -> T) -> T {
        let links = self.links.lock();
        let computed = self.op.as_ref().map_or(0, |op| op.computed_inputs(links.inputs.len()));
        let (computed, others) = links.inputs.split_at(computed.min(links.inputs.len()));
        f(computed, others, links.history)
    }

    /// Whether it can be differentiated.
    pub fn history(&self) -> History {
        self.links.lock().history
    }

    /// Whether output `output` has a live handle.
    pub fn is_live(&self, output: usize) -> bool {
        self.outputs[output].live.load(Ordering::Acquire) > 0
    }

    /// Ends differentiability; drops hooks, and the inputs that the value does not need any more.
    pub fn release_history(&self) {
        let ready = self.is_ready();
        let mut links = self.links.lock();
        if links.history == History::Recorded {
            links.history = History::Released;
        }
        let needed = match &self.op {
            Some(op) if !ready => op.computed_inputs(links.inputs.len()),
            _ => 0,
        };
        let dropped: SmallVec<[Tensor; 2]> = links.inputs.drain(needed..).collect();
        let watched: Vec<Arc<GradSlot>> = links.watched.iter().map(|(_, slot)| slot.clone()).collect();
        drop(links);
        drop(dropped);
        watched.iter().for_each(|slot| slot.clear_hooks());
    }

    /// The slot of an output: the leaf's, or that of a watched result.
    pub fn slot_of(&self, output: usize) -> Option<Arc<GradSlot>> {
        if self.slot.is_some() {
            return self.slot.clone();
        }
        let links = self.links.lock();
        links.watched.iter().find(|(watched, _)| *watched == output).map(|(_, slot)| slot.clone())
    }

    /// The slot of an output, made where there is none.
    pub fn watch(&self, output: usize) -> Arc<GradSlot> {
        if let Some(slot) = &self.slot {
            return slot.clone();
        }
        let mut links = self.links.lock();
        let watched = &mut links.watched;
        if let Some((_, slot)) = watched.iter().find(|(other, _)| *other == output) {
            return slot.clone();
        }
        let slot = Arc::<GradSlot>::default();
        watched.push((output, slot.clone()));
        slot
    }

    /// Drops the inputs of a node that has its value and no gradient to give.
    pub fn drop_spent_inputs(&self) {
        if !self.is_ready() {
            return;
        }
        let mut links = self.links.lock();
        let dropped =
            if links.history == History::Recorded { SmallVec::new() } else { std::mem::take(&mut links.inputs) };
        drop(links);
        drop(dropped);
    }
}

impl Drop for Node {
    /// Frees chains of any length without recursion.
    fn drop(&mut self) {
        if *self.counted.get_mut() {
            PENDING.fetch_sub(1, Ordering::Relaxed);
        }
        let mut stack: Vec<Tensor> = self.links.get_mut().inputs.drain(..).collect();
        while let Some(tensor) = stack.pop() {
            if let Some(mut node) = Arc::into_inner(tensor.node) {
                stack.extend(node.links.get_mut().inputs.drain(..));
            }
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.op.as_ref().map_or("leaf", |op| op.name());
        write!(f, "#{} {name} {:?}", self.id, self.outputs.iter().map(|o| &o.meta).collect::<Vec<_>>())
    }
}

/// A value of the graph: one output of a node. Cheap to clone; never changes.
#[derive(Clone)]
pub struct Tensor {
    /// The node that computes it.
    pub node: Arc<Node>,
    /// Which of the node's outputs.
    pub output: usize,
}

impl Tensor {
    /// Sizes.
    pub fn shape(&self) -> &Shape {
        &self.meta().shape
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.meta().dtype
    }

    /// Shape and dtype.
    pub fn meta(&self) -> &Meta {
        &self.node.outputs[self.output].meta
    }

    /// Where it lives.
    pub fn device(&self) -> Device {
        self.node.device
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.shape().rank()
    }

    /// The value, where it is computed.
    pub fn storage(&self) -> Option<&Storage> {
        self.node.outputs[self.output].storage.get()
    }

    /// Whether gradients flow into it.
    pub fn requires_grad(&self) -> bool {
        self.dtype().is_float() && (self.node.slot.is_some() || self.node.history() != History::None)
    }

    /// Whether it is a differentiable leaf or does not require a gradient.
    pub fn is_leaf(&self) -> bool {
        self.node.slot.is_some() || !self.requires_grad()
    }

    /// The tensor without keeping it alive.
    pub fn downgrade(&self) -> WeakTensor {
        WeakTensor { node: Arc::downgrade(&self.node), output: self.output }
    }

    /// Identifies the value: node and output.
    pub fn key(&self) -> (u64, usize) {
        (self.node.id, self.output)
    }
}

/// A tensor that is not kept alive.
#[derive(Clone)]
pub struct WeakTensor {
    node: Weak<Node>,
    output: usize,
}

impl WeakTensor {
    /// The tensor, as long as somebody holds it.
    pub fn upgrade(&self) -> Option<Tensor> {
        Some(Tensor { node: self.node.upgrade()?, output: self.output })
    }
}

impl fmt::Debug for WeakTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakTensor")
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}.{}", self.node, self.output)
    }
}
