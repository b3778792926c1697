//! Buffers whose memory other interfaces can open, through a file descriptor. Depends on wgpu's Vulkan and ash.
//! Invariant: a page is one allocation made for one buffer, so that its descriptor names exactly the buffer's bytes.

use std::os::fd::{FromRawFd, OwnedFd};

use adret_core::error::{Error, ErrorKind, Result};
use ash::{khr, vk};
use wgpu::hal::api::Vulkan;

use crate::context::Context;

const KIND: vk::ExternalMemoryHandleTypeFlags = vk::ExternalMemoryHandleTypeFlags::OPAQUE_FD;

/// What kernels and copies do with a page.
const USAGE: vk::BufferUsageFlags = vk::BufferUsageFlags::from_raw(
    vk::BufferUsageFlags::STORAGE_BUFFER.as_raw()
        | vk::BufferUsageFlags::TRANSFER_SRC.as_raw()
        | vk::BufferUsageFlags::TRANSFER_DST.as_raw(),
);

/// A page that has just been made.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) raw: wgpu::Buffer,
    /// Names the memory; whoever imports it owns it.
    pub(crate) file: OwnedFd,
    /// Bytes of the memory, at least those of the buffer.
    pub(crate) bytes: u64,
}

/// What identifies the adapter in every interface, where its memory can be exported.
///
/// # Errors
/// Why it cannot.
pub(crate) fn identity(context: &Context) -> std::result::Result<[u8; 16], String> {
    // SAFETY: the handles are used for queries alone, while the guard keeps them.
    unsafe {
        let device = context.device.as_hal::<Vulkan>().ok_or("the adapter is not driven by Vulkan")?;
        let instance = device.shared_instance();
        let identity = uuid(instance, device.raw_physical_device());
        let exports = device.enabled_device_extensions().contains(&khr::external_memory_fd::NAME);
        let Some(identity) = identity.filter(|_| exports) else {
            return Err("the Vulkan driver cannot export memory (VK_KHR_external_memory_fd)".to_owned());
        };
        let about = vk::PhysicalDeviceExternalBufferInfo::default().usage(USAGE).handle_type(KIND);
        let mut found = vk::ExternalBufferProperties::default();
        let raw = instance.raw_instance();
        raw.get_physical_device_external_buffer_properties(device.raw_physical_device(), &about, &mut found);
        let features = found.external_memory_properties.external_memory_features;
        if !features.contains(vk::ExternalMemoryFeatureFlags::EXPORTABLE) {
            return Err("the Vulkan driver does not export the memory of buffers".to_owned());
        }
        Ok(identity)
    }
}

/// The number of a device that is the same in every interface; `None` where the driver is from before such numbers.
///
/// # Safety
/// The device is one of the instance's.
pub(crate) unsafe fn uuid(
    instance: &wgpu::hal::vulkan::InstanceShared,
    device: vk::PhysicalDevice,
) -> Option<[u8; 16]> {
    let mut identity = vk::PhysicalDeviceIDProperties::default();
    let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut identity);
    if instance.instance_api_version() < vk::API_VERSION_1_1 {
        return None;
    }
    // SAFETY: the caller's; the function is of version 1.1, and the structures live until it returns.
    unsafe { instance.raw_instance().get_physical_device_properties2(device, &mut properties) };
    Some(identity.device_uuid)
}

/// A page of `size` bytes, a multiple of 4, its content unspecified.
///
/// # Errors
/// `OutOfMemory`, and what the driver reports.
pub(crate) fn make(context: &Context, size: u64) -> Result<Page> {
    context.guarded(|| allocate(context, size))?.map_err(|code| match code {
        vk::Result::ERROR_OUT_OF_DEVICE_MEMORY | vk::Result::ERROR_OUT_OF_HOST_MEMORY => Error::new(
            ErrorKind::OutOfMemory,
            format!("gpu: no {size} bytes are left that can be shared. Free tensors."),
        ),
        code => {
            Error::device(format!("gpu: memory that can be shared was refused: {code}. Share through the CPU instead."))
        }
    })
}

fn allocate(context: &Context, size: u64) -> std::result::Result<Page, vk::Result> {
    // SAFETY: every structure lives until the call that reads it returns; what a failure leaves is destroyed once; after that the buffer
    // and its memory belong to wgpu, which destroys them when its last use ends.
    unsafe {
        let device = context.device.as_hal::<Vulkan>().ok_or(vk::Result::ERROR_FEATURE_NOT_PRESENT)?;
        let (instance, raw) = (device.shared_instance().raw_instance(), device.raw_device());
        let mut external = vk::ExternalMemoryBufferCreateInfo::default().handle_types(KIND);
        let wanted = vk::BufferCreateInfo::default().size(size).usage(USAGE).push_next(&mut external);
        let buffer = raw.create_buffer(&wanted, None)?;
        let needs = raw.get_buffer_memory_requirements(buffer);
        let types = instance.get_physical_device_memory_properties(device.raw_physical_device());
        let place = types.memory_types_as_slice().iter().enumerate().position(|(number, kind)| {
            needs.memory_type_bits >> number & 1 == 1
                && kind.property_flags.contains(vk::MemoryPropertyFlags::DEVICE_LOCAL)
        });
        let memory = place.ok_or(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY).and_then(|place| {
            let mut export = vk::ExportMemoryAllocateInfo::default().handle_types(KIND);
            let mut dedicated = vk::MemoryDedicatedAllocateInfo::default().buffer(buffer);
            let wanted = vk::MemoryAllocateInfo::default()
                .allocation_size(needs.size)
                .memory_type_index(place as u32)
                .push_next(&mut export)
                .push_next(&mut dedicated);
            raw.allocate_memory(&wanted, None)
        });
        let memory = memory.inspect_err(|_| raw.destroy_buffer(buffer, None))?;
        let exports = khr::external_memory_fd::Device::new(instance, raw);
        let named = raw.bind_buffer_memory(buffer, memory, 0).and_then(|()| {
            let about = vk::MemoryGetFdInfoKHR::default().memory(memory).handle_type(KIND);
            // Some drivers succeed with no descriptor.
            exports.get_memory_fd(&about).and_then(|file| {
                if file < 0 { Err(vk::Result::ERROR_INVALID_EXTERNAL_HANDLE) } else { Ok(OwnedFd::from_raw_fd(file)) }
            })
        });
        let file = named.inspect_err(|_| {
            raw.destroy_buffer(buffer, None);
            raw.free_memory(memory, None);
        })?;
        let wrapped = wgpu::hal::vulkan::Buffer::from_raw_managed(buffer, memory, 0, needs.size);
        drop(device);
        let raw = wrap(context, wrapped, size);
        Ok(Page { raw, file, bytes: needs.size })
    }
}

/// wgpu's handle of a buffer with memory.
///
/// # Safety
/// The buffer is of this device, has the usages of `USAGE` and at least `size` bytes.
unsafe fn wrap(context: &Context, buffer: wgpu::hal::vulkan::Buffer, size: u64) -> wgpu::Buffer {
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
    // SAFETY: the caller's.
    unsafe { context.device.create_buffer_from_hal::<Vulkan>(buffer, &descriptor) }
}

#[cfg(test)]
mod tests {
    use std::os::fd::IntoRawFd;
    use std::sync::Arc;

    use adret_core::dtype::DType;

    use super::*;
    use crate::adapter::admitted;
    use crate::buffer::{GpuBuffer, Pool};
    use crate::transfer::Transfer;

    /// The buffer of a page that another device made.
    unsafe fn import(context: &Context, file: OwnedFd, size: u64, bytes: u64) -> wgpu::Buffer {
        // SAFETY: as in `allocate`; the import takes the descriptor, whether it succeeds or not.
        unsafe {
            let device = context.device.as_hal::<Vulkan>().unwrap();
            let raw = device.raw_device();
            let mut external = vk::ExternalMemoryBufferCreateInfo::default().handle_types(KIND);
            let wanted = vk::BufferCreateInfo::default().size(size).usage(USAGE).push_next(&mut external);
            let buffer = raw.create_buffer(&wanted, None).unwrap();
            let mut import = vk::ImportMemoryFdInfoKHR::default().handle_type(KIND).fd(file.into_raw_fd());
            let mut dedicated = vk::MemoryDedicatedAllocateInfo::default().buffer(buffer);
            let kind = raw.get_buffer_memory_requirements(buffer).memory_type_bits.trailing_zeros();
            let wanted = vk::MemoryAllocateInfo::default()
                .allocation_size(bytes)
                .memory_type_index(kind)
                .push_next(&mut import)
                .push_next(&mut dedicated);
            let memory = raw.allocate_memory(&wanted, None).unwrap();
            raw.bind_buffer_memory(buffer, memory, 0).unwrap();
            let wrapped = wgpu::hal::vulkan::Buffer::from_raw_managed(buffer, memory, 0, bytes);
            drop(device);
            wrap(context, wrapped, size)
        }
    }

    fn descriptors() -> usize {
        std::fs::read_dir("/proc/self/fd").unwrap().count()
    }

    #[test]
    fn a_page_is_the_same_memory_on_another_device() {
        let Ok(adapter) = admitted(0) else { return };
        let open = || Arc::new(Context::open(&adapter, false).unwrap());
        let (here, there) = (open(), open());
        if identity(&here).is_err() {
            return;
        }
        assert_eq!(identity(&here), identity(&there));
        let (pool, other) = (Pool::new(Arc::clone(&here)), Pool::new(Arc::clone(&there)));
        let (near, far) = (Transfer::new(Arc::clone(&here)), Transfer::new(Arc::clone(&there)));
        let mut before = 0;
        for round in 0..8u8 {
            let size = 1024 << round;
            let page = make(&here, size).unwrap();
            // SAFETY: the page was made for this import, and both sides wait for each other's work.
            let twin = unsafe { import(&there, page.file, size, page.bytes) };
            let mine = GpuBuffer::of(page.raw, size as usize, &pool);
            let theirs = GpuBuffer::of(twin, size as usize, &other);
            let data: Vec<u8> = (0..size).map(|n| (n as u8).wrapping_mul(7) ^ round).collect();
            let mut seen = vec![0; size as usize];
            near.fill(&mine, DType::F32, &data).unwrap();
            here.submit(&|| false, || None).unwrap();
            here.wait(&|| false).unwrap();
            far.download(&theirs, DType::F32, 0, &mut seen).unwrap();
            assert!(seen == data, "round {round}: what was written here is there");
            let back: Vec<u8> = data.iter().rev().copied().collect();
            far.fill(&theirs, DType::F32, &back).unwrap();
            there.submit(&|| false, || None).unwrap();
            there.wait(&|| false).unwrap();
            near.download(&mine, DType::F32, 0, &mut seen).unwrap();
            assert!(seen == back, "round {round}: what was written there is here");
            drop((mine, theirs));
            pool.trim();
            other.trim();
            here.wait(&|| false).unwrap();
            there.wait(&|| false).unwrap();
            if round == 1 {
                before = descriptors();
            }
        }
        assert!(descriptors() <= before, "descriptors are left over");
    }
}
