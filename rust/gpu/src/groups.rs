//! Bind groups by what they bind, kept for the next run of the same launch on the same buffers. Depends on wgpu.
//! Invariant: a kept group keeps its buffers alive, so that it can never name another buffer than it was made for.
#![allow(clippy::mutable_key_type, reason = "handles of wgpu are compared and hashed by identity")]

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use smallvec::SmallVec;

/// Most groups kept; a training step uses some hundreds.
const MOST: usize = 4096;

/// A part of a buffer: first byte and size.
pub(crate) type Span = (wgpu::Buffer, u64, u64);

type Key = (wgpu::BindGroupLayout, SmallVec<[Span; 8]>);

/// The groups in use.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    known: Mutex<HashMap<Key, wgpu::BindGroup>>,
    made: AtomicU64,
}

impl Groups {
    /// The group that binds these spans, in order.
    pub(crate) fn get(
        &self,
        device: &wgpu::Device,
        layout: &wgpu::BindGroupLayout,
        spans: SmallVec<[Span; 8]>,
    ) -> wgpu::BindGroup {
        let key = (layout.clone(), spans);
        let mut known = self.known.lock();
        if let Some(group) = known.get(&key) {
            return group.clone();
        }
        let entries: SmallVec<[wgpu::BindGroupEntry<'_>; 8]> = key
            .1
            .iter()
            .enumerate()
            .map(|(binding, (buffer, offset, size))| wgpu::BindGroupEntry {
                binding: binding as u32,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer,
                    offset: *offset,
                    size: NonZeroU64::new(*size),
                }),
            })
            .collect();
        let made = device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries });
        drop(entries);
        self.made.fetch_add(1, Relaxed);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(key, made.clone());
        made
    }

    /// Groups made so far.
    pub(crate) fn made(&self) -> u64 {
        self.made.load(Relaxed)
    }

    /// Forgets all groups, so that their buffers can go.
    pub(crate) fn clear(&self) {
        let old = std::mem::take(&mut *self.known.lock());
        drop(old);
    }
}
