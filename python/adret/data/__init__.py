"""Data for training: datasets, splits and mini-batches.

Depends on the core and on trees of `adret.autograd`, never on layers. Invariant: the order of samples is decided by a
seed and the number of the epoch alone, so that a loop can be taken up again where it stopped.
"""

from ._collate import default_collate
from ._dataset import Dataset, Subset, TensorDataset
from ._loader import DataLoader
from ._split import random_split, train_test_split

__all__ = [
    "DataLoader",
    "Dataset",
    "Subset",
    "TensorDataset",
    "default_collate",
    "random_split",
    "train_test_split",
]
