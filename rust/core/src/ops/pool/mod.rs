//! Pooling: maxima and averages of windows, and windows as columns.
//! Depends on `graph`, `resample` and the vocabulary. Invariant: the gradient of a maximum goes to the first of equal
//! elements; every gradient is an operation with a gradient.

pub(super) mod axis;
pub(super) mod frame;
pub(super) mod lanes;
mod loops;
mod max;
pub(super) mod shaders;
mod unfold;

pub use frame::Windows;
pub use unfold::{fold, unfold};

use super::operand::default_integer;
use super::pointwise::astype;
use super::resample::band::{Divisor, Side, Weights};
use super::resample::resample;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::{Tensor, grad_enabled};
use axis::Axis;
use frame::Frame;
use lanes::moved_as;
use max::{Geometry, max_places, max_windows};

/// Maxima of windows, and with `indices` where in its plane each came from (int64).
///
/// # Errors
/// For sizes that do not fit, and bool.
pub fn max_pool(x: &Tensor, windows: &Windows, channels_last: bool, indices: bool) -> Result<(Tensor, Option<Tensor>)> {
    let name = ["max_pool1d", "max_pool2d", "max_pool3d"][windows.rank().clamp(1, 3) - 1];
    let frame = Frame::new(name, x, windows.rank(), channels_last)?;
    maxima(name, &frame, windows.axes(name, &frame)?, indices)
}

/// Maxima of `counts[axis]` windows that share each axis evenly; `None` leaves an axis as it is.
///
/// # Errors
/// As `max_pool`.
pub fn adaptive_max_pool(
    x: &Tensor,
    counts: &[Option<usize>],
    channels_last: bool,
    indices: bool,
) -> Result<(Tensor, Option<Tensor>)> {
    let name = ["adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d"][counts.len().clamp(1, 3) - 1];
    let frame = Frame::new(name, x, counts.len(), channels_last)?;
    maxima(name, &frame, adaptive(name, &frame, counts)?, indices)
}

fn maxima(name: &str, frame: &Frame, axes: [Axis; 3], indices: bool) -> Result<(Tensor, Option<Tensor>)> {
    let dtype = frame.x.dtype();
    if dtype == DType::Bool {
        return Err(Error::dtype(format!("{name}: input is bool, which has no maximum. Convert it with astype.")));
    }
    let x = astype(&frame.x, moved_as(dtype))?;
    let geometry = Geometry { axes, order: frame.order };
    let taps = indices || (grad_enabled() && x.requires_grad());
    let (values, taps) = max_windows(&x, &geometry, taps)?;
    let places = match taps {
        Some(taps) if indices => {
            let places = max_places(&values, &geometry, &taps)?;
            Some(frame.back(&astype(&places, default_integer(x.device()))?)?)
        }
        _ => None,
    };
    Ok((frame.back(&astype(&values, dtype)?)?, places))
}

/// Averages of windows: sums divided by the windows' sizes, as far as they lie on the axis or, with `count_padding`, on the padded
/// one; or by `divisor`.
///
/// # Errors
/// For sizes that do not fit.
pub fn avg_pool(
    x: &Tensor,
    windows: &Windows,
    count_padding: bool,
    divisor: Option<f64>,
    channels_last: bool,
) -> Result<Tensor> {
    let name = ["avg_pool1d", "avg_pool2d", "avg_pool3d"][windows.rank().clamp(1, 3) - 1];
    let frame = Frame::new(name, x, windows.rank(), channels_last)?;
    let axes = windows.axes(name, &frame)?;
    let first = 3 - windows.rank();
    let side = |axis: usize| {
        let divisor = match (divisor, axes[axis]) {
            (Some(divisor), _) => Divisor::Fixed(if axis == first { divisor } else { 1.0 }),
            (None, Axis::Sliding { before, .. }) if count_padding => Divisor::Padded(before),
            _ => Divisor::Inside,
        };
        Side { size: axes[axis].size(), count: axes[axis].count(), weights: Weights::Mean(axes[axis], divisor) }
    };
    in_float(&frame, |x| resample(x, name, [0, 1, 2].map(side), frame.order))
}

/// Averages of `counts[axis]` windows that share each axis evenly; `None` leaves an axis as it is.
///
/// # Errors
/// For sizes that do not fit.
pub fn adaptive_avg_pool(x: &Tensor, counts: &[Option<usize>], channels_last: bool) -> Result<Tensor> {
    let name = ["adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"][counts.len().clamp(1, 3) - 1];
    let frame = Frame::new(name, x, counts.len(), channels_last)?;
    let axes = adaptive(name, &frame, counts)?;
    let side = |axis: usize| {
        let weights = Weights::Mean(axes[axis], Divisor::Inside);
        Side { size: axes[axis].size(), count: axes[axis].count(), weights }
    };
    in_float(&frame, |x| resample(x, name, [0, 1, 2].map(side), frame.order))
}

fn adaptive(name: &str, frame: &Frame, counts: &[Option<usize>]) -> Result<[Axis; 3]> {
    frame.each(Axis::whole, |own, size| {
        if size == 0 {
            return Err(Error::shape(format!(
                "{name}: axis {} of input {} is empty. Give it one element at least.",
                frame.axis(own),
                frame.shown()
            )));
        }
        Ok(counts[own].map_or(Axis::whole(size), |count| Axis::Adaptive { size, count }))
    })
}

/// Runs `function` on a frame's tensor as float32 or float64; the result takes the tensor's dtype (float32 for integers).
fn in_float(frame: &Frame, function: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let dtype = if frame.x.dtype().is_float() { frame.x.dtype() } else { DType::F32 };
    let result = function(&astype(&frame.x, dtype.promote(DType::F32))?)?;
    frame.back(&astype(&result, dtype)?)
}
