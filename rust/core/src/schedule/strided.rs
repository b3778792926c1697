//! Chains of views composed to one strided window. Depends on `snapshot` and `layout`.
//! Invariant: a window holds the elements of the tensor that it was asked for, in that tensor's order.

use smallvec::SmallVec;

use super::snapshot::{Snapshot, Source};
use crate::graph::View;
use crate::group::Linear;
use crate::layout::{Layout, Strides};
use crate::shape::Shape;

/// A tensor that is a strided window on another: views composed down to what lies in memory.
#[derive(Clone, Debug)]
pub(super) struct Strided {
    pub(super) base: Source,
    pub(super) shape: Shape,
    pub(super) strides: Strides,
    /// Counted from where the base's binding points.
    pub(super) offset: Linear,
}

impl Strided {
    /// The window that `source` is on the first tensor below it that is no view; `None` where strides do not compose.
    pub(super) fn of(snapshot: &Snapshot, source: Source) -> Option<Self> {
        Self::until(snapshot, source, |_| false)
    }

    /// The same, going down no further than an entry that `stop` accepts.
    pub(super) fn until(snapshot: &Snapshot, source: Source, stop: impl Fn(usize) -> bool) -> Option<Self> {
        let mut chain: SmallVec<[(usize, View); 4]> = SmallVec::new();
        let mut base = source;
        while let Source::Entry(entry, _) = base
            && (chain.is_empty() || !stop(entry))
            && let Some(view) = snapshot.view(entry)
        {
            base = snapshot.entries[entry].inputs[0];
            chain.push((entry, view));
        }
        let mut layout = match base {
            Source::Leaf(leaf) => Layout { offset: 0, ..snapshot.leaves[leaf].storage().layout.clone() },
            Source::Entry(..) => Layout::contiguous(snapshot.meta(base).shape.clone()),
        };
        let mut offset = Linear::default();
        for (entry, view) in chain.into_iter().rev() {
            let shape = &snapshot.meta(Source::Entry(entry, 0)).shape;
            if let View::Slice { .. } = view {
                for (axis, &stride) in layout.strides.iter().enumerate().filter(|(axis, _)| layout.shape[*axis] > 1) {
                    let start = Linear {
                        constant: 0,
                        terms: SmallVec::from_slice(&[(snapshot.entries[entry].slots + axis, 1)]),
                    };
                    offset.add_scaled(&start, stride as i64);
                }
            }
            layout = Layout { offset: 0, ..view.layout(&layout, shape)? };
        }
        Some(Self { base, shape: layout.shape, strides: layout.strides, offset })
    }

    pub(super) fn is_contiguous(&self) -> bool {
        let layout = Layout { shape: self.shape.clone(), strides: self.strides.clone(), offset: 0 };
        layout.is_contiguous() && self.offset == Linear::default()
    }
}
