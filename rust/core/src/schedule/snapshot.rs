//! The pending graph below some tensors, frozen: nodes in order, leaves, what must be in memory afterwards, the plan key.
//! Depends on `graph`. Invariant: equal keys mean equal plans; everything that may differ between equal keys is a slot or a binding.

use std::sync::Arc;

use smallvec::SmallVec;

use super::Options;
use crate::backend::Memory;
use crate::graph::{History, Key, Kind, Lowering, Node, Storage, Tensor, View};
use crate::group::Linear;
use crate::layout::{Layout, Strides};

/// Where an operand comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// A tensor that has its value.
    Leaf(usize),
    /// An output of a pending node.
    Entry(usize, usize),
}

/// Entries for which a snapshot that is done keeps its memory.
const KEPT_ENTRIES: usize = 4096;

/// A pending node.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) node: Arc<Node>,
    pub(super) inputs: SmallVec<[Source; 2]>,
    /// Inputs that serve the gradient only, as far as they are part of the graph.
    pub(super) gradient_inputs: SmallVec<[Source; 2]>,
    /// What the node's was when it was met.
    pub(super) history: History,
    /// First of the op's slots.
    pub(super) slots: usize,
    /// References from other entries.
    pub(super) edges: usize,
}

/// A tensor that has its value.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) tensor: Tensor,
    /// Leaves of the same buffer share this number.
    pub(super) buffer: usize,
    /// Whether a result may take over the buffer: nobody but this evaluation can see it.
    pub(super) donatable: bool,
    /// References from entries.
    pub(super) edges: usize,
}

impl Leaf {
    pub(super) fn storage(&self) -> &Storage {
        self.tensor.storage().expect("leaves have their value")
    }
}

/// The frozen graph.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub(super) entries: Vec<Entry>,
    pub(super) leaves: Vec<Leaf>,
    /// Entry outputs that need memory of their own afterwards, in the order of the plan's outputs.
    pub(super) outputs: Vec<(usize, usize)>,
    /// Views that get their value from their input's, inputs first.
    pub(super) views: Vec<usize>,
    /// Structure.
    pub key: Key,
    /// Run-time numbers of all ops, in order.
    pub slots: Vec<u64>,
}

impl Snapshot {
    /// The same memory for another graph, unless this one was huge.
    pub fn recycle(mut self) -> Self {
        if self.entries.capacity() > KEPT_ENTRIES {
            return Self::default();
        }
        self.entries.clear();
        self.leaves.clear();
        self.outputs.clear();
        self.views.clear();
        self.key.0.clear();
        self.slots.clear();
        self
    }

    /// The leaves' memory, in the order of the plan's inputs.
    pub fn leaves(&self) -> impl Iterator<Item = &Storage> {
        self.leaves.iter().map(Leaf::storage)
    }

    /// The tensors that are there already, in the order of the plan's inputs; and whether a result may take over their memory.
    pub fn inputs(&self) -> impl Iterator<Item = (&Tensor, bool)> {
        self.leaves.iter().map(|leaf| (&leaf.tensor, leaf.donatable))
    }

    /// The pending nodes with the first of their slots.
    pub fn nodes(&self) -> impl Iterator<Item = (&Node, usize)> {
        self.entries.iter().map(|entry| (&*entry.node, entry.slots))
    }

    /// Where a tensor asked for will lie: in a leaf or a result, at which strides, and where its first element is.
    pub fn window(&self, tensor: &Tensor) -> Option<(Result<usize, usize>, Strides, Linear)> {
        let entry = self.entries.iter().position(|entry| entry.node.id == tensor.node.id)?;
        let own = Source::Entry(entry, tensor.output);
        let result = |source: Source| match source {
            Source::Entry(entry, output) => self.outputs.iter().position(|&known| known == (entry, output)),
            Source::Leaf(_) => None,
        };
        if let Some(result) = result(own) {
            return Some((Ok(result), tensor.shape().strides(), Linear::default()));
        }
        let window = super::strided::Strided::of(self, own)?;
        let place = match window.base {
            Source::Leaf(leaf) => Err(leaf),
            base => Ok(result(base)?),
        };
        Some((place, window.strides, window.offset))
    }

    /// Gives the results of a run to their nodes, and views of them to theirs; forgets what is spent.
    pub fn publish(&self, results: &[Memory]) {
        for (&(entry, output), (buffer, _)) in self.outputs.iter().zip(results) {
            let node = &self.entries[entry].node;
            let layout = Layout::contiguous(node.outputs[output].meta.shape.clone());
            node.set_value(output, Storage { buffer: buffer.clone(), layout });
        }
        for &entry in &self.views {
            let node = &self.entries[entry].node;
            let value = node.with_inputs(|inputs| {
                let storage = inputs.first()?.storage()?;
                let layout = self.view(entry)?.layout(&storage.layout, &node.outputs[0].meta.shape)?;
                Some(Storage { buffer: storage.buffer.clone(), layout })
            });
            if let Some(storage) = value {
                node.set_value(0, storage);
            }
        }
        for entry in &self.entries {
            entry.node.drop_spent_inputs();
        }
    }

    /// Number of the module path in which the n-th entry was born.
    pub fn scope(&self, entry: usize) -> u32 {
        self.entries[entry].node.scope
    }

    /// The view that an entry is, if it is one.
    pub(super) fn view(&self, entry: usize) -> Option<View> {
        if self.entries[entry].node.kind != Kind::View {
            return None;
        }
        match self.lowering(entry) {
            Lowering::View(view) => Some(view),
            _ => None,
        }
    }

    /// What an entry is to the planner.
    pub(super) fn lowering(&self, entry: usize) -> Lowering {
        self.entries[entry].node.op.as_ref().expect("pending nodes have an op").lower()
    }

    /// Outputs that are strided views get their value from their base, which becomes an output in their place.
    pub(super) fn separate_views(&mut self, wanted: &[(usize, usize)]) {
        let (mut outputs, mut views) = (std::mem::take(&mut self.outputs), std::mem::take(&mut self.views));
        for &(entry, output) in wanted {
            let mut source = Source::Entry(entry, output);
            if let Source::Entry(..) = source
                && self.view(entry).is_some()
                && super::strided::Strided::of(self, source).is_some()
            {
                while let Source::Entry(entry, _) = source
                    && self.view(entry).is_some()
                {
                    views.push(entry);
                    source = self.entries[entry].inputs[0];
                }
            }
            if let Source::Entry(entry, output) = source {
                outputs.push((entry, output));
            }
        }
        outputs.sort_unstable();
        outputs.dedup();
        views.sort_unstable();
        views.dedup();
        (self.outputs, self.views) = (outputs, views);
    }

    /// Shape and dtype of a source.
    pub(super) fn meta(&self, source: Source) -> &crate::graph::Meta {
        match source {
            Source::Leaf(leaf) => self.leaves[leaf].tensor.meta(),
            Source::Entry(entry, output) => &self.entries[entry].node.outputs[output].meta,
        }
    }

    /// Writes down all that the plan depends on.
    pub(super) fn write_key(&mut self, options: Options) {
        let mut key = std::mem::take(&mut self.key);
        key.number(u64::from(options.fuse));
        key.number(self.leaves.len() as u64);
        for leaf in &self.leaves {
            let layout = &leaf.storage().layout;
            key.number(leaf.tensor.dtype() as u64);
            key.list(&layout.shape, |size| size as u64);
            for &stride in &layout.strides {
                key.number(((stride << 1) ^ (stride >> 63)) as u64);
            }
            key.number(leaf.buffer as u64);
            key.number(u64::from(leaf.donatable));
        }
        for entry in &self.entries {
            let op = entry.node.op.as_ref().expect("pending nodes have an op");
            key.text(op.name());
            op.key(&mut key);
            for output in &entry.node.outputs {
                key.number(output.meta.dtype as u64);
                key.list(&output.meta.shape, |size| size as u64);
            }
            for &input in &entry.inputs {
                match input {
                    Source::Leaf(leaf) => key.number(leaf as u64 * 2),
                    Source::Entry(entry, output) => {
                        key.number(entry as u64 * 2 + 1);
                        key.number(output as u64);
                    }
                }
            }
        }
        for &(entry, output) in &self.outputs {
            key.number(entry as u64);
            key.number(output as u64);
        }
        self.key = key;
    }
}
