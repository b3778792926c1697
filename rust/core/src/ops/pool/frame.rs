//! Tensors of one to three spatial axes, with or without a batch, as tensors of rank 5; and the sizes of windows on them.
//! Depends on `movement`. Invariant: every mistake in sizes is raised here, and names the axis.

use smallvec::SmallVec;

use super::super::movement::reshape_to;
use super::axis::Axis;
use super::lanes::Order;
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::shape::{Shape, Tuple};

/// Windows along the spatial axes, one number per axis in each list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Positions of a window.
    pub kernel: SmallVec<[usize; 3]>,
    /// Distances of windows.
    pub stride: SmallVec<[usize; 3]>,
    /// Padding on both sides.
    pub padding: SmallVec<[usize; 3]>,
    /// Distances of a window's positions.
    pub dilation: SmallVec<[usize; 3]>,
    /// Whether a last window may begin inside the padded axis and end beyond it.
    pub ceil_mode: bool,
}

/// A tensor as one of rank 5.
pub(crate) struct Frame {
    /// The tensor, `[batch, channels, depth, height, width]` or with channels last.
    pub(crate) x: Tensor,
    /// Which of the two.
    pub(crate) order: Order,
    /// Spatial axes.
    rank: usize,
    batched: bool,
}

impl Frame {
    /// The tensor with axes of size 1 for those that it lacks.
    ///
    /// # Errors
    /// When its rank is neither `rank + 1` nor `rank + 2`.
    pub(crate) fn new(name: &str, x: &Tensor, rank: usize, channels_last: bool) -> Result<Self> {
        if !(rank + 1..=rank + 2).contains(&x.rank()) || rank == 0 || rank > 3 {
            let spatial = &["depth", "height", "width"][3 - rank.min(3)..];
            let order = match channels_last {
                true => format!("batch, {}, channels", spatial.join(", ")),
                false => format!("batch, channels, {}", spatial.join(", ")),
            };
            return Err(Error::shape(format!(
                "{name}: input {} has {} axes. Give {}, [{order}], or {} without a batch.",
                x.shape(),
                x.rank(),
                rank + 2,
                rank + 1
            )));
        }
        let batched = x.rank() == rank + 2;
        let order = Order { channels_last };
        let mut sizes = SmallVec::<[usize; 5]>::from_slice(x.shape());
        if !batched {
            sizes.insert(0, 1);
        }
        sizes.insert_many(order.first(), std::iter::repeat_n(1, 3 - rank));
        Ok(Self { x: reshape_to(x, &Shape::from_sound(sizes))?, order, rank, batched })
    }

    /// A result of rank 5 in the tensor's own form.
    pub(crate) fn back(&self, result: &Tensor) -> Result<Tensor> {
        let mut sizes = SmallVec::<[usize; 5]>::from_slice(result.shape());
        sizes.drain(self.order.first()..self.order.first() + 3 - self.rank);
        if !self.batched {
            sizes.remove(0);
        }
        reshape_to(result, &Shape::from_sound(sizes))
    }

    /// Sizes of depth, height and width.
    pub(crate) fn planes(&self) -> [usize; 3] {
        self.order.planes(self.x.shape())
    }

    /// What `one(spatial axis, size)` makes of each spatial axis, and `other(size)` of those that the tensor lacks.
    pub(crate) fn each<T>(
        &self,
        other: impl Fn(usize) -> T,
        one: impl Fn(usize, usize) -> Result<T>,
    ) -> Result<[T; 3]> {
        let sizes = self.planes();
        let make = |axis: usize| match (axis + self.rank).checked_sub(3) {
            Some(own) => one(own, sizes[axis]),
            None => Ok(other(sizes[axis])),
        };
        Ok([make(0)?, make(1)?, make(2)?])
    }

    /// The tensor's axis of that spatial axis.
    pub(crate) fn axis(&self, own: usize) -> usize {
        own + usize::from(self.batched) + usize::from(!self.order.channels_last)
    }

    /// The tensor's shape, for messages.
    pub(crate) fn shown(&self) -> Shape {
        self.back(&self.x).map_or_else(|_| self.x.shape().clone(), |x| x.shape().clone())
    }
}

impl Windows {
    /// Number of spatial axes.
    pub(crate) fn rank(&self) -> usize {
        self.kernel.len()
    }

    /// The windows along the axes of a frame.
    ///
    /// # Errors
    /// When a number is 0 that must not be, the padding is more than half a window, or an axis is too short for one.
    pub(crate) fn axes(&self, name: &str, frame: &Frame) -> Result<[Axis; 3]> {
        let rank = self.rank();
        let lists = [&self.stride, &self.padding, &self.dilation];
        if lists.iter().any(|list| list.len() != rank)
            || [&self.kernel, &self.stride, &self.dilation].iter().any(|list| list.contains(&0))
        {
            return Err(Error::value(format!(
                "{name}: kernel_size {}, stride {}, padding {}, dilation {}: give each {rank} numbers, none of them 0 \
                 but in the padding.",
                Tuple(&self.kernel),
                Tuple(&self.stride),
                Tuple(&self.padding),
                Tuple(&self.dilation)
            )));
        }
        frame.each(Axis::whole, |own, size| self.axis(name, frame, own, size))
    }

    fn axis(&self, name: &str, frame: &Frame, own: usize, size: usize) -> Result<Axis> {
        let (kernel, stride) = (self.kernel[own], self.stride[own]);
        let (before, dilation) = (self.padding[own], self.dilation[own]);
        // Positions from a window's first to its last.
        let reach = (kernel - 1).checked_mul(dilation).and_then(|reach| reach.checked_add(1)).unwrap_or(usize::MAX);
        if before > reach / 2 {
            return Err(Error::value(format!(
                "{name}: padding {before} of axis {} is more than half the window of {reach}. Use {} at most, or pad \
                 the input first.",
                frame.axis(own),
                reach / 2
            )));
        }
        let padded = size.saturating_add(2 * before);
        // What is left beside the first window, or missing for it.
        let spare = if self.ceil_mode { stride - 1 } else { 0 };
        if size == 0 || reach > padded.saturating_add(spare) {
            return Err(Error::shape(format!(
                "{name}: axis {} of input {} has {size} elements, {padded} with padding, and the window takes {reach}. \
                 Use a smaller kernel_size or more padding.",
                frame.axis(own),
                frame.shown()
            )));
        }
        let mut count = padded.saturating_add(spare).saturating_sub(reach) / stride + 1;
        // A window must not begin in the padding after the axis.
        if self.ceil_mode && (count - 1).saturating_mul(stride) >= size + before {
            count -= 1;
        }
        Ok(Axis::Sliding { size, count, kernel, stride, before, dilation })
    }
}
