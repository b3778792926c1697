//! A panic made on purpose, for tests: what a bug in a kernel would do. Depends on nothing.
//! Invariant: without an order nothing happens, at the price of one load per kernel.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Kernels until the panic; 0 without an order.
static LEFT: AtomicU64 = AtomicU64::new(0);

/// Makes the n-th next kernel panic (1 is the very next); `None` takes the order back. For tests.
pub fn panic_in_kernel(n: Option<u64>) {
    LEFT.store(n.unwrap_or(0), Relaxed);
}

/// A kernel begins.
///
/// # Panics
/// When it is the one ordered.
pub(super) fn kernel_begins() {
    if LEFT.load(Relaxed) > 0 && LEFT.fetch_sub(1, Relaxed) == 1 {
        panic!("a fault ordered by a test");
    }
}
