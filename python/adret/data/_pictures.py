"""Sets of small pictures that learners know, read from the original files.

Depends on the core, `_idx`, `_cifar` and `_split`. Invariant: nothing is downloaded, nothing in a file is executed, and
what is not exactly in the format is refused.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from .._core import DType, DTypeError, Tensor, asarray, float32, float64, int64, uint8
from .._core import dtype as dtype_of
from .._core import eval as evaluate
from ._cifar import CIFAR10, CIFAR100, read_cifar
from ._idx import read_idx, wrong
from ._split import train_test_split

CLASS_NAMES: dict[str, tuple[str, ...]] = {
    "mnist": tuple("0123456789"),
    "fashion_mnist": (
        *("T-shirt", "trousers", "pullover", "dress", "coat"),
        *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
    ),
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
}
"""What the labels of a set mean, by the name of the function that reads it."""

# Where downloads leave the files, below the folder that was named; the most certain place first.
_MNIST_PLACES = ("MNIST/raw", "MNIST", "mnist/raw", "mnist", "raw", "")
_FASHION_PLACES = (
    *("FashionMNIST/raw", "FashionMNIST", "fashion-mnist/data/fashion", "fashion-mnist", "fashion_mnist"),
    *("data/fashion", "fashion", "raw", ""),
)
_PARTS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


class PictureSet(NamedTuple):
    """Pictures and labels, for training and for testing.

    Args:
        train_images: `[n, height, width]`, or `[n, channels, height, width]` where there are colours.
        train_labels: `[n]`, int64, from 0 on.
        test_images: Pictures never to be trained on.
        test_labels: Their labels.

    Example:
        >>> part = PictureSet(ad.zeros((4, 8, 8)), ad.zeros(4), ad.zeros((2, 8, 8)), ad.zeros(2))
        >>> train_images, train_labels, test_images, test_labels = part
        >>> part.test_images.shape
        (2, 8, 8)
    """

    train_images: Tensor
    """`[n, height, width]` or `[n, channels, height, width]`."""
    train_labels: Tensor
    """`[n]`, int64, from 0 on."""
    test_images: Tensor
    """Pictures never to be trained on."""
    test_labels: Tensor
    """Their labels."""


def mnist(folder: str | PathLike[str], dtype: DType | str = uint8) -> PictureSet:
    """Reads MNIST, handwritten digits of 28 x 28 grey values, from its four files.

    They are looked for in the folder and where downloads leave them below it, such as `MNIST/raw`; plain or with the
    suffix `.gz`. Nothing is downloaded.

    Args:
        folder: Where the files are.
        dtype: Of the pictures: uint8 keeps grey values 0 to 255, a floating dtype scales them to 0 to 1.

    Returns:
        A `PictureSet` with pictures `[n, 28, 28]`; `images.unsqueeze(1)` are those for a convolution.

    Raises:
        FileNotFoundError: If a file is not there; says which are expected where.
        FileFormatError: If a file's content is not what it must be; says at which byte.
        DTypeError: If the dtype cannot hold 255.

    Source:
        LeCun, Cortes, Burges (1998), The MNIST database of handwritten digits.

    Example:
        >>> try:
        ...     train_images, train_labels, test_images, test_labels = mnist("no such folder", dtype=ad.float32)
        ... except FileNotFoundError:
        ...     print("put the files there first")
        put the files there first
    """
    return _idx_set("mnist", folder, dtype, _MNIST_PLACES)


def fashion_mnist(folder: str | PathLike[str], dtype: DType | str = uint8) -> PictureSet:
    """Reads Fashion-MNIST, ten kinds of clothes in 28 x 28 grey values, from its four files.

    Their names are those of MNIST: keep the two in folders of their own. `CLASS_NAMES["fashion_mnist"]` has the words.

    Args:
        folder: Where the files are, or a folder above, as for `mnist`.
        dtype: Of the pictures: uint8 keeps grey values 0 to 255, a floating dtype scales them to 0 to 1.

    Returns:
        A `PictureSet` with pictures `[n, 28, 28]`.

    Raises:
        FileNotFoundError: If a file is not there; says which are expected where.
        FileFormatError: If a file's content is not what it must be; says at which byte.
        DTypeError: If the dtype cannot hold 255.

    Source:
        Xiao, Rasul, Vollgraf (2017), Fashion-MNIST.

    Example:
        >>> CLASS_NAMES["fashion_mnist"][9]
        'ankle boot'
    """
    return _idx_set("fashion_mnist", folder, dtype, _FASHION_PLACES)


def cifar10(folder: str | PathLike[str], dtype: DType | str = uint8) -> PictureSet:
    """Reads CIFAR-10, colour pictures of ten kinds of things, from its binary version.

    Args:
        folder: Where `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin` are, or their folder
            `cifar-10-batches-bin`, or the archive `cifar-10-binary.tar.gz`; or the archive itself.
        dtype: Of the pictures: uint8 keeps values 0 to 255, a floating dtype scales them to 0 to 1.

    Returns:
        A `PictureSet` with pictures `[n, 3, 32, 32]`: red, green and blue.

    Raises:
        FileNotFoundError: If neither files nor archive are there; says what is expected where.
        FileFormatError: If a file's content is not what it must be; says at which byte.
        DTypeError: If the dtype cannot hold 255.

    Source:
        Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images.

    Example:
        >>> CLASS_NAMES["cifar10"][3]
        'cat'
    """
    place, made = _place("cifar10", folder), _checked_dtype("cifar10", dtype)
    train, train_labels, test, test_labels = read_cifar(CIFAR10, place)
    return _made(made, train, train_labels[:, 0], test, test_labels[:, 0])


def cifar100(folder: str | PathLike[str], dtype: DType | str = uint8, coarse: bool = False) -> PictureSet:
    """Reads CIFAR-100, colour pictures of a hundred kinds of things, from its binary version.

    Args:
        folder: Where `train.bin` and `test.bin` are, or their folder `cifar-100-binary`, or the archive
            `cifar-100-binary.tar.gz`; or the archive itself.
        dtype: Of the pictures: uint8 keeps values 0 to 255, a floating dtype scales them to 0 to 1.
        coarse: Whether labels are the 20 groups instead of the 100 kinds.

    Returns:
        A `PictureSet` with pictures `[n, 3, 32, 32]`: red, green and blue.

    Raises:
        FileNotFoundError: If neither files nor archive are there; says what is expected where.
        FileFormatError: If a file's content is not what it must be; says at which byte.
        DTypeError: If the dtype cannot hold 255.

    Source:
        Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images.

    Example:
        >>> try:
        ...     cifar100("no such folder", coarse=True)
        ... except FileNotFoundError:
        ...     print("put the files there first")
        put the files there first
    """
    place, made = _place("cifar100", folder), _checked_dtype("cifar100", dtype)
    train, train_labels, test, test_labels = read_cifar(CIFAR100, place)
    column = 0 if coarse else 1
    return _made(made, train, train_labels[:, column], test, test_labels[:, column])


def digits(dtype: DType | str = float32, test_size: float = 1 / 3, seed: int = 0) -> PictureSet:
    """The 1797 handwritten digits of 8 x 8 grey values that come with scikit-learn, cut into two parts.

    Args:
        dtype: Of the pictures: a floating dtype scales grey values to 0 to 1, an integer one keeps 0 to 16.
        test_size: The fraction, or the number, of pictures for testing; every digit is in both parts alike.
        seed: Decides the parts.

    Returns:
        A `PictureSet` with pictures `[n, 8, 8]`.

    Raises:
        ImportError: If scikit-learn is not installed.
        DomainError: If a part would be empty.
        DTypeError: If the dtype is bool.

    Source:
        Alpaydin, Kaynak (1998), Optical Recognition of Handwritten Digits.

    Example:
        >>> train_images, train_labels, test_images, test_labels = digits()
        >>> train_images.shape, test_images.shape
        ((1198, 8, 8), (599, 8, 8))
    """
    kind = _checked_dtype("digits", dtype, 16)
    try:
        from sklearn.datasets import load_digits  # pyright: ignore
    except ImportError as error:
        raise ImportError("digits: scikit-learn is missing. Install it with `pip install scikit-learn`.") from error
    found: Any = load_digits()  # pyright: ignore[reportUnknownVariableType]
    images, labels = found.images.astype("uint8"), found.target
    train, test, train_labels, test_labels = train_test_split(
        images, labels, test_size=test_size, seed=seed, stratify=labels
    )
    return _made(kind, train, train_labels, test, test_labels, 16)


def _checked_dtype(name: str, dtype: DType | str, largest: int = 255) -> DType:
    made = dtype_of(dtype)
    if made.name == "bool" or (made.name == "int8" and largest > 127):
        raise DTypeError(
            f"{name}: {made.name} cannot hold {largest}. Use uint8, or a floating dtype for values 0 to 1."
        )
    return made


def _place(name: str, folder: object) -> Path:
    if not isinstance(folder, (str, PathLike)):
        raise DTypeError(f"{name}: folder is {folder!r}, a {type(folder).__name__}. Name the folder with the files.")
    return Path(folder)  # pyright: ignore[reportUnknownArgumentType]


def _idx_set(name: str, folder: str | PathLike[str], dtype: DType | str, places: tuple[str, ...]) -> PictureSet:
    kind = _checked_dtype(name, dtype)
    paths = _find(name, _place(name, folder), places)
    parts: list[Any] = []
    for images_path, labels_path in (paths[:2], paths[2:]):
        images, labels = read_idx(name, images_path, (None, 28, 28)), read_idx(name, labels_path, (None,))
        if len(images) != len(labels):
            what = f"there are {len(labels)} labels, and {len(images)} pictures in {images_path.name}"
            raise wrong(name, labels_path, 4, what, "Take both files from the same source.")
        if (labels > 9).any():
            row = int((labels > 9).argmax())
            raise wrong(name, labels_path, 8 + row, f"label {row} is {labels[row]}, and there are 10 classes")
        parts += (images, labels)
    return _made(kind, *parts)


def _find(name: str, folder: Path, places: tuple[str, ...]) -> list[Path]:
    """The four files, all of one folder."""
    lacking = ""
    for place in places:
        found = [_variant(folder / place, part) for part in _PARTS]
        paths = [path for path in found if path is not None]
        if len(paths) == len(_PARTS):
            return paths
        if paths and not lacking:
            missing = [part for part, path in zip(_PARTS, found, strict=True) if path is None]
            lacking = f"{folder / place} has no {', '.join(missing)}, with or without .gz"
    if lacking:
        raise FileNotFoundError(f"{name}: {lacking}. Put the missing files there.")
    below = ", ".join(place for place in places if place)
    raise FileNotFoundError(
        f"{name}: {folder} has none of {', '.join(_PARTS)}, with or without .gz, neither in itself nor in {below}. "
        "Nothing is downloaded: put the four files there."
    )


def _variant(folder: Path, part: str) -> Path | None:
    """The file under one of the names that it goes by; some sources write a point before `idx`."""
    dotted = part.replace("-idx", ".idx")
    for path in (
        folder / part,
        folder / f"{part}.gz",
        folder / dotted,
        folder / f"{dotted}.gz",
        folder / dotted / part,
    ):
        if path.is_file():
            return path
    inner = folder / part / part
    return inner if inner.is_file() else None


def _made(dtype: DType, train: Any, train_labels: Any, test: Any, test_labels: Any, largest: int = 255) -> PictureSet:
    def images(array: Any) -> Tensor:
        pictures = asarray(array)
        if not dtype.is_floating_point:
            return pictures.astype(dtype)
        return (pictures.astype(float64 if dtype == float64 else float32) / largest).astype(dtype)

    parts = PictureSet(
        images(train), asarray(train_labels).astype(int64), images(test), asarray(test_labels).astype(int64)
    )
    evaluate(*parts)
    return parts
