//! What this machine can do at most, measured: multiply-adds per second and bytes per second.
//! Depends on `simd` and `threads`. Invariant: measured with as many threads as kernels use, once per number of threads.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::simd::{Kernel, Machine, launch};
use super::threads::{num_threads, parallel};

/// What a machine reaches at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    /// Threads that it was measured with.
    pub threads: usize,
    /// Float32 multiplications and additions per second.
    pub flops32: f64,
    /// Float64 multiplications and additions per second.
    pub flops64: f64,
    /// Bytes per second to and from memory, whichever of reading and copying is faster; 0 where there was no memory to measure it.
    pub bandwidth: f64,
}

/// Rounds of one measurement.
const ROUNDS: usize = 20_000;
/// Measurements, of which the fastest counts: others may use the machine.
const TRIES: usize = 8;
/// Elements of an array too large for caches: 64 MB.
const LARGE: usize = 16 << 20;

static KNOWN: Mutex<Vec<Peak>> = Mutex::new(Vec::new());

/// The peaks with the number of threads in force; takes a tenth of a second when asked for the first time.
pub fn peak() -> Peak {
    let threads = num_threads();
    let known = |peaks: &[Peak]| peaks.iter().find(|peak| peak.threads == threads).copied();
    if let Some(peak) = known(&KNOWN.lock().unwrap_or_else(PoisonError::into_inner)) {
        return peak;
    }
    let peak = Peak {
        threads,
        flops32: arithmetic(
            threads,
            [(48, || launch(Sums32::<48>)), (96, || launch(Sums32::<96>)), (192, || launch(Sums32::<192>))],
        ),
        flops64: arithmetic(
            threads,
            [(24, || launch(Sums64::<24>)), (48, || launch(Sums64::<48>)), (96, || launch(Sums64::<96>))],
        ),
        bandwidth: bandwidth(threads),
    };
    let mut peaks = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known(&peaks).unwrap_or_else(|| {
        peaks.push(peak);
        peak
    })
}

/// Operations per second of the fastest of some loops, each with a number of sums, when all threads run it.
fn arithmetic(threads: usize, loops: [(usize, fn()); 3]) -> f64 {
    let speed = |(sums, run): (usize, fn())| {
        let seconds = fastest(|| parallel(threads, &|_| run()));
        2.0 * (sums * ROUNDS * threads) as f64 / seconds
    };
    loops.into_iter().map(speed).fold(0.0, f64::max)
}

fn bandwidth(threads: usize) -> f64 {
    let zeros = || {
        let mut memory: Vec<AtomicU64> = Vec::new();
        memory.try_reserve_exact(LARGE / 2).ok()?;
        memory.resize_with(LARGE / 2, || AtomicU64::new(1));
        Some(memory)
    };
    let (Some(from), Some(to)) = (zeros(), zeros()) else { return 0.0 };
    let chunks = threads * 8;
    let piece = |chunk: usize| from.len() * chunk / chunks..from.len() * (chunk + 1) / chunks;
    let bytes = (LARGE * 4) as f64;
    let copying = fastest(|| {
        parallel(chunks, &|chunk| {
            for (to, from) in to[piece(chunk)].iter().zip(&from[piece(chunk)]) {
                to.store(from.load(Relaxed), Relaxed);
            }
        });
    });
    let reading = fastest(|| {
        parallel(chunks, &|chunk| {
            black_box(from[piece(chunk)].iter().fold(0, |sum, from| sum ^ from.load(Relaxed)));
        });
    });
    (bytes / reading).max(2.0 * bytes / copying)
}

/// Seconds of the fastest of several calls, after one to warm up.
fn fastest(mut work: impl FnMut()) -> f64 {
    work();
    let seconds = (0..TRIES).map(|_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    });
    seconds.fold(f64::INFINITY, f64::min).max(1e-9)
}

/// Declares a loop of multiply-adds into independent sums: they should fill the registers of a path, and not more.
macro_rules! sums {
    ($name:ident $number:ty, $fma:ident) => {
        struct $name<const SUMS: usize>;

        impl<const SUMS: usize> Kernel for $name<SUMS> {
            type Output = ();
            #[inline(always)]
            fn run<M: Machine>(self) {
                let factor: $number = black_box(0.5);
                let mut sums = black_box([factor; SUMS]);
                for _ in 0..ROUNDS {
                    for sum in &mut sums {
                        *sum = M::$fma(*sum, factor, factor);
                    }
                }
                black_box(sums);
            }
        }
    };
}

sums!(Sums32 f32, fma32);
sums!(Sums64 f64, fma64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_are_numbers_and_kept() {
        let first = peak();
        assert!(first.flops32 > 0.0 && first.flops64 > 0.0 && first.bandwidth > 0.0 && first.threads >= 1);
        if first.threads == num_threads() {
            assert_eq!(peak(), first);
        }
    }
}
