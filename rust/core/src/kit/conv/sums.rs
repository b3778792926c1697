//! The sums of one chunk of a kernel's gradient: a group, a block of channels, a part of the pixels. Depends on `product`, `space`, `tile`.
//! Invariant: a chunk's sums are its own, and are added to in the order of the pixels.

use std::ops::Range;

use super::line::Tap;
use super::product::{BLOCK, Job};
use super::space::{Fill, Read, Space, Steps, count, gather};
use super::tile::{INNER, Inner, Outer, ShapedInner, run_outer};
use crate::kit::transpose::transpose;
use crate::kit::vector::{Element, Routine, Vector, launch};

/// Sums of a group, a block of channels and a part of the pixels.
pub(super) struct Chunk<'a, 'b, E> {
    pub(super) job: &'a Job<'b, E>,
    pub(super) chunk: usize,
    pub(super) sums: *mut E,
    pub(super) scratch: *mut E,
}

impl<E: Element> Chunk<'_, '_, E> {
    /// Makes the chunk's sums.
    ///
    /// # Safety
    /// They are nobody else's, the scratch has the job's workspace, and the processor has the path's instructions.
    pub(super) unsafe fn run(self) {
        let (job, product) = (self.job, self.job.product);
        let blocks = product.groups * job.blocks;
        let (block, part) = (self.chunk % blocks, self.chunk / blocks);
        let (group, first) = (block / job.blocks, block % job.blocks * job.channels);
        let channels = job.channels.min(product.inputs - first);
        // SAFETY: the sums belong to this chunk.
        unsafe {
            for i in 0..job.sums {
                self.sums.add(i).write(E::ZERO);
            }
        }
        let [copy, _] = job.rooms();
        // SAFETY: the workspace has these rooms.
        let lines = unsafe { self.scratch.add(copy) };
        let cell = Cell { job, group, first, channels, sums: self.sums, copy: self.scratch, room: copy, lines };
        // SAFETY: as the caller vouches.
        unsafe {
            if job.gathers {
                let images = product.batch * part / job.parts..product.batch * (part + 1) / job.parts;
                return cell.gathered(images);
            }
            let pieces = product.batch * job.areas.len();
            let mut known: Option<(usize, Prepared)> = None;
            for piece in pieces * part / job.parts..pieces * (part + 1) / job.parts {
                let (image, area) = (piece / job.areas.len(), piece % job.areas.len());
                let prepared = match known.take() {
                    Some((other, prepared)) if other == area => prepared,
                    _ => cell.prepare(area),
                };
                let next = (piece + 1 < pieces * (part + 1) / job.parts)
                    .then(|| ((piece + 1) / job.areas.len(), (piece + 1) % job.areas.len()));
                cell.area(image, area, &prepared, next);
                known = Some((area, prepared));
            }
        }
    }
}

/// How an area is read.
struct Prepared {
    space: Space,
    /// Per channel and tap, then zeros for a last tile.
    offsets: Vec<isize>,
    /// Per pixel its distance in the space; none where vectors run along the pixels.
    places: Vec<isize>,
}

/// Asks for elements of rows that are needed later.
struct Early<E> {
    from: *const E,
    step: isize,
    rows: usize,
    count: usize,
}

impl<E: Element> Routine<E> for Early<E> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector<Element = E>>(self) {
        for row in 0..self.rows {
            let from = self.from.wrapping_offset(row as isize * self.step);
            for at in (0..self.count).step_by(64 / size_of::<E>()) {
                V::fetch_early(from.wrapping_add(at));
            }
        }
    }
}

/// Rows of pixels of x and y.
struct Rows<E> {
    rows: usize,
    wide: usize,
    source: *const E,
    source_row: isize,
    line: *const E,
    line_row: isize,
}

/// What the pieces of a chunk have in common.
struct Cell<'a, 'b, E> {
    job: &'a Job<'b, E>,
    group: usize,
    /// Channels of x.
    first: usize,
    channels: usize,
    sums: *mut E,
    copy: *mut E,
    room: usize,
    lines: *mut E,
}

impl<E: Element> Cell<'_, '_, E> {
    fn prepare(&self, area: usize) -> Prepared {
        let job = self.job;
        let (lines, steps) = (&job.product.lines, &job.areas[area]);
        let space = if job.in_place {
            Space::in_place(lines, &job.product.x.strides, steps)
        } else {
            Some(Space::padded(lines, steps))
        };
        let space = space.unwrap_or_else(|| Space::padded(lines, steps));
        let mut offsets = Vec::with_capacity(self.channels * job.taps + 16);
        for channel in 0..self.channels as isize {
            for &d in &space.taps[0] {
                for &h in &space.taps[1] {
                    offsets.extend(space.taps[2].iter().map(|&w| channel * space.channel + d + h + w));
                }
            }
        }
        offsets.extend([0; 16]);
        let sizes: [usize; 3] = std::array::from_fn(|axis| count(&steps[axis]));
        let mut places = Vec::new();
        if !job.inner {
            places.reserve(sizes.iter().product());
            for d in 0..sizes[0] as isize {
                for h in 0..sizes[1] as isize {
                    let at = d * space.step[0] + h * space.step[1];
                    places.extend((0..sizes[2] as isize).map(|w| at + w * space.step[2]));
                }
            }
        }
        Prepared { space, offsets, places }
    }

    /// Adds the products of one area of one image.
    ///
    /// # Safety
    /// Operands lie in memory; the sums and the workspace belong to the caller.
    unsafe fn area(&self, image: usize, area: usize, prepared: &Prepared, next: Option<(usize, usize)>) {
        let (job, product) = (self.job, self.job.product);
        let steps = &job.areas[area];
        let mut source = product.x.channel(image, self.group * product.inputs + self.first);
        // SAFETY: as the caller vouches; the copy has room for all channels and what vectors read behind them.
        unsafe {
            if !job.in_place {
                let (space, lines) = (&prepared.space, &product.lines);
                let strides = &product.x.strides;
                launch(
                    job.path,
                    Fill { space, lines, steps, from: source, strides, channels: self.channels, to: self.copy },
                );
                for at in space.copied * self.channels..self.room {
                    self.copy.add(at).write(E::ZERO);
                }
                source = self.copy;
            } else {
                source = source.wrapping_offset(prepared.space.origin);
            }
            if job.inner {
                return self.along(image, steps, prepared, source);
            }
            let pixels = prepared.places.len();
            for begin in (0..pixels).step_by(BLOCK) {
                let block = BLOCK.min(pixels - begin);
                self.turn(image, steps, begin, block);
                let ahead = if begin + BLOCK < pixels {
                    Some((image, area, begin + BLOCK))
                } else {
                    next.map(|(image, area)| (image, area, 0))
                };
                let ahead =
                    ahead.filter(|_| job.dense).map(|(image, area, begin)| self.pixel(image, &job.areas[area], begin));
                self.tiles(block, source, prepared.places.as_ptr().add(begin), &prepared.offsets, ahead);
            }
        }
    }

    /// Adds the products of turned pixels.
    ///
    /// # Safety
    /// As for `area`.
    unsafe fn tiles(
        &self,
        count: usize,
        source: *const E,
        places: *const isize,
        offsets: &[isize],
        ahead: Option<*const E>,
    ) {
        let job = self.job;
        let (rows, vectors) = job.shape;
        let (all, outputs, step) = (self.channels * job.taps, job.product.outputs, job.product.y.strides[1]);
        for row in (0..all).step_by(rows) {
            if let Some(from) = ahead {
                // What is turned next is on its way meanwhile.
                let channels = row * outputs / all..(row + rows).min(all) * outputs / all;
                let from = from.wrapping_offset(channels.start as isize * step);
                // SAFETY: the processor has the path's instructions.
                unsafe { launch(job.path, Early { from, step, rows: channels.len(), count: BLOCK }) };
            }
            for column in (0..job.line).step_by(vectors * job.lanes) {
                // SAFETY: as the caller vouches; offsets and sums have room for whole tiles.
                unsafe {
                    let tile = Outer {
                        count,
                        source,
                        places,
                        offsets: offsets.as_ptr().add(row),
                        lines: self.lines.add(column),
                        line: job.line,
                        sums: self.sums.add(row * job.line + column),
                        row: job.line,
                    };
                    run_outer(job.path, &tile, vectors);
                }
            }
        }
    }

    /// Where y has a pixel of an area, of the first channel.
    fn pixel(&self, image: usize, steps: &Steps, pixel: usize) -> *const E {
        let product = self.job.product;
        let strides = &product.y.strides;
        let sizes: [usize; 3] = std::array::from_fn(|axis| count(&steps[axis]));
        let at = [pixel / sizes[2] / sizes[1], pixel / sizes[2] % sizes[1], pixel % sizes[2]];
        let place = (0..3).map(|axis| (steps[axis].start + at[axis] as isize) * strides[2 + axis]).sum::<isize>();
        product.y.channel(image, self.group * product.outputs).wrapping_offset(place)
    }

    /// Turns pixels of an area to lines of channels.
    ///
    /// # Safety
    /// As for `area`.
    unsafe fn turn(&self, image: usize, steps: &Steps, begin: usize, block: usize) {
        let (job, product) = (self.job, self.job.product);
        let strides = &product.y.strides;
        // SAFETY: as the caller vouches.
        unsafe {
            if job.dense {
                let from = self.pixel(image, steps, begin).cast();
                let to = self.lines.cast();
                transpose(size_of::<E>(), product.outputs, block, from, strides[1], to, job.line as isize);
            } else {
                for pixel in 0..block {
                    self.turn_one(self.pixel(image, steps, begin + pixel), pixel);
                }
            }
            if product.outputs < job.line {
                for pixel in 0..block {
                    for o in product.outputs..job.line {
                        self.lines.add(pixel * job.line + o).write(E::ZERO);
                    }
                }
            }
        }
    }

    /// The channels of one pixel.
    ///
    /// # Safety
    /// As for `area`.
    unsafe fn turn_one(&self, from: *const E, pixel: usize) {
        let step = self.job.product.y.strides[1];
        for o in 0..self.job.product.outputs {
            // SAFETY: as the caller vouches.
            unsafe {
                let x = from.wrapping_offset(o as isize * step).read_unaligned();
                self.lines.add(pixel * self.job.line + o).write(x);
            }
        }
    }

    /// Adds the products of one area with vectors along the pixels.
    ///
    /// # Safety
    /// As for `area`.
    unsafe fn along(&self, image: usize, steps: &Steps, prepared: &Prepared, source: *const E) {
        let product = self.job.product;
        let strides = &product.y.strides;
        let [deep, high, wide]: [usize; 3] = std::array::from_fn(|axis| count(&steps[axis]));
        let packed = wide > 1 && strides[4] != 1;
        for o in 0..product.outputs {
            let from = product.y.channel(image, self.group * product.outputs + o);
            for d in 0..deep {
                let at = (steps[0].start + d as isize) * strides[2] + steps[1].start * strides[3];
                let mut line = from.wrapping_offset(at + steps[2].start * strides[4]);
                let mut line_row = strides[3];
                // SAFETY: as the caller vouches; the line has room for all rows.
                unsafe {
                    if packed {
                        for at in 0..high * wide {
                            let (h, w) = ((at / wide) as isize, (at % wide) as isize);
                            let from = line.wrapping_offset(h * strides[3] + w * strides[4]);
                            self.lines.add(at).write(from.read_unaligned());
                        }
                        (line, line_row) = (self.lines, wide as isize);
                    }
                    let source = source.wrapping_offset(d as isize * prepared.space.step[0]);
                    let rows = Rows { rows: high, wide, source, source_row: prepared.space.step[1], line, line_row };
                    self.dots(o, &rows, &prepared.offsets);
                }
            }
        }
    }

    /// Adds to the sums of one output the products of rows of pixels.
    ///
    /// # Safety
    /// As for `area`.
    unsafe fn dots(&self, output: usize, rows: &Rows<E>, offsets: &[isize]) {
        let job = self.job;
        let depth = self.channels * job.taps;
        let row = (job.channels * job.taps).div_ceil(INNER) * INNER;
        for first in (0..depth).step_by(INNER) {
            // SAFETY: as the caller vouches; offsets and sums have room for whole tiles.
            unsafe {
                let tile = Inner {
                    rows: rows.rows,
                    wide: rows.wide,
                    source: rows.source,
                    source_row: rows.source_row,
                    offsets: offsets.as_ptr().add(first),
                    line: rows.line,
                    line_row: rows.line_row,
                    sums: self.sums.add(output * row + first),
                };
                if depth - first <= 3 {
                    launch(job.path, ShapedInner::<E, 3>(&tile));
                } else {
                    launch(job.path, ShapedInner::<E, INNER>(&tile));
                }
            }
        }
    }

    /// Adds the products of all pixels of some images, gathered block by block.
    ///
    /// # Safety
    /// As for `area`.
    unsafe fn gathered(&self, images: Range<usize>) {
        let (job, product) = (self.job, self.job.product);
        let (lines, taps) = (&product.lines, job.taps);
        let sizes: [usize; 3] = std::array::from_fn(|axis| count(&lines[axis].steps));
        let per_image: usize = sizes.iter().product();
        let mut reads = vec![Read::ZERO; taps * BLOCK];
        let places: Vec<isize> = (0..BLOCK as isize).collect();
        let mut offsets: Vec<isize> = (0..(self.channels * taps) as isize).map(|at| at * BLOCK as isize).collect();
        offsets.extend([0; 16]);
        let pixels = images.len() * per_image;
        for begin in (0..pixels).step_by(BLOCK) {
            let block = BLOCK.min(pixels - begin);
            let mut of_y = [0isize; BLOCK];
            for lane in 0..BLOCK {
                if lane >= block {
                    (0..taps).for_each(|tap| reads[tap * BLOCK + lane] = Read::ZERO);
                    continue;
                }
                let (image, at) = (images.start + (begin + lane) / per_image, (begin + lane) % per_image);
                let steps = [at / sizes[2] / sizes[1], at / sizes[2] % sizes[1], at % sizes[2]];
                of_y[lane] = image as isize * product.y.strides[0]
                    + (0..3).map(|axis| steps[axis] as isize * product.y.strides[2 + axis]).sum::<isize>();
                let mut number = 0;
                let at = image as isize * product.x.strides[0];
                let read = |axis: usize, tap: &Tap| {
                    lines[axis].reads(steps[axis] as isize, tap).map(|at| at as isize * product.x.strides[2 + axis])
                };
                for d in lines[0].taps.iter().map(|tap| read(0, tap)) {
                    for h in lines[1].taps.iter().map(|tap| read(1, tap)) {
                        for w in lines[2].taps.iter().map(|tap| read(2, tap)) {
                            let inside = d.zip(h).zip(w).map(|((d, h), w)| at + d + h + w);
                            reads[number * BLOCK + lane] = Read::of(inside);
                            number += 1;
                        }
                    }
                }
            }
            for channel in 0..self.channels {
                let from = product.x.channel(0, self.group * product.inputs + self.first + channel);
                // SAFETY: the panel has room; what is inside of the source can be read.
                unsafe { gather(from, &reads, self.copy.add(channel * reads.len())) };
            }
            let y = product.y.channel(0, self.group * product.outputs);
            // SAFETY: as the caller vouches.
            unsafe {
                if !job.inner {
                    let mut pixel = 0;
                    while pixel < block {
                        // Pixels of one image lie together.
                        let run =
                            if job.dense { (per_image - (begin + pixel) % per_image).min(block - pixel) } else { 1 };
                        let from = y.wrapping_offset(of_y[pixel]);
                        if run > 1 {
                            let to = self.lines.add(pixel * job.line);
                            let (step, line) = (product.y.strides[1], job.line as isize);
                            transpose(size_of::<E>(), product.outputs, run, from.cast(), step, to.cast(), line);
                        } else {
                            self.turn_one(from, pixel);
                        }
                        pixel += run;
                    }
                    for pixel in 0..block {
                        for o in product.outputs..job.line {
                            self.lines.add(pixel * job.line + o).write(E::ZERO);
                        }
                    }
                    self.tiles(block, self.copy, places.as_ptr(), &offsets, None);
                    continue;
                }
                for o in 0..product.outputs {
                    let y = y.wrapping_offset(o as isize * product.y.strides[1]);
                    for (lane, &at) in of_y[..block].iter().enumerate() {
                        let x = y.wrapping_offset(at).read_unaligned();
                        self.lines.add(lane).write(x);
                    }
                    let (source, line) = (self.copy, self.lines);
                    let rows = Rows { rows: 1, wide: block, source, source_row: 0, line, line_row: 0 };
                    self.dots(o, &rows, &offsets);
                }
            }
        }
    }
}
