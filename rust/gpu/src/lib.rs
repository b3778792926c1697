//! The GPU backend of adret, on wgpu.
