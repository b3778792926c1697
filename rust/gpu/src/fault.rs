//! Failures made on purpose, for tests: what a driver out of memory, a broken driver or a lost device does.
//! Depends on nothing. Invariant: without an order nothing happens, at the price of one load per call.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

/// Calls until the failure; 0 without an order.
static LEFT: AtomicU64 = AtomicU64::new(0);
static KIND: AtomicU8 = AtomicU8::new(0);

/// What a call of the driver can do instead of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Finds no memory.
    Memory,
    /// Reports an error of its own.
    Driver,
    /// Ends the device.
    Lost,
}

/// Makes the n-th next guarded call fail (1 is the very next); `None` takes the order back. Returns whether the last order is still open.
/// For tests.
pub fn fail_call(n: Option<u64>, failure: Failure) -> bool {
    KIND.store(failure as u8, Relaxed);
    LEFT.swap(n.unwrap_or(0), Relaxed) > 0
}

/// What the call that begins shall do, where it is the one ordered.
pub(crate) fn due() -> Option<Failure> {
    if LEFT.load(Relaxed) == 0 || LEFT.fetch_sub(1, Relaxed) != 1 {
        return None;
    }
    [Failure::Memory, Failure::Driver, Failure::Lost].into_iter().find(|failure| *failure as u8 == KIND.load(Relaxed))
}
