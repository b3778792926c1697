//! When kernels ran, by the device's own clock, while a profile is open. Depends on `context`, `buffer` and `transfer`.
//! Invariant: a timed run is waited for; the last kernel ended when the wait did, and the others before it by the device's clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use adret_core::backend::{Ran, Watch};
use adret_core::dtype::DType;
use adret_core::error::Result;
use adret_core::wgsl::WORD_BYTES;

use crate::buffer::{GpuBuffer, Pool};
use crate::context::Context;
use crate::transfer::Transfer;

/// Bytes of a time.
const TIME: usize = 8;

/// Most launches that are timed together: a query set takes 4096 times.
pub(crate) const MOST: usize = 128;

/// Times of the launches of one submission.
pub(crate) struct Timing {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    words: GpuBuffer,
}

impl Timing {
    /// Room for times; `None` where the device has no clock.
    ///
    /// # Errors
    /// When memory is exhausted.
    pub(crate) fn new(context: &Context, pool: &Arc<Pool>) -> Result<Option<Timing>> {
        if !context.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return Ok(None);
        }
        let count = 2 * MOST as u32;
        let size = u64::from(count) * TIME as u64;
        let (queries, resolved) = context.guarded(|| {
            let ty = wgpu::QueryType::Timestamp;
            let queries = context.device.create_query_set(&wgpu::QuerySetDescriptor { label: None, ty, count });
            let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
            let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
            (queries, context.device.create_buffer(&descriptor))
        })?;
        Ok(Some(Timing { queries, resolved, words: pool.allocate(size as usize)? }))
    }

    /// Where the pass of launch `number` writes its times.
    pub(crate) fn writes(&self, number: usize) -> wgpu::ComputePassTimestampWrites<'_> {
        wgpu::ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(2 * number as u32),
            end_of_pass_write_index: Some(2 * number as u32 + 1),
        }
    }

    /// Records that the times of `launches` launches are to be kept.
    pub(crate) fn resolve(&self, encoder: &mut wgpu::CommandEncoder, launches: usize) {
        encoder.resolve_query_set(&self.queries, 0..2 * launches as u32, &self.resolved, 0);
        encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.words.raw(), 0, (2 * TIME * launches) as u64);
    }

    /// Waits for the launches and notes when their kernels ran; `kernels` are their places in the plan.
    ///
    /// # Errors
    /// When the device is lost.
    pub(crate) fn note(&self, context: &Context, transfer: &Transfer, kernels: &[usize], watch: &Watch) -> Result<()> {
        context.wait(&|| false)?;
        let done = Instant::now();
        let mut bytes = vec![0; 2 * TIME * kernels.len()];
        debug_assert_eq!(TIME, 2 * WORD_BYTES);
        transfer.download(&self.words, DType::U32, 0, &mut bytes)?;
        let times: Vec<u64> = bytes
            .chunks_exact(TIME)
            .map(|time| time.iter().rev().fold(0, |all, &byte| all << 8 | u64::from(byte)))
            .collect();
        let last = times.iter().copied().max().unwrap_or(0);
        let period = f64::from(context.queue.get_timestamp_period());
        let at = |time: u64| {
            let before = Duration::from_nanos(((last - time) as f64 * period) as u64);
            done.checked_sub(before).unwrap_or(done)
        };
        let mut first = 0;
        while first < kernels.len() {
            let kernel = kernels[first];
            let count = kernels[first..].iter().take_while(|&&other| other == kernel).count();
            let own = &times[2 * first..2 * (first + count)];
            let (start, end) = (own.iter().copied().min().unwrap_or(last), own.iter().copied().max().unwrap_or(last));
            watch.note(Ran { kernel, start: at(start), end: at(end), threads: 0 });
            first += count;
        }
        Ok(())
    }
}
