//! The pending graph below some tensors, frozen: nodes in order, leaves, what must be in memory afterwards, the plan key.
//! Depends on `graph`. Invariant: equal keys mean equal plans; everything that may differ between equal keys is a slot or a binding.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use smallvec::SmallVec;

use super::Options;
use crate::backend::{BufferRef, Device};
use crate::graph::{History, Key, Lowering, Node, Storage, Tensor, View};
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

/// A pending node.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) node: Arc<Node>,
    pub(super) inputs: SmallVec<[Source; 2]>,
    /// Inputs that serve the gradient only, as far as they are part of the graph.
    gradient_inputs: SmallVec<[Source; 2]>,
    /// First of the op's slots.
    pub(super) slots: usize,
    /// References from other entries.
    edges: usize,
}

/// A tensor that has its value.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) tensor: Tensor,
    /// Leaves of the same buffer share this number.
    pub(super) buffer: usize,
    /// Whether a result may take over the buffer: nobody but this evaluation can see it.
    pub(super) donatable: bool,
    edges: usize,
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
    views: Vec<usize>,
    /// Structure.
    pub key: Key,
    /// Run-time numbers of all ops, in order.
    pub slots: Vec<u64>,
}

/// Hashes node ids, which are distinct already.
#[derive(Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, _: &[u8]) {
        unreachable!("ids are hashed as numbers")
    }
    fn write_u64(&mut self, id: u64) {
        self.0 = self.0.rotate_left(17) ^ id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    fn write_usize(&mut self, index: usize) {
        self.write_u64(index as u64);
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// What a walk found.
pub enum Walk {
    /// A graph to plan.
    Graph(Snapshot),
    /// Pending transfers from other devices that must come first.
    Transfers(Vec<Tensor>),
}

struct Walker {
    device: Device,
    snapshot: Snapshot,
    /// Nodes met, with the inputs that their values depend on.
    met: Vec<(Arc<Node>, SmallVec<[Tensor; 2]>)>,
    /// Of the nodes met, `usize::MAX` until they are in order.
    entry_of: IdMap<u64, usize>,
    leaf_of: IdMap<(u64, usize), usize>,
    transfers: Vec<Tensor>,
}

impl Snapshot {
    /// Walks from `targets` (pending, of one device), and from every tensor of `live` that shares a pending node with them.
    pub fn walk(targets: &[Tensor], live: &[Tensor], device: Device, options: Options) -> Walk {
        let mut walker = Walker {
            device,
            snapshot: Snapshot::default(),
            met: Vec::new(),
            entry_of: IdMap::default(),
            leaf_of: IdMap::default(),
            transfers: Vec::new(),
        };
        let mut wanted: Vec<Tensor> = targets.to_vec();
        for target in targets {
            walker.visit(&target.node);
        }
        if walker.transfers.is_empty() {
            walker.join_live(live, &mut wanted);
        }
        if !walker.transfers.is_empty() {
            return Walk::Transfers(walker.transfers);
        }
        walker.enter();
        walker.finish(&wanted, options);
        Walk::Graph(walker.snapshot)
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
    pub fn publish(&self, results: Vec<BufferRef>) {
        for (&(entry, output), buffer) in self.outputs.iter().zip(results) {
            let node = &self.entries[entry].node;
            let layout = Layout::contiguous(node.outputs[output].meta.shape.clone());
            node.set_value(output, Storage { buffer, layout });
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
        match self.lowering(entry) {
            Lowering::View(view) => Some(view),
            _ => None,
        }
    }

    /// What an entry is to the planner.
    pub(super) fn lowering(&self, entry: usize) -> Lowering {
        self.entries[entry].node.op.as_ref().expect("pending nodes have an op").lower()
    }
}

impl Walker {
    /// Adds a node and everything pending below it, inputs first, without recursion.
    fn visit(&mut self, root: &Arc<Node>) {
        if self.entry_of.contains_key(&root.id) || root.is_ready() {
            return;
        }
        if is_transfer(root) {
            self.transfers.push(Tensor { node: root.clone(), output: 0 });
            return;
        }
        let mut stack: Vec<(Arc<Node>, SmallVec<[Tensor; 2]>, usize)> = vec![open(root)];
        while let Some((_, inputs, next)) = stack.last_mut() {
            if let Some(input) = inputs.get(*next) {
                *next += 1;
                let input_node = input.node.clone();
                if input.storage().is_none() && !self.entry_of.contains_key(&input_node.id) {
                    if input_node.device != self.device || is_transfer(&input_node) {
                        self.transfers.push(input.clone());
                        continue;
                    }
                    stack.push(open(&input_node));
                }
                continue;
            }
            let (node, inputs, _) = stack.pop().expect("the loop saw it");
            // Noted even where transfers come first and nothing is planned yet: nodes that many share are met once.
            if self.entry_of.insert(node.id, usize::MAX).is_none() {
                self.met.push((node, inputs));
            }
        }
    }

    /// Makes entries of the nodes, in the order of their birth: that of the user's program, in which what is computed
    /// late is needed late, so that a gradient does not wait for its use while everything that it reads is kept.
    fn enter(&mut self) {
        let mut met = std::mem::take(&mut self.met);
        met.sort_unstable_by_key(|(node, _)| node.id);
        for (index, (node, inputs)) in met.into_iter().enumerate() {
            let inputs = inputs.iter().map(|input| self.source(input)).collect();
            let slots = self.snapshot.slots.len();
            node.op.as_ref().expect("pending nodes have an op").slots(&mut self.snapshot.slots);
            self.entry_of.insert(node.id, index);
            self.snapshot.entries.push(Entry { node, inputs, gradient_inputs: SmallVec::new(), slots, edges: 0 });
        }
    }

    fn source(&mut self, tensor: &Tensor) -> Source {
        if let Some(&entry) = self.entry_of.get(&tensor.node.id) {
            self.snapshot.entries[entry].edges += 1;
            return Source::Entry(entry, tensor.output);
        }
        let leaves = &mut self.snapshot.leaves;
        let leaf = *self.leaf_of.entry(tensor.key()).or_insert_with(|| {
            leaves.push(Leaf { tensor: tensor.clone(), buffer: 0, donatable: false, edges: 0 });
            leaves.len() - 1
        });
        leaves[leaf].edges += 1;
        Source::Leaf(leaf)
    }

    /// Adds live tensors that share a pending node with what is there, until none is left.
    fn join_live(&mut self, live: &[Tensor], wanted: &mut Vec<Tensor>) {
        loop {
            let before = self.met.len();
            let mut apart: IdMap<u64, ()> = IdMap::default();
            let device = self.device;
            for tensor in live.iter().filter(|tensor| tensor.device() == device) {
                if self.touches(&tensor.node, &mut apart) {
                    self.visit(&tensor.node);
                    if !wanted.iter().any(|w| w.key() == tensor.key()) {
                        wanted.push(tensor.clone());
                    }
                }
            }
            if self.met.len() == before || !self.transfers.is_empty() {
                return;
            }
        }
    }

    /// Whether a pending node below `root` is among the entries; `apart` remembers nodes below which there is none.
    fn touches(&self, root: &Arc<Node>, apart: &mut IdMap<u64, ()>) -> bool {
        let mut stack = vec![root.clone()];
        let mut seen = Vec::new();
        let mut found = false;
        while let Some(node) = stack.pop() {
            if node.is_ready() || node.device != self.device || apart.contains_key(&node.id) {
                continue;
            }
            if self.entry_of.contains_key(&node.id) {
                found = true;
                continue;
            }
            apart.insert(node.id, ());
            seen.push(node.id);
            node.with_inputs(|inputs| stack.extend(inputs.iter().map(|input| input.node.clone())));
        }
        if found {
            for id in seen {
                apart.remove(&id);
            }
        }
        found
    }

    /// Decides what must be in memory afterwards and what may be overwritten, and writes the key.
    fn finish(&mut self, wanted: &[Tensor], options: Options) {
        let mut stored = vec![false; self.snapshot.entries.len()];
        let mut outputs: Vec<(usize, usize)> = Vec::new();
        for tensor in wanted {
            let entry = self.entry_of[&tensor.node.id];
            stored[entry] = true;
            outputs.push((entry, tensor.output));
        }
        // What VJPs will read: results that are dear to compute again.
        for (index, entry) in self.snapshot.entries.iter().enumerate() {
            if entry.node.history() == History::Recorded
                && let Some(op) = &entry.node.op
                && matches!(op.lower(), Lowering::Matmul | Lowering::Reduce { .. } | Lowering::Structured(_))
            {
                stored[index] = true;
                outputs.extend((0..entry.node.outputs.len()).map(|output| (index, output)));
            }
        }
        self.snapshot.separate_views(&outputs);
        for &(entry, _) in &self.snapshot.outputs {
            stored[entry] = true;
        }
        for &entry in &self.snapshot.views {
            stored[entry] = true;
        }
        self.count_gradient_inputs();
        self.mark_donatable(&stored);
        self.snapshot.write_key(options);
    }

    /// Inputs that serve a gradient only are references too: the run drops them, unless the gradient is still to come.
    fn count_gradient_inputs(&mut self) {
        for index in 0..self.snapshot.entries.len() {
            let node = self.snapshot.entries[index].node.clone();
            let computed = self.snapshot.entries[index].inputs.len();
            let found: SmallVec<[Source; 2]> = node.with_inputs(|inputs| {
                let beyond = inputs.get(computed..).unwrap_or_default();
                beyond.iter().filter_map(|input| self.known(input)).collect()
            });
            for &source in &found {
                match source {
                    Source::Entry(entry, _) => self.snapshot.entries[entry].edges += 1,
                    Source::Leaf(leaf) => self.snapshot.leaves[leaf].edges += 1,
                }
            }
            self.snapshot.entries[index].gradient_inputs = found;
        }
    }

    /// The tensor's place in the snapshot, if it has one.
    fn known(&self, tensor: &Tensor) -> Option<Source> {
        let entry = self.entry_of.get(&tensor.node.id).map(|&entry| Source::Entry(entry, tensor.output));
        entry.or_else(|| self.leaf_of.get(&tensor.key()).map(|&leaf| Source::Leaf(leaf)))
    }

    fn mark_donatable(&mut self, stored: &[bool]) {
        let snapshot = &mut self.snapshot;
        // From users to inputs: an entry that lives on without a value keeps what it needs.
        let mut kept = vec![false; snapshot.entries.len()];
        let mut free = vec![true; snapshot.leaves.len()];
        for index in (0..snapshot.entries.len()).rev() {
            let entry = &snapshot.entries[index];
            let held_outside = !stored[index] && Arc::strong_count(&entry.node) > entry.edges + 1;
            let keeps = entry.node.history() == History::Recorded || (!stored[index] && (kept[index] || held_outside));
            if keeps {
                for &input in entry.inputs.iter().chain(&entry.gradient_inputs) {
                    match input {
                        Source::Leaf(leaf) => free[leaf] = false,
                        Source::Entry(input, _) => kept[input] = true,
                    }
                }
            }
        }
        // A value that arrived from another device by itself: a view that gets its own value only now shares its memory.
        for &view in &snapshot.views {
            if let Source::Leaf(leaf) = snapshot.entries[view].inputs[0] {
                free[leaf] = false;
            }
        }
        let mut buffers: Vec<(*const (), usize, bool)> = Vec::new();
        for (leaf, free) in snapshot.leaves.iter_mut().zip(free) {
            let buffer = &leaf.tensor.storage().expect("leaves have their value").buffer;
            let address = Arc::as_ptr(buffer).cast::<()>();
            leaf.buffer = buffers.iter().position(|b| b.0 == address).unwrap_or_else(|| {
                buffers.push((address, 0, buffer.recyclable()));
                buffers.len() - 1
            });
            let state = &mut buffers[leaf.buffer];
            state.1 += 1;
            state.2 &= free && Arc::strong_count(&leaf.tensor.node) == leaf.edges + 1;
        }
        for leaf in &mut snapshot.leaves {
            let storage = leaf.tensor.storage().expect("leaves have their value");
            let (_, count, free) = buffers[leaf.buffer];
            let whole = storage.layout.offset == 0 && storage.layout.is_contiguous();
            leaf.donatable = free && whole && Arc::strong_count(&storage.buffer) == count;
        }
    }
}

impl Snapshot {
    /// Outputs that are strided views get their value from their base, which becomes an output in their place.
    fn separate_views(&mut self, wanted: &[(usize, usize)]) {
        let mut outputs = Vec::new();
        let mut views = Vec::new();
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

    fn write_key(&mut self, options: Options) {
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

/// A node with the inputs that its value depends on, none of them visited.
fn open(node: &Arc<Node>) -> (Arc<Node>, SmallVec<[Tensor; 2]>, usize) {
    let mut inputs = node.inputs();
    let op = node.op.as_ref().expect("pending nodes have an op");
    inputs.truncate(op.computed_inputs(inputs.len()));
    (node.clone(), inputs, 0)
}

fn is_transfer(node: &Node) -> bool {
    node.op.as_ref().is_some_and(|op| matches!(op.lower(), Lowering::Transfer(_)))
}
