//! What products by way of a packed right operand need of their elements. Depends on `gemm`.
//! Invariant: a panel of a right operand has the same number of bytes wherever it lies, so that panels can be packed apart.

use std::ops::Range;

use half::bf16;

use super::{Matrix, pairs};
use crate::error::Result;
use crate::kit::vector::Element;

/// Elements of operands and results.
pub(crate) trait Factor: Copy + Send + Sync + 'static {
    /// Columns of a panel.
    fn panel_columns() -> usize;

    /// Elements of one column of a panel.
    fn panel_rows(k: usize) -> usize;

    /// As `gemm::pack_panels`.
    ///
    /// # Safety
    /// As there.
    unsafe fn pack_panels(b: Matrix<Self>, k: usize, n: usize, panels: Range<usize>, packed: *mut Self);

    /// As `gemm::multiply_packed`.
    ///
    /// # Errors
    /// Exhausted memory.
    ///
    /// # Safety
    /// As there.
    unsafe fn multiply_packed(
        m: usize,
        n: usize,
        k: usize,
        c: *mut Self,
        c_row: isize,
        a: Matrix<Self>,
        packed: *const Self,
    ) -> Result<()>;
}

impl<E: Element> Factor for E {
    fn panel_columns() -> usize {
        super::panel_columns::<E>()
    }

    fn panel_rows(k: usize) -> usize {
        k
    }

    unsafe fn pack_panels(b: Matrix<E>, k: usize, n: usize, panels: Range<usize>, packed: *mut E) {
        // SAFETY: as the caller vouches.
        unsafe { super::pack_panels(b, k, n, panels, packed) }
    }

    unsafe fn multiply_packed(
        m: usize,
        n: usize,
        k: usize,
        c: *mut E,
        c_row: isize,
        a: Matrix<E>,
        packed: *const E,
    ) -> Result<()> {
        // SAFETY: as the caller vouches.
        unsafe { super::multiply_packed(m, n, k, c, c_row, a, packed) };
        Ok(())
    }
}

/// For processors that have pairs.
impl Factor for bf16 {
    fn panel_columns() -> usize {
        super::panel_columns::<f32>()
    }

    fn panel_rows(k: usize) -> usize {
        2 * pairs::pairs(k)
    }

    unsafe fn pack_panels(b: Matrix<bf16>, k: usize, n: usize, panels: Range<usize>, packed: *mut bf16) {
        // SAFETY: as the caller vouches.
        unsafe { pairs::pack_panels(b, k, n, panels, packed.cast()) }
    }

    unsafe fn multiply_packed(
        m: usize,
        n: usize,
        k: usize,
        c: *mut bf16,
        c_row: isize,
        a: Matrix<bf16>,
        packed: *const bf16,
    ) -> Result<()> {
        // SAFETY: as the caller vouches.
        unsafe { pairs::multiply_packed(m, n, k, c, c_row, a, packed.cast()) }
    }
}
