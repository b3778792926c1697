//! Keys of 64 bits made shorter: by the least of a row, and by the bits that its positions need. Depends on `simd`.
//! Invariant: packed keys have the order of the keys, but for those that differ in dropped bits alone; `mend` puts these right.

use super::simd::{Kernel, Machine, launch};

/// The least and the largest of some keys; of none, the largest number and the least.
pub fn span(keys: &[u64]) -> (u64, u64) {
    launch(Span(keys))
}

struct Span<'a>(&'a [u64]);

impl Kernel for Span<'_> {
    type Output = (u64, u64);

    #[inline(always)]
    fn run<M: Machine>(self) -> (u64, u64) {
        let (mut least, mut largest) = (u64::MAX, 0);
        for &key in self.0 {
            least = if key < least { key } else { least };
            largest = if key > largest { key } else { largest };
        }
        (least, largest)
    }
}

/// How the keys of a row share numbers with their positions: what a key has above the least one, without its last bits where they do not
/// fit, and the position below it.
#[derive(Clone, Copy, Default)]
pub struct Packing {
    least: u64,
    /// Bits that keys lose.
    dropped: u32,
    /// Bits of a position.
    position: u32,
}

impl Packing {
    /// Packs the keys of a row where they lie.
    pub fn pack(keys: &mut [u64]) -> Self {
        let (least, largest) = span(keys);
        let position = usize::BITS - keys.len().saturating_sub(1).leading_zeros();
        let dropped = position.saturating_sub(largest.saturating_sub(least).leading_zeros());
        let packing = Self { least, dropped, position };
        launch(Pack { keys, packing });
        packing
    }

    /// Where the key of an entry was.
    #[inline(always)]
    pub fn position(self, entry: u64) -> usize {
        (entry & ((1 << self.position) - 1)) as usize
    }

    /// Sorts entries, sorted already, by the dropped bits too; `key` tells the key of a position.
    pub fn mend(self, entries: &mut [u64], key: impl Fn(usize) -> u64) {
        if self.dropped > 0 {
            for alike in entries.chunk_by_mut(|a, b| a >> self.position == b >> self.position) {
                // Stable: their positions rise.
                alike.sort_by_key(|&entry| key(self.position(entry)));
            }
        }
    }
}

struct Pack<'a> {
    keys: &'a mut [u64],
    packing: Packing,
}

impl Kernel for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self) {
        let Packing { least, dropped, position } = self.packing;
        for (i, key) in self.keys.iter_mut().enumerate() {
            *key = (*key - least) >> dropped << position | i as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Positions that sort keys, by way of packed ones.
    fn order(keys: &[u64]) -> Vec<usize> {
        let mut entries = keys.to_vec();
        let packing = Packing::pack(&mut entries);
        entries.sort_unstable();
        packing.mend(&mut entries, |position| keys[position]);
        entries.into_iter().map(|entry| packing.position(entry)).collect()
    }

    #[test]
    fn packed_keys_sort_stably() {
        let next = |x: &u64| Some(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
        for length in [0, 1, 2, 3, 16, 31, 500, 5000] {
            for (limit, step, outlier) in [(3, 1, 0), (100, 1, u64::MAX), (7, u64::MAX / 7, 1), (u64::MAX, 1, 5)] {
                let numbers = std::iter::successors(Some(limit ^ length as u64), next).take(length);
                let mut keys: Vec<u64> = numbers.map(|x| (x >> 3) % limit * step).collect();
                if let Some(last) = keys.last_mut() {
                    *last = outlier;
                }
                let mut expected: Vec<usize> = (0..length).collect();
                expected.sort_by_key(|&i| keys[i]);
                assert_eq!(order(&keys), expected, "{length} keys below {limit}, {step} apart");
            }
        }
    }
}
