//! How many buffers a kernel may use on a device, and how many a cluster needs. Depends on `cluster` and `snapshot`.
//! Invariant: without a limit nothing is counted, and clusters are what they were.

use super::cluster::Cluster;
use super::snapshot::{Snapshot, Source};
use crate::backend::Backend;
use crate::dtype::DType;
use crate::graph::{Lowering, Pointwise};
use crate::group::Instr;
use crate::plan::{Argument, Kernel, Work, windows};

/// Buffers of a launch besides those of its tensors: its numbers, where they are many.
const NUMBERS: usize = 1;
/// And one where bad indices are reported.
const REPORTS: usize = 1;

/// What one kernel may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Buffers, or windows of large ones.
    pub buffers: usize,
    /// Bytes that one window spans.
    pub bytes: u64,
}

impl Limits {
    /// Where kernels take any number of buffers.
    pub const NONE: Self = Self { buffers: usize::MAX, bytes: u64::MAX };

    /// Those of a device.
    pub fn of(backend: &dyn Backend) -> Self {
        Self { buffers: backend.bindings(), bytes: backend.binding_bytes() }
    }

    pub(super) fn is_none(self) -> bool {
        self.buffers == usize::MAX
    }

    /// Windows of a tensor. What takes less than a word is counted as one.
    fn windows(self, dtype: DType, elements: usize) -> usize {
        windows((elements * dtype.size().max(4)) as u64, self.bytes) as usize
    }

    /// Whether a cluster has room for `more` sources, without `gone`, and for `stored`; `besides` are buffers of the kernel that it is
    /// part of.
    pub(super) fn allow(self, snapshot: &Snapshot, cluster: &Cluster, change: &Change<'_>, besides: &[Source]) -> bool {
        if self.is_none() {
            return true;
        }
        let weight = |source: Source| match source {
            Source::Entry(entry, _) if is_free(snapshot, entry) => 0,
            Source::Leaf(leaf) => {
                let reach = snapshot.leaves[leaf].storage().layout.reach();
                let elements = reach.map_or(0, |(low, high)| (high - low + 1) as usize);
                self.windows(snapshot.meta(source).dtype, elements)
            }
            Source::Entry(..) => {
                let meta = snapshot.meta(source);
                self.windows(meta.dtype, meta.shape.elements())
            }
        };
        let stays = |source: &Source| change.gone != Some(*source);
        let mut read: Vec<Source> = cluster.operands.iter().copied().filter(stays).collect();
        for &source in change.more.iter().chain(besides) {
            if !read.contains(&source) {
                read.push(source);
            }
        }
        let stores = cluster.stores.iter().map(|store| Source::Entry(store.entry, 0));
        let stored = stores.chain(change.stored).map(weight).sum::<usize>();
        read.into_iter().map(weight).sum::<usize>() + stored + NUMBERS + REPORTS <= self.buffers
    }

    /// Whether a kernel keeps to them.
    pub(super) fn hold(self, kernel: &Kernel) -> bool {
        let group = match &kernel.work {
            Work::Group(group) => Some(group),
            Work::Matmul(product) => product.epilogue.as_ref(),
            // Routines come in launches of their own making.
            Work::Structured { .. } => return true,
        };
        let values = group.map_or(&[][..], |group| &group.values);
        let reports = values.iter().any(|value| matches!(value.instr, Instr::Check { .. }));
        let reached = |argument: &Argument| {
            let elements = argument.layout.reach().map_or(0, |(low, high)| (high - low + 1) as usize);
            self.windows(argument.dtype, elements)
        };
        let bound: usize = kernel.arguments.iter().map(reached).sum();
        bound + NUMBERS + if reports { REPORTS } else { 0 } <= self.buffers
    }
}

/// What is about to happen to a cluster.
#[derive(Default)]
pub(super) struct Change<'a> {
    /// Sources that it will read.
    pub(super) more: &'a [Source],
    /// One that it will not read any more.
    pub(super) gone: Option<Source>,
    /// One that it will store.
    pub(super) stored: Option<Source>,
}

/// Whether an entry is a number or a coordinate, or one that is repeated: no memory is read for it.
fn is_free(snapshot: &Snapshot, mut entry: usize) -> bool {
    loop {
        match snapshot.lowering(entry) {
            Lowering::Pointwise(Pointwise::Scalar | Pointwise::Index) => return true,
            Lowering::View(_) => match snapshot.entries[entry].inputs[0] {
                Source::Entry(input, _) => entry = input,
                Source::Leaf(_) => return false,
            },
            _ => return false,
        }
    }
}
