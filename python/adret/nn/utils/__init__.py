"""Bounds on gradients, parameters as a vector, and sequences of different lengths, under PyTorch's names.

Depends on the core only. Invariant: nothing here has parameters.
"""

from . import rnn
from ._clip import clip_grad_norm_, clip_grad_value_
from ._vector import parameters_to_vector, vector_to_parameters

__all__ = ["clip_grad_norm_", "clip_grad_value_", "parameters_to_vector", "rnn", "vector_to_parameters"]
