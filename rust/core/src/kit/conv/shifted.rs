//! Sums of shifted sources: a convolution and its transpose. Depends on `line`, `space`, `tile`, `weights`.
//! Invariant: units of work follow from shapes alone; each writes targets of its own, each target in one fixed order of additions.
//!
//! Pixels are one flat axis of a plane's padded width, so that a tap reads the same plane at another offset, and a register tile holds
//! `rows` channels of some vectors of neighbouring pixels. What falls between the rows of a plane is computed and not stored. Where that
//! would be too much, as with planes of a few pixels, the pixels of a tile are gathered into a panel first.

use std::ops::Range;
use std::sync::Arc;

use super::line::{Line, Phase};
use super::space::{Operand, Space, Steps, count};
use super::tile::{self, Lanes};
use super::unit::Unit;
use super::weights::Weights;
use crate::backend::{HostPointer, Parallel};
use crate::error::Result;
use crate::kit::scratch::with_scratch;
use crate::kit::simd::Path;
use crate::kit::threads::try_parallel;
use crate::kit::vector::{Element, many};

/// Elements of a padded copy: half of a second-level cache.
const COPIED: usize = 96 << 10;
/// Products of a unit of work: at least, which is some 20 µs; and at most, so that it can be interrupted.
pub(super) const SMALL: usize = 2 << 20;
const LARGE: usize = 2 << 30;
/// Units that threads should have to share.
pub(super) const UNITS: usize = 32;
/// Pixels of a unit that gathers its pixels: at most.
const GATHERED: usize = 1024;
/// Elements of a panel at most, unless a copy would be larger.
const PANEL: usize = 2 << 20;
/// Products that a tile computes while one of a panel's elements is gathered.
const GATHER_COST: f64 = 48.0;

/// The place of a lane that is not stored.
pub(super) const NOWHERE: usize = usize::MAX;

/// `target[n, g·rows + r, …] = bias + Σ weights[r, i, tap] · source[n, g·inner + i, …]`
pub(super) struct Shifted<E> {
    pub(super) batch: usize,
    pub(super) groups: usize,
    /// Channels of the source and of the target, per group.
    pub(super) inner: usize,
    pub(super) rows: usize,
    pub(super) lines: [Line; 3],
    pub(super) source: Operand<E>,
    /// Contiguous.
    pub(super) target: HostPointer,
}

/// Output phases of the three axes together, and the taps that add to them.
pub(super) struct Joint {
    pub(super) phases: [usize; 3],
    pub(super) taps: Vec<[usize; 3]>,
}

/// Every combination of the axes' phases.
pub(super) fn joints(lines: &[Line; 3]) -> Vec<Joint> {
    let mut found = Vec::new();
    let of = |axis: usize, phase: usize| {
        let taps = lines[axis].taps.iter().enumerate();
        taps.filter(move |(_, tap)| tap.phase == phase).map(|(tap, _)| tap).collect::<Vec<_>>()
    };
    for d in 0..lines[0].phases.len() {
        for h in 0..lines[1].phases.len() {
            for w in 0..lines[2].phases.len() {
                let [deep, high, wide] = [of(0, d), of(1, h), of(2, w)];
                let mut taps = Vec::with_capacity(deep.len() * high.len() * wide.len());
                for &d in &deep {
                    for &h in &high {
                        taps.extend(wide.iter().map(|&w| [d, h, w]));
                    }
                }
                found.push(Joint { phases: [d, h, w], taps });
            }
        }
    }
    found
}

/// Steps that a range and a phase have in common.
fn common(steps: &Range<isize>, phase: &Phase) -> Range<isize> {
    let begin = steps.start.max(phase.steps.start);
    begin..steps.end.min(phase.steps.end).max(begin)
}

/// The targets of one joint phase within one area.
pub(super) struct Sheet {
    pub(super) joint: usize,
    pub(super) steps: Steps,
    /// Vectors of the flat axis.
    pub(super) vectors: usize,
    /// Of those, how many read nothing behind the last pixel.
    pub(super) whole: usize,
    pub(super) lanes: Vec<Lanes>,
    /// Per lane its target, where these are not neighbours.
    pub(super) places: Vec<usize>,
    /// `[inner · taps]`: where products read, from the sheet's first step.
    pub(super) offsets: Arc<Vec<isize>>,
    /// Distance of the sheet's first step from the area's.
    pub(super) first: [isize; 3],
    /// Elements of the flat axis, and from row to row.
    pub(super) length: usize,
    pub(super) pitch: usize,
    /// The phase of the width whose targets lie between this one's.
    pub(super) between: Option<Between>,
}

/// The other phase of a sheet of two.
pub(super) struct Between {
    pub(super) joint: usize,
    pub(super) offsets: Arc<Vec<isize>>,
}

/// Steps that are computed together from one space.
pub(super) struct Area {
    pub(super) steps: Steps,
    pub(super) space: Option<Space>,
    pub(super) sheets: Vec<Sheet>,
}

/// The work of one call.
pub(super) struct Job<'a, E> {
    pub(super) sum: &'a Shifted<E>,
    pub(super) weights: &'a Weights,
    pub(super) joints: &'a [Joint],
    pub(super) path: Path,
    pub(super) areas: Vec<Area>,
    /// Images of a unit, and row tiles.
    pub(super) images: usize,
    pub(super) row_tiles: usize,
    /// Whether pixels are gathered.
    pub(super) gathers: bool,
}

/// Cuts ranges into that many parts each.
pub(super) fn cut(steps: &Steps, parts: [usize; 3]) -> Vec<Steps> {
    let pieces = |axis: usize| {
        let (whole, parts) = (count(&steps[axis]), parts[axis]);
        let size = whole.div_ceil(parts).max(1);
        let start = steps[axis].start;
        (0..whole.div_ceil(size))
            .map(move |part| start + (part * size) as isize..start + ((part + 1) * size).min(whole) as isize)
    };
    let mut found = Vec::new();
    for d in pieces(0) {
        for h in pieces(1) {
            for w in pieces(2) {
                found.push([d.clone(), h.clone(), w]);
            }
        }
    }
    found
}

/// Cuts parts further until they fit: along the depth first, then the height, then the width, down to parts of `least` steps.
pub(super) fn parts(
    steps: &Steps,
    mut parts: [usize; 3],
    least: [usize; 3],
    fits: impl Fn([usize; 3]) -> bool,
) -> [usize; 3] {
    for axis in 0..3 {
        let size = count(&steps[axis]);
        while size.div_ceil(parts[axis]) > least[axis]
            && !fits(std::array::from_fn(|i| count(&steps[i]).div_ceil(parts[i])))
        {
            parts[axis] = (parts[axis] + parts[axis].div_ceil(2)).min(size);
        }
    }
    parts
}

impl<E: Element> Shifted<E> {
    /// Computes all targets.
    ///
    /// # Errors
    /// When there is no working memory.
    ///
    /// # Safety
    /// Operands and target lie in memory, nobody else reads or writes the target, and the processor has the path's instructions.
    pub(super) unsafe fn run(
        &self,
        path: Path,
        joints: &[Joint],
        weights: &Weights,
        parallel: &Parallel<'_>,
    ) -> Result<()> {
        let steps: Steps = std::array::from_fn(|axis| self.lines[axis].steps.clone());
        let pixels: usize = steps.iter().map(count).product();
        let targets: usize = self.lines.iter().map(|line| line.target).product();
        if self.batch * self.groups * self.rows * targets == 0 {
            return Ok(());
        }
        if self.lines.iter().any(|line| line.gaps) {
            // SAFETY: as the caller vouches.
            unsafe { self.begin(weights, parallel) };
        }
        if pixels == 0 {
            return Ok(());
        }
        let job = Job::new(self, weights, joints, path, &steps);
        let units = job.units();
        let work = self.work(pixels) / units.max(1);
        // Small units are joined.
        let joined = (SMALL / work.max(1)).clamp(1, units.div_ceil(UNITS).max(1));
        try_parallel(parallel, units.div_ceil(joined), &|chunk| {
            let first = chunk * joined;
            with_scratch(job.workspace(), |scratch: *mut E| {
                for unit in first..(first + joined).min(units) {
                    // SAFETY: units write targets of their own; the rest is as the caller vouches.
                    unsafe { Unit { job: &job, unit, scratch }.run() };
                }
            })
        })
    }

    /// Writes the biases everywhere: no tap adds to some of the targets.
    ///
    /// # Safety
    /// As for `run`.
    unsafe fn begin(&self, weights: &Weights, parallel: &Parallel<'_>) {
        let plane: usize = self.lines.iter().map(|line| line.target).product();
        let planes = self.batch * self.groups * self.rows;
        let joined = (COPIED / plane.max(1)).max(1);
        let target = self.target;
        parallel(planes.div_ceil(joined), &|chunk| {
            for number in chunk * joined..((chunk + 1) * joined).min(planes) {
                let (group, row) = (number / self.rows % self.groups, number % self.rows);
                let to = { target }.0.cast::<E>().wrapping_add(number * plane);
                // SAFETY: each plane belongs to one chunk; there is a bias for every row.
                unsafe {
                    let bias = *weights.bias::<E>(group, row / weights.rows).add(row % weights.rows);
                    for at in 0..plane {
                        to.add(at).write(bias);
                    }
                }
            }
        });
    }

    /// Products in all.
    fn work(&self, pixels: usize) -> usize {
        let taps: usize = self.lines.iter().map(|line| line.taps.len()).product();
        let sizes = [self.batch, self.groups, self.rows, self.inner, taps];
        sizes.iter().fold(pixels, |product, &size| product.saturating_mul(size))
    }
}

impl<'a, E: Element> Job<'a, E> {
    fn new(sum: &'a Shifted<E>, weights: &'a Weights, joints: &'a [Joint], path: Path, steps: &Steps) -> Self {
        let lines = &sum.lines;
        let pixels: usize = steps.iter().map(count).product();
        let per_image = sum.work(pixels) / sum.batch;
        let lanes = crate::kit::vector::lanes::<E>(path);
        // Targets that are read in place need no copy.
        let in_place = Space::in_place(lines, &sum.source.strides, steps)
            .filter(|space| space.step[2] == 1 && space.step[1] > 0 && space.step[0] >= 0)
            .filter(|space| count(&steps[1]) == 1 || space.step[1] as usize * 4 <= count(&steps[2]) * 5);
        // Pixels computed per pixel that is wanted, on the flat axis.
        let width = in_place.as_ref().filter(|_| count(&steps[1]) > 1).map_or_else(
            || if count(&steps[1]) > 1 { lines[2].reach(count(&steps[2])) } else { count(&steps[2]) },
            |space| space.step[1] as usize,
        );
        let flat = (count(&steps[1]) - 1).saturating_mul(width).saturating_add(count(&steps[2]));
        let rounded = flat.div_ceil(lanes) * lanes;
        let plane = count(&steps[1]) * count(&steps[2]);
        let smallest = std::array::from_fn(|axis| steps[axis].start..steps[axis].start + 1);
        let one = Space::padded(lines, &smallest).copied.saturating_mul(sum.inner);
        let tiles = sum.rows.div_ceil(weights.rows) as f64;
        let per_panel = tiles * (weights.rows * weights.vectors) as f64;
        let flat_cost = per_panel * rounded as f64 / plane as f64;
        let gathered_cost = per_panel + GATHER_COST * weights.vectors as f64;
        let empty = lines.iter().any(|line| line.source == 0);
        let taps = joints.iter().map(|joint| joint.taps.len()).max().unwrap_or(0);
        let panel = sum.inner.saturating_mul(taps).saturating_mul(weights.vectors * lanes);
        let needs = in_place.is_none() && one > 8 * COPIED && panel <= one;
        let gathers = !empty && (needs || (gathered_cost < flat_cost && panel <= PANEL));

        let mut images = 1;
        // A part that is smaller than what its taps reach over is copied for the most part in vain.
        let spans = std::array::from_fn(|axis| ((lines[axis].high - lines[axis].low) as usize).max(1));
        let parts = self::parts(steps, [1; 3], if gathers { [1; 3] } else { spans }, |sizes| {
            let reach = (0..3).map(|axis| lines[axis].reach(sizes[axis]) * lines[axis].residues.len());
            let copied = reach.fold(sum.inner, usize::saturating_mul);
            if gathers { sizes.iter().product::<usize>() <= GATHERED } else { in_place.is_some() || copied <= COPIED }
        });
        let per_pixel = per_image / sum.groups / pixels.max(1);
        let mut parts =
            self::parts(steps, parts, [1; 3], |sizes| per_pixel.saturating_mul(sizes.iter().product()) <= LARGE);
        if gathers {
            images = (GATHERED / pixels.max(1)).clamp(1, sum.batch);
        }
        // Few units: planes are cut into strips, then the rows are shared.
        let row_tiles = sum.rows.div_ceil(weights.rows);
        let total = per_image.saturating_mul(sum.batch);
        // Each share of the rows gathers its pixels anew, so there are few and large ones.
        let (most, least_tiles) = if gathers { (UNITS / 4, 16) } else { (UNITS, 4) };
        let wanted = (total / SMALL).clamp(1, most);
        let units = |parts: [usize; 3], images: usize| {
            sum.batch.div_ceil(images) * sum.groups * parts.iter().product::<usize>()
        };
        if gathers {
            while images > 1 && units(parts, images) * row_tiles.div_ceil(least_tiles) < wanted {
                images = images.div_ceil(2);
            }
        } else {
            let axis = if count(&steps[0]) > 1 {
                0
            } else if count(&steps[1]) > 1 {
                1
            } else {
                2
            };
            let least = if axis == 2 { 512 } else { 8 };
            while units(parts, images) < wanted && count(&steps[axis]).div_ceil(parts[axis]) >= 2 * least {
                parts[axis] *= 2;
            }
        }
        let shares = wanted.div_ceil(units(parts, images)).clamp(1, row_tiles.div_ceil(least_tiles));
        let mut job = Self {
            sum,
            weights,
            joints,
            path,
            areas: Vec::new(),
            images,
            row_tiles: row_tiles.div_ceil(shares),
            gathers,
        };
        for steps in cut(steps, parts) {
            job.areas.push(job.area(steps, in_place.is_some()));
        }
        job
    }

    fn area(&self, steps: Steps, in_place: bool) -> Area {
        let lines = &self.sum.lines;
        let space = if self.gathers {
            None
        } else if in_place {
            Space::in_place(lines, &self.sum.source.strides, &steps)
        } else {
            Some(Space::padded(lines, &steps))
        };
        let mut sheets = Vec::with_capacity(self.joints.len());
        let mut joint = 0;
        while joint < self.joints.len() {
            if let Some(sheet) = space.as_ref().and_then(|space| self.sheet_of_two(&steps, space, joint)) {
                sheets.push(sheet);
                joint += 2;
                continue;
            }
            let common = self.common(&steps, joint);
            sheets.extend(common.map(|common| self.sheet(&steps, common, space.as_ref(), joint)));
            joint += 1;
        }
        Area { steps, space, sheets }
    }

    /// Steps that an area and a joint phase have in common, if any.
    fn common(&self, area: &Steps, joint: usize) -> Option<Steps> {
        let (lines, phases) = (&self.sum.lines, self.joints[joint].phases);
        let steps: Steps = std::array::from_fn(|axis| common(&area[axis], &lines[axis].phases[phases[axis]]));
        steps.iter().all(|steps| count(steps) > 0).then_some(steps)
    }

    /// A joint phase and the next one, where their targets take turns along the width.
    fn sheet_of_two(&self, area: &Steps, space: &Space, joint: usize) -> Option<Sheet> {
        let line = &self.sum.lines[2];
        let [first, second] = line.phases.as_slice() else { return None };
        if line.step != 2 || self.joints[joint].phases[2] != 0 || second.offset != first.offset + 1 {
            return None;
        }
        let (mut steps, other) = (self.common(area, joint)?, self.common(area, joint + 1)?);
        if space.copied == 0 && steps[2] != other[2] {
            return None;
        }
        steps[2] = steps[2].start.min(other[2].start)..steps[2].end.max(other[2].end);
        let mut sheet = self.sheet(area, steps, Some(space), joint);
        let known = self.known(space, joint).and_then(|known| known.between.as_ref());
        let offsets = known.map_or_else(|| Arc::new(self.offsets(space, joint + 1)), |between| between.offsets.clone());
        sheet.between = Some(Between { joint: joint + 1, offsets });
        Some(sheet)
    }

    /// A sheet of the area before, where that is alike: most are.
    fn known(&self, space: &Space, joint: usize) -> Option<&Sheet> {
        let known = self.areas.last().filter(|area| area.space.as_ref().is_some_and(|known| known.is_like(space)));
        known.and_then(|area| area.sheets.iter().find(|sheet| sheet.joint == joint))
    }

    fn sheet(&self, area: &Steps, steps: Steps, space: Option<&Space>, joint: usize) -> Sheet {
        let lines = &self.sum.lines;
        let phases = self.joints[joint].phases;
        let first = std::array::from_fn(|axis| steps[axis].start - area[axis].start);
        let mut sheet = Sheet {
            joint,
            steps,
            vectors: 0,
            whole: 0,
            lanes: Vec::new(),
            places: Vec::new(),
            offsets: Arc::default(),
            first,
            length: 0,
            pitch: 0,
            between: None,
        };
        let Some(space) = space else { return sheet };
        let (high, wide) = (count(&sheet.steps[1]), count(&sheet.steps[2]));
        let pitch = if high > 1 { space.step[1] as usize } else { wide };
        let lanes = crate::kit::vector::lanes::<E>(self.path);
        let length = (high - 1) * pitch + wide;
        (sheet.length, sheet.pitch) = (length, pitch);
        sheet.vectors = length.div_ceil(lanes);
        sheet.whole = if space.copied > 0 { usize::MAX } else { length / lanes };
        let target = |axis: usize, step: usize| {
            let line = &lines[axis];
            (sheet.steps[axis].start + step as isize) * line.step + line.phases[phases[axis]].offset
        };
        let packs = lines[2].step == 1 && (high == 1 || (lines[1].step == 1 && wide == lines[2].target));
        let room = (sheet.vectors + self.weights.vectors) * lanes;
        let (mut row, mut column) = (0, 0);
        sheet.lanes.resize(room / lanes, Lanes { mask: 0, at: 0 });
        if !packs {
            sheet.places.resize(room, NOWHERE);
        }
        for at in 0..length {
            if column < wide {
                // Of two phases in turn, the first place may lie before the row.
                let place = (target(1, row) * lines[2].target as isize + target(2, column)) as usize;
                let vector = &mut sheet.lanes[at / lanes];
                if vector.mask == 0 {
                    vector.at = place;
                }
                vector.mask |= 1 << (at % lanes);
                if !packs {
                    sheet.places[at] = place;
                }
            }
            column += 1;
            if column == pitch {
                (row, column) = (row + 1, 0);
            }
        }
        let known = self.known(space, joint);
        sheet.offsets = known.map_or_else(|| Arc::new(self.offsets(space, joint)), |known| known.offsets.clone());
        sheet
    }

    /// Where the products of a joint phase read, per channel and tap.
    fn offsets(&self, space: &Space, joint: usize) -> Vec<isize> {
        let taps = &self.joints[joint].taps;
        let mut offsets = Vec::with_capacity(self.sum.inner * taps.len());
        for channel in 0..self.sum.inner as isize {
            let of = |tap: &[usize; 3]| {
                channel * space.channel + (0..3).map(|axis| space.taps[axis][tap[axis]]).sum::<isize>()
            };
            offsets.extend(taps.iter().map(of));
        }
        offsets
    }

    fn units(&self) -> usize {
        let tiles = self.sum.rows.div_ceil(self.weights.rows);
        self.sum.batch.div_ceil(self.images) * self.sum.groups * self.areas.len() * tiles.div_ceil(self.row_tiles)
    }

    /// Pixels of a tile.
    pub(super) fn width(&self) -> usize {
        self.weights.vectors * crate::kit::vector::lanes::<E>(self.path)
    }

    /// Elements of the copy, of the panel, and of a tile that is scattered.
    pub(super) fn rooms(&self) -> [usize; 3] {
        let copied =
            self.areas.iter().filter_map(|area| area.space.as_ref()).map(|space| space.copied).max().unwrap_or(0);
        let taps = self.joints.iter().map(|joint| joint.taps.len()).max().unwrap_or(0);
        let width = self.width();
        // A tile may read beyond the copy's end, and a row of the copy is written by whole vectors.
        let copy = if copied > 0 { copied.saturating_mul(self.sum.inner).saturating_add(2 * width) } else { 0 };
        let in_place = self.areas.iter().any(|area| area.space.as_ref().is_none_or(|space| space.copied == 0));
        let panel = if in_place { self.sum.inner.saturating_mul(taps).saturating_mul(width) } else { 0 };
        // Tiles of two phases lie one behind the other, and are read by whole vectors.
        [copy, panel, (2 * self.weights.rows + 1) * width].map(|room| room.next_multiple_of(16))
    }

    fn workspace(&self) -> usize {
        self.rooms().iter().fold(0, |sum, &room| sum.saturating_add(room))
    }
}

/// Vectors of the widest tile of a path, and rows, for so many rows.
pub(super) fn tile_shape<E: Element>(path: Path, rows: usize) -> (usize, usize) {
    tile::shape(rows, many::<E>(path))
}
