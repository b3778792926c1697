//! Moves elements between arguments and registers: straight, by runs, or transposing.
//! Depends on `access`, `bound`, `kit::tiles`. Invariant: memory outside guards is never touched.

use super::access::{Lines, Tile, inside};
use super::assign::lies_as_computed;
use super::bound::Bound;
use super::program::Memory;
use super::registers::width;
use crate::dtype::DType;
use crate::kit::tiles;
use crate::kit::transpose::transpose;

/// Where the tile's elements lie in the argument, if they lie there as registers would hold them.
pub(super) fn direct(bound: &Bound<'_>, memory: &Memory, tile: Tile) -> Option<*mut u8> {
    if !lies_as_computed(memory.dtype) {
        return None;
    }
    let pattern = &bound.program.patterns[memory.pattern];
    let (value, step) = pattern.line(&bound.offsets, tile)?;
    if step != 1 && tile.fast > 1 {
        return None;
    }
    if !memory.guards.is_empty() {
        let (values, steps) = pattern.single_run(&bound.offsets, tile)?;
        for (guard, &size) in memory.guards.iter().enumerate() {
            if inside(values[guard + 1], steps[guard + 1], size, tile.fast) != (0, tile.fast) {
                return None;
            }
        }
    }
    let start = bound.arguments[memory.argument].start.0;
    Some(start.wrapping_offset(value as isize * memory.dtype.size() as isize))
}

/// Reads the tile's elements into a register.
///
/// # Safety
/// The argument's memory holds every element of the pattern whose guards hold; `dst` has room for the tile.
pub(super) unsafe fn gather(bound: &Bound<'_>, memory: &Memory, tile: Tile, dst: *mut u8) {
    let pattern = &bound.program.patterns[memory.pattern];
    let start = bound.arguments[memory.argument].start.0;
    let dtype = memory.dtype;
    let (size, form) = (dtype.size() as isize, width(dtype.compute()));
    if let Some((corner, slow_step, step)) = rectangle(bound, memory, tile) {
        let source = start.wrapping_offset(corner as isize * size);
        // SAFETY: the rectangle lies inside the argument, as the caller vouches.
        unsafe {
            if slow_step == 1 && step.unsigned_abs() > 1 {
                turn(dtype, tile.slow, tile.fast, source, step as isize, dst, tile.fast);
                return;
            }
            for row in 0..tile.slow {
                let line = source.wrapping_offset(row as isize * slow_step as isize * size);
                load(dtype, tile.fast, line, step as isize, dst.add(row * tile.fast * form));
            }
        }
        return;
    }
    if memory.guards.is_empty()
        && lies_as_computed(dtype)
        && let Some(lines) = pattern.lines(&bound.offsets, tile)
        && (lines.step == 1 || lines.size <= SHORT)
    {
        let source = start.wrapping_offset(lines.value as isize * size);
        // SAFETY: the lines are those of the tile.
        unsafe {
            match size {
                _ if lines.size > SHORT => long(&lines, tile.fast, source, dst, size),
                1 => short(&lines, tile.fast, source, dst),
                4 => short::<u32>(&lines, tile.fast, source.cast(), dst.cast()),
                _ => short::<u64>(&lines, tile.fast, source.cast(), dst.cast()),
            }
        }
        return;
    }
    if tile.slow == 1 && memory.guards.is_empty() && pattern.is_single() {
        let step = pattern.step();
        pattern.each_run(&bound.offsets, tile, |at, elements, value| {
            let source = start.wrapping_offset(value as isize * size);
            // SAFETY: the run lies inside the tile and the argument.
            unsafe { load(dtype, elements, source, step, dst.add(at * form)) };
        });
        return;
    }
    pattern.walk(&bound.offsets, tile, |run| {
        let (mut from, mut to) = (0, run.elements);
        for (guard, &limit) in memory.guards.iter().enumerate() {
            let range = inside(run.values[guard + 1], run.steps[guard + 1], limit, run.elements);
            (from, to) = (from.max(range.0), to.min(range.1));
        }
        // SAFETY: only elements inside the guards are read, and the run lies inside the tile.
        unsafe {
            let dst = dst.add(run.at * form);
            if from >= to {
                dst.write_bytes(0, run.elements * form);
                return;
            }
            dst.write_bytes(0, from * form);
            dst.add(to * form).write_bytes(0, (run.elements - to) * form);
            let first = run.values[0] + run.steps[0] * from as i64;
            let source = start.wrapping_offset(first as isize * size);
            load(dtype, to - from, source, run.steps[0] as isize, dst.add(from * form));
        }
    });
}

/// Elements of a run up to which they are moved one by one: a call per run would cost more.
const SHORT: usize = 16;

/// Copies runs of elements that lie next to each other.
///
/// # Safety
/// As `short`; elements are of `size` bytes.
unsafe fn long(lines: &Lines, count: usize, source: *const u8, dst: *mut u8, size: isize) {
    let bytes = size as usize;
    let (mut line, mut first, mut at) = (source, lines.first, 0);
    while at < count {
        let elements = (lines.size - first).min(count - at);
        // SAFETY: as the caller vouches.
        unsafe {
            let from = line.wrapping_offset(first as isize * size);
            // A result that takes over its operand's memory is there already.
            if !std::ptr::eq(from, dst.add(at * bytes)) {
                std::ptr::copy_nonoverlapping(from, dst.add(at * bytes), elements * bytes);
            }
        }
        (first, at, line) = (0, at + elements, line.wrapping_offset(lines.line * size));
    }
}

/// Reads short runs one element after the other.
///
/// # Safety
/// `source` is where the first run begins in memory that has the lines; `dst` has room for `count` elements.
unsafe fn short<T: Copy>(lines: &Lines, count: usize, source: *const T, dst: *mut T) {
    /// Whole runs of a length that the compiler knows; where they end.
    ///
    /// # Safety
    /// As `short`.
    unsafe fn whole<T: Copy, const N: usize>(lines: &Lines, runs: usize, source: *const T, dst: *mut T) {
        for run in 0..runs {
            // SAFETY: as the caller vouches.
            unsafe {
                let line = source.wrapping_offset(run as isize * lines.line);
                let to = dst.add(run * N);
                for element in 0..N {
                    to.add(element).write_unaligned(line.offset(element as isize * lines.step).read_unaligned());
                }
            }
        }
    }
    let mut line = source;
    let (mut element, mut at) = (lines.first, 0);
    while at < count {
        let runs = (count - at) / lines.size;
        if element == 0 && runs > 0 {
            let done = runs * lines.size;
            // SAFETY: the runs lie among the lines.
            let is_known = unsafe {
                let to = dst.add(at);
                match lines.size {
                    2 => whole::<T, 2>(lines, runs, line, to),
                    3 => whole::<T, 3>(lines, runs, line, to),
                    4 => whole::<T, 4>(lines, runs, line, to),
                    5 => whole::<T, 5>(lines, runs, line, to),
                    8 => whole::<T, 8>(lines, runs, line, to),
                    _ => (),
                }
                matches!(lines.size, 2..=5 | 8)
            };
            if is_known {
                (at, line) = (at + done, line.wrapping_offset(runs as isize * lines.line));
                continue;
            }
        }
        let last = lines.size.min(element + count - at);
        // SAFETY: as the caller vouches.
        unsafe {
            while element < last {
                dst.add(at).write_unaligned(line.offset(element as isize * lines.step).read_unaligned());
                (element, at) = (element + 1, at + 1);
            }
        }
        (element, line) = (0, line.wrapping_offset(lines.line));
    }
}

/// Repeats the first `period` bytes up to `bytes`.
///
/// # Safety
/// There is room for all of them.
pub(super) unsafe fn continue_period(dst: *mut u8, period: usize, bytes: usize) {
    let mut done = period;
    while done < bytes {
        let count = done.min(bytes - done);
        // SAFETY: as the caller vouches; what is read is written already.
        unsafe { std::ptr::copy_nonoverlapping(dst.cast_const(), dst.add(done), count) };
        done += count;
    }
}

/// Writes a register, or elements of another argument, to the tile's elements.
///
/// # Safety
/// The argument's memory holds every element of the pattern; `source` holds the tile.
pub(super) unsafe fn scatter(bound: &Bound<'_>, memory: &Memory, tile: Tile, source: *const u8) {
    let pattern = &bound.program.patterns[memory.pattern];
    let start = bound.arguments[memory.argument].start.0;
    let (size, form) = (memory.dtype.size() as isize, width(memory.dtype.compute()));
    if let Some((corner, slow_step, step)) = rectangle(bound, memory, tile) {
        let dst = start.wrapping_offset(corner as isize * size);
        for row in 0..tile.slow {
            let line = dst.wrapping_offset(row as isize * slow_step as isize * size);
            // SAFETY: the rectangle lies inside the argument, as the caller vouches.
            unsafe { store(memory.dtype, tile.fast, source.add(row * tile.fast * form), line, step as isize) };
        }
        return;
    }
    pattern.walk(&bound.offsets, tile, |run| {
        let dst = start.wrapping_offset(run.values[0] as isize * size);
        // SAFETY: the run lies inside the tile and the argument.
        unsafe { store(memory.dtype, run.elements, source.add(run.at * form), dst, run.steps[0] as isize) };
    });
}

/// Reads one run.
///
/// # Safety
/// As for `tiles::load`.
unsafe fn load(dtype: DType, count: usize, source: *const u8, step: isize, dst: *mut u8) {
    /// # Safety
    /// As for `load`.
    unsafe fn repeat<T: Copy>(count: usize, source: *const u8, dst: *mut u8) {
        // SAFETY: as the caller vouches.
        unsafe {
            let value = source.cast::<T>().read_unaligned();
            (0..count).for_each(|i| dst.cast::<T>().add(i).write_unaligned(value));
        }
    }
    // SAFETY: as the caller vouches.
    unsafe {
        // Runs are often short: the usual ones are spared the way through the kit.
        match (lies_as_computed(dtype), step, dtype.size()) {
            // A result that takes over its operand's memory is there already.
            (true, 1, _) if std::ptr::eq(source, dst) => {}
            (true, 1, size) => std::ptr::copy_nonoverlapping(source, dst, count * size),
            (true, 0, 4) => repeat::<u32>(count, source, dst),
            (true, 0, 8) => repeat::<u64>(count, source, dst),
            _ => tiles::load(dtype, count, source, step, dst),
        }
    }
}

/// Writes one run, unless it is there already.
///
/// # Safety
/// As for `tiles::store`, but that the source may be the destination.
unsafe fn store(dtype: DType, count: usize, source: *const u8, dst: *mut u8, step: isize) {
    // SAFETY: as the caller vouches.
    unsafe {
        match (lies_as_computed(dtype), step) {
            (true, 1) if std::ptr::eq(source, dst) => {}
            (true, 1) => std::ptr::copy_nonoverlapping(source, dst, count * dtype.size()),
            _ => tiles::store(dtype, count, source, dst, step),
        }
    }
}

/// Copies a rectangle straight from argument to argument, where one is contiguous along the slow axis and the other along the fast one.
///
/// # Safety
/// The arguments' memory holds every element of the patterns, and they do not overlap.
pub(super) unsafe fn across(bound: &Bound<'_>, from: &Memory, to: &Memory, tile: Tile) -> bool {
    let Some((source, 1, step)) = rectangle(bound, from, tile) else { return false };
    let Some((dst, line, 1)) = rectangle(bound, to, tile) else { return false };
    let size = from.dtype.size();
    let address = |memory: &Memory, element: i64| {
        bound.arguments[memory.argument].start.0.wrapping_offset(element as isize * size as isize)
    };
    let (source, dst) = (address(from, source), address(to, dst));
    // SAFETY: the rectangle lies inside both arguments.
    unsafe { transpose(size, tile.fast, tile.slow, source, step as isize, dst, line as isize) };
    true
}

/// Writes one value to all of the tile's elements.
///
/// # Safety
/// As for `scatter`; `source` holds one value.
pub(super) unsafe fn scatter_constant(bound: &Bound<'_>, memory: &Memory, tile: Tile, source: *const u8) {
    let pattern = &bound.program.patterns[memory.pattern];
    let start = bound.arguments[memory.argument].start.0;
    let size = memory.dtype.size() as isize;
    pattern.walk(&bound.offsets, tile, |run| {
        for element in 0..run.elements as i64 {
            let dst = start.wrapping_offset((run.values[0] + run.steps[0] * element) as isize * size);
            // SAFETY: the run lies inside the argument.
            unsafe { store(memory.dtype, 1, source, dst, 1) };
        }
    });
}

/// The first element of a tile of several rows, and the steps along its slow and fast axis, where it crosses no other axis and no guard.
fn rectangle(bound: &Bound<'_>, memory: &Memory, tile: Tile) -> Option<(i64, i64, i64)> {
    if tile.slow < 2 || !memory.guards.is_empty() {
        return None;
    }
    let pattern = &bound.program.patterns[memory.pattern];
    let (slow, fast) = pattern.steps(tile)?;
    let (corner, _) = pattern.line(&bound.offsets, Tile { slow: 1, fast: 1, ..tile })?;
    Some((corner, slow, fast))
}

/// Reads `dst[slow][fast]` from memory that is contiguous along the slow axis: line by line of memory, so that each cache line is
/// read once.
///
/// # Safety
/// The memory holds the elements; `dst` has room, with `line` elements from one slow index to the next.
unsafe fn turn(dtype: DType, slow: usize, fast: usize, source: *const u8, step: isize, dst: *mut u8, line: usize) {
    // SAFETY: as the caller vouches.
    unsafe {
        if lies_as_computed(dtype) {
            transpose(dtype.size(), fast, slow, source, step, dst, line as isize);
        } else {
            let (size, form) = (dtype.size(), width(dtype.compute()));
            for row in 0..slow {
                tiles::load(dtype, fast, source.add(row * size), step, dst.add(row * line * form));
            }
        }
    }
}
