//! Runs a bound Group: cuts it into chunks by shape alone and drives the tile machine over them.
//! Depends on `machine`, `reduce`, `bound`, `kit::threads`. Invariant: which thread runs a chunk changes no bit.

use std::ops::Range;

use super::access::Tile;
use super::bound::Bound;
use super::copy;
use super::domain::Order;
use super::machine::{Extent, Machine};
use super::program::{FoldStep, Folded, Level, Place, Program, Rows, Segment, Step};
use super::reduce::{self, chunk_count, chunk_length};
use crate::backend::HostPointer;
use crate::error::Result;
use crate::kit::scratch::{Scratch, with_scratch};
use crate::kit::threads::parallel;

/// Nanoseconds of estimated work below which a kernel is one chunk, and that a chunk should have.
const SMALL: f64 = 20_000.0;
const CHUNK: f64 = 10_000.0;
/// Most chunks of a kernel.
const MOST_CHUNKS: usize = 256;
/// Fewer blocks of rows than this share the elements of rows among threads.
const FEW_BLOCKS: usize = 8;
/// Pieces that each chunk's worth of them is shared in, so that threads end together.
const SHARES: usize = 4;
/// Nanoseconds per element of heavy arithmetic, and elements that do not fit the L2 cache.
const HEAVY: f64 = 0.6;
const LARGE: usize = 1 << 18;
/// Columns from which on rows are folded straight from memory.
const WIDE: usize = 64;
/// Tiles between two questions to the monitor.
const POLL_TILES: usize = 32;

impl Program {
    /// Whether anything is folded.
    fn folds(&self) -> bool {
        self.segments.iter().any(|segment| !segment.folds.is_empty())
    }

    /// Whether there are more elements than fit the L2 cache.
    pub(super) fn is_large(&self) -> bool {
        self.walk.rows * self.walk.length > LARGE
    }

    /// Whether tiles should be asked for ahead: where they jump through memory, and where long arithmetic on much memory makes the
    /// hardware forget the stream.
    fn foresees(&self) -> bool {
        let walk = self.walk;
        let jumps = walk.order == Order::Blocks || (walk.order == Order::Columns && walk.piece == 1);
        jumps || (self.arithmetic > HEAVY && self.is_large())
    }

    /// How many chunks `units` pieces of work are cut into.
    fn chunks(&self, units: usize) -> usize {
        let total = self.cost * self.walk.rows as f64 * self.walk.length as f64;
        if total < SMALL { 1 } else { ((total / CHUNK) as usize).clamp(1, units.clamp(1, MOST_CHUNKS)) }
    }
}

/// Runs a Group on all threads.
///
/// # Safety
/// As for `Bound::new`, and the elements that the program writes are read by nobody else.
pub(super) unsafe fn run(bound: &Bound<'_>) -> Result<()> {
    let program = bound.program;
    if let Some(padded) = program.padded.as_ref().filter(|padded| padded.applies(bound.slots)) {
        // SAFETY: as for this function.
        return unsafe { padded.run(bound) };
    }
    let walk = program.walk;
    let blocks = walk.blocks();
    if blocks == 0 || (walk.length == 0 && program.row_stores.is_empty()) {
        return Ok(());
    }
    // Values that are kept from pass to pass live in one thread's registers.
    let can_split = chunk_count(walk.length) > 1 && (program.segments.len() == 1 || !walk.keeps());
    if program.folds() && blocks < FEW_BLOCKS && can_split && program.chunks(MOST_CHUNKS) > 1 {
        // SAFETY: as for this function.
        return unsafe { run_split(bound, blocks) };
    }
    if program.folds() || !program.row_stores.is_empty() {
        return spread(bound, blocks, program.chunks(blocks), &|machine, range| {
            for block in range.clone() {
                machine.next = (block + 1 < range.end).then(|| walk.block_rows(block + 1));
                // SAFETY: as for this function; each block belongs to one chunk.
                unsafe { machine.block(walk.block_rows(block)) };
            }
        });
    }
    let pieces = walk.pieces();
    spread(bound, blocks * pieces, program.chunks(blocks * pieces), &|machine, range| {
        let mut unit = range.start;
        while unit < range.end {
            let (block, piece) = (unit / pieces, unit % pieces);
            let count = (pieces - piece).min(range.end - unit);
            let rows = walk.block_rows(block);
            machine.next = (unit + count < range.end).then(|| walk.block_rows(block + 1));
            // SAFETY: as for this function; each piece belongs to one chunk.
            unsafe {
                machine.begin(&program.segments[0], rows);
                let elements = piece * walk.piece..((piece + count) * walk.piece).min(walk.length);
                machine.elements(&program.segments[0], rows, elements);
            }
            unit += count;
        }
    })
}

/// Runs an elementwise Group in row-major order on a range of its elements, on this thread.
///
/// # Safety
/// As for `run`.
pub(super) unsafe fn run_range(bound: &Bound<'_>, elements: Range<usize>) -> Result<()> {
    let program = bound.program;
    let walk = program.walk;
    debug_assert!(walk.order == Order::Rows && walk.block == 1);
    let bytes = line(program.row_bytes) + program.tile_bytes;
    with_scratch(bytes, |scratch| {
        // SAFETY: the scratch has both memories, and this call alone uses them.
        let mut machine = unsafe { Machine::new(bound, scratch, scratch.add(line(program.row_bytes)), elements.start) };
        let mut at = elements.start;
        while at < elements.end {
            let rows = Rows { start: at / walk.length, count: 1 };
            let first = at % walk.length;
            let last = (first + elements.end - at).min(walk.length);
            // SAFETY: as for this function.
            unsafe {
                match program.segments.first() {
                    Some(segment) => {
                        machine.begin(segment, rows);
                        machine.elements(segment, rows, first..last);
                    }
                    None => machine.block(rows),
                }
            }
            at += last - first;
        }
    })
}

/// The address as a whole: a closure that names the field alone could not be shared.
pub(super) fn at(pointer: HostPointer) -> *mut u8 {
    pointer.0
}

fn line(bytes: usize) -> usize {
    bytes.next_multiple_of(64)
}

/// Runs `body` on ranges of `units` in `chunks` chunks, each with a machine.
fn spread(
    bound: &Bound<'_>,
    units: usize,
    chunks: usize,
    body: &(dyn Fn(&mut Machine<'_>, Range<usize>) + Sync),
) -> Result<()> {
    let program = bound.program;
    let chunk = |index: usize| {
        if bound.monitor.stopped() {
            return;
        }
        let bytes = line(program.row_bytes) + program.tile_bytes;
        let ran = with_scratch(bytes, |scratch| {
            // SAFETY: the scratch has both memories, and this chunk alone uses them.
            let mut machine = unsafe { Machine::new(bound, scratch, scratch.add(line(program.row_bytes)), index) };
            body(&mut machine, units * index / chunks..units * (index + 1) / chunks);
        });
        if let Err(error) = ran {
            bound.monitor.fail(index, error);
        }
    };
    if chunks == 1 {
        chunk(0)
    } else {
        parallel(chunks, &chunk)
    }
    bound.monitor.result()
}

/// Runs a Group of few long rows: every pass shares the elements of each row among threads.
///
/// # Safety
/// As for `run`.
unsafe fn run_split(bound: &Bound<'_>, blocks: usize) -> Result<()> {
    let program = bound.program;
    let walk = program.walk;
    let memory = Scratch::of::<u8>(blocks * line(program.row_bytes))?;
    let start = HostPointer(memory.start());
    let shared = |block: usize| {
        // SAFETY: the memory has a part for each block.
        unsafe { at(start).add(block * line(program.row_bytes)) }
    };
    let per_block = chunk_count(walk.length);
    let length = chunk_length(walk.length);
    let runs = blocks * per_block;
    let units = (SHARES * program.chunks(MOST_CHUNKS)).min(runs);
    let each_block = |body: &dyn Fn(&mut Machine<'_>, Rows)| {
        with_scratch(program.tile_bytes, |tile| {
            for block in 0..blocks {
                // SAFETY: between regions this thread alone uses the memory of rows.
                let mut machine = unsafe { Machine::new(bound, shared(block), tile, 0) };
                body(&mut machine, walk.block_rows(block));
            }
        })
    };
    for segment in &program.segments {
        // SAFETY: as for this function.
        each_block(&|machine, rows| unsafe { machine.rows(&segment.row, rows) })?;
        parallel(units, &|index| {
            if bound.monitor.stopped() {
                return;
            }
            let (mut run, last) = (runs * index / units, runs * (index + 1) / units);
            let ran = with_scratch(program.tile_bytes, |tile| {
                while run < last {
                    let block = run / per_block;
                    let (first, next) = (block * per_block, last.min((block + 1) * per_block));
                    let elements = (run - first) * length..((next - first) * length).min(walk.length);
                    let rows = walk.block_rows(block);
                    // SAFETY: chunks of a block read its row values, and write the results of their own runs.
                    unsafe {
                        let mut machine = Machine::new(bound, shared(block), tile, index);
                        machine.hoist(segment, rows);
                        machine.elements(segment, rows, elements);
                    }
                    run = next;
                }
            });
            if let Err(error) = ran {
                bound.monitor.fail(index, error);
            }
        });
        bound.monitor.result()?;
        // SAFETY: all elements are folded.
        each_block(&|machine, rows| unsafe { machine.finish_folds(segment, rows) })?;
    }
    // SAFETY: as for this function.
    each_block(&|machine, rows| unsafe { machine.end(rows) })?;
    bound.monitor.result()
}

impl Machine<'_> {
    /// A whole block of rows: all passes.
    ///
    /// # Safety
    /// As for `run`.
    unsafe fn block(&mut self, rows: Rows) {
        let program = self.bound.program;
        // SAFETY: as for this function.
        unsafe {
            for segment in &program.segments {
                self.begin(segment, rows);
                self.elements(segment, rows, 0..program.walk.length);
                self.finish_folds(segment, rows);
            }
            self.end(rows);
        }
    }

    /// What comes before the tiles of a pass.
    ///
    /// # Safety
    /// As for `run`.
    unsafe fn begin(&mut self, segment: &Segment, rows: Rows) {
        // SAFETY: as for this function.
        unsafe {
            self.rows(&segment.row, rows);
            self.hoist(segment, rows);
        }
    }

    /// Steps on row values.
    ///
    /// # Safety
    /// As for `run`.
    unsafe fn rows(&mut self, steps: &[Step], rows: Rows) {
        let tile = Tile::flat(rows.start, rows.count);
        // SAFETY: as for this function.
        unsafe { self.execute(steps, Extent { level: Level::Row, tile, rows: rows.count, elements: 1 }) };
    }

    /// Repeats constants and row values for the tiles of a pass.
    ///
    /// # Safety
    /// As for `run`.
    unsafe fn hoist(&mut self, segment: &Segment, rows: Rows) {
        if segment.hoisted.is_empty() {
            return;
        }
        let walk = self.bound.program.walk;
        let elements = walk.piece.min(walk.length);
        let tile = walk.tile(rows, 0, elements);
        // SAFETY: as for this function.
        unsafe { self.execute(&segment.hoisted, Extent { level: Level::Element, tile, rows: rows.count, elements }) };
    }

    /// The tiles of some elements of a pass; `range` starts at a multiple of `BLOCK` where the pass folds.
    ///
    /// # Safety
    /// As for `run`.
    unsafe fn elements(&mut self, segment: &Segment, rows: Rows, range: Range<usize>) {
        if segment.element.is_empty() && segment.stores.is_empty() && segment.folds.is_empty() {
            return;
        }
        let walk = self.bound.program.walk;
        // SAFETY: as for this function.
        unsafe {
            if walk.order != Order::Columns || segment.folds.is_empty() {
                self.tiles(segment, rows, range, walk.piece);
                return;
            }
            for first in range.clone().step_by(reduce::BLOCK) {
                let last = (first + reduce::BLOCK).min(range.end);
                let lines = self.lines(segment, rows, first, last);
                let few = reduce::is_few(&walk, lines.is_some());
                for fold in segment.folds.iter().filter(|_| !few) {
                    reduce::begin_columns(self, fold, rows.count);
                }
                if let Some((source, line)) = lines {
                    for fold in &segment.folds {
                        reduce::fold_memory(self, fold, (last - first, rows.count), source, line, first);
                    }
                } else if walk.piece == 1 && !segment.folds.iter().any(FoldStep::is_arg) {
                    // Lane by lane: the accumulators of one lane stay in the L1 cache.
                    for lane in 0..reduce::LANES.min(last - first) {
                        self.tiles(segment, rows, first + lane..last, reduce::LANES);
                    }
                } else {
                    self.tiles(segment, rows, first..last, walk.piece);
                }
                for fold in segment.folds.iter().filter(|_| !few) {
                    reduce::end_columns(self, fold, rows.count, first);
                }
            }
        }
    }

    /// Where the first of the elements of columns lies, and how many values there are from one to the next, if a pass does nothing but fold
    /// what lies in memory.
    fn lines(&self, segment: &Segment, rows: Rows, first: usize, last: usize) -> Option<(*const u8, isize)> {
        let walk = self.bound.program.walk;
        let [Step::Load { memory, pointer, .. }] = segment.element.as_slice() else { return None };
        let folded = |fold: &FoldStep| matches!(fold.operand, Folded::At(place) if place == Place::Pointer(*pointer));
        if !walk.straight || rows.count < WIDE || !segment.stores.is_empty() || !segment.folds.iter().all(folded) {
            return None;
        }
        // Later passes may take what this one would have loaded.
        if !memory.guards.is_empty() || (walk.keeps() && self.bound.program.segments.len() > 1) {
            return None;
        }
        let line = |element: usize| copy::direct(self.bound, memory, walk.tile(rows, element, 1));
        let start = line(first)?;
        let next = if first + 1 < last { line(first + 1)? } else { start };
        let size = memory.dtype.size() as isize;
        Some((start.cast_const(), (next as isize - start as isize) / size))
    }

    /// Tiles that begin every `step` elements.
    ///
    /// # Safety
    /// As for `run`.
    unsafe fn tiles(&mut self, segment: &Segment, rows: Rows, range: Range<usize>, step: usize) {
        let bound = self.bound;
        let walk = bound.program.walk;
        let short = reduce::is_short(&walk);
        let foresees = bound.program.foresees();
        // What single passes read is a stream that the hardware foresees.
        let chain = walk.order == Order::Rows
            && walk.keeps()
            && bound.program.is_large()
            && (foresees || bound.program.segments.len() > 1);
        for first in range.clone().step_by(step) {
            self.tiles += 1;
            if self.tiles.is_multiple_of(POLL_TILES) && self.bound.monitor.stopped() {
                return;
            }
            let elements = walk.piece.min(range.end - first);
            let tile = walk.tile(rows, first, elements);
            self.ahead.clear();
            if foresees && first + step < range.end {
                let next = walk.tile(rows, first + step, walk.piece.min(range.end - first - step));
                self.foresee(segment, next);
            } else if let Some(next) = self.next.filter(|_| chain) {
                self.foresee(segment, walk.tile(next, 0, walk.length));
            }
            // SAFETY: as for this function.
            unsafe {
                if walk.order == Order::Blocks
                    && let Some((from, to)) = segment.copies()
                {
                    self.ahead.ask(1);
                    if copy::across(bound, from, to, tile) {
                        continue;
                    }
                }
                self.aim(&segment.directs, tile);
                if !segment.once.is_empty() && !std::mem::replace(&mut self.once[segment.index], true) {
                    self.execute(&segment.once, Extent { level: Level::Element, tile, rows: rows.count, elements });
                }
                self.execute(&segment.element, Extent { level: Level::Element, tile, rows: rows.count, elements });
                for fold in &segment.folds {
                    match walk.order {
                        Order::Columns => reduce::fold_columns(self, fold, rows, first, elements),
                        _ if short => reduce::fold_short(self, fold, rows),
                        _ => reduce::fold_rows(self, fold, rows, first, elements),
                    }
                }
                self.store(&segment.stores, tile);
            }
        }
    }

    /// Notes what the next tile touches.
    fn foresee(&mut self, segment: &Segment, tile: Tile) {
        for step in &segment.element {
            if let Step::Load { memory, pointer, .. } = step
                && self.bound.program.fetched != Some(*pointer)
            {
                self.ahead.add(self.bound, memory, tile, false);
            }
        }
        for direct in &segment.directs {
            self.ahead.add(self.bound, &direct.memory, tile, true);
        }
    }

    /// Row values of the folds of a pass.
    ///
    /// # Safety
    /// As for `run`; all elements of the pass are folded.
    unsafe fn finish_folds(&mut self, segment: &Segment, rows: Rows) {
        let walk = self.bound.program.walk;
        for fold in &segment.folds {
            let in_columns = walk.order == Order::Columns || (reduce::is_short(&walk) && !fold.is_arg());
            // SAFETY: as for this function.
            unsafe { reduce::finish(self, fold, rows, in_columns) };
        }
    }

    /// What comes after the last pass: the last row values, and the stores of rows.
    ///
    /// # Safety
    /// As for `run`; all passes are done.
    unsafe fn end(&mut self, rows: Rows) {
        let program = self.bound.program;
        if program.finish.is_empty() && program.row_stores.is_empty() {
            return;
        }
        // SAFETY: as for this function.
        unsafe {
            self.rows(&program.finish, rows);
            self.store(&program.row_stores, Tile::flat(rows.start, rows.count));
        }
    }
}
