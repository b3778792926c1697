//! Windows as columns, and the sum that puts them back.
//! Depends on `frame` and `walk`. Invariant: `fold` is the adjoint of `unfold`; each is the other's gradient.

use std::ops::Range;
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::super::movement::reshape_to;
use super::super::pointwise::astype;
use super::super::walk::{self, Walk};
use super::axis::Axis;
use super::frame::Windows;
use super::lanes::each_block;
use super::shaders;
use crate::backend::HostArguments;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::{Cotangent, Key, Lowering, Meta, Op, Tensor, Vjp, apply};
use crate::plan::{Argument, Candidate, Caps, Cost, Structured};
use crate::shape::{Shape, Tuple};

/// Bytes of the image that one chunk treats at most: they stay in the second-level cache for all positions of the windows.
const CHUNK_BYTES: usize = 1 << 18;

/// The windows of `[batch, channels, height, width]` as columns: `[batch, channels · positions, windows]`.
///
/// # Errors
/// For another rank, and windows that do not fit.
pub fn unfold(x: &Tensor, windows: &Windows) -> Result<Tensor> {
    if !(3..=4).contains(&x.rank()) {
        return Err(Error::shape(format!(
            "unfold: input {} has {} axes. Give [batch, channels, height, width], or leave the batch out.",
            x.shape(),
            x.rank()
        )));
    }
    let image: SmallVec<[usize; 4]> = x.shape()[x.rank() - 2..].into();
    let axes = columns("unfold", windows, &image)?;
    let (batch, channels) = batch_and_channels(x, 3);
    let framed = reshape_to(x, &Shape::from_sound([batch, channels, image[0], image[1]]))?;
    let columns = apply(Unfold { axes, fold: false }, &[&framed])?;
    let positions = windows.kernel.iter().product::<usize>();
    let places = axes[0].count() * axes[1].count();
    let sizes = [batch, channels * positions, places];
    reshape_to(&columns, &Shape::from_sound(sizes[4 - x.rank()..].iter().copied()))
}

/// Columns added up where `unfold` has them from: `[batch, channels · positions, windows]` becomes `[batch, channels, *size]`.
///
/// # Errors
/// For another rank, and sizes that are not those that `unfold` gives.
pub fn fold(x: &Tensor, size: &[usize], windows: &Windows) -> Result<Tensor> {
    if !(2..=3).contains(&x.rank()) {
        return Err(Error::shape(format!(
            "fold: input {} has {} axes. Give [batch, channels · positions, windows], or leave the batch out.",
            x.shape(),
            x.rank()
        )));
    }
    let axes = columns("fold", windows, size)?;
    let (batch, rows) = batch_and_channels(x, 2);
    let (positions, places) = (windows.kernel.iter().product::<usize>(), axes[0].count() * axes[1].count());
    if !rows.is_multiple_of(positions) || x.shape()[x.rank() - 1] != places {
        return Err(Error::shape(format!(
            "fold: input is {} and an image of {} has {places} windows of {positions} positions. Give \
             [batch, channels · {positions}, {places}].",
            x.shape(),
            Tuple(size)
        )));
    }
    let [heights, widths] = [axes[0].count(), axes[1].count()];
    let dtype = x.dtype();
    let framed = Shape::new(&[batch, rows / positions, positions, heights, widths])?;
    let wide = if dtype.is_float() { dtype.promote(DType::F32) } else { dtype };
    let image = apply(Unfold { axes, fold: true }, &[&astype(&reshape_to(x, &framed)?, wide)?])?;
    let sizes = [batch, rows / positions, size[0], size[1]];
    astype(&reshape_to(&image, &Shape::from_sound(sizes[3 - x.rank()..].iter().copied()))?, dtype)
}

/// Sizes of the batch and of the axis after it, where `without` axes mean that there is no batch.
fn batch_and_channels(x: &Tensor, without: usize) -> (usize, usize) {
    if x.rank() == without { (1, x.shape()[0]) } else { (x.shape()[0], x.shape()[1]) }
}

fn columns(name: &str, windows: &Windows, image: &[usize]) -> Result<[Axis; 2]> {
    let Windows { kernel, stride, padding, dilation, .. } = windows;
    let lists = [kernel, stride, padding, dilation];
    if image.len() != 2
        || lists.iter().any(|list| list.len() != 2)
        || [kernel, stride, dilation].iter().any(|list| list.contains(&0))
    {
        return Err(Error::value(format!(
            "{name}: kernel_size {}, stride {}, padding {}, dilation {}: give each two numbers, none of them 0 but in \
             the padding.",
            Tuple(kernel),
            Tuple(stride),
            Tuple(padding),
            Tuple(dilation)
        )));
    }
    let axis = |axis: usize| {
        let (size, kernel, stride) = (image[axis], kernel[axis], stride[axis]);
        let (before, dilation) = (padding[axis], dilation[axis]);
        let reach = (kernel - 1).saturating_mul(dilation).saturating_add(1);
        let padded = size.saturating_add(before.saturating_mul(2));
        if reach > padded || padded > isize::MAX as usize {
            return Err(Error::shape(format!(
                "{name}: {} of the image is {size}, {padded} with padding, and the window takes {reach}. Use a smaller \
                 kernel_size or more padding.",
                ["the height", "the width"][axis]
            )));
        }
        Ok(Axis::Sliding { size, count: (padded - reach) / stride + 1, kernel, stride, before, dilation })
    };
    Ok([axis(0)?, axis(1)?])
}

/// `[batch, channels, height, width]` to `[batch, channels, positions, windows down, windows across]`, or `fold` back.
#[derive(Clone, Debug)]
struct Unfold {
    axes: [Axis; 2],
    fold: bool,
}

impl Op for Unfold {
    fn name(&self) -> &'static str {
        if self.fold { "fold" } else { "unfold" }
    }
    fn key(&self, key: &mut Key) {
        self.axes.iter().for_each(|axis| axis.key(key));
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        let [batch, channels] = [inputs[0].shape[0], inputs[0].shape[1]];
        let [height, width] = &self.axes;
        let shape = match self.fold {
            true => Shape::new(&[batch, channels, height.size(), width.size()])?,
            false => {
                let positions = height.kernel().saturating_mul(width.kernel());
                Shape::new(&[batch, channels, positions, height.count(), width.count()])?
            }
        };
        Ok(smallvec![Meta::new(shape, inputs[0].dtype)])
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        let other = Self { fold: !self.fold, ..self.clone() };
        Ok(smallvec![Some(Cotangent::Dense(apply(other, &[cx.grad()])?))])
    }
    fn lower(&self) -> Lowering {
        Lowering::Structured(Arc::new(self.clone()))
    }
}

/// The windows whose position `tap` lies on the axis, and where the first of them has it.
fn inside(axis: &Axis, tap: usize) -> (Range<usize>, usize) {
    let &Axis::Sliding { size, count, stride, before, dilation, .. } = axis else { unreachable!("columns slide") };
    let shift = tap * dilation;
    let first = before.saturating_sub(shift).div_ceil(stride).min(count);
    let end = (size + before).saturating_sub(shift).div_ceil(stride).clamp(first, count);
    (first..end, (first * stride + shift).saturating_sub(before))
}

impl Structured for Unfold {
    fn name(&self) -> &'static str {
        if self.fold { "fold" } else { "unfold" }
    }

    fn cost(&self, arguments: &[Argument]) -> Cost {
        let columns = arguments[0].layout.shape.elements() as u64;
        Cost { flops: if self.fold { columns } else { 0 }, ..Cost::moving(arguments) }
    }

    fn cpu(&self, host: &HostArguments<'_>) -> Result<()> {
        let (image, columns) = if self.fold { (1, 0) } else { (0, 1) };
        let (image, columns) = (&host.arguments[image], &host.arguments[columns]);
        let (from, to) = (&image.layout, &columns.layout);
        let [batch, channels] = [from.shape[0], from.shape[1]];
        let (dtype, size) = (image.dtype, image.dtype.size());
        let plane = from.shape[2] * from.shape[3] * size;
        let part = (CHUNK_BYTES / plane.max(1)).clamp(1, channels.max(1));
        let padded = self.axes.iter().any(|axis| matches!(axis, Axis::Sliding { before, .. } if *before > 0));
        let strides = [self.axes[0].stride(), self.axes[1].stride()];
        let bytes = to.shape.elements() * size;
        each_block(host, batch, channels.div_ceil(part), bytes, &|batch, block| {
            let first = block * part;
            let count = part.min(channels - first);
            let corner = |strides: &[isize]| batch as isize * strides[0] + first as isize * strides[1];
            let image = image.data.0.wrapping_offset(corner(&from.strides) * size as isize);
            let columns = columns.data.0.wrapping_offset(corner(&to.strides) * size as isize);
            // SAFETY: boxes lie inside the two layouts; chunks are disjoint boxes of what is written.
            unsafe {
                if self.fold {
                    let box_ = [count, from.shape[2], from.shape[3]];
                    walk::zero(size, &Walk::new(&box_, [&from.strides[1..], &from.strides[1..]]), image);
                } else if padded {
                    let box_ = [count, to.shape[2], to.shape[3], to.shape[4]];
                    walk::zero(size, &Walk::new(&box_, [&to.strides[1..], &to.strides[1..]]), columns);
                }
                for tap in 0..to.shape[2] {
                    let (down, top) = inside(&self.axes[0], tap / self.axes[1].kernel());
                    let (across, left) = inside(&self.axes[1], tap % self.axes[1].kernel());
                    let at_image = top as isize * from.strides[2] + left as isize * from.strides[3];
                    let at_columns = tap as isize * to.strides[2]
                        + down.start as isize * to.strides[3]
                        + across.start as isize * to.strides[4];
                    let image = image.wrapping_offset(at_image * size as isize);
                    let columns = columns.wrapping_offset(at_columns * size as isize);
                    let sizes = [count, down.len(), across.len()];
                    let of_image =
                        [from.strides[1], from.strides[2] * strides[0] as isize, from.strides[3] * strides[1] as isize];
                    let of_columns = [to.strides[1], to.strides[3], to.strides[4]];
                    if self.fold {
                        walk::add(dtype, &Walk::new(&sizes, [&of_image, &of_columns]), image, columns);
                    } else {
                        walk::copy(size, &Walk::new(&sizes, [&of_columns, &of_image]), columns, image);
                    }
                }
            }
            Ok(())
        })
    }

    fn gpu(&self, arguments: &[Argument], _slots: usize, caps: &Caps) -> Vec<Candidate> {
        shaders::columns(&self.axes, self.fold, arguments, caps)
    }
}
