"""Bounds on gradients, and sequences of different lengths, under PyTorch's names.

Depends on the core only. Invariant: nothing here has parameters.
"""

from . import rnn
from ._clip import clip_grad_norm_, clip_grad_value_

__all__ = ["clip_grad_norm_", "clip_grad_value_", "rnn"]
