//! Chooses how the domain of a Group is walked: which axes are rows, which are elements, and in which order memory is met.
//! Depends on `group`. Invariant: the choice follows from shapes and strides alone, and never changes a result's bits.

use smallvec::SmallVec;

use crate::group::{Affine, Group, Instr};

/// An axis of the domain after merging: `size` steps, each by the stride of the original axis `source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    pub(super) size: usize,
    pub(super) source: usize,
}

pub(super) type Axes = SmallVec<[Axis; 4]>;

/// In which order the elements of a tile lie in its registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// `[rows][elements]`: a tile is a piece of one row, or several whole rows.
    Rows,
    /// `[elements][columns]`: the last row axis is contiguous in memory, and a tile holds a range of it.
    Columns,
    /// `[rows][elements]` with both cut: the reads are contiguous along the rows, the writes along the elements.
    Blocks,
}

/// The axes that rows and elements of the walk are made of. Elementwise Groups are walked as one row, or as rows along their last axis.
#[derive(Clone, Debug)]
pub(super) struct Domain {
    pub(super) order: Order,
    pub(super) outer: Axes,
    pub(super) inner: Axes,
}

/// Shorter last axes are walked as one flat range: a tile then spans several rows. Without values that are constant in a row, rows that
/// fit a tile more than once are walked so too: what repeats from row to row is read once.
const SHORTEST_ROW: usize = 256;
const LONGEST_REPEATED: usize = 1024;
/// A transposing walk pays from this many neighbours on.
const SHORTEST_BLOCK: usize = 8;

impl Domain {
    /// The walk of a Group; `row_major` keeps elementwise work in row-major order, so that any flat range can be run alone.
    pub(super) fn choose(group: &Group, row_major: bool) -> Self {
        let affines = affines(group);
        let split = group.outer.len();
        let outer = merge(&group.outer, 0, &affines);
        let inner = merge(&group.inner, split, &affines);
        if group.is_elementwise() { elementwise(group, outer, row_major) } else { reduction(group, outer, inner) }
    }

    pub(super) fn rows(&self) -> usize {
        product(&self.outer)
    }

    pub(super) fn length(&self) -> usize {
        product(&self.inner)
    }
}

pub(super) fn product(axes: &[Axis]) -> usize {
    axes.iter().map(|axis| axis.size).product()
}

fn elementwise(group: &Group, mut axes: Axes, row_major: bool) -> Domain {
    let Some(&last) = axes.last().filter(|_| axes.len() > 1) else {
        return Domain { order: Order::Rows, outer: Axes::new(), inner: axes };
    };
    if !row_major && let Some(turned) = turned_axis(group, &axes) {
        // The axis along which reads are contiguous becomes the fastest of the row axes.
        let axis = axes.remove(turned);
        let inner = axes.pop().into_iter().collect();
        axes.push(axis);
        return Domain { order: Order::Blocks, outer: axes, inner };
    }
    // What guards tell of a row is asked for once a run, however tiles lie.
    let per_row = || {
        let constant_in_row =
            |index: &Affine| index.strides[last.source] == 0 && axes.iter().any(|axis| index.strides[axis.source] != 0);
        let read = group.values.iter().filter(|value| !matches!(value.instr, Instr::Inside { .. }));
        let indices = read.filter_map(|value| value_affines(&value.instr).first().copied());
        indices.chain(group.stores.iter().map(|store| &store.index)).any(constant_in_row)
    };
    if last.size > LONGEST_REPEATED || (last.size >= SHORTEST_ROW && per_row()) {
        axes.pop();
        return Domain { order: Order::Rows, outer: axes, inner: SmallVec::from_slice(&[last]) };
    }
    Domain { order: Order::Rows, outer: Axes::new(), inner: axes }
}

/// The axis, not the last, along which some access is contiguous that walks the last axis in long steps.
fn turned_axis(group: &Group, axes: &[Axis]) -> Option<usize> {
    let (last, rows) = axes.split_last()?;
    let loads = group.values.iter().filter_map(|value| match &value.instr {
        Instr::Load { access, .. } => Some(&access.index),
        _ => None,
    });
    loads
        .chain(group.stores.iter().map(|store| &store.index))
        .filter(|index| index.strides[last.source].abs() > 1)
        .find_map(|index| {
            rows.iter().position(|axis| index.strides[axis.source].abs() == 1 && axis.size >= SHORTEST_BLOCK)
        })
}

fn reduction(group: &Group, mut outer: Axes, inner: Axes) -> Domain {
    let mut along_inner = 0;
    let mut along_outer: SmallVec<[usize; 4]> = SmallVec::from_elem(0, outer.len());
    for value in &group.values {
        let Instr::Load { access, .. } = &value.instr else { continue };
        let stride = |axis: &Axis| access.index.strides[axis.source].abs();
        if inner.iter().all(|axis| stride(axis) == 0) {
            continue;
        }
        if inner.last().is_some_and(|axis| stride(axis) == 1) {
            along_inner += 1;
        } else {
            for (count, axis) in along_outer.iter_mut().zip(&outer) {
                *count += usize::from(stride(axis) == 1);
            }
        }
    }
    let best = (0..outer.len()).max_by_key(|&axis| (along_outer[axis], axis));
    if let Some(column) = best.filter(|&axis| along_outer[axis] > along_inner && outer[axis].size >= 4) {
        let axis = outer.remove(column);
        outer.push(axis);
        return Domain { order: Order::Columns, outer, inner };
    }
    Domain { order: Order::Rows, outer, inner }
}

/// Axes from `first` on, without those of size 1, neighbours joined where every affine number of the Group composes.
fn merge(sizes: &[usize], first: usize, affines: &[&Affine]) -> Axes {
    let mut axes = Axes::new();
    for (axis, &size) in sizes.iter().enumerate() {
        let source = first + axis;
        if size == 1 {
            continue;
        }
        match axes.last_mut() {
            Some(last) if affines.iter().all(|a| a.strides[last.source] == a.strides[source] * size as i64) => {
                *last = Axis { size: last.size * size, source };
            }
            _ => axes.push(Axis { size, source }),
        }
    }
    axes
}

/// Every affine number in a Group.
fn affines(group: &Group) -> Vec<&Affine> {
    let mut all: Vec<&Affine> = Vec::new();
    for value in &group.values {
        all.extend(value_affines(&value.instr));
    }
    all.extend(group.stores.iter().map(|store| &store.index));
    all
}

/// The affine numbers of one step: its index first, then its guards' positions.
pub(super) fn value_affines(instr: &Instr) -> SmallVec<[&Affine; 2]> {
    match instr {
        Instr::Load { access, .. } => {
            let mut all: SmallVec<[&Affine; 2]> = SmallVec::from_slice(&[&access.index]);
            all.extend(access.guards.iter().map(|guard| &guard.position));
            all
        }
        Instr::Index { index } | Instr::Random { index, .. } => SmallVec::from_slice(&[index]),
        Instr::Inside { guards } => guards.iter().map(|guard| &guard.position).collect(),
        _ => SmallVec::new(),
    }
}
