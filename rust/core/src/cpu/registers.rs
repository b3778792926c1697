//! Assigns registers of a tile: places are reused once the last reader is done, so that live values stay in the L1 cache.
//! Depends on `dtype`. Invariant: two live values never share bytes.

use crate::dtype::Compute;

/// Bytes of one element of a compute type.
pub(super) const fn width(compute: Compute) -> usize {
    match compute {
        Compute::Mask => 1,
        Compute::I32 | Compute::F32 => 4,
        Compute::I64 | Compute::U64 | Compute::F64 => 8,
    }
}

/// A memory that grows by registers of a fixed number of elements.
#[derive(Clone, Debug)]
pub(super) struct Registers {
    elements: usize,
    bytes: usize,
    /// Freed places, by the logarithm of their element width.
    free: [Vec<usize>; 4],
}

impl Registers {
    pub(super) fn new(elements: usize) -> Self {
        Self { elements, bytes: 0, free: Default::default() }
    }

    /// A place that nothing has used.
    pub(super) fn fresh(&mut self, compute: Compute) -> usize {
        self.reserve(self.elements * width(compute))
    }

    /// A place for one more live value.
    pub(super) fn take(&mut self, compute: Compute) -> usize {
        let class = width(compute).ilog2() as usize;
        self.free[class].pop().unwrap_or_else(|| self.fresh(compute))
    }

    /// Gives a place back.
    pub(super) fn give(&mut self, place: usize, compute: Compute) {
        self.free[width(compute).ilog2() as usize].push(place);
    }

    /// Some bytes for another purpose.
    pub(super) fn reserve(&mut self, bytes: usize) -> usize {
        let place = self.bytes;
        // One line more than needed: registers at multiples of 4 KiB would collide in the cache and in store forwarding.
        self.bytes += bytes.next_multiple_of(64) + if bytes >= 1024 { 64 } else { 0 };
        place
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
