//! Copies between the processor and the device, changing elements to the device's form and back.
//! Depends on `buffer`, `elements` and `context`. Invariant: staging memory is used again only when the device is done with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use adret_core::dtype::DType;
use adret_core::error::{Error, ErrorKind, Result};
use adret_core::wgsl::{WORD_BYTES, element_bytes};
use parking_lot::Mutex;

use crate::buffer::{GpuBuffer, Pool};
use crate::context::Context;
use crate::elements::{check_dtype, integers, narrow, widened};

/// Bytes of one staging buffer: long copies go in pieces of this size.
const PIECE: usize = 4 << 20;

/// Staging buffers for each direction: one is copied by the device while the processor fills or empties the other.
const RING: usize = 2;

/// Copies up to this size go through wgpu's own staging memory.
const SMALL: usize = 64 << 10;

/// Whether a staging buffer can be reached by the processor.
const AWAY: u8 = 0;
const MAPPED: u8 = 1;
const FAILED: u8 = 2;

/// A buffer that the processor can map.
#[derive(Debug)]
struct Stage {
    raw: wgpu::Buffer,
    state: Arc<AtomicU8>,
}

impl Stage {
    /// Asks for the memory back once the device is done with it.
    fn map(&self, context: &Context, mode: wgpu::MapMode, bytes: u64) -> Result<()> {
        self.state.store(AWAY, Ordering::Release);
        let state = Arc::clone(&self.state);
        context.guarded(|| {
            self.raw.map_async(mode, 0..bytes, move |outcome| {
                state.store(if outcome.is_ok() { MAPPED } else { FAILED }, Ordering::Release);
            });
        })
    }

    /// Waits until the processor can reach the memory.
    fn ready(&self, context: &Context) -> Result<()> {
        if self.state.load(Ordering::Acquire) == AWAY {
            context.wait(&|| false)?;
        }
        match self.state.load(Ordering::Acquire) {
            MAPPED => Ok(()),
            _ => Err(failed("its memory could not be mapped")),
        }
    }
}

fn failed(why: &str) -> Error {
    Error::device(format!("gpu: a copy between the device and the processor failed: {why}. Use the CPU."))
}

/// Copies in both directions.
#[derive(Debug)]
pub(crate) struct Transfer {
    context: Arc<Context>,
    up: Mutex<Vec<Stage>>,
    down: Mutex<Vec<Stage>>,
}

impl Transfer {
    pub(crate) fn new(context: Arc<Context>) -> Transfer {
        Transfer { context, up: Mutex::default(), down: Mutex::default() }
    }

    /// A new buffer with these elements.
    ///
    /// # Errors
    /// For dtypes that the device does not store, and when memory is exhausted.
    pub(crate) fn upload(&self, pool: &Arc<Pool>, dtypes: &[DType], dtype: DType, data: &[u8]) -> Result<GpuBuffer> {
        check_dtype(dtypes, dtype)?;
        let elements = data.len() / dtype.size();
        let buffer = pool.allocate(elements * element_bytes(dtype))?;
        buffer.note_integers(integers(dtype, data));
        let filled = self.fill(&buffer, dtype, data);
        match filled {
            Err(error) if error.kind == ErrorKind::OutOfMemory => {
                pool.trim();
                self.trim();
                self.fill(&buffer, dtype, data)?;
            }
            outcome => outcome?,
        }
        Ok(buffer)
    }

    /// Writes elements from the first on.
    pub(crate) fn fill(&self, buffer: &GpuBuffer, dtype: DType, data: &[u8]) -> Result<()> {
        if data.len() <= SMALL {
            let words = widened(dtype, data);
            return self.context.guarded(|| self.context.queue.write_buffer(&buffer.raw(), 0, &words));
        }
        let elements = PIECE / element_bytes(dtype);
        let mut stages = self.up.lock();
        let mut first = 0u64;
        for (number, piece) in data.chunks(elements * dtype.size()).enumerate() {
            let words = widened(dtype, piece);
            let slot = number % RING;
            while stages.len() <= slot {
                stages.push(self.stage(wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC, true)?);
            }
            // A failure below leaves a staging buffer in no known state: it goes.
            let stage = stages.swap_remove(slot);
            stage.ready(&self.context)?;
            let bytes = words.len() as u64;
            {
                let mut view = stage.raw.get_mapped_range_mut(0..bytes).map_err(|error| failed(&error.to_string()))?;
                view.slice(..).copy_from_slice(&words);
            }
            stage.raw.unmap();
            self.context.submit(&|| false, || {
                let mut encoder = self.context.device.create_command_encoder(&Default::default());
                encoder.copy_buffer_to_buffer(&stage.raw, 0, &buffer.raw(), first, bytes);
                Some(encoder.finish())
            })?;
            stage.map(&self.context, wgpu::MapMode::Write, PIECE as u64)?;
            let last = stages.len();
            stages.push(stage);
            stages.swap(slot, last);
            first += bytes;
        }
        Ok(())
    }

    /// Copies elements from the `first` on, as many as `data` holds.
    ///
    /// # Errors
    /// When the device is lost.
    pub(crate) fn download(&self, buffer: &GpuBuffer, dtype: DType, first: usize, data: &mut [u8]) -> Result<()> {
        let size = element_bytes(dtype);
        let elements = PIECE / size - WORD_BYTES / size;
        let mut stages = self.down.lock();
        let mut pieces: Vec<(usize, &mut [u8])> = Vec::new();
        let mut at = first;
        for piece in data.chunks_mut(elements * dtype.size()) {
            let count = piece.len() / dtype.size();
            pieces.push((at, piece));
            at += count;
        }
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let mut under_way: std::collections::VecDeque<(Stage, u64, usize, &mut [u8])> = Default::default();
        let mut pieces = pieces.into_iter();
        loop {
            while under_way.len() < RING
                && let Some((at, piece)) = pieces.next()
            {
                let stage = match stages.pop() {
                    Some(stage) => stage,
                    None => self.stage(usage, false)?,
                };
                // Copies are of whole words.
                let start = at * size / WORD_BYTES * WORD_BYTES;
                let end = ((at + piece.len() / dtype.size()) * size).next_multiple_of(WORD_BYTES);
                let bytes = (end - start) as u64;
                self.context.submit(&|| false, || {
                    let mut encoder = self.context.device.create_command_encoder(&Default::default());
                    encoder.copy_buffer_to_buffer(&buffer.raw(), start as u64, &stage.raw, 0, bytes);
                    Some(encoder.finish())
                })?;
                stage.map(&self.context, wgpu::MapMode::Read, bytes)?;
                under_way.push_back((stage, bytes, at * size - start, piece));
            }
            let Some((stage, bytes, skipped, piece)) = under_way.pop_front() else { return Ok(()) };
            stage.ready(&self.context)?;
            let view = stage.raw.get_mapped_range(0..bytes).map_err(|error| failed(&error.to_string()))?;
            narrow(dtype, &view[skipped..], piece);
            drop(view);
            stage.raw.unmap();
            stages.push(stage);
        }
    }

    fn stage(&self, usage: wgpu::BufferUsages, mapped: bool) -> Result<Stage> {
        let descriptor =
            wgpu::BufferDescriptor { label: Some("staging"), size: PIECE as u64, usage, mapped_at_creation: mapped };
        let raw = self.context.guarded(|| self.context.device.create_buffer(&descriptor))?;
        Ok(Stage { raw, state: Arc::new(AtomicU8::new(if mapped { MAPPED } else { AWAY })) })
    }

    /// Gives the staging memory back.
    pub(crate) fn trim(&self) {
        if let Some(mut up) = self.up.try_lock() {
            up.clear();
        }
        if let Some(mut down) = self.down.try_lock() {
            down.clear();
        }
    }
}
