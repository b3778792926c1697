//! From a graph to a plan: snapshot → fuse → emit → order → place in memory; and the cache of plans.
//! Depends on `graph` and `plan`. Invariant: a plan follows from the snapshot's key alone.

mod arena;
mod cache;
mod cluster;
mod emit;
mod fuse;
mod map;
mod order;
mod partial;
mod room;
mod snapshot;
mod strided;
#[cfg(test)]
mod tests;
mod walk;

use std::sync::Arc;

pub use cache::PlanCache;
pub use room::Limits;
pub use snapshot::Snapshot;
pub use walk::Walk;

use crate::plan::Plan;

/// Buffers of one operation by itself: three operands, a result, and what a launch needs besides.
const LEAST: usize = 6;

/// How to plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    /// Whether pointwise work and reductions share kernels; off, every op is a kernel of its own (for tests).
    pub fuse: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { fuse: true }
    }
}

/// Makes the plan of a snapshot for a device.
///
/// Clusters keep to the limits as far as they know what they will read; where one comes to need more, all is cut into smaller ones.
pub fn plan(snapshot: &Snapshot, options: Options, limits: Limits) -> Arc<Plan> {
    let made = |options, limits| emit::emit(snapshot, &fuse::fuse(snapshot, options, limits));
    let mut emitted = made(options, limits);
    let mut tighter = limits;
    while !limits.is_none() && !emitted.kernels.iter().all(|kernel| limits.hold(kernel)) {
        tighter.buffers = tighter.buffers * 3 / 4;
        let fuse = options.fuse && tighter.buffers > LEAST;
        emitted = made(Options { fuse }, tighter);
        if !fuse {
            break;
        }
    }
    Arc::new(order::order(snapshot, emitted))
}
