//! Asks the caches for the next tile while the present one is worked on.
//! Depends on `access`, `bound`. Invariant: nothing is read or written, so a wrong guess costs time only.

use smallvec::SmallVec;

use super::access::Tile;
use super::bound::Bound;
use super::program::Memory;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Equally long pieces of memory, a step apart.
struct Pieces {
    start: *mut u8,
    /// Cache lines of one piece.
    lines: usize,
    step: isize,
    /// Cache lines of all pieces.
    total: usize,
    /// Lines asked for.
    done: usize,
    write: bool,
}

/// Memory to ask for, a share at a time: too many requests at once would hold up the arithmetic.
#[derive(Default)]
pub(super) struct Ahead {
    pieces: SmallVec<[Pieces; 4]>,
}

impl Ahead {
    /// Forgets what was not asked for.
    pub(super) fn clear(&mut self) {
        self.pieces.clear();
    }

    /// Adds what a tile reads of an argument, or writes to it.
    pub(super) fn add(&mut self, bound: &Bound<'_>, memory: &Memory, tile: Tile, write: bool) {
        let pattern = &bound.program.patterns[memory.pattern];
        let size = memory.dtype.size();
        let corner = Tile { slow: 1, fast: 1, ..tile };
        let Some((first, _)) = pattern.line(&bound.offsets, corner) else { return };
        let (count, step, bytes) = match pattern.steps(tile) {
            Some((1, step)) if tile.slow > 1 => (tile.fast, step as isize * size as isize, tile.slow * size),
            Some((_, 1)) if tile.slow == 1 => (1, 0, tile.fast * size),
            _ => return,
        };
        let start = bound.arguments[memory.argument].start.0.wrapping_offset(first as isize * size as isize);
        let lines = bytes.div_ceil(LINE);
        self.pieces.push(Pieces { start, lines, step, total: count * lines, done: 0, write });
    }

    /// Asks for one of `shares` equal parts.
    pub(super) fn ask(&mut self, shares: usize) {
        for pieces in &mut self.pieces {
            let until = (pieces.done + pieces.total.div_ceil(shares)).min(pieces.total);
            let (mut piece, mut line) = (pieces.done / pieces.lines, pieces.done % pieces.lines);
            for _ in pieces.done..until {
                let start = pieces.start.wrapping_offset(piece as isize * pieces.step);
                prefetch(start.wrapping_add(line * LINE), pieces.write);
                line += 1;
                if line == pieces.lines {
                    (piece, line) = (piece + 1, 0);
                }
            }
            pieces.done = until;
        }
    }
}

/// Asks for one cache line.
fn prefetch(line: *const u8, write: bool) {
    // SAFETY: SSE belongs to x86-64, and prefetching touches no memory.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        use std::arch::x86_64::{_MM_HINT_ET0, _MM_HINT_T0, _mm_prefetch};
        if write { _mm_prefetch::<_MM_HINT_ET0>(line.cast()) } else { _mm_prefetch::<_MM_HINT_T0>(line.cast()) }
    }
    // SAFETY: prefetching touches no memory.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        use std::arch::asm;
        match write {
            true => asm!("prfm pstl1keep, [{}]", in(reg) line, options(nostack, preserves_flags, readonly)),
            false => asm!("prfm pldl1keep, [{}]", in(reg) line, options(nostack, preserves_flags, readonly)),
        }
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = (line, write);
}
