//! A Group made ready for the tile machine: steps with registers assigned, patterns of access, sizes of tiles.
//! Depends on `access`, `domain`, `dtype`, `code`, `group`. Invariant: a program names no memory and no run-time number.

use smallvec::SmallVec;

use super::access::{Pattern, Tile};
use super::domain::Order;
use super::padded::Padded;
use crate::code::{Code, Fold};
use crate::dtype::{Compute, DType};
use crate::group::Linear;
use crate::kit::tiles::Then;

/// How often a value is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Once per run.
    Const,
    /// Once per row.
    Row,
    /// Once per element.
    Element,
}

/// Where a value of a step lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the memory of constants, at this byte.
    Const(usize),
    /// In the memory of a block of rows, at this byte.
    Row(usize),
    /// In the registers of the tile, at this byte.
    Tile(usize),
    /// Wherever this pointer of the tile stands: a kernel argument, or a register.
    Pointer(usize),
}

/// A place and the form of what lies there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) place: Place,
    pub(super) compute: Compute,
}

/// A kernel argument read or written through a pattern.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    pub(super) argument: usize,
    pub(super) dtype: DType,
    pub(super) pattern: usize,
    /// Sizes that the pattern's further numbers must stay below.
    pub(super) guards: SmallVec<[usize; 1]>,
}

/// One step of the machine.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Points `pointer` at memory where it lies as the registers would, else gathers into `dst` and points there.
    Load {
        memory: Memory,
        dst: Place,
        pointer: usize,
        /// Same for all tiles that start at the same phase of this period.
        period: Option<usize>,
        /// Other arguments of which none may share memory with this one, for the direct way to be safe.
        rivals: SmallVec<[usize; 2]>,
    },
    /// Reads row values into `dst`.
    LoadRow { memory: Memory, dst: Place },
    /// Writes a run-time number.
    Scalar { slot: usize, dst: Place },
    /// Writes an affine number.
    Index { pattern: usize, dst: Place },
    /// Writes random bits.
    Random { pattern: usize, key: usize, counter: usize, stream: u32, unit: bool, dst: Place },
    /// Writes whether guards hold.
    Inside { pattern: usize, guards: SmallVec<[usize; 1]>, dst: Place },
    /// Applies a function.
    Pointwise { code: Code, dtype: DType, operands: SmallVec<[Slot; 3]>, dst: Place },
    /// Applies two functions to float32: `then(first(a, b), c)`.
    Pair { first: Code, then: Then, operands: [Slot; 3], dst: Place },
    /// Applies exp to a difference of float32: one loop where row chains have two.
    ExpOfDifference { operands: [Slot; 2], dst: Place },
    /// Converts.
    Cast { from: DType, to: DType, operand: Place, dst: Place },
    /// Passes indices on that are in range, else ends the run.
    Check { compute: Compute, limit: usize, wrap: bool, context: usize, operand: Place, dst: Place },
    /// Repeats a constant or row values over the elements of the tile.
    Expand { source: Slot, dst: usize },
}

/// A value written straight to its argument where the memory allows.
#[derive(Clone, Debug)]
pub(super) struct Direct {
    pub(super) memory: Memory,
    /// Which pointer says where.
    pub(super) pointer: usize,
    /// Register that it goes to otherwise.
    pub(super) fallback: usize,
    /// Arguments still read after the value is written: none may share its memory.
    pub(super) rivals: SmallVec<[usize; 2]>,
}

/// A value written to an argument at the end of a tile or block of rows.
#[derive(Clone, Debug)]
pub(super) struct StoreStep {
    pub(super) memory: Memory,
    pub(super) source: Place,
    /// The pointer and the fallback of its `Direct`.
    pub(super) direct: Option<(usize, usize)>,
}

/// What a reduction takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Folded {
    /// What lies there.
    At(Place),
    /// The products of what lies at two places.
    Product([Place; 2]),
    /// exp(a − b) in float32, b being a row value; written to `dst` if that is read.
    Exponential { a: Place, b: Place, dst: Option<Place> },
    /// The mask that lies there, as ones and zeros of an integer dtype.
    Mask(Place),
}

/// A reduction at the end of a segment.
#[derive(Clone, Debug)]
pub(super) struct FoldStep {
    pub(super) fold: Fold,
    /// The operand's dtype.
    pub(super) dtype: DType,
    pub(super) operand: Folded,
    /// Row memory of the result.
    pub(super) result: usize,
    /// Row memory of the results of chunks: `[chunks][rows]`, values in compute form.
    pub(super) partial: usize,
    /// Row memory of the positions of chunks (`[chunks][rows]` of i64); for `ArgMax` and `ArgMin`.
    pub(super) positions: usize,
    /// Tile memory of the lanes of columns: `[LANES][rows]`; of masks for `ArgMax` and `ArgMin`.
    pub(super) lanes: usize,
}

impl FoldStep {
    pub(super) fn is_arg(&self) -> bool {
        matches!(self.fold, Fold::ArgMax | Fold::ArgMin)
    }
}

/// A pass over the elements of a block of rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Segment {
    /// Row values known before the pass.
    pub(super) row: Vec<Step>,
    /// Which pass it is.
    pub(super) index: usize,
    /// Done in the first tile of all: values that are the same in every tile.
    pub(super) once: Vec<Step>,
    /// Done once before the first tile.
    pub(super) hoisted: Vec<Step>,
    /// Done per tile.
    pub(super) element: Vec<Step>,
    pub(super) directs: Vec<Direct>,
    pub(super) stores: Vec<StoreStep>,
    pub(super) folds: Vec<FoldStep>,
}

impl Segment {
    /// The memories of a pass that does nothing but copy elements that need no conversion.
    pub(super) fn copies(&self) -> Option<(&Memory, &Memory)> {
        match (self.element.as_slice(), self.stores.as_slice()) {
            ([Step::Load { memory, pointer, .. }], [store])
                if self.folds.is_empty() && store.source == Place::Pointer(*pointer) =>
            {
                Some((memory, &store.memory))
            }
            _ => None,
        }
    }
}

/// How operands of rows meet elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowUse {
    /// A tile has whole rows, or a part of one: the value of a row is a scalar for its elements.
    Scalar,
    /// A tile has one element of many rows: row values are vectors.
    Vector,
    /// They are repeated into registers.
    Expand,
}

/// Sizes of the walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    pub(super) order: Order,
    pub(super) rows: usize,
    pub(super) length: usize,
    /// Rows that one step along the last row axis covers: all of it. Blocks of `Columns` never cross it.
    pub(super) columns: usize,
    /// Rows of a block.
    pub(super) block: usize,
    /// Elements of a row that a tile holds.
    pub(super) piece: usize,
    /// Whether tiles are rectangles of slow and fast axes, not flat ranges.
    pub(super) rectangular: bool,
    /// Whether elements are one axis: steps along it are of one length.
    pub(super) straight: bool,
    pub(super) row_use: RowUse,
}

/// A block of rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows {
    pub(super) start: usize,
    pub(super) count: usize,
}

impl Walk {
    /// Blocks of rows in the domain.
    pub(super) fn blocks(&self) -> usize {
        self.rows.checked_div(self.columns).map_or(0, |lines| lines * self.columns.div_ceil(self.block))
    }

    /// The n-th block of rows.
    pub(super) fn block_rows(&self, index: usize) -> Rows {
        let per_line = self.columns.div_ceil(self.block);
        let (line, piece) = (index / per_line, index % per_line);
        let first = piece * self.block;
        Rows { start: line * self.columns + first, count: self.block.min(self.columns - first) }
    }

    /// Tiles of a block of rows.
    pub(super) fn pieces(&self) -> usize {
        self.length.div_ceil(self.piece)
    }

    /// The tile of some elements of a block of rows.
    #[inline]
    pub(super) fn tile(&self, rows: Rows, first: usize, elements: usize) -> Tile {
        match self.order {
            Order::Rows => Tile::flat(rows.start * self.length + first, rows.count * elements),
            Order::Columns => {
                let (line, column) = (rows.start / self.columns, rows.start % self.columns);
                let element = line * self.length + first;
                if self.rectangular {
                    Tile { slow_start: element, slow: elements, fast_start: column, fast: rows.count }
                } else {
                    Tile::flat(element * self.columns + column, elements * rows.count)
                }
            }
            Order::Blocks => Tile { slow_start: rows.start, slow: rows.count, fast_start: first, fast: elements },
        }
    }
}

/// A Group made ready.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) walk: Walk,
    pub(super) patterns: Vec<Pattern>,
    /// Offsets of all numbers of the patterns.
    pub(super) linears: Vec<Linear>,
    /// Computes the constants.
    pub(super) prelude: Vec<Step>,
    pub(super) segments: Vec<Segment>,
    /// Row values known after the last pass.
    pub(super) finish: Vec<Step>,
    /// Row values written at the end of a block of rows.
    pub(super) row_stores: Vec<StoreStep>,
    /// Bytes of the memories.
    pub(super) const_bytes: usize,
    pub(super) row_bytes: usize,
    pub(super) tile_bytes: usize,
    /// Pointers of a tile.
    pub(super) pointers: usize,
    /// The pointer whose next block is asked of memory by the sum of exponentials that it is read for.
    pub(super) fetched: Option<usize>,
    /// Texts of the checks.
    pub(super) contexts: Vec<String>,
    /// Estimated nanoseconds per element on one thread; decides how finely work is cut.
    pub(super) cost: f64,
    /// The part of it that is arithmetic on elements.
    pub(super) arithmetic: f64,
    /// The same as a padding, if it is nothing else.
    pub(super) padded: Option<Padded>,
}
