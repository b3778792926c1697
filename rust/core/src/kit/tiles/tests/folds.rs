//! Reductions against the canonical tree written out. Depends on `tiles`.
//! Invariant: rows and columns give the same bits.

use super::*;
use crate::code::{Code, Fold};

/// The canonical tree, written out.
fn naive_fold(fold: Fold, dtype: DType, slots: &[u64]) -> u64 {
    let mut lanes = vec![identity(fold, dtype); LANES];
    for (j, &slot) in slots.iter().enumerate() {
        lanes[j % LANES] = combine(fold, dtype, lanes[j % LANES], slot);
    }
    for width in [16, 8, 4, 2, 1] {
        for lane in 0..width {
            lanes[lane] = combine(fold, dtype, lanes[lane], lanes[lane + width]);
        }
    }
    lanes[0]
}

#[test]
fn rows_and_columns_fold_to_the_same_bits() {
    for dtype in DType::ALL {
        let compute = dtype.compute();
        for fold in [Fold::Sum, Fold::Prod, Fold::Max, Fold::Min] {
            for (rows, columns) in [(1, 3), (31, 1), (32, 5), (33, 2), (100, 70), (BLOCK, 2), (0, 4)] {
                let mut slots = samples(dtype, rows * columns, 11);
                if dtype.is_float() {
                    // Without infinities and NaN the sums say more; the NaN rule has its own test.
                    slots
                        .iter_mut()
                        .enumerate()
                        .for_each(|(i, slot)| *slot = Float(((i * 37) % 101) as f64 / 7.0 - 7.0).slot(dtype));
                }
                let mut src = Tile::of(compute, &slots);
                let mut acc = Tile::of(compute, &vec![identity(fold, dtype); LANES * columns]);
                let mut out = Tile::new(compute, columns);
                let first = rows / 3;
                // SAFETY: the tiles have the sizes that the functions ask for.
                unsafe {
                    let second = src.start().add(first * columns * compute_size(compute));
                    fold_rows(fold, dtype, first, columns, src.start(), 0, acc.start());
                    fold_rows(fold, dtype, rows - first, columns, second, first, acc.start());
                    fold_lanes(fold, dtype, columns, acc.start(), out.start());
                }
                let mut straight = Tile::of(compute, &vec![identity(fold, dtype); LANES * columns]);
                let mut again = Tile::new(compute, columns);
                // SAFETY: as above.
                unsafe {
                    fold_columns(fold, dtype, (rows, columns), src.start(), columns as isize, straight.start());
                    fold_lanes(fold, dtype, columns, straight.start(), again.start());
                }
                assert_eq!(again.slots(compute, columns), out.slots(compute, columns), "{fold:?} {dtype}");
                for (column, got) in out.slots(compute, columns).into_iter().enumerate() {
                    let row: Vec<u64> = (0..rows).map(|r| slots[r * columns + column]).collect();
                    let exact = naive_fold(fold, dtype, &row);
                    // SAFETY: the tile holds one value per row.
                    let block = unsafe { fold_block(fold, dtype, rows, Tile::of(compute, &row).start()) };
                    assert_eq!((got, block), (exact, exact), "{fold:?} {dtype} {rows}×{columns}");
                }
            }
        }
    }
}

#[test]
fn extremes_take_the_first_and_nan_first_of_all() {
    let mut row: Vec<f32> = (0..10_000).map(|i| ((i * 7919) % 5000) as f32).collect();
    let extreme = |row: &[f32], fold| {
        // SAFETY: the row has as many values as said.
        let (bits, place) = unsafe { super::best_of_row(fold, DType::F32, row.len(), row.as_ptr().cast()) };
        (f32::from_slot(bits), place)
    };
    let first = |row: &[f32], value: f32| row.iter().position(|&x| x == value).unwrap();
    assert_eq!(extreme(&row, Fold::ArgMax), (4999.0, first(&row, 4999.0)));
    assert_eq!(extreme(&row, Fold::ArgMin), (0.0, 0));
    row[4097] = f32::NAN;
    row[9000] = f32::NAN;
    assert_eq!(extreme(&row, Fold::ArgMin).1, 4097);
    assert_eq!(extreme(&row, Fold::ArgMax).1, 4097);
    assert_eq!(extreme(&[3.0], Fold::ArgMax), (3.0, 0));
    for fold in [Fold::Max, Fold::Min, Fold::Sum] {
        // SAFETY: one block of values.
        let folded = unsafe { fold_block(fold, DType::F32, 4096, row[4000..].as_ptr().cast()) };
        assert!(f32::from_slot(folded).is_nan(), "{fold:?}");
    }
    let (nan, one) = (f32::NAN.to_slot(), 1f32.to_slot());
    assert!(arg_better(Fold::ArgMax, DType::F32, nan, one) && !arg_better(Fold::ArgMax, DType::F32, one, nan));
    assert!(!arg_better(Fold::ArgMin, DType::F32, nan, nan) && !arg_better(Fold::ArgMax, DType::F32, one, one));
}

#[test]
fn whole_rows_sum_to_the_bits_of_blocks() {
    for dtype in [DType::F32, DType::F64] {
        let compute = dtype.compute();
        for (rows, n) in [(1, 1), (3, 31), (4, 32), (5, 33), (9, 100), (2, 1000), (6, 1023), (1, BLOCK)] {
            let numbers = |factor: usize| -> Vec<u64> {
                (0..rows * n).map(|i| Float(((i * factor) % 101) as f64 / 7.0 - 7.0).slot(dtype)).collect()
            };
            let (a, b) = (numbers(37), numbers(53));
            let mut products = Tile::new(compute, rows * n);
            let (mut a, mut b) = (Tile::of(compute, &a), Tile::of(compute, &b));
            let (mut sums, mut dots) = (vec![0; rows], vec![0; rows]);
            // SAFETY: the tiles have the sizes that the functions ask for.
            unsafe {
                let factors = [Operand::Vector(a.start()), Operand::Vector(b.start())];
                pointwise(Code::Mul, dtype, rows * n, products.start(), &factors);
                sum_rows(compute, rows, n, a.start(), std::ptr::null(), sums.as_mut_ptr());
                sum_rows(compute, rows, n, a.start(), b.start(), dots.as_mut_ptr());
                for row in 0..rows {
                    let at = row * n * compute_size(compute);
                    assert_eq!(sums[row], fold_block(Fold::Sum, dtype, n, a.start().add(at)), "{dtype} {rows}×{n}");
                    assert_eq!(
                        dots[row],
                        fold_block(Fold::Sum, dtype, n, products.start().add(at)),
                        "{dtype} {rows}×{n}"
                    );
                }
            }
        }
    }
}
