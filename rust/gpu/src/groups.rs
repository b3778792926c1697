//! Bind groups by what they bind, kept for the next run of the same launch on the same buffers. Depends on `buffer` and wgpu.
//! Invariant: a group is found by numbers that no two buffers share, so that it never names another buffer than it was made for.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::buffer::GpuBuffer;
use crate::pipeline::Layout;

/// Most groups kept; a training step uses some hundreds.
const MOST: usize = 4096;

/// A part of a buffer.
#[derive(Clone, Copy)]
pub(crate) struct Span<'a> {
    pub(crate) buffer: &'a GpuBuffer,
    /// First byte.
    pub(crate) first: u64,
    pub(crate) bytes: u64,
}

/// Number of the layout; number, first byte and size of each part.
type Key = (u64, SmallVec<[[u64; 3]; 8]>);

/// Mixes words: numbers of our own need no protection against chosen ones.
#[derive(Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(8) {
            self.write_u64(piece.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        // The table takes the low bits, products are mixed in the high ones.
        self.0.rotate_left(32)
    }
}

/// The groups in use.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    known: Mutex<HashMap<Key, wgpu::BindGroup, BuildHasherDefault<Mixer>>>,
    made: AtomicU64,
}

impl Groups {
    /// The group that binds these parts, in order.
    pub(crate) fn get<'a>(
        &self,
        device: &wgpu::Device,
        layout: &Layout,
        spans: impl Iterator<Item = Span<'a>> + Clone,
    ) -> wgpu::BindGroup {
        let named = spans.clone().map(|Span { buffer, first, bytes }| [buffer.number(), first, bytes]);
        let key = (layout.number, named.collect());
        let mut known = self.known.lock();
        if let Some(group) = known.get(&key) {
            return group.clone();
        }
        let parts: SmallVec<[_; 8]> = spans.map(|span| (span.buffer.raw(), span)).collect();
        let entries: SmallVec<[wgpu::BindGroupEntry<'_>; 8]> = parts
            .iter()
            .enumerate()
            .map(|(binding, (buffer, span))| wgpu::BindGroupEntry {
                binding: binding as u32,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer,
                    offset: span.first,
                    size: NonZeroU64::new(span.bytes),
                }),
            })
            .collect();
        let descriptor = wgpu::BindGroupDescriptor { label: None, layout: &layout.raw, entries: &entries };
        let made = device.create_bind_group(&descriptor);
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
