//! Functions of neural networks: activations, normalisation, dropout.
//! Depends on the core's composites and `random`. Invariant: a layer's meaning stands in the engine.

use adret_core::error::Error;
use adret_core::ops;
use pyo3::prelude::*;

use super::add_functions;
use crate::arguments::{Count, TensorArgument, real, whole};
use crate::tensor::TensorObject;
use crate::{engine, random};

/// exp(x) / sum(exp(x)) along an axis.
///
/// Example:
///     >>> ad.softmax(ad.tensor([0.0, 0.0]))
///     tensor([0.5000, 0.5000])
#[pyfunction]
#[pyo3(signature = (x, /, axis = -1))]
fn softmax(py: Python<'_>, x: TensorArgument, #[pyo3(from_py_with = whole)] axis: isize) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::softmax(&x.0, axis))
}

/// x - log(sum(exp(x))) along an axis.
///
/// Example:
///     >>> ad.log_softmax(ad.tensor([0.0, 0.0]))
///     tensor([-0.6931, -0.6931])
#[pyfunction]
#[pyo3(signature = (x, /, axis = -1))]
fn log_softmax(py: Python<'_>, x: TensorArgument, #[pyo3(from_py_with = whole)] axis: isize) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::log_softmax(&x.0, axis))
}

/// x * Phi(x), Phi being the normal distribution: through erf, or approximately through tanh.
///
/// Example:
///     >>> ad.gelu(ad.tensor([0.0, 1.0]))
///     tensor([0.0000, 0.8413])
#[pyfunction]
#[pyo3(signature = (x, /, approximate = false))]
fn gelu(py: Python<'_>, x: TensorArgument, approximate: bool) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::gelu(&x.0, approximate))
}

/// x where x > 0, else slope * x.
///
/// Example:
///     >>> ad.leaky_relu(ad.tensor([-2.0, 1.0]), 0.5)
///     tensor([-1.,  1.])
#[pyfunction]
#[pyo3(signature = (x, /, slope = 0.01))]
fn leaky_relu(py: Python<'_>, x: TensorArgument, slope: f64) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::leaky_relu(&x.0, slope))
}

/// x where x > 0, else alpha * (exp(x) - 1).
///
/// Example:
///     >>> ad.elu(ad.tensor([0.0, 1.0]))
///     tensor([0., 1.])
#[pyfunction]
#[pyo3(signature = (x, /, alpha = 1.0))]
fn elu(py: Python<'_>, x: TensorArgument, alpha: f64) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::elu(&x.0, alpha))
}

/// max(0, x) + min(0, alpha * (exp(x / alpha) - 1))
///
/// Example:
///     >>> ad.celu(ad.tensor([0.0, 1.0]))
///     tensor([0., 1.])
#[pyfunction]
#[pyo3(signature = (x, /, alpha = 1.0))]
fn celu(py: Python<'_>, x: TensorArgument, alpha: f64) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::celu(&x.0, alpha))
}

/// x held between `min` and `max`; the gradient outside is 0.
///
/// Example:
///     >>> ad.hardtanh(ad.tensor([-2.0, 0.5]))
///     tensor([-1.0000,  0.5000])
#[pyfunction]
#[pyo3(signature = (x, /, min = -1.0, max = 1.0))]
fn hardtanh(py: Python<'_>, x: TensorArgument, min: f64, max: f64) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::hardtanh(&x.0, min, max))
}

/// Zeroes elements with probability p and scales the others by 1 / (1 - p).
///
/// Args:
///     x: A tensor.
///     p: Probability of a zero.
///     generator: Where randomness comes from; the default one otherwise.
///
/// Example:
///     >>> ad.dropout(ad.ones(3), 0.0)
///     tensor([1., 1., 1.])
#[pyfunction]
#[pyo3(signature = (x, p = 0.5, *, generator = None))]
fn dropout(py: Python<'_>, x: TensorArgument, p: f64, generator: Option<&random::Generator>) -> PyResult<TensorObject> {
    engine::tensor(py, || {
        let (key, counter) = random::take(generator, x.0.shape().elements());
        ops::dropout(&x.0, p, key, counter)
    })
}

/// (x - mean(x)) / sqrt(var(x) + eps) * weight + bias over the last axes.
///
/// Args:
///     x: A tensor `[..., *shape]`.
///     rank: Number of axes that are normalised together.
///     weight: Factor of the normalised axes' shape.
///     bias: Summand of the normalised axes' shape.
///     eps: Added to the variance; keeps constant rows finite.
///
/// Source:
///     Ba, Kiros, Hinton (2016), Layer Normalization.
///
/// Example:
///     >>> ad.layer_norm(ad.tensor([[1.0, 3.0]]), 1, eps=0.0)
///     tensor([[-1.,  1.]])
#[pyfunction]
#[pyo3(
    signature = (x, rank = Count(1), weight = None, bias = None, eps = 1e-5),
    text_signature = "(x, rank=1, weight=None, bias=None, eps=1e-05)"
)]
fn layer_norm(
    py: Python<'_>,
    x: TensorArgument,
    rank: Count,
    weight: Option<TensorArgument>,
    bias: Option<TensorArgument>,
    #[pyo3(from_py_with = real)] eps: f64,
) -> PyResult<TensorObject> {
    engine::tensor(py, || {
        ops::layer_norm(&x.0, rank.0, weight.as_ref().map(|weight| &weight.0), bias.as_ref().map(|bias| &bias.0), eps)
    })
}

/// x / sqrt(mean(x * x) + eps) * weight over the last axes.
///
/// Source:
///     Zhang, Sennrich (2019), Root Mean Square Layer Normalization.
///
/// Example:
///     >>> ad.rms_norm(ad.tensor([[3.0, -3.0]]), eps=0.0)
///     tensor([[ 1., -1.]])
#[pyfunction]
#[pyo3(
    signature = (x, rank = Count(1), weight = None, eps = 1e-5),
    text_signature = "(x, rank=1, weight=None, eps=1e-05)"
)]
fn rms_norm(
    py: Python<'_>,
    x: TensorArgument,
    rank: Count,
    weight: Option<TensorArgument>,
    #[pyo3(from_py_with = real)] eps: f64,
) -> PyResult<TensorObject> {
    engine::tensor(py, || ops::rms_norm(&x.0, rank.0, weight.as_ref().map(|weight| &weight.0), eps))
}

/// Whether a recurrent unit has one routine for all steps where a tensor lies; on a GPU without lengths and projections.
#[pyfunction]
#[pyo3(name = "_has_recurrent")]
fn has_recurrent(x: TensorArgument) -> bool {
    ops::has_routine(x.0.device(), x.0.dtype())
}

/// A recurrent unit over `[step, batch, gates * hidden]`, from what the inputs contribute to the gates: outputs of all steps, the last h and the
/// last cell.
#[pyfunction]
#[pyo3(name = "_recurrent")]
#[expect(clippy::too_many_arguments, reason = "what a layer has")]
fn recurrent(
    py: Python<'_>,
    unit: &str,
    given: TensorArgument,
    weight: TensorArgument,
    h: TensorArgument,
    c: Option<TensorArgument>,
    bias: Option<TensorArgument>,
    lengths: Option<TensorArgument>,
    projection: Option<TensorArgument>,
    reverse: bool,
) -> PyResult<Vec<TensorObject>> {
    engine::tensors(py, || {
        let unit = match unit {
            "RNN_TANH" => ops::Unit::RnnTanh,
            "RNN_RELU" => ops::Unit::RnnRelu,
            "LSTM" => ops::Unit::Lstm,
            "GRU" => ops::Unit::Gru,
            other => {
                let message = format!("recurrent: the unit is {other:?}. Use RNN_TANH, RNN_RELU, LSTM or GRU.");
                return Err(Error::value(message));
            }
        };
        ops::recurrent(&ops::Recurrence {
            unit,
            given: &given.0,
            weight: &weight.0,
            h: &h.0,
            c: c.as_ref().map(|c| &c.0),
            bias: bias.as_ref().map(|bias| &bias.0),
            lengths: lengths.as_ref().map(|lengths| &lengths.0),
            projection: projection.as_ref().map(|projection| &projection.0),
            reverse,
        })
    })
}

/// (x - mean) / sqrt(var + eps) * weight + bias for each channel along axis 1, with the input's own mean and variance or given ones.
///
/// Gives back the result, and where nothing was given the mean and the variance, which divides by the number of elements.
///
/// Source:
///     Ioffe, Szegedy (2015), Batch Normalization.
///
/// Example:
///     >>> ad.nn.functional.batch_norm(ad.tensor([[1.0], [3.0]]), None, None, training=True, eps=0.0).tolist()
///     [[-1.0], [1.0]]
#[pyfunction]
#[pyo3(signature = (x, mean, variance, weight, bias, eps, /))]
fn batch_norm(
    py: Python<'_>,
    x: TensorArgument,
    mean: Option<TensorArgument>,
    variance: Option<TensorArgument>,
    weight: Option<TensorArgument>,
    bias: Option<TensorArgument>,
    #[pyo3(from_py_with = real)] eps: f64,
) -> PyResult<Vec<TensorObject>> {
    engine::tensors(py, || {
        let given = mean.as_ref().zip(variance.as_ref()).map(|(mean, variance)| (&mean.0, &variance.0));
        let weight = weight.as_ref().map(|weight| &weight.0);
        let found = ops::batch_norm(&x.0, given, weight, bias.as_ref().map(|bias| &bias.0), eps)?;
        let moments = found.moments.map(|(mean, variance)| [mean, variance]);
        Ok(std::iter::once(found.value).chain(moments.into_iter().flatten()).collect())
    })
}

#[pymethods]
impl TensorObject {
    /// exp(x) / sum(exp(x)) along an axis.
    #[pyo3(name = "softmax", signature = (axis = -1))]
    fn softmaxed(&self, py: Python<'_>, #[pyo3(from_py_with = whole)] axis: isize) -> PyResult<Self> {
        engine::tensor(py, || ops::softmax(&self.tensor(), axis))
    }

    /// x - log(sum(exp(x))) along an axis.
    #[pyo3(name = "log_softmax", signature = (axis = -1))]
    fn log_softmaxed(&self, py: Python<'_>, #[pyo3(from_py_with = whole)] axis: isize) -> PyResult<Self> {
        engine::tensor(py, || ops::log_softmax(&self.tensor(), axis))
    }
}

/// Puts the functions into the module.
pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    add_functions!(module, softmax, log_softmax, gelu, leaky_relu, elu, celu, hardtanh, dropout, layer_norm, rms_norm);
    add_functions!(module, batch_norm, has_recurrent, recurrent);
    Ok(())
}
