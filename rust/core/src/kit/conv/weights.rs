//! Weights in the order in which tiles read them. Depends on `tile`, `vector`.
//! Invariant: per phase, group and row tile `[channel · tap][row]`; rows that are missing are zeros.

use std::ops::Range;
use std::sync::OnceLock;

use super::shifted::{Joint, tile_shape};
use super::space::Operand;
use super::tile::Lanes;
use crate::backend::{HostPointer, Parallel};
use crate::error::Result;
use crate::kit::scratch::Scratch;
use crate::kit::simd::Path;
use crate::kit::transpose::transpose;
use crate::kit::vector::{Element, lanes};

/// Elements that are worth a thread.
const SHARED: usize = 64 << 10;

/// A kernel as it lies in memory: steps from group to group, and from target channel to target channel and so on.
#[derive(Clone, Copy)]
pub(super) struct Kernel<E> {
    pub(super) start: Operand<E>,
    pub(super) group: isize,
    pub(super) row: isize,
    pub(super) inner: isize,
    pub(super) taps: [isize; 3],
}

impl<E: Element> Kernel<E> {
    /// Distances of the taps of a phase.
    fn offsets(&self, joint: &Joint) -> Vec<isize> {
        joint.taps.iter().map(|tap| (0..3).map(|axis| tap[axis] as isize * self.taps[axis]).sum()).collect()
    }

    /// Packs `R` rows.
    ///
    /// # Safety
    /// They lie in the kernel, and there is room for them.
    unsafe fn pack<const R: usize>(&self, from: *const E, channels: Range<usize>, offsets: &[isize], to: *mut E) {
        let taps = offsets.len() as isize;
        let mut to = to.wrapping_add(channels.start * offsets.len() * R);
        let dense =
            self.inner == taps && channels.len() > 1 && offsets.iter().zip(0..).all(|(&offset, at)| offset == at);
        // SAFETY: as the caller vouches.
        unsafe {
            if dense {
                let depth = channels.len() * offsets.len();
                let from = from.wrapping_offset(channels.start as isize * taps);
                return transpose(size_of::<E>(), R, depth, from.cast(), self.row, to.cast(), R as isize);
            }
            for channel in channels {
                let from = from.wrapping_offset(channel as isize * self.inner);
                for &offset in offsets {
                    let from = from.wrapping_offset(offset);
                    let mut line = [E::ZERO; R];
                    for (r, element) in line.iter_mut().enumerate() {
                        *element = from.wrapping_offset(r as isize * self.row).read_unaligned();
                    }
                    to.cast::<[E; R]>().write(line);
                    to = to.add(R);
                }
            }
        }
    }

    /// Packs `there` rows, and zeros in the place of others.
    ///
    /// # Safety
    /// As for `pack`.
    unsafe fn pack_part(
        &self,
        from: *const E,
        channels: Range<usize>,
        offsets: &[isize],
        to: *mut E,
        there: usize,
        rows: usize,
    ) {
        let mut to = to.wrapping_add(channels.start * offsets.len() * rows);
        for channel in channels {
            for &offset in offsets {
                let from = from.wrapping_offset(channel as isize * self.inner + offset);
                for r in 0..rows {
                    // SAFETY: as the caller vouches.
                    unsafe {
                        let from = from.wrapping_offset(r as isize * self.row);
                        to.write(if r < there { from.read_unaligned() } else { E::ZERO });
                        to = to.add(1);
                    }
                }
            }
        }
    }
}

/// Packed weights and biases.
pub(super) struct Weights {
    /// Rows of a tile, and vectors beside each other.
    pub(super) rows: usize,
    pub(super) vectors: usize,
    packed: Scratch,
    biases: Scratch,
    size: usize,
    /// Where each phase begins, and elements of one of its tiles.
    phases: Vec<(usize, usize)>,
    tiles: usize,
    neighbours: Vec<Lanes>,
    /// Offsets of a panel, per number of vectors.
    panels: Vec<OnceLock<Vec<isize>>>,
    depth: usize,
    lanes: usize,
}

impl Weights {
    /// Packs a kernel of `groups` × `rows` × `inner` channels.
    ///
    /// # Errors
    /// When there is no working memory.
    ///
    /// # Safety
    /// Kernel and bias lie in memory.
    pub(super) unsafe fn new<E: Element>(
        path: Path,
        [groups, rows, inner]: [usize; 3],
        joints: &[Joint],
        kernel: &Kernel<E>,
        bias: Option<(Operand<E>, isize)>,
        parallel: &Parallel<'_>,
    ) -> Result<Self> {
        let (tile_rows, vectors) = tile_shape::<E>(path, rows);
        let tiles = rows.div_ceil(tile_rows);
        let mut phases = Vec::with_capacity(joints.len());
        let mut elements = 0usize;
        for joint in joints {
            let tile = inner.saturating_mul(joint.taps.len()).saturating_mul(tile_rows);
            phases.push((elements, tile));
            elements = elements.saturating_add(tile.saturating_mul(tiles).saturating_mul(groups));
        }
        let packed = Scratch::of::<E>(elements)?;
        let biases = Scratch::of::<E>(groups * tiles * tile_rows)?;
        let to = HostPointer(packed.start());
        let all = groups * tiles;
        let offsets: Vec<Vec<isize>> = joints.iter().map(|joint| kernel.offsets(joint)).collect();
        let pack = |number: usize, channels: Range<usize>| {
            let (group, first) = (number / tiles, number % tiles * tile_rows);
            let from = kernel.start.start.wrapping_offset(group as isize * kernel.group + first as isize * kernel.row);
            for (offsets, &(begin, size)) in offsets.iter().zip(&phases) {
                let to = { to }.0.cast::<E>().wrapping_add(begin + number * size);
                let channels = channels.clone();
                // SAFETY: there is room for all tiles; rows below `rows` lie in the kernel.
                unsafe {
                    match tile_rows.min(rows - first) {
                        8 => kernel.pack::<8>(from, channels, offsets, to),
                        6 if tile_rows == 6 => kernel.pack::<6>(from, channels, offsets, to),
                        4 if tile_rows == 4 => kernel.pack::<4>(from, channels, offsets, to),
                        there => kernel.pack_part(from, channels, offsets, to, there, tile_rows),
                    }
                }
            }
        };
        // What lies together is read together: the rows of one channel, or the channels of one row.
        let by_channel = kernel.row.abs() < kernel.inner.abs();
        let (units, per_unit) = if by_channel {
            (groups * inner, elements / (groups * inner).max(1))
        } else {
            (all, elements / all.max(1))
        };
        let unit = |unit: usize| {
            if by_channel {
                let (group, channel) = (unit / inner, unit % inner);
                (group * tiles..(group + 1) * tiles).for_each(|number| pack(number, channel..channel + 1));
            } else {
                pack(unit, 0..inner);
            }
        };
        if elements > 2 * SHARED && units > 1 {
            let joined = (SHARED / per_unit.max(1)).max(1);
            parallel(units.div_ceil(joined), &|chunk| {
                (chunk * joined..((chunk + 1) * joined).min(units)).for_each(unit);
            });
        } else {
            (0..units).for_each(unit);
        }
        for group in 0..groups {
            for row in 0..tiles * tile_rows {
                let at = (group * rows + row) as isize;
                // SAFETY: there is room for all rows; those below `rows` have a bias.
                unsafe {
                    let value = match bias {
                        Some((bias, step)) if row < rows => bias.start.wrapping_offset(at * step).read_unaligned(),
                        _ => E::ZERO,
                    };
                    biases.start::<E>().add(group * tiles * tile_rows + row).write(value);
                }
            }
        }
        let lanes = lanes::<E>(path);
        let mask = ((1u64 << lanes) - 1) as u32;
        let neighbours = (0..vectors).map(|vector| Lanes { mask, at: vector * lanes }).collect();
        let depth = joints.iter().map(|joint| joint.taps.len() * inner).max().unwrap_or(0);
        let panels = (0..=vectors).map(|_| OnceLock::new()).collect();
        Ok(Self {
            rows: tile_rows,
            vectors,
            packed,
            biases,
            size: size_of::<E>(),
            phases,
            tiles,
            neighbours,
            panels,
            depth,
            lanes,
        })
    }

    /// A row tile's weights.
    #[inline(always)]
    pub(super) fn tile<E>(&self, joint: usize, group: usize, tile: usize) -> *const E {
        debug_assert_eq!(self.size, size_of::<E>());
        let (begin, size) = self.phases[joint];
        self.packed.start::<E>().wrapping_add(begin + (group * self.tiles + tile) * size)
    }

    /// A row tile's biases.
    #[inline(always)]
    pub(super) fn bias<E>(&self, group: usize, tile: usize) -> *const E {
        self.biases.start::<E>().wrapping_add((group * self.tiles + tile) * self.rows)
    }

    /// Lanes of vectors that are stored one behind the other.
    pub(super) fn neighbours(&self) -> *const Lanes {
        self.neighbours.as_ptr()
    }

    /// Offsets of the rows of a panel of so many vectors.
    pub(super) fn panel_offsets(&self, vectors: usize) -> *const isize {
        let step = (vectors * self.lanes) as isize;
        self.panels[vectors].get_or_init(|| (0..self.depth as isize).map(|at| at * step).collect()).as_ptr()
    }
}
