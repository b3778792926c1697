//! Copies between the processor and the device, widening narrow elements to the device's words and back.
//! Depends on `buffer` and `context`. Invariant: element `i` of a tensor is word `i` of its buffer.

use std::sync::Arc;

use adret_core::dtype::DType;
use adret_core::error::{Error, Result};
use adret_core::wgsl::{DTYPES, ELEMENT_BYTES};
use parking_lot::Mutex;

use crate::buffer::{GpuBuffer, Pool};
use crate::context::Context;

/// Elements that are copied at a time, so that the staging memory stays small: 16 MiB on the device.
const PIECE: usize = 4 << 20;

/// Copies in both directions.
#[derive(Debug)]
pub(crate) struct Transfer {
    context: Arc<Context>,
    /// Mappable memory of the last download.
    staging: Mutex<Option<wgpu::Buffer>>,
}

/// Fails for dtypes that the device does not store.
///
/// # Errors
/// Names the dtype and what to do.
pub(crate) fn check_dtype(dtype: DType) -> Result<()> {
    if DTYPES.contains(&dtype) {
        return Ok(());
    }
    Err(Error::dtype(format!(
        "gpu: this adapter stores no {dtype}. Use astype to float32, int32 or uint32 before, or the CPU."
    )))
}

/// The words of elements of `dtype`, as the device stores them.
fn widened(dtype: DType, data: &[u8]) -> Vec<u8> {
    let words = |word: &mut dyn FnMut(&[u8]) -> u32| -> Vec<u8> {
        data.chunks_exact(dtype.size()).flat_map(|element| word(element).to_le_bytes()).collect()
    };
    match dtype {
        DType::Bool => words(&mut |element| u32::from(element[0] != 0)),
        DType::U8 => words(&mut |element| u32::from(element[0])),
        DType::I8 => words(&mut |element| i32::from(element[0] as i8) as u32),
        DType::U16 => words(&mut |element| u32::from(u16::from_ne_bytes([element[0], element[1]]))),
        DType::I16 => words(&mut |element| i32::from(i16::from_ne_bytes([element[0], element[1]])) as u32),
        _ => data.to_vec(),
    }
}

/// Writes the elements that `words` stand for.
fn narrow(dtype: DType, words: &[u8], data: &mut [u8]) {
    let size = dtype.size();
    if size == ELEMENT_BYTES {
        data.copy_from_slice(words);
        return;
    }
    // The low bytes of a little-endian word are the element.
    for (element, word) in data.chunks_exact_mut(size).zip(words.chunks_exact(ELEMENT_BYTES)) {
        element.copy_from_slice(&word[..size]);
    }
}

impl Transfer {
    pub(crate) fn new(context: Arc<Context>) -> Transfer {
        Transfer { context, staging: Mutex::new(None) }
    }

    /// A new buffer with these elements.
    ///
    /// # Errors
    /// For dtypes that the device does not store, and when memory is exhausted.
    pub(crate) fn upload(&self, pool: &Arc<Pool>, dtype: DType, data: &[u8]) -> Result<GpuBuffer> {
        check_dtype(dtype)?;
        let elements = data.len() / dtype.size();
        let buffer = pool.allocate(elements * ELEMENT_BYTES)?;
        let mut first = 0u64;
        for piece in data.chunks(PIECE * dtype.size()) {
            let queue = &self.context.queue;
            let words = if dtype.size() == ELEMENT_BYTES { None } else { Some(widened(dtype, piece)) };
            let words = words.as_deref().unwrap_or(piece);
            self.context.guarded(|| queue.write_buffer(buffer.raw(), first, words))?;
            first += words.len() as u64;
            if data.len() > piece.len() {
                // Long copies go out in pieces, and their staging memory with them.
                self.context.submit(|| None)?;
                self.context.wait(&|| false)?;
            }
        }
        Ok(buffer)
    }

    /// Copies elements from the `first` on, as many as `data` holds.
    ///
    /// # Errors
    /// When the device is lost.
    pub(crate) fn download(&self, buffer: &GpuBuffer, dtype: DType, first: usize, data: &mut [u8]) -> Result<()> {
        check_dtype(dtype)?;
        let mut at = (first * ELEMENT_BYTES) as u64;
        let mut kept = self.staging.lock();
        for piece in data.chunks_mut(PIECE * dtype.size()) {
            let bytes = (piece.len() / dtype.size() * ELEMENT_BYTES) as u64;
            let staging = match kept.take().filter(|staging| staging.size() >= bytes) {
                Some(staging) => staging,
                None => self.stage(bytes.next_power_of_two())?,
            };
            let (sender, receiver) = std::sync::mpsc::channel();
            self.context.submit(|| {
                let mut encoder = self.context.device.create_command_encoder(&Default::default());
                encoder.copy_buffer_to_buffer(buffer.raw(), at, &staging, 0, bytes);
                Some(encoder.finish())
            })?;
            self.context.guarded(|| {
                staging.map_async(wgpu::MapMode::Read, 0..bytes, move |outcome| {
                    // The receiver waits below; if it left with an error, nobody wants the outcome.
                    let _ = sender.send(outcome);
                });
            })?;
            self.context.wait(&|| false)?;
            let failed = |why: String| Error::device(format!("gpu: reading back failed: {why}. Use the CPU."));
            match receiver.try_recv() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(failed(error.to_string())),
                Err(error) => return Err(failed(error.to_string())),
            }
            let view = staging.get_mapped_range(0..bytes).map_err(|error| failed(error.to_string()))?;
            narrow(dtype, &view, piece);
            drop(view);
            staging.unmap();
            at += bytes;
            *kept = Some(staging);
        }
        Ok(())
    }

    fn stage(&self, size: u64) -> Result<wgpu::Buffer> {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let descriptor =
            wgpu::BufferDescriptor { label: Some("staging"), size: size.max(256), usage, mapped_at_creation: false };
        self.context.guarded(|| self.context.device.create_buffer(&descriptor))
    }

    /// Gives the staging memory back.
    pub(crate) fn trim(&self) {
        *self.staging.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_elements_survive_the_journey() {
        for dtype in DTYPES.into_iter().filter(|dtype| dtype.size() < ELEMENT_BYTES) {
            let data: Vec<u8> =
                if dtype == DType::Bool { vec![0, 1, 1, 0] } else { (0..=255).chain([7, 200]).collect() };
            let words = widened(dtype, &data);
            let mut back = vec![0; data.len()];
            narrow(dtype, &words, &mut back);
            assert_eq!(back, data, "{dtype}");
        }
        assert_eq!(widened(DType::I8, &[0xff]), [0xff; 4]);
        assert_eq!(widened(DType::U16, &[0xff, 0xff]), [0xff, 0xff, 0, 0]);
    }
}
