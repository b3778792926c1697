//! Where the source of a convolution is read: in place, or from a padded copy. Depends on `line`, `vector`.
//! Invariant: within a space every tap of a step lies at the same distance from the step, whatever the step.

use std::ops::Range;

use super::line::Line;
use crate::kit::vector::{Element, Routine, Vector};

/// Channels that are fetched ahead; or rows, of channels of so many elements.
pub(super) const AHEAD: usize = 2;
const ROWS_AHEAD: usize = 6;
const LARGE: usize = 8 << 10;
/// Elements between residues of the width, which are written row by row in turn: a row's last vector may reach beyond it.
const SLACK: usize = 16;

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
    /// From one residue of the width to the next.
    plane: usize,
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
        Some(Self { channel: strides[1], step, taps, origin, copied: 0, reach: [0; 3], plane: 0 })
    }

    /// A copy with zeros around: per channel all residues, each with its rows, as `Fill` writes it.
    pub(super) fn padded(lines: &[Line; 3], steps: &Steps) -> Self {
        Self::copied(lines, steps, if lines[2].residues.len() > 1 { SLACK } else { 0 })
    }

    /// A copy with nothing between its residues.
    pub(super) fn dense(lines: &[Line; 3], steps: &Steps) -> Self {
        Self::copied(lines, steps, 0)
    }

    fn copied(lines: &[Line; 3], steps: &Steps, slack: usize) -> Self {
        let reach: [usize; 3] = std::array::from_fn(|axis| lines[axis].reach(count(&steps[axis])));
        let plane = reach.iter().fold(1usize, |size, &reach| size.saturating_mul(reach)).saturating_add(slack);
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
        Self { channel: residue, step, taps, origin: 0, copied: residue as usize, reach, plane }
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
        let (plane, slice) = (self.space.plane, high * wide);
        let residues = 0..widths.residues.len();
        let inside: Vec<Inside> =
            residues.clone().map(|residue| Inside::of(widths, self.steps[2].start, residue, wide)).collect();
        let (step_d, step_h) = (depths.stride * self.strides[2], heights.stride * self.strides[3]);
        let jump = widths.stride * self.strides[4];
        // What a row reads, for all residues.
        let begin = inside.iter().filter(|row| row.count > 0).map(|row| row.first).min().unwrap_or(0);
        let end = inside.iter().map(|row| row.first + row.count as isize * widths.stride).max().unwrap_or(0);
        let length = usize::try_from(end - begin).unwrap_or(0);
        let pairs = self.pairs::<V>();
        let mut to = self.to;
        for channel in 0..self.channels {
            let from = self.from.wrapping_offset(channel as isize * self.strides[1]);
            for rd in 0..depths.residues.len() {
                let slices = Inside::of(depths, self.steps[0].start, rd, deep);
                for rh in 0..heights.residues.len() {
                    let rows = Inside::of(heights, self.steps[1].start, rh, high);
                    let from = from.wrapping_offset(slices.first * self.strides[2] + rows.first * self.strides[3]);
                    let near = rows.count * length > LARGE;
                    let (there, distance) = if near {
                        (rows.count.saturating_sub(ROWS_AHEAD), ROWS_AHEAD as isize * step_h)
                    } else {
                        (if channel + AHEAD < self.channels { rows.count } else { 0 }, AHEAD as isize * self.strides[1])
                    };
                    let there = if self.strides[4] == 1 { there } else { 0 };
                    // SAFETY: the copy has room for all rows and a vector beyond; what is inside lies in the source.
                    unsafe {
                        self.clear::<V>(to, slices.before * slice);
                        for d in 0..slices.count {
                            let from = from.wrapping_offset(d as isize * step_d);
                            let first = (slices.before + d) * slice;
                            self.clear::<V>(to.add(first), rows.before * wide);
                            for h in 0..rows.count {
                                let from = from.wrapping_offset(h as isize * step_h);
                                if h < there {
                                    fetch::<V>(from.wrapping_offset(distance + begin), length);
                                }
                                let to = to.add(first + (rows.before + h) * wide);
                                if !pairs.is_empty() {
                                    let from = from.wrapping_offset(widths.origin(self.steps[2].start, 0));
                                    split::<V>(to, to.add(plane), from, &pairs);
                                    continue;
                                }
                                for residue in residues.clone() {
                                    let row = inside.get_unchecked(residue);
                                    let (to, end) = (to.add(residue * plane), row.before + row.count);
                                    zeros::<V>(to, row.before);
                                    let from = from.wrapping_offset(row.first * self.strides[4]);
                                    copy::<V>(to.add(row.before), from, row.count, jump);
                                    zeros::<V>(to.add(end), wide - end);
                                }
                            }
                            let done = rows.before + rows.count;
                            self.clear::<V>(to.add(first + done * wide), (high - done) * wide);
                        }
                        let done = slices.before + slices.count;
                        self.clear::<V>(to.add(done * slice), (deep - done) * slice);
                        if plane > deep * slice {
                            self.clear::<V>(to.add(deep * slice), plane - deep * slice);
                        }
                        to = to.add(residues.len() * plane);
                    }
                }
            }
        }
    }
}

impl<E: Element> Fill<'_, E> {
    /// Writes zeros at one place of all residues along a row.
    ///
    /// # Safety
    /// As for the copy.
    #[inline(always)]
    unsafe fn clear<V: Vector<Element = E>>(&self, to: *mut E, count: usize) {
        for residue in 0..self.lines[2].residues.len() {
            // SAFETY: as the caller vouches.
            unsafe { zeros::<V>(to.add(residue * self.space.plane), count) };
        }
    }

    /// Where both residues of a stride of 2 lie side by side: for each two vectors of the source, which lanes it has.
    #[inline(always)]
    fn pairs<V: Vector<Element = E>>(&self) -> Vec<[u32; 2]> {
        let line = &self.lines[2];
        if line.stride != 2 || line.residues != [0, 1] || self.strides[4] != 1 {
            return Vec::new();
        }
        let mask = |at: isize| {
            let lanes = V::LANES as isize;
            let (first, last) = ((-at).clamp(0, lanes), (line.source as isize - at).clamp(0, lanes));
            if first < last { (((1u64 << last) - 1) & !((1u64 << first) - 1)) as u32 } else { 0 }
        };
        let origin = line.origin(self.steps[2].start, 0);
        let vectors = (0..self.space.reach[2]).step_by(V::LANES);
        vectors.map(|at| origin + 2 * at as isize).map(|at| [mask(at), mask(at + V::LANES as isize)]).collect()
    }
}

/// Parts a row into its even and its odd elements; lanes outside the masks are zeros.
///
/// # Safety
/// There is room for whole vectors, and the lanes of the masks can be read.
#[inline(always)]
unsafe fn split<V: Vector>(even: *mut V::Element, odd: *mut V::Element, from: *const V::Element, masks: &[[u32; 2]]) {
    for (i, masks) in masks.iter().enumerate() {
        // SAFETY: as the caller vouches.
        unsafe {
            let from = from.wrapping_add(2 * i * V::LANES);
            let low = V::load_some(from, masks[0]);
            let high = V::load_some(from.wrapping_add(V::LANES), masks[1]);
            low.evens(high).store(even.add(i * V::LANES));
            low.odds(high).store(odd.add(i * V::LANES));
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
    // A loop alone would become a call, which costs more than the zeros of a border.
    if count == 0 {
        return;
    }
    // SAFETY: as the caller vouches.
    unsafe { V::splat(<V::Element as Element>::ZERO).store(to) };
    let mut i = V::LANES;
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
            while i + V::LANES < count {
                let (low, high) = (V::load(from.add(2 * i)), V::load(from.add(2 * i + V::LANES)));
                low.evens(high).store(to.add(i));
                i += V::LANES;
            }
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
