//! Places temporaries in one arena. Depends on `plan`. Invariant: temporaries that are alive at the same time do not overlap, and the work grows
//! hardly faster than their number.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::dtype::DType;
use crate::plan::{Kernel, Place, Temporary};

/// Alignment of temporaries in the arena, in bytes.
const ALIGNMENT: usize = 64;
/// Up to so many temporaries each is compared with all others; more are placed as they come.
const FEW: usize = 512;

/// First and last kernel that uses a temporary.
type Life = (usize, usize);

/// The places of temporaries, of which the kernels use some, and the size of the arena.
pub(super) fn arrange(kernels: &[Kernel], wanted: &[(DType, usize)]) -> (Vec<Temporary>, usize) {
    let mut life: Vec<Option<Life>> = vec![None; wanted.len()];
    for (step, kernel) in kernels.iter().enumerate() {
        for argument in &kernel.arguments {
            if let Place::Temporary(temporary) = argument.place {
                let (first, _) = life[temporary].unwrap_or((step, step));
                life[temporary] = Some((first, step));
            }
        }
    }
    let bytes: Vec<usize> =
        wanted.iter().map(|(dtype, elements)| (dtype.size() * elements).next_multiple_of(ALIGNMENT)).collect();
    let used: Vec<(usize, Life, usize)> =
        life.iter().enumerate().filter_map(|(temporary, life)| Some((temporary, (*life)?, bytes[temporary]))).collect();
    let sizes: Vec<(Life, usize)> = used.iter().map(|&(_, life, bytes)| (life, bytes)).collect();
    let offsets = if sizes.len() <= FEW { large_first(&sizes) } else { as_they_come(&sizes) };
    let mut result: Vec<Temporary> = bytes.iter().map(|&bytes| Temporary { offset: 0, bytes }).collect();
    for (&(temporary, ..), offset) in used.iter().zip(&offsets) {
        result[temporary].offset = *offset;
    }
    let arena = sizes.iter().zip(&offsets).map(|((_, bytes), offset)| offset + bytes).max().unwrap_or(0);
    (result, arena)
}

/// Larger ones first, each into the first gap that it fits: fewest gaps, and work that grows with the square.
fn large_first(wanted: &[(Life, usize)]) -> Vec<usize> {
    let mut by_size: Vec<usize> = (0..wanted.len()).collect();
    by_size.sort_by_key(|&index| Reverse(wanted[index].1));
    let mut offsets = vec![0; wanted.len()];
    for (number, &index) in by_size.iter().enumerate() {
        let ((first, last), bytes) = wanted[index];
        let mut taken: Vec<(usize, usize)> = by_size[..number]
            .iter()
            .filter(|&&other| wanted[other].0.0 <= last && first <= wanted[other].0.1)
            .map(|&other| (offsets[other], offsets[other] + wanted[other].1))
            .collect();
        taken.sort_unstable();
        let mut offset = 0;
        for (start, end) in taken {
            if offset + bytes <= start {
                break;
            }
            offset = offset.max(end);
        }
        offsets[index] = offset;
    }
    offsets
}

/// In the order of the kernels, each into the smallest gap that it fits.
fn as_they_come(wanted: &[(Life, usize)]) -> Vec<usize> {
    let mut offsets = vec![0; wanted.len()];
    let mut begins: Vec<usize> = (0..wanted.len()).collect();
    begins.sort_by_key(|&index| (wanted[index].0.0, Reverse(wanted[index].1)));
    let mut ends: BTreeSet<(usize, usize)> = BTreeSet::new();
    let mut gaps = Gaps::default();
    for index in begins {
        let ((first, last), bytes) = wanted[index];
        while let Some(&(end, other)) = ends.first().filter(|(end, _)| *end < first) {
            ends.remove(&(end, other));
            gaps.give(offsets[other], wanted[other].1);
        }
        offsets[index] = gaps.take(bytes);
        ends.insert((last, index));
    }
    offsets
}

/// Free memory below `top`, and none of two gaps adjacent.
#[derive(Default)]
struct Gaps {
    by_offset: BTreeMap<usize, usize>,
    by_size: BTreeSet<(usize, usize)>,
    top: usize,
}

impl Gaps {
    fn add(&mut self, offset: usize, bytes: usize) {
        self.by_offset.insert(offset, bytes);
        self.by_size.insert((bytes, offset));
    }

    fn remove(&mut self, offset: usize, bytes: usize) {
        self.by_offset.remove(&offset);
        self.by_size.remove(&(bytes, offset));
    }

    /// The offset of so many bytes.
    fn take(&mut self, bytes: usize) -> usize {
        if bytes == 0 {
            return 0;
        }
        if let Some(&(size, offset)) = self.by_size.range((bytes, 0)..).next() {
            self.remove(offset, size);
            if size > bytes {
                self.add(offset + bytes, size - bytes);
            }
            return offset;
        }
        // A gap at the top is a beginning.
        let last = self.by_offset.last_key_value().map(|(&offset, &size)| (offset, size));
        let offset = match last.filter(|(offset, size)| offset + size == self.top) {
            Some((offset, size)) => {
                self.remove(offset, size);
                offset
            }
            None => self.top,
        };
        self.top = offset + bytes;
        offset
    }

    fn give(&mut self, mut offset: usize, mut bytes: usize) {
        if bytes == 0 {
            return;
        }
        let before = self.by_offset.range(..offset).next_back().map(|(&offset, &size)| (offset, size));
        if let Some((start, size)) = before.filter(|(start, size)| start + size == offset) {
            self.remove(start, size);
            (offset, bytes) = (start, bytes + size);
        }
        if let Some(&size) = self.by_offset.get(&(offset + bytes)) {
            self.remove(offset + bytes, size);
            bytes += size;
        }
        self.add(offset, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A loop and its way back: each step makes a value that lives until its counterpart, and one that dies at once.
    fn there_and_back(steps: usize) -> Vec<(Life, usize)> {
        let kept = (0..steps).map(|step| ((step, 2 * steps - 1 - step), 64 * (1 + step % 3)));
        let brief = (0..2 * steps - 1).map(|step| ((step, step + 1), 128));
        kept.chain(brief).collect()
    }

    fn check(wanted: &[(Life, usize)], offsets: &[usize]) {
        // What begins is compared with what lies beside it, so that this is no slower than what it checks.
        let mut events: Vec<(usize, bool, usize)> = Vec::new();
        for (index, &((first, last), _)) in wanted.iter().enumerate() {
            events.extend([(first, true, index), (last + 1, false, index)]);
        }
        events.sort_unstable();
        let mut alive: BTreeMap<usize, usize> = BTreeMap::new();
        for (_, begins, index) in events {
            let (start, end) = (offsets[index], offsets[index] + wanted[index].1);
            if begins {
                assert!(alive.range(..end).next_back().is_none_or(|(_, &other)| other <= start));
                alive.insert(start, end);
            } else {
                alive.remove(&start);
            }
        }
    }

    #[test]
    fn nothing_overlaps_and_little_is_lost() {
        for steps in [1, 2, 10, 200] {
            let wanted = there_and_back(steps);
            let needed: usize = wanted[..steps].iter().map(|(_, bytes)| bytes).sum();
            for offsets in [large_first(&wanted), as_they_come(&wanted)] {
                check(&wanted, &offsets);
                let arena = wanted.iter().zip(&offsets).map(|((_, bytes), offset)| offset + bytes).max().unwrap_or(0);
                assert!(arena <= needed + 512, "{steps} steps: {arena} of {needed}");
            }
        }
    }

    #[test]
    fn sizes_and_lives_without_order() {
        let mut state = 1u64;
        let mut random = |limit: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % limit
        };
        for count in [1, 5, 600] {
            let wanted: Vec<(Life, usize)> = (0..count)
                .map(|_| {
                    let first = random(300) as usize;
                    ((first, first + random(40) as usize), 64 * (1 + random(30) as usize))
                })
                .collect();
            check(&wanted, &large_first(&wanted));
            check(&wanted, &as_they_come(&wanted));
        }
    }

    #[test]
    fn as_many_as_a_long_loop_has() {
        // With work that grows with the square this would not end.
        let wanted = there_and_back(200_000);
        check(&wanted, &as_they_come(&wanted));
    }
}
