//! Normalisation of channels over the batch and all that follows the channels.
//! Depends on `composite` and `graph`. Invariant: the routines of the processor and the composition mean the same; the
//! composition is what a gradient is differentiated by, and what other devices run.

mod channels;
mod loops;
mod sums;

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::axes::Axes;
use super::composite::normalized;
use super::custom::{unrecorded, with_vjp};
use super::expr::Expr;
use super::movement::{broadcast_to, reshape_to};
use super::pointwise::astype;
use super::reduce::{Reduction, reduce, sum_axes, variance};
use crate::backend::Device;
use crate::code::Code;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::{Cotangent, Tensor, Vjp, grad_enabled};
use crate::shape::Shape;
use channels::{blend, shifted};
use sums::{moments, products};

/// Elements per channel and batch entry from which on the routines of the processor are used: below, channels are vectors.
const LONG: usize = 2;

/// What `batch_norm` gives.
pub struct Normalized {
    /// The normalised tensor.
    pub value: Tensor,
    /// Mean and variance of each channel (the variance divides by the number of elements); without history.
    pub moments: Option<(Tensor, Tensor)>,
}

/// (x − mean) / √(variance + eps) · weight + bias for each channel of `[batch, channels, …]`: with the mean and the variance of `x` itself,
/// over all axes but that of the channels, or with those that are given.
///
/// # Errors
/// When `x` has fewer than two axes, or something given is not `[channels]`.
pub fn batch_norm(
    x: &Tensor,
    given: Option<(&Tensor, &Tensor)>,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    eps: f64,
) -> Result<Normalized> {
    if x.rank() < 2 {
        return Err(Error::shape(format!(
            "batch_norm: input {} has rank {}. Give [batch, channels, …].",
            x.shape(),
            x.rank()
        )));
    }
    let channels = x.shape()[1];
    let parameters = [
        ("running_mean", given.map(|given| given.0)),
        ("running_var", given.map(|given| given.1)),
        ("weight", weight),
        ("bias", bias),
    ];
    for (what, parameter) in parameters {
        if let Some(parameter) = parameter.filter(|parameter| parameter.shape()[..] != [channels]) {
            return Err(Error::shape(format!(
                "batch_norm: {what} is {} and input {} has {channels} channels along axis 1. Give it the shape ({channels},).",
                parameter.shape(),
                x.shape()
            )));
        }
    }
    let dtype = if x.dtype().is_float() { x.dtype() } else { DType::F32 };
    let wide = dtype.promote(DType::F32);
    let length = x.shape()[2..].iter().product();
    let framed = Shape::from_sound([x.shape()[0], channels, length]);
    let framed = reshape_to(&astype(x, wide)?, &framed)?;
    let cast = |parameter: Option<&Tensor>| parameter.map(|parameter| astype(parameter, wide)).transpose();
    let (weight, bias) = (cast(weight)?, cast(bias)?);
    let given =
        given.map(|(mean, variance)| Ok::<_, Error>((astype(mean, wide)?, astype(variance, wide)?))).transpose()?;
    let layer = Layer { weight, bias, eps };
    let routines = x.device() == Device::Cpu && length >= LONG && matches!(wide, DType::F32 | DType::F64);
    let (value, moments) = match (&given, routines) {
        (Some(given), true) => (layer.fixed(&framed, given)?, None),
        (Some((mean, variance)), false) => {
            let scale = 1.0 / (Expr::from(variance) + eps).apply(Code::Sqrt);
            let value =
                (Expr::from(&framed) - spread(mean, &framed)) * scale.then(|scale| spread(scale, &framed).done());
            (layer.affine(value, &framed)?, None)
        }
        (None, true) => layer.own(&framed).map(|(value, moments)| (value, Some(moments)))?,
        (None, false) => {
            let axes: Axes = smallvec![0, 2];
            let value = layer.affine(Expr::from(normalized(&framed, &axes, eps)), &framed)?;
            let moments = unrecorded(|| {
                let axes = [0, 2];
                Ok((reduce(Reduction::Mean, &framed, Some(&axes), false)?, variance(&framed, Some(&axes), 0.0, false)?))
            })?;
            (value, Some(moments))
        }
    };
    Ok(Normalized { value: astype(&reshape_to(&value, x.shape())?, dtype)?, moments })
}

/// One number per channel at every element of `[batch, channels, length]`.
fn spread(channels: &Tensor, like: &Tensor) -> Expr {
    let shape = Shape::from_sound([1, like.shape()[1], 1]);
    Expr::from(reshape_to(channels, &shape).and_then(|channels| broadcast_to(&channels, like.shape())))
}

/// The parameters of a call.
struct Layer {
    weight: Option<Tensor>,
    bias: Option<Tensor>,
    eps: f64,
}

impl Layer {
    /// `normalized · weight + bias`
    fn affine(&self, normalized: Expr, like: &Tensor) -> Result<Tensor> {
        let mut value = normalized;
        if let Some(weight) = &self.weight {
            value = value * spread(weight, like);
        }
        if let Some(bias) = &self.bias {
            value = value + spread(bias, like);
        }
        value.done()
    }

    /// The tensors with a gradient rule of their own: the input, then the parameters that there are.
    fn inputs<'a>(&'a self, x: &'a Tensor) -> SmallVec<[&'a Tensor; 4]> {
        std::iter::once(x).chain(&self.weight).chain(&self.bias).collect()
    }

    /// With statistics that are given.
    fn fixed(&self, x: &Tensor, (mean, variance): &(Tensor, Tensor)) -> Result<Tensor> {
        let (value, scale, inverse) = unrecorded(|| {
            let inverse = 1.0 / (Expr::from(variance) + self.eps).apply(Code::Sqrt);
            let scale = self.scaled(&inverse).done()?;
            Ok((shifted(x, mean, &scale, self.bias.as_ref())?, scale, inverse.done()?))
        })?;
        let (mean, has_weight, eps, variance) = (mean.clone(), self.weight.is_some(), self.eps, variance.clone());
        let rule = move |cx: &Vjp<'_>| {
            let (x, grad) = (&cx.inputs[0], cx.grad());
            let mut gradients: SmallVec<[Option<Cotangent>; 2]> = SmallVec::new();
            if grad_enabled() {
                let inverse = 1.0 / (Expr::from(&variance) + eps).apply(Code::Sqrt);
                let inverse = inverse.then(|inverse| spread(inverse, x).done());
                let scale = if has_weight { &inverse * spread(&cx.inputs[1], x) } else { inverse.clone() };
                gradients.push(Some(Cotangent::Dense((Expr::from(grad) * scale).done()?)));
                let standard = (Expr::from(x) - spread(&mean, x)) * inverse;
                parameter_gradients(
                    cx,
                    has_weight,
                    &mut gradients,
                    || (Expr::from(grad) * &standard).then(|product| sum_axes(product, smallvec![0, 2])).done(),
                    || sum_axes(grad, smallvec![0, 2]),
                )?;
                return Ok(gradients);
            }
            gradients.push(match cx.needs[0] {
                true => Some(Cotangent::Dense(blend(grad, None, &scale)?)),
                false => None,
            });
            let sums = products(grad, x, &mean)?;
            parameter_gradients(
                cx,
                has_weight,
                &mut gradients,
                || (Expr::from(&sums.1) * Expr::from(&inverse)).done(),
                || Ok(sums.0.clone()),
            )?;
            Ok(gradients)
        };
        with_vjp(&value, &self.inputs(x), Arc::new(rule), "batch_norm")
    }

    /// `inverse · weight`
    fn scaled(&self, inverse: &Expr) -> Expr {
        self.weight.as_ref().map_or_else(|| inverse.clone(), |weight| inverse * Expr::from(weight))
    }

    /// With the statistics of the input, which are given back.
    fn own(&self, x: &Tensor) -> Result<(Tensor, (Tensor, Tensor))> {
        let (value, mean, variance, scale, inverse) = unrecorded(|| {
            let (mean, variance) = moments(x)?;
            let inverse = 1.0 / (Expr::from(&variance) + self.eps).apply(Code::Sqrt);
            let scale = self.scaled(&inverse).done()?;
            Ok((shifted(x, &mean, &scale, self.bias.as_ref())?, mean, variance, scale, inverse.done()?))
        })?;
        let (kept, has_weight, eps) = (mean.clone(), self.weight.is_some(), self.eps);
        let count = (x.shape()[0] * x.shape()[2]) as f64;
        let rule = move |cx: &Vjp<'_>| {
            if grad_enabled() {
                return own_gradients(cx, has_weight, eps);
            }
            let (x, grad) = (&cx.inputs[0], cx.grad());
            // Σ g and Σ g · (x − mean)
            let sums = products(grad, x, &kept)?;
            let mut gradients: SmallVec<[Option<Cotangent>; 2]> = smallvec![None];
            if cx.needs[0] {
                // dx = scale · (g − mean g) − (x − mean) · scale · inverse² · mean(g · (x − mean))
                let (scale, inverse) = (Expr::from(&scale), Expr::from(&inverse));
                let slope = -(&scale * inverse.squared() * Expr::from(&sums.1) / count);
                let shift = -(&scale * Expr::from(&sums.0) / count);
                let along = (x, &kept, &slope.done()?, &shift.done()?);
                gradients[0] = Some(Cotangent::Dense(blend(grad, Some(along), &scale.done()?)?));
            }
            parameter_gradients(
                cx,
                has_weight,
                &mut gradients,
                || (Expr::from(&sums.1) * Expr::from(&inverse)).done(),
                || Ok(sums.0.clone()),
            )?;
            Ok(gradients)
        };
        Ok((with_vjp(&value, &self.inputs(x), Arc::new(rule), "batch_norm")?, (mean, variance)))
    }
}

/// Gradients of weight and bias, of those that there are, behind that of the input.
fn parameter_gradients(
    cx: &Vjp<'_>,
    has_weight: bool,
    gradients: &mut SmallVec<[Option<Cotangent>; 2]>,
    of_weight: impl FnOnce() -> Result<Tensor>,
    of_bias: impl FnOnce() -> Result<Tensor>,
) -> Result<()> {
    if has_weight {
        gradients.push(cx.needs[1].then(of_weight).transpose()?.map(Cotangent::Dense));
    }
    let bias = 1 + usize::from(has_weight);
    if cx.inputs.len() > bias {
        gradients.push(cx.needs[bias].then(of_bias).transpose()?.map(Cotangent::Dense));
    }
    Ok(())
}

/// The gradients as a composition, for those who differentiate them again.
fn own_gradients(cx: &Vjp<'_>, has_weight: bool, eps: f64) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
    let (x, grad) = (&cx.inputs[0], Expr::from(cx.grad()));
    let axes: Axes = smallvec![0, 2];
    let count = (x.shape()[0] * x.shape()[2]) as f64;
    let mean = |value: &Expr| {
        value.then(|value| {
            (Expr::from(sum_axes(value, axes.clone())) / count).then(|mean| spread(mean, x).done()).done()
        })
    };
    let value = Expr::from(x);
    let centred = &value - mean(&value);
    let inverse = 1.0 / (mean(&centred.squared()) + eps).apply(Code::Sqrt);
    let standard = centred * &inverse;
    let inner = if has_weight { &grad * spread(&cx.inputs[1], x) } else { grad.clone() };
    let inner = (&inner - mean(&inner) - &standard * mean(&(&inner * &standard))) * inverse;
    let mut gradients: SmallVec<[Option<Cotangent>; 2]> = smallvec![Some(Cotangent::Dense(inner.done()?))];
    parameter_gradients(
        cx,
        has_weight,
        &mut gradients,
        || (&grad * &standard).then(|product| sum_axes(product, axes.clone())).done(),
        || sum_axes(cx.grad(), axes.clone()),
    )?;
    Ok(gradients)
}
