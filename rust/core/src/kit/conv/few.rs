//! Convolutions of few pixels as products of matrices: what takes time there is the kernel, which is read once and where it lies.
//! Depends on `gemm`, `space`. Invariant: a column is a pixel of y over all images, and has what the taps read there; units of work follow
//! from shapes alone.

use super::space::{Operand, Read, gather};
use super::{Axis, Form};
use crate::backend::{HostPointer, Parallel};
use crate::error::Result;
use crate::kit::gemm::{Matrix, gemm, multiply_packed, panel_columns};
use crate::kit::scratch::{Scratch, with_scratch};
use crate::kit::threads::try_parallel;
use crate::kit::vector::Element;

/// Pixels at most.
const PIXELS: usize = 256;
/// Channels of y and rows of a column at least: a smaller kernel is packed in no time.
const FEWEST: usize = 32;
const DEEPEST: usize = 128;
/// Channels of y of a unit of work, or channels of x.
const ROWS: usize = 48;
const CHANNELS: (usize, usize) = (16, 32);
/// Elements of columns beyond which they may not take more than the kernel.
const COLUMNS: usize = 1 << 20;
/// Elements that are gathered together.
const GATHERED: usize = 16 << 10;

/// A convolution of few pixels.
pub(super) struct Few<'a> {
    form: &'a Form,
    taps: usize,
    /// Pixels of y, per image and in all, and the elements of a line of them.
    plane: usize,
    pixels: usize,
    line: usize,
}

impl<'a> Few<'a> {
    /// For a kernel with these strides, if its rows lie together and are what takes time.
    pub(super) fn of(form: &'a Form, strides: &[isize; 5]) -> Option<Self> {
        let sizes = form.axes.map(|axis: Axis| axis.kernel);
        let taps: usize = sizes.iter().product();
        let dense = [taps, sizes[1] * sizes[2], sizes[2], 1];
        let lies = |axis: usize| axis > 0 && sizes[axis - 1] == 1 || strides[1 + axis] == dense[axis] as isize;
        let plane: usize = form.axes.iter().map(|axis| axis.y).product();
        let pixels = plane.saturating_mul(form.batch);
        let large = form.outputs >= FEWEST && form.inputs.saturating_mul(taps) >= DEEPEST;
        let line = pixels.checked_next_multiple_of(16)?;
        let columns = form.inputs.saturating_mul(taps).saturating_mul(line);
        let large = large && (columns <= COLUMNS || line <= form.outputs);
        let some = pixels > 0 && pixels <= PIXELS && form.axes.iter().all(|axis| axis.x > 0);
        (some && large && (0..4).all(lies)).then_some(Self { form, taps, plane, pixels, line })
    }

    /// Where x is read: `[tap][line]`.
    fn reads(&self, strides: &[isize; 5]) -> Vec<Read> {
        let axes = &self.form.axes;
        let mut reads = vec![Read::ZERO; self.taps * self.line];
        for pixel in 0..self.pixels {
            let (image, at) = (pixel / self.plane, pixel % self.plane);
            let steps = [at / axes[2].y / axes[1].y, at / axes[2].y % axes[1].y, at % axes[2].y];
            for tap in 0..self.taps {
                let taps = [
                    tap / axes[2].kernel / axes[1].kernel,
                    tap / axes[2].kernel % axes[1].kernel,
                    tap % axes[2].kernel,
                ];
                let mut distance = Some(image as isize * strides[0]);
                for axis in 0..3 {
                    let Axis { x, stride, dilation, padding, .. } = axes[axis];
                    let place =
                        (steps[axis] * stride + taps[axis] * dilation).checked_sub(padding).filter(|&at| at < x);
                    distance = distance.zip(place).map(|(sum, at)| sum + at as isize * strides[2 + axis]);
                }
                reads[tap * self.line + pixel] = Read::of(distance);
            }
        }
        reads
    }

    /// The reads of a panel of so many pixels: `[tap][width]`.
    fn panel(&self, reads: &[Read], panel: usize, width: usize) -> Vec<Read> {
        let first = panel * width;
        let there = width.min(self.line - first);
        let mut found = vec![Read::ZERO; self.taps * width];
        for (to, from) in found.chunks_exact_mut(width).zip(reads.chunks_exact(self.line)) {
            to[..there].copy_from_slice(&from[first..first + there]);
        }
        found
    }

    /// Where y is read: one line.
    fn places(&self, strides: &[isize; 5]) -> Vec<Read> {
        let axes = &self.form.axes;
        let place = |pixel: usize| {
            let (image, at) = (pixel / self.plane, pixel % self.plane);
            let steps = [image, 0, at / axes[2].y / axes[1].y, at / axes[2].y % axes[1].y, at % axes[2].y];
            Read::of(Some(steps.iter().zip(strides).map(|(&step, stride)| step as isize * stride).sum()))
        };
        let mut places: Vec<Read> = (0..self.pixels).map(place).collect();
        places.resize(self.line, Read::ZERO);
        places
    }

    /// Gathers channels from `first` on, `[channel][reads]`.
    ///
    /// # Safety
    /// The operand has the channels and what is read of them; there is room.
    unsafe fn gathered<E: Element>(
        &self,
        from: &Operand<E>,
        first: usize,
        channels: usize,
        reads: &[Read],
        to: HostPointer,
        parallel: &Parallel<'_>,
    ) {
        let joined = (GATHERED / reads.len()).max(1);
        parallel(channels.div_ceil(joined), &|chunk| {
            for channel in chunk * joined..((chunk + 1) * joined).min(channels) {
                // SAFETY: as the caller vouches; each channel has room of its own.
                unsafe {
                    let to = { to }.0.cast::<E>().add(channel * reads.len());
                    gather(from.channel(0, first + channel), reads, to);
                }
            }
        });
    }

    /// Channels of x of a unit.
    fn joined(&self) -> usize {
        let joined = self.form.inputs.div_ceil(CHANNELS.0).clamp(CHANNELS.0, CHANNELS.1);
        joined.min(COLUMNS / (self.taps * self.line)).max(1)
    }

    fn depth(&self) -> usize {
        self.form.inputs * self.taps
    }

    /// A bias's element.
    ///
    /// # Safety
    /// It lies in memory.
    unsafe fn bias<E: Element>(bias: Option<(Operand<E>, isize)>, channel: usize) -> E {
        // SAFETY: as the caller vouches.
        bias.map_or(E::ZERO, |(bias, step)| unsafe {
            bias.start.wrapping_offset(channel as isize * step).read_unaligned()
        })
    }

    /// y from x and the kernel, plus a bias.
    ///
    /// # Errors
    /// When there is no working memory.
    ///
    /// # Safety
    /// As for `Form::output`.
    pub(super) unsafe fn output<E: Element>(
        &self,
        x: &Operand<E>,
        kernel: &Operand<E>,
        bias: Option<(Operand<E>, isize)>,
        target: HostPointer,
        parallel: &Parallel<'_>,
    ) -> Result<()> {
        let (form, line, depth) = (self.form, self.line, self.depth());
        // As a product packs them, unless most of it were zeros: all units read the same columns.
        let width = panel_columns::<E>();
        let packed = line.next_multiple_of(width) * 3 <= line * 4;
        let width = if packed { width } else { line };
        let columns = Scratch::of::<E>(depth * line.next_multiple_of(width))?;
        let reads = self.reads(&x.strides);
        let panels: Vec<Vec<Read>> = (0..line.div_ceil(width)).map(|panel| self.panel(&reads, panel, width)).collect();
        for group in 0..form.groups {
            let start = HostPointer(columns.start());
            for (panel, reads) in panels.iter().enumerate() {
                let to = HostPointer(columns.start::<E>().wrapping_add(panel * depth * width).cast());
                // SAFETY: as the caller vouches.
                unsafe { self.gathered(x, group * form.inputs, form.inputs, reads, to, parallel) };
            }
            try_parallel(parallel, form.outputs.div_ceil(ROWS), &|unit| {
                let rows = ROWS.min(form.outputs - unit * ROWS);
                let first = group * form.outputs + unit * ROWS;
                with_scratch(ROWS * line, |products: *mut E| {
                    let a = Matrix { start: kernel.start, row: kernel.strides[0], column: 1 }.from(first, 0);
                    let b = Matrix { start: { start }.0.cast::<E>().cast_const(), row: line as isize, column: 1 };
                    // SAFETY: rows lie in the kernel, columns are gathered; targets of these channels are nobody else's.
                    unsafe {
                        if packed {
                            multiply_packed(rows, line, depth, products, line as isize, a, b.start);
                        } else {
                            gemm(rows, line, depth, products, line as isize, a, b);
                        }
                        for row in 0..rows {
                            let bias = Self::bias(bias, first + row);
                            for pixel in 0..self.pixels {
                                let (image, at) = (pixel / self.plane, pixel % self.plane);
                                let channel = image * form.groups * form.outputs + first + row;
                                let to = { target }.0.cast::<E>().add(channel * self.plane + at);
                                to.write(*products.add(row * line + pixel) + bias);
                            }
                        }
                    }
                })
            })?;
        }
        Ok(())
    }

    /// x from y and the kernel, plus a bias.
    ///
    /// # Errors
    /// When there is no working memory.
    ///
    /// # Safety
    /// As for `Form::input`.
    pub(super) unsafe fn input<E: Element>(
        &self,
        y: &Operand<E>,
        kernel: &Operand<E>,
        bias: Option<(Operand<E>, isize)>,
        target: HostPointer,
        parallel: &Parallel<'_>,
    ) -> Result<()> {
        let (form, line, taps) = (self.form, self.line, self.taps);
        let columns = Scratch::of::<E>(form.outputs * line)?;
        let places = self.places(&y.strides);
        let plane: usize = form.axes.iter().map(|axis| axis.x).product();
        let sizes = form.axes.map(|axis| axis.x as isize);
        let channels = form.groups * form.inputs;
        let strides = [(channels * plane) as isize, plane as isize, sizes[1] * sizes[2], sizes[2], 1];
        let reads = self.reads(&strides);
        let joined = self.joined();
        for group in 0..form.groups {
            let start = HostPointer(columns.start());
            // SAFETY: as the caller vouches.
            unsafe { self.gathered(y, group * form.outputs, form.outputs, &places, start, parallel) };
            try_parallel(parallel, form.inputs.div_ceil(joined), &|unit| {
                let first = unit * joined;
                let count = joined.min(form.inputs - first);
                let wide = count * taps;
                with_scratch(self.pixels * wide, |products: *mut E| {
                    let a = Matrix { start: { start }.0.cast::<E>().cast_const(), row: 1, column: line as isize };
                    let b = Matrix { start: kernel.start, row: kernel.strides[0], column: 1 };
                    let b = b.from(group * form.outputs, first * taps);
                    // SAFETY: as for `output`; what is read of x lies in it.
                    unsafe {
                        gemm(self.pixels, wide, form.outputs, products, wide as isize, a, b);
                        for channel in 0..count {
                            let number = group * form.inputs + first + channel;
                            let to = { target }.0.cast::<E>().add(number * plane);
                            let bias = Self::bias(bias, number);
                            for image in 0..form.batch {
                                (0..plane).for_each(|at| to.add(image * channels * plane + at).write(bias));
                            }
                        }
                        let to = { target }.0.cast::<E>().add((group * form.inputs + first) * plane);
                        for pixel in 0..self.pixels {
                            for tap in 0..taps {
                                let Some(distance) = reads[tap * line + pixel].distance() else { continue };
                                let (to, from) = (to.offset(distance), products.add(pixel * wide + tap));
                                for channel in 0..count {
                                    let to = to.add(channel * plane);
                                    *to = *to + *from.add(channel * taps);
                                }
                            }
                        }
                    }
                })
            })?;
        }
        Ok(())
    }

    /// The kernel from x and y.
    ///
    /// # Errors
    /// When there is no working memory.
    ///
    /// # Safety
    /// As for `Form::kernel`.
    pub(super) unsafe fn kernel<E: Element>(
        &self,
        x: &Operand<E>,
        y: &Operand<E>,
        target: HostPointer,
        parallel: &Parallel<'_>,
    ) -> Result<()> {
        let (form, line, depth, taps) = (self.form, self.line, self.depth(), self.taps);
        let lines = Scratch::of::<E>(form.outputs * line)?;
        let (reads, places) = (self.reads(&x.strides), self.places(&y.strides));
        let joined = self.joined();
        for group in 0..form.groups {
            let of_y = HostPointer(lines.start());
            // SAFETY: as the caller vouches.
            unsafe { self.gathered(y, group * form.outputs, form.outputs, &places, of_y, parallel) };
            try_parallel(parallel, form.inputs.div_ceil(joined), &|unit| {
                let first = unit * joined;
                let count = joined.min(form.inputs - first);
                with_scratch(joined * reads.len(), |columns: *mut E| {
                    let a = Matrix { start: { of_y }.0.cast::<E>().cast_const(), row: line as isize, column: 1 };
                    let b = Matrix { start: columns.cast_const(), row: 1, column: line as isize };
                    // SAFETY: the scratch has room for the columns; these elements of the kernel are nobody else's.
                    unsafe {
                        for channel in 0..count {
                            let from = x.channel(0, group * form.inputs + first + channel);
                            gather(from, &reads, columns.add(channel * reads.len()));
                        }
                        let to = { target }.0.cast::<E>().add(group * form.outputs * depth + first * taps);
                        gemm(form.outputs, count * taps, self.pixels, to, depth as isize, a, b);
                    }
                })
            })?;
        }
        Ok(())
    }
}
