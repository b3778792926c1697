//! Where a tensor's elements lie in a buffer: shape, strides, offset; view operations as algebra on it.
//! Depends on `shape`. Invariant: every index inside `shape` lands inside the buffer that the layout was made for.

use smallvec::SmallVec;

use crate::shape::Shape;

/// Strides in elements; negative ones walk backwards, zero repeats.
pub type Strides = SmallVec<[isize; 4]>;

/// A strided window on a buffer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Sizes of the axes.
    pub shape: Shape,
    /// Steps between neighbours of each axis, in elements.
    pub strides: Strides,
    /// Element of the buffer where index `(0, …, 0)` lies.
    pub offset: isize,
}

impl Layout {
    /// Row-major from the buffer's start.
    pub fn contiguous(shape: Shape) -> Self {
        let strides = shape.strides();
        Self { shape, strides, offset: 0 }
    }

    /// Whether elements lie row-major without gaps (axes of size 1 do not count).
    pub fn is_contiguous(&self) -> bool {
        let mut expected = 1isize;
        for (&size, &stride) in self.shape.iter().zip(&self.strides).rev() {
            if size == 0 {
                return true;
            }
            if size != 1 {
                if stride != expected {
                    return false;
                }
                expected *= size as isize;
            }
        }
        true
    }

    /// Axes reordered: output axis `i` is input axis `order[i]`.
    pub fn permute(&self, order: &[usize]) -> Self {
        Self {
            shape: Shape::from_sound(order.iter().map(|&a| self.shape[a])),
            strides: order.iter().map(|&a| self.strides[a]).collect(),
            offset: self.offset,
        }
    }

    /// Broadcast to `shape`: new leading axes and axes of size 1 repeat with stride 0.
    pub fn expand(&self, shape: &Shape) -> Self {
        let lead = shape.rank() - self.shape.rank();
        let strides = (0..shape.rank())
            .map(|a| if a < lead || (self.shape[a - lead] == 1 && shape[a] != 1) { 0 } else { self.strides[a - lead] })
            .collect();
        Self { shape: shape.clone(), strides, offset: self.offset }
    }

    /// Per axis: first index, step (may be negative) and resulting size.
    pub fn slice(&self, starts: &[isize], steps: &[isize], sizes: &Shape) -> Self {
        let empty = sizes.elements() == 0;
        let offset =
            if empty { 0 } else { starts.iter().zip(&self.strides).map(|(&s, &stride)| s * stride).sum::<isize>() };
        Self {
            shape: sizes.clone(),
            strides: self.strides.iter().zip(steps).map(|(&stride, &step)| stride * step).collect(),
            offset: self.offset + offset,
        }
    }

    /// The same elements in row-major order under another shape, where strides allow it without a copy.
    pub fn reshape(&self, shape: &Shape) -> Option<Self> {
        if self.shape.elements() == 0 || self.is_contiguous() {
            return Some(Self { shape: shape.clone(), strides: shape.strides(), offset: self.offset });
        }
        // Merge input axes that compose into runs, then cut the runs into the output's axes.
        let mut runs: SmallVec<[(usize, isize); 4]> = SmallVec::new();
        for (&size, &stride) in self.shape.iter().zip(&self.strides).filter(|(size, _)| **size != 1) {
            match runs.last_mut() {
                Some((length, last)) if *last == stride * size as isize => (*length, *last) = (*length * size, stride),
                _ => runs.push((size, stride)),
            }
        }
        let mut strides: Strides = SmallVec::from_elem(0, shape.rank());
        let mut runs = runs.into_iter().rev();
        let (mut left, mut step) = runs.next().unwrap_or((1, 1));
        for axis in (0..shape.rank()).rev() {
            let size = shape[axis];
            if size == 1 {
                strides[axis] = step;
                continue;
            }
            if left == 1 {
                (left, step) = runs.next()?;
            }
            if left % size != 0 {
                return None;
            }
            strides[axis] = step;
            (left, step) = (left / size, step * size as isize);
        }
        Some(Self { shape: shape.clone(), strides, offset: self.offset })
    }

    /// Smallest and largest element that the layout reaches; `None` where it reaches none.
    pub fn reach(&self) -> Option<(isize, isize)> {
        if self.shape.elements() == 0 {
            return None;
        }
        let (mut low, mut high) = (self.offset, self.offset);
        for (&size, &stride) in self.shape.iter().zip(&self.strides) {
            let span = stride * (size as isize - 1);
            low += span.min(0);
            high += span.max(0);
        }
        Some((low, high))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(sizes: &[usize]) -> Shape {
        Shape::new(sizes).unwrap()
    }

    #[test]
    fn reshape_composes_or_refuses() {
        let base = Layout::contiguous(shape(&[4, 6]));
        assert_eq!(base.reshape(&shape(&[2, 2, 6])).unwrap().strides.as_slice(), &[12, 6, 1]);
        let turned = base.permute(&[1, 0]);
        assert!(turned.reshape(&shape(&[24])).is_none());
        assert_eq!(turned.reshape(&shape(&[2, 3, 4])).unwrap().strides.as_slice(), &[3, 1, 6]);
        let row = Layout::contiguous(shape(&[3])).expand(&shape(&[4, 3]));
        assert!(row.reshape(&shape(&[12])).is_none());
        assert_eq!(row.reshape(&shape(&[2, 2, 3])).unwrap().strides.as_slice(), &[0, 0, 1]);
    }

    #[test]
    fn slices_walk_backwards() {
        let layout = Layout::contiguous(shape(&[5])).slice(&[4], &[-2], &shape(&[3]));
        assert_eq!((layout.offset, layout.strides[0]), (4, -2));
        assert_eq!(layout.reach(), Some((0, 4)));
    }
}
