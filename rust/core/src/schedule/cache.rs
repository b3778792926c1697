//! The cache of plans: least recently used out. Depends on `plan`. Invariant: a hit has an equal key, not only an equal hash.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use crate::graph::Key;
use crate::plan::Plan;

/// Plans by structural key.
#[derive(Default)]
pub struct PlanCache {
    plans: HashMap<Vec<u8>, (Arc<Plan>, u64), BuildHasherDefault<KeyHasher>>,
    clock: u64,
    /// Look-ups that found nothing.
    pub misses: u64,
}

/// Plans that are kept.
const CAPACITY: usize = 256;

impl PlanCache {
    /// The plan of that key, made now if need be.
    pub fn get(&mut self, key: &Key, make: impl FnOnce() -> Arc<Plan>) -> Arc<Plan> {
        self.clock += 1;
        if let Some((plan, used)) = self.plans.get_mut(&key.0) {
            *used = self.clock;
            return plan.clone();
        }
        self.misses += 1;
        if self.plans.len() >= CAPACITY
            && let Some(oldest) = self.plans.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| key.clone())
        {
            self.plans.remove(&oldest);
        }
        let plan = make();
        self.plans.insert(key.0.clone(), (plan.clone(), self.clock));
        plan
    }
}

/// Multiplies and folds eight bytes at a time: keys are hundreds of bytes and hashed at every evaluation.
#[derive(Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        let mut mix = |word: u64| {
            let wide = u128::from(self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            self.0 = (wide as u64) ^ ((wide >> 64) as u64).rotate_left(23);
        };
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            mix(u64::from_le_bytes(chunk.try_into().expect("chunks of eight")));
        }
        let mut tail = [0; 8];
        tail[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
        mix(u64::from_le_bytes(tail) ^ ((bytes.len() as u64) << 56));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
