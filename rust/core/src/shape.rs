//! Sizes of a tensor, checked so that an element count never overflows. Depends on `error`.

use std::fmt;
use std::ops::Deref;

use smallvec::SmallVec;

use crate::error::{Error, Result};

/// The sizes of a tensor's axes. Invariant: the product of all sizes, zeros left out, fits `isize` in bytes.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape(SmallVec<[usize; 4]>);

impl Shape {
    /// A shape of these sizes.
    ///
    /// # Errors
    /// When the product of the sizes would overflow.
    pub fn new(sizes: &[usize]) -> Result<Self> {
        let mut product = 1usize;
        for &size in sizes.iter().filter(|&&size| size != 0) {
            product = product.checked_mul(size).filter(|&n| n <= isize::MAX as usize / 16).ok_or_else(|| {
                Error::shape(format!(
                    "shape: {} has more elements than memory can address. Use smaller sizes.",
                    Tuple(sizes)
                ))
            })?;
        }
        Ok(Self(SmallVec::from_slice(sizes)))
    }

    /// A shape of sizes that are known to be sound: taken from other shapes without growing the product.
    pub fn from_sound(sizes: impl IntoIterator<Item = usize>) -> Self {
        Self(sizes.into_iter().collect())
    }

    /// The shape of a 0-d tensor.
    pub fn scalar() -> Self {
        Self(SmallVec::new())
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.0.iter().product()
    }

    /// Row-major strides in elements.
    pub fn strides(&self) -> SmallVec<[isize; 4]> {
        let mut strides = SmallVec::from_elem(1isize, self.rank());
        for axis in (1..self.rank()).rev() {
            strides[axis - 1] = strides[axis] * self.0[axis].max(1) as isize;
        }
        strides
    }

    /// The shape that both broadcast to, by NumPy's rule; `None` where sizes differ and neither is 1.
    pub fn broadcast(&self, other: &Shape) -> Result<Option<Shape>> {
        let rank = self.rank().max(other.rank());
        let size = |shape: &Shape, axis: usize| (axis + shape.rank()).checked_sub(rank).map_or(1, |a| shape[a]);
        let mut sizes: SmallVec<[usize; 4]> = SmallVec::new();
        for axis in 0..rank {
            match (size(self, axis), size(other, axis)) {
                (a, b) if a == b || b == 1 => sizes.push(a),
                (1, b) => sizes.push(b),
                _ => return Ok(None),
            }
        }
        Shape::new(&sizes).map(Some)
    }
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.0
    }
}

/// Prints sizes as Python prints a tuple: `()`, `(3,)`, `(2, 3)`.
pub struct Tuple<'a, T>(pub &'a [T]);

impl<T: fmt::Display> fmt::Display for Tuple<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (i, size) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{size}")?;
        }
        f.write_str(if self.0.len() == 1 { ",)" } else { ")" })
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Tuple(&self.0))
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Tuple(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overflow_is_an_error() {
        assert!(Shape::new(&[usize::MAX, 2]).is_err());
        assert!(Shape::new(&[1 << 40, 0, 1 << 40]).is_err());
        assert_eq!(Shape::new(&[3, 0, 2]).unwrap().elements(), 0);
    }

    #[test]
    fn broadcasting_follows_numpy() {
        let shape = |s: &[usize]| Shape::new(s).unwrap();
        assert_eq!(shape(&[3, 1]).broadcast(&shape(&[4])).unwrap(), Some(shape(&[3, 4])));
        assert_eq!(shape(&[0]).broadcast(&shape(&[1])).unwrap(), Some(shape(&[0])));
        assert_eq!(shape(&[2]).broadcast(&shape(&[3])).unwrap(), None);
    }
}
