//! The engine of adret: a lazy graph with autograd, fusion into groups, cached plans and a CPU backend.
//!
//! Arrows go one way: vocabulary ← kit ← graph ← ops ← schedule ← evaluation; graph ← autograd; plans ← backends.

pub mod autograd;
pub mod backend;
pub mod code;
pub mod compile;
pub mod cpu;
pub mod dtype;
pub mod error;
pub mod evaluate;
pub mod graph;
pub mod group;
pub mod kit;
pub mod layout;
pub mod ops;
pub mod plan;
pub mod rng;
pub mod schedule;
pub mod shape;
pub mod wgsl;
