//! The GPU backend: runs plans through wgpu. Knows kernels as launches, not ops; knows no shader syntax.
//! Depends on `adret-core` and wgpu. Invariant: nothing touches a driver before an adapter is asked for.
//!
//! ```no_run
//! # use adret_core::error::Result;
//! # fn main() -> Result<()> {
//! let gpu = adret_gpu::open(0)?;
//! println!("{}", gpu.describe());
//! # Ok(())
//! # }
//! ```

mod adapter;
mod backend;
mod buffer;
mod cache;
mod context;
#[cfg(target_os = "linux")]
mod cuda;
mod elements;
mod fault;
mod groups;
#[cfg(target_os = "linux")]
mod page;
mod pipeline;
mod places;
mod prepare;
mod ranges;
mod run;
#[cfg(target_os = "linux")]
mod share;
mod timing;
mod transfer;
mod trial;

pub use adapter::{AdapterInfo, adapters};
pub use backend::open;
pub use fault::{Failure, fail_call};
