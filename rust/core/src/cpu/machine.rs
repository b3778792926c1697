//! The tile machine: executes the steps of a program on the registers of one tile.
//! Depends on `program`, `access`, `copy`, `kit::tiles`. Invariant: a step touches only its own registers and the elements of its tile.

use smallvec::SmallVec;

use super::access::{Tile, inside};
use super::ahead::Ahead;
use super::bound::Bound;
use super::check::check;
use super::copy;
use super::program::{Level, Place, RowUse, Rows, Slot, Step, StoreStep};
use super::registers::width;
use crate::dtype::Compute;
use crate::kit::tiles::{self, Draw, Operand};

/// Registers of one thread, while it works on one block of rows.
pub(super) struct Machine<'a> {
    pub(super) bound: &'a Bound<'a>,
    /// Memory of row values of the block; `program.row_bytes`.
    pub(super) row: *mut u8,
    /// Memory of registers; `program.tile_bytes`.
    pub(super) tile: *mut u8,
    pointers: SmallVec<[*mut u8; 12]>,
    /// Per pointer of a periodic load: elements that its register holds, and the phase of the first.
    held: SmallVec<[(usize, usize); 12]>,
    /// What the next tile touches.
    pub(super) ahead: Ahead,
    /// Per pass: whether what is the same in every tile is there.
    pub(super) once: SmallVec<[bool; 8]>,
    /// The block of rows that comes next, where that is known.
    pub(super) next: Option<Rows>,
    /// For the order of errors.
    chunk: usize,
    /// Tiles begun, for polling.
    pub(super) tiles: usize,
}

/// How many elements the steps work on, and which.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    pub(super) level: Level,
    pub(super) tile: Tile,
    pub(super) rows: usize,
    pub(super) elements: usize,
}

impl Extent {
    fn count(&self) -> usize {
        self.tile.elements()
    }
}

impl<'a> Machine<'a> {
    /// # Safety
    /// `row` and `tile` are memory of the program's sizes that nobody else uses while the machine lives.
    pub(super) unsafe fn new(bound: &'a Bound<'a>, row: *mut u8, tile: *mut u8, chunk: usize) -> Self {
        let count = bound.program.pointers;
        Self {
            bound,
            row,
            tile,
            pointers: SmallVec::from_elem(std::ptr::null_mut(), count),
            held: SmallVec::from_elem((0, 0), count),
            ahead: Ahead::default(),
            once: SmallVec::from_elem(false, bound.program.segments.len()),
            next: None,
            chunk,
            tiles: 0,
        }
    }

    /// First byte of what lies at a place.
    pub(super) fn address(&self, place: Place) -> *mut u8 {
        // SAFETY: the program's places lie inside its memories.
        unsafe {
            match place {
                Place::Const(offset) => self.bound.constants().add(offset),
                Place::Row(offset) => self.row.add(offset),
                Place::Tile(offset) => self.tile.add(offset),
                Place::Pointer(index) => self.pointers[index],
            }
        }
    }

    /// What a step reads of a slot.
    pub(super) fn operand(&self, slot: Slot, extent: Extent) -> Operand {
        let address = self.address(slot.place);
        let scalar = match slot.place {
            Place::Const(_) => extent.level != Level::Const,
            Place::Row(_) if extent.level == Level::Element && self.bound.program.walk.row_use == RowUse::Scalar => {
                if extent.rows > 1 {
                    return Operand::Rows { start: address, length: extent.elements };
                }
                true
            }
            _ => false,
        };
        if scalar {
            // SAFETY: the place holds one value of this form.
            Operand::Scalar(unsafe { read_slot(address, slot.compute) })
        } else {
            Operand::Vector(address)
        }
    }

    /// Executes steps.
    ///
    /// # Safety
    /// The bound arguments are memory that the program's patterns stay inside of, and no other thread writes the elements read here.
    pub(super) unsafe fn execute(&mut self, steps: &[Step], extent: Extent) {
        for step in steps {
            self.ahead.ask(steps.len());
            // SAFETY: as for this function.
            unsafe { self.step(step, extent) };
        }
    }

    /// # Safety
    /// As for `execute`.
    unsafe fn step(&mut self, step: &Step, extent: Extent) {
        let n = extent.count();
        let bound = self.bound;
        // SAFETY: registers hold the tile's elements; patterns stay inside the arguments, as the caller vouches.
        unsafe {
            match step {
                Step::Pointwise { code, dtype, operands, dst } => {
                    let dst = self.address(*dst);
                    match operands.as_slice() {
                        [a] => tiles::pointwise(*code, *dtype, n, dst, &[self.operand(*a, extent)]),
                        [a, b] => {
                            let operands = [self.operand(*a, extent), self.operand(*b, extent)];
                            tiles::pointwise(*code, *dtype, n, dst, &operands);
                        }
                        more => {
                            let operands: SmallVec<[Operand; 3]> =
                                more.iter().map(|slot| self.operand(*slot, extent)).collect();
                            tiles::pointwise(*code, *dtype, n, dst, &operands);
                        }
                    }
                }
                Step::Pair { first, then, operands, dst } => {
                    let operands = operands.map(|slot| self.operand(slot, extent));
                    tiles::pair(*first, *then, n, self.address(*dst), operands);
                }
                Step::ExpOfDifference { operands, dst } => {
                    let operands = operands.map(|slot| self.operand(slot, extent));
                    tiles::exp_of_difference(n, self.address(*dst), operands);
                }
                Step::Load { memory, dst, pointer, period, .. } => {
                    if !bound.blocked[*pointer]
                        && let Some(source) = copy::direct(bound, memory, extent.tile)
                    {
                        self.pointers[*pointer] = source;
                        return;
                    }
                    let dst = self.address(*dst);
                    self.pointers[*pointer] = dst;
                    if let Some(period) = period {
                        let (held, phase) = self.held[*pointer];
                        if held >= n && phase == extent.tile.fast_start % period {
                            return;
                        }
                        self.held[*pointer] = (n, extent.tile.fast_start % period);
                        if extent.tile.slow == 1 && 2 * period <= n {
                            let form = width(memory.dtype.compute());
                            copy::gather(bound, memory, Tile { fast: *period, ..extent.tile }, dst);
                            copy::continue_period(dst, period * form, n * form);
                            return;
                        }
                    }
                    copy::gather(bound, memory, extent.tile, dst);
                }
                Step::LoadRow { memory, dst } => copy::gather(bound, memory, extent.tile, self.address(*dst)),
                Step::Cast { from, to, operand, dst } => {
                    tiles::cast(*from, *to, n, self.address(*dst), self.address(*operand));
                }
                Step::Expand { source, dst } => self.expand(*source, *dst, extent),
                Step::Scalar { slot, dst } => self.address(*dst).cast::<u64>().write(bound.slots[*slot]),
                Step::Index { pattern, dst } => {
                    let dst = self.address(*dst).cast::<i64>();
                    bound.program.patterns[*pattern].walk(&bound.offsets, extent.tile, |run| {
                        tiles::index_ramp(run.elements, dst.add(run.at), run.values[0], run.steps[0]);
                    });
                }
                Step::Random { pattern, key, counter, stream, unit, dst } => {
                    let dst = self.address(*dst);
                    let draw = Draw { key: bound.slots[*key], counter: bound.slots[*counter], stream: *stream };
                    bound.program.patterns[*pattern].walk(&bound.offsets, extent.tile, |run| {
                        let (first, step) = (run.values[0] as u64, run.steps[0]);
                        if *unit {
                            tiles::philox(run.elements, dst.cast::<f32>().add(run.at), first, step, draw);
                        } else {
                            tiles::philox(run.elements, dst.cast::<i64>().add(run.at), first, step, draw);
                        }
                    });
                }
                Step::Inside { pattern, guards, dst } => {
                    let dst = self.address(*dst);
                    bound.program.patterns[*pattern].walk(&bound.offsets, extent.tile, |run| {
                        let (mut from, mut to) = (0, run.elements);
                        for (guard, &size) in guards.iter().enumerate() {
                            let range = inside(run.values[guard], run.steps[guard], size, run.elements);
                            (from, to) = (from.max(range.0), to.min(range.1));
                        }
                        let dst = dst.add(run.at);
                        dst.write_bytes(0, run.elements);
                        if from < to {
                            dst.add(from).write_bytes(1, to - from);
                        }
                    });
                }
                Step::Check { compute, limit, wrap, context, operand, dst } => {
                    let bad = check(*compute, n, *limit, *wrap, self.address(*operand), self.address(*dst));
                    if let Some(value) = bad {
                        let context = &bound.program.contexts[*context];
                        bound.monitor.fail(self.chunk, crate::plan::out_of_range(context, value, *limit, *wrap));
                    }
                }
            }
        }
    }

    /// Repeats a value over the tile: constants and the values of a single row everywhere, those of several rows in the walk's order.
    ///
    /// # Safety
    /// As for `execute`.
    unsafe fn expand(&self, source: Slot, dst: usize, extent: Extent) {
        let dst = self.address(Place::Tile(dst));
        let from = self.address(source.place);
        let bytes = width(source.compute);
        let count = extent.count();
        // SAFETY: the register holds the whole tile, the source one value per row.
        unsafe {
            if let Operand::Scalar(bits) = self.operand(source, Extent { level: Level::Element, ..extent }) {
                tiles::fill(source.compute, count, dst, bits);
            } else if self.bound.program.walk.order == super::domain::Order::Columns {
                let line = extent.rows * bytes;
                for element in 0..extent.elements {
                    std::ptr::copy_nonoverlapping(from, dst.add(element * line), line);
                }
            } else {
                match bytes {
                    1 => repeat::<u8>(extent.rows, extent.elements, from, dst),
                    4 => repeat::<u32>(extent.rows, extent.elements, from, dst),
                    _ => repeat::<u64>(extent.rows, extent.elements, from, dst),
                }
            }
        }
    }

    /// Points the direct results of a pass at their arguments where the tile lies there in one piece, else at registers.
    pub(super) fn aim(&mut self, directs: &[super::program::Direct], tile: Tile) {
        for direct in directs {
            let target =
                if self.bound.blocked[direct.pointer] { None } else { copy::direct(self.bound, &direct.memory, tile) };
            self.pointers[direct.pointer] = target.unwrap_or_else(|| self.address(Place::Tile(direct.fallback)));
        }
    }

    /// Writes results to their arguments, but for those that are there already.
    ///
    /// # Safety
    /// As for `execute`; and no other thread touches the elements written.
    pub(super) unsafe fn store(&self, stores: &[StoreStep], tile: Tile) {
        for store in stores {
            let source = self.address(store.source);
            if let Some((pointer, fallback)) = store.direct
                && source == self.pointers[pointer]
                && source != self.address(Place::Tile(fallback))
            {
                continue;
            }
            // SAFETY: patterns stay inside the arguments.
            unsafe {
                match store.source {
                    Place::Const(_) => copy::scatter_constant(self.bound, &store.memory, tile, source),
                    _ => copy::scatter(self.bound, &store.memory, tile, source),
                }
            }
        }
    }
}

/// Repeats each of `rows` values over `elements`.
///
/// # Safety
/// `from` holds the values, `dst` has room for all.
unsafe fn repeat<T: Copy>(rows: usize, elements: usize, from: *const u8, dst: *mut u8) {
    let (from, dst) = (from.cast::<T>(), dst.cast::<T>());
    for row in 0..rows {
        // SAFETY: as the caller vouches.
        unsafe {
            let value = from.add(row).read_unaligned();
            let line = dst.add(row * elements);
            (0..elements).for_each(|element| line.add(element).write_unaligned(value));
        }
    }
}

/// Reads one value as the bits of a run-time number.
///
/// # Safety
/// A value of this compute type lies at `source`.
pub(super) unsafe fn read_slot(source: *const u8, compute: Compute) -> u64 {
    // SAFETY: as the caller vouches; row memory may be unaligned for nothing wider than its values.
    unsafe {
        match compute {
            Compute::Mask => u64::from(source.read()),
            Compute::I32 => i64::from(source.cast::<i32>().read_unaligned()) as u64,
            Compute::F32 => u64::from(source.cast::<u32>().read_unaligned()),
            Compute::I64 | Compute::U64 | Compute::F64 => source.cast::<u64>().read_unaligned(),
        }
    }
}

/// Writes a value given as the bits of a run-time number.
///
/// # Safety
/// There is room for a value of this compute type at `dst`.
pub(super) unsafe fn write_slot(dst: *mut u8, compute: Compute, bits: u64) {
    // SAFETY: as the caller vouches.
    unsafe {
        match compute {
            Compute::Mask => dst.write(bits as u8),
            Compute::I32 | Compute::F32 => dst.cast::<u32>().write_unaligned(bits as u32),
            Compute::I64 | Compute::U64 | Compute::F64 => dst.cast::<u64>().write_unaligned(bits),
        }
    }
}
