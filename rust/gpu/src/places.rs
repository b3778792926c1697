//! Which buffers a plan's temporaries take, worked out once. Depends on `prepare` and `buffer`.
//! Invariant: what is needed at the same time lies in different buffers.

use std::sync::Arc;

use adret_core::error::Result;
use adret_core::plan::{Kernel, Place, Plan};
use adret_core::wgsl::element_bytes;
use smallvec::SmallVec;

use crate::buffer::{GpuBuffer, Pool};
use crate::pipeline::Pipelines;
use crate::prepare::{Lease, Ready};

/// Buffers of a plan's temporaries: those that are not needed at the same time share one.
#[derive(Debug)]
pub(crate) struct Places {
    /// The device that they are for.
    owner: Arc<Pipelines>,
    /// Bytes of each buffer.
    sizes: Vec<usize>,
    /// Buffer of each temporary.
    temporaries: Vec<usize>,
    /// The kernel that makes each temporary, and which of its arguments it is.
    makers: Vec<Option<(usize, usize)>>,
    /// Buffers of each kernel's scratch.
    scratch: Vec<SmallVec<[usize; 2]>>,
}

impl Places {
    fn new(plan: &Plan, leases: &[Lease<'_, Ready>], pool: &Pool, owner: &Arc<Pipelines>) -> Result<Places> {
        let bytes = temporary_bytes(&plan.kernels, plan.temporaries.len());
        let mut last = vec![0; bytes.len()];
        let mut makers = vec![None; bytes.len()];
        for (number, kernel) in plan.kernels.iter().enumerate() {
            for (position, argument) in kernel.arguments.iter().enumerate() {
                if let Place::Temporary(temporary) = argument.place {
                    last[temporary] = number;
                    if argument.write {
                        makers[temporary] = Some((number, position));
                    }
                }
            }
        }
        let mut sizes: Vec<usize> = Vec::new();
        let mut free: Vec<usize> = Vec::new();
        let mut take = |free: &mut Vec<usize>, bytes: usize| -> Result<usize> {
            // The smallest that fits and is not far too large.
            let fits = |&at: &usize| sizes[free[at]] >= bytes && sizes[free[at]] <= 2 * bytes.max(128);
            match (0..free.len()).filter(fits).min_by_key(|&at| sizes[free[at]]) {
                Some(at) => Ok(free.swap_remove(at)),
                None => {
                    sizes.push(pool.size(bytes)? as usize);
                    Ok(sizes.len() - 1)
                }
            }
        };
        let mut temporaries = vec![usize::MAX; bytes.len()];
        let mut scratch = Vec::new();
        for (number, (kernel, lease)) in plan.kernels.iter().zip(leases).enumerate() {
            let mut ending: SmallVec<[usize; 4]> = SmallVec::new();
            for argument in &kernel.arguments {
                let Place::Temporary(temporary) = argument.place else { continue };
                if temporaries[temporary] == usize::MAX {
                    temporaries[temporary] = take(&mut free, bytes[temporary])?;
                }
                if last[temporary] == number && !ending.contains(&temporaries[temporary]) {
                    ending.push(temporaries[temporary]);
                }
            }
            let own = lease.scratch.iter().map(|&bytes| take(&mut free, bytes)).collect::<Result<SmallVec<_>>>()?;
            free.extend(own.iter().copied());
            free.extend(ending);
            scratch.push(own);
        }
        Ok(Places { owner: Arc::clone(owner), sizes, temporaries, makers, scratch })
    }
}

impl Places {
    /// The kernel that makes a temporary, and which of its arguments it is.
    pub(crate) fn maker(&self, temporary: usize) -> Option<(usize, usize)> {
        self.makers[temporary]
    }
}

/// The buffers of one run.
pub(crate) struct Temporaries<'a> {
    buffers: Vec<GpuBuffer>,
    places: Lease<'a, Places>,
}

impl<'a> Temporaries<'a> {
    /// Takes them from the pool.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn take(
        plan: &'a Plan,
        leases: &[Lease<'_, Ready>],
        pool: &Arc<Pool>,
        owner: &Arc<Pipelines>,
    ) -> Result<Temporaries<'a>> {
        let make = || Places::new(plan, leases, pool, owner);
        let places = match plan.prepared.get_or_make::<Result<Places>>(make) {
            Some(Ok(places)) if Arc::ptr_eq(&places.owner, owner) => Lease::Kept(places),
            // Made for another device, or failed before.
            _ => Lease::Own(make()?),
        };
        let buffers = places.sizes.iter().map(|&bytes| pool.allocate(bytes)).collect::<Result<_>>()?;
        Ok(Temporaries { buffers, places })
    }

    /// What was worked out once.
    pub(crate) fn places(&self) -> &Places {
        &self.places
    }

    /// The buffer of a temporary.
    pub(crate) fn of(&self, temporary: usize) -> &GpuBuffer {
        &self.buffers[self.places.temporaries[temporary]]
    }

    /// A buffer of a kernel's scratch.
    pub(crate) fn scratch(&self, kernel: usize, number: usize) -> &GpuBuffer {
        &self.buffers[self.places.scratch[kernel][number]]
    }
}

/// Bytes that each temporary of a plan takes on the device.
fn temporary_bytes(kernels: &[Kernel], temporaries: usize) -> Vec<usize> {
    let mut bytes = vec![0; temporaries];
    for argument in kernels.iter().flat_map(|kernel| &kernel.arguments) {
        if let Place::Temporary(number) = argument.place
            && let Some((_, high)) = argument.layout.reach()
        {
            bytes[number] = bytes[number].max((high.max(0) as usize + 1) * element_bytes(argument.dtype));
        }
    }
    bytes
}
