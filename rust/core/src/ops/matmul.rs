//! Products of matrices and vectors. Depends on `graph`, `movement` and `operand`.
//! Invariant: the primitive takes `[batch…, m, k]` and `[batch…, k, n]` of one dtype with equal batch axes.

use smallvec::{SmallVec, smallvec};

use super::autocast::narrowed;
use super::movement::{broadcast_to, concat, expand_dims, matrix_transpose, reshape_to};
use super::operand::broadcast_shapes;
use super::pointwise::{add, astype, mul};
use super::reduce::{Reduction, reduce};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::{Cotangent, Lowering, Meta, Op, Tensor, View, Vjp, apply};
use crate::shape::Shape;

#[derive(Debug)]
struct Product;

impl Op for Product {
    fn name(&self) -> &'static str {
        "matmul"
    }
    fn infer(&self, inputs: &[&Meta]) -> Result<SmallVec<[Meta; 1]>> {
        let (lhs, rhs) = (&inputs[0].shape, &inputs[1].shape);
        let batch = lhs.rank() - 2;
        let sizes: SmallVec<[usize; 4]> = lhs[..=batch].iter().copied().chain([rhs[batch + 1]]).collect();
        Ok(smallvec![Meta::new(Shape::new(&sizes)?, inputs[0].dtype)])
    }
    fn vjp(&self, cx: &Vjp<'_>) -> Result<SmallVec<[Option<Cotangent>; 2]>> {
        let (lhs, rhs, grad) = (&cx.inputs[0], &cx.inputs[1], cx.grad());
        let left = || gradient(lhs, grad, &matrix_transpose(rhs)?);
        let right = || gradient(rhs, &matrix_transpose(lhs)?, grad);
        Ok(smallvec![cx.needs[0].then(left).transpose()?, cx.needs[1].then(right).transpose()?])
    }
    fn lower(&self) -> Lowering {
        Lowering::Matmul
    }
}

/// The cotangent a · b of an operand. That of a transposed matrix is made as the transpose of bᵀ · aᵀ, so that the gradient of the matrix itself
/// lies in memory as the matrix does, and an optimiser walks both in one order.
fn gradient(operand: &Tensor, a: &Tensor, b: &Tensor) -> Result<Cotangent> {
    let turned = is_transposed(operand);
    let product = product_lying(a, b, turned)?;
    Ok(match operand.rank() {
        2 if can_wait(a, b) => Cotangent::Product { lhs: a.clone(), rhs: b.clone(), product, turned },
        _ => Cotangent::Dense(product),
    })
}

fn product_lying(a: &Tensor, b: &Tensor, turned: bool) -> Result<Tensor> {
    if !turned {
        return apply(Product, &[a, b]);
    }
    matrix_transpose(&apply(Product, &[&matrix_transpose(b)?, &matrix_transpose(a)?])?)
}

/// Longer sums are no faster with others.
const SHORT: usize = 512;
/// Elements that may always be kept for a product to come.
const FEW: usize = 8192;

/// Whether a product may wait for others: it is short, and its factors take no more memory than results and a few of them would.
fn can_wait(a: &Tensor, b: &Tensor) -> bool {
    let (m, k, n) = (a.shape()[0], a.shape()[1], b.shape()[1]);
    k <= SHORT && k * (m + n) <= FEW.max(4 * m * n)
}

/// Products from this many on are joined: a network that uses its weights in every step of a sequence then has one product for their gradient.
pub(super) const MANY: usize = 3;

/// Σ aᵢ · bᵢ of matrices.
pub(super) fn sum_of_products(pieces: &[(Tensor, Tensor)], turned: bool) -> Result<Tensor> {
    // Side by side and below each other; what lies as its transpose is joined along its rows.
    let columns = pieces.iter().map(|(a, _)| matrix_transpose(a)).collect::<Result<Vec<_>>>()?;
    let rows: Vec<Tensor> = pieces.iter().map(|(_, b)| b.clone()).collect();
    product_lying(&matrix_transpose(&concat(&columns, 0)?)?, &concat(&rows, 0)?, turned)
}

/// Whether a tensor is a view of another that swaps its last two axes alone.
fn is_transposed(x: &Tensor) -> bool {
    let Some(Lowering::View(View::Permute(order))) = x.node.op.as_ref().map(|op| op.lower()) else { return false };
    let rank = order.len();
    let swapped = rank >= 2 && order[rank - 2..] == [rank - 1, rank - 2];
    swapped && order[..rank - 2].iter().enumerate().all(|(axis, &from)| axis == from)
}

/// Matrix product over the last two axes; leading axes broadcast. A vector counts as a row on the left and as a column on the right.
///
/// # Errors
/// For 0-d operands, `bool`, and sizes that do not fit.
pub fn matmul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if a.rank() == 0 || b.rank() == 0 {
        return Err(Error::shape(format!(
            "matmul: a is {} and b is {}: a 0-d tensor is no matrix. Use multiply for scalars.",
            a.shape(),
            b.shape()
        )));
    }
    let (a, b) = (&narrowed(a)?, &narrowed(b)?);
    let dtype = a.dtype().promote(b.dtype());
    if dtype == DType::Bool {
        return Err(Error::dtype("matmul: bool has no sums of products. Convert with astype, for instance to int64."));
    }
    let (inner_a, inner_b) = (a.rank() - 1, b.rank().saturating_sub(2));
    if a.shape()[inner_a] != b.shape()[inner_b] {
        return Err(mismatch(a, b, inner_a, inner_b));
    }
    // A leaf that has the dtype stays itself: what several products give it as gradients is to meet there.
    let convert = |x: &Tensor| if x.dtype() == dtype { Ok(x.clone()) } else { astype(x, dtype) };
    let (a, b) = (convert(a)?, convert(b)?);
    let lhs = if a.rank() == 1 { expand_dims(&a, 0)? } else { a.clone() };
    let rhs = if b.rank() == 1 { expand_dims(&b, 1)? } else { b.clone() };
    let product = if rhs.rank() == 2 { flat_product(&lhs, &rhs)? } else { batched_product(&lhs, &rhs)? };
    if a.rank() > 1 && b.rank() > 1 {
        return Ok(product);
    }
    // The axes that vectors were given disappear again.
    let mut sizes: SmallVec<[usize; 4]> = SmallVec::from_slice(product.shape());
    if b.rank() == 1 {
        sizes.pop();
    }
    if a.rank() == 1 {
        sizes.remove(product.rank() - 2);
    }
    reshape_to(&product, &Shape::from_sound(sizes))
}

fn mismatch(a: &Tensor, b: &Tensor, inner_a: usize, inner_b: usize) -> Error {
    let (k, other) = (a.shape()[inner_a], b.shape()[inner_b]);
    let advice = if b.rank() >= 2 && b.shape()[b.rank() - 1] == k {
        if b.rank() == 2 { "did you mean b.T?" } else { "did you mean b.mT?" }
    } else if a.rank() >= 2 && a.shape()[a.rank() - 2] == other {
        if a.rank() == 2 { "did you mean a.T?" } else { "did you mean a.mT?" }
    } else {
        "make them equal."
    };
    Error::shape(format!(
        "matmul: a is {} and b is {}: inner sizes {k} (axis {inner_a} of a) and {other} (axis {inner_b} of b) differ; {advice}",
        a.shape(),
        b.shape()
    ))
}

/// `[…, m, k] · [k, n]` as one product of two matrices.
fn flat_product(lhs: &Tensor, rhs: &Tensor) -> Result<Tensor> {
    let (k, n) = (rhs.shape()[0], rhs.shape()[1]);
    if lhs.rank() == 2 {
        return apply(Product, &[lhs, rhs]);
    }
    let rows = lhs.shape()[..lhs.rank() - 1].iter().product();
    let product = apply(Product, &[&reshape_to(lhs, &Shape::from_sound([rows, k]))?, rhs])?;
    let mut sizes: SmallVec<[usize; 4]> = SmallVec::from_slice(lhs.shape());
    sizes[lhs.rank() - 1] = n;
    reshape_to(&product, &Shape::new(&sizes)?)
}

fn batched_product(lhs: &Tensor, rhs: &Tensor) -> Result<Tensor> {
    let lead = |x: &Tensor| Shape::from_sound(x.shape()[..x.rank() - 2].iter().copied());
    let batch = broadcast_shapes("matmul", &lead(lhs), &lead(rhs)).map_err(|_| {
        let (a, b) = (lhs.shape(), rhs.shape());
        Error::shape(format!(
            "matmul: a is {a} and b is {b}: the axes before the last two, {} and {}, do not broadcast. Make their sizes equal, or one of them 1.",
            lead(lhs),
            lead(rhs)
        ))
    })?;
    let spread = |x: &Tensor| {
        let sizes: SmallVec<[usize; 4]> = batch.iter().chain(&x.shape()[x.rank() - 2..]).copied().collect();
        broadcast_to(x, &sizes)
    };
    apply(Product, &[&spread(lhs)?, &spread(rhs)?])
}

/// x · weightᵀ + bias over the last axis of `x`; `weight` is `[out, in]`, `bias` `[out]`.
///
/// # Errors
/// For sizes that do not fit.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let fits = weight.rank() == 2 && x.rank() > 0 && x.shape()[x.rank() - 1] == weight.shape()[1];
    if !fits {
        return Err(Error::shape(format!(
            "linear: x is {} and weight is {}: the last size of x must be the second of weight [out, in].",
            x.shape(),
            weight.shape()
        )));
    }
    if let Some(bias) = bias.filter(|bias| bias.shape()[..] != weight.shape()[..1]) {
        return Err(Error::shape(format!(
            "linear: weight is {} and bias is {}: bias must be ({},).",
            weight.shape(),
            bias.shape(),
            weight.shape()[0]
        )));
    }
    let product = matmul(x, &matrix_transpose(weight)?)?;
    match bias {
        Some(bias) => add(&product, &narrowed(bias)?),
        None => Ok(product),
    }
}

/// Σ aᵢ · bᵢ along `axis` of both, after broadcasting.
///
/// # Errors
/// For shapes that do not broadcast, and axes that do not exist.
pub fn vecdot(a: &Tensor, b: &Tensor, axis: isize) -> Result<Tensor> {
    reduce(Reduction::Sum, &mul(a, b)?, Some(&[axis]), false).and_then(|sum| astype(&sum, a.dtype().promote(b.dtype())))
}

/// Matrix or inner product as `matmul`; with a 0-d operand, `multiply`.
///
/// # Errors
/// As `matmul`.
pub fn dot(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if a.rank() == 0 || b.rank() == 0 { mul(a, b) } else { matmul(a, b) }
}

/// aᵢ · bⱼ of two vectors, as `[i, j]`.
///
/// # Errors
/// When one is not a vector.
pub fn outer(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if a.rank() != 1 || b.rank() != 1 {
        return Err(Error::shape(format!(
            "outer: a is {} and b is {}: both must be vectors. Use reshape(-1) first.",
            a.shape(),
            b.shape()
        )));
    }
    mul(&expand_dims(a, 1)?, b)
}
