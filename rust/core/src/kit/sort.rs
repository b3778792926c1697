//! Sorting of keys, on all threads: by vectors where the processor has those for it, else by digits. Depends on `quicksort` and `threads`.
//! Invariant: entries that differ have one order, so that neither parts nor threads change the result.

use super::threads::{num_threads, parallel};

/// What is sorted: a key, or a key and a position. Sorting by digits, stably, and by `Ord` is the same where positions rise.
pub trait Entry: Copy + Default + Ord + Send + Sync {
    /// Digits of eight bits, the least significant first.
    fn digit(self, number: u32) -> usize;
    /// The entries as numbers in the same order.
    fn words(entries: &mut [Self]) -> Words<'_>;
}

/// Entries as numbers.
#[allow(dead_code, reason = "only some processors sort numbers by vectors")]
pub enum Words<'a> {
    /// Of 32 bits.
    Narrow(&'a mut [u32]),
    /// Of 64 bits.
    Wide(&'a mut [u64]),
}

/// A key of 32 bits and a position below it.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Placed(u64);

impl Placed {
    /// A key at a position.
    #[inline(always)]
    pub fn new(key: u32, position: u32) -> Self {
        Self(u64::from(key) << 32 | u64::from(position))
    }
    /// Where the key was.
    #[inline(always)]
    pub fn position(self) -> u32 {
        self.0 as u32
    }
}

impl Entry for u32 {
    #[inline(always)]
    fn digit(self, number: u32) -> usize {
        (self >> (8 * number) & 0xff) as usize
    }
    fn words(entries: &mut [Self]) -> Words<'_> {
        Words::Narrow(entries)
    }
}

impl Entry for u64 {
    #[inline(always)]
    fn digit(self, number: u32) -> usize {
        (self >> (8 * number) & 0xff) as usize
    }
    fn words(entries: &mut [Self]) -> Words<'_> {
        Words::Wide(entries)
    }
}

/// Only the key has digits.
impl Entry for Placed {
    #[inline(always)]
    fn digit(self, number: u32) -> usize {
        ((self.0 >> 32) as u32).digit(number)
    }
    fn words(entries: &mut [Self]) -> Words<'_> {
        // SAFETY: `Placed` is transparent.
        Words::Wide(unsafe { std::slice::from_raw_parts_mut(entries.as_mut_ptr().cast(), entries.len()) })
    }
}

/// Fewer entries are compared.
const FEW: usize = 512;
/// Entries of a part for one thread, and of a piece of a merge.
const PART: usize = 1 << 16;
const PIECE: usize = 1 << 15;

/// Sorts `entries`, whose positions, if they have any, rise already; keys have `digits` digits. `spare` is memory to work in.
pub fn sort<E: Entry>(entries: &mut Vec<E>, spare: &mut Vec<E>, digits: u32) {
    let length = entries.len();
    #[cfg(target_arch = "x86_64")]
    if length > 1 && super::quicksort::available() {
        if spare.len() < length + SLACK {
            spare.resize(length + SLACK, E::default());
        }
        match (E::words(entries), E::words(spare)) {
            (Words::Narrow(keys), Words::Narrow(spare)) => return quick(keys, spare),
            (Words::Wide(keys), Words::Wide(spare)) => return quick(keys, spare),
            _ => {}
        }
    }
    if length < FEW {
        entries.sort_unstable();
        return;
    }
    spare.clear();
    spare.resize(length, E::default());
    let parts = (length / PART).min(num_threads()).clamp(1, 16);
    let mut width = length.div_ceil(parts);
    let (from, to) = (Shared(entries.as_mut_ptr()), Shared(spare.as_mut_ptr()));
    parallel(parts, &|part| {
        let (first, last) = (part * width, ((part + 1) * width).min(length));
        // SAFETY: parts are disjoint, and both memories have `length` entries.
        unsafe { sort_part(from.slice(first, last), to.slice(first, last), digits) };
    });
    while width < length {
        merge_runs(entries, spare, width);
        std::mem::swap(entries, spare);
        width *= 2;
    }
}

/// Keys of a piece that is sorted by vectors on a thread of its own.
#[cfg(target_arch = "x86_64")]
const SHARE: usize = 1 << 12;
/// Such pieces per thread.
#[cfg(target_arch = "x86_64")]
const SHARES: usize = 4;
/// Entries of spare memory that sorting by vectors takes besides one for each.
#[cfg(target_arch = "x86_64")]
const SLACK: usize = 1 << 12;

/// Sorts keys by vectors: what lies between pivots on all threads. `spare` has `SLACK` more entries.
#[cfg(target_arch = "x86_64")]
fn quick<K: super::quicksort::Key + Send>(keys: &mut [K], spare: &mut [K]) {
    use super::quicksort::{REGISTER, sort, split};
    let length = keys.len();
    let shares = (length / SHARE).min(SHARES * num_threads()).min(SLACK / REGISTER / 4);
    if shares < 2 {
        // SAFETY: the caller has asked whether the processor sorts by vectors; spare memory is as long.
        return unsafe { sort(keys, spare) };
    }
    let mut pieces = Vec::new();
    let mut uncut = vec![(0, length)];
    while let Some((first, last)) = uncut.pop() {
        // Bad pivots make pieces of any size: there is room for the spare memory of so many.
        let many = pieces.len() + uncut.len() >= 2 * shares;
        let below = if shares < 2 || last - first <= length / shares || many {
            0
        } else {
            // SAFETY: the caller has asked whether the processor sorts by vectors; spare memory is as long.
            unsafe { split(&mut keys[first..last], spare) }
        };
        if below == 0 {
            pieces.push((first, last));
        } else {
            uncut.extend([(first, first + below), (first + below, last)]);
        }
    }
    // In order, so that a register of spare memory lies between one piece and the next.
    pieces.sort_unstable();
    let (keys, spare) = (Shared(keys.as_mut_ptr()), Shared(spare.as_mut_ptr()));
    parallel(pieces.len(), &|piece| {
        let (first, last) = pieces[piece];
        let room = first + piece * REGISTER;
        // SAFETY: pieces are disjoint, as above.
        unsafe { sort(keys.slice(first, last), spare.slice(room, room + last - first + REGISTER)) };
    });
}

/// A slice whose disjoint parts several threads write.
struct Shared<E>(*mut E);

// SAFETY: whoever takes parts proves that they are disjoint.
unsafe impl<E: Send> Sync for Shared<E> {}

impl<E> Shared<E> {
    /// # Safety
    /// The memory has `last` entries, and nobody else uses these meanwhile.
    #[allow(clippy::mut_from_ref, reason = "the parts are disjoint")]
    unsafe fn slice(&self, first: usize, last: usize) -> &mut [E] {
        // SAFETY: as the caller vouches.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(first), last - first) }
    }
}

/// One part on one thread: a stable distribution by each digit in which keys differ, the least significant first.
fn sort_part<E: Entry>(entries: &mut [E], spare: &mut [E], digits: u32) {
    let mut counts = vec![[0u32; 256]; digits as usize];
    for &entry in entries.iter() {
        for (number, count) in counts.iter_mut().enumerate() {
            count[entry.digit(number as u32)] += 1;
        }
    }
    let (mut from, mut to) = (&mut *entries, &mut *spare);
    let mut swapped = false;
    for (number, count) in counts.iter_mut().enumerate() {
        let Some(&first) = from.first() else { return };
        if count[first.digit(number as u32)] as usize == from.len() {
            continue;
        }
        let mut sum = 0;
        for place in count.iter_mut() {
            sum += std::mem::replace(place, sum);
        }
        for &entry in from.iter() {
            let place = &mut count[entry.digit(number as u32)];
            // SAFETY: the counts of all digits add up to the length.
            unsafe { *to.get_unchecked_mut(*place as usize) = entry };
            *place += 1;
        }
        std::mem::swap(&mut from, &mut to);
        swapped = !swapped;
    }
    if swapped {
        to.copy_from_slice(from);
    }
}

/// Merges neighbouring runs of `width` sorted entries, piece by piece.
fn merge_runs<E: Entry>(from: &[E], to: &mut [E], width: usize) {
    let length = from.len();
    let to = Shared(to.as_mut_ptr());
    parallel(length.div_ceil(PIECE), &|piece| {
        let (mut first, last) = (piece * PIECE, ((piece + 1) * PIECE).min(length));
        while first < last {
            let start = first / (2 * width) * (2 * width);
            let (middle, end) = ((start + width).min(length), (start + 2 * width).min(length));
            let stop = last.min(end);
            let (a, b) = (&from[start..middle], &from[middle..end]);
            let (i, j) = (split(a, b, first - start), split(a, b, stop - start));
            let (b_first, b_last) = (first - start - i, stop - start - j);
            // SAFETY: pieces are disjoint.
            merge(&a[i..j], &b[b_first..b_last], unsafe { to.slice(first, stop) });
            first = stop;
        }
    });
}

/// How many of the first `count` entries of the merge come from `a`.
fn split<E: Entry>(a: &[E], b: &[E], count: usize) -> usize {
    let (mut low, mut high) = (count.saturating_sub(b.len()), count.min(a.len()));
    while low < high {
        let middle = (low + high) / 2;
        if b[count - middle - 1] < a[middle] { high = middle } else { low = middle + 1 }
    }
    low
}

/// Merges two sorted slices; of equal entries, those of `a` come first.
fn merge<E: Entry>(a: &[E], b: &[E], to: &mut [E]) {
    let (mut i, mut j, mut at) = (0, 0, 0);
    while i < a.len() && j < b.len() {
        let second = b[j] < a[i];
        // SAFETY: `at` is i + j, and `to` has room for both slices.
        unsafe { *to.get_unchecked_mut(at) = if second { b[j] } else { a[i] } };
        i += usize::from(!second);
        j += usize::from(second);
        at += 1;
    }
    let rest = at + a.len() - i;
    to[at..rest].copy_from_slice(&a[i..]);
    to[rest..].copy_from_slice(&b[j..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::threads::set_num_threads;

    /// Numbers without order, many of them equal.
    fn numbers(length: usize, limit: u64) -> Vec<u64> {
        let next = |x: &u64| Some(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
        std::iter::successors(Some(length as u64), next).map(|x| (x >> 17) % limit).take(length).collect()
    }

    #[test]
    fn any_length_is_sorted_on_any_threads() {
        for threads in [1, 2, 3, 5] {
            set_num_threads(threads);
            for length in [0, 1, 2, 511, 512, 3000, 65_536, 131_072, 200_001, 400_000] {
                for limit in [2, 1000, u64::MAX] {
                    let mut wide = numbers(length, limit);
                    let mut narrow: Vec<u32> = wide.iter().map(|&x| x as u32).collect();
                    let mut placed: Vec<Placed> = narrow.iter().zip(0..).map(|(&x, i)| Placed::new(x, i)).collect();
                    let mut expected = (wide.clone(), narrow.clone(), placed.clone());
                    expected.0.sort_unstable();
                    expected.1.sort_unstable();
                    expected.2.sort_unstable();
                    sort(&mut wide, &mut Vec::new(), 8);
                    sort(&mut narrow, &mut Vec::new(), 4);
                    sort(&mut placed, &mut Vec::new(), 4);
                    assert!(expected == (wide, narrow, placed), "{length} below {limit} on {threads} threads");
                }
            }
        }
        set_num_threads(0);
    }
}
