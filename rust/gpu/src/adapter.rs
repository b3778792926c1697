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
    /// `discrete`, `integrated`, `virtual`, `software` or `other`.
    pub kind: String,
    /// Who made it.
    pub vendor: String,
    /// Whether the processor plays the adapter.
    pub software: bool,
    /// What kernels are bounded by, by name.
    pub limits: Vec<(&'static str, u64)>,
    /// What it offers of what kernels use.
    pub features: Vec<&'static str>,
    /// What identifies the device behind the adapter in other interfaces too, in hexadecimal digits, where its interface tells.
    pub uuid: Option<String>,
    /// Why `open` does not take it; the place among those without refusal is the adapter's index.
    pub refusal: Option<String>,
}

impl AdapterInfo {
    /// Whether `open` takes it.
    pub fn admitted(&self) -> bool {
        self.refusal.is_none()
    }
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
    let mut admitted = found().into_iter().filter(|adapter| info(adapter, software).admitted());
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
            let note = adapter.refusal.as_ref().map_or(String::new(), |why| format!(": {why}"));
            format!("{} ({}, {}){note}", adapter.name, adapter.backend, adapter.driver)
        })
        .collect();
    let admitted = seen.iter().filter(|adapter| adapter.admitted()).count();
    let advice = if admitted > 0 {
        format!("The last is '{}'.", adret_core::backend::Device::Gpu(admitted as u32 - 1))
    } else {
        "Use device='cpu', or set ADRET_ALLOW_SOFTWARE_GPU=1 to test on a software adapter.".to_owned()
    };
    format!("device: no adapter for '{device}': found {}, of which {admitted} can be used. {advice}", list.join("; "))
}

/// A whole number in an environment variable.
pub(crate) fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.trim().parse().ok()
}

/// Whether `ADRET_GPU_DISABLE`, a list with commas, names this: dtypes, `subgroup` and `cooperative`, or short `f16`.
pub(crate) fn denied(name: &str) -> bool {
    let short = match name {
        "float16" => "f16",
        "bfloat16" => "bf16",
        "float64" => "f64",
        other => other,
    };
    std::env::var("ADRET_GPU_DISABLE")
        .is_ok_and(|list| list.split(',').any(|entry| [name, short].contains(&entry.trim())))
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

/// All adapters, the strongest kind first; one that two interfaces reach comes once. A driver that breaks off has none.
fn found() -> Vec<wgpu::Adapter> {
    let asked = std::panic::catch_unwind(|| ready(instance().enumerate_adapters(wgpu::Backends::all())));
    let mut found = asked.unwrap_or_default();
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
    let limits = limits(&adapter.limits());
    let refusal = if !computes {
        Some("it has no compute shaders".to_owned())
    } else if let Some(lacking) = lacking(&limits) {
        Some(lacking)
    } else if software && !software_allowed {
        Some("a software adapter, slower than device='cpu'; ADRET_ALLOW_SOFTWARE_GPU=1 admits it for tests".to_owned())
    } else {
        None
    };
    let kind = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => "discrete",
        wgpu::DeviceType::IntegratedGpu => "integrated",
        wgpu::DeviceType::VirtualGpu => "virtual",
        wgpu::DeviceType::Cpu => "software",
        wgpu::DeviceType::Other => "other",
    };
    let offered = adapter.features();
    let features = FEATURES.iter().filter(|(feature, _)| offered.contains(*feature)).map(|(_, name)| *name).collect();
    AdapterInfo {
        name: info.name,
        backend: info.backend.to_string(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        kind: kind.to_owned(),
        vendor: vendor(info.vendor),
        software,
        limits,
        features,
        uuid: uuid(adapter).map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        refusal,
    }
}

/// The device's own number, the same in every interface.
#[cfg(target_os = "linux")]
fn uuid(adapter: &wgpu::Adapter) -> Option<[u8; 16]> {
    // SAFETY: the handles are used for a query alone, while the guard keeps them.
    unsafe {
        let known = adapter.as_hal::<wgpu::hal::api::Vulkan>()?;
        crate::page::uuid(known.shared_instance(), known.raw_physical_device())
    }
}

#[cfg(not(target_os = "linux"))]
fn uuid(_adapter: &wgpu::Adapter) -> Option<[u8; 16]> {
    None
}

/// What kernels use where it is there.
const FEATURES: [(wgpu::Features, &str); 8] = [
    (wgpu::Features::SHADER_F64, "float64"),
    (wgpu::Features::SHADER_INT64, "int64"),
    (wgpu::Features::SHADER_F16, "shader_f16"),
    (wgpu::Features::SUBGROUP, "subgroup"),
    (wgpu::Features::IMMEDIATES, "immediates"),
    (wgpu::Features::PIPELINE_CACHE, "pipeline_cache"),
    (wgpu::Features::TIMESTAMP_QUERY, "timestamp_query"),
    (wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX, "cooperative_matrix"),
];

fn limits(limits: &wgpu::Limits) -> Vec<(&'static str, u64)> {
    vec![
        ("buffer_bytes", limits.max_buffer_size),
        ("binding_bytes", limits.max_storage_buffer_binding_size),
        ("bindings", limits.max_storage_buffers_per_shader_stage.into()),
        ("workgroup_bytes", limits.max_compute_workgroup_storage_size.into()),
        ("workgroup_invocations", limits.max_compute_invocations_per_workgroup.into()),
        ("workgroups", limits.max_compute_workgroups_per_dimension.into()),
        ("immediate_bytes", limits.max_immediate_size.into()),
    ]
}

/// The least that kernels need.
const NEEDED: [(&str, u64); 5] = [
    ("bindings", 4),
    ("binding_bytes", 1 << 27),
    ("workgroup_bytes", 16 << 10),
    ("workgroup_invocations", 256),
    ("workgroups", 65535),
];

/// Which limit is too low, if one is.
fn lacking(limits: &[(&str, u64)]) -> Option<String> {
    NEEDED.iter().find_map(|(name, least)| {
        let (_, found) = limits.iter().find(|(limit, _)| limit == name)?;
        (found < least).then(|| format!("its limit of {name} is {found}, and kernels need {least}"))
    })
}

/// A maker by its PCI number.
fn vendor(number: u32) -> String {
    let known = [
        (0x10de, "NVIDIA"),
        (0x1002, "AMD"),
        (0x8086, "Intel"),
        (0x106b, "Apple"),
        (0x13b5, "Arm"),
        (0x5143, "Qualcomm"),
        (0x1010, "Imagination"),
        (0x1414, "Microsoft"),
        (0x10005, "Mesa"),
    ];
    known.iter().find(|(id, _)| *id == number).map_or_else(|| format!("{number:#06x}"), |(_, name)| (*name).to_owned())
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

    fn adapter(refusal: Option<&str>) -> AdapterInfo {
        let text = |text: &str| text.to_owned();
        AdapterInfo {
            name: text("Card"),
            backend: text("vulkan"),
            driver: text("1.0"),
            kind: text("discrete"),
            vendor: text("AMD"),
            software: false,
            limits: Vec::new(),
            features: Vec::new(),
            uuid: None,
            refusal: refusal.map(text),
        }
    }

    #[test]
    fn refusals_say_what_to_do() {
        assert!(refusal(0, &[]).contains("Install the graphics driver"));
        let text = refusal(0, &[adapter(Some("a toy"))]);
        assert!(text.contains("Card (vulkan, 1.0): a toy") && text.contains("ADRET_ALLOW_SOFTWARE_GPU=1"));
        assert!(refusal(1, &[adapter(None)]).contains("The last is 'gpu'"));
    }

    #[test]
    fn limits_below_the_least_are_named() {
        let enough: Vec<(&str, u64)> = NEEDED.to_vec();
        assert_eq!(lacking(&enough), None);
        for number in 0..enough.len() {
            let mut short = enough.clone();
            short[number].1 -= 1;
            assert!(lacking(&short).unwrap().contains(enough[number].0));
        }
    }
}
