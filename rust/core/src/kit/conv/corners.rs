//! The additions before and behind the products of squares. Depends on `squares`, `vector`.
//! Invariant: lanes never meet, so whatever lies in one of them stays there.
#![allow(clippy::needless_range_loop, reason = "iterators over arrays may stay calls inside code of other features")]

use super::squares::{PLACES, Run, Squared};
use crate::kit::vector::{Element, Routine, Vector};

/// `Bᵀ d B`
pub(super) struct Sources<'a, E>(pub(super) Squared<'a, E>);

impl<E: Element> Routine<E> for Sources<'_, E> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector<Element = E>>(self) {
        let own = self.0;
        let row = own.place;
        // SAFETY: a copy has room for the taps of all its squares and a vector beyond; the rest is as the caller vouches.
        unsafe {
            let minus = V::splat(E::from(-1.0));
            for piece in own.pieces {
                let [_, down, along] = &piece.space.taps;
                let [down, along] = [[down[0], down[1], down[2], down[3]], [along[0], along[1], along[2], along[3]]];
                own.begin::<V>(piece);
                for channel in 0..own.channels {
                    own.fill::<V>(piece, channel);
                    for packed in &piece.vectors {
                        let from = own.copy.add(packed.flat).cast_const();
                        let mut half = [[minus; 4]; 4];
                        for j in 0..4 {
                            let from = from.offset(along[j]);
                            let (d0, d1) = (V::load(from.offset(down[0])), V::load(from.offset(down[1])));
                            let (d2, d3) = (V::load(from.offset(down[2])), V::load(from.offset(down[3])));
                            half[0][j] = d0.plus_product(d2, minus);
                            half[1][j] = d1.plus(d2);
                            half[2][j] = d2.plus_product(d1, minus);
                            half[3][j] = d1.plus_product(d3, minus);
                        }
                        let to = own.to.add(channel * own.line + packed.at);
                        for i in 0..4 {
                            let [d0, d1, d2, d3] = half[i];
                            let to = to.add(4 * i * row);
                            d0.plus_product(d2, minus).store_packed(to, packed.mask);
                            d1.plus(d2).store_packed(to.add(row), packed.mask);
                            d2.plus_product(d1, minus).store_packed(to.add(2 * row), packed.mask);
                            d1.plus_product(d3, minus).store_packed(to.add(3 * row), packed.mask);
                        }
                    }
                }
            }
            own.end::<V>(PLACES);
        }
    }
}

/// The two by two targets as they are.
pub(super) struct Targets<'a, E>(pub(super) Squared<'a, E>);

impl<E: Element> Routine<E> for Targets<'_, E> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector<Element = E>>(self) {
        let own = self.0;
        let row = own.place;
        // SAFETY: as for `Sources`.
        unsafe {
            for piece in own.pieces {
                let [_, down, along] = &piece.space.taps;
                own.begin::<V>(piece);
                for channel in 0..own.channels {
                    own.fill::<V>(piece, channel);
                    for packed in &piece.vectors {
                        let to = own.to.add(channel * own.line + packed.at);
                        for place in 0..4 {
                            let from = own.copy.add(packed.flat).offset(down[place / 2] + along[place % 2]);
                            V::load(from).store_packed(to.add(place * row), packed.mask);
                        }
                    }
                }
            }
            own.end::<V>(4);
        }
    }
}

/// `A y Aᵀ` for lines of channels.
pub(super) struct Widened<E> {
    /// `[4][squares][line]`
    pub(super) from: *const E,
    /// `[16][squares][line]`
    pub(super) to: *mut E,
    /// Elements of all lines of a place: whole vectors.
    pub(super) elements: usize,
    pub(super) place: usize,
}

impl<E: Element> Routine<E> for Widened<E> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector<Element = E>>(self) {
        // SAFETY: there is room for all lines, which are whole vectors.
        unsafe {
            let (zero, minus) = (V::splat(E::ZERO), V::splat(E::from(-1.0)));
            let mut at = 0;
            while at < self.elements {
                let from = self.from.add(at);
                let (a, b) = (V::load(from), V::load(from.add(self.place)));
                let (c, d) = (V::load(from.add(2 * self.place)), V::load(from.add(3 * self.place)));
                let half = [
                    [a, b],
                    [a.plus(c), b.plus(d)],
                    [a.plus_product(c, minus), b.plus_product(d, minus)],
                    [zero.plus_product(c, minus), zero.plus_product(d, minus)],
                ];
                for i in 0..4 {
                    let [a, b] = half[i];
                    let to = self.to.add(4 * i * self.place + at);
                    a.store(to);
                    a.plus(b).store(to.add(self.place));
                    a.plus_product(b, minus).store(to.add(2 * self.place));
                    zero.plus_product(b, minus).store(to.add(3 * self.place));
                }
                at += V::LANES;
            }
        }
    }
}

/// `Aᵀ m A` and a bias, for one row after the other; the result says whether all is finite.
pub(super) struct Joined<'a, E> {
    /// `[16][rows][line]`
    pub(super) from: *const E,
    pub(super) place: usize,
    pub(super) line: usize,
    pub(super) squares: usize,
    pub(super) rows: usize,
    pub(super) bias: *const E,
    /// Room for four lines.
    pub(super) room: *mut E,
    pub(super) runs: &'a [Run],
    /// Targets of the first row; elements to the next row, and in a square to the target beside and to the one below.
    pub(super) target: *mut E,
    pub(super) plane: usize,
    pub(super) along: usize,
    pub(super) width: usize,
}

impl<E: Element> Routine<E> for Joined<'_, E> {
    type Output = bool;

    #[inline(always)]
    unsafe fn run<V: Vector<Element = E>>(self) -> bool {
        // SAFETY: everything lies in memory, as the caller vouches; a mask's lanes are within a run.
        unsafe {
            let (zero, minus) = (V::splat(E::ZERO), V::splat(E::from(-1.0)));
            let mut checked = zero;
            for r in 0..self.rows {
                let bias = V::splat(*self.bias.add(r));
                let mut at = 0;
                while at < self.squares {
                    let from = self.from.add(r * self.line + at);
                    let mut half = [[zero; 4]; 2];
                    for j in 0..4 {
                        let (m0, m1) = (V::load(from.add(j * self.place)), V::load(from.add((4 + j) * self.place)));
                        let from = from.add(j * self.place);
                        let (m2, m3) = (V::load(from.add(8 * self.place)), V::load(from.add(12 * self.place)));
                        half[0][j] = m0.plus(m1).plus(m2);
                        half[1][j] = m1.plus_product(m2, minus).plus_product(m3, minus);
                    }
                    for i in 0..2 {
                        let [m0, m1, m2, m3] = half[i];
                        let even = m0.plus(m1).plus(m2).plus(bias);
                        let odd = m1.plus_product(m2, minus).plus_product(m3, minus).plus(bias);
                        checked = checked.plus_product(even, zero).plus_product(odd, zero);
                        let to = self.room.add(i * 2 * self.line);
                        let ([low, high], at, apart) = match self.along {
                            1 => (even.zip(odd), 2 * at, V::LANES),
                            2 => (even.zip_pairs(odd), 2 * at, V::LANES),
                            _ => ([even, odd], at, self.line),
                        };
                        low.store(to.add(at));
                        high.store(to.add(at + apart));
                    }
                    at += V::LANES;
                }
                let target = self.target.add(r * self.plane);
                for run in self.runs {
                    for row in 0..1 + usize::from(run.both) {
                        let from = self.room.add(row * 2 * self.line + run.at).cast_const();
                        let to = target.add(run.to + row * self.width);
                        let mut at = 0;
                        while at + V::LANES <= run.count {
                            V::load(from.add(at)).store(to.add(at));
                            at += V::LANES;
                        }
                        if at < run.count {
                            let mask = (1u32 << (run.count - at)) - 1;
                            V::load_some(from.add(at), mask).store_packed(to.add(at), mask);
                        }
                    }
                }
            }
            let sum: f64 = checked.sum().into();
            sum == 0.0
        }
    }
}

/// `G g`
///
/// # Safety
/// The processor has the vector's instructions.
#[inline(always)]
unsafe fn spread<V: Vector<Element: Element>>(g: [V; 3]) -> [V; 4] {
    // SAFETY: as the caller vouches.
    unsafe {
        let zero = V::splat(V::Element::ZERO);
        let (minus, half) = (V::splat(V::Element::from(-1.0)), V::splat(V::Element::from(0.5)));
        let ends = g[0].plus(g[2]);
        let more = zero.plus_product(ends.plus(g[1]), half);
        let less = zero.plus_product(ends.plus_product(g[1], minus), half);
        [g[0], more, less, g[2]]
    }
}

/// `Gᵀ s`
///
/// # Safety
/// The processor has the vector's instructions.
#[inline(always)]
unsafe fn fold<V: Vector<Element: Element>>(s: [V; 4]) -> [V; 3] {
    // SAFETY: as the caller vouches.
    unsafe {
        let zero = V::splat(V::Element::ZERO);
        let (minus, half) = (V::splat(V::Element::from(-1.0)), V::splat(V::Element::from(0.5)));
        let sum = zero.plus_product(s[1].plus(s[2]), half);
        let difference = zero.plus_product(s[1].plus_product(s[2], minus), half);
        [s[0].plus(sum), difference, sum.plus(s[3])]
    }
}

/// `G g Gᵀ` for lines of `rows · channels`, of which each place has `elements`.
pub(super) struct Kernels<E> {
    /// `[9][elements]`
    pub(super) from: *const E,
    pub(super) to: *mut E,
    pub(super) elements: usize,
    /// Elements from place to place of the result.
    pub(super) place: usize,
    /// Whether taps are taken from the last to the first.
    pub(super) turned: [bool; 2],
}

impl<E: Element> Routine<E> for Kernels<E> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector<Element = E>>(self) {
        // SAFETY: there is room for all lines; a last vector is loaded and stored up to its end only.
        unsafe {
            let zero = V::splat(E::ZERO);
            let place = |i: usize, turned: bool| if turned { 2 - i } else { i };
            let mut at = 0;
            while at < self.elements {
                let there = (self.elements - at).min(V::LANES);
                let mask = ((1u64 << there) - 1) as u32;
                let mut rows = [[zero; 4]; 3];
                for j in 0..3 {
                    let mut column = [zero; 3];
                    for i in 0..3 {
                        let tap = 3 * place(i, self.turned[0]) + place(j, self.turned[1]);
                        column[i] = V::load_some(self.from.add(tap * self.elements + at), mask);
                    }
                    rows[j] = spread(column);
                }
                for i in 0..4 {
                    let spread = spread([rows[0][i], rows[1][i], rows[2][i]]);
                    for j in 0..4 {
                        spread[j].store_packed(self.to.add((4 * i + j) * self.place + at), mask);
                    }
                }
                at += V::LANES;
            }
        }
    }
}

/// `Gᵀ s G` for lines of channels, s being the sum of the parts: `[9]` lines from sixteen; the result says whether all is finite.
pub(super) struct Folded<E> {
    pub(super) from: *const E,
    /// Elements from place to place, and from part to part.
    pub(super) place: usize,
    pub(super) part: usize,
    pub(super) parts: usize,
    pub(super) to: *mut E,
    /// Elements of a line: whole vectors.
    pub(super) line: usize,
}

impl<E: Element> Routine<E> for Folded<E> {
    type Output = bool;

    #[inline(always)]
    unsafe fn run<V: Vector<Element = E>>(self) -> bool {
        // SAFETY: there is room for all lines, which are whole vectors.
        unsafe {
            let zero = V::splat(E::ZERO);
            let mut checked = zero;
            let mut at = 0;
            while at < self.line {
                let mut rows = [[zero; 3]; 4];
                for j in 0..4 {
                    let mut column = [zero; 4];
                    for i in 0..4 {
                        let from = self.from.add((4 * i + j) * self.place + at);
                        column[i] = V::load(from);
                        for part in 1..self.parts {
                            column[i] = column[i].plus(V::load(from.add(part * self.part)));
                        }
                    }
                    rows[j] = fold(column);
                }
                for i in 0..3 {
                    let folded = fold([rows[0][i], rows[1][i], rows[2][i], rows[3][i]]);
                    for j in 0..3 {
                        checked = checked.plus_product(folded[j], zero);
                        folded[j].store(self.to.add((3 * i + j) * self.line + at));
                    }
                }
                at += V::LANES;
            }
            let sum: f64 = checked.sum().into();
            sum == 0.0
        }
    }
}
