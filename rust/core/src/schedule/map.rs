//! Index maps: where, in a tensor's own coordinates, a point of a kernel's domain reads.
//! Depends on `group` and `graph::View`. Invariant: trailing zero strides are trimmed, so that equal maps compare equal
//! whatever axes the domain gains later.

use smallvec::SmallVec;

use crate::graph::View;
use crate::group::{Access, Affine, Guard, Linear};
use crate::shape::Shape;

/// One affine function of the domain's coordinates per axis of the tensor, and the conditions under which the point exists.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct IndexMap {
    pub(super) axes: SmallVec<[Affine; 4]>,
    pub(super) guards: SmallVec<[Guard; 1]>,
}

fn zero() -> Affine {
    Affine { offset: Linear::default(), strides: SmallVec::new() }
}

fn trim(affine: &mut Affine) {
    while affine.strides.last() == Some(&0) {
        affine.strides.pop();
    }
}

/// `sum += term · factor`, offsets included.
fn add_scaled(sum: &mut Affine, term: &Affine, factor: i64) {
    sum.offset.add_scaled(&term.offset, factor);
    if sum.strides.len() < term.strides.len() {
        sum.strides.resize(term.strides.len(), 0);
    }
    for (sum, &stride) in sum.strides.iter_mut().zip(&term.strides) {
        *sum += stride * factor;
    }
}

/// The coordinate of domain axis `axis`.
fn coordinate(axis: usize) -> Affine {
    let mut strides = SmallVec::from_elem(0, axis + 1);
    strides[axis] = 1;
    Affine { offset: Linear::default(), strides }
}

impl IndexMap {
    /// Tensor axis `i` is domain axis `i`; axes of size 1 stay at 0.
    pub(super) fn identity(shape: &[usize]) -> Self {
        let axes =
            shape.iter().enumerate().map(|(axis, &size)| if size == 1 { zero() } else { coordinate(axis) }).collect();
        Self { axes, guards: SmallVec::new() }
    }

    /// The map of a reduction's operand: kept axes as the result's, reduced ones the domain's axes from `first` on.
    pub(super) fn unreduced(&self, shape: &[usize], reduced: &[usize], first: usize) -> Self {
        let mut kept = self.axes.iter();
        let mut next = first;
        let axes = (0..shape.len())
            .map(|axis| {
                if reduced.contains(&axis) {
                    next += 1;
                    if shape[axis] == 1 { zero() } else { coordinate(next - 1) }
                } else {
                    kept.next().cloned().unwrap_or_else(zero)
                }
            })
            .collect();
        Self { axes, guards: self.guards.clone() }
    }

    /// The map into the input of a view, given the map into its output; `None` where no affine map exists.
    /// `slots` is the first slot of the view's op. `domain` holds the domain's sizes.
    pub(super) fn through(
        &self,
        view: &View,
        input: &Shape,
        output: &Shape,
        slots: usize,
        domain: &[usize],
    ) -> Option<Self> {
        let mut guards = self.guards.clone();
        let axes = match view {
            View::Identity => self.axes.clone(),
            View::Permute(order) => {
                let mut axes = SmallVec::from_elem(zero(), order.len());
                for (from, &to) in self.axes.iter().zip(order) {
                    axes[to] = from.clone();
                }
                axes
            }
            View::Expand => {
                let lead = output.rank() - input.rank();
                (0..input.rank())
                    .map(|axis| if input[axis] == 1 { zero() } else { self.axes[axis + lead].clone() })
                    .collect()
            }
            View::Slice { steps, .. } => (0..input.rank())
                .map(|axis| {
                    if input[axis] == 1 {
                        return zero();
                    }
                    let mut index = Affine { offset: slot(slots + axis), strides: SmallVec::new() };
                    add_scaled(&mut index, &self.axes[axis], steps[axis] as i64);
                    trim(&mut index);
                    index
                })
                .collect(),
            View::Pad { .. } => (0..input.rank())
                .map(|axis| {
                    if input[axis] == output[axis] {
                        return self.axes[axis].clone();
                    }
                    let mut index = self.axes[axis].clone();
                    index.offset.add_scaled(&slot(slots + axis), -1);
                    let guard = Guard { position: index.clone(), size: input[axis] };
                    if !guards.contains(&guard) {
                        guards.push(guard);
                    }
                    if input[axis] == 1 { zero() } else { index }
                })
                .collect(),
            View::Reshape => self.reshaped(input, output, domain)?,
        };
        Some(Self { axes, guards })
    }

    /// Axes of `input` from axes of `output`, which hold the same elements in row-major order.
    fn reshaped(&self, input: &Shape, output: &Shape, domain: &[usize]) -> Option<SmallVec<[Affine; 4]>> {
        let mut axes: SmallVec<[Affine; 4]> = SmallVec::from_elem(zero(), input.rank());
        if input.elements() == 0 {
            return Some(axes);
        }
        let (mut i, mut o) = (0, 0);
        while i < input.rank() || o < output.rank() {
            // The smallest run of axes on both sides with the same number of elements.
            let (first_i, first_o) = (i, o);
            let (mut size_i, mut size_o) = (1, 1);
            loop {
                if size_i == size_o && (i > first_i || o > first_o) {
                    break;
                }
                if size_i <= size_o && i < input.rank() {
                    size_i *= input[i];
                    i += 1;
                } else if o < output.rank() {
                    size_o *= output[o];
                    o += 1;
                } else {
                    size_i *= input[i];
                    i += 1;
                }
            }
            let mut linear = zero();
            let mut stride = 1;
            for axis in (first_o..o).rev() {
                add_scaled(&mut linear, &self.axes[axis], stride);
                stride *= output[axis] as i64;
            }
            trim(&mut linear);
            delinearise(&linear, &input[first_i..i], domain, &mut axes[first_i..i])?;
        }
        Some(axes)
    }

    /// The row-major number of the tensor's element: an affine function of the domain.
    pub(super) fn linear(&self, shape: &Shape) -> Affine {
        let mut linear = zero();
        for (axis, stride) in self.axes.iter().zip(shape.strides()) {
            add_scaled(&mut linear, axis, stride as i64);
        }
        trim(&mut linear);
        linear
    }

    /// The access to memory where the tensor's axes have these strides.
    pub(super) fn access(&self, strides: &[isize], offset: &Linear) -> Access {
        let mut index = Affine { offset: offset.clone(), strides: SmallVec::new() };
        for (axis, &stride) in self.axes.iter().zip(strides) {
            add_scaled(&mut index, axis, stride as i64);
        }
        Access { index, guards: self.guards.clone() }
    }

    /// Whether point after point of the domain, row-major, meets element after element of the tensor, row-major.
    pub(super) fn covers(&self, shape: &Shape, domain: &[usize]) -> bool {
        let linear = self.linear(shape);
        if !self.guards.is_empty() || linear.offset != Linear::default() {
            return false;
        }
        if shape.elements() != domain.iter().product::<usize>() {
            return false;
        }
        let mut stride = 1i64;
        for (axis, &size) in domain.iter().enumerate().rev() {
            if size != 1 && linear.strides.get(axis).copied().unwrap_or(0) != stride {
                return false;
            }
            stride *= size as i64;
        }
        true
    }

    /// Whether the map varies along domain axes `from..`.
    pub(super) fn depends_on_axes_from(&self, from: usize) -> bool {
        let varies = |affine: &Affine| affine.strides.len() > from;
        self.axes.iter().any(varies) || self.guards.iter().any(|guard| varies(&guard.position))
    }
}

fn slot(slot: usize) -> Linear {
    Linear { constant: 0, terms: SmallVec::from_slice(&[(slot, 1)]) }
}

/// Splits a row-major number into the coordinates of `sizes`: possible where every term of the sum moves along one axis only.
fn delinearise(linear: &Affine, sizes: &[usize], domain: &[usize], out: &mut [Affine]) -> Option<()> {
    let wide: SmallVec<[usize; 4]> = (0..sizes.len()).filter(|&axis| sizes[axis] != 1).collect();
    if let [only] = wide[..] {
        out[only] = linear.clone();
        return Some(());
    }
    if wide.is_empty() {
        return Some(());
    }
    if !linear.offset.terms.is_empty() {
        return None;
    }
    let mut rest = linear.offset.constant;
    let mut weight: i64 = wide.iter().map(|&axis| sizes[axis] as i64).product();
    let mut taken: SmallVec<[bool; 8]> =
        linear.strides.iter().enumerate().map(|(axis, &stride)| stride == 0 || domain[axis] <= 1).collect();
    for &axis in &wide {
        let size = sizes[axis] as i64;
        let above = weight;
        weight /= size;
        let mut index = zero();
        index.offset.constant = rest.div_euclid(weight);
        rest = rest.rem_euclid(weight);
        let (mut low, mut high) = (index.offset.constant, index.offset.constant);
        for (term, &stride) in linear.strides.iter().enumerate() {
            let span = stride * (domain[term] as i64 - 1);
            if taken[term] || stride % weight != 0 || span.abs() >= above {
                continue;
            }
            taken[term] = true;
            let mut part = coordinate(term);
            part.strides[term] = stride / weight;
            add_scaled(&mut index, &part, 1);
            low += (span / weight).min(0);
            high += (span / weight).max(0);
        }
        if low < 0 || high >= size {
            return None;
        }
        trim(&mut index);
        out[axis] = index;
    }
    taken.iter().all(|&taken| taken).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(sizes: &[usize]) -> Shape {
        Shape::new(sizes).unwrap()
    }

    fn value(affine: &Affine, point: &[usize]) -> i64 {
        affine.strides.iter().zip(point).map(|(s, &p)| s * p as i64).sum::<i64>() + affine.offset.constant
    }

    #[test]
    fn splitting_reshape_reads_the_right_element() {
        let domain = [2, 3, 4];
        let map = IndexMap::identity(&domain);
        let inner = map.through(&View::Reshape, &shape(&[6, 4]), &shape(&domain), 0, &domain).unwrap();
        assert_eq!(value(&inner.axes[0], &[1, 2, 3]), 5);
        assert_eq!(value(&inner.axes[1], &[1, 2, 3]), 3);
    }

    #[test]
    fn merging_reshape_needs_terms_that_stay_on_their_axis() {
        // A flat domain over a [2, 3] tensor is not affine; over a [2, 3] domain seen flat and back it is.
        let flat = IndexMap::identity(&[6]);
        assert!(flat.through(&View::Reshape, &shape(&[2, 3]), &shape(&[6]), 0, &[6]).is_none());
        let square = IndexMap::identity(&[2, 3]);
        let six = square.through(&View::Reshape, &shape(&[6]), &shape(&[2, 3]), 0, &[2, 3]).unwrap();
        let back = six.through(&View::Reshape, &shape(&[2, 3]), &shape(&[6]), 0, &[2, 3]).unwrap();
        assert_eq!(back, square);
    }

    #[test]
    fn flipped_axes_keep_their_offsets() {
        // reverse of a flat [6] read as [2, 3]: element (1, 2) − …
        let mut flat = IndexMap::identity(&[2, 3]);
        flat = flat.through(&View::Reshape, &shape(&[6]), &shape(&[2, 3]), 0, &[2, 3]).unwrap();
        let mut reversed = flat.clone();
        reversed.axes[0] =
            Affine { offset: Linear::constant(5), strides: flat.axes[0].strides.iter().map(|s| -s).collect() };
        let back = reversed.through(&View::Reshape, &shape(&[2, 3]), &shape(&[6]), 0, &[2, 3]).unwrap();
        assert_eq!((value(&back.axes[0], &[0, 0]), value(&back.axes[1], &[0, 0])), (1, 2));
        assert_eq!((value(&back.axes[0], &[1, 2]), value(&back.axes[1], &[1, 2])), (0, 0));
    }

    #[test]
    fn covering_is_row_major_identity() {
        let map = IndexMap::identity(&[2, 3]);
        assert!(map.covers(&shape(&[2, 3]), &[2, 3]));
        assert!(!map.covers(&shape(&[2, 3]), &[3, 2]));
        let turned = map
            .through(&View::Permute(SmallVec::from_slice(&[1, 0])), &shape(&[3, 2]), &shape(&[2, 3]), 0, &[2, 3])
            .unwrap();
        assert!(!turned.covers(&shape(&[3, 2]), &[2, 3]));
    }
}
