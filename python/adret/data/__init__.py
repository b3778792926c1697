"""Data for training: datasets, splits, mini-batches, sets of pictures and what changes pictures.

Depends on the core and on trees of `adret.autograd`, never on layers. Invariant: the order of samples is decided by a
seed and the number of the epoch alone, so that a loop can be taken up again where it stopped.
"""

from ._augment import (
    GaussianNoise,
    Normalize,
    RandomCrop,
    RandomHorizontalFlip,
    RandomRotation,
    RandomVerticalFlip,
    Resize,
)
from ._collate import default_collate
from ._dataset import ConcatDataset, Dataset, Subset, TensorDataset
from ._loader import DataLoader
from ._pictures import CLASS_NAMES, PictureSet, cifar10, cifar100, digits, fashion_mnist, mnist
from ._split import random_split, train_test_split
from ._transform import Compose, Transform

__all__ = [
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "Subset",
    "TensorDataset",
    "default_collate",
    "random_split",
    "train_test_split",
    "CLASS_NAMES",
    "PictureSet",
    "cifar10",
    "cifar100",
    "digits",
    "fashion_mnist",
    "mnist",
    "Compose",
    "GaussianNoise",
    "Normalize",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomRotation",
    "RandomVerticalFlip",
    "Resize",
    "Transform",
]
