//! Chooses the sizes of tiles and blocks of rows for a domain.
//! Depends on `domain`, `levels`, `program`. Invariant: sizes follow from the domain and the number of passes alone, and no tile of a
//! folded row crosses a multiple of `BLOCK` unless it holds the whole row, or is folded where it lies.

use super::domain::{Domain, Order, product};
use super::program::{RowUse, Walk};
use super::reduce::BLOCK;

/// Elements of a tile of elementwise work: at least; and at most, since a tile costs some 60 ns beyond its arithmetic.
const TILE: usize = 1024;
const LARGE_TILE: usize = 8192;
/// The same where nothing lies between loads and results, which then pass through the caches once.
const STREAMED_TILE: usize = 32_768;
/// Bytes of values between loads and results of a large tile, beside which its operands still fit the L1 cache.
const HELD: usize = 49_152;
/// Large tiles that elementwise work should have for threads to share, and elements below which a tile is not worth sharing.
const TILES: usize = 16;
const SHARED_TILE: usize = 4096;
/// Rows up to this length stay in the caches between the passes of a row chain; longer ones are computed again.
const KEPT: usize = 8192;
/// The same for columns, whose values would else be computed again from memory that is read in short pieces; and the fewest columns kept.
const KEPT_COLUMNS: usize = 65_536;
const NARROWEST: usize = 64;
/// Rows and elements of a tile that is read across; where one side is shorter, the other is longer.
const SQUARE: usize = 64;
/// Rows at least this long are walked one by one: their row values are scalars then.
const ALONE: usize = 128;
/// Elements of a tile of several rows: short ones, others, and such that are folded in one pass. A block of rows costs some 20 ns per step
/// on row values, so that more rows pay even where the tile leaves the L1 cache.
const SHORT_ROWS: usize = 4096;
const SEVERAL: usize = 8192;
const JOINED: usize = 4 * BLOCK;
/// Bytes of values between loads and results beside which such a tile stays in the L2 cache; a tile of more bytes has half the elements.
const HELD_ROWS: usize = 131_072;
/// Most columns of a block; and blocks that threads should have to share, where that leaves a block at least so many.
const COLUMNS: usize = 1024;
const BLOCKS: usize = 8;
const FEWEST: usize = 256;
/// So few rows may have wider blocks, since a block costs some 200 ns beyond its arithmetic.
const FEW_ROWS: usize = 8;
const FEW_ROWS_COLUMNS: usize = 4096;

impl Walk {
    /// Tile sizes for a domain that is passed over `passes` times, holds `held` bytes of values per element and folds if `folds`.
    /// `plain`: folds take what they find in memory; `joined`: rows follow one another there.
    pub(super) fn choose(
        domain: &Domain,
        passes: usize,
        held: usize,
        folds: bool,
        (plain, joined): (bool, bool),
    ) -> Self {
        let (rows, length) = (domain.rows(), domain.length());
        let last = domain.outer.last().map_or(1, |axis| axis.size);
        let in_place = plain && passes == 1 && held == 0;
        let walk = |columns, block: usize, piece: usize, rectangular, row_use| Self {
            order: domain.order,
            rows,
            length,
            columns,
            block: block.max(1),
            piece: piece.max(1),
            rectangular,
            straight: domain.inner.len() <= 1,
            row_use,
        };
        match domain.order {
            Order::Blocks => {
                let block = (SQUARE * SQUARE / length.clamp(1, SQUARE)).min(last);
                let piece = (SQUARE * SQUARE / block.clamp(1, SQUARE)).min(length);
                walk(last, block, piece, true, RowUse::Expand)
            }
            Order::Rows if length < ALONE && rows > 1 => {
                let block = (tile_of_rows(SHORT_ROWS, held) / length.max(1)).next_multiple_of(8).min(rows);
                walk(rows, block, length, false, RowUse::Expand)
            }
            Order::Rows if folds && joined && 2 * length <= SEVERAL => {
                let most = if passes == 1 { JOINED } else { SEVERAL };
                let block = (tile_of_rows(most, held) / length.max(1)).min(rows / BLOCKS).max(1);
                walk(rows, block, length, false, RowUse::Scalar)
            }
            Order::Rows if !folds && joined && 2 * length <= largest_tile(rows * length, held) => {
                let block = (largest_tile(rows * length, held) / length.max(1)).min(rows / BLOCKS).max(1);
                walk(rows, block, length, false, RowUse::Scalar)
            }
            Order::Rows => {
                let piece = match (folds, passes) {
                    (false, _) => {
                        let most = largest_tile(rows * length, held);
                        even_piece(length, most, product(&domain.inner[domain.inner.len().min(1)..]))
                    }
                    (true, 1) if in_place => length.min(JOINED),
                    (true, 1) => length.min(BLOCK),
                    (true, _) if length <= KEPT => length,
                    _ => BLOCK,
                };
                walk(rows, 1, piece, false, RowUse::Scalar)
            }
            Order::Columns => {
                let most = match (plain, length <= FEW_ROWS && passes == 1) {
                    (true, true) => (last / BLOCKS).clamp(FEWEST, FEW_ROWS_COLUMNS),
                    (true, false) => (last / BLOCKS).clamp(FEWEST, COLUMNS),
                    _ => COLUMNS,
                };
                let block = even_piece(last, most, 1);
                let whole = block == last;
                if passes == 1 && !whole {
                    walk(last, block, 1, false, RowUse::Vector)
                } else if whole && (passes == 1 || length * last <= KEPT || length * NARROWEST > KEPT_COLUMNS) {
                    let most = if passes > 1 && length * last <= KEPT { length } else { (2 * TILE / last).max(1) };
                    let piece = most.min(length).min(BLOCK);
                    walk(last, last, piece, false, if piece == 1 { RowUse::Vector } else { RowUse::Expand })
                } else if length * NARROWEST <= KEPT_COLUMNS {
                    let block = even_piece(last, (KEPT / length.max(1)).max(NARROWEST), 1);
                    walk(last, block, length, block != last, RowUse::Expand)
                } else {
                    walk(last, block, 1, false, RowUse::Vector)
                }
            }
        }
    }

    /// Whether a tile holds whole rows, so that values can be kept from pass to pass.
    pub(super) fn keeps(&self) -> bool {
        self.piece >= self.length
    }
}

/// Elements of a tile of elementwise work at most.
fn largest_tile(elements: usize, held: usize) -> usize {
    let most = if held == 0 { STREAMED_TILE } else { LARGE_TILE };
    (HELD / held.max(1)).min((elements / TILES).max(SHARED_TILE)).clamp(TILE, most)
}

/// Elements of a tile of several rows: `most`, or half as many where they hold many values.
fn tile_of_rows(most: usize, held: usize) -> usize {
    if held * most <= HELD_ROWS { most } else { most / 2 }
}

/// Cuts `length` into the fewest pieces of at most about `most`, as even as multiples of 16 allow;
/// where `period` divides the length and fits, pieces are multiples of it.
fn even_piece(length: usize, most: usize, period: usize) -> usize {
    if period > 1 && period <= most && length.is_multiple_of(period) {
        return (most / period * period).min(length);
    }
    let pieces = length.div_ceil(most).max(1);
    length.div_ceil(pieces).next_multiple_of(16).min(length)
}
