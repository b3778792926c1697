//! Products of all shapes and strides against the definition, on every path of this processor.

use half::bf16;

use super::*;
use crate::kit::simd::Path;
use crate::kit::vector::has_pairs;

/// Small whole numbers, whose sums of products are exact in both types.
fn numbers(count: usize, seed: usize) -> Vec<i32> {
    (0..count).map(|i| ((i * 7 + i / 5 * 3 + seed) % 9) as i32 - 4).collect()
}

/// A matrix in memory: elements, with gaps that are no numbers, and where they are.
fn laid_out<E: Copy>(
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

/// Numbers that are no sums of few powers of two, and their exact products' sums.
fn check_pairs((m, n, k): (usize, usize, usize), a_steps: (usize, usize), b_steps: (usize, usize)) {
    let of = |x: f64| bf16::from_f64(x);
    let noise = |count: usize, seed: usize| -> Vec<i32> {
        (0..count).map(|i| ((i * 7919 + seed * 104_729) % 2003) as i32 - 1001).collect()
    };
    let (a, b) = (noise(m * k, 1), noise(k * n, 2));
    let (left, a_row, a_column) = laid_out(&a, (m, k), a_steps, of);
    let (right, b_row, b_column) = laid_out(&b, (k, n), b_steps, of);
    let (c_row, untouched) = (n + 3, of(77.0));
    let mut products = [vec![untouched; m * c_row], vec![untouched; m * c_row]];
    let lhs = Matrix { start: left.as_ptr(), row: a_row, column: a_column };
    let rhs = Matrix { start: right.as_ptr(), row: b_row, column: b_column };
    let panel = bf16::panel_columns();
    let panels = n.div_ceil(panel);
    let mut packed = vec![bf16::NAN; panels * panel * bf16::panel_rows(k)];
    // SAFETY: the processor has pairs, and the vectors hold the matrices and panels.
    unsafe {
        gemm_pairs(m, n, k, products[0].as_mut_ptr(), c_row as isize, lhs, rhs).unwrap();
        bf16::pack_panels(rhs, k, n, 0..panels, packed.as_mut_ptr());
        bf16::multiply_packed(m, n, k, products[1].as_mut_ptr(), c_row as isize, lhs, packed.as_ptr()).unwrap();
    }
    let name = format!("{m}×{n}×{k} {a_steps:?} {b_steps:?}");
    for i in 0..m {
        for j in 0..c_row {
            let [found, again] = products.each_ref().map(|c| c[i * c_row + j]);
            let is_thin = m.min(n) <= FEW_DOTS;
            assert!(is_thin || found.to_bits() == again.to_bits(), "{name} at {i}, {j}: packed differs");
            if j >= n {
                assert_eq!(found, untouched, "{name} at {i}, {j}");
                continue;
            }
            let terms = (0..k).map(|p| {
                let [a, b] = [a[i * k + p], b[p * n + j]].map(|x| of(f64::from(x)).to_f64());
                a * b
            });
            let (exact, size) = terms.fold((0.0, 0.0), |(sum, size), x| (sum + x, size + x.abs()));
            // Half a unit of the last place of the result, and the rounding of f32 sums.
            let bound = f64::abs(exact) * 2f64.powi(-8) + size * k as f64 * 2f64.powi(-24);
            for found in [found, again] {
                assert!((found.to_f64() - exact).abs() <= bound, "{name} at {i}, {j}: {found}, expected {exact}");
            }
        }
    }
}

#[test]
fn pairs_match_the_definition() {
    if !has_pairs() {
        return;
    }
    let sizes = [
        (1, 1, 1),
        (1, 1, 2),
        (2, 3, 3),
        (1, 70, 90),
        (70, 1, 91),
        (6, 64, 32),
        (7, 65, 33),
        (13, 10, 1),
        (65, 130, 48),
        (193, 270, 5),
        (200, 17, 700),
        (8, 300, 98),
        (400, 3, 6),
    ];
    for (m, n, k) in sizes {
        let steps = |rows: usize, columns: usize| {
            [(columns, 1), (1, rows), (columns + 1, 1), (1, rows + 1), (2 * columns + 1, 2), (2, 2 * rows + 2)]
        };
        for a_steps in steps(m, k) {
            for b_steps in steps(k, n) {
                check_pairs((m, n, k), a_steps, b_steps);
            }
        }
    }
    // More columns than are packed at a time.
    check_pairs((3, 300, 5001), (5001, 1), (1, 5001));
}

#[test]
fn pairs_keep_what_is_not_finite_to_itself() {
    if !has_pairs() {
        return;
    }
    // Three products: the fourth of the second pair is not there, and adds neither infinity nor NaN.
    let (a, b) = ([1.0, 2.0, f32::INFINITY, 1.0, 1.0, 1.0].map(bf16::from_f32), [1.0, 0.5, 2.0].map(bf16::from_f32));
    let mut c = [bf16::ZERO; 2];
    let lhs = Matrix { start: a.as_ptr(), row: 3, column: 1 };
    let rhs = Matrix { start: b.as_ptr(), row: 1, column: 1 };
    // SAFETY: the processor has pairs, and the arrays hold the matrices.
    unsafe { gemm_pairs(2, 1, 3, c.as_mut_ptr(), 1, lhs, rhs).unwrap() };
    assert_eq!(c.map(f32::from), [f32::INFINITY, 3.5]);
}
