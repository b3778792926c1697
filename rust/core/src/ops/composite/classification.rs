//! Losses of classifiers. Depends on `expr`, `gather` and `reduce`.
//! Invariant: where a gradient may follow, labels are compared with class numbers, not gathered, so that a loss is one chain of row work.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::super::autocast::widened;
use super::super::axes::Axes;
use super::super::create::index_grid;
use super::super::custom::{unrecorded, with_vjp};
use super::super::expr::Expr;
use super::super::gather::{checked, label_dtype, take_along_checked};
use super::super::movement::{broadcast_to, keep_axes, reshape_to};
use super::super::pointwise::astype;
use super::super::reduce::{extreme, sum_axes};
use super::activation::softplus_of;
use super::softmax::softmax_rule;
use super::{Reduce, float, same_shape};
use crate::code::{Code, Fold};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::{Cotangent, Tensor, Vjp, grad_enabled, identity};
use crate::shape::Shape;

/// −(t · ln x + (1 − t) · ln(1 − x)) · weight for probabilities x; logarithms below −100 count as −100.
///
/// # Errors
/// When the shapes differ.
pub fn bce_loss(input: &Tensor, target: &Tensor, weight: Option<&Tensor>, reduction: Reduce) -> Result<Tensor> {
    same_shape("bce_loss", input, target)?;
    let (x, t) = (float(input).done()?, float(target).done()?);
    let dtype = x.dtype().promote(t.dtype());
    let (x, t) = (astype(&x, dtype)?, astype(&t, dtype)?);
    let logarithms = |x: &Expr| {
        (x.apply(Code::Log).with(Code::Maximum, -100.0), (-x).apply(Code::Log1p).with(Code::Maximum, -100.0))
    };
    let value = unrecorded(|| {
        let ((yes, no), t) = (logarithms(&(&x).into()), Expr::from(&t));
        (-(&t * yes) - (1.0 - &t) * no).done()
    })?;
    let rule = move |cx: &Vjp<'_>| {
        let (x, t, grad) = (Expr::from(&cx.inputs[0]), Expr::from(&cx.inputs[1]), Expr::from(cx.grad()));
        // (x − t) / (x · (1 − x)), finite at 0 and 1.
        let slope = || &grad * (&x - &t) / (&x * (1.0 - &x)).with(Code::Maximum, 1e-12);
        let towards = || {
            let (yes, no) = logarithms(&x);
            &grad * (no - yes)
        };
        let dense = |expr: Expr| expr.done().map(Cotangent::Dense);
        Ok(smallvec![
            cx.needs[0].then(|| dense(slope())).transpose()?,
            cx.needs[1].then(|| dense(towards())).transpose()?
        ])
    };
    let losses = with_vjp(&value, &[&x, &t], Arc::new(rule), "bce_loss")?;
    reduction.of(&weighted(Expr::from(&losses), weight)?)
}

/// As `bce_loss` of sigmoid(input), without overflow; `positive_weight` multiplies the loss of t = 1.
///
/// # Errors
/// When the shapes differ, or weights do not broadcast.
pub fn bce_with_logits(
    input: &Tensor,
    target: &Tensor,
    weight: Option<&Tensor>,
    positive_weight: Option<&Tensor>,
    reduction: Reduce,
) -> Result<Tensor> {
    same_shape("bce_with_logits", input, target)?;
    let (x, t) = (float(input), float(target));
    // ln(1 + e⁻ˣ) counts for both classes, (1 − t) · x for the negative one.
    let tail = softplus_of(&-&x);
    let losses = match positive_weight {
        Some(positive) => (1.0 - &t) * &x + ((Expr::from(positive) - 1.0) * &t + 1.0) * tail,
        None => (1.0 - &t) * &x + tail,
    };
    let losses = losses.then(|losses| expect_shape("bce_with_logits", losses, input.shape()));
    reduction.of(&weighted(losses, weight)?)
}

fn expect_shape(name: &str, losses: &Tensor, shape: &Shape) -> Result<Tensor> {
    if losses.shape() == shape {
        return Ok(losses.clone());
    }
    Err(Error::shape(format!(
        "{name}: a weight would broadcast the input {shape} to {}. Use smaller weights.",
        losses.shape()
    )))
}

fn weighted(losses: Expr, weight: Option<&Tensor>) -> Result<Tensor> {
    match weight {
        Some(weight) => (losses * Expr::from(weight)).done(),
        None => losses.done(),
    }
}

/// Where the classes are: axis 1 of two or more axes, else axis 0.
fn class_axis(name: &str, input: &Tensor) -> Result<usize> {
    if input.rank() == 0 {
        return Err(Error::shape(format!(
            "{name}: input is 0-d and has no classes. Give (classes,) or (batch, classes, …)."
        )));
    }
    Ok(usize::from(input.rank() > 1))
}

/// The shape without the class axis.
fn sample_shape(input: &Shape, axis: usize) -> Shape {
    Shape::from_sound((0..input.rank()).filter(|&other| other != axis).map(|other| input[other]))
}

/// Class labels against an input of `[batch, classes, …]`.
struct Labels {
    /// One label per sample, the ignored one as it is.
    of_samples: Tensor,
    /// Whether an element is that of its sample's class; of the input's shape. The ignored label may be a class.
    chosen: Expr,
    /// Whether a sample counts; `None` where all do.
    valid: Option<Expr>,
}

fn read_labels(
    name: &'static str,
    shape: &Shape,
    axis: usize,
    target: &Tensor,
    ignore_index: Option<i64>,
) -> Result<Labels> {
    let samples = sample_shape(shape, axis);
    if *target.shape() != samples {
        return Err(Error::shape(format!(
            "{name}: input is {shape} and target is {}: labels must be {samples}, the input without axis {axis}.",
            target.shape()
        )));
    }
    let labels = checked(name, target, shape[axis], false, ignore_index)?;
    let labels = astype(&labels, label_dtype(labels.dtype()))?;
    let valid = ignore_index.map(|ignored| Expr::from(&labels).with(Code::NotEqual, ignored));
    // Narrow numbers compare faster; what an ignored label becomes does not count.
    let narrow = if i32::try_from(shape[axis]).is_ok() { DType::I32 } else { labels.dtype() };
    let classes = astype(&index_grid(shape, axis, target.device())?, narrow)?;
    let spread = broadcast_to(&keep_axes(&astype(&labels, narrow)?, shape, &[axis])?, shape)?;
    let chosen = Expr::from(&spread).with(Code::Equal, Expr::from(&classes));
    Ok(Labels { of_samples: labels, chosen, valid })
}

impl Labels {
    /// The entry of each sample's class; anything for ignored samples.
    fn entries(&self, input: &Tensor, axis: usize) -> Expr {
        if grad_enabled() && input.requires_grad() || input.storage().is_none() {
            return class_sum(&self.chosen.choose(Expr::from(input), 0.0), axis);
        }
        // Of a value that is there and needs no gradient, only these are read.
        let inside = match &self.valid {
            Some(valid) => valid.choose(Expr::from(&self.of_samples), 0i64),
            None => Expr::from(&self.of_samples),
        };
        inside.then(|inside| {
            let shape = input.shape();
            let sizes = (0..shape.rank()).map(|other| if other == axis { 1 } else { shape[other] });
            let entries = take_along_checked(input, &reshape_to(inside, &Shape::from_sound(sizes))?, axis)?;
            reshape_to(&entries, &sample_shape(shape, axis))
        })
    }
}

/// Weights of the classes at every element of the input.
fn class_weights(name: &str, weight: &Tensor, shape: &Shape, axis: usize, dtype: DType) -> Result<Expr> {
    if weight.shape()[..] != shape[axis..=axis] {
        return Err(Error::shape(format!(
            "{name}: weight is {} and the input {shape} has {} classes (axis {axis}). Give one weight per class.",
            weight.shape(),
            shape[axis]
        )));
    }
    let sizes = (0..shape.rank()).map(|other| if other == axis { shape[axis] } else { 1 });
    Ok(broadcast_to(&reshape_to(&astype(weight, dtype)?, &Shape::from_sound(sizes))?, shape).into())
}

fn class_sum(x: &Expr, axis: usize) -> Expr {
    x.then(|x| sum_axes(x, smallvec![axis]))
}

/// Losses per sample, reduced; the mean divides by the sum of `weights` where there are some.
fn reduce_samples(losses: Expr, weights: Option<Expr>, reduction: Reduce) -> Result<Tensor> {
    let all = |x: &Expr| x.then(|x| sum_axes(x, (0..x.rank()).collect()));
    match (reduction, weights) {
        (Reduce::Mean, Some(weights)) => (all(&losses) / all(&weights)).done(),
        _ => losses.then(|losses| reduction.of(losses)).done(),
    }
}

/// −weight · input of the target's class, where `input` holds logarithms of probabilities, `[classes]` or `[batch, classes, …]`.
///
/// # Errors
/// For shapes that do not fit, and labels out of range.
pub fn nll_loss(
    input: &Tensor,
    target: &Tensor,
    weight: Option<&Tensor>,
    ignore_index: Option<i64>,
    reduction: Reduce,
) -> Result<Tensor> {
    let input = &widened(input)?;
    let axis = class_axis("nll_loss", input)?;
    let input = float(input).done()?;
    let labels = read_labels("nll_loss", input.shape(), axis, target, ignore_index)?;
    let mut losses = -labels.entries(&input, axis);
    let weights = sample_weights("nll_loss", &input, axis, weight, &labels)?;
    if let (Some(weights), Some(_)) = (&weights, weight) {
        losses = losses * weights;
    }
    if let Some(valid) = &labels.valid {
        losses = valid.choose(losses, 0.0);
    }
    reduce_samples(losses, weights, reduction)
}

/// Weight of every sample: that of its class, 0 for ignored ones; `None` where all are 1.
fn sample_weights(
    name: &str,
    input: &Tensor,
    axis: usize,
    weight: Option<&Tensor>,
    labels: &Labels,
) -> Result<Option<Expr>> {
    Ok(match (weight, &labels.valid) {
        (Some(weight), _) => {
            let weights = class_weights(name, weight, input.shape(), axis, input.dtype())?;
            let weights = class_sum(&labels.chosen.choose(weights, 0.0), axis);
            Some(match &labels.valid {
                Some(valid) => valid.choose(weights, 0.0),
                None => weights,
            })
        }
        (None, Some(valid)) => Some(valid.then(|valid| astype(valid, input.dtype()))),
        (None, None) => None,
    })
}

/// −Σ qᶜ · ln softmax(input)ᶜ over the classes. q is 1 at an integer target's class, or the floating target itself, mixed with
/// the uniform distribution by `label_smoothing`, times `weight`. Classes are axis 1, or axis 0 of a single sample.
///
/// # Errors
/// For shapes that do not fit, labels out of range, and smoothing outside 0 to 1.
pub fn cross_entropy(
    input: &Tensor,
    target: &Tensor,
    weight: Option<&Tensor>,
    ignore_index: Option<i64>,
    label_smoothing: f64,
    reduction: Reduce,
) -> Result<Tensor> {
    let input = &widened(input)?;
    const NAME: &str = "cross_entropy";
    if !(0.0..=1.0).contains(&label_smoothing) {
        return Err(Error::value(format!("{NAME}: label_smoothing is {label_smoothing}. Use a number from 0 to 1.")));
    }
    let axis = class_axis(NAME, input)?;
    if input.shape()[axis] == 0 {
        return Err(Error::shape(format!(
            "{NAME}: input {} has no classes (axis {axis}). Give at least one.",
            input.shape()
        )));
    }
    let dtype = if input.dtype().is_float() { input.dtype() } else { DType::F32 };
    let input = astype(input, dtype.promote(DType::F32))?;
    let (shape, smooth) = (input.shape(), label_smoothing / input.shape()[axis] as f64);
    let weights = weight.map(|weight| class_weights(NAME, weight, shape, axis, input.dtype())).transpose()?;

    // The loss does not depend on the maximum.
    let largest = extreme(Fold::Max, &identity(&input), &smallvec![axis])?;
    let logits = || Expr::from(&input) - Expr::from(&largest);
    let terms = unrecorded(|| logits().apply(Code::Exp).done())?;
    let log_sum = Expr::from(log_sum(&input, &terms, axis));

    if target.dtype().is_float() {
        if input.shape() != target.shape() && target.rank() < input.rank() {
            return Err(Error::shape(format!(
                "{NAME}: input is {} and target is {} of {}: probabilities need the input's shape. If they are labels, convert them with .astype(ad.int64).",
                input.shape(),
                target.shape(),
                target.dtype()
            )));
        }
        same_shape(NAME, &input, target)?;
        let mut q = Expr::from(astype(target, input.dtype()));
        if label_smoothing > 0.0 {
            q = q * (1.0 - label_smoothing) + smooth;
        }
        if let Some(weights) = weights {
            q = q * weights;
        }
        let losses = log_sum * class_sum(&q, axis) - class_sum(&(q * logits()), axis);
        // The mean is over samples; each of them weighs 1.
        return astype(&losses.then(|losses| reduction.of(losses)).done()?, dtype);
    }

    let labels = read_labels(NAME, shape, axis, target, ignore_index)?;
    let sample_weights = sample_weights(NAME, &input, axis, weight, &labels)?;
    // The logit of the class, less the maximum only then: one subtraction per sample instead of one per element.
    let own = labels.entries(&input, axis);
    let mut losses = &log_sum - (own - Expr::from(reshape_to(&largest, &sample_shape(shape, axis))));
    if let (Some(weights), Some(_)) = (&sample_weights, weight) {
        losses = losses * weights;
    }
    if label_smoothing > 0.0 {
        // Σ wᶜ · (log_sum − logitᶜ) · smoothing / classes
        let spread = match &weights {
            Some(weights) => &log_sum * class_sum(weights, axis) - class_sum(&(weights * logits()), axis),
            None => &log_sum * shape[axis] as f64 - class_sum(&logits(), axis),
        };
        losses = losses * (1.0 - label_smoothing) + spread * smooth;
    }
    if let Some(valid) = &labels.valid {
        losses = valid.choose(losses, 0.0);
    }
    astype(&reduce_samples(losses, sample_weights, reduction)?, dtype)
}

/// ln Σ `terms` along `axis`, which disappears; the terms are exp(x − m), where m counts as a number. The gradient with respect to `x` is the
/// softmax: terms · e^(−ln Σ), whose terms are those of the sum where both are computed together.
fn log_sum(x: &Tensor, terms: &Tensor, axis: usize) -> Result<Tensor> {
    let value = unrecorded(|| class_sum(&Expr::from(terms), axis).apply(Code::Log).done())?;
    let rule = move |cx: &Vjp<'_>| -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        let [x, terms] = cx.inputs else { unreachable!("there are the logits and the terms") };
        let axes: Axes = smallvec![axis];
        let spread = |y: &Tensor| broadcast_to(&keep_axes(y, x.shape(), &axes)?, x.shape());
        let weights = unrecorded(|| {
            let share = (-Expr::from(&cx.outputs[0])).apply(Code::Exp);
            (Expr::from(terms) * share.then(spread)).done()
        })?;
        let weights = Expr::from(with_vjp(&weights, &[x], softmax_rule(axis), "softmax"));
        let gradient = (Expr::from(cx.grad()).then(spread) * weights).done()?;
        Ok(smallvec![Some(Cotangent::Dense(gradient)), None])
    };
    with_vjp(&value, &[x, terms], Arc::new(rule), "log_sum")
}
