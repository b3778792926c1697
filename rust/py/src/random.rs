//! Random numbers: generators, and the functions that draw from them.
//! Depends on the core's `ops::random`. Invariant: a call takes its counters at once, so that evaluation order does not matter.

use std::cell::RefCell;
use std::sync::Arc;

use adret_core::compile::{self, Stream};
use adret_core::graph;
use adret_core::ops::{default_integer, random};
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::arguments::{Count, Sizes, real, whole};
use crate::device::{DeviceArgument, or_default};
use crate::dtype::{DTypeArgument, default_float};
use crate::engine;
use crate::errors::exception;
use crate::functions::add_functions;
use crate::tensor::TensorObject;

/// Where a stream of random numbers stands.
#[derive(Clone, Copy, Debug)]
struct State {
    key: u64,
    counter: u64,
}

impl State {
    /// Key and counter for so many elements.
    fn take(&mut self, elements: usize) -> (u64, u64) {
        let counter = self.counter;
        self.counter = counter.wrapping_add(random::blocks(elements));
        (self.key, counter)
    }
}

static DEFAULT: Mutex<State> = Mutex::new(State { key: 0, counter: 0 });

/// A stream of random numbers of its own (Philox4x32-10): the same seed gives the same numbers on every device.
///
/// Args:
///     seed: Names the stream.
///
/// Example:
///     >>> a = ad.random.uniform(2, generator=ad.random.Generator(1))
///     >>> b = ad.random.uniform(2, generator=ad.random.Generator(1))
///     >>> bool((a == b).all())
///     True
#[pyclass(frozen, name = "Generator", module = "adret.random")]
#[derive(Debug)]
pub(crate) struct Generator(Arc<Mutex<State>>);

#[pymethods]
impl Generator {
    #[new]
    #[pyo3(signature = (seed = 0))]
    fn create(#[pyo3(from_py_with = whole)] seed: i128) -> Self {
        // Negative seeds are as good as others.
        Self(Arc::new(Mutex::new(State { key: seed as u64, counter: 0 })))
    }

    /// Begins another stream.
    fn manual_seed(&self, py: Python<'_>, #[pyo3(from_py_with = whole)] seed: i128) -> PyResult<()> {
        refuse_recording(py)?;
        *self.0.lock() = State { key: seed as u64, counter: 0 };
        Ok(())
    }

    /// Seed and position: what a generator of the same state continues with.
    #[getter]
    fn state(&self) -> (u64, u64) {
        let state = *self.0.lock();
        (state.key, state.counter)
    }

    #[setter]
    fn set_state(&self, py: Python<'_>, state: (u64, u64)) -> PyResult<()> {
        refuse_recording(py)?;
        *self.0.lock() = State { key: state.0, counter: state.1 };
        Ok(())
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> (Bound<'py, PyType>, (i128,), (u64, u64)) {
        (slf.get_type(), (0,), slf.get().state())
    }

    fn __setstate__(&self, py: Python<'_>, state: (u64, u64)) -> PyResult<()> {
        self.set_state(py, state)
    }

    fn __repr__(&self) -> String {
        let state = *self.0.lock();
        format!("Generator(seed={}, position={})", state.key, state.counter)
    }
}

/// Key and counter for so many elements, from a generator or the default one.
pub(crate) fn take(generator: Option<&Generator>, elements: usize) -> (u64, u64) {
    let taken = generator.map_or(&DEFAULT, |generator| &generator.0).lock().take(elements);
    if graph::recording() {
        DRAWN.with_borrow_mut(|drawn| note(drawn, generator, taken, elements));
    }
    taken
}

/// A stream of random numbers that a recorded function drew from: `None` for the default one.
#[derive(Clone, Debug)]
pub(crate) struct Drawn {
    source: Option<Arc<Mutex<State>>>,
    /// From where to where.
    pub(crate) stream: Stream,
}

thread_local! {
    static DRAWN: RefCell<Vec<Drawn>> = const { RefCell::new(Vec::new()) };
}

fn note(drawn: &mut Vec<Drawn>, generator: Option<&Generator>, (key, counter): (u64, u64), elements: usize) {
    let source = generator.map(|generator| generator.0.clone());
    let same = |known: &&mut Drawn| match (&known.source, &source) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (a, b) => a.is_none() && b.is_none(),
    };
    let to = counter.wrapping_add(random::blocks(elements));
    match drawn.iter_mut().find(same) {
        // Numbers that are drawn a second time are no more numbers.
        Some(known) if to.wrapping_sub(known.stream.from) > known.stream.to.wrapping_sub(known.stream.from) => {
            known.stream.to = to;
        }
        Some(_) => {}
        None => drawn.push(Drawn { source, stream: Stream { key, from: counter, to } }),
    }
}

/// The streams that the recording on this thread drew from.
pub(crate) fn drawn() -> Vec<Drawn> {
    DRAWN.take()
}

impl Drawn {
    /// Takes as many numbers as were recorded: key and first block.
    pub(crate) fn take(&self) -> (u64, u64) {
        let mut state = self.source.as_deref().unwrap_or(&DEFAULT).lock();
        let counter = state.counter;
        state.counter = counter.wrapping_add(self.stream.to.wrapping_sub(self.stream.from));
        (state.key, counter)
    }

    /// Gives back what `take` took.
    pub(crate) fn put_back(&self, (key, counter): (u64, u64)) {
        *self.source.as_deref().unwrap_or(&DEFAULT).lock() = State { key, counter };
    }
}

/// A seed set in a recorded function would be set once, not in every replay.
fn refuse_recording(py: Python<'_>) -> PyResult<()> {
    if graph::recording() {
        return Err(exception(py, compile::refuse("compile: the function sets a seed. Set it outside the function.")));
    }
    Ok(())
}

/// Begins another stream of random numbers.
///
/// Example:
///     >>> ad.manual_seed(7)
#[pyfunction]
fn manual_seed(py: Python<'_>, #[pyo3(from_py_with = whole)] seed: i128) -> PyResult<()> {
    refuse_recording(py)?;
    *DEFAULT.lock() = State { key: seed as u64, counter: 0 };
    Ok(())
}

/// Seed and position of the default stream.
#[pyfunction]
fn random_state() -> (u64, u64) {
    let state = *DEFAULT.lock();
    (state.key, state.counter)
}

/// Continues the default stream from a state.
#[pyfunction]
fn set_random_state(py: Python<'_>, state: (u64, u64)) -> PyResult<()> {
    refuse_recording(py)?;
    *DEFAULT.lock() = State { key: state.0, counter: state.1 };
    Ok(())
}

/// Takes the default stream back to where it was, so that a computation repeats its numbers; returns where it stood.
#[pyfunction]
fn _rewind_random(state: (u64, u64)) -> (u64, u64) {
    let old = std::mem::replace(&mut *DEFAULT.lock(), State { key: state.0, counter: state.1 });
    (old.key, old.counter)
}

fn elements(shape: &Sizes) -> usize {
    shape.0.iter().fold(1, |product: usize, &size| product.saturating_mul(size))
}

macro_rules! distributions {
    ($($name:ident $function:path, $summary:literal, $first:ident = $low:literal, $second:ident = $high:literal;)*) => {
        $(
            #[doc = $summary]
            #[pyfunction]
            #[pyo3(signature = (shape, $first = $low, $second = $high, dtype = None, device = None, generator = None))]
            fn $name(
                py: Python<'_>,
                shape: Sizes,
                #[pyo3(from_py_with = real)] $first: f64,
                #[pyo3(from_py_with = real)] $second: f64,
                dtype: Option<DTypeArgument>,
                device: Option<DeviceArgument>,
                generator: Option<&Generator>,
            ) -> PyResult<TensorObject> {
                let dtype = dtype.map_or_else(default_float, |dtype| dtype.0);
                engine::tensor(py, || {
                    let (key, counter) = take(generator, elements(&shape));
                    $function(&shape.0, $first, $second, dtype, or_default(device), key, counter)
                })
            }
        )*
    };
}

distributions! {
    random_uniform random::uniform, "Evenly distributed over [low, high).", low = 0.0, high = 1.0;
    random_normal random::normal, "Normally distributed.", mean = 0.0, std = 1.0;
}

/// Normally distributed, within [low, high].
#[pyfunction]
#[pyo3(signature = (shape, mean = 0.0, std = 1.0, low = -2.0, high = 2.0, dtype = None, device = None, generator = None))]
fn random_truncated_normal(
    py: Python<'_>,
    shape: Sizes,
    #[pyo3(from_py_with = real)] mean: f64,
    #[pyo3(from_py_with = real)] std: f64,
    #[pyo3(from_py_with = real)] low: f64,
    #[pyo3(from_py_with = real)] high: f64,
    dtype: Option<DTypeArgument>,
    device: Option<DeviceArgument>,
    generator: Option<&Generator>,
) -> PyResult<TensorObject> {
    let dtype = dtype.map_or_else(default_float, |dtype| dtype.0);
    engine::tensor(py, || {
        let (key, counter) = take(generator, elements(&shape));
        random::truncated_normal(&shape.0, mean, std, low, high, dtype, or_default(device), key, counter)
    })
}

/// `True` with probability p.
#[pyfunction]
#[pyo3(signature = (shape, p = 0.5, device = None, generator = None))]
fn random_bernoulli(
    py: Python<'_>,
    shape: Sizes,
    #[pyo3(from_py_with = real)] p: f64,
    device: Option<DeviceArgument>,
    generator: Option<&Generator>,
) -> PyResult<TensorObject> {
    engine::tensor(py, || {
        let (key, counter) = take(generator, elements(&shape));
        random::bernoulli(&shape.0, p, or_default(device), key, counter)
    })
}

/// Integers evenly distributed over [low, high).
#[pyfunction]
#[pyo3(signature = (shape, low, high, dtype = None, device = None, generator = None))]
fn random_integers(
    py: Python<'_>,
    shape: Sizes,
    #[pyo3(from_py_with = whole)] low: i64,
    #[pyo3(from_py_with = whole)] high: i64,
    dtype: Option<DTypeArgument>,
    device: Option<DeviceArgument>,
    generator: Option<&Generator>,
) -> PyResult<TensorObject> {
    let dtype = dtype.map_or_else(|| default_integer(or_default(device)), |dtype| dtype.0);
    engine::tensor(py, || {
        let (key, counter) = take(generator, elements(&shape));
        random::integers(&shape.0, low, high, dtype, or_default(device), key, counter)
    })
}

/// The numbers below n in random order.
#[pyfunction]
#[pyo3(signature = (n, device = None, generator = None))]
fn random_permutation(
    py: Python<'_>,
    n: Count,
    device: Option<DeviceArgument>,
    generator: Option<&Generator>,
) -> PyResult<TensorObject> {
    engine::tensor(py, || {
        let (key, counter) = take(generator, n.0);
        random::permutation(n.0, or_default(device), key, counter)
    })
}

/// Puts class and functions into the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Generator>()?;
    add_functions!(
        module,
        manual_seed,
        random_state,
        set_random_state,
        _rewind_random,
        random_uniform,
        random_normal,
        random_truncated_normal,
        random_bernoulli,
        random_integers,
        random_permutation,
    );
    Ok(())
}
