//! Devices by name, and the default one.
//! Depends on the core's `backend`. Invariant: a device that reaches the engine has been admitted by `engine::open`.

use adret_core::backend::Device;
use adret_core::error::{Error, Result};
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyDict;

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

/// The devices of this machine by name, each with a line that describes it.
///
/// Example:
///     >>> "cpu" in ad.devices()
///     True
#[pyfunction]
pub(crate) fn devices(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let described = py.detach(|| caught(engine::devices));
    let described = described.map_err(|error| exception(py, error))?;
    let named = PyDict::new(py);
    described.into_iter().try_for_each(|(device, line)| named.set_item(device.to_string(), line))?;
    Ok(named)
}

/// Puts the functions into the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(set_default_device, module)?)?;
    module.add_function(wrap_pyfunction!(get_default_device, module)?)?;
    module.add_function(wrap_pyfunction!(devices, module)?)
}
