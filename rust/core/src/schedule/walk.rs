//! The walk from the tensors asked for to the frozen graph below them.
//! Depends on `snapshot` and `graph`. Invariant: a node is met once, however many paths lead to it.

use std::sync::Arc;

use smallvec::SmallVec;

use super::Options;
use super::snapshot::{Entry, Leaf, Snapshot, Source};
use crate::backend::Device;
use crate::graph::{History, Kind, Node, Tensor, new_walk};

/// What a walk found.
pub enum Walk {
    /// A graph to plan.
    Graph(Snapshot),
    /// Pending transfers from other devices that must come first.
    Transfers(Vec<Tensor>),
}

/// The place of a node that was met and has no entry yet.
const MET: usize = usize::MAX;

struct Walker {
    device: Device,
    /// By which marks on nodes and outputs know this walk: places of entries and of leaves.
    number: u64,
    /// Nodes met; the inputs of those before `searched` were looked at.
    met: SmallVec<[Arc<Node>; 16]>,
    searched: usize,
    transfers: Vec<Tensor>,
    snapshot: Snapshot,
}

impl Walk {
    /// Walks from `targets` (pending, of one device), and from every tensor of `live` that shares a pending node with them.
    /// The snapshot takes the memory of `spare`.
    pub fn from(targets: &[Tensor], live: &[Tensor], device: Device, options: Options, spare: Snapshot) -> Self {
        let mut walker = Walker {
            device,
            number: new_walk(),
            met: SmallVec::new(),
            searched: 0,
            transfers: Vec::new(),
            snapshot: spare,
        };
        let mut wanted: SmallVec<[Tensor; 4]> = targets.iter().cloned().collect();
        targets.iter().for_each(|target| walker.visit(target));
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
}

impl Walker {
    /// Meets the tensor's node and everything pending below it.
    fn visit(&mut self, root: &Tensor) {
        self.meet(root);
        while let Some(node) = self.met.get(self.searched).cloned() {
            self.searched += 1;
            node.with_links(|inputs, _, _| inputs.iter().for_each(|input| self.meet(input)));
        }
    }

    fn meet(&mut self, tensor: &Tensor) {
        let node = &tensor.node;
        if tensor.storage().is_some() || node.place.get(self.number).is_some() {
            return;
        }
        // Noted even where transfers come first and nothing is planned yet.
        node.place.set(self.number, MET);
        if node.device != self.device || node.kind == Kind::Transfer {
            self.transfers.push(tensor.clone());
        } else {
            self.met.push(node.clone());
        }
    }

    /// Adds live tensors that share a pending node with what is there, until none is left.
    fn join_live(&mut self, live: &[Tensor], wanted: &mut SmallVec<[Tensor; 4]>) {
        loop {
            let before = self.met.len();
            let round = new_walk();
            for tensor in live {
                if tensor.device() == self.device && self.touches(&tensor.node, round) {
                    self.visit(tensor);
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

    /// Whether a pending node at or below `root` was met. Nodes at and below which there is none keep the mark of the round.
    fn touches(&self, root: &Arc<Node>, round: u64) -> bool {
        if root.place.get(self.number).is_some() {
            return true;
        }
        let mut stack = vec![root.clone()];
        let mut apart = Vec::new();
        let mut found = false;
        while let Some(node) = stack.pop() {
            if node.is_ready() || node.device != self.device || node.place.get(round).is_some() {
                continue;
            }
            if node.place.get(self.number).is_some() {
                found = true;
                continue;
            }
            node.place.set(round, 0);
            node.with_inputs(|inputs| stack.extend(inputs.iter().map(|input| input.node.clone())));
            apart.push(node);
        }
        if found {
            apart.iter().for_each(|node| node.place.clear());
        }
        found
    }

    /// Makes entries of the nodes, in the order of their birth: that of the user's program, in which what is computed
    /// late is needed late, so that a gradient does not wait for its use while everything that it reads is kept.
    fn enter(&mut self) {
        let mut met = std::mem::take(&mut self.met);
        met.sort_unstable_by_key(|node| node.id);
        let mut serve_gradients = false;
        for (index, node) in met.into_iter().enumerate() {
            let (inputs, history) = node.with_links(|computed, others, history| {
                serve_gradients |= !others.is_empty();
                (computed.iter().map(|input| self.source(input)).collect(), history)
            });
            let slots = self.snapshot.slots.len();
            node.op.as_ref().expect("pending nodes have an op").slots(&mut self.snapshot.slots);
            node.place.set(self.number, index);
            let gradient_inputs = SmallVec::new();
            self.snapshot.entries.push(Entry { node, inputs, gradient_inputs, history, slots, edges: 0 });
        }
        if serve_gradients {
            self.count_gradient_inputs();
        }
    }

    /// The place of an input, which is made where it is a leaf that no entry read before.
    fn source(&mut self, tensor: &Tensor) -> Source {
        let source = self.known(tensor).unwrap_or_else(|| {
            let leaves = &mut self.snapshot.leaves;
            tensor.node.outputs[tensor.output].place.set(self.number, leaves.len());
            leaves.push(Leaf { tensor: tensor.clone(), buffer: 0, donatable: false, edges: 0 });
            Source::Leaf(leaves.len() - 1)
        });
        self.refer(source);
        source
    }

    /// The tensor's place in the snapshot, if it has one.
    fn known(&self, tensor: &Tensor) -> Option<Source> {
        let entry = tensor.node.place.get(self.number).map(|entry| Source::Entry(entry, tensor.output));
        entry.or_else(|| tensor.node.outputs[tensor.output].place.get(self.number).map(Source::Leaf))
    }

    /// Counts a reference.
    fn refer(&mut self, source: Source) {
        match source {
            Source::Entry(entry, _) => self.snapshot.entries[entry].edges += 1,
            Source::Leaf(leaf) => self.snapshot.leaves[leaf].edges += 1,
        }
    }

    /// Inputs that serve a gradient only are references too: the run drops them, unless the gradient is still to come.
    fn count_gradient_inputs(&mut self) {
        for index in 0..self.snapshot.entries.len() {
            let node = self.snapshot.entries[index].node.clone();
            let found: SmallVec<[Source; 2]> =
                node.with_links(|_, others, _| others.iter().filter_map(|input| self.known(input)).collect());
            found.iter().for_each(|&source| self.refer(source));
            self.snapshot.entries[index].gradient_inputs = found;
        }
    }

    /// Decides what must be in memory afterwards and what may be overwritten, and writes the key.
    fn finish(&mut self, wanted: &[Tensor], options: Options) {
        let snapshot = &mut self.snapshot;
        let mut stored: Flags = SmallVec::from_elem(false, snapshot.entries.len());
        let mut outputs: SmallVec<[(usize, usize); 4]> = SmallVec::new();
        for tensor in wanted {
            let entry = tensor.node.place.get(self.number).expect("what is wanted was met");
            stored[entry] = true;
            outputs.push((entry, tensor.output));
        }
        // What VJPs will read: results that are dear to compute again.
        for (index, entry) in snapshot.entries.iter().enumerate() {
            if entry.history == History::Recorded && entry.node.kind == Kind::Dear {
                stored[index] = true;
                outputs.extend((0..entry.node.outputs.len()).map(|output| (index, output)));
            }
        }
        snapshot.separate_views(&outputs);
        for &(entry, _) in &snapshot.outputs {
            stored[entry] = true;
        }
        for &entry in &snapshot.views {
            stored[entry] = true;
        }
        mark_donatable(snapshot, &stored);
        snapshot.write_key(options);
    }
}

/// One for each entry or leaf.
type Flags = SmallVec<[bool; 32]>;

/// Finds the leaves whose memory nobody can see after the run.
fn mark_donatable(snapshot: &mut Snapshot, stored: &Flags) {
    // From users to inputs: an entry that lives on without a value keeps what it needs.
    let mut kept: Flags = SmallVec::from_elem(false, snapshot.entries.len());
    let mut free: Flags = SmallVec::from_elem(true, snapshot.leaves.len());
    for (index, entry) in snapshot.entries.iter().enumerate().rev() {
        let held_outside = !stored[index] && Arc::strong_count(&entry.node) > entry.edges + 1;
        let keeps = entry.history == History::Recorded || (!stored[index] && (kept[index] || held_outside));
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
    let mut buffers: SmallVec<[(*const (), usize, bool); 8]> = SmallVec::new();
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
