//! Profiles for Python: open, read, close; and the machine's peaks.
//! Depends on the core's `profile`. Invariant: numbers only; names of columns and sums stand in Python.

use std::sync::{Mutex, PoisonError};

use adret_core::evaluate;
use adret_core::graph::scope_name;
use adret_core::kit::peak::peak;
use adret_core::profile::{self, Activity, Report};
use pyo3::prelude::*;

use crate::functions::add_functions;

/// Name, device, module path; start and duration in nanoseconds; threads, asking thread; flops, bytes read, bytes written; double.
type Record = (String, String, String, i64, u64, usize, u32, u64, u64, u64, bool);
/// Activity, start and duration in nanoseconds, thread.
type Span = (&'static str, i64, u64, u32);
/// Seconds from opening to closing, records, spans, how many found no room.
type Found = (f64, Vec<Record>, Vec<Span>, u64);

/// A profile that records from its making on.
#[pyclass(name = "_Profile", module = "adret._core", frozen)]
pub(crate) struct ProfileObject {
    open: Mutex<Option<profile::Profile>>,
}

#[pymethods]
impl ProfileObject {
    #[new]
    fn new() -> Self {
        Self { open: Mutex::new(Some(profile::Profile::open())) }
    }

    /// What was recorded so far; stops recording if `close`. `None` once it is closed.
    fn read(&self, close: bool) -> Option<Found> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let report =
            if close { open.take().map(profile::Profile::close) } else { open.as_ref().map(profile::Profile::read) };
        report.map(|report| translated(&report))
    }
}

fn translated(report: &Report) -> Found {
    let since = |moment: u64| moment as i64 - report.start as i64;
    let records = report.records.iter().map(|record| {
        let (about, cost) = (&record.description, &record.description.cost);
        let (name, device, path) = (about.name.clone(), record.device.to_string(), scope_name(record.scope));
        let (start, duration) = (since(record.start), record.end - record.start);
        let (threads, thread) = (record.threads, record.thread);
        (name, device, path, start, duration, threads, thread, cost.flops, cost.read, cost.written, about.double)
    });
    let spans = report.spans.iter().map(|span| {
        let name = match span.activity {
            Activity::Evaluate => "evaluate",
            Activity::Plan => "plan",
            Activity::Run => "run",
        };
        (name, since(span.start), span.end - span.start, span.thread)
    });
    ((report.end - report.start) as f64 * 1e-9, records.collect(), spans.collect(), report.dropped)
}

/// What this machine reaches at most with the threads in force: their number, float32 and float64 operations per second, bytes per second.
#[pyfunction]
fn _machine_peak(py: Python<'_>) -> (usize, f64, f64, f64) {
    let peak = py.detach(|| evaluate::alone(peak));
    (peak.threads, peak.flops32, peak.flops64, peak.bandwidth)
}

/// Puts the class and the function into the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<ProfileObject>()?;
    add_functions!(module, _machine_peak);
    Ok(())
}
