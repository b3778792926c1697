//! Where the source of a convolution is read: in place, or from a padded copy. Depends on `line`, `vector`.
//! Invariant: within a space every tap of a step lies at the same distance from the step, whatever the step.

use std::ops::Range;

use super::line::Line;
use crate::kit::vector::{Element, Routine, Vector};

/// Channels that are fetched ahead.
pub(super) const AHEAD: usize = 2;

/// A tensor `[batch, channels, depth, height, width]` with any strides.
#[derive(Clone, Copy)]
pub(super) struct Operand<E> {
    pub(super) start: *const E,
    pub(super) strides: [isize; 5],
}

// SAFETY: an address alone does no harm; who reads through it proves that the elements are there.
unsafe impl<E> Send for Operand<E> {}
// SAFETY: as above.
unsafe impl<E> Sync for Operand<E> {}

impl<E> Operand<E> {
    /// The first element of a channel of an image.
    pub(super) fn channel(&self, image: usize, channel: usize) -> *const E {
        self.start.wrapping_offset(image as isize * self.strides[0] + channel as isize * self.strides[1])
    }
}

/// Distances in a source, in elements.
#[derive(Clone, Debug)]
pub(super) struct Space {
    /// From channel to channel.
    pub(super) channel: isize,
    /// From a step to the next, per axis.
    pub(super) step: [isize; 3],
    /// Of each tap from its step, per axis.
    pub(super) taps: [Vec<isize>; 3],
    /// Of the first step from the first element.
    pub(super) origin: isize,
    /// Elements of a copy, for one channel; 0 where the source is read in place.
    pub(super) copied: usize,
    /// Steps that a copy has room for, with their reach.
    pub(super) reach: [usize; 3],
}

/// Steps of the three axes.
pub(super) type Steps = [Range<isize>; 3];

/// How many.
pub(super) fn count(steps: &Range<isize>) -> usize {
    usize::try_from(steps.end - steps.start).unwrap_or(0)
}

impl Space {
    /// Whether taps lie at the same distances.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (self.channel, &self.taps) == (other.channel, &other.taps)
    }

    /// The source itself, where the steps read inside of it only; distances count from the first step.
    pub(super) fn in_place(lines: &[Line; 3], strides: &[isize; 5], steps: &Steps) -> Option<Self> {
        if !lines.iter().zip(steps).all(|(line, steps)| line.inside(steps)) {
            return None;
        }
        let step: [isize; 3] = std::array::from_fn(|axis| lines[axis].stride * strides[2 + axis]);
        let taps = std::array::from_fn(|axis| {
            let line = &lines[axis];
            let tap = |tap: &super::line::Tap| {
                (tap.shift * line.stride - line.padding + line.residues[tap.residue]) * strides[2 + axis]
            };
            line.taps.iter().map(tap).collect()
        });
        let origin = (0..3).map(|axis| steps[axis].start * step[axis]).sum();
        Some(Self { channel: strides[1], step, taps, origin, copied: 0, reach: [0; 3] })
    }

    /// A copy with zeros around: per channel all residues, each with its rows.
    pub(super) fn padded(lines: &[Line; 3], steps: &Steps) -> Self {
        let reach: [usize; 3] = std::array::from_fn(|axis| lines[axis].reach(count(&steps[axis])));
        let plane = reach.iter().fold(1usize, |size, &reach| size.saturating_mul(reach));
        let step = [(reach[1].saturating_mul(reach[2])) as isize, reach[2] as isize, 1];
        let mut residue = plane as isize;
        let mut taps: [Vec<isize>; 3] = Default::default();
        for axis in (0..3).rev() {
            let line = &lines[axis];
            let tap = |tap: &super::line::Tap| {
                (tap.shift - line.low)
                    .wrapping_mul(step[axis])
                    .wrapping_add((tap.residue as isize).wrapping_mul(residue))
            };
            taps[axis] = line.taps.iter().map(tap).collect();
            residue = residue.saturating_mul(line.residues.len() as isize);
        }
        Self { channel: residue, step, taps, origin: 0, copied: residue as usize, reach }
    }
}

/// Where an element of a panel is read: a distance, or nowhere, which is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Read(isize);

impl Read {
    /// A zero.
    pub(super) const ZERO: Self = Self(0);

    pub(super) fn of(distance: Option<isize>) -> Self {
        // The lowest bit says whether there is one: which elements are zeros follows no pattern that a processor foresees.
        distance.map_or(Self::ZERO, |distance| Self(distance * 2 + 1))
    }

    /// The distance, where there is one.
    pub(super) fn distance(self) -> Option<isize> {
        (self.0 & 1 == 1).then_some(self.0 >> 1)
    }
}

/// Writes what reads find from `from` on.
///
/// # Safety
/// There is room for all; every read, and `from` itself, lies in memory.
#[inline]
pub(super) unsafe fn gather<E: Element>(from: *const E, reads: &[Read], to: *mut E) {
    for (i, read) in reads.iter().enumerate() {
        // SAFETY: as the caller vouches.
        unsafe {
            let x = from.wrapping_offset(read.0 >> 1).read_unaligned();
            to.add(i).write(x.masked(0u64.wrapping_sub((read.0 & 1) as u64)));
        }
    }
}

/// Copies channels of one image to a padded space.
pub(super) struct Fill<'a, E> {
    pub(super) space: &'a Space,
    pub(super) lines: &'a [Line; 3],
    pub(super) steps: &'a Steps,
    /// Of the first channel.
    pub(super) from: *const E,
    pub(super) strides: &'a [isize; 5],
    pub(super) channels: usize,
    pub(super) to: *mut E,
}

impl<E: Element> Routine<E> for Fill<'_, E> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector<Element = E>>(self) {
        let [depths, heights, widths] = self.lines;
        let [deep, high, wide] = self.space.reach;
        let mut to = self.to;
        let distance = AHEAD as isize * self.strides[1];
        for channel in 0..self.channels {
            let ahead = channel + AHEAD < self.channels && self.strides[4] == 1;
            let from = self.from.wrapping_offset(channel as isize * self.strides[1]);
            for rd in 0..depths.residues.len() {
                let slices = Inside::of(depths, self.steps[0].start, rd, deep);
                for rh in 0..heights.residues.len() {
                    let rows = Inside::of(heights, self.steps[1].start, rh, high);
                    for rw in 0..widths.residues.len() {
                        let row = Inside::of(widths, self.steps[2].start, rw, wide);
                        let (step_d, step_h) = (depths.stride * self.strides[2], heights.stride * self.strides[3]);
                        let jump = widths.stride * self.strides[4];
                        let first =
                            slices.first * self.strides[2] + rows.first * self.strides[3] + row.first * self.strides[4];
                        let from = from.wrapping_offset(first);
                        // SAFETY: the copy has room for all rows and a vector beyond; what is inside lies in the source.
                        unsafe {
                            zeros::<V>(to, slices.before * high * wide);
                            to = to.add(slices.before * high * wide);
                            for d in 0..slices.count {
                                let mut from = from.wrapping_offset(d as isize * step_d);
                                zeros::<V>(to, rows.before * wide);
                                to = to.add(rows.before * wide);
                                for _ in 0..rows.count {
                                    if ahead && rw == 0 {
                                        fetch::<V>(from.wrapping_offset(distance), row.count * widths.stride as usize);
                                    }
                                    zeros::<V>(to, row.before);
                                    copy::<V>(to.add(row.before), from, row.count, jump);
                                    let end = row.before + row.count;
                                    zeros::<V>(to.add(end), wide - end);
                                    from = from.wrapping_offset(step_h);
                                    to = to.add(wide);
                                }
                                let behind = high - rows.before - rows.count;
                                zeros::<V>(to, behind * wide);
                                to = to.add(behind * wide);
                            }
                            let behind = deep - slices.before - slices.count;
                            zeros::<V>(to, behind * high * wide);
                            to = to.add(behind * high * wide);
                        }
                    }
                }
            }
        }
    }
}

/// What part of a copy's axis has a source.
pub(super) struct Inside {
    /// Elements before it, and its elements.
    pub(super) before: usize,
    pub(super) count: usize,
    /// The source of its first element.
    pub(super) first: isize,
}

impl Inside {
    #[inline(always)]
    pub(super) fn of(line: &Line, begin: isize, residue: usize, size: usize) -> Self {
        let origin = line.origin(begin, residue);
        let before = if origin < 0 { ((-origin + line.stride - 1) / line.stride) as usize } else { 0 }.min(size);
        let reached = line.source as isize - origin;
        let end = if reached > 0 { ((reached + line.stride - 1) / line.stride) as usize } else { 0 };
        Self { before, count: end.clamp(before, size) - before, first: origin + before as isize * line.stride }
    }
}

/// Asks for elements beside each other.
#[inline(always)]
pub(super) fn fetch<V: Vector>(from: *const V::Element, count: usize) {
    for at in (0..count).step_by(64 / size_of::<V::Element>()) {
        V::fetch(from.wrapping_add(at));
    }
}

/// Writes zeros; perhaps a vector more.
///
/// # Safety
/// There is room for that.
#[inline(always)]
unsafe fn zeros<V: Vector<Element: Element>>(to: *mut V::Element, count: usize) {
    let mut i = 0;
    while i < count {
        // SAFETY: as the caller vouches.
        unsafe { V::splat(<V::Element as Element>::ZERO).store(to.add(i)) };
        i += V::LANES;
    }
}

/// Copies `count` elements that lie `jump` apart; may write a vector more, of zeros where the jump is 1 or 2.
///
/// # Safety
/// There is room for that, and the elements can be read.
#[inline(always)]
pub(super) unsafe fn copy<V: Vector>(to: *mut V::Element, from: *const V::Element, count: usize, jump: isize) {
    let mut i = 0;
    // SAFETY: as the caller vouches.
    unsafe {
        if jump == 1 {
            while i + V::LANES <= count {
                V::load(from.add(i)).store(to.add(i));
                i += V::LANES;
            }
            if i < count {
                let mask = (1u32 << (count - i)) - 1;
                V::load_some(from.add(i), mask).store(to.add(i));
            }
            return;
        }
        if jump == 2 {
            while i < count {
                // The last vectors are read up to the last element only.
                let there = (2 * (count - i) - 1).min(2 * V::LANES);
                let mask = (1u64 << there) - 1;
                let low = V::load_some(from.add(2 * i), mask as u32 & V::ALL);
                let high = V::load_some(from.wrapping_add(2 * i + V::LANES), (mask >> V::LANES) as u32);
                low.evens(high).store(to.add(i));
                i += V::LANES;
            }
            return;
        }
        while i < count {
            to.add(i).write(from.wrapping_offset(i as isize * jump).read_unaligned());
            i += 1;
        }
    }
}

/// Copies every second pair of elements that lie `jump` apart, `count` elements in all; may write a vector more, of zeros where the jump is 1.
///
/// # Safety
/// As for `copy`.
#[inline(always)]
pub(super) unsafe fn copy_pairs<V: Vector>(to: *mut V::Element, from: *const V::Element, count: usize, jump: isize) {
    let mut i = 0;
    // SAFETY: as the caller vouches; the last vectors are read up to the last element only.
    unsafe {
        while jump == 1 && i < count {
            let there = (2 * (count - i) - 2).min(2 * V::LANES);
            let mask = (1u64 << there) - 1;
            let low = V::load_some(from.add(2 * i), mask as u32 & V::ALL);
            let high = V::load_some(from.wrapping_add(2 * i + V::LANES), (mask >> V::LANES) as u32);
            low.even_pairs(high).store(to.add(i));
            i += V::LANES;
        }
        while i < count {
            let at = (i / 2 * 4 + i % 2) as isize;
            to.add(i).write(from.wrapping_offset(at * jump).read_unaligned());
            i += 1;
        }
    }
}
