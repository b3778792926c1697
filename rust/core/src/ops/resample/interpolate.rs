//! Interpolation to other sizes. Depends on `pool::frame` and `band`.
//! Invariant: places are those of PyTorch; elements are seen as lying in the middle of their share of the axis, but where
//! corners are aligned.

use super::super::pointwise::astype;
use super::super::pool::frame::Frame;
use super::band::{Side, Weights};
use super::resample;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::shape::Tuple;

/// How elements between others are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// The element at the place rounded down.
    Nearest,
    /// The nearest element.
    NearestExact,
    /// Linearly along every axis.
    Linear,
    /// By a cubic convolution along every axis.
    Cubic,
}

/// `x`, `[batch, channels, *spatial]`, with other sizes of its spatial axes. Where `scales` has a number, an element of the result
/// is that many elements of the input wide, else as many as the sizes say.
///
/// # Errors
/// For another rank, empty axes, and integers where values lie between them.
pub fn interpolate(
    x: &Tensor,
    sizes: &[usize],
    scales: &[Option<f64>],
    how: Interpolation,
    align_corners: bool,
) -> Result<Tensor> {
    let name = "interpolate";
    let frame = Frame::new(name, x, sizes.len(), false)?;
    let sides = frame.each(Side::whole, |own, size| {
        let (count, scale) = (sizes[own], scales.get(own).copied().flatten());
        if size == 0 || count == 0 {
            return Err(Error::shape(format!(
                "{name}: sizes {} from input {}: axis {} has no elements before or after. Give sizes of 1 or more.",
                Tuple(sizes),
                x.shape(),
                frame.axis(own)
            )));
        }
        let weights = match how {
            Interpolation::Nearest => Weights::Nearest { exact: false, scale },
            Interpolation::NearestExact => Weights::Nearest { exact: true, scale },
            Interpolation::Linear => Weights::Linear { align_corners, scale },
            Interpolation::Cubic => Weights::Cubic { align_corners, scale },
        };
        Ok(Side { size, count, weights })
    })?;
    let dtype = x.dtype();
    let moves = matches!(how, Interpolation::Nearest | Interpolation::NearestExact);
    // What holds every value of the dtype.
    let wide = match dtype {
        DType::F32 | DType::F64 => dtype,
        DType::F16 | DType::BF16 => DType::F32,
        DType::Bool | DType::I8 | DType::U8 | DType::I16 | DType::U16 if moves => DType::F32,
        _ => {
            return Err(Error::dtype(format!(
                "{name}: input is {dtype}, which this mode does not take. Convert it with astype(\"float32\")."
            )));
        }
    };
    let result = resample(&astype(&frame.x, wide)?, name, sides, frame.order)?;
    frame.back(&astype(&result, dtype)?)
}
