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
const BLOCKS: usize = 32;

/// The four numbers of a block.
#[inline(always)]
fn block(number: u64, key: u64, stream: u32) -> [u32; 4] {
    let (mut a, mut b, mut c, mut d) = (number as u32, (number >> 32) as u32, stream, 0u32);
    let mut keys = (key as u32, (key >> 32) as u32);
    for _ in 0..ROUNDS {
        let first = u64::from(a) * u64::from(MULTIPLIERS.0);
        let second = u64::from(c) * u64::from(MULTIPLIERS.1);
        (a, b) = ((second >> 32) as u32 ^ b ^ keys.0, second as u32);
        (c, d) = ((first >> 32) as u32 ^ d ^ keys.1, first as u32);
        keys = (keys.0.wrapping_add(KEY_STEPS.0), keys.1.wrapping_add(KEY_STEPS.1));
    }
    [a, b, c, d]
}

/// A stream of random numbers: seed, block of element 0, and third counter word.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    /// The seed.
    pub key: u64,
    /// Number of the block that element 0 belongs to.
    pub counter: u64,
    /// Third counter word.
    pub stream: u32,
}

/// What random bits become.
pub trait Drawn: Copy + Default + 'static {
    /// The value for these bits.
    fn of(bits: u32) -> Self;
}

impl Drawn for i64 {
    #[inline(always)]
    fn of(bits: u32) -> Self {
        bits.into()
    }
}

/// The upper 24 bits as a multiple of 2⁻²⁴, below 1.
impl Drawn for f32 {
    #[inline(always)]
    fn of(bits: u32) -> Self {
        const STEP: f32 = 1.0 / 16_777_216.0;
        // Of an i32, which vectors convert in one instruction.
        (bits >> 8) as i32 as f32 * STEP
    }
}

/// The numbers of `BLOCKS` blocks from `first` on, in order.
struct Blocks<T> {
    first: u64,
    draw: Draw,
    dst: *mut T,
}

impl<T: Drawn> Kernel for Blocks<T> {
    type Output = ();

    #[inline(always)]
    fn run<M: Machine>(self) {
        // First the first numbers of all blocks, then the second, …: this loop becomes vector code.
        let mut numbers = [[0; BLOCKS]; 4];
        let [a, b, c, d] = &mut numbers;
        for i in 0..BLOCKS {
            [a[i], b[i], c[i], d[i]] = block(self.first.wrapping_add(i as u64), self.draw.key, self.draw.stream);
        }
        for i in 0..BLOCKS {
            let four = [T::of(a[i]), T::of(b[i]), T::of(c[i]), T::of(d[i])];
            // SAFETY: the destination has room for all blocks.
            unsafe { self.dst.add(4 * i).cast::<[T; 4]>().write_unaligned(four) };
        }
    }
}

/// `dst[i]` = what the random bits of element `first + i · step` become: lane `element % 4` of the block numbered `draw.counter + element / 4`.
///
/// # Safety
/// `dst` has room for `n` values.
pub unsafe fn philox<T: Drawn>(n: usize, dst: *mut T, first: u64, step: i64, draw: Draw) {
    let mut done = 0;
    if step == 1 {
        while done < n {
            let element = first.wrapping_add(done as u64);
            let skipped = (element & 3) as usize;
            let count = (4 * BLOCKS - skipped).min(n - done);
            let first = draw.counter.wrapping_add(element >> 2);
            // SAFETY: done + count is at most n; the buffer holds all blocks.
            unsafe {
                let to = dst.add(done);
                if count == 4 * BLOCKS {
                    launch(Blocks { first, draw, dst: to });
                } else {
                    let mut buffer = [T::default(); 4 * BLOCKS];
                    launch(Blocks { first, draw, dst: buffer.as_mut_ptr() });
                    let bytes = count * size_of::<T>();
                    std::ptr::copy_nonoverlapping(buffer.as_ptr().add(skipped).cast::<u8>(), to.cast(), bytes);
                }
            }
            done += count;
        }
        return;
    }
    while done < n {
        let element = first.wrapping_add((step as u64).wrapping_mul(done as u64));
        let numbers = block(draw.counter.wrapping_add(element >> 2), draw.key, draw.stream);
        // SAFETY: done is below n.
        unsafe { dst.add(done).write_unaligned(T::of(numbers[(element & 3) as usize])) };
        done += 1;
    }
}
