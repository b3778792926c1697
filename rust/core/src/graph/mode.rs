//! Per-thread state of graph building: whether gradients are recorded, the dtype of products, and the module path for messages.
//! Depends on `dtype` and `backend`. Invariant: a guard restores what it found.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::LazyLock;

use parking_lot::Mutex;

use crate::backend::Device;
use crate::dtype::DType;

thread_local! {
    static GRAD: Cell<bool> = const { Cell::new(true) };
    static AUTOCAST: Cell<[Option<DType>; 2]> = const { Cell::new([None; 2]) };
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

fn kind(device: Device) -> usize {
    usize::from(device != Device::Cpu)
}

/// The dtype in which products of float32 tensors on such a device are computed, where a block of mixed precision is in force.
pub fn autocast(device: Device) -> Option<DType> {
    AUTOCAST.get()[kind(device)]
}

/// Sets the dtype of products on devices of this kind for this thread; returns what was in force.
pub fn set_autocast(device: Device, dtype: Option<DType>) -> Option<DType> {
    let mut all = AUTOCAST.get();
    let old = std::mem::replace(&mut all[kind(device)], dtype);
    AUTOCAST.set(all);
    old
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

/// Module paths seen so far.
#[derive(Default)]
struct Paths {
    /// A path's number is its index plus one.
    names: Vec<String>,
    /// Numbers of the paths one name longer, per path; the first is for 0.
    inner: Vec<HashMap<String, u32>>,
}

static PATHS: LazyLock<Mutex<Paths>> =
    LazyLock::new(|| Mutex::new(Paths { names: Vec::new(), inner: vec![HashMap::new()] }));

/// Enters a module of that name, inside the one in force: nodes born from now on carry `outer.name`.
pub fn push_scope(name: &str) {
    let outer = current_scope() as usize;
    let mut paths = PATHS.lock();
    let number = paths.inner[outer].get(name).copied().unwrap_or_else(|| {
        let path = if outer == 0 { name.to_owned() } else { format!("{}.{name}", paths.names[outer - 1]) };
        paths.names.push(path);
        paths.inner.push(HashMap::new());
        let number = paths.names.len() as u32;
        paths.inner[outer].insert(name.to_owned(), number);
        number
    });
    drop(paths);
    SCOPES.with_borrow_mut(|scopes| scopes.push(number));
}

/// Leaves the innermost module.
pub fn pop_scope() {
    SCOPES.with_borrow_mut(|scopes| scopes.pop());
}

/// A module path in force until dropped, then again the one found.
#[derive(Debug)]
pub struct InScope(());

impl InScope {
    /// Puts the path of that number in force; 0 is none.
    pub fn enter(number: u32) -> Self {
        SCOPES.with_borrow_mut(|scopes| scopes.push(number));
        Self(())
    }
}

impl Drop for InScope {
    fn drop(&mut self) {
        pop_scope();
    }
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
    number.checked_sub(1).map_or_else(String::new, |index| PATHS.lock().names[index as usize].clone())
}
