//! The reduction tree: how blocks of a row become its result, in rows and in columns, to the same bits.
//! Depends on `machine`, `program`, `kit::tiles`. Invariant: the tree depends on the row's length alone.
//!
//! A row of L elements is cut into blocks of `BLOCK`; `kit::tiles` folds each. The blocks form at most `CHUNKS` runs of equally many
//! (the last may be shorter); the blocks of a run are combined in order, starting with the first; the results of the runs are combined in
//! neighbouring pairs, again and again, an odd last one passing on. The result is rounded to its dtype once.
//! Positions (`ArgMax`, `ArgMin`) need no tree: the first extreme is the same in any grouping.

use super::domain::Order;
use super::machine::{Machine, read_slot, write_slot};
use super::program::{FoldStep, Folded, Place, Rows, Walk};
use super::registers::width;
use crate::code::Fold;
use crate::dtype::{Compute, DType};
use crate::kit::tiles::{self, Best};
pub(super) use crate::kit::tiles::{BLOCK, LANES};
use crate::kit::transpose::transpose;

/// Most runs of blocks of a row: what threads can share of it.
const CHUNKS: usize = 16;
/// Rows up to this length are folded many at once.
const SHORT: usize = 32;

/// Elements of one run of blocks of a row.
pub(super) fn chunk_length(length: usize) -> usize {
    length.div_ceil(BLOCK).div_ceil(CHUNKS).max(1) * BLOCK
}

/// Runs of blocks of a row.
pub(super) fn chunk_count(length: usize) -> usize {
    length.div_ceil(chunk_length(length)).max(1)
}

/// Bytes from one run's results to the next's, for blocks of this many rows.
pub(super) fn line_bytes(block: usize) -> usize {
    (block * 8).next_multiple_of(64)
}

/// Folds a tile of whole rows or of one row, elements `first..first + elements`, into the results of their runs.
///
/// # Safety
/// The operand holds the tile; `first` is a multiple of `BLOCK`.
pub(super) unsafe fn fold_rows(machine: &Machine<'_>, step: &FoldStep, rows: Rows, first: usize, elements: usize) {
    let walk = machine.bound.program.walk;
    let compute = step.dtype.compute();
    let is_float = matches!(compute, Compute::F32 | Compute::F64);
    if step.fold == Fold::Sum && is_float && elements == walk.length && elements <= BLOCK {
        // SAFETY: the operands hold `rows.count · elements` values, row memory a slot per row.
        unsafe {
            let sums = machine.row.add(step.partial).cast();
            let [a, b] = match step.operand {
                Folded::At(place) => [machine.address(place), std::ptr::null_mut()],
                Folded::Product(places) => places.map(|place| machine.address(place)),
                Folded::Mask(_) => unreachable!("masks are counted, in integers"),
                Folded::Exponential { a, b, dst } => {
                    let program = machine.bound.program;
                    let is_fetched = program.fetched.is_some_and(|pointer| a == Place::Pointer(pointer));
                    let ahead = if is_fetched && program.is_large() { rows.count * elements } else { 0 };
                    let [a, b] = [a, b].map(|place| machine.address(place).cast::<f32>().cast_const());
                    let dst = dst.map_or(std::ptr::null_mut(), |place| machine.address(place).cast());
                    tiles::Exponentials { rows: rows.count, length: elements, a, b, dst, ahead, sums }.run();
                    return;
                }
            };
            tiles::sum_rows(compute, rows.count, elements, a, b, sums);
        }
        return;
    }
    let (run, line) = (chunk_length(walk.length), line_bytes(walk.block));
    let mask = if let Folded::Mask(place) = step.operand { Some(machine.address(place).cast_const()) } else { None };
    let source = mask.unwrap_or_else(|| written(machine, step));
    let form = if mask.is_some() { width(Compute::Mask) } else { width(compute) };
    for row in 0..rows.count {
        // SAFETY: the operand holds `rows.count · elements` values, row memory a line per run.
        unsafe {
            let row_source = source.add(row * elements * form);
            for start in (0..elements).step_by(BLOCK) {
                let at = first + start;
                let count = BLOCK.min(elements - start);
                let offset = at / run * line + row * 8;
                let result = machine.row.add(step.partial + offset).cast::<u64>();
                let source = row_source.add(start * form);
                let is_first = at.is_multiple_of(run);
                if step.is_arg() {
                    let (value, place) = tiles::best_of_row(step.fold, step.dtype, count, source);
                    if is_first || tiles::arg_better(step.fold, step.dtype, value, result.read()) {
                        result.write(value);
                        machine.row.add(step.positions + offset).cast::<i64>().write((at + place) as i64);
                    }
                } else {
                    let value = match mask {
                        Some(_) => tiles::count_true(count, source),
                        None => tiles::fold_block(step.fold, step.dtype, count, source),
                    };
                    let before = result.read();
                    result.write(if is_first { value } else { tiles::combine(step.fold, step.dtype, before, value) });
                }
            }
        }
    }
}

/// The elements that are folded, which lie in memory.
fn written(machine: &Machine<'_>, step: &FoldStep) -> *const u8 {
    let Folded::At(place) = step.operand else { unreachable!("columns and short rows are folded from memory") };
    machine.address(place).cast_const()
}

/// Lanes that the elements of a row reach. The others hold the identity, which changes nothing: short rows do without them.
fn used_lanes(length: usize) -> usize {
    length.next_power_of_two().min(LANES)
}

/// Sets the lanes of columns to the identity, before the first tile of a block.
///
/// # Safety
/// Tile memory holds the lanes.
pub(super) unsafe fn begin_columns(machine: &Machine<'_>, step: &FoldStep, columns: usize) {
    if !step.is_arg() {
        let used = used_lanes(machine.bound.program.walk.length);
        let identity = tiles::identity(step.fold, step.dtype);
        // SAFETY: as the caller vouches.
        unsafe { tiles::fill(step.dtype.compute(), used * columns, machine.tile.add(step.lanes), identity) };
    }
}

/// Folds a tile `[elements][columns]` into the lanes of its columns.
///
/// # Safety
/// The operand holds the tile, which crosses no multiple of `BLOCK`. Per lane, tiles come in order; for positions, all tiles do.
pub(super) unsafe fn fold_columns(machine: &Machine<'_>, step: &FoldStep, rows: Rows, first: usize, elements: usize) {
    let (columns, source) = (rows.count, written(machine, step));
    // SAFETY: as the caller vouches.
    unsafe {
        if step.is_arg() || is_few(&machine.bound.program.walk, false) {
            fold_memory(machine, step, (elements, columns), source, columns as isize, first);
        } else {
            let lanes = machine.tile.add(step.lanes);
            tiles::fold_rows(step.fold, step.dtype, elements, columns, source, first % BLOCK, lanes);
        }
    }
}

/// Folds rows `first..first + rows` straight from memory, where each begins `line` values after the one before: those of a whole block into
/// the lanes of its columns, few rows or positions into the results of their runs.
///
/// # Safety
/// The memory holds the rows, tile memory the lanes, row memory a line per run.
pub(super) unsafe fn fold_memory(
    machine: &Machine<'_>,
    step: &FoldStep,
    size: (usize, usize),
    source: *const u8,
    line: isize,
    first: usize,
) {
    let walk = machine.bound.program.walk;
    let run = chunk_length(walk.length);
    let offset = first / run * line_bytes(walk.block);
    // SAFETY: as the caller vouches.
    unsafe {
        let values = machine.row.add(columns_place(step, &walk) + offset);
        if step.is_arg() {
            let best = Best { values, positions: machine.row.add(step.positions + offset).cast() };
            let start = (first, first.is_multiple_of(run));
            tiles::best_of_columns(step.fold, step.dtype, size, source, line, start, best);
        } else if walk.length <= LANES {
            tiles::fold_few(step.fold, step.dtype, size, source, line, values);
        } else {
            tiles::fold_columns(step.fold, step.dtype, size, source, line, machine.tile.add(step.lanes));
        }
    }
}

/// Where the folds of the runs of columns are gathered. Of few rows there is one run, whose folds are the results.
fn columns_place(step: &FoldStep, walk: &Walk) -> usize {
    if !step.is_arg() && walk.length <= LANES { step.result } else { step.partial }
}

/// Whether a block of columns is folded in one go, without lanes: few rows that all are in a tile, or all `in_memory`.
pub(super) fn is_few(walk: &Walk, in_memory: bool) -> bool {
    walk.length <= LANES && (in_memory || walk.keeps())
}

/// Combines the lanes of the block that starts at `first`, and that with the blocks of its run before.
///
/// # Safety
/// All tiles of the block are folded.
pub(super) unsafe fn end_columns(machine: &Machine<'_>, step: &FoldStep, columns: usize, first: usize) {
    if step.is_arg() {
        return;
    }
    let walk = machine.bound.program.walk;
    let run = chunk_length(walk.length);
    // SAFETY: row memory holds a line per run, tile memory the lanes.
    unsafe {
        let partial = machine.row.add(columns_place(step, &walk) + first / run * line_bytes(walk.block));
        let lanes = machine.tile.add(step.lanes);
        combine_lanes(step, columns, used_lanes(walk.length), lanes);
        if first.is_multiple_of(run) {
            std::ptr::copy_nonoverlapping(lanes, partial, columns * width(step.dtype.compute()));
        } else {
            tiles::fold_rows(step.fold, step.dtype, 1, columns, lanes, 0, partial);
        }
    }
}

/// Combines lanes `[used][columns]` pairwise; the result is the first.
///
/// # Safety
/// `lanes` holds them.
unsafe fn combine_lanes(step: &FoldStep, columns: usize, used: usize, lanes: *mut u8) {
    let mut half = used / 2;
    while half > 0 {
        // SAFETY: both halves lie in the lanes.
        unsafe {
            let upper = lanes.add(half * columns * width(step.dtype.compute()));
            tiles::fold_rows(step.fold, step.dtype, 1, half * columns, upper, 0, lanes);
        }
        half /= 2;
    }
}

/// Folds a tile of whole short rows: turned, so that each row is a column, and all are folded at once.
///
/// # Safety
/// The operand holds `[rows][length]` values; tile memory has room for `lane_bytes`.
pub(super) unsafe fn fold_short(machine: &Machine<'_>, step: &FoldStep, rows: Rows) {
    let length = machine.bound.program.walk.length;
    let form = width(step.dtype.compute());
    let source = written(machine, step);
    // SAFETY: as the caller vouches.
    unsafe {
        let turned = machine.tile.add(step.lanes);
        transpose(form, rows.count, length, source, length as isize, turned, rows.count as isize);
        fold_memory(machine, step, (length, rows.count), turned, rows.count as isize, 0);
    }
}

/// Whether a walk's rows are folded by `fold_short`.
pub(super) fn is_short(walk: &Walk) -> bool {
    walk.order == Order::Rows && walk.block > 1 && walk.length > 0 && walk.length <= SHORT
}

/// Tile memory for the lanes of a fold.
pub(super) fn lane_bytes(walk: &Walk, fold: Fold, dtype: DType) -> usize {
    let is_arg = matches!(fold, Fold::ArgMax | Fold::ArgMin);
    let row = walk.block * width(dtype.compute());
    match walk.order {
        Order::Columns if !is_arg => used_lanes(walk.length) * row,
        _ if is_short(walk) => walk.length * row,
        _ => 0,
    }
}

/// Combines the results of the runs of each row to row values.
///
/// # Safety
/// All runs of these rows are folded.
pub(super) unsafe fn finish(machine: &Machine<'_>, step: &FoldStep, rows: Rows, in_columns: bool) {
    let walk = machine.bound.program.walk;
    let compute = step.dtype.compute();
    let form = width(compute);
    // Runs of a row store eight bytes per row, columns as many as their type has.
    let stride = if in_columns { form } else { 8 };
    let line = line_bytes(walk.block);
    let runs = chunk_count(walk.length);
    // SAFETY: row memory holds a line per run and a value per row.
    unsafe {
        let partial = machine.row.add(step.partial);
        let result = machine.row.add(step.result);
        if walk.length == 0 {
            let bits = tiles::round_to(step.dtype, tiles::identity(step.fold, step.dtype));
            (0..rows.count).for_each(|row| write_slot(result.add(row * form), compute, bits));
            return;
        }
        if in_columns && !step.is_arg() {
            if columns_place(step, &walk) == step.partial {
                combine_columns(step, rows.count, partial, line, runs);
                std::ptr::copy_nonoverlapping(partial, result, rows.count * form);
            }
            tiles::round_lines(step.dtype, rows.count, result);
            return;
        }
        if runs == 1 && !step.is_arg() {
            match form {
                1 => narrow::<u8>(rows.count, partial, stride, result),
                4 => narrow::<u32>(rows.count, partial, stride, result),
                _ => narrow::<u64>(rows.count, partial, stride, result),
            }
            tiles::round_lines(step.dtype, rows.count, result);
            return;
        }
        for row in 0..rows.count {
            let read = |run: usize| read_slot(partial.add(run * line + row * stride), compute);
            if step.is_arg() {
                let mut best = 0;
                for run in 1..runs {
                    if tiles::arg_better(step.fold, step.dtype, read(run), read(best)) {
                        best = run;
                    }
                }
                let position = machine.row.add(step.positions + best * line + row * 8).cast::<u64>().read();
                write_slot(result.add(row * 8), Compute::I64, position);
                continue;
            }
            let bits = combine_runs(step, runs, read);
            write_slot(result.add(row * form), compute, tiles::round_to(step.dtype, bits));
        }
    }
}

/// Puts the first bytes of `count` slots side by side: on processors that store the low bytes first, the values.
///
/// # Safety
/// The memory holds them.
unsafe fn narrow<T: Copy>(count: usize, slots: *const u8, stride: usize, to: *mut u8) {
    const { assert!(cfg!(target_endian = "little")) };
    for row in 0..count {
        // SAFETY: as the caller vouches.
        unsafe { to.cast::<T>().add(row).write_unaligned(slots.add(row * stride).cast::<T>().read_unaligned()) };
    }
}

/// The fixed tree over the results of runs.
fn combine_runs(step: &FoldStep, runs: usize, read: impl Fn(usize) -> u64) -> u64 {
    let mut results = [0u64; CHUNKS];
    for (run, result) in results.iter_mut().enumerate().take(runs) {
        *result = read(run);
    }
    let mut count = runs;
    while count > 1 {
        for pair in 0..count / 2 {
            results[pair] = tiles::combine(step.fold, step.dtype, results[2 * pair], results[2 * pair + 1]);
        }
        if count % 2 == 1 {
            results[count / 2] = results[count - 1];
        }
        count = count.div_ceil(2);
    }
    results[0]
}

/// The same tree over lines of columns; the result is the first line.
///
/// # Safety
/// `partial` holds `runs` lines of `columns` values.
unsafe fn combine_columns(step: &FoldStep, columns: usize, partial: *mut u8, line: usize, runs: usize) {
    let bytes = columns * width(step.dtype.compute());
    let mut count = runs;
    while count > 1 {
        // SAFETY: lines `2 · pair + 1 < count` are there; a line is written after the last read of it.
        unsafe {
            for pair in 0..count / 2 {
                let (to, from) = (partial.add(pair * line), partial.add(2 * pair * line));
                std::ptr::copy(from, to, bytes);
                tiles::fold_rows(step.fold, step.dtype, 1, columns, from.add(line), 0, to);
            }
            if count % 2 == 1 {
                std::ptr::copy(partial.add((count - 1) * line), partial.add(count / 2 * line), bytes);
            }
        }
        count = count.div_ceil(2);
    }
}
