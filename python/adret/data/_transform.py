"""What changes batches of pictures: the base of all transforms, and chains of them.

Depends on the core; arithmetic is NumPy's. Invariant: what `apply` makes depends on the pictures and the generator
alone, so that an epoch of random pictures can be repeated, or taken up in its middle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .._core import DomainError, DTypeError, ShapeError, Tensor, asarray, bfloat16, float32, random_integers


class Transform:
    """A change of a batch of pictures `[n, height, width]` or `[n, channels, height, width]`.

    Called with a tensor it gives a tensor of the same dtype on the same device, with an array of NumPy an array; no
    gradient passes through. Each call draws anew; a loader that is given a transform draws by its own seed, the epoch
    and the batch. A class of your own has `apply(images, generator)`, with arrays of NumPy.

    Args:
        seed: Decides what the calls draw, one after the other; None draws a seed from `ad.random`.

    Example:
        >>> class Negative(Transform):
        ...     def apply(self, images, generator):
        ...         return 255 - images
        >>> Negative()(ad.zeros((1, 2, 2), dtype=ad.uint8)).tolist()
        [[[255, 255], [255, 255]]]
    """

    def __init__(self, seed: int | None = None) -> None:
        """Takes the seed."""
        if seed is not None and seed < 0:
            raise DomainError(f"{type(self).__name__}: seed is {seed}. Use 0 or more, or None.")
        self._seed = seed
        self._calls = 0

    def apply(self, images: Any, generator: Any) -> Any:
        """The changed pictures.

        Args:
            images: An array of NumPy, `[n, height, width]` or `[n, channels, height, width]`.
            generator: A `numpy.random.Generator`, the only source of chance.
        """
        raise NotImplementedError(f"{type(self).__name__}: apply is missing. Define apply(images, generator).")

    def __call__(self, images: Any) -> Any:
        """The changed pictures, of the kind that came in."""
        if getattr(self, "_seed", None) is None:
            # A class of one's own need not call the base.
            self._seed = int(random_integers((), 0, 1 << 31).item())
        self._calls = getattr(self, "_calls", 0) + 1
        return self.drawn(images, (self._calls - 1,))

    def drawn(self, images: Any, place: Sequence[int]) -> Any:
        """The changed pictures, with chance decided by the seed and a place alone.

        Args:
            images: A tensor or an array.
            place: Numbers from 0 on, for instance of the epoch and of the batch.
        """
        import numpy as np

        generator = np.random.default_rng([getattr(self, "_seed", None) or 0, *place])
        name = type(self).__name__
        if not isinstance(images, Tensor):
            if not hasattr(images, "__array__"):
                raise DTypeError(
                    f"{name}: a {type(images).__name__} is no batch of pictures. Pass a tensor or an array."
                )
            return self.apply(checked(name, np.asarray(images)), generator)
        narrow = images.dtype == bfloat16
        array = (images.detach().astype(float32) if narrow else images.detach()).to(device="cpu").numpy()
        made = asarray(self.apply(checked(name, array), generator))
        return (made.astype(bfloat16) if narrow else made).to(device=images.device)


class Compose(Transform):
    """Several transforms, one after the other.

    Args:
        transforms: Transforms, or functions of a batch; those draw nothing from the seed.
        seed: Decides what all of them draw; None draws a seed from `ad.random`.

    Raises:
        DTypeError: If one of them cannot be called.

    Example:
        >>> from adret.data import Normalize, RandomCrop, RandomHorizontalFlip
        >>> change = Compose([RandomCrop(28, padding=2), RandomHorizontalFlip(), Normalize(0.5, 0.25)], seed=0)
        >>> change(ad.ones((8, 3, 28, 28))).shape
        (8, 3, 28, 28)
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], seed: int | None = None) -> None:
        """Takes the transforms."""
        super().__init__(seed)
        self.transforms = list(transforms)
        for transform in self.transforms:
            if not callable(transform):
                raise DTypeError(
                    f"Compose: a {type(transform).__name__} cannot be called. Give transforms, or functions of a batch."
                )

    def apply(self, images: Any, generator: Any) -> Any:
        """One after the other, with chance from one generator."""
        import numpy as np

        for transform in self.transforms:
            if isinstance(transform, Transform):
                images = transform.apply(checked(type(transform).__name__, images), generator)
            else:
                made = transform(images)
                images = made.detach().numpy() if isinstance(made, Tensor) else np.asarray(made)
        return images

    def __repr__(self) -> str:
        """The transforms in order."""
        return f"Compose({self.transforms!r})"


def numpy() -> Any:
    """NumPy, loaded when it is needed."""
    import numpy

    return numpy


def checked(name: str, images: Any) -> Any:
    """The pictures, if they are some.

    Raises:
        ShapeError: If the rank is not that of pictures.
        DTypeError: If the elements are no real numbers.
    """
    if images.ndim not in (3, 4):
        raise ShapeError(
            f"{name}: the pictures are {images.shape}. "
            "Give [n, height, width] or [n, channels, height, width]; one picture is images[None]."
        )
    if images.dtype.kind not in "biuf":
        raise DTypeError(f"{name}: elements are {images.dtype}. Give integers or floating-point numbers.")
    return images


def back(values: Any, dtype: Any) -> Any:
    """Computed values in the pictures' dtype: integers are rounded, and stay within what the dtype can hold."""
    import numpy as np

    if dtype.kind == "f":
        return values.astype(dtype, copy=False)
    if dtype.kind == "b":
        return values >= 0.5
    bounds = np.iinfo(dtype)
    return np.clip(np.rint(values), bounds.min, bounds.max).astype(dtype)
