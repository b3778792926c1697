//! How a product is cut into blocks for threads. Depends on `kit::gemm`, `kit::threads`.
//! Invariant: blocks partition the result or, where it is small, the sums; how a sum is made follows from sizes alone.

use crate::dtype::DType;
use crate::kit::gemm;
use crate::kit::matmul::is_computed_as_stored;
use crate::kit::threads::num_threads;

/// Nanoseconds of estimated work below which a product is one block, and that a block should have.
const SMALL: f64 = 24_000.0;
const BLOCK: f64 = 16_000.0;
/// Blocks of a large product for each thread (how it is cut does not change a sum), unless a block would then take too long to be interrupted.
const BLOCKS: usize = 4;
const LONGEST_BLOCK: f64 = 50e6;
/// Thinner blocks leave the registers of a tile empty, or pass a panel too seldom.
const FEWEST_ROWS: usize = 32;
const FEWEST_COLUMNS: usize = 64;
/// Results, and pieces of their sums, up to which sums are cut.
const FEW_RESULTS: usize = 4096;
const MOST_PIECES: usize = 64;
/// Pieces of sums are multiples of this.
const PIECE: usize = 512;
/// Fewer columns are not packed.
const FEW_COLUMNS: usize = 8;

/// Sizes of the product and of its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) batch: usize,
    pub(super) m: usize,
    pub(super) n: usize,
    pub(super) k: usize,
    /// Rows and columns of a block.
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Whole matrices of a block; more than one only where `rows` and `columns` are all of them.
    pub(super) matrices: usize,
    /// Length of the summed index that one block takes; less than `k` only where a block is the whole product.
    pub(super) depth: usize,
}

impl Cut {
    /// Products with an epilogue are cut into blocks of whole rows, which are finished early, while they are in the
    /// cache; others into blocks of whole columns, each of which packs its own. Where that makes few blocks, long sums are cut.
    pub(super) fn new(batch: usize, m: usize, n: usize, k: usize, dtype: DType, has_epilogue: bool) -> Self {
        let whole = Self { batch, m, n, k, rows: m, columns: n, matrices: batch, depth: k };
        let size = dtype.size();
        let per_matrix = 0.02 * (m * n * k) as f64 + 0.05 * (size * (m * k + k * n + m * n)) as f64;
        let total = per_matrix * batch as f64;
        if total < SMALL {
            return whole;
        }
        let wanted = (total / BLOCK).min((BLOCKS * num_threads()) as f64).max(total / LONGEST_BLOCK);
        let per_block = total / wanted;
        if per_matrix <= per_block {
            return Self { matrices: (per_block / per_matrix) as usize, ..whole };
        }
        let pieces = (per_matrix / per_block).ceil() as usize;
        let (most_down, most_across) = ((m / FEWEST_ROWS).max(1), n.div_ceil(FEWEST_COLUMNS));
        if batch == 1 && most_down * most_across < BLOCKS && m * n <= FEW_RESULTS && is_computed_as_stored(dtype) {
            let pieces = ((total / BLOCK) as usize).clamp(1, MOST_PIECES);
            return Self { depth: k.div_ceil(pieces).next_multiple_of(PIECE).min(k), ..whole };
        }
        let (by_rows, by_columns) = if has_epilogue {
            let by_rows = pieces.min(most_down);
            (by_rows, pieces.div_ceil(by_rows).min(most_across))
        } else {
            let by_columns = pieces.min(most_across);
            (pieces.div_ceil(by_columns).min(most_down), by_columns)
        };
        let rows = no_sliver(m, m.div_ceil(by_rows), 1);
        let columns = no_sliver(n, n.div_ceil(by_columns).next_multiple_of(FEWEST_COLUMNS), FEWEST_COLUMNS).min(n);
        Self { rows, columns, matrices: 1, ..whole }
    }

    pub(super) fn pieces(&self) -> (usize, usize) {
        (self.m.div_ceil(self.rows), self.n.div_ceil(self.columns))
    }

    /// Whether several blocks read the same columns of the right operand.
    pub(super) fn shares(&self) -> bool {
        self.matrices == 1 && self.rows < self.m && self.n > FEW_COLUMNS && self.k > 0
    }

    /// Pieces of each sum.
    pub(super) fn sum_pieces(&self) -> usize {
        self.k.div_ceil(self.depth.max(1))
    }

    pub(super) fn blocks(&self) -> usize {
        let (rows, columns) = self.pieces();
        self.batch.div_ceil(self.matrices) * rows * columns
    }
}

/// A length of pieces, from `piece` on in steps, whose last piece is not thin where the whole is not: how sums are made must not depend on how
/// much work a block should have.
fn no_sliver(whole: usize, piece: usize, step: usize) -> usize {
    let is_thin = |piece: usize| piece < whole && (1..=gemm::FEW_DOTS).contains(&(whole % piece));
    (piece..).step_by(step).find(|&piece| !is_thin(piece)).unwrap_or(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_the_result() {
        for (batch, m, n, k) in
            [(1, 1, 4096, 4096), (1, 64, 512, 512), (1, 2048, 2048, 2048), (1000, 8, 8, 8), (3, 700, 1, 900)]
        {
            let cut = Cut::new(batch, m, n, k, DType::F32, true);
            let (down, across) = cut.pieces();
            assert!(down * cut.rows >= m && across * cut.columns >= n, "{cut:?}");
            assert!(cut.matrices == 1 || (down, across) == (1, 1), "{cut:?}");
            assert!(cut.blocks() <= 2 * BLOCKS * num_threads() + 2, "{cut:?}");
        }
        for (m, n) in [(100, 513), (200, 257), (97, 20), (1281, 9), (65, 193)] {
            let cut = Cut::new(1, m, n, 3000, DType::F32, m > n);
            assert!(cut.rows >= m || !(1..=gemm::FEW_DOTS).contains(&(m % cut.rows)), "{cut:?}");
            assert!(cut.columns >= n || !(1..=gemm::FEW_DOTS).contains(&(n % cut.columns)), "{cut:?}");
        }
        assert_eq!(Cut::new(1, 8, 8, 8, DType::F32, true).blocks(), 1);
        assert!(Cut::new(1, 1, 4096, 4096, DType::F32, false).blocks() > 1);
    }

    #[test]
    fn long_sums_of_few_results_are_cut() {
        for (m, n, k) in [(1, 1, 1_000_000), (10, 3, 100_003), (32, 64, 50_000), (1, 5, 10_000_000_000)] {
            let cut = Cut::new(1, m, n, k, DType::F32, true);
            assert!((2..=MOST_PIECES).contains(&cut.sum_pieces()), "{cut:?}");
            assert!(cut.depth * (cut.sum_pieces() - 1) < k, "no piece is empty: {cut:?}");
            assert_eq!(Cut::new(1, m, n, k, DType::BF16, true).sum_pieces(), 1);
        }
        assert_eq!(Cut::new(1, 1, 1, 1000, DType::F32, false).sum_pieces(), 1);
    }
}
