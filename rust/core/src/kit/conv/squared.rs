//! Sums of shifted sources by squares. Depends on `corners`, `squares`, `tile`.
//! Invariant: units of work follow from shapes alone; each writes targets of its own.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::corners::{Joined, Kernels, Sources};
use super::shifted::{SMALL, Shifted, UNITS, tile_shape};
use super::space::Operand;
use super::squares::{APART, PLACES, Squared, Squares};
use super::tile::{self, Lanes, Tile};
use super::weights::Kernel;
use crate::backend::{HostPointer, Parallel};
use crate::error::Result;
use crate::kit::scratch::{Scratch, with_scratch};
use crate::kit::simd::Path;
use crate::kit::threads::try_parallel;
use crate::kit::vector::{Element, lanes, launch};

/// Elements of a unit's sources at most; and so many that they, or the products, stay in a second-level cache.
const ROOM: usize = 512 << 10;
const CACHED: usize = 96 << 10;
/// Row tiles that are worth reading the sources again.
const SHARED: usize = 16;
/// A kernel of more elements is read for more squares at a time.
const LARGE: usize = 128 * 128;
/// Channels of the kernel that are packed together.
const CHANNELS: usize = 16;

/// The work of one call.
struct Job<'a, E> {
    sum: &'a Shifted<E>,
    squares: &'a Squares,
    path: Path,
    /// Rows of a tile, and vectors beside each other.
    rows: usize,
    vectors: usize,
    lanes: usize,
    /// Squares of a unit, and in all.
    line: usize,
    total: usize,
    /// Row tiles of a unit, and in all.
    share: usize,
    tiles: usize,
    /// Elements of a place of the weights: `[place][group][row tile][inner][row]`.
    place: usize,
    weights: HostPointer,
    biases: Vec<E>,
    /// Where a tile reads and writes.
    offsets: Vec<isize>,
    neighbours: Vec<Lanes>,
}

impl<E: Element> Shifted<E> {
    /// Computes all targets by squares; whether they are all finite, and so right.
    ///
    /// # Errors
    /// When there is no working memory.
    ///
    /// # Safety
    /// As for `run`; kernel and biases lie in memory.
    pub(super) unsafe fn squared(
        &self,
        squares: &Squares,
        path: Path,
        kernel: &Kernel<E>,
        bias: Option<(Operand<E>, isize)>,
        parallel: &Parallel<'_>,
    ) -> Result<bool> {
        let (rows, vectors) = tile_shape::<E>(path, self.rows);
        let (lanes, tiles) = (lanes::<E>(path), self.rows.div_ceil(rows));
        let total = self.batch * squares.per_image();
        let width = vectors * lanes;
        let cached = CACHED / (PLACES * self.inner.max(self.rows)) / width * width;
        let beside = if self.inner * self.rows > LARGE { 2 * width } else { cached.max(width) };
        let most = (ROOM / (PLACES * self.inner) / lanes * lanes).max(lanes);
        let blocks = total.div_ceil(beside.min(most));
        let line = total.div_ceil(blocks).next_multiple_of(lanes);
        let work = [self.groups, self.rows, self.inner, PLACES].iter().fold(total, |work, &size| work * size);
        let wanted = (work / SMALL).clamp(1, UNITS);
        let shares = wanted.div_ceil(blocks * self.groups).clamp(1, tiles.div_ceil(SHARED));
        let share = tiles.div_ceil(shares);
        let place = self.groups * tiles * self.inner * rows + APART;
        let packed = Scratch::of::<E>(place.saturating_mul(PLACES))?;
        let biases = (0..self.groups * self.rows).map(|row| match bias {
            // SAFETY: there is a bias for every row.
            Some((bias, step)) => unsafe { bias.start.wrapping_offset(row as isize * step).read_unaligned() },
            None => E::ZERO,
        });
        let mask = ((1u64 << lanes) - 1) as u32;
        let job = Job {
            sum: self,
            squares,
            path,
            rows,
            vectors,
            lanes,
            line,
            total,
            share,
            tiles,
            place,
            weights: HostPointer(packed.start()),
            biases: biases.collect(),
            offsets: (0..self.inner as isize).map(|channel| channel * line as isize).collect(),
            neighbours: (0..vectors).map(|vector| Lanes { mask, at: vector * lanes }).collect(),
        };
        // SAFETY: as the caller vouches.
        unsafe { job.pack(kernel, parallel)? };
        let shares = tiles.div_ceil(share);
        let spoiled = AtomicBool::new(false);
        try_parallel(parallel, blocks * self.groups * shares, &|unit| {
            with_scratch(job.rooms().iter().sum(), |scratch: *mut E| {
                // SAFETY: units write targets of their own; the rest is as the caller vouches.
                if !unsafe { job.unit(unit % shares, unit / shares, scratch) } {
                    spoiled.store(true, Ordering::Relaxed);
                }
            })
        })?;
        Ok(!spoiled.into_inner())
    }
}

impl<E: Element> Job<'_, E> {
    /// Packs the kernel's sixteen places.
    ///
    /// # Safety
    /// As for `squared`.
    unsafe fn pack(&self, kernel: &Kernel<E>, parallel: &Parallel<'_>) -> Result<()> {
        let sum = self.sum;
        let blocks = sum.inner.div_ceil(CHANNELS);
        let turned = [1, 2].map(|axis| {
            let taps = &sum.lines[axis].taps;
            taps[0].shift > taps[2].shift
        });
        try_parallel(parallel, sum.groups * self.tiles, &|number| {
            let (group, tile) = (number / self.tiles, number % self.tiles);
            with_scratch(9 * CHANNELS * self.rows, |scratch: *mut E| {
                for block in 0..blocks {
                    let channels = block * CHANNELS..((block + 1) * CHANNELS).min(sum.inner);
                    let to = { self.weights }.0.cast::<E>();
                    let to = to.wrapping_add((number * sum.inner + channels.start) * self.rows);
                    // SAFETY: there is room for the block; rows and channels that are read lie in the kernel.
                    unsafe {
                        let elements = self.taps(kernel, group, tile, channels, scratch);
                        launch(self.path, Kernels { from: scratch, to, elements, place: self.place, turned });
                    }
                }
            })
        })
    }

    /// Copies nine taps of channels of a row tile to `[tap][channel][row]`.
    ///
    /// # Safety
    /// As for `squared`; there is room.
    unsafe fn taps(&self, kernel: &Kernel<E>, group: usize, tile: usize, channels: Range<usize>, to: *mut E) -> usize {
        let first = tile * self.rows;
        let there = self.rows.min(self.sum.rows - first);
        let elements = channels.len() * self.rows;
        let from = kernel.start.start.wrapping_offset(group as isize * kernel.group + first as isize * kernel.row);
        for (number, channel) in channels.enumerate() {
            for row in 0..self.rows {
                let from = from.wrapping_offset(channel as isize * kernel.inner + row as isize * kernel.row);
                for tap in 0..9 {
                    let distance = (tap / 3) as isize * kernel.taps[1] + (tap % 3) as isize * kernel.taps[2];
                    // SAFETY: as the caller vouches.
                    unsafe {
                        let x = if row < there { from.wrapping_offset(distance).read_unaligned() } else { E::ZERO };
                        to.add(tap * elements + number * self.rows + row).write(x);
                    }
                }
            }
        }
        elements
    }

    /// Row tiles whose products are kept.
    fn kept(&self) -> usize {
        (CACHED / (PLACES * self.line) / self.rows).clamp(1, self.share)
    }

    /// Elements from place to place of the sources.
    fn source_place(&self) -> usize {
        self.sum.inner * self.line + APART
    }

    /// Elements of the sources, the products, a channel's copy and four lines.
    fn rooms(&self) -> [usize; 4] {
        let sources = PLACES * self.source_place();
        let products = PLACES * (self.kept() * self.rows * self.line + APART);
        [sources, products, self.squares.copied(self.line), 4 * self.line].map(|room| room.next_multiple_of(16))
    }

    /// The targets of some squares of a group, of a share of the rows; whether they are finite.
    ///
    /// # Safety
    /// As for `squared`; the scratch has all rooms.
    unsafe fn unit(&self, share: usize, rest: usize, scratch: *mut E) -> bool {
        let (sum, squares) = (self.sum, self.squares);
        let (group, block) = (rest % sum.groups, rest / sum.groups);
        let range = block * self.line..((block + 1) * self.line).min(self.total);
        if range.is_empty() {
            return true;
        }
        let count = range.len();
        let [sources, products, copy, _] = self.rooms();
        let plane = squares.height * squares.width;
        let runs = squares.runs(&range, sum.groups * sum.rows * plane, self.line);
        let pieces = squares.pieces(&squares.sources, &range, self.lanes);
        let mut finite = true;
        // SAFETY: the scratch has these rooms; targets lie in memory.
        unsafe {
            let (kept, copied) = (scratch.add(sources), scratch.add(sources + products));
            let room = copied.add(copy);
            let squared = Squared {
                pieces: &pieces,
                source: &sum.source,
                first: group * sum.inner,
                channels: sum.inner,
                copy: copied,
                to: scratch,
                place: self.source_place(),
                line: self.line,
                squares: count,
            };
            launch(self.path, Sources(squared));
            let tiles = share * self.share..((share + 1) * self.share).min(self.tiles);
            let mut first = tiles.start;
            while first < tiles.end {
                let last = (first + self.kept()).min(tiles.end);
                let place = (last - first) * self.rows * self.line + APART;
                for number in 0..PLACES {
                    let from = scratch.add(number * self.source_place());
                    for tile in first..last {
                        let to = kept.add(number * place + (tile - first) * self.rows * self.line);
                        self.products(group, tile, number, from, to, count);
                    }
                }
                let row = first * self.rows;
                let joined = Joined {
                    from: kept,
                    place,
                    line: self.line,
                    squares: count,
                    rows: (last * self.rows).min(sum.rows) - row,
                    bias: self.biases.as_ptr().add(group * sum.rows + row),
                    room,
                    runs: &runs,
                    target: { sum.target }.0.cast::<E>().add((group * sum.rows + row) * plane),
                    plane,
                    along: squares.along(),
                    width: squares.down() * squares.width,
                };
                finite &= launch(self.path, joined);
                first = last;
            }
        }
        finite
    }

    /// One place of a row tile: products of its weights and the sources.
    ///
    /// # Safety
    /// Everything lies in memory.
    #[inline]
    unsafe fn products(&self, group: usize, tile: usize, place: usize, from: *const E, to: *mut E, count: usize) {
        let zeros = [E::ZERO; 8];
        let inner = self.sum.inner;
        let weights = { self.weights }.0.cast::<E>().cast_const();
        let mut work = Tile {
            depth: inner,
            source: from,
            offsets: self.offsets.as_ptr(),
            weights: weights.wrapping_add(place * self.place + (group * self.tiles + tile) * inner * self.rows),
            bias: zeros.as_ptr(),
            target: to,
            row: self.line,
            rows: self.rows,
            lanes: self.neighbours.as_ptr(),
        };
        let all = count.div_ceil(self.lanes);
        let mut vector = 0;
        while vector < all {
            let mut vectors = tile::narrow(self.vectors, all - vector);
            if vectors > all - vector {
                vectors = 1;
            }
            work.source = from.wrapping_add(vector * self.lanes);
            work.target = to.wrapping_add(vector * self.lanes);
            // SAFETY: as the caller vouches; lines are whole vectors.
            unsafe { tile::run(self.path, &work, self.rows, vectors) };
            vector += vectors;
        }
    }
}
