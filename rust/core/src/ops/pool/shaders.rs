//! Pooling on a GPU. Depends on `shader`. Invariant: none yet.
use super::axis::Axis;
use super::max::Geometry;
use crate::plan::{Argument, Candidate, Caps};
pub(super) fn max_pool(_: &Geometry, _: &[Argument], _: &Caps) -> Vec<Candidate> {
    Vec::new()
}
pub(super) fn along(_: &Geometry, _: bool, _: &[Argument], _: &Caps) -> Vec<Candidate> {
    Vec::new()
}
pub(super) fn places(_: &Geometry, _: &[Argument], _: &Caps) -> Vec<Candidate> {
    Vec::new()
}
pub(super) fn columns(_: &[Axis; 2], _: bool, _: &[Argument], _: &Caps) -> Vec<Candidate> {
    Vec::new()
}
