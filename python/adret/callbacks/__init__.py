"""What is told of a training's epochs and batches, under the names of Keras.

Depends on the core; `training` calls it. Invariant: a callback may be used for one training after another.
"""

from ._base import Callback, LambdaCallback
from ._checkpoint import ModelCheckpoint
from ._logging import CSVLogger
from ._schedule import LearningRateScheduler
from ._stopping import EarlyStopping
from ._tensorboard import TensorBoard

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "TensorBoard",
]
