//! A program with its run-time numbers: addresses of arguments, resolved offsets, constants.
//! Depends on `program`, `monitor`, `backend`. Invariant: constants are written before any chunk starts, and only read by chunks.

use std::cell::UnsafeCell;

use smallvec::SmallVec;

use super::access::Tile;
use super::machine::{Extent, Machine};
use super::monitor::Monitor;
use super::program::{Level, Program, Step};
use crate::backend::HostPointer;

/// Memory that an argument is bound to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// Where element 0 of the argument lies.
    pub(super) start: HostPointer,
    /// The region that it is part of: first byte and size.
    pub(super) region: (usize, usize),
}

impl Span {
    fn overlaps(&self, other: &Span) -> bool {
        let ((a, size_a), (b, size_b)) = (self.region, other.region);
        a < b + size_b && b < a + size_a
    }
}

/// A program about to run.
pub(super) struct Bound<'a> {
    pub(super) program: &'a Program,
    pub(super) arguments: &'a [Span],
    pub(super) slots: &'a [u64],
    pub(super) monitor: &'a Monitor<'a>,
    /// Offsets of the patterns' numbers.
    pub(super) offsets: SmallVec<[i64; 16]>,
    /// Per pointer: whether it must not stand in an argument, because another argument shares that memory.
    pub(super) blocked: SmallVec<[bool; 16]>,
    constants: SmallVec<[UnsafeCell<u64>; 16]>,
}

// SAFETY: chunks only read a bound program; `constants` is written before they start.
unsafe impl Sync for Bound<'_> {}

impl<'a> Bound<'a> {
    /// Resolves the run-time numbers and computes the constants.
    ///
    /// # Safety
    /// The spans are memory that the program's patterns stay inside of, which nobody else writes during the run.
    pub(super) unsafe fn new(
        program: &'a Program,
        arguments: &'a [Span],
        slots: &'a [u64],
        monitor: &'a Monitor<'a>,
    ) -> Self {
        let mut blocked: SmallVec<[bool; 16]> = SmallVec::from_elem(false, program.pointers);
        let shares = |rivals: &[usize], argument: usize| {
            rivals.iter().any(|&rival| arguments[rival].overlaps(&arguments[argument]))
        };
        for segment in &program.segments {
            for direct in &segment.directs {
                blocked[direct.pointer] = shares(&direct.rivals, direct.memory.argument);
            }
            for step in &segment.element {
                if let Step::Load { pointer, rivals, memory, .. } = step {
                    blocked[*pointer] = shares(rivals, memory.argument);
                }
            }
        }
        let bound = Self {
            program,
            arguments,
            slots,
            monitor,
            offsets: program.linears.iter().map(|linear| linear.resolve(slots)).collect(),
            blocked,
            constants: (0..program.const_bytes / 8).map(|_| UnsafeCell::new(0)).collect(),
        };
        if !program.prelude.is_empty() {
            let none = std::ptr::null_mut();
            // SAFETY: constants live in memory of their own; the prelude names no row and no register.
            unsafe {
                let extent = Extent { level: Level::Const, tile: Tile::flat(0, 1), rows: 1, elements: 1 };
                Machine::new(&bound, none, none, 0).execute(&program.prelude, extent);
            }
        }
        bound
    }

    /// The memory of constants.
    pub(super) fn constants(&self) -> *mut u8 {
        self.constants.as_ptr().cast_mut().cast()
    }
}
