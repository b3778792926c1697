//! Products of all shapes and strides against the definition, on every path of this processor.

use super::*;
use crate::kit::simd::Path;

/// Small whole numbers, whose sums of products are exact in both types.
fn numbers(count: usize, seed: usize) -> Vec<i32> {
    (0..count).map(|i| ((i * 7 + i / 5 * 3 + seed) % 9) as i32 - 4).collect()
}

/// A matrix in memory: elements, with gaps that are no numbers, and where they are.
fn laid_out<E: Element>(
    values: &[i32],
    (rows, columns): (usize, usize),
    (row, column): (usize, usize),
    of: impl Fn(f64) -> E,
) -> (Vec<E>, isize, isize) {
    let mut memory = vec![of(f64::NAN); rows.saturating_sub(1) * row + columns.saturating_sub(1) * column + 1];
    for i in 0..rows {
        for j in 0..columns {
            memory[i * row + j * column] = of(f64::from(values[i * columns + j]));
        }
    }
    (memory, row as isize, column as isize)
}

fn check<E: Element + PartialEq + std::fmt::Debug>(path: Path, m: usize, n: usize, k: usize, of: fn(f64) -> E) {
    let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
    let steps = |rows: usize, columns: usize| {
        [(columns, 1), (1, rows), (columns + 3, 1), (1, rows + 5), (2 * columns + 1, 2), (1024, 1)]
            .into_iter()
            .filter(move |&(row, column)| row * column <= 1 << 16 && (row >= columns || column >= rows))
    };
    for a_steps in steps(m, k) {
        for b_steps in steps(k, n) {
            let (left, a_row, a_column) = laid_out(&a, (m, k), a_steps, of);
            let (right, b_row, b_column) = laid_out(&b, (k, n), b_steps, of);
            let c_row = n + 3;
            let untouched = of(77.0);
            let mut c = vec![untouched; m * c_row];
            let product = Product {
                m,
                n,
                k,
                c: c.as_mut_ptr(),
                c_row: c_row as isize,
                a: Matrix { start: left.as_ptr(), row: a_row, column: a_column },
                b: Matrix { start: right.as_ptr(), row: b_row, column: b_column },
            };
            // SAFETY: the path is available, and the vectors hold the matrices.
            unsafe { launch(path, product) };
            for i in 0..m {
                for j in 0..c_row {
                    let sum: i32 = (0..k).map(|p| if j < n { a[i * k + p] * b[p * n + j] } else { 0 }).sum();
                    let expected = if j < n { of(f64::from(sum)) } else { untouched };
                    assert_eq!(c[i * c_row + j], expected, "{path:?} {m}×{n}×{k} {a_steps:?} {b_steps:?} at {i}, {j}");
                }
            }
        }
    }
}

#[test]
fn products_match_the_definition_on_every_path() {
    let sizes = [
        (1, 1, 1),
        (1, 37, 90),
        (37, 1, 90),
        (2, 65, 9),
        (3, 33, 17),
        (5, 7, 40),
        (7, 64, 16),
        (8, 5, 33),
        (13, 31, 0),
        (14, 32, 64),
        (15, 33, 257),
        (29, 48, 5),
        (61, 100, 70),
        (1, 2100, 11),
    ];
    for path in Path::available() {
        for (m, n, k) in sizes {
            check::<f32>(path, m, n, k, |x| x as f32);
            check::<f64>(path, m, n, k, |x| x);
        }
    }
}

#[test]
fn blocks_of_every_axis_join() {
    for path in Path::available() {
        // More products than a panel is deep, and more columns than a block holds.
        check::<f32>(path, 17, 560, 1100, |x| x as f32);
        check::<f64>(path, 9, 290, 600, |x| x);
    }
}
