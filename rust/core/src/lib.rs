//! The engine of adret: a lazy graph with autograd, fusion into groups, cached plans and a CPU backend.
//!
//! Calls describe, `evaluate` computes. A function of `ops` checks shapes and dtypes, and returns a node of a graph; a gradient is more nodes
//! of it; tensors that are asked for together are planned, fused and computed together.
//!
//! ```
//! use std::sync::Arc;
//!
//! use adret_core::autograd::gradients;
//! use adret_core::backend::Device;
//! use adret_core::dtype::DType;
//! use adret_core::evaluate::{from_bytes, read};
//! use adret_core::graph::{GradSlot, leaf};
//! use adret_core::ops::{self, Reduction};
//! use adret_core::shape::Shape;
//!
//! // Tensors are made of bytes; a leaf with a slot is what can be differentiated.
//! let bytes: Vec<u8> = [1.0f32, 2.0, 3.0].iter().flat_map(|number| number.to_ne_bytes()).collect();
//! let x = from_bytes(DType::F32, &Shape::new(&[3])?, &bytes, Device::Cpu)?;
//! let x = leaf(&x, Arc::new(GradSlot::default()));
//!
//! let loss = ops::reduce(Reduction::Sum, &ops::square(&x)?, None, false)?;
//! let grads = gradients(&[(loss, None)], &[x.clone()], false, false)?;
//!
//! // Only now is anything computed. The closure is asked now and then whether to stop.
//! let found = read(grads[0].as_ref().unwrap(), &|| false)?;
//! let expected: Vec<u8> = [2.0f32, 4.0, 6.0].iter().flat_map(|number| number.to_ne_bytes()).collect();
//! assert_eq!(found, expected);
//!
//! // A mistake is an error of the call that made it.
//! let error = ops::matmul(&x, &ops::eye(2, 2, 0, DType::F32, Device::Cpu)?).unwrap_err();
//! assert!(error.to_string().starts_with("matmul: "));
//! # Ok::<(), adret_core::error::Error>(())
//! ```
//!
//! A whole training is in `examples/xor.rs`.
//!
//! Arrows go one way: vocabulary ← kit ← graph ← ops ← schedule ← evaluation; graph ← autograd; plans ← backends.

pub mod autograd;
pub mod backend;
pub mod code;
pub mod compile;
pub mod cpu;
pub mod dtype;
pub mod error;
pub mod evaluate;
pub mod graph;
pub mod group;
pub mod kit;
pub mod layout;
pub mod ops;
pub mod plan;
pub mod profile;
pub mod rng;
pub mod schedule;
pub mod shape;
pub mod wgsl;
