//! The engine beside NumPy: products, pointwise work and reductions in float32, through the functions that Rust users call.
//!
//! `cargo bench -p adret-core`, with `-- --quick` for a glance and `-- matmul` for a part. Depends on `beside`. Invariant: a row is the same
//! arithmetic twice, in NumPy's spelling and in the engine's.

mod beside;

use beside::{Case, NumPy, measure};
use criterion::Criterion;

use adret_core::ops::{self, Reduction, reduce};

const MATMUL: &[Case] = &[
    ("64x64", "x @ y", &[&[64, 64], &[64, 64]], |x| ops::matmul(&x[0], &x[1])),
    ("256x256", "x @ y", &[&[256, 256], &[256, 256]], |x| ops::matmul(&x[0], &x[1])),
    ("1024x1024", "x @ y", &[&[1024, 1024], &[1024, 1024]], |x| ops::matmul(&x[0], &x[1])),
    ("128x784x512", "x @ y", &[&[128, 784], &[784, 512]], |x| ops::matmul(&x[0], &x[1])),
    ("batch of 64, 32x32", "x @ y", &[&[64, 32, 32], &[64, 32, 32]], |x| ops::matmul(&x[0], &x[1])),
    ("matrix and vector 2048", "x @ y", &[&[2048, 2048], &[2048]], |x| ops::matmul(&x[0], &x[1])),
];

const ELEMENTWISE: &[Case] = &[
    ("add 10", "x + y", &[&[10], &[10]], |x| ops::add(&x[0], &x[1])),
    ("add 1M", "x + y", &[&[1000, 1000], &[1000, 1000]], |x| ops::add(&x[0], &x[1])),
    ("add row 1M", "x + y", &[&[1000, 1000], &[1000]], |x| ops::add(&x[0], &x[1])),
    ("exp 1M", "np.exp(x)", &[&[1000, 1000]], |x| ops::exp(&x[0])),
    ("tanh 1M", "np.tanh(x)", &[&[1000, 1000]], |x| ops::tanh(&x[0])),
    ("chain 1M", "np.tanh(x * y + x) * x - y", &[&[1000, 1000], &[1000, 1000]], |x| {
        let inner = ops::add(&ops::mul(&x[0], &x[1])?, &x[0])?;
        ops::sub(&ops::mul(&ops::tanh(&inner)?, &x[0])?, &x[1])
    }),
];

const REDUCTIONS: &[Case] = &[
    ("sum 1M", "x.sum()", &[&[1000, 1000]], |x| reduce(Reduction::Sum, &x[0], None, false)),
    ("sum of rows 1M", "x.sum(1)", &[&[1000, 1000]], |x| reduce(Reduction::Sum, &x[0], Some(&[1]), false)),
    ("sum of columns 1M", "x.sum(0)", &[&[1000, 1000]], |x| reduce(Reduction::Sum, &x[0], Some(&[0]), false)),
    ("max of rows 1M", "x.max(1)", &[&[1000, 1000]], |x| reduce(Reduction::Max, &x[0], Some(&[1]), false)),
    ("variance of rows 1M", "x.var(1)", &[&[1000, 1000]], |x| ops::variance(&x[0], Some(&[1]), 0.0, false)),
    ("softmax 1M", "(e := np.exp(x - x.max(1, keepdims=True))) / e.sum(1, keepdims=True)", &[&[1000, 1000]], |x| {
        ops::softmax(&x[0], 1)
    }),
];

fn main() {
    let mut numpy = NumPy::start();
    let mut criterion = Criterion::default().configure_from_args();
    for (family, cases) in [("matmul", MATMUL), ("elementwise", ELEMENTWISE), ("reductions", REDUCTIONS)] {
        measure(&mut criterion, family, cases, &mut numpy);
    }
    criterion.final_summary();
}
