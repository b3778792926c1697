//! Convolutions.
//! Depends on the core's `ops`. Invariant: a call names its spatial axes by its kernel sizes; what fits stands in the engine.

use adret_core::ops::{self, Moves, Padding};
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::add_functions;
use crate::arguments::{Integers, TensorArgument, whole};
use crate::engine;
use crate::errors::exception;
use crate::tensor::TensorObject;

/// Numbers, or a word.
#[derive(Clone, Debug)]
enum PaddingArgument {
    Sizes(Integers),
    Same,
    Valid,
}

impl<'py> FromPyObject<'_, 'py> for PaddingArgument {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let Ok(word) = object.cast::<PyString>() else { return object.extract().map(Self::Sizes) };
        match word.to_str()? {
            "same" => Ok(Self::Same),
            "valid" => Ok(Self::Valid),
            other => {
                let message = format!("conv: padding is {other:?}. Use \"same\", \"valid\" or numbers.");
                Err(exception(object.py(), adret_core::error::Error::value(message)))
            }
        }
    }
}

impl PaddingArgument {
    fn padding(&self) -> Padding<'_> {
        match self {
            Self::Sizes(sizes) => Padding::Sizes(&sizes.0),
            Self::Same => Padding::Same,
            Self::Valid => Padding::Valid,
        }
    }
}

/// y[n, o, p] = bias[o] + sum of x[n, i, p * stride + t * dilation - padding] * weight[o, i, t], over `rank` spatial axes.
#[pyfunction]
#[pyo3(
    name = "_conv",
    signature = (rank, x, weight, bias = None, stride = None, padding = None, dilation = None, groups = 1, channels_last = false),
    text_signature = "(rank, x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, channels_last=False)"
)]
fn conv(
    py: Python<'_>,
    rank: usize,
    x: TensorArgument,
    weight: TensorArgument,
    bias: Option<TensorArgument>,
    stride: Option<Integers>,
    padding: Option<PaddingArgument>,
    dilation: Option<Integers>,
    #[pyo3(from_py_with = whole)] groups: isize,
    channels_last: bool,
) -> PyResult<TensorObject> {
    engine::tensor(py, || {
        let moves = Moves {
            stride: stride.as_ref().map_or(&[1], |stride| &stride.0),
            padding: padding.as_ref().map_or(Padding::Valid, PaddingArgument::padding),
            dilation: dilation.as_ref().map_or(&[1], |dilation| &dilation.0),
            groups,
            channels_last,
        };
        ops::conv(rank, &x.0, &weight.0, bias.as_ref().map(|bias| &bias.0), &moves)
    })
}

/// The transpose of `conv`: every element of x adds the weight, times itself, to the result.
#[pyfunction]
#[pyo3(
    name = "_conv_transpose",
    signature = (
        rank, x, weight, bias = None, stride = None, padding = None, output_padding = None, groups = 1, dilation = None,
        channels_last = false
    ),
    text_signature = "(rank, x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1, channels_last=False)"
)]
fn conv_transpose(
    py: Python<'_>,
    rank: usize,
    x: TensorArgument,
    weight: TensorArgument,
    bias: Option<TensorArgument>,
    stride: Option<Integers>,
    padding: Option<Integers>,
    output_padding: Option<Integers>,
    #[pyo3(from_py_with = whole)] groups: isize,
    dilation: Option<Integers>,
    channels_last: bool,
) -> PyResult<TensorObject> {
    engine::tensor(py, || {
        let moves = Moves {
            stride: stride.as_ref().map_or(&[1], |stride| &stride.0),
            padding: Padding::Sizes(padding.as_ref().map_or(&[0], |padding| &padding.0)),
            dilation: dilation.as_ref().map_or(&[1], |dilation| &dilation.0),
            groups,
            channels_last,
        };
        let extra = output_padding.as_ref().map_or(&[0][..], |extra| &extra.0);
        ops::conv_transpose(rank, &x.0, &weight.0, bias.as_ref().map(|bias| &bias.0), &moves, extra)
    })
}

/// Puts the functions into the module.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    add_functions!(module, conv, conv_transpose);
    Ok(())
}
