//! Losses.
//! Depends on the core's composites. Invariant: `reduction` is "none", "mean" or "sum".

use adret_core::error::{Error, Result};
use adret_core::ops::{self, Reduce};
use pyo3::prelude::*;

use super::add_functions;
use crate::arguments::{TensorArgument, real};
use crate::engine;
use crate::errors::call;
use crate::tensor::TensorObject;

/// How a loss becomes one number, as the user names it.
struct ReductionArgument(Reduce);

impl<'py> FromPyObject<'_, 'py> for ReductionArgument {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let name: String = object.extract()?;
        call(object.py(), || named(&name))
    }
}

fn named(name: &str) -> Result<ReductionArgument> {
    Ok(ReductionArgument(match name {
        "none" => Reduce::None,
        "mean" => Reduce::Mean,
        "sum" => Reduce::Sum,
        other => {
            return Err(Error::value(format!("reduction: {other:?} is unknown. Use \"none\", \"mean\" or \"sum\".")));
        }
    }))
}

const MEAN: ReductionArgument = ReductionArgument(Reduce::Mean);

/// (input - target) squared, reduced.
///
/// Example:
///     >>> ad.mse_loss(ad.tensor([3.0]), ad.tensor([1.0]))
///     tensor(4.)
#[pyfunction]
#[pyo3(signature = (input, target, reduction = MEAN), text_signature = "(input, target, reduction='mean')")]
fn mse_loss(
    py: Python<'_>,
    input: TensorArgument,
    target: TensorArgument,
    reduction: ReductionArgument,
) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::mse_loss(&input.0, &target.0, reduction.0))
}

/// |input - target|, reduced.
///
/// Example:
///     >>> ad.l1_loss(ad.tensor([3.0]), ad.tensor([1.0]))
///     tensor(2.)
#[pyfunction]
#[pyo3(signature = (input, target, reduction = MEAN), text_signature = "(input, target, reduction='mean')")]
fn l1_loss(
    py: Python<'_>,
    input: TensorArgument,
    target: TensorArgument,
    reduction: ReductionArgument,
) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::l1_loss(&input.0, &target.0, reduction.0))
}

/// d * d / (2 * beta) where |d| < beta, else |d| - beta / 2, for d = input - target, reduced.
///
/// Example:
///     >>> ad.smooth_l1_loss(ad.tensor([3.0]), ad.tensor([1.0]))
///     tensor(1.5000)
#[pyfunction]
#[pyo3(
    signature = (input, target, beta = 1.0, reduction = MEAN),
    text_signature = "(input, target, beta=1.0, reduction='mean')"
)]
fn smooth_l1_loss(
    py: Python<'_>,
    input: TensorArgument,
    target: TensorArgument,
    #[pyo3(from_py_with = real)] beta: f64,
    reduction: ReductionArgument,
) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::smooth_l1_loss(&input.0, &target.0, beta, reduction.0))
}

/// d * d / 2 where |d| < delta, else delta * (|d| - delta / 2), for d = input - target, reduced.
///
/// Example:
///     >>> ad.huber_loss(ad.tensor([3.0]), ad.tensor([1.0]))
///     tensor(1.5000)
#[pyfunction]
#[pyo3(
    signature = (input, target, delta = 1.0, reduction = MEAN),
    text_signature = "(input, target, delta=1.0, reduction='mean')"
)]
fn huber_loss(
    py: Python<'_>,
    input: TensorArgument,
    target: TensorArgument,
    #[pyo3(from_py_with = real)] delta: f64,
    reduction: ReductionArgument,
) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::huber_loss(&input.0, &target.0, delta, reduction.0))
}

/// target * (log(target) - input) for log-probabilities, reduced; 0 where the target is 0.
///
/// Example:
///     >>> ad.kl_div(ad.tensor([0.0]), ad.tensor([1.0]))
///     tensor(0.)
#[pyfunction]
#[pyo3(signature = (input, target, reduction = MEAN), text_signature = "(input, target, reduction='mean')")]
fn kl_div(
    py: Python<'_>,
    input: TensorArgument,
    target: TensorArgument,
    reduction: ReductionArgument,
) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::kl_div(&input.0, &target.0, reduction.0))
}

/// -(target * log(input) + (1 - target) * log(1 - input)) * weight, reduced; logarithms are held at -100 or above.
///
/// Example:
///     >>> ad.bce_loss(ad.tensor([0.5]), ad.tensor([1.0]))
///     tensor(0.6931)
#[pyfunction]
#[pyo3(
    signature = (input, target, weight = None, reduction = MEAN),
    text_signature = "(input, target, weight=None, reduction='mean')"
)]
fn bce_loss(
    py: Python<'_>,
    input: TensorArgument,
    target: TensorArgument,
    weight: Option<TensorArgument>,
    reduction: ReductionArgument,
) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::bce_loss(&input.0, &target.0, weight.as_ref().map(|weight| &weight.0), reduction.0))
}

/// `bce_loss` of sigmoid(input), finite for every finite input; `pos_weight` weighs the targets that are 1.
///
/// Example:
///     >>> ad.bce_with_logits(ad.tensor([0.0]), ad.tensor([1.0]))
///     tensor(0.6931)
#[pyfunction]
#[pyo3(
    signature = (input, target, weight = None, pos_weight = None, reduction = MEAN),
    text_signature = "(input, target, weight=None, pos_weight=None, reduction='mean')"
)]
fn bce_with_logits(
    py: Python<'_>,
    input: TensorArgument,
    target: TensorArgument,
    weight: Option<TensorArgument>,
    pos_weight: Option<TensorArgument>,
    reduction: ReductionArgument,
) -> PyResult<TensorObject> {
    engine::tensor(py, || {
        ops::bce_with_logits(
            &input.0,
            &target.0,
            weight.as_ref().map(|weight| &weight.0),
            pos_weight.as_ref().map(|weight| &weight.0),
            reduction.0,
        )
    })
}

/// -weight[target] * input[target] for log-probabilities, classes along axis 1; the mean is over the weights.
///
/// Raises:
///     OutOfRangeError: If a label names no class and is not `ignore_index`.
///
/// Example:
///     >>> ad.nll_loss(ad.tensor([[-1.0, -2.0]]), ad.tensor([0]))
///     tensor(1.)
#[pyfunction]
#[pyo3(
    signature = (input, target, weight = None, ignore_index = Some(-100), reduction = MEAN),
    text_signature = "(input, target, weight=None, ignore_index=-100, reduction='mean')"
)]
fn nll_loss(
    py: Python<'_>,
    input: TensorArgument,
    target: TensorArgument,
    weight: Option<TensorArgument>,
    ignore_index: Option<i64>,
    reduction: ReductionArgument,
) -> PyResult<TensorObject> {
    engine::tensor(py, || {
        ops::nll_loss(&input.0, &target.0, weight.as_ref().map(|weight| &weight.0), ignore_index, reduction.0)
    })
}

/// -log(softmax(input))[target] for logits and labels (or probabilities), classes along axis 1, reduced.
///
/// Args:
///     input: Logits `[batch, classes, ...]`, or `[classes]`.
///     target: Labels `[batch, ...]` as integers, or probabilities of the input's shape.
///     weight: Weight of each class.
///     ignore_index: A label that counts for nothing.
///     label_smoothing: Share of the target that is spread evenly over the classes.
///     reduction: "none", "mean" or "sum".
///
/// Raises:
///     OutOfRangeError: If a label names no class and is not `ignore_index`.
///
/// Example:
///     >>> ad.cross_entropy(ad.zeros((1, 4)), ad.tensor([2]))
///     tensor(1.3863)
#[pyfunction]
#[pyo3(
    signature = (input, target, weight = None, ignore_index = Some(-100), label_smoothing = 0.0, reduction = MEAN),
    text_signature = "(input, target, weight=None, ignore_index=-100, label_smoothing=0.0, reduction='mean')"
)]
fn cross_entropy(
    py: Python<'_>,
    input: TensorArgument,
    target: TensorArgument,
    weight: Option<TensorArgument>,
    ignore_index: Option<i64>,
    #[pyo3(from_py_with = real)] label_smoothing: f64,
    reduction: ReductionArgument,
) -> PyResult<TensorObject> {
    engine::tensor(py, || {
        let weight = weight.as_ref().map(|weight| &weight.0);
        ops::cross_entropy(&input.0, &target.0, weight, ignore_index, label_smoothing, reduction.0)
    })
}

/// Puts the functions into the module.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    add_functions!(
        module,
        mse_loss,
        l1_loss,
        smooth_l1_loss,
        huber_loss,
        kl_div,
        bce_loss,
        bce_with_logits,
        nll_loss,
        cross_entropy,
    );
    Ok(())
}
