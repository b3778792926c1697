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
mod snapshot;
mod strided;
#[cfg(test)]
mod tests;
mod walk;

use std::sync::Arc;

pub use cache::PlanCache;
pub use snapshot::Snapshot;
pub use walk::Walk;

use crate::plan::Plan;

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

/// Makes the plan of a snapshot.
pub fn plan(snapshot: &Snapshot, options: Options) -> Arc<Plan> {
    let fused = fuse::fuse(snapshot, options);
    let kernels = emit::emit(snapshot, &fused);
    Arc::new(order::order(snapshot, kernels))
}
