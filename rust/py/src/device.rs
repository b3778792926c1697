//! Devices by name, and the default one.
//! Depends on the core's `backend`. Invariant: a device that reaches the engine has been admitted by `engine::open`.

use adret_core::backend::Device;
use adret_core::error::{Error, Result};
use adret_core::evaluate;
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyDict};

use crate::engine;
use crate::errors::{call, caught, exception};

static DEFAULT: Mutex<Device> = Mutex::new(Device::Cpu);

/// Where new tensors are made when the call names no device.
pub(crate) fn default() -> Device {
    *DEFAULT.lock()
}

fn parse(name: &str) -> Result<Device> {
    let device = match name.split_once(':') {
        None if name == "cpu" => Some(Device::Cpu),
        None if name == "gpu" => Some(Device::Gpu(0)),
        Some(("cpu", "0")) => Some(Device::Cpu),
        Some(("gpu", number)) => number.parse().ok().map(Device::Gpu),
        _ => None,
    };
    device.ok_or_else(|| Error::device(format!("device: {name:?} is unknown. Use \"cpu\", \"gpu\" or \"gpu:1\".")))
}

/// A device as the user names it, opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeviceArgument(pub(crate) Device);

impl<'py> FromPyObject<'_, 'py> for DeviceArgument {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let name: String = object.extract()?;
        call(object.py(), || {
            let device = parse(&name)?;
            engine::open(device)?;
            Ok(Self(device))
        })
    }
}

/// The device of the argument, or the default one.
pub(crate) fn or_default(device: Option<DeviceArgument>) -> Device {
    device.map_or_else(default, |device| device.0)
}

/// Sets the device of tensors made without naming one, and returns its name.
///
/// `"auto"` takes the first hardware GPU where there is one, else the CPU.
///
/// Raises:
///     DeviceError: If there is no such device.
///
/// Example:
///     >>> ad.set_default_device("cpu")
///     'cpu'
#[pyfunction]
pub(crate) fn set_default_device(py: Python<'_>, device: &str) -> PyResult<String> {
    let device = if device == "auto" {
        py.detach(|| caught(|| Ok(engine::hardware_gpu())))
            .map_err(|error| exception(py, error))?
            .unwrap_or(Device::Cpu)
    } else {
        call(py, || {
            let device = parse(device)?;
            engine::open(device)?;
            Ok(device)
        })?
    };
    *DEFAULT.lock() = device;
    Ok(device.to_string())
}

/// The device of tensors made without naming one.
///
/// Example:
///     >>> ad.get_default_device()
///     'cpu'
#[pyfunction]
pub(crate) fn get_default_device() -> String {
    default().to_string()
}

/// The devices of this machine by name, each with what is known of it.
///
/// `name`, `type` ("cpu", "discrete", "integrated", "virtual", "software" or "other"), `vendor`, `driver`, `interface` ("vulkan",
/// "metal" or "dx12"; none for the CPU), `uuid` (the same in CUDA and other interfaces, or None), `features` and `limits`. Software adapters are listed only where
/// ADRET_ALLOW_SOFTWARE_GPU=1 admits them.
///
/// Example:
///     >>> ad.devices()["cpu"]["type"]
///     'cpu'
#[pyfunction]
pub(crate) fn devices(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let described = py.detach(|| caught(engine::devices));
    let described = described.map_err(|error| exception(py, error))?;
    let named = PyDict::new(py);
    for (device, facts) in described {
        let known = PyDict::new(py);
        known.set_item("name", &facts.name)?;
        known.set_item("type", &facts.kind)?;
        known.set_item("vendor", &facts.vendor)?;
        known.set_item("driver", &facts.driver)?;
        known.set_item("interface", &facts.interface)?;
        known.set_item("features", &facts.features)?;
        known.set_item("uuid", &facts.uuid)?;
        known.set_item("limits", facts.limits.into_py_dict(py)?)?;
        named.set_item(device.to_string(), known)?;
    }
    Ok(named)
}

/// Gives up a GPU that stopped working, or frees one: its tensors are lost, and its next use opens it anew.
///
/// Args:
///     device: The GPU's name.
///
/// Raises:
///     DeviceError: If the device is the CPU, or its name is unknown.
///
/// Example:
///     >>> ad.reset_device("gpu")
#[pyfunction]
#[pyo3(signature = (device = "gpu"))]
pub(crate) fn reset_device(py: Python<'_>, device: &str) -> PyResult<()> {
    let done = py.detach(|| caught(|| evaluate::reset_device(parse(device)?)));
    done.map_err(|error| exception(py, error))
}

/// Makes the n-th call of a GPU's driver from now on fail, for tests; `None` ends that. Whether an earlier order was still open.
#[pyfunction]
#[pyo3(signature = (n, kind = "memory"))]
fn _fail_gpu(py: Python<'_>, n: Option<u64>, kind: &str) -> PyResult<bool> {
    call(py, || engine::fail_gpu(n, kind))
}

/// The process ends.
#[pyfunction]
fn _close_devices(py: Python<'_>) {
    // A failure on the way out is nobody's any more.
    let _ = py.detach(|| {
        caught(|| {
            evaluate::close();
            Ok(())
        })
    });
}

/// Puts the functions into the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(set_default_device, module)?)?;
    module.add_function(wrap_pyfunction!(get_default_device, module)?)?;
    module.add_function(wrap_pyfunction!(devices, module)?)?;
    module.add_function(wrap_pyfunction!(reset_device, module)?)?;
    module.add_function(wrap_pyfunction!(_fail_gpu, module)?)?;
    let close = wrap_pyfunction!(_close_devices, module)?;
    module.py().import("atexit")?.call_method1("register", (close,))?;
    Ok(())
}
