//! `ad.compile`: a function that is recorded once per signature and replayed.
//! Depends on the core's `compile` and on `signature`. Invariant: a replay happens only where signature, modes and the counter of changed
//! attributes are those of the recording; whatever else differs, the function itself is called.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use adret_core::compile::{self, Outcome, Program, Replay};
use adret_core::graph::{self, Handle, Variable, WeakHandle};
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::engine;
use crate::errors::{exception, wrong_kind};
use crate::functions::add_functions;
use crate::random::{self, Drawn};
use crate::signature::{Arguments, Modes, Signature, Tree};
use crate::tensor::TensorObject;

/// Signatures that one function keeps; the oldest go.
const MOST_SIGNATURES: usize = 64;
/// Calls that may fail to be recorded because they still make state, before that is an error.
const PATIENCE: u32 = 3;

/// A number in tensor arithmetic that may be changed later: recordings take its value at every replay.
///
/// Example:
///     >>> from adret._core import Variable
///     >>> rate = Variable(0.5)
///     >>> (ad.ones(2) * rate).tolist()
///     [0.5, 0.5]
#[pyclass(frozen, name = "Variable", module = "adret._core")]
#[derive(Debug)]
pub(crate) struct VariableObject(pub(crate) Arc<Variable>);

#[pymethods]
impl VariableObject {
    #[new]
    fn create(value: f64) -> Self {
        Self(Arc::new(Variable::new(value)))
    }

    /// The number now.
    #[getter]
    fn value(&self) -> f64 {
        self.0.get()
    }

    #[setter]
    fn set_value(&self, value: f64) {
        self.0.set(value);
    }

    fn __repr__(&self) -> String {
        format!("Variable({})", self.0.get())
    }
}

/// What Python adds to a recorded step: `prepare()` gives variables their next values, and changes nothing else; then the dictionaries
/// `states` count the step.
struct Action {
    prepare: Py<PyAny>,
    states: Py<PyList>,
}

thread_local! {
    static ACTIONS: RefCell<Vec<Action>> = const { RefCell::new(Vec::new()) };
}

/// Adds to the count of every dictionary. No Python code runs meanwhile, so that an interrupt cannot come in between.
fn count(py: Python<'_>, states: &Py<PyList>, more: i64) -> PyResult<()> {
    for state in states.bind(py).iter() {
        let state = state.cast::<PyDict>()?;
        let step = state.get_item("step")?.map_or(Ok(0), |step| step.extract::<i64>())?;
        state.set_item("step", step + more)?;
    }
    Ok(())
}

/// One step of an optimiser: the tensors that it may rebind, and the states that count it. It happens as a whole or not at all.
#[pyclass(frozen, name = "Step", module = "adret._core")]
struct Step {
    rollback: compile::Rollback,
    states: Py<PyList>,
    /// Whether there is nothing to undo any more.
    done: AtomicBool,
}

#[pymethods]
impl Step {
    #[new]
    fn create(tensors: Vec<PyRef<'_, TensorObject>>, states: Py<PyList>) -> Self {
        let handles = tensors.iter().map(|tensor| tensor.handle().clone());
        Self { rollback: compile::Rollback::new(handles), states, done: AtomicBool::new(false) }
    }

    /// Evaluates what was rebound, and counts the step.
    fn commit(&self, py: Python<'_>, tensors: Vec<PyRef<'_, TensorObject>>) -> PyResult<()> {
        let found: Vec<_> = tensors.iter().map(|tensor| tensor.tensor()).collect();
        engine::evaluate(py, &found)?;
        self.done.store(true, Ordering::Relaxed);
        count(py, &self.states, 1)
    }

    /// Counts the step, and leaves evaluating to the recording.
    fn record(&self, py: Python<'_>, prepare: Py<PyAny>) -> PyResult<()> {
        self.done.store(true, Ordering::Relaxed);
        ACTIONS.with_borrow_mut(|actions| actions.push(Action { prepare, states: self.states.clone_ref(py) }));
        count(py, &self.states, 1)
    }

    /// Gives the tensors back what they named, unless the step was done; whether it was not.
    fn undo(&self) -> bool {
        let undone = !self.done.load(Ordering::Relaxed);
        if undone {
            self.rollback.restore();
        }
        undone
    }
}

/// Whether a function is being recorded on this thread.
#[pyfunction]
fn is_recording() -> bool {
    graph::recording()
}

/// A recording with what Python adds to it.
struct Recorded {
    program: Program,
    /// The counter of changed attributes after the recording.
    changes: u64,
    streams: Vec<Drawn>,
    actions: Vec<Action>,
    result: Tree,
}

#[derive(Default)]
struct State {
    recorded: Option<Arc<Recorded>>,
    /// What an earlier recording found without value.
    pending: Vec<Handle>,
    /// Calls that could not be recorded.
    failures: u32,
    /// Where results can still be differentiated, the function itself is called as long as the counter of changes stands there.
    plain: Option<u64>,
}

struct Entry {
    signature: Signature,
    state: Mutex<State>,
}

/// A function that is replayed without being called, see `compile`.
#[pyclass(frozen, dict, weakref, name = "CompiledFunction", module = "adret")]
pub(crate) struct CompiledFunction {
    function: Py<PyAny>,
    /// The module whose `count` tells of changed attributes.
    changes: Py<PyAny>,
    entries: Mutex<Vec<Arc<Entry>>>,
}

impl CompiledFunction {
    fn count(&self, py: Python<'_>) -> PyResult<u64> {
        self.changes.bind(py).getattr(pyo3::intern!(py, "count"))?.extract()
    }

    fn run_plainly<'py>(&self, call: &Arguments<'_, 'py>) -> PyResult<Bound<'py, PyAny>> {
        self.function.bind(call.args.py()).call(call.args, call.kwargs)
    }

    /// The entry of this signature, and the tensors among the arguments; a new entry where there is none.
    fn find(&self, call: &Arguments<'_, '_>) -> PyResult<(Arc<Entry>, Vec<Handle>, bool)> {
        let modes = Modes::now();
        let mut handles = Vec::new();
        let known: Vec<Arc<Entry>> = self.entries.lock().clone();
        for entry in known.iter().rev() {
            handles.clear();
            if entry.signature.matches(call, modes, &mut handles)? {
                return Ok((entry.clone(), handles, false));
            }
        }
        handles.clear();
        let signature = Signature::new(call, modes, &mut handles)?;
        let entry = Arc::new(Entry { signature, state: Mutex::default() });
        let mut entries = self.entries.lock();
        if entries.len() >= MOST_SIGNATURES {
            entries.remove(0);
        }
        entries.push(entry.clone());
        Ok((entry, handles, true))
    }

    /// Calls the function while its tensors are watched.
    fn record<'py>(&self, entry: &Entry, call: &Arguments<'_, 'py>, handles: &[Handle]) -> PyResult<Bound<'py, PyAny>> {
        let py = call.args.py();
        let before = self.count(py)?;
        let pending = std::mem::take(&mut entry.state.lock().pending);
        engine::run(py, |cancelled| compile::settle(handles, &pending, cancelled))?;
        ACTIONS.take();
        random::drawn();
        graph::start_recording(handles);
        let result = self.run_plainly(call);
        let recorder = graph::stop_recording();
        let (actions, streams) = (ACTIONS.take(), random::drawn());
        let result = result?;
        let Some(recorder) = recorder else { return Ok(result) };
        // Gradients are looked up in their slots in every replay, where others may have been put.
        let is_new = |handle: &Handle| {
            let mut born = recorder.born.iter().filter_map(WeakHandle::upgrade);
            recorder.held_by(handle).is_some() || born.any(|born| born.id() == handle.id())
        };
        let mut returned = Vec::new();
        let tree = Tree::of(&result, &entry.signature.objects(call)?, &is_new, &mut returned)?;
        if compile::has_stray(&recorder, handles, &returned) {
            // Cycles of Python objects hold their tensors until they are collected.
            py.import("gc")?.call_method0("collect")?;
        }
        let spans: Vec<_> = streams.iter().map(|drawn| drawn.stream).collect();
        let outcome = engine::run(py, |cancelled| compile::finish(&recorder, handles, &returned, &spans, cancelled));
        let outcome = outcome.inspect_err(|_| {
            compile::restore(&recorder, handles);
            take_back(py, &actions);
        })?;
        let mut state = entry.state.lock();
        let changes = self.count(py)?;
        match outcome {
            Outcome::Recorded(program) => {
                let recorded = Recorded { program: *program, changes, streams, actions, result: tree };
                *state = State { recorded: Some(Arc::new(recorded)), ..State::default() };
            }
            Outcome::Refused(reason) => {
                state.recorded = None;
                state.failures += 1;
                // A call that still makes state, an optimiser's for example, is tried again.
                if changes == before || state.failures >= PATIENCE {
                    return Err(exception(py, reason));
                }
            }
            Outcome::Differentiable => *state = State { plain: Some(changes), ..State::default() },
            Outcome::Later(pending) => *state = State { pending, ..State::default() },
        }
        Ok(result)
    }

    /// Replays a recording; `None` where it no longer describes the function.
    fn replay<'py>(
        recorded: &Recorded,
        call: &Arguments<'_, 'py>,
        entry: &Entry,
        handles: &[Handle],
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = call.args.py();
        for (number, action) in recorded.actions.iter().enumerate() {
            action.prepare.bind(py).call0().inspect_err(|_| take_back(py, &recorded.actions[..number]))?;
            count(py, &action.states, 1)?;
        }
        let taken: Vec<(u64, u64)> = recorded.streams.iter().map(Drawn::take).collect();
        let replayed = engine::run(py, |cancelled| recorded.program.replay(handles, &taken, cancelled));
        let put_back = || {
            take_back(py, &recorded.actions);
            recorded.streams.iter().zip(&taken).for_each(|(stream, &taken)| stream.put_back(taken));
        };
        match replayed {
            Ok(Replay::Done(tensors)) => recorded.result.build(py, tensors, &entry.signature.objects(call)?).map(Some),
            Ok(Replay::Stale) => {
                put_back();
                Ok(None)
            }
            Err(error) => {
                put_back();
                Err(error)
            }
        }
    }
}

/// Takes counted steps back.
fn take_back(py: Python<'_>, actions: &[Action]) {
    for action in actions {
        if let Err(error) = count(py, &action.states, -1) {
            error.write_unraisable(py, None);
        }
    }
}

#[pymethods]
impl CompiledFunction {
    #[new]
    fn create(py: Python<'_>, function: Py<PyAny>) -> PyResult<Self> {
        if !function.bind(py).is_callable() {
            return Err(wrong_kind(
                py,
                "compile: expected a function. Write ad.compile(f), or @ad.compile before its definition.",
            ));
        }
        let changes = py.import("adret._changes")?.into_any().unbind();
        Ok(Self { function, changes, entries: Mutex::default() })
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let call = Arguments { args, kwargs };
        if graph::recording() {
            // Part of an outer recording.
            return self.run_plainly(&call);
        }
        let (entry, handles, new) = self.find(&call)?;
        if new {
            return self.run_plainly(&call);
        }
        let (recorded, plain) = {
            let state = entry.state.lock();
            (state.recorded.clone(), state.plain)
        };
        if plain.is_some() && plain == Some(self.count(args.py())?) {
            return self.run_plainly(&call);
        }
        if let Some(recorded) = recorded
            && recorded.changes == self.count(args.py())?
            && let Some(result) = Self::replay(&recorded, &call, &entry, &handles)?
        {
            return Ok(result);
        }
        self.record(&entry, &call, &handles)
    }

    fn __get__<'py>(
        slf: &Bound<'py, Self>,
        instance: &Bound<'py, PyAny>,
        _owner: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if instance.is_none() {
            return Ok(slf.clone().into_any());
        }
        slf.py().import("types")?.getattr("MethodType")?.call1((slf, instance))
    }

    /// How many signatures are recorded.
    fn recordings(&self) -> usize {
        self.entries.lock().iter().filter(|entry| entry.state.lock().recorded.is_some()).count()
    }
}

/// Puts classes and functions into the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<VariableObject>()?;
    module.add_class::<CompiledFunction>()?;
    module.add_class::<Step>()?;
    add_functions!(module, is_recording);
    Ok(())
}
