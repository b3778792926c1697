//! Axes as users write them, negative ones counting from the end. Depends on `error`.
//! Invariant: an axis that leaves this file is smaller than the rank, and no axis occurs twice.

use smallvec::SmallVec;

use crate::error::{Error, Result};

/// Ascending list of axes.
pub(crate) type Axes = SmallVec<[usize; 4]>;

/// The axis that `axis` means in a tensor of that rank.
///
/// # Errors
/// When it is outside `-rank..rank`.
pub fn normalize_axis(name: &str, axis: isize, rank: usize) -> Result<usize> {
    let limit = rank as isize;
    if axis >= -limit && axis < limit {
        return Ok(if axis < 0 { axis + limit } else { axis } as usize);
    }
    Err(Error::index(if rank == 0 {
        format!("{name}: axis {axis} is out of range: the tensor has rank 0, so it has no axes. Leave the axis out.")
    } else {
        format!("{name}: axis {axis} is out of range for rank {rank}. Use an axis from {} to {}.", -limit, limit - 1)
    }))
}

/// The axes that `axes` means, ascending; all of them for `None`.
///
/// # Errors
/// When one is out of range or occurs twice.
pub fn normalize_axes(name: &str, axes: Option<&[isize]>, rank: usize) -> Result<Axes> {
    let Some(axes) = axes else { return Ok((0..rank).collect()) };
    let mut sorted = unordered_axes(name, axes, rank)?;
    sorted.sort_unstable();
    Ok(sorted)
}

/// The axes that `axes` means, in their order.
pub(crate) fn unordered_axes(name: &str, axes: &[isize], rank: usize) -> Result<Axes> {
    let mut result = Axes::new();
    for &axis in axes {
        let normal = normalize_axis(name, axis, rank)?;
        if result.contains(&normal) {
            return Err(Error::index(format!("{name}: axis {axis} occurs twice. Name every axis once.")));
        }
        result.push(normal);
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn negative_axes_count_from_the_end() {
        assert_eq!(normalize_axis("f", -1, 3).unwrap(), 2);
        assert_eq!(normalize_axes("f", Some(&[-1, 0]), 3).unwrap().as_slice(), &[0, 2]);
        assert_eq!(normalize_axes("f", None, 2).unwrap().as_slice(), &[0, 1]);
    }

    #[test]
    fn bad_axes_are_index_errors() {
        assert_eq!(normalize_axis("f", 3, 3).unwrap_err().kind, ErrorKind::Index);
        assert_eq!(normalize_axis("f", 0, 0).unwrap_err().kind, ErrorKind::Index);
        assert_eq!(normalize_axes("f", Some(&[0, -2]), 2).unwrap_err().kind, ErrorKind::Index);
    }
}
