//! What distinguishes one call of a compiled function from another, and the shape of what it returns.
//! Depends on `tensor`. Invariant: tensors count by shape, dtype, device and whether they require grad; plain values by equality; everything
//! else by identity.

use adret_core::backend::Device;
use adret_core::dtype::DType;
use adret_core::graph::{self, Handle, Tensor};
use adret_core::shape::Shape;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple, PyType};

use crate::device;
use crate::dtype::{DTypeObject, default_float};
use crate::tensor::TensorObject;

/// The arguments of a call.
pub(crate) struct Arguments<'a, 'py> {
    pub(crate) args: &'a Bound<'py, PyTuple>,
    pub(crate) kwargs: Option<&'a Bound<'py, PyDict>>,
}

/// Settings of the thread and the process that decide what a function builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Modes {
    grad: bool,
    dtype: DType,
    device: Device,
    /// Dtypes of products, on the CPU and on GPUs.
    products: [Option<DType>; 2],
}

impl Modes {
    /// Those in force.
    pub(crate) fn now() -> Self {
        let products = [Device::Cpu, Device::Gpu(0)].map(graph::autocast);
        Self { grad: graph::grad_enabled(), dtype: default_float(), device: device::default(), products }
    }
}

enum Spec {
    Tensor {
        shape: Shape,
        dtype: DType,
        device: Device,
        requires_grad: bool,
        /// An earlier argument that is the same object.
        same_as: Option<usize>,
    },
    /// A tuple or a list: its class and its items.
    Sequence(Py<PyType>, Vec<Spec>),
    Dict(Vec<(Py<PyAny>, Spec)>),
    Value(Py<PyAny>),
    Object(Py<PyAny>),
}

/// A call's signature.
pub(crate) struct Signature {
    modes: Modes,
    args: Vec<Spec>,
    kwargs: Vec<(Py<PyAny>, Spec)>,
}

impl Signature {
    /// The signature of a call; its tensors go to `handles`.
    pub(crate) fn new(call: &Arguments<'_, '_>, modes: Modes, handles: &mut Vec<Handle>) -> PyResult<Self> {
        let args = call.args.iter().map(|item| Spec::of(&item, handles)).collect::<PyResult<_>>()?;
        let kwargs = call.kwargs.map_or_else(|| Ok(Vec::new()), |items| Spec::items(items, handles))?;
        Ok(Self { modes, args, kwargs })
    }

    /// Whether a call has this signature; its tensors go to `handles`.
    pub(crate) fn matches(&self, call: &Arguments<'_, '_>, modes: Modes, handles: &mut Vec<Handle>) -> PyResult<bool> {
        if modes != self.modes || call.args.len() != self.args.len() {
            return Ok(false);
        }
        for (spec, item) in self.args.iter().zip(call.args.iter()) {
            if !spec.matches(&item, handles)? {
                return Ok(false);
            }
        }
        match call.kwargs {
            Some(items) => Spec::items_match(&self.kwargs, items, handles),
            None => Ok(self.kwargs.is_empty()),
        }
    }

    /// The tensor objects among the arguments, in the order of their handles.
    pub(crate) fn objects<'py>(&self, call: &Arguments<'_, 'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let mut found = Vec::new();
        for (spec, item) in self.args.iter().zip(call.args.iter()) {
            spec.objects(&item, &mut found)?;
        }
        if let Some(items) = call.kwargs {
            for ((_, spec), (_, item)) in self.kwargs.iter().zip(items.iter()) {
                spec.objects(&item, &mut found)?;
            }
        }
        Ok(found)
    }
}

fn is_plain(object: &Bound<'_, PyAny>) -> bool {
    object.is_none()
        || object.is_exact_instance_of::<PyBool>()
        || object.is_exact_instance_of::<PyInt>()
        || object.is_exact_instance_of::<PyFloat>()
        || object.is_exact_instance_of::<PyString>()
        || object.is_exact_instance_of::<PyBytes>()
        || object.is_instance_of::<DTypeObject>()
}

impl Spec {
    fn of(object: &Bound<'_, PyAny>, handles: &mut Vec<Handle>) -> PyResult<Self> {
        if let Ok(tensor) = object.cast::<TensorObject>() {
            let (handle, tensor) = (tensor.get().handle().clone(), tensor.get().tensor());
            let same_as = handles.iter().position(|known| known.id() == handle.id());
            handles.push(handle);
            return Ok(Self::Tensor {
                shape: tensor.shape().clone(),
                dtype: tensor.dtype(),
                device: tensor.device(),
                requires_grad: tensor.requires_grad(),
                same_as,
            });
        }
        if object.is_exact_instance_of::<PyTuple>() || object.is_exact_instance_of::<PyList>() {
            let items = object.try_iter()?.map(|item| Self::of(&item?, handles)).collect::<PyResult<_>>()?;
            return Ok(Self::Sequence(object.get_type().unbind(), items));
        }
        if let Ok(items) = object.cast_exact::<PyDict>() {
            return Self::items(items, handles).map(Self::Dict);
        }
        let kept = object.clone().unbind();
        Ok(if is_plain(object) { Self::Value(kept) } else { Self::Object(kept) })
    }

    fn items(items: &Bound<'_, PyDict>, handles: &mut Vec<Handle>) -> PyResult<Vec<(Py<PyAny>, Self)>> {
        items.iter().map(|(key, item)| Ok((key.unbind(), Self::of(&item, handles)?))).collect()
    }

    fn matches(&self, object: &Bound<'_, PyAny>, handles: &mut Vec<Handle>) -> PyResult<bool> {
        let py = object.py();
        Ok(match self {
            Self::Tensor { shape, dtype, device, requires_grad, same_as } => {
                let Ok(found) = object.cast::<TensorObject>() else { return Ok(false) };
                let (handle, tensor) = (found.get().handle().clone(), found.get().tensor());
                let same = handles.iter().position(|known| known.id() == handle.id());
                handles.push(handle);
                let fits = |tensor: &Tensor| {
                    tensor.shape() == shape
                        && tensor.dtype() == *dtype
                        && tensor.device() == *device
                        && tensor.requires_grad() == *requires_grad
                };
                same == *same_as && fits(&tensor)
            }
            Self::Sequence(class, specs) => {
                if !object.get_type().is(class.bind(py)) || object.len()? != specs.len() {
                    return Ok(false);
                }
                for (spec, item) in specs.iter().zip(object.try_iter()?) {
                    if !spec.matches(&item?, handles)? {
                        return Ok(false);
                    }
                }
                true
            }
            Self::Dict(specs) => match object.cast_exact::<PyDict>() {
                Ok(items) => Self::items_match(specs, items, handles)?,
                Err(_) => false,
            },
            Self::Value(value) => {
                let value = value.bind(py);
                if let (Ok(one), Ok(other)) = (object.cast_exact::<PyFloat>(), value.cast_exact::<PyFloat>()) {
                    // Equal is not the same: 0 and -0 are told apart, and NaN is itself.
                    one.value().to_bits() == other.value().to_bits()
                } else {
                    object.is(value) || (object.get_type().is(value.get_type()) && object.eq(value)?)
                }
            }
            Self::Object(known) => object.is(known.bind(py)),
        })
    }

    fn items_match(
        specs: &[(Py<PyAny>, Self)],
        items: &Bound<'_, PyDict>,
        handles: &mut Vec<Handle>,
    ) -> PyResult<bool> {
        if items.len() != specs.len() {
            return Ok(false);
        }
        for ((name, spec), (key, item)) in specs.iter().zip(items.iter()) {
            if !(key.is(name.bind(key.py())) || key.eq(name.bind(key.py()))?) || !spec.matches(&item, handles)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn objects<'py>(&self, object: &Bound<'py, PyAny>, found: &mut Vec<Bound<'py, PyAny>>) -> PyResult<()> {
        match self {
            Self::Tensor { .. } => found.push(object.clone()),
            Self::Sequence(_, specs) => {
                for (spec, item) in specs.iter().zip(object.try_iter()?) {
                    spec.objects(&item?, found)?;
                }
            }
            Self::Dict(specs) => {
                for ((_, spec), (_, item)) in specs.iter().zip(object.cast::<PyDict>()?.iter()) {
                    spec.objects(&item, found)?;
                }
            }
            Self::Value(_) | Self::Object(_) => {}
        }
        Ok(())
    }
}

/// The shape of a function's result, tensors by number.
pub(crate) enum Tree {
    /// The n-th returned tensor.
    Tensor(usize),
    /// The n-th tensor among the arguments, unchanged.
    Argument(usize),
    Tuple(Vec<Tree>),
    /// A tuple with named fields, and its class.
    Named(Py<PyAny>, Vec<Tree>),
    List(Vec<Tree>),
    Dict(Vec<(Py<PyAny>, Tree)>),
    /// The same object every time.
    Object(Py<PyAny>),
}

impl Tree {
    /// The shape of a result; tensors that may be others in the next call (`is_new`) go to `returned`, each once.
    pub(crate) fn of(
        object: &Bound<'_, PyAny>,
        arguments: &[Bound<'_, PyAny>],
        is_new: &dyn Fn(&Handle) -> bool,
        returned: &mut Vec<Handle>,
    ) -> PyResult<Self> {
        let mut each = |item: Bound<'_, PyAny>| Self::of(&item, arguments, is_new, returned);
        if let Ok(tensor) = object.cast::<TensorObject>() {
            if let Some(number) = arguments.iter().position(|argument| argument.is(object)) {
                return Ok(Self::Argument(number));
            }
            let handle = tensor.get().handle();
            if !is_new(handle) {
                return Ok(Self::Object(object.clone().unbind()));
            }
            let known = returned.iter().position(|known| known.id() == handle.id());
            return Ok(Self::Tensor(known.unwrap_or_else(|| {
                returned.push(handle.clone());
                returned.len() - 1
            })));
        }
        if let Ok(items) = object.cast::<PyTuple>() {
            let items = items.iter().map(each).collect::<PyResult<_>>()?;
            if object.is_exact_instance_of::<PyTuple>() {
                return Ok(Self::Tuple(items));
            }
            return Ok(Self::Named(object.get_type().getattr("_make")?.unbind(), items));
        }
        if let Ok(items) = object.cast_exact::<PyList>() {
            return items.iter().map(each).collect::<PyResult<_>>().map(Self::List);
        }
        if let Ok(items) = object.cast_exact::<PyDict>() {
            let items = items.iter().map(|(key, item)| Ok((key.unbind(), each(item)?)));
            return items.collect::<PyResult<_>>().map(Self::Dict);
        }
        Ok(Self::Object(object.clone().unbind()))
    }

    /// A result of this shape.
    pub(crate) fn build<'py>(
        &self,
        py: Python<'py>,
        tensors: Vec<Handle>,
        arguments: &[Bound<'py, PyAny>],
    ) -> PyResult<Bound<'py, PyAny>> {
        let objects = tensors
            .into_iter()
            .map(|tensor| Ok(Bound::new(py, TensorObject::of_handle(tensor))?.into_any()))
            .collect::<PyResult<Vec<_>>>()?;
        self.fill(py, &objects, arguments)
    }

    fn fill<'py>(
        &self,
        py: Python<'py>,
        tensors: &[Bound<'py, PyAny>],
        arguments: &[Bound<'py, PyAny>],
    ) -> PyResult<Bound<'py, PyAny>> {
        let all =
            |trees: &[Self]| trees.iter().map(|tree| tree.fill(py, tensors, arguments)).collect::<PyResult<Vec<_>>>();
        Ok(match self {
            Self::Tensor(number) => tensors[*number].clone(),
            Self::Argument(number) => arguments[*number].clone(),
            Self::Tuple(trees) => PyTuple::new(py, all(trees)?)?.into_any(),
            Self::Named(make, trees) => make.bind(py).call1((all(trees)?,))?,
            Self::List(trees) => PyList::new(py, all(trees)?)?.into_any(),
            Self::Dict(trees) => {
                let items = PyDict::new(py);
                for (key, tree) in trees {
                    items.set_item(key, tree.fill(py, tensors, arguments)?)?;
                }
                items.into_any()
            }
            Self::Object(object) => object.bind(py).clone(),
        })
    }
}
