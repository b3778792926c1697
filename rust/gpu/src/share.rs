//! Pages that the adapter and CUDA see as the same memory. Depends on `page`, `cuda` and `buffer`.
//! Invariant: before one side may use what the other wrote, the processor has waited for the writer.

use std::sync::{Arc, OnceLock};

use adret_core::backend::Buffer;
use adret_core::error::{Error, Result};

use crate::buffer::{GpuBuffer, Pool, new_number};
use crate::context::Context;
use crate::cuda::{Cuda, Mapped};
use crate::page;

/// Bytes of the page that is shared first, to see that it can be done.
const TRIAL: u64 = 256;

/// The CUDA device that is this adapter, looked for once.
#[derive(Default)]
pub(crate) struct Sharing(OnceLock<std::result::Result<Arc<Cuda>, String>>);

impl Sharing {
    /// The CUDA device; both drivers have shared a page by then.
    ///
    /// # Errors
    /// Why nothing can be shared.
    pub(crate) fn cuda(&self, context: &Context) -> Result<&Arc<Cuda>> {
        let found = self.0.get_or_init(|| {
            let cuda = Cuda::open(page::identity(context)?)?;
            SharedPage::make(context, &cuda, TRIAL).map_err(|error| error.message)?;
            Ok(cuda)
        });
        found.as_ref().map_err(|why| Error::device(format!("gpu: no memory is shared with CUDA: {why}.")))
    }
}

/// A page under both interfaces' names.
pub(crate) struct SharedPage {
    /// Before the buffer: the mapping goes first.
    mapped: Mapped,
    pub(crate) raw: wgpu::Buffer,
    /// What names the buffer.
    pub(crate) number: u64,
}

impl SharedPage {
    /// A page of `size` bytes, its content unspecified.
    ///
    /// # Errors
    /// `OutOfMemory`, and what the drivers report.
    pub(crate) fn make(context: &Context, cuda: &Arc<Cuda>, size: u64) -> Result<SharedPage> {
        let page = page::make(context, size)?;
        let mapped = cuda.import(page.file, page.bytes)?;
        Ok(SharedPage { mapped, raw: page.raw, number: new_number() })
    }

    /// CUDA's address of the first byte.
    pub(crate) fn address(&self) -> u64 {
        self.mapped.address
    }
}

/// A new page with a buffer's content; the copy is done.
///
/// # Errors
/// As `SharedPage::make`.
pub(crate) fn filled(context: &Context, pool: &Arc<Pool>, buffer: &GpuBuffer) -> Result<SharedPage> {
    let page = pool.page(buffer.bytes())?;
    let (from, bytes) = (buffer.raw(), buffer.size().min(page.raw.size()));
    context.submit(&|| false, || {
        let mut encoder = context.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&from, 0, &page.raw, 0, bytes);
        Some(encoder.finish())
    })?;
    context.wait(&|| false)?;
    Ok(page)
}

/// CUDA's address of a buffer, which moves to a page the first time. The caller lets nothing else run on the device meanwhile.
///
/// # Errors
/// As `SharedPage::make`.
pub(crate) fn share(context: &Context, pool: &Arc<Pool>, buffer: &GpuBuffer) -> Result<u64> {
    if let Some(address) = buffer.hand_out() {
        context.wait(&|| false)?;
        return Ok(address);
    }
    buffer.move_to(filled(context, pool, buffer)?);
    buffer.hand_out().ok_or_else(|| Error::internal("gpu: a page has no address. Please report this."))
}
