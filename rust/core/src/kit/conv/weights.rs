//! Weights in the order in which tiles read them. Depends on `tile`, `vector`.
//! Invariant: per phase, group and row tile `[channel · tap][row]`; rows that are missing are zeros.

use std::sync::OnceLock;

use super::scratch::Scratch;
use super::shifted::{Joint, tile_shape};
use super::space::Operand;
use super::tile::Lanes;
use super::vector::{Element, lanes};
use crate::backend::{HostPointer, Parallel};
use crate::error::Result;
use crate::kit::simd::Path;

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
        let pack = |number: usize| {
            let (group, tile) = (number / tiles, number % tiles);
            let from = kernel.start.start.wrapping_offset(group as isize * kernel.group);
            let first = tile * tile_rows;
            for (joint, &(begin, size)) in joints.iter().zip(&phases) {
                let mut at = { to }.0.cast::<E>().wrapping_add(begin + number * size);
                for channel in 0..inner {
                    let from = from.wrapping_offset(channel as isize * kernel.inner + first as isize * kernel.row);
                    for tap in &joint.taps {
                        let from =
                            from.wrapping_offset((0..3).map(|axis| tap[axis] as isize * kernel.taps[axis]).sum());
                        for r in 0..tile_rows {
                            // SAFETY: there is room for all tiles; rows below `rows` lie in the kernel.
                            unsafe {
                                let inside = first + r < rows;
                                let from = from.wrapping_offset(r as isize * kernel.row);
                                at.write(if inside { from.read_unaligned() } else { E::ZERO });
                                at = at.add(1);
                            }
                        }
                    }
                }
            }
        };
        let per_tile = elements / all.max(1);
        if elements > 2 * SHARED && all > 1 {
            let joined = (SHARED / per_tile.max(1)).max(1);
            parallel(all.div_ceil(joined), &|chunk| {
                (chunk * joined..((chunk + 1) * joined).min(all)).for_each(pack);
            });
        } else {
            (0..all).for_each(pack);
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
