//! What entries are gathered into: clusters, which become Groups, and the other pieces that become kernels.
//! Depends on `map` and `snapshot`. Invariant: a piece that was merged into another is only a pointer to it.

use std::collections::HashSet;

use smallvec::SmallVec;

use super::map::IndexMap;
use super::snapshot::Source;
use crate::shape::Shape;

/// Elements of a row that a chain of reductions may walk more than once.
pub(super) const MAX_CHAIN_ROW: usize = 1 << 16;

/// A value that a cluster stores: the domain, or its rows, walk the entry row-major.
#[derive(Clone, Debug)]
pub(super) struct ClusterStore {
    pub(super) entry: usize,
    /// The tensor whose elements these are: the entry itself, or the input of a reshape.
    pub(super) source: Source,
    /// Where it lies in the domain.
    pub(super) map: IndexMap,
}

/// What will become one Group.
#[derive(Clone, Debug, Default)]
pub(super) struct Cluster {
    /// Sizes of the domain; from `split` on they are elements of a row.
    pub(super) domain: SmallVec<[usize; 4]>,
    pub(super) split: usize,
    /// What it stores.
    pub(super) stores: Vec<ClusterStore>,
    pub(super) steps: usize,
    /// Tensors that it reads, as far as they are known.
    pub(super) operands: HashSet<Source>,
    /// Leaves read, with where.
    pub(super) leaves: Vec<(usize, IndexMap)>,
    /// Whether some Element value depends on a reduction.
    pub(super) is_epilogue: bool,
}

impl Cluster {
    pub(super) fn inner(&self) -> &[usize] {
        &self.domain[self.split..]
    }

    /// Where the rows end of the cluster that two of one domain could be: pointwise work joins folds, whose rows it walks.
    pub(super) fn common_split(&self, other: &Cluster) -> Option<usize> {
        let split = self.split.min(other.split);
        let length: usize = self.domain[split..].iter().product();
        let joins = |cluster: &Cluster| {
            cluster.split == split || (cluster.inner().is_empty() && split > 0 && length <= MAX_CHAIN_ROW)
        };
        (self.domain == other.domain && joins(self) && joins(other)).then_some(split)
    }

    /// Whether a map walks a tensor row-major once: over all elements, or over the rows.
    pub(super) fn covered_by(&self, map: &IndexMap, shape: &Shape) -> bool {
        map.covers(shape, &self.domain)
            || (self.split < self.domain.len()
                && !map.depends_on_axes_from(self.split)
                && map.covers(shape, &self.domain[..self.split]))
    }
}

/// One kernel to be.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    /// Fused pointwise work and reductions.
    Cluster(Cluster),
    /// A matrix product, and the piece that is its epilogue.
    Matmul { entry: usize, epilogue: Option<Cluster> },
    /// A routine of its own.
    Structured { entry: usize },
    /// Became part of another piece.
    Merged,
}

impl Piece {
    /// The oldest entry that it is there for: a product, not what follows in its epilogue. `None` where it was merged.
    pub(super) fn age(&self) -> Option<usize> {
        match self {
            Piece::Cluster(cluster) => cluster.stores.iter().map(|store| store.entry).min(),
            Piece::Matmul { entry, .. } | Piece::Structured { entry } => Some(*entry),
            Piece::Merged => None,
        }
    }
}

/// The result: pieces, and which of them stores each entry.
#[derive(Debug)]
pub(super) struct Fused {
    pub(super) pieces: Vec<Piece>,
    pub(super) home: Vec<Option<usize>>,
    pub(super) merged_into: Vec<usize>,
}

impl Fused {
    /// The piece that stores an entry.
    pub(super) fn home(&self, entry: usize) -> Option<usize> {
        self.home[entry].map(|piece| find(&self.merged_into, piece))
    }
}

/// The piece that a piece has become part of.
pub(super) fn find(merged_into: &[usize], mut piece: usize) -> usize {
    while merged_into[piece] != piece {
        piece = merged_into[piece];
    }
    piece
}
