//! Convolutions of up to three axes: the form `Σ x · kernel · y`, and each of the three from the other two. Depends on `gemm`, `transpose`, `vector`.
//! Invariant: x is `[batch, groups · inputs, …]`, the kernel `[groups · outputs, inputs, …]`, y `[batch, groups · outputs, …]`; any strides
//! for what is read, contiguous what is written.

mod apart;
mod corners;
mod few;
mod line;
mod product;
mod shifted;
mod space;
mod squared;
mod squared_product;
mod squares;
mod sums;
mod tile;
mod turns;
mod unit;
mod weights;

#[cfg(test)]
mod tests;

pub use line::Axis;

use few::Few;
use line::Line;
use product::Product;
use shifted::{Shifted, joints};
use space::Operand;
use squares::Squares;
use weights::{Kernel, Weights};

use crate::backend::{HostPointer, Parallel};
use crate::error::Result;
use crate::kit::simd::Path;
pub(crate) use crate::kit::vector::Element;

/// `Σ x[n, g·inputs + i, …] · kernel[g·outputs + o, i, taps…] · y[n, g·outputs + o, …]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Form {
    /// Images.
    pub batch: usize,
    /// Groups of channels that do not meet.
    pub groups: usize,
    /// Channels of x, per group.
    pub inputs: usize,
    /// Channels of y, per group.
    pub outputs: usize,
    /// Depth, height and width.
    pub axes: [Axis; 3],
}

/// A tensor of five axes, as it lies in memory.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// The first element.
    pub start: HostPointer,
    /// In elements.
    pub strides: [isize; 5],
}

impl Source {
    fn operand<E>(&self) -> Operand<E> {
        Operand { start: self.start.0.cast::<E>().cast_const(), strides: self.strides }
    }
}

/// A bias: one number per channel of the result, so many elements apart.
pub type Bias = Option<(HostPointer, isize)>;

impl Form {
    fn bias<E>(bias: Bias) -> Option<(Operand<E>, isize)> {
        bias.map(|(start, step)| (Source { start, strides: [0; 5] }.operand(), step))
    }

    /// Strides of a kernel as it is written.
    fn kernel_strides(&self) -> [isize; 5] {
        let [d, h, w] = self.axes.map(|axis| axis.kernel as isize);
        [self.inputs as isize * d * h * w, d * h * w, h * w, w, 1]
    }

    /// y from x and the kernel, plus a bias.
    ///
    /// # Errors
    /// When there is no working memory.
    ///
    /// # Safety
    /// Sources hold elements of `E` of the form's sizes; the target has room for y and is nobody else's; the path is available.
    pub(crate) unsafe fn output<E: Element>(
        &self,
        path: Path,
        x: &Source,
        kernel: &Source,
        bias: Bias,
        target: HostPointer,
        parallel: &Parallel<'_>,
    ) -> Result<()> {
        if let Some(few) = Few::of(self, &kernel.strides) {
            // SAFETY: as the caller vouches.
            return unsafe { few.output(&x.operand::<E>(), &kernel.operand(), Self::bias(bias), target, parallel) };
        }
        let [row, inner, taps @ ..] = kernel.strides;
        let group = row * self.outputs as isize;
        let sum = Shifted::<E> {
            batch: self.batch,
            groups: self.groups,
            inner: self.inputs,
            rows: self.outputs,
            lines: std::array::from_fn(|axis| Line::forward(&self.axes[axis])),
            source: x.operand(),
            target,
        };
        let kernel = Kernel { start: kernel.operand(), group, row, inner, taps };
        // SAFETY: as the caller vouches.
        unsafe { shifted(&sum, path, &kernel, bias, parallel) }
    }

    /// x from y and the kernel, plus a bias: the transposed convolution.
    ///
    /// # Errors
    /// When there is no working memory.
    ///
    /// # Safety
    /// As for `output`.
    pub(crate) unsafe fn input<E: Element>(
        &self,
        path: Path,
        y: &Source,
        kernel: &Source,
        bias: Bias,
        target: HostPointer,
        parallel: &Parallel<'_>,
    ) -> Result<()> {
        if let Some(few) = Few::of(self, &kernel.strides) {
            // SAFETY: as the caller vouches.
            return unsafe { few.input(&y.operand::<E>(), &kernel.operand(), Self::bias(bias), target, parallel) };
        }
        let [inner, row, taps @ ..] = kernel.strides;
        let group = inner * self.outputs as isize;
        let sum = Shifted::<E> {
            batch: self.batch,
            groups: self.groups,
            inner: self.outputs,
            rows: self.inputs,
            lines: std::array::from_fn(|axis| Line::backward(&self.axes[axis])),
            source: y.operand(),
            target,
        };
        let kernel = Kernel { start: kernel.operand(), group, row, inner, taps };
        // SAFETY: as the caller vouches.
        unsafe { shifted(&sum, path, &kernel, bias, parallel) }
    }

    /// The kernel from x and y.
    ///
    /// # Errors
    /// When there is no working memory.
    ///
    /// # Safety
    /// As for `output`.
    pub(crate) unsafe fn kernel<E: Element>(
        &self,
        path: Path,
        x: &Source,
        y: &Source,
        target: HostPointer,
        parallel: &Parallel<'_>,
    ) -> Result<()> {
        if let Some(few) = Few::of(self, &self.kernel_strides()) {
            // SAFETY: as the caller vouches.
            return unsafe { few.kernel(&x.operand::<E>(), &y.operand(), target, parallel) };
        }
        let product = Product::<E> {
            batch: self.batch,
            groups: self.groups,
            inputs: self.inputs,
            outputs: self.outputs,
            lines: std::array::from_fn(|axis| Line::forward(&self.axes[axis])),
            x: x.operand(),
            y: y.operand(),
            target,
        };
        if product.groups * product.inputs * product.outputs == 0 {
            return Ok(());
        }
        if let Some(squares) = Squares::of::<E>(&product.lines, self.batch, self.inputs, self.outputs) {
            // SAFETY: as the caller vouches.
            if unsafe { product.squared(&squares, path, parallel)? } {
                return Ok(());
            }
        }
        // SAFETY: as the caller vouches.
        unsafe { product.run(path, parallel) }
    }
}

/// # Safety
/// As for `Form::output`.
unsafe fn shifted<E: Element>(
    sum: &Shifted<E>,
    path: Path,
    kernel: &Kernel<E>,
    bias: Bias,
    parallel: &Parallel<'_>,
) -> Result<()> {
    if let Some(squares) = Squares::of::<E>(&sum.lines, sum.batch, sum.inner, sum.rows) {
        // SAFETY: as the caller vouches.
        if unsafe { sum.squared(&squares, path, kernel, Form::bias(bias), parallel)? } {
            return Ok(());
        }
    }
    let joints = joints(&sum.lines);
    let sizes = [sum.groups, sum.rows, sum.inner];
    // SAFETY: as the caller vouches.
    unsafe {
        let weights = Weights::new(path, sizes, &joints, kernel, Form::bias(bias), parallel)?;
        sum.run(path, &joints, &weights, parallel)
    }
}
