//! Finding out what a function reads from outside: differentiable tensors that operations take in while one watches.
//! Depends on `node`. Invariant: watches nest, belong to their thread, and see no tensor born after they began.

use std::cell::{Cell, RefCell};

use super::node::Tensor;

struct Watch {
    /// Nodes from this number on are the function's own.
    before: u64,
    found: Vec<Tensor>,
}

thread_local! {
    static WATCHING: Cell<bool> = const { Cell::new(false) };
    static WATCHES: RefCell<Vec<Watch>> = const { RefCell::new(Vec::new()) };
}

/// Begins to gather the differentiable inputs of operations that are older than node `before`.
pub fn begin_capture(before: u64) {
    WATCHES.with_borrow_mut(|watches| watches.push(Watch { before, found: Vec::new() }));
    WATCHING.set(true);
}

/// Ends the innermost watch: what it gathered, each tensor once, in the order of first use.
pub fn end_capture() -> Vec<Tensor> {
    WATCHES.with_borrow_mut(|watches| {
        let last = watches.pop();
        WATCHING.set(!watches.is_empty());
        last.map(|watch| watch.found).unwrap_or_default()
    })
}

/// Shows the inputs of an operation to the watches. Making a node does so; what computes outside of the graph must.
pub fn note(inputs: &[&Tensor]) {
    if !WATCHING.get() {
        return;
    }
    WATCHES.with_borrow_mut(|watches| {
        for watch in watches {
            for input in inputs.iter().filter(|input| input.node.id < watch.before && input.requires_grad()) {
                if !watch.found.iter().any(|known| known.key() == input.key()) {
                    watch.found.push(Tensor::clone(input));
                }
            }
        }
    });
}
