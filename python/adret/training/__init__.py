"""The training loop, and what goes with it: `fit`, `evaluate`, `predict`, `summary`.

Depends on `nn`, `optim`, `data` and `callbacks`; nothing of those depends on it. Invariant: a step is one function of a
batch, so that it can be compiled; the loop around it reads no values from a device more often than it says.
"""

from ._errors import NonFiniteError
from ._evaluate import evaluate, predict
from ._fit import fit
from ._history import History
from ._summary import Summary, summary

__all__ = ["History", "NonFiniteError", "Summary", "evaluate", "fit", "predict", "summary"]
