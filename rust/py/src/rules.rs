//! Python code inside the backward pass: gradient rules of users, hooks, and the search for what a function captures.
//! Depends on `engine` and `foreign`. Invariant: the sweep calls Python on the thread that began it, which holds no lock of the engine then.

use std::sync::{Arc, Weak};

use adret_core::error::{Error, Result};
use adret_core::graph::{self, Cotangent, GradSlot, Handle, Hook, Tensor, Vjp};
use adret_core::ops;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyTuple};
use smallvec::SmallVec;

use crate::arguments::TensorArgument;
use crate::engine;
use crate::errors::{call, exception, passing, wrong_kind};
use crate::foreign::Held;
use crate::functions::add_functions;
use crate::tensor::TensorObject;

/// `values` as outputs of a function of `inputs` with a gradient rule written in Python.
///
/// The rule is called as `rule(cotangents, needs, outputs)`, `None` where an output has no cotangent or was not to be
/// kept, and returns a list of gradients or `None`, one per input.
#[pyfunction]
#[pyo3(signature = (values, inputs, rule, kept))]
fn _joined(
    py: Python<'_>,
    values: Vec<TensorArgument>,
    inputs: Vec<TensorArgument>,
    rule: Py<PyAny>,
    kept: Vec<bool>,
) -> PyResult<Vec<TensorObject>> {
    let values: Vec<Tensor> = values.into_iter().map(|value| value.0).collect();
    let inputs: Vec<&Tensor> = inputs.iter().map(|input| &input.0).collect();
    // Handles: a value that the rule will read is stored by the evaluation that meets it.
    let kept: Vec<Option<Handle>> =
        values.iter().zip(kept).map(|(value, kept)| kept.then(|| Handle::new(value.clone()))).collect();
    let held = Held::new(rule);
    let rule = move |cx: &Vjp<'_>| Python::attach(|py| pulled(py, &held, cx, &kept)).map_err(passing);
    engine::tensors(py, || ops::with_joint_vjp(&values, &inputs, Arc::new(rule), "function"))
}

/// Calls a rule.
fn pulled(
    py: Python<'_>,
    rule: &Held,
    cx: &Vjp<'_>,
    kept: &[Option<Handle>],
) -> PyResult<SmallVec<[Option<Cotangent>; 2]>> {
    let Some(rule) = rule.get(py) else { return Ok(SmallVec::new()) };
    let grads: Vec<Option<TensorObject>> = cx.grads.iter().map(|grad| grad.clone().map(TensorObject::new)).collect();
    let outputs = kept
        .iter()
        .zip(cx.outputs)
        .map(|(value, of)| {
            let value = value.as_ref().map(Handle::tensor);
            value.map(|value| call(py, || ops::part(&value, of, "function")).map(TensorObject::new)).transpose()
        })
        .collect::<PyResult<Vec<_>>>()?;
    let found: Vec<Option<TensorArgument>> =
        engine::sweeping(|| rule.call1((grads, cx.needs.to_vec(), outputs)))?.extract()?;
    Ok(found.into_iter().map(|gradient| gradient.map(|gradient| Cotangent::Dense(gradient.0))).collect())
}

/// A tensor of the same value and history, apart from what happens to the object later.
#[pyfunction]
fn _snapshot(x: TensorArgument) -> TensorObject {
    TensorObject::new(x.0)
}

/// Gradients of `outputs`, weighted by `cotangents`, as functions of `inputs` alone, whatever lies below these.
#[pyfunction]
#[pyo3(signature = (outputs, cotangents, inputs, create_graph))]
fn _direct_gradients(
    py: Python<'_>,
    outputs: Vec<TensorArgument>,
    cotangents: Vec<TensorArgument>,
    inputs: Vec<TensorArgument>,
    create_graph: bool,
) -> PyResult<Vec<Option<TensorObject>>> {
    let roots: Vec<_> =
        outputs.into_iter().zip(cotangents).map(|(output, weight)| (output.0, Some(weight.0))).collect();
    let inputs: Vec<_> = inputs.into_iter().map(|input| input.0).collect();
    let gradients = engine::direct_gradients(py, &roots, &inputs, create_graph)?;
    Ok(gradients.into_iter().map(|gradient| gradient.map(TensorObject::new)).collect())
}

/// Tells who gathers that these tensors are read, by code that makes no node of the graph.
#[pyfunction]
fn _note(tensors: Vec<TensorArgument>) {
    graph::note(&tensors.iter().map(|tensor| &tensor.0).collect::<Vec<_>>());
}

/// The number of the next node.
#[pyfunction]
fn _next_node() -> u64 {
    graph::next_id()
}

/// From now on, gathers the differentiable tensors older than node `before` that operations of this thread read.
#[pyfunction]
fn _begin_capture(before: u64) {
    graph::begin_capture(before);
}

/// Ends the gathering: the tensors, each with a key that names its value among all there are.
#[pyfunction]
fn _end_capture() -> Vec<(TensorObject, (u64, usize))> {
    graph::end_capture().into_iter().map(|tensor| (TensorObject::new(tensor.clone()), tensor.key())).collect()
}

/// The handle of a hook: calls `remove` once.
fn handle<'py>(py: Python<'py>, slot: Weak<GradSlot>, number: u64) -> PyResult<Bound<'py, PyAny>> {
    let remove = move |_: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| {
        if let Some(slot) = slot.upgrade() {
            slot.remove_hook(number);
        }
    };
    let remove = PyCFunction::new_closure(py, None, None, remove)?;
    py.import("adret._hooks")?.getattr("RemovableHandle")?.call1((remove,))
}

/// A hook that calls a Python function.
fn python_hook(function: Py<PyAny>) -> Hook {
    let held = Held::new(function);
    Arc::new(move |grad: &Tensor| -> Result<Option<Tensor>> {
        Python::attach(|py| {
            let Some(function) = held.get(py) else { return Ok(None) };
            let found = function.call1((TensorObject::new(grad.clone()),))?;
            if found.is_none() {
                return Ok(None);
            }
            match found.cast::<TensorObject>() {
                Ok(tensor) => Ok(Some(tensor.get().tensor())),
                Err(_) => Err(wrong_kind(
                    py,
                    format!(
                        "register_hook: the hook returned {}. Return a Tensor, or None to leave the gradient as it is.",
                        found.get_type().name()?
                    ),
                )),
            }
        })
        .map_err(passing)
    })
}

#[pymethods]
impl TensorObject {
    /// Calls `hook(gradient)` in every backward pass that reaches this tensor; what it returns replaces the gradient.
    ///
    /// A hook belongs to the value: writing a tensor in place leaves it behind, but that of a leaf stays. On a tensor
    /// that is not a leaf it goes with the history, after the pass.
    ///
    /// Args:
    ///     hook: Takes the gradient; returns another one like it, or None.
    ///
    /// Returns:
    ///     A handle whose `remove()` takes the hook away.
    ///
    /// Raises:
    ///     GradError: If the tensor does not require grad.
    ///     ShapeError: In the pass, if the hook changes shape, dtype or device.
    ///
    /// Example:
    ///     >>> x = ad.tensor([1.0, 2.0], requires_grad=True)
    ///     >>> handle = x.register_hook(lambda gradient: gradient * 10)
    ///     >>> (x * 3).sum().backward()
    ///     >>> x.grad
    ///     tensor([30., 30.])
    ///     >>> handle.remove()
    fn register_hook<'py>(&self, hook: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = hook.py();
        if !hook.is_callable() {
            return Err(wrong_kind(py, "register_hook: the hook cannot be called. Pass a function of one tensor."));
        }
        let slot = self.watched(py, "register_hook")?;
        let number = slot.add_hook(python_hook(hook.unbind()));
        handle(py, Arc::downgrade(&slot), number)
    }

    /// Gathers this tensor's gradient in `grad`, though it is not a leaf.
    ///
    /// Raises:
    ///     GradError: If the tensor does not require grad.
    ///
    /// Example:
    ///     >>> x = ad.tensor([1.0, 2.0], requires_grad=True)
    ///     >>> y = x * x
    ///     >>> y.retain_grad()
    ///     >>> (y * 3).sum().backward()
    ///     >>> y.grad
    ///     tensor([3., 3.])
    fn retain_grad(&self, py: Python<'_>) -> PyResult<()> {
        let slot = self.watched(py, "retain_grad")?;
        if !self.tensor().is_leaf() {
            slot.retain();
        }
        Ok(())
    }

    /// Whether `retain_grad` was called on a tensor that is not a leaf.
    #[getter]
    fn retains_grad(&self) -> bool {
        let tensor = self.tensor();
        !tensor.is_leaf() && tensor.node.slot_of(tensor.output).is_some_and(|slot| slot.retains())
    }
}

impl TensorObject {
    fn watched(&self, py: Python<'_>, name: &str) -> PyResult<Arc<GradSlot>> {
        let tensor = self.tensor();
        if tensor.requires_grad() {
            return Ok(tensor.node.watch(tensor.output));
        }
        Err(exception(
            py,
            Error::grad(format!(
                "{name}: the tensor of shape {} does not require a gradient. Call requires_grad_() first.",
                tensor.shape()
            )),
        ))
    }
}

/// Puts the functions into the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    add_functions!(module, _joined, _snapshot, _direct_gradients, _note, _next_node, _begin_capture, _end_capture);
    Ok(())
}
