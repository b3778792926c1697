//! Checks indices against the size of what they index.
//! Depends on `dtype`. Invariant: what comes out is inside the size, whatever went in.

use crate::dtype::Compute;

/// Passes `n` indices of this compute type on, negative ones increased by `limit` when `wrap`, bad ones as 0; returns the first bad one.
///
/// # Safety
/// `n` values of the type lie at `source`, and there is room for them at `dst`, which may equal `source`.
pub(super) unsafe fn check(
    compute: Compute,
    n: usize,
    limit: usize,
    wrap: bool,
    source: *const u8,
    dst: *mut u8,
) -> Option<i128> {
    // SAFETY: as the caller vouches.
    unsafe {
        match compute {
            Compute::I32 => typed::<i32>(n, limit, wrap, source.cast(), dst.cast()),
            Compute::I64 => typed::<i64>(n, limit, wrap, source.cast(), dst.cast()),
            Compute::U64 => typed::<u64>(n, limit, wrap, source.cast(), dst.cast()),
            // Other types are no indices: graph building refuses them.
            Compute::Mask | Compute::F32 | Compute::F64 => None,
        }
    }
}

/// # Safety
/// As for `check`.
unsafe fn typed<T: Copy + Default + Into<i128> + TryFrom<i128>>(
    n: usize,
    limit: usize,
    wrap: bool,
    source: *const T,
    dst: *mut T,
) -> Option<i128> {
    let size = limit as i128;
    let mut bad = None;
    for i in 0..n {
        // SAFETY: `i < n`.
        let value: i128 = unsafe { source.add(i).read() }.into();
        let wrapped = if wrap && value < 0 { value + size } else { value };
        let good = (0..size).contains(&wrapped);
        if !good && bad.is_none() {
            bad = Some(value);
        }
        let passed = if good { T::try_from(wrapped).unwrap_or_default() } else { T::default() };
        // SAFETY: `i < n`.
        unsafe { dst.add(i).write(passed) };
    }
    bad
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::out_of_range;

    #[test]
    fn indices_wrap_and_bad_ones_are_named() {
        let mut indices = [0i64, -1, 4, -5, 5, -6];
        let memory = indices.as_mut_ptr().cast::<u8>();
        // SAFETY: the array is that long.
        let bad = unsafe { check(Compute::I64, 6, 5, true, memory, memory) };
        assert_eq!((bad, indices), (Some(5), [0, 4, 4, 0, 0, 0]));
        let message = out_of_range("take", 5, 5, true).message;
        assert_eq!(message, "take: index 5 is out of range for size 5. Use indices from -5 to 4.");
    }
}
