//! Per-thread state of graph building: whether gradients are recorded, and the module path for messages.
//! Depends on nothing. Invariant: a guard restores what it found.

use std::cell::{Cell, RefCell};
use std::sync::LazyLock;

use parking_lot::Mutex;

thread_local! {
    static GRAD: Cell<bool> = const { Cell::new(true) };
    static SCOPES: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// Whether new nodes record history.
pub fn grad_enabled() -> bool {
    GRAD.get()
}

/// Turns recording on or off for this thread; returns what was in force.
pub fn set_grad_enabled(enabled: bool) -> bool {
    GRAD.replace(enabled)
}

/// Recording on or off until dropped.
#[derive(Debug)]
pub struct GradMode(bool);

impl GradMode {
    /// Turns recording on or off until the guard is dropped.
    pub fn set(enabled: bool) -> Self {
        Self(set_grad_enabled(enabled))
    }
}

impl Drop for GradMode {
    fn drop(&mut self) {
        GRAD.set(self.0);
    }
}

/// Module paths seen so far; a path's number is its index plus one.
static PATHS: LazyLock<Mutex<Vec<String>>> = LazyLock::new(|| Mutex::new(Vec::new()));

/// Enters a module of that name, inside the one in force: nodes born from now on carry `outer.name`.
pub fn push_scope(name: &str) {
    let outer = scope_name(current_scope());
    let path = if outer.is_empty() { name.to_owned() } else { format!("{outer}.{name}") };
    let mut paths = PATHS.lock();
    let number = paths.iter().position(|p| *p == path).unwrap_or_else(|| {
        paths.push(path);
        paths.len() - 1
    });
    SCOPES.with_borrow_mut(|scopes| scopes.push(number as u32 + 1));
}

/// Leaves the innermost module.
pub fn pop_scope() {
    SCOPES.with_borrow_mut(|scopes| scopes.pop());
}

/// Whether this thread is inside a module.
pub fn is_recording_scopes() -> bool {
    SCOPES.with_borrow(|scopes| !scopes.is_empty())
}

/// Number of the module path in force; 0 outside modules.
pub fn current_scope() -> u32 {
    SCOPES.with_borrow(|scopes| scopes.last().copied().unwrap_or(0))
}

/// The path of that number; empty for 0.
pub fn scope_name(number: u32) -> String {
    number.checked_sub(1).map_or_else(String::new, |index| PATHS.lock()[index as usize].clone())
}
