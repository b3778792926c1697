//! The tile loops against naive scalar definitions: what the tests share.
//! Depends on `tiles`. Invariant: references are written from the docs of `Code`, `Cast` and `Fold`, in f64 or i128, not from the loops.

mod conversions;
mod folds;
mod functions;

use super::number::{Number, compute_size, with_compute};
use super::*;
use crate::dtype::{Compute, DType, Scalar};

/// A value of any dtype: floats exactly, integers and masks as numbers.
#[derive(Clone, Copy, Debug)]
enum Value {
    Int(i128),
    Float(f64),
}
use Value::{Float, Int};

impl Value {
    fn of(dtype: DType, slot: u64) -> Value {
        match dtype.compute() {
            Compute::F32 => Float(f64::from(f32::from_slot(slot))),
            Compute::F64 => Float(f64::from_slot(slot)),
            Compute::U64 => Int(i128::from(slot)),
            _ => Int(i128::from(slot as i64)),
        }
    }

    fn slot(self, dtype: DType) -> u64 {
        match self {
            Int(i) => Scalar::Int(i).to_slot(dtype),
            Float(f) => Scalar::Float(f).to_slot(dtype),
        }
    }
}

/// Memory that starts one byte off any alignment.
struct Tile(Vec<u8>);

impl Tile {
    fn new(compute: Compute, n: usize) -> Self {
        Tile(vec![0xAB; n * compute_size(compute) + 1])
    }
    fn of(compute: Compute, slots: &[u64]) -> Self {
        let mut tile = Tile::new(compute, slots.len());
        for (i, &slot) in slots.iter().enumerate() {
            // SAFETY: the tile has one value per slot.
            with_compute!(compute, T => unsafe { tile.start().cast::<T>().add(i).write_unaligned(T::from_slot(slot)) });
        }
        tile
    }
    fn start(&mut self) -> *mut u8 {
        self.0[1..].as_mut_ptr()
    }
    fn slots(&mut self, compute: Compute, n: usize) -> Vec<u64> {
        let start = self.start();
        let value = |i: usize| {
            // SAFETY: the tile has n values.
            with_compute!(compute, T => unsafe { start.cast::<T>().add(i).read_unaligned().to_slot() })
        };
        (0..n).map(value).collect()
    }
}

/// Interesting values of a dtype, in an order that meets every pair when two such lists are shifted.
fn samples(dtype: DType, n: usize, salt: u64) -> Vec<u64> {
    let specials: Vec<Value> = if let Some((low, high)) = dtype.integer_range() {
        [0, 1, 2, 3, 5, 7, 31, 63, 64, 100, -1, -2, -3, -7, low, low + 1, high, high - 1]
            .into_iter()
            .filter(|i| (low..=high).contains(i))
            .map(Int)
            .collect()
    } else {
        let floats =
            [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -2.5, 3.0, 0.1, -7.3, 1e-3, 12.75, 100.0, 6e4, -6e4, 1e-7, 3e-5];
        let ends = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e30, -1e30];
        floats.into_iter().chain(ends).map(Float).collect()
    };
    let mut state = salt.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            specials[(state >> 33) as usize % specials.len()].slot(dtype)
        })
        .collect()
}
