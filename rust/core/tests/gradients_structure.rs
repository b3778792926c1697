//! First and second derivatives of movement, reductions, products, gathering and losses against central differences.
//! Depends on `common`. Invariant: every op with a derivative of its own has a row.

mod common;

use adret_core::graph::Tensor;
use adret_core::ops::{self, Index, Reduction, SliceAxis};
use common::{gradcheck, gradcheck_at, integers, mask};

#[test]
fn views() {
    gradcheck("reshape", &[&[2, 3]], -1.0, 1.0, &|x| ops::square(&ops::reshape(&x[0], &[3, -1])?));
    gradcheck("permute", &[&[2, 3, 2]], -1.0, 1.0, &|x| ops::exp(&ops::permute_dims(&x[0], &[2, 0, 1])?));
    gradcheck("expand", &[&[2, 1]], -1.0, 1.0, &|x| ops::exp(&ops::broadcast_to(&x[0], &[3, 2, 2])?));
    let windows = [SliceAxis { start: 1, step: 1, size: 2 }, SliceAxis { start: 3, step: -2, size: 2 }];
    gradcheck("slice", &[&[3, 4]], -1.0, 1.0, &|x| ops::exp(&ops::slice(&x[0], &windows)?));
    gradcheck("flip", &[&[2, 3]], -1.0, 1.0, &|x| ops::exp(&ops::flip(&x[0], None)?));
    gradcheck("pad", &[&[2, 2]], -1.0, 1.0, &|x| {
        ops::exp(&ops::pad(&x[0], &[1, 0], &[0, 2], adret_core::dtype::Scalar::Float(0.5))?)
    });
    gradcheck("tril", &[&[3, 3]], -1.0, 1.0, &|x| ops::exp(&ops::tril(&x[0], -1)?));
    gradcheck("triu", &[&[3, 4]], -1.0, 1.0, &|x| ops::exp(&ops::triu(&x[0], 1)?));
    gradcheck("astype", &[&[3]], -1.0, 1.0, &|x| {
        ops::astype(&ops::square(&ops::astype(&x[0], adret_core::dtype::DType::F64)?)?, adret_core::dtype::DType::F64)
    });
}

#[test]
fn joins() {
    gradcheck("concat", &[&[2, 1], &[2, 2]], -1.0, 1.0, &|x| ops::exp(&ops::concat(x, 1)?));
    gradcheck("stack", &[&[2], &[2]], -1.0, 1.0, &|x| ops::exp(&ops::stack(x, -1)?));
    gradcheck("repeat", &[&[2, 2]], -1.0, 1.0, &|x| ops::exp(&ops::repeat(&x[0], 3, Some(1))?));
    gradcheck("tile", &[&[2, 2]], -1.0, 1.0, &|x| ops::exp(&ops::tile(&x[0], &[2, 1, 2])?));
    gradcheck("roll", &[&[5]], -1.0, 1.0, &|x| ops::exp(&ops::roll(&x[0], 2, Some(0))?));
    gradcheck("split", &[&[6]], -1.0, 1.0, &|x| {
        let parts = ops::split(&x[0], 3, 0)?;
        ops::mul(&ops::exp(&parts[0])?, &ops::mul(&parts[1], &parts[2])?)
    });
    gradcheck("slices apart", &[&[6]], -1.0, 1.0, &|x| {
        let every = |start, step| ops::slice(&x[0], &[SliceAxis { start, step, size: 3 }]);
        ops::mul(&ops::exp(&every(0, 2)?)?, &ops::mul(&every(5, -2)?, &every(2, 1)?)?)
    });
}

#[test]
fn reductions() {
    for kind in [Reduction::Sum, Reduction::Prod, Reduction::Max, Reduction::Min, Reduction::Mean] {
        for axes in [None, Some(&[0isize][..]), Some(&[-1, 0]), Some(&[])] {
            let name = format!("{} over {axes:?}", kind.name());
            gradcheck(&name, &[&[2, 3]], 0.5, 2.0, &|x| ops::square(&ops::reduce(kind, &x[0], axes, false)?));
            gradcheck(&name, &[&[2, 3]], 0.5, 2.0, &|x| ops::mul(&x[0], &ops::reduce(kind, &x[0], axes, true)?));
        }
    }
    gradcheck("var", &[&[2, 4]], -1.0, 1.0, &|x| ops::variance(&x[0], Some(&[1]), 1.0, false));
    gradcheck("std", &[&[2, 4]], -1.0, 1.0, &|x| ops::std(&x[0], Some(&[1]), 0.0, true));
    gradcheck("norm", &[&[2, 3]], -1.0, 1.0, &|x| ops::norm(&x[0], Some(&[1]), false));
    gradcheck("logsumexp", &[&[2, 3]], -1.0, 1.0, &|x| ops::logsumexp(&x[0], Some(&[0]), false));
}

#[test]
fn products_with_zeros() {
    for zeros in [vec![0.0, 2.0, 3.0], vec![0.0, 2.0, 0.0], vec![0.0, 0.0, 0.0], vec![1.0, 2.0, 3.0]] {
        let name = format!("prod of {zeros:?}");
        gradcheck_at(&name, &[vec![3]], &[zeros], &|x| ops::reduce(Reduction::Prod, &x[0], None, false));
    }
}

#[test]
fn matrix_products() {
    let rows: &[(&[usize], &[usize])] = &[
        (&[2, 3], &[3, 2]),
        (&[3], &[3]),
        (&[3], &[3, 2]),
        (&[2, 3], &[3]),
        (&[2, 1, 3], &[3, 2]),
        (&[2, 1, 2, 2], &[3, 2, 1]),
        (&[2], &[2, 2, 1]),
    ];
    for (a, b) in rows {
        gradcheck(&format!("matmul {a:?} {b:?}"), &[a, b], -1.0, 1.0, &|x| ops::matmul(&x[0], &x[1]));
    }
    gradcheck("linear", &[&[2, 1, 3], &[2, 3], &[2]], -1.0, 1.0, &|x| ops::linear(&x[0], &x[1], Some(&x[2])));
    gradcheck("vecdot", &[&[2, 3], &[3]], -1.0, 1.0, &|x| ops::vecdot(&x[0], &x[1], -1));
    gradcheck("outer", &[&[2], &[3]], -1.0, 1.0, &|x| ops::outer(&x[0], &x[1]));
}

#[test]
fn gathering() {
    let twice = integers(&[2, 2], &[0, 2, 2, -1]);
    gradcheck("take", &[&[3, 2]], -1.0, 1.0, &|x| ops::exp(&ops::take(&x[0], &twice, 0)?));
    gradcheck("take of the last axis", &[&[2, 3]], -1.0, 1.0, &|x| ops::exp(&ops::take(&x[0], &twice, 1)?));
    gradcheck("takes and a slice", &[&[4]], -1.0, 1.0, &|x| {
        let part = ops::slice(&x[0], &[SliceAxis { start: 1, step: 1, size: 2 }])?;
        let taken = ops::take(&x[0], &integers(&[2], &[3, 0]), 0)?;
        ops::add(&ops::mul(&ops::exp(&part)?, &taken)?, &ops::reduce(Reduction::Sum, &ops::exp(&x[0])?, None, false)?)
    });
    let along = integers(&[2, 2], &[0, 2, 1, 1]);
    gradcheck("take_along_axis", &[&[2, 3]], -1.0, 1.0, &|x| ops::exp(&ops::take_along_axis(&x[0], &along, 1)?));
    gradcheck("scatter_add", &[&[2, 3], &[2, 2]], -1.0, 1.0, &|x| {
        ops::exp(&ops::scatter_add(&x[0], &along, 1, &x[1])?)
    });
    let windows = [SliceAxis { start: 2, step: -2, size: 2 }];
    gradcheck("put_slice", &[&[4], &[2]], -1.0, 1.0, &|x| ops::exp(&ops::put_slice(&x[0], &windows, &x[1])?));
    let places = integers(&[3], &[0, 2, 0]);
    gradcheck("put_take", &[&[4, 2], &[3, 2]], -1.0, 1.0, &|x| ops::exp(&ops::put_take(&x[0], &places, 0, &x[1])?));
    gradcheck("sort", &[&[2, 4]], -1.0, 1.0, &|x| ops::exp(&ops::sort(&x[0], -1, true)?));
}

#[test]
fn indexing() {
    let index = [
        Index::Tensor(integers(&[2], &[1, 0])),
        Index::NewAxis,
        Index::Slice { start: None, stop: None, step: Some(-1) },
    ];
    gradcheck("index_get", &[&[2, 3]], -1.0, 1.0, &|x| ops::exp(&ops::index_get(&x[0], &index)?));
    gradcheck("index_set", &[&[2, 3], &[3]], -1.0, 1.0, &|x| {
        ops::exp(&ops::index_set(&x[0], &index, &(&x[1]).into())?)
    });
    let chosen = [Index::Tensor(mask(&[2, 2], &[1, 0, 0, 1]))];
    gradcheck("mask get", &[&[2, 2, 2]], -1.0, 1.0, &|x| ops::exp(&ops::index_get(&x[0], &chosen)?));
    gradcheck("mask set", &[&[2, 2, 2], &[2, 2]], -1.0, 1.0, &|x| {
        ops::exp(&ops::index_set(&x[0], &chosen, &(&x[1]).into())?)
    });
}

#[test]
fn normalisation() {
    gradcheck("softmax", &[&[2, 3]], -1.0, 1.0, &|x| ops::softmax(&x[0], 1));
    gradcheck("log_softmax", &[&[2, 3]], -1.0, 1.0, &|x| ops::log_softmax(&x[0], 0));
    gradcheck("layer_norm", &[&[2, 3], &[3], &[3]], -1.0, 1.0, &|x| {
        ops::layer_norm(&x[0], 1, Some(&x[1]), Some(&x[2]), 1e-5)
    });
    gradcheck("rms_norm", &[&[2, 3], &[3]], -1.0, 1.0, &|x| ops::rms_norm(&x[0], 1, Some(&x[1]), 1e-5));
    gradcheck("normalize", &[&[3, 2, 2]], -1.0, 1.0, &|x| ops::normalize(&x[0], &[0, 2], 1e-5));
    gradcheck("dropout", &[&[6]], -1.0, 1.0, &|x| ops::dropout(&x[0], 0.5, 1, 2));
}

#[test]
fn losses() {
    for reduction in [ops::Reduce::None, ops::Reduce::Mean, ops::Reduce::Sum] {
        let pair: [&[usize]; 2] = [&[2, 2], &[2, 2]];
        gradcheck("mse_loss", &pair, -1.0, 1.0, &|x| ops::mse_loss(&x[0], &x[1], reduction));
        gradcheck("l1_loss", &pair, -1.0, 1.0, &|x| ops::l1_loss(&x[0], &x[1], reduction));
        gradcheck("smooth_l1_loss", &pair, -1.0, 1.0, &|x| ops::smooth_l1_loss(&x[0], &x[1], 0.5, reduction));
        gradcheck("huber_loss", &pair, -1.0, 1.0, &|x| ops::huber_loss(&x[0], &x[1], 0.5, reduction));
        gradcheck("kl_div", &pair, 0.2, 1.0, &|x| ops::kl_div(&x[0], &x[1], reduction));
        gradcheck("bce_loss", &pair, 0.1, 0.9, &|x| ops::bce_loss(&x[0], &x[1], None, reduction));
        gradcheck("bce_with_logits", &[&[2, 2], &[2, 2], &[2], &[2]], 0.1, 0.9, &|x| {
            ops::bce_with_logits(&x[0], &x[1], Some(&x[2]), Some(&x[3]), reduction)
        });
        let labels = integers(&[2], &[2, 0]);
        let entropy = |x: &[Tensor], weight: Option<&Tensor>, ignored, smoothing| {
            ops::cross_entropy(&x[0], &labels, weight, ignored, smoothing, reduction)
        };
        gradcheck("cross_entropy", &[&[2, 3]], -1.0, 1.0, &|x| entropy(x, None, None, 0.0));
        gradcheck("cross_entropy, smooth", &[&[2, 3], &[3]], 0.1, 1.0, &|x| entropy(x, Some(&x[1]), Some(2), 0.2));
        gradcheck("cross_entropy, probabilities", &[&[2, 3], &[2, 3], &[3]], 0.1, 1.0, &|x| {
            ops::cross_entropy(&x[0], &x[1], Some(&x[2]), None, 0.1, reduction)
        });
        gradcheck("nll_loss", &[&[2, 3], &[3]], 0.1, 1.0, &|x| {
            ops::nll_loss(&x[0], &labels, Some(&x[1]), Some(0), reduction)
        });
    }
}
