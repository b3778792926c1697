//! One unit of a sum of shifted sources: some images, a group, an area, some row tiles. Depends on `shifted`, `space`, `tile`.
//! Invariant: a unit writes targets of its own only, each once.

use std::ops::Range;

use super::shifted::{Between, Job, NOWHERE, Sheet};
use super::space::{Fill, Read, Space, count, gather};
use super::tile::{self, Tile};
use super::turns::{Ask, Turn, Zip};
use crate::kit::vector::{Element, lanes, launch};

/// Elements of the weights that pixels pass by while both are in the second-level cache.
const PASSED: usize = 96 << 10;

/// One unit: images, a group, an area, some row tiles.
pub(super) struct Unit<'a, 'b, E> {
    pub(super) job: &'a Job<'b, E>,
    pub(super) unit: usize,
    pub(super) scratch: *mut E,
}

impl<E: Element> Unit<'_, '_, E> {
    /// Computes the unit's targets.
    ///
    /// # Safety
    /// The targets are nobody else's, the scratch has the job's workspace, and the processor has the path's instructions.
    pub(super) unsafe fn run(self) {
        let job = self.job;
        let sum = job.sum;
        let row_tiles = sum.rows.div_ceil(job.weights.rows);
        let shares = row_tiles.div_ceil(job.row_tiles);
        let (share, rest) = (self.unit % shares, self.unit / shares);
        let (area, rest) = (&job.areas[rest % job.areas.len()], rest / job.areas.len());
        let (group, images) = (rest % sum.groups, rest / sum.groups * job.images);
        let tiles = share * job.row_tiles..((share + 1) * job.row_tiles).min(row_tiles);
        let [copy, panel, _] = job.rooms();
        // SAFETY: the workspace has these rooms.
        let (panel, tile) = unsafe { (self.scratch.add(copy), self.scratch.add(copy + panel)) };
        let part = Part { job, group, tiles, panel, tile };
        let Some(space) = &area.space else {
            let images = images..(images + job.images).min(sum.batch);
            for sheet in &area.sheets {
                // SAFETY: the unit's targets belong to it.
                unsafe { part.gathered(sheet, sheet.joint, images.clone(), 0, usize::MAX) };
            }
            return;
        };
        let from = sum.source.channel(images, group * sum.inner);
        let source = if space.copied > 0 {
            let fill = Fill {
                space,
                lines: &sum.lines,
                steps: &area.steps,
                from,
                strides: &sum.source.strides,
                channels: sum.inner,
                to: self.scratch,
            };
            // SAFETY: the copy has room; what lies behind it is read, but not used.
            unsafe {
                launch(job.path, fill);
                let end = self.scratch.add(space.copied * sum.inner);
                for i in 0..2 * job.width() {
                    end.add(i).write(E::ZERO);
                }
            }
            self.scratch.cast_const()
        } else {
            from.wrapping_offset(space.origin)
        };
        for sheet in &area.sheets {
            // SAFETY: as above; behind a tile lies room for as much as a tile's vectors hold.
            unsafe {
                for lane in 0..job.width() {
                    part.tile.add(2 * job.weights.rows * job.width() + lane).write(E::ZERO);
                }
                part.flat(sheet, space, images, source);
            }
        }
    }
}

/// What the tiles of a unit have in common.
struct Part<'a, 'b, E> {
    job: &'a Job<'b, E>,
    group: usize,
    tiles: Range<usize>,
    panel: *mut E,
    tile: *mut E,
}

impl<E: Element> Part<'_, '_, E> {
    /// The target of a row tile's first row, of an image.
    #[inline(always)]
    fn target(&self, image: usize, tile: usize) -> *mut E {
        let sum = self.job.sum;
        let channel = (image * sum.groups + self.group) * sum.rows + tile * self.job.weights.rows;
        sum.target.0.cast::<E>().wrapping_add(channel * self.plane())
    }

    /// Elements from one target channel to the next.
    #[inline(always)]
    fn plane(&self) -> usize {
        let [depth, height, width] = &self.job.sum.lines;
        depth.target * height.target * width.target
    }

    /// A tile of rows; what it reads and where it writes is still to be said.
    #[inline(always)]
    fn prepared(&self, joint: usize, tile: usize) -> Tile<E> {
        let (job, weights) = (self.job, self.job.weights);
        Tile {
            depth: job.sum.inner * job.joints[joint].taps.len(),
            source: std::ptr::null(),
            offsets: std::ptr::null(),
            weights: weights.tile(joint, self.group, tile),
            bias: weights.bias(self.group, tile),
            target: std::ptr::null_mut(),
            row: self.plane(),
            rows: weights.rows.min(job.sum.rows - tile * weights.rows),
            lanes: std::ptr::null(),
        }
    }

    /// The pixels of a sheet along the flat axis.
    ///
    /// # Safety
    /// `source` is the area's first step in a space; the sheet's targets belong to the caller.
    unsafe fn flat(&self, sheet: &Sheet, space: &Space, image: usize, source: *const E) {
        let (job, weights) = (self.job, self.job.weights);
        let depth = job.sum.inner * job.joints[sheet.joint].taps.len();
        let passed = (PASSED / (depth * weights.rows).max(1)).max(1);
        let line = &job.sum.lines[0];
        let offset = line.phases[job.joints[sheet.joint].phases[0]].offset;
        let slice = job.sum.lines[1].target * job.sum.lines[2].target;
        let (width, scatters) = (job.width(), !sheet.places.is_empty());
        let lanes = lanes::<E>(job.path);
        let safe = sheet.vectors.min(sheet.whole);
        let mut first = self.tiles.start;
        while first < self.tiles.end {
            let tiles = first..(first + passed).min(self.tiles.end);
            for step in 0..count(&sheet.steps[0]) {
                let distance = (sheet.first[0] + step as isize) * space.step[0]
                    + sheet.first[1] * space.step[1]
                    + sheet.first[2] * space.step[2];
                let source = source.wrapping_offset(distance);
                let deep = ((sheet.steps[0].start + step as isize) * line.step + offset) as usize * slice;
                let mut vector = 0;
                while vector < safe {
                    let vectors = tile::narrow(weights.vectors, safe - vector);
                    if vector + vectors > sheet.whole {
                        break;
                    }
                    let turns = sheet.between.as_ref().map(|between| (between, self.turns(sheet, vector, vectors)));
                    for index in tiles.clone() {
                        let mut tile = self.prepared(sheet.joint, index);
                        let target = self.target(image, index).wrapping_add(deep);
                        if let Some((between, turns)) = &turns {
                            let source = source.wrapping_add(vector * lanes);
                            // SAFETY: as below.
                            unsafe { self.in_turn(sheet, between, index, source, vectors, target, turns) };
                            continue;
                        }
                        tile.source = source.wrapping_add(vector * lanes);
                        tile.offsets = sheet.offsets.as_ptr();
                        // SAFETY: the space has what the taps of these vectors read, and lanes have places.
                        unsafe {
                            if scatters {
                                (tile.target, tile.row, tile.lanes) = (self.tile, width, weights.neighbours());
                                tile::run(job.path, &tile, weights.rows, vectors);
                                let places = sheet.places.as_ptr().add(vector * lanes);
                                let row = self.plane();
                                self.scatter(tile.rows, vectors * lanes, target, row, |lane| *places.add(lane));
                            } else {
                                tile.target = target;
                                tile.lanes = sheet.lanes.as_ptr().add(vector);
                                tile::run(job.path, &tile, weights.rows, vectors);
                            }
                        }
                    }
                    vector += vectors;
                }
                if vector < sheet.vectors {
                    // Pixels whose vectors would read behind the source.
                    let before =
                        sheet.lanes[..vector].iter().map(|lanes| lanes.mask.count_ones() as usize).sum::<usize>();
                    let plane = count(&sheet.steps[1]) * count(&sheet.steps[2]);
                    let part =
                        Self { job, group: self.group, tiles: tiles.clone(), panel: self.panel, tile: self.tile };
                    // SAFETY: as the caller vouches.
                    unsafe {
                        let (first, last) = (step * plane + before, (step + 1) * plane);
                        part.gathered(sheet, sheet.joint, image..image + 1, first, last);
                        if let Some(between) = &sheet.between {
                            part.gathered(sheet, between.joint, image..image + 1, first, last);
                        }
                    }
                }
            }
            first = tiles.end;
        }
    }

    /// Where pairs of targets of two phases go, for vectors of a sheet from `vector` on.
    fn turns(&self, sheet: &Sheet, vector: usize, vectors: usize) -> Vec<Turn> {
        let [_, height, width] = &self.job.sum.lines;
        let joint = &self.job.joints[sheet.joint];
        let lanes = lanes::<E>(self.job.path);
        let (first, last) = (vector * lanes, ((vector + vectors) * lanes).min(sheet.length));
        let wide = count(&sheet.steps[2]);
        let turn = |row: usize| {
            let begin = first.saturating_sub(row * sheet.pitch).min(wide);
            let end = last.saturating_sub(row * sheet.pitch).min(wide);
            let high = (sheet.steps[1].start + row as isize) * height.step + height.phases[joint.phases[1]].offset;
            let at = (sheet.steps[2].start + begin as isize) * 2 + width.phases[0].offset;
            let there = (-at).max(0) as usize..(2 * (end - begin)).min((width.target as isize - at).max(0) as usize);
            let at = high * width.target as isize + at;
            Turn { lane: (row * sheet.pitch + begin).saturating_sub(first), count: end - begin, at, there }
        };
        let rows = first / sheet.pitch..last.div_ceil(sheet.pitch).min(count(&sheet.steps[1]));
        rows.map(turn).filter(|turn| turn.count > 0).collect()
    }

    /// Targets of two phases of the width: a tile of each, then their elements in turn.
    ///
    /// # Safety
    /// As for `flat`.
    #[inline(always)]
    unsafe fn in_turn(
        &self,
        sheet: &Sheet,
        between: &Between,
        index: usize,
        source: *const E,
        vectors: usize,
        target: *mut E,
        turns: &[Turn],
    ) {
        let (job, weights) = (self.job, self.job.weights);
        let (rows, width) = (weights.rows, job.width());
        let other = self.tile.wrapping_add(rows * width);
        let both = [(sheet.joint, &sheet.offsets, self.tile), (between.joint, &between.offsets, other)];
        let there = rows.min(job.sum.rows - index * rows);
        let zip = Zip { tiles: [self.tile, other], line: width, rows: there, turns, target, row: self.plane() };
        // SAFETY: as the caller vouches; there is room for two tiles.
        unsafe {
            launch(job.path, Ask(&zip));
            for (joint, offsets, to) in both {
                let mut tile = self.prepared(joint, index);
                (tile.source, tile.offsets) = (source, offsets.as_ptr());
                (tile.target, tile.row, tile.lanes) = (to, width, weights.neighbours());
                tile::run(job.path, &tile, rows, vectors);
            }
            launch(job.path, zip);
        }
    }

    /// Writes a tile's elements to their places.
    ///
    /// # Safety
    /// The tile is computed, and the places belong to the caller.
    #[inline(always)]
    unsafe fn scatter(&self, rows: usize, lanes: usize, to: *mut E, row: usize, place: impl Fn(usize) -> usize) {
        let width = self.job.width();
        for lane in 0..lanes {
            let place = place(lane);
            if place != NOWHERE {
                let to = to.wrapping_add(place);
                for r in 0..rows {
                    // SAFETY: as the caller vouches.
                    unsafe { to.add(r * row).write(*self.tile.add(r * width + lane)) };
                }
            }
        }
    }

    /// Pixels `first..last` of a sheet over all images, numbered in their order, by way of a panel.
    ///
    /// # Safety
    /// As for `flat`.
    unsafe fn gathered(&self, sheet: &Sheet, joint: usize, images: Range<usize>, first: usize, last: usize) {
        let (job, weights, sum) = (self.job, self.job.weights, self.job.sum);
        let (width, lines) = (job.width(), &job.sum.lines);
        let lane_count = lanes::<E>(job.path);
        let number = joint;
        let joint = &job.joints[number];
        let sizes: [usize; 3] = std::array::from_fn(|axis| count(&sheet.steps[axis]));
        let per_image: usize = sizes.iter().product();
        let last = last.min(per_image * images.len());
        let channels = self.group * sum.inner;
        let plane = self.plane();
        let mut reads = vec![Read::ZERO; joint.taps.len() * width];
        let mut places: Vec<*mut E> = vec![std::ptr::null_mut(); width];
        let mut pixel = first;
        while pixel < last {
            let pixels = width.min(last - pixel);
            let vectors = tile::narrow(weights.vectors, pixels.div_ceil(lane_count));
            let lanes = vectors * lane_count;
            for lane in 0..pixels {
                let (image, at) = ((pixel + lane) / per_image, (pixel + lane) % per_image);
                let steps = [at / sizes[2] / sizes[1], at / sizes[2] % sizes[1], at % sizes[2]];
                let steps: [isize; 3] = std::array::from_fn(|axis| sheet.steps[axis].start + steps[axis] as isize);
                let mut place = 0;
                for axis in 0..3 {
                    let line = &lines[axis];
                    let target = steps[axis] * line.step + line.phases[joint.phases[axis]].offset;
                    place = place * line.target + target as usize;
                }
                places[lane] = self.target(images.start + image, 0).wrapping_add(place);
                for (number, tap) in joint.taps.iter().enumerate() {
                    let mut at = (images.start + image) as isize * sum.source.strides[0];
                    let mut inside = true;
                    for axis in 0..3 {
                        match lines[axis].reads(steps[axis], &lines[axis].taps[tap[axis]]) {
                            Some(index) => at += index as isize * sum.source.strides[2 + axis],
                            None => inside = false,
                        }
                    }
                    reads[number * lanes + lane] = Read::of(inside.then_some(at));
                }
            }
            for number in 0..joint.taps.len() {
                reads[number * lanes + pixels..(number + 1) * lanes].fill(Read::ZERO);
            }
            let reads = &reads[..joint.taps.len() * lanes];
            for channel in 0..sum.inner {
                let from = sum.source.channel(0, channels + channel);
                // SAFETY: the panel has room; what is inside of the source can be read.
                unsafe { gather(from, reads, self.panel.add(channel * reads.len())) };
            }
            for index in self.tiles.clone() {
                let mut tile = self.prepared(number, index);
                tile.source = self.panel;
                tile.offsets = weights.panel_offsets(vectors);
                (tile.target, tile.row, tile.lanes) = (self.tile, width, weights.neighbours());
                // SAFETY: the panel is filled; each pixel has a place of its own.
                unsafe {
                    tile::run(job.path, &tile, weights.rows, vectors);
                    for r in 0..tile.rows {
                        let row = (index * weights.rows + r) * plane;
                        for lane in 0..pixels {
                            (*places.get_unchecked(lane)).add(row).write(*self.tile.add(r * width + lane));
                        }
                    }
                }
            }
            pixel += pixels;
        }
    }
}
