//! Philox4x32-10, a counter-based random generator: any element's bits without those before it.
//! Depends on `simd`. Invariant: the bits are those of the published generator, whatever the tile.
//!
//! Source: Salmon, Moraes, Dror, Shaw (2011), Parallel random numbers: as easy as 1, 2, 3.
#![allow(
    clippy::needless_range_loop,
    reason = "closures over arrays stay calls inside code compiled for other features"
)]

use crate::kit::simd::{Kernel, Machine, launch};

const ROUNDS: usize = 10;
const MULTIPLIERS: (u32, u32) = (0xd251_1f53, 0xcd9e_8d57);
const KEY_STEPS: (u32, u32) = (0x9e37_79b9, 0xbb67_ae85);
/// Blocks (of four numbers) that are computed side by side.
const BLOCKS: usize = 16;

/// `N` blocks from number `first` on, as the four numbers of each: `[number in block, block]`. A const generic, so that single blocks cost one.
#[inline(always)]
fn blocks<const N: usize>(first: u64, key: u64, stream: u32) -> [[u32; N]; 4] {
    let mut counters = [[0; N], [0; N], [stream; N], [0; N]];
    for i in 0..N {
        let number = first.wrapping_add(i as u64);
        (counters[0][i], counters[1][i]) = (number as u32, (number >> 32) as u32);
    }
    let mut keys = (key as u32, (key >> 32) as u32);
    for _ in 0..ROUNDS {
        let mut next = [[0; N]; 4];
        for i in 0..N {
            let first = u64::from(counters[0][i]) * u64::from(MULTIPLIERS.0);
            let second = u64::from(counters[2][i]) * u64::from(MULTIPLIERS.1);
            next[0][i] = (second >> 32) as u32 ^ counters[1][i] ^ keys.0;
            next[1][i] = second as u32;
            next[2][i] = (first >> 32) as u32 ^ counters[3][i] ^ keys.1;
            next[3][i] = first as u32;
        }
        counters = next;
        keys = (keys.0.wrapping_add(KEY_STEPS.0), keys.1.wrapping_add(KEY_STEPS.1));
    }
    counters
}

struct Blocks {
    first: u64,
    key: u64,
    stream: u32,
}

impl Kernel for Blocks {
    type Output = [[u32; BLOCKS]; 4];

    #[inline(always)]
    fn run<M: Machine>(self) -> Self::Output {
        blocks(self.first, self.key, self.stream)
    }
}

/// `dst[i]` = random bits (32 of them, as a non-negative number) of element `first + i · step`: lane `element % 4` of the block numbered
/// `counter + element / 4`, with this key and third counter word.
///
/// # Safety
/// `dst` has room for `n` values.
pub unsafe fn philox(n: usize, dst: *mut i64, first: u64, step: i64, key: u64, counter: u64, stream: u32) {
    let mut done = 0;
    if step == 1 {
        while done < n {
            let element = first.wrapping_add(done as u64);
            let skipped = (element & 3) as usize;
            let lanes = launch(Blocks { first: counter.wrapping_add(element >> 2), key, stream });
            let count = (4 * BLOCKS - skipped).min(n - done);
            for i in 0..count {
                let position = skipped + i;
                // SAFETY: done + count is at most n.
                unsafe { dst.add(done + i).write_unaligned(i64::from(lanes[position & 3][position >> 2])) };
            }
            done += count;
        }
        return;
    }
    while done < n {
        let element = first.wrapping_add((step as u64).wrapping_mul(done as u64));
        let numbers = blocks::<1>(counter.wrapping_add(element >> 2), key, stream);
        // SAFETY: done is below n.
        unsafe { dst.add(done).write_unaligned(i64::from(numbers[(element & 3) as usize][0])) };
        done += 1;
    }
}
