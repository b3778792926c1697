"""Random and fixed changes of pictures, for more of them than there are, and for sizes and scales that fit.

Depends on `_transform`; arithmetic is NumPy's, a batch at a time. Invariant: each picture of a batch draws for itself,
and the dtype stays, except that `Normalize` makes floating-point numbers of integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from .._core import DomainError, ShapeError
from ._transform import Transform, back, numpy

Pair = int | tuple[int, int]


def _pair(name: str, what: str, size: Any) -> tuple[int, int]:
    sides: list[Any] = [*size] if isinstance(size, tuple | list) else [size, size]
    if len(sides) != 2 or any(isinstance(side, bool) or not isinstance(side, int) or side < 1 for side in sides):
        raise DomainError(f"{name}: {what} is {size}. Use a number of 1 or more, or (height, width).")
    return sides[0], sides[1]


class RandomCrop(Transform):
    """Cuts a window out of each picture, at a place drawn anew; with `padding`, pictures shift by up to so much.

    Args:
        size: Height and width of the window, or a number for both.
        padding: What is put around the pictures before: everywhere, (left and right, top and bottom), or (left, top,
            right, bottom).
        fill: The value put there, where `padding_mode` is "constant".
        padding_mode: "constant", "edge" (the border's value), "reflect" or "symmetric".
        seed: Decides the places; None draws a seed from `ad.random`.

    Shape:
        `[..., height, width]` becomes `[..., *size]`.

    Raises:
        DomainError: If an argument is out of range.
        ShapeError: When called with pictures that are smaller than the window, or than a padding that mirrors.

    Example:
        >>> RandomCrop(28, padding=2, seed=0)(ad.ones((16, 28, 28))).shape
        (16, 28, 28)
    """

    def __init__(
        self,
        size: Pair,
        padding: int | Sequence[int] = 0,
        fill: float = 0,
        padding_mode: Literal["constant", "edge", "reflect", "symmetric"] = "constant",
        seed: int | None = None,
    ) -> None:
        """Takes window and padding."""
        super().__init__(seed)
        self.size = _pair("RandomCrop", "size", size)
        sides: list[Any] = [padding] if isinstance(padding, int) else list(padding)
        if len(sides) not in (1, 2, 4) or any(not isinstance(side, int) or side < 0 for side in sides):
            raise DomainError(f"RandomCrop: padding is {padding}. Use one, two or four numbers of 0 or more.")
        if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
            raise DomainError(
                f"RandomCrop: padding_mode is {padding_mode!r}. Use 'constant', 'edge', 'reflect' or 'symmetric'."
            )
        left, top, right, bottom = sides * (4 // len(sides))
        self.padding = ((top, bottom), (left, right))
        self.fill = fill
        self.padding_mode = padding_mode

    def apply(self, images: Any, generator: Any) -> Any:
        """The windows."""
        np = numpy()

        if any(side for pair in self.padding for side in pair):
            images = self._padded(images)
        height, width = images.shape[-2:]
        if height < self.size[0] or width < self.size[1]:
            raise ShapeError(
                f"RandomCrop: the pictures are {height} x {width} with padding, and the window {self.size[0]} x "
                f"{self.size[1]}. Use a smaller window, or more padding."
            )
        tops = generator.integers(0, height - self.size[0] + 1, len(images))
        lefts = generator.integers(0, width - self.size[1] + 1, len(images))
        windows = np.lib.stride_tricks.sliding_window_view(images, self.size, axis=(-2, -1))
        if images.ndim == 3:
            return np.ascontiguousarray(windows[np.arange(len(images)), tops, lefts])
        return np.ascontiguousarray(windows[np.arange(len(images)), :, tops, lefts])

    def _padded(self, images: Any) -> Any:
        np = numpy()

        widths = [(0, 0)] * (images.ndim - 2) + list(self.padding)
        if self.padding_mode == "constant":
            return np.pad(images, widths, constant_values=back(np.asarray(self.fill), images.dtype))
        slack = 1 if self.padding_mode == "reflect" else 0
        for side, pair in zip(images.shape[-2:], self.padding, strict=True):
            if side == 0 or (self.padding_mode != "edge" and max(pair) > side - slack):
                raise ShapeError(
                    f"RandomCrop: a side of {side} cannot be mirrored by {max(pair)}. Use less padding, or 'edge'."
                )
        return np.pad(images, widths, mode=self.padding_mode)


class _RandomFlip(Transform):
    """Turns some pictures over, along one axis."""

    axis: int

    def __init__(self, p: float = 0.5, seed: int | None = None) -> None:
        """Takes the probability."""
        super().__init__(seed)
        if not 0 <= p <= 1:
            raise DomainError(f"{type(self).__name__}: p is {p}. Use a probability from 0 to 1.")
        self.p = p

    def apply(self, images: Any, generator: Any) -> Any:
        """Some turned over, the others as they are."""
        np = numpy()

        chosen = generator.random(len(images)) < self.p
        return np.where(chosen.reshape(-1, *[1] * (images.ndim - 1)), np.flip(images, self.axis), images)


class RandomHorizontalFlip(_RandomFlip):
    """Swaps left and right of each picture with probability `p`.

    Args:
        p: The probability.
        seed: Decides which; None draws a seed from `ad.random`.

    Shape:
        input `[..., height, width]`, output the same.

    Raises:
        DomainError: If `p` is no probability.

    Example:
        >>> RandomHorizontalFlip(p=1.0)(ad.tensor([[[1, 2], [3, 4]]])).tolist()
        [[[2, 1], [4, 3]]]
    """

    axis = -1


class RandomVerticalFlip(_RandomFlip):
    """Swaps top and bottom of each picture with probability `p`.

    Args:
        p: The probability.
        seed: Decides which; None draws a seed from `ad.random`.

    Shape:
        input `[..., height, width]`, output the same.

    Raises:
        DomainError: If `p` is no probability.

    Example:
        >>> RandomVerticalFlip(p=1.0)(ad.tensor([[[1, 2], [3, 4]]])).tolist()
        [[[3, 4], [1, 2]]]
    """

    axis = -2


class RandomRotation(Transform):
    """Turns each picture around its middle by an angle drawn anew; values between elements are bilinear.

    Args:
        degrees: The largest angle to either side, or (lowest, highest); positive ones turn counter-clockwise.
        fill: The value outside of the pictures.
        seed: Decides the angles; None draws a seed from `ad.random`.

    Shape:
        input `[..., height, width]`, output the same.

    Raises:
        DomainError: If the angles are no range.

    Example:
        >>> RandomRotation((90, 90))(ad.tensor([[[1.0, 2.0], [3.0, 4.0]]])).tolist()
        [[[2.0, 4.0], [1.0, 3.0]]]
    """

    def __init__(self, degrees: float | tuple[float, float], fill: float = 0, seed: int | None = None) -> None:
        """Takes the range of angles."""
        super().__init__(seed)
        low, high = (-degrees, degrees) if isinstance(degrees, int | float) else degrees
        if not -1e6 < low <= high < 1e6:
            raise DomainError(f"RandomRotation: degrees is {degrees}. Use a number of 0 or more, or (lowest, highest).")
        self.degrees = (float(low), float(high))
        self.fill = fill

    def apply(self, images: Any, generator: Any) -> Any:
        """The pictures, turned."""
        np = numpy()

        height, width = images.shape[-2:]
        angles = np.deg2rad(generator.uniform(*self.degrees, len(images))).reshape(-1, 1, 1)
        y = np.arange(height).reshape(1, -1, 1) - (height - 1) / 2
        x = np.arange(width).reshape(1, 1, -1) - (width - 1) / 2
        # Where each element comes from [n, height, width]; y points down. Rounded: quarter turns are exact.
        rows = np.round(x * np.sin(angles) + y * np.cos(angles) + (height - 1) / 2, 9)
        columns = np.round(x * np.cos(angles) - y * np.sin(angles) + (width - 1) / 2, 9)
        return back(_bilinear(images, rows, columns, self.fill), images.dtype)


def _bilinear(images: Any, rows: Any, columns: Any, fill: float) -> Any:
    """Values at places `[n, height, width]` of pictures `[n, ..., height, width]`, with `fill` around them."""
    np = numpy()

    kind = np.float64 if images.dtype.itemsize > 4 else np.float32
    channels = images if images.ndim == 4 else images[:, None]
    widths = ((0, 0), (0, 0), (1, 1), (1, 1))
    padded = np.pad(channels.astype(kind), widths, constant_values=fill)
    height, width = channels.shape[-2:]
    # One element of `fill` lies around the picture; what is farther away is that far away.
    rows, columns = np.clip(rows, -1, height) + 1, np.clip(columns, -1, width) + 1
    top, left = np.minimum(np.floor(rows).astype(int), height), np.minimum(np.floor(columns).astype(int), width)
    down, right = (rows - top).astype(kind)[:, None], (columns - left).astype(kind)[:, None]
    picture = np.arange(len(channels)).reshape(-1, 1, 1)

    def at(row: Any, column: Any) -> Any:
        return np.moveaxis(padded[picture, :, row, column], -1, 1)

    above = at(top, left) * (1 - right) + at(top, left + 1) * right
    below = at(top + 1, left) * (1 - right) + at(top + 1, left + 1) * right
    made = above * (1 - down) + below * down
    return made if images.ndim == 4 else made[:, 0]


class Normalize(Transform):
    """(x - mean) / std, for all elements or for each channel.

    Args:
        mean: A number, or one per channel.
        std: A number, or one per channel; more than 0.

    Shape:
        input `[..., height, width]`, output the same; integers become float32.

    Raises:
        DomainError: If a `std` is not more than 0.
        ShapeError: When called with pictures of another number of channels.

    Example:
        >>> Normalize((0.0, 1.0), (1.0, 2.0))(ad.ones((1, 2, 1, 1))).tolist()
        [[[[1.0]], [[0.0]]]]
    """

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        """Takes mean and standard deviation."""
        super().__init__(0)
        self.mean = [mean] if isinstance(mean, int | float) else [float(value) for value in mean]
        self.std = [std] if isinstance(std, int | float) else [float(value) for value in std]
        inf = float("inf")
        is_finite = all(-inf < value < inf for value in (*self.mean, *self.std))
        if not self.mean or not self.std or not is_finite or min(self.std) <= 0:
            raise DomainError(
                f"Normalize: mean is {mean} and std is {std}. Use finite numbers, and a std of more than 0."
            )

    def apply(self, images: Any, generator: Any) -> Any:
        """The shifted and scaled pictures."""
        np = numpy()

        channels = images.shape[1] if images.ndim == 4 else 1
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, channels):
                raise ShapeError(
                    f"Normalize: {name} has {len(values)} values and the pictures have {channels} channels. "
                    "Give one value, or one per channel."
                )
        dtype = images.dtype if images.dtype.kind == "f" else np.dtype(np.float32)
        shape = (-1, 1, 1) if images.ndim == 4 else (1, 1, 1)
        wide = np.promote_types(dtype, np.float32)
        mean, std = (np.asarray(values, wide).reshape(shape) for values in (self.mean, self.std))
        return ((images.astype(wide) - mean) / std).astype(dtype)


class GaussianNoise(Transform):
    """Adds normally distributed noise to every element.

    Args:
        std: Its standard deviation, in the pictures' own units: 25 of 255, or 0.1 of 1.
        seed: Decides the noise; None draws a seed from `ad.random`.

    Shape:
        input `[..., height, width]`, output the same; integers are rounded and stay in the range of their dtype.

    Raises:
        DomainError: If `std` is negative.

    Example:
        >>> noisy = GaussianNoise(0.1, seed=0)(ad.zeros((4, 28, 28)))
        >>> 0.09 < ad.std(noisy).item() < 0.11
        True
    """

    def __init__(self, std: float, seed: int | None = None) -> None:
        """Takes the standard deviation."""
        super().__init__(seed)
        if not 0 <= std < float("inf"):
            raise DomainError(f"GaussianNoise: std is {std}. Use a finite number of 0 or more.")
        self.std = std

    def apply(self, images: Any, generator: Any) -> Any:
        """The pictures with noise."""
        np = numpy()

        kind = np.float64 if images.dtype.itemsize > 4 else np.float32
        noise = generator.standard_normal(images.shape, kind) * kind(self.std)
        return back(images.astype(kind) + noise, images.dtype)


class Resize(Transform):
    """Pictures of another size, by linear interpolation along both axes.

    Args:
        size: (height, width), or a number for the shorter side; the other then keeps the proportion.
        antialias: Whether shrinking averages over all elements that fall together, instead of taking two of them.

    Shape:
        `[..., height, width]` becomes `[..., *size]`.

    Raises:
        DomainError: If a size is less than 1.
        ShapeError: When called with pictures without elements.

    Example:
        >>> Resize(28)(ad.ones((10, 8, 8))).shape
        (10, 28, 28)
        >>> Resize((1, 4))(ad.tensor([[[0.0, 1.0]]])).tolist()
        [[[0.0, 0.25, 0.75, 1.0]]]
    """

    def __init__(self, size: Pair, antialias: bool = True) -> None:
        """Takes the size."""
        super().__init__(0)
        self.size = _pair("Resize", "size", size)
        self.antialias = antialias
        self._is_side = isinstance(size, int)

    def apply(self, images: Any, generator: Any) -> Any:
        """The resized pictures."""
        np = numpy()

        height, width = images.shape[-2:]
        if not height or not width:
            raise ShapeError(f"Resize: the pictures are {height} x {width}. Give ones with elements.")
        new_height, new_width = self.size
        if self._is_side:
            # The shorter side gets the size; the other one is cut off to whole elements.
            new_height = max(1, new_height * height // min(height, width))
            new_width = max(1, new_width * width // min(height, width))
        kind = np.float64 if images.dtype.itemsize > 4 else np.float32
        rows = _weights(height, new_height, self.antialias).astype(kind)
        columns = _weights(width, new_width, self.antialias).astype(kind)
        return back(rows @ images.astype(kind) @ columns.T, images.dtype)


def _weights(size: int, new_size: int, antialias: bool) -> Any:
    """What each new element takes from each old one, `[new_size, size]`: a triangle around its place, of sum 1."""
    np = numpy()

    scale = size / new_size
    width = max(scale, 1.0) if antialias else 1.0
    places = (np.arange(new_size) + 0.5) * scale - 0.5
    if not antialias or scale <= 1:
        places = np.clip(places, 0, size - 1)
    weights = np.maximum(0.0, 1 - np.abs(np.arange(size) - places[:, None]) / width)
    return weights / weights.sum(axis=1, keepdims=True)
