//! The reverse sweep: from a scalar's cotangent to gradients, as more nodes of the same graph.
//! Depends on `graph` and `ops::accumulate`. Invariant: a node is visited after all its users, once.

use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

use crate::dtype::Scalar;
use crate::error::{Error, Result};
use crate::graph::{Cotangent, GradMode, GradSlot, Handle, History, InScope, Node, Tensor, Vjp, identity};
use crate::ops;

/// A tensor with the cotangent it starts from; `None` stands for 1 and needs a tensor of one element.
pub type Root = (Tensor, Option<Tensor>);

/// Adds the gradients of the roots to the `grad` of every leaf below them.
///
/// # Errors
/// When a root does not require a gradient, the cotangent does not fit, or the graph was used up by an earlier pass.
pub fn backward(roots: &[Root], retain_graph: bool, create_graph: bool) -> Result<()> {
    let mut sweep = Sweep::default();
    sweep.start(roots, create_graph)?;
    let _mode = GradMode::set(create_graph);
    let mut leaves = Vec::new();
    sweep.run(|tensor, grad, slot| {
        if let Some(slot) = slot.filter(|slot| tensor.node.slot.is_some() || slot.retains()) {
            leaves.push((slot.clone(), grad.clone()));
        }
    })?;
    // Only now does anything that users see change.
    for (slot, grad) in leaves {
        match slot.get() {
            Some(sum) => sum.rebind(ops::add(&sum.tensor(), &grad)?),
            None => slot.set(Some(Handle::new(if create_graph { grad } else { identity(&grad) }))),
        }
    }
    if !retain_graph {
        sweep.release();
    }
    Ok(())
}

/// Gradients of the roots with respect to `wrt`; `None` where they do not depend on it.
///
/// # Errors
/// As `backward`.
pub fn gradients(
    roots: &[Root],
    wrt: &[Tensor],
    retain_graph: bool,
    create_graph: bool,
) -> Result<Vec<Option<Tensor>>> {
    gather(Sweep::default(), roots, wrt, retain_graph, create_graph)
}

/// As `gradients`, but of the roots as functions of `wrt` alone: what lies below is neither visited nor asked, so that
/// of two tensors of `wrt` that depend on each other each gets its direct share. The graph above is kept with
/// `create_graph` only.
///
/// # Errors
/// As `backward`.
pub fn direct_gradients(roots: &[Root], wrt: &[Tensor], create_graph: bool) -> Result<Vec<Option<Tensor>>> {
    let sweep = Sweep { ends: wrt.iter().map(|tensor| tensor.node.id).collect(), ..Sweep::default() };
    gather(sweep, roots, wrt, create_graph, create_graph)
}

fn gather(
    mut sweep: Sweep,
    roots: &[Root],
    wrt: &[Tensor],
    retain_graph: bool,
    create_graph: bool,
) -> Result<Vec<Option<Tensor>>> {
    sweep.start(roots, create_graph)?;
    let _mode = GradMode::set(create_graph);
    let mut found: Vec<Option<Tensor>> = vec![None; wrt.len()];
    sweep.run(|tensor, grad, _| {
        for (place, _) in found.iter_mut().zip(wrt).filter(|(_, wanted)| wanted.key() == tensor.key()) {
            *place = Some(grad.clone());
        }
    })?;
    if !retain_graph {
        sweep.release();
    }
    Ok(found)
}

/// Nodes ordered by age: users are younger than their inputs.
struct Younger(Arc<Node>);

impl PartialEq for Younger {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}
impl Eq for Younger {}
impl PartialOrd for Younger {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Younger {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.id.cmp(&other.0.id)
    }
}

#[derive(Default)]
struct Sweep {
    /// Cotangents gathered so far, per node and output; a node is in the queue as long as it has an entry.
    gathered: HashMap<u64, Vec<Vec<Cotangent>>>,
    queue: BinaryHeap<Younger>,
    visited: Vec<Arc<Node>>,
    /// Nodes at which the sweep ends.
    ends: HashSet<u64>,
}

impl Sweep {
    fn start(&mut self, roots: &[Root], create_graph: bool) -> Result<()> {
        let _mode = GradMode::set(create_graph);
        for (root, grad) in roots {
            if !root.requires_grad() {
                return Err(Error::grad(format!(
                    "backward: the tensor of shape {} does not require a gradient: no input of its computation has requires_grad=True \
                     (or it was computed under no_grad, or detached).",
                    root.shape()
                )));
            }
            let grad = match grad {
                Some(grad) if grad.shape() != root.shape() => {
                    return Err(Error::shape(format!(
                        "backward: gradient is {} and the tensor is {}. Pass a gradient of the tensor's shape.",
                        grad.shape(),
                        root.shape()
                    )));
                }
                Some(grad) => ops::astype(grad, root.dtype())?,
                None if root.shape().elements() == 1 => {
                    ops::full(root.shape(), Scalar::Float(1.0), root.dtype(), root.device())?
                }
                None => {
                    return Err(Error::grad(format!(
                        "backward: the tensor has shape {}, not one element. Reduce it first, as in loss.mean(), or pass gradient=.",
                        root.shape()
                    )));
                }
            };
            self.add(root, Cotangent::Dense(grad));
        }
        Ok(())
    }

    fn add(&mut self, tensor: &Tensor, cotangent: Cotangent) {
        let outputs = self.gathered.entry(tensor.node.id).or_insert_with(|| {
            self.queue.push(Younger(tensor.node.clone()));
            vec![Vec::new(); tensor.node.outputs.len()]
        });
        outputs[tensor.output].push(cotangent);
    }

    /// Visits nodes from young to old; `see` meets every tensor with its complete cotangent, after the tensor's hooks,
    /// and with its slot if it has one.
    fn run(&mut self, mut see: impl FnMut(&Tensor, &Tensor, Option<&Arc<GradSlot>>)) -> Result<()> {
        while let Some(Younger(node)) = self.queue.pop() {
            let pieces = self.gathered.remove(&node.id).unwrap_or_default();
            // A gradient belongs to the module of what it is the gradient of.
            let _scope = InScope::enter(node.scope);
            let outputs: Vec<Tensor> =
                (0..node.outputs.len()).map(|output| Tensor { node: node.clone(), output }).collect();
            let mut grads: Vec<Option<Tensor>> = Vec::with_capacity(outputs.len());
            let ends = self.ends.contains(&node.id);
            for (tensor, pieces) in outputs.iter().zip(pieces) {
                if pieces.is_empty() {
                    grads.push(None);
                    continue;
                }
                let mut grad = ops::accumulate(tensor.shape(), tensor.dtype(), tensor.device(), pieces)?;
                let slot = node.slot_of(tensor.output);
                if let Some(slot) = slot.as_ref().filter(|_| !ends) {
                    grad = slot.hooked(grad)?;
                }
                see(tensor, &grad, slot.as_ref());
                grads.push(Some(grad));
            }
            if ends || node.slot.is_some() {
                continue;
            }
            let Some(op) = &node.op else { continue };
            match node.history() {
                History::None => continue,
                History::Released => {
                    return Err(Error::grad(format!(
                        "backward: the graph of this tensor was used up by an earlier backward pass (at {}). \
                         Call the first one with retain_graph=True, or compute the tensor again.",
                        op.name()
                    )));
                }
                History::Recorded => {}
            }
            let inputs = node.inputs();
            let needs: Vec<bool> = inputs.iter().map(Tensor::requires_grad).collect();
            let cx = Vjp { inputs: &inputs, outputs: &outputs, grads: &grads, needs: &needs };
            let cotangents = op.vjp(&cx)?;
            for ((input, cotangent), needed) in inputs.iter().zip(cotangents).zip(&needs) {
                if let (Some(cotangent), true) = (cotangent, needed) {
                    self.add(input, cotangent);
                }
            }
            self.visited.push(node);
        }
        Ok(())
    }

    /// Ends the differentiability of everything visited.
    fn release(&self) {
        for node in &self.visited {
            node.release_history();
        }
    }
}
