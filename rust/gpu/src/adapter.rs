//! Which adapters there are, and which are admitted. Depends on wgpu.
//! Invariant: a software adapter is admitted only where `ADRET_ALLOW_SOFTWARE_GPU=1` says so.

use std::future::Future;
use std::pin::pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

use adret_core::error::{Error, Result};

/// What is known of an adapter before it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterInfo {
    /// The adapter's own name.
    pub name: String,
    /// The interface that reaches it: `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// Name and version of the driver.
    pub driver: String,
    /// Whether the processor plays the adapter.
    pub software: bool,
    /// Whether `open` takes it; its place among the admitted ones is its index.
    pub admitted: bool,
}

/// Every adapter of this machine, those with memory of their own first.
pub fn adapters() -> Vec<AdapterInfo> {
    let software = software_allowed();
    found().iter().map(|adapter| info(adapter, software)).collect()
}

/// The `index`-th admitted adapter.
///
/// # Errors
/// When there is none: says what was found, and what to do.
pub(crate) fn admitted(index: u32) -> Result<wgpu::Adapter> {
    let software = software_allowed();
    let mut admitted = found().into_iter().filter(|adapter| info(adapter, software).admitted);
    admitted.nth(index as usize).ok_or_else(|| Error::device(refusal(index, &adapters())))
}

fn refusal(index: u32, seen: &[AdapterInfo]) -> String {
    let device = adret_core::backend::Device::Gpu(index);
    if seen.is_empty() {
        return format!(
            "device: no graphics adapter answers for '{device}'. Install the graphics driver with its Vulkan (Linux, Windows), \
             Direct3D 12 or Metal part, or use device='cpu'; in a container the driver's libraries must be mounted \
             (NVIDIA_DRIVER_CAPABILITIES with graphics)."
        );
    }
    let list: Vec<String> = seen
        .iter()
        .map(|adapter| {
            let note = match (adapter.admitted, adapter.software) {
                (true, _) => "",
                (false, true) => ", a software adapter, slower than device='cpu'",
                (false, false) => ", without compute shaders",
            };
            format!("{} ({}, {}{note})", adapter.name, adapter.backend, adapter.driver)
        })
        .collect();
    let admitted = seen.iter().filter(|adapter| adapter.admitted).count();
    let advice = if admitted > 0 {
        format!("The last is '{}'.", adret_core::backend::Device::Gpu(admitted as u32 - 1))
    } else {
        "Use device='cpu', or set ADRET_ALLOW_SOFTWARE_GPU=1 to test on a software adapter.".to_owned()
    };
    format!("device: no adapter for '{device}': found {}, of which {admitted} can be used. {advice}", list.join("; "))
}

fn software_allowed() -> bool {
    std::env::var("ADRET_ALLOW_SOFTWARE_GPU").is_ok_and(|value| value == "1")
}

/// The entry to the drivers, made when first asked for.
fn instance() -> &'static wgpu::Instance {
    static INSTANCE: OnceLock<wgpu::Instance> = OnceLock::new();
    INSTANCE.get_or_init(|| {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
        descriptor.flags = wgpu::InstanceFlags::empty();
        wgpu::Instance::new(descriptor)
    })
}

/// All adapters, the strongest kind first; one that two interfaces reach comes once.
fn found() -> Vec<wgpu::Adapter> {
    let mut found = ready(instance().enumerate_adapters(wgpu::Backends::all()));
    found.sort_by_key(|adapter| {
        let info = adapter.get_info();
        let kind = match info.device_type {
            wgpu::DeviceType::DiscreteGpu => 0,
            wgpu::DeviceType::IntegratedGpu => 1,
            wgpu::DeviceType::VirtualGpu => 2,
            wgpu::DeviceType::Other => 3,
            wgpu::DeviceType::Cpu => 4,
        };
        (kind, info.backend != wgpu::Backend::Vulkan)
    });
    let mut seen: Vec<(u32, u32, wgpu::Backend)> = Vec::new();
    found.retain(|adapter| {
        let info = adapter.get_info();
        let twin = |known: &(u32, u32, wgpu::Backend)| {
            (known.0, known.1) == (info.vendor, info.device) && known.2 != info.backend
        };
        let first = !seen.iter().any(twin);
        seen.push((info.vendor, info.device, info.backend));
        first
    });
    found
}

fn info(adapter: &wgpu::Adapter, software_allowed: bool) -> AdapterInfo {
    let info = adapter.get_info();
    let computes = adapter.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS);
    let software = info.device_type == wgpu::DeviceType::Cpu;
    AdapterInfo {
        name: info.name,
        backend: info.backend.to_string(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        software,
        admitted: computes && (software_allowed || !software),
    }
}

/// The result of a future that wgpu's native interfaces complete at once.
pub(crate) fn ready<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        std::thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(software: bool, admitted: bool) -> AdapterInfo {
        let text = |text: &str| text.to_owned();
        AdapterInfo { name: text("Card"), backend: text("vulkan"), driver: text("1.0"), software, admitted }
    }

    #[test]
    fn refusals_say_what_to_do() {
        assert!(refusal(0, &[]).contains("Install the graphics driver"));
        let text = refusal(0, &[adapter(true, false)]);
        assert!(text.contains("Card (vulkan, 1.0, a software adapter") && text.contains("ADRET_ALLOW_SOFTWARE_GPU=1"));
        assert!(refusal(1, &[adapter(false, true)]).contains("The last is 'gpu'"));
    }
}
