//! Register tiles: what convolutions spend their time in. Depends on `vector`.
//! Invariant: a tile's sums stay in registers from the first product to the last.
#![allow(clippy::needless_range_loop, reason = "iterators over arrays may stay calls inside code of other features")]

use crate::kit::simd::Path;
use crate::kit::vector::{Element, Routine, Vector, by_lane, launch, many};

/// Where the lanes of one vector go: those of the mask, one beside the other, from `at` on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lanes {
    pub(super) mask: u32,
    pub(super) at: usize,
}

/// `rows` rows of targets from shifted sources.
pub(super) struct Tile<E> {
    /// Products per target.
    pub(super) depth: usize,
    /// The source of the first lane of the first vector.
    pub(super) source: *const E,
    /// `[depth]`: from there to what each product reads.
    pub(super) offsets: *const isize,
    /// `[depth][R]`
    pub(super) weights: *const E,
    /// What is added to the sums in the end, `[R]`.
    pub(super) bias: *const E,
    /// The first row's targets.
    pub(super) target: *mut E,
    /// Elements from row to row.
    pub(super) row: usize,
    /// Rows that are stored, at most R.
    pub(super) rows: usize,
    /// One per vector.
    pub(super) lanes: *const Lanes,
}

/// A tile of `R` rows of `N` vectors, for processors with 32 registers or (`M` false) with 16.
struct Shaped<'a, E, const M: bool, const R: usize, const N: usize>(&'a Tile<E>);

impl<E: Element, const M: bool, const R: usize, const N: usize> Routine<E> for Shaped<'_, E, M, R, N> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector<Element = E>>(self) {
        if M != V::MANY {
            return;
        }
        let tile = self.0;
        // SAFETY: all vectors can be read at all offsets, and the lanes of the masks can be written, as the tile's maker vouches.
        unsafe {
            // Zeros rather than the biases: an array of vectors that differ begins its life on the stack.
            let mut sums = [[V::splat(E::ZERO); N]; R];
            // Targets are on their way while the products are made.
            let first = tile.target.wrapping_add((*tile.lanes).at);
            for r in 0..R {
                for n in 0..=N {
                    V::fetch(first.wrapping_add(r * tile.row + n * V::LANES));
                }
            }
            let (mut weights, mut offset) = (tile.weights, tile.offsets);
            let end = tile.offsets.add(tile.depth);
            while offset != end {
                let from = tile.source.offset(*offset);
                let mut line = [V::load(from); N];
                for n in 1..N {
                    line[n] = V::load(from.add(n * V::LANES));
                }
                if V::BY_LANE {
                    by_lane::adjacent(&mut sums, &line, weights);
                } else {
                    for r in 0..R {
                        let weight = V::splat(*weights.add(r));
                        for n in 0..N {
                            sums[r][n] = sums[r][n].plus_product(weight, line[n]);
                        }
                    }
                }
                weights = weights.add(R);
                offset = offset.add(1);
            }
            let mut all = tile.rows == R;
            for n in 0..N {
                all &= (*tile.lanes.add(n)).mask == V::ALL;
            }
            for r in 0..R {
                let bias = V::splat(*tile.bias.add(r));
                for n in 0..N {
                    sums[r][n] = sums[r][n].plus(bias);
                }
            }
            if all {
                for n in 0..N {
                    let to = tile.target.add((*tile.lanes.add(n)).at);
                    for r in 0..R {
                        sums[r][n].store(to.add(r * tile.row));
                    }
                }
                return;
            }
            for n in 0..N {
                let lanes = *tile.lanes.add(n);
                let to = tile.target.add(lanes.at);
                for r in 0..R {
                    if r < tile.rows {
                        sums[r][n].store_part(to.add(r * tile.row), lanes.mask);
                    }
                }
            }
        }
    }
}

/// Rows of a tile that suits so many rows, and the vectors beside each other.
pub(super) fn shape(rows: usize, many: bool) -> (usize, usize) {
    let shapes: &[(usize, usize, f64)] = if many {
        &[(8, 3, 1.0), (6, 4, 1.0), (4, 6, 1.0), (3, 7, 1.1), (2, 8, 1.2), (1, 8, 2.0)]
    } else {
        &[(6, 2, 1.0), (4, 3, 1.0), (2, 4, 1.3), (1, 8, 2.0)]
    };
    let cost = |&(r, _, price): &(usize, usize, f64)| (rows.div_ceil(r) * r) as f64 * price;
    let best = shapes.iter().min_by(|a, b| cost(a).total_cmp(&cost(b)));
    best.map_or((1, 8), |&(r, n, _)| (r, n))
}

/// Vectors of a tile for the last `left` vectors of a row.
pub(super) fn narrow(vectors: usize, left: usize) -> usize {
    if left >= vectors {
        vectors
    } else if left == 1 {
        1
    } else if left <= vectors.div_ceil(2) {
        vectors.div_ceil(2)
    } else {
        vectors
    }
}

/// Runs a tile of that shape; shapes are those of `shape` and `narrow`.
///
/// # Safety
/// All vectors can be read at all offsets, the lanes of the masks can be written, and the processor has the path's instructions.
#[inline]
pub(super) unsafe fn run<E: Element>(path: Path, tile: &Tile<E>, rows: usize, vectors: usize) {
    macro_rules! shapes {
        ($many:literal: $($r:literal $n:literal,)* else $last_r:literal $last_n:literal) => {
            // SAFETY: as the caller vouches.
            unsafe {
                match (rows, vectors) {
                    $(($r, $n) => launch(path, Shaped::<E, $many, $r, $n>(tile)),)*
                    _ => launch(path, Shaped::<E, $many, $last_r, $last_n>(tile)),
                }
            }
        };
    }
    if many::<E>(path) {
        shapes!(true: 8 3, 8 2, 8 1, 6 4, 6 2, 6 1, 4 6, 4 3, 4 1, 3 7, 3 4, 3 1, 2 8, 2 4, 2 1, 1 8, 1 4, else 1 1);
    } else {
        shapes!(false: 6 2, 6 1, 4 3, 4 2, 4 1, 2 4, 2 2, 2 1, 1 8, 1 4, else 1 1);
    }
}

/// `sums[r][…] += Σ_q source[places[q] + offsets[r]] · lines[q][…]` for `R` offsets and `N` vectors.
pub(super) struct Outer<E> {
    pub(super) count: usize,
    pub(super) source: *const E,
    pub(super) places: *const isize,
    pub(super) offsets: *const isize,
    pub(super) lines: *const E,
    /// Elements from line to line.
    pub(super) line: usize,
    pub(super) sums: *mut E,
    /// Elements from sum row to sum row.
    pub(super) row: usize,
}

/// An outer tile of `R` offsets and `N` vectors.
struct ShapedOuter<'a, E, const M: bool, const R: usize, const N: usize>(&'a Outer<E>);

impl<E: Element, const M: bool, const R: usize, const N: usize> Routine<E> for ShapedOuter<'_, E, M, R, N> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector<Element = E>>(self) {
        if M != V::MANY {
            return;
        }
        let tile = self.0;
        // SAFETY: everything lies in memory, as the tile's maker vouches.
        unsafe {
            let mut sums = [[V::load(tile.sums); N]; R];
            let mut offsets = [0; R];
            for r in 0..R {
                offsets[r] = *tile.offsets.add(r);
                for n in 0..N {
                    sums[r][n] = V::load(tile.sums.add(r * tile.row + n * V::LANES));
                }
            }
            let mut from = tile.lines;
            for q in 0..tile.count {
                let source = tile.source.offset(*tile.places.add(q));
                let mut line = [V::load(from); N];
                for n in 1..N {
                    line[n] = V::load(from.add(n * V::LANES));
                }
                for r in 0..R {
                    let x = V::factor(source.offset(offsets[r]));
                    for n in 0..N {
                        sums[r][n] = sums[r][n].plus_scaled(line[n], x);
                    }
                }
                from = from.add(tile.line);
            }
            for r in 0..R {
                for n in 0..N {
                    sums[r][n].store(tile.sums.add(r * tile.row + n * V::LANES));
                }
            }
        }
    }
}

/// Offsets of an outer tile and its vectors, for lines of so many vectors.
pub(super) fn outer_shape(vectors: usize, many: bool) -> (usize, usize) {
    let shapes: &[(usize, usize)] = if many { &[(6, 4), (8, 3), (10, 2), (10, 1)] } else { &[(4, 3), (6, 2), (8, 1)] };
    let cost = |&(_, n): &(usize, usize)| vectors.div_ceil(n) * n;
    shapes.iter().min_by_key(|shape| cost(shape)).copied().unwrap_or((6, 1))
}

/// Runs an outer tile of a shape of `outer_shape`.
///
/// # Safety
/// Everything lies in memory, and the processor has the path's instructions.
#[inline]
pub(super) unsafe fn run_outer<E: Element>(path: Path, tile: &Outer<E>, vectors: usize) {
    // SAFETY: as the caller vouches.
    unsafe {
        match (many::<E>(path), vectors) {
            (true, 4) => launch(path, ShapedOuter::<E, true, 6, 4>(tile)),
            (true, 3) => launch(path, ShapedOuter::<E, true, 8, 3>(tile)),
            (true, 2) => launch(path, ShapedOuter::<E, true, 10, 2>(tile)),
            (true, _) => launch(path, ShapedOuter::<E, true, 10, 1>(tile)),
            (false, 3) => launch(path, ShapedOuter::<E, false, 4, 3>(tile)),
            (false, 2) => launch(path, ShapedOuter::<E, false, 6, 2>(tile)),
            (false, _) => launch(path, ShapedOuter::<E, false, 8, 1>(tile)),
        }
    }
}

/// `sums[r] += Σ source[h · source_row + w + offsets[r]] · line[h · line_row + w]` over `rows` × `wide` pixels.
pub(super) struct Inner<E> {
    pub(super) rows: usize,
    pub(super) wide: usize,
    pub(super) source: *const E,
    pub(super) source_row: isize,
    pub(super) offsets: *const isize,
    pub(super) line: *const E,
    pub(super) line_row: isize,
    pub(super) sums: *mut E,
}

/// Offsets of an inner tile.
pub(super) const INNER: usize = 9;

/// An inner tile of `R` offsets.
pub(super) struct ShapedInner<'a, E, const R: usize>(pub(super) &'a Inner<E>);

impl<E: Element, const R: usize> Routine<E> for ShapedInner<'_, E, R> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector<Element = E>>(self) {
        let tile = self.0;
        // SAFETY: everything lies in memory, as the tile's maker vouches.
        unsafe {
            let mut sums = [V::splat(E::ZERO); R];
            let mut offsets = [0; R];
            for r in 0..R {
                offsets[r] = *tile.offsets.add(r);
            }
            let rest = tile.wide % V::LANES;
            let mask = (1u32 << rest) - 1;
            let (mut source, mut line) = (tile.source, tile.line);
            for _ in 0..tile.rows {
                let mut w = 0;
                while w + V::LANES <= tile.wide {
                    let y = V::load(line.add(w));
                    for r in 0..R {
                        sums[r] = sums[r].plus_product(y, V::load(source.add(w).offset(offsets[r])));
                    }
                    w += V::LANES;
                }
                if rest > 0 {
                    let y = V::load_some(line.add(w), mask);
                    // What lies behind the row may be infinite, which times 0 were no number.
                    for r in 0..R {
                        sums[r] = sums[r].plus_product(y, V::load_some(source.add(w).offset(offsets[r]), mask));
                    }
                }
                source = source.wrapping_offset(tile.source_row);
                line = line.wrapping_offset(tile.line_row);
            }
            for r in 0..R {
                let to = tile.sums.add(r);
                *to = *to + sums[r].sum();
            }
        }
    }
}
