"""Random numbers: counter-based (Philox4x32-10), the same for a seed on every device.

Depends on the core only. Invariant: a call takes its place in the stream at once; evaluating later changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import _core
from ._core import DType, Generator, Tensor, manual_seed

__all__ = [
    "Generator",
    "bernoulli",
    "get_state",
    "integers",
    "manual_seed",
    "normal",
    "permutation",
    "rand",
    "randint",
    "randn",
    "set_state",
    "truncated_normal",
    "uniform",
]

Shape = int | Sequence[int]


def uniform(
    shape: Shape = (),
    low: float = 0.0,
    high: float = 1.0,
    dtype: DType | str | None = None,
    device: str | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Numbers evenly distributed over [low, high).

    Args:
        shape: Sizes of the result; none for a single number.
        low: The lower end, which can be drawn.
        high: The upper end, which cannot.
        dtype: A floating dtype; by default the default one.
        device: Where the numbers are; by default the default device.
        generator: The stream they come from; by default the one of `manual_seed`.

    Raises:
        DTypeError: If the dtype is not a floating one.

    Example:
        >>> x = ad.random.uniform((2, 3), 1.0, 2.0)
        >>> x.shape, bool((x >= 1).all())
        ((2, 3), True)
    """
    return _core.random_uniform(shape, low, high, dtype, device, generator)


def normal(
    shape: Shape = (),
    mean: float = 0.0,
    std: float = 1.0,
    dtype: DType | str | None = None,
    device: str | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Normally distributed numbers.

    Args:
        shape: Sizes of the result; none for a single number.
        mean: The mean of the distribution.
        std: Its standard deviation.
        dtype: A floating dtype; by default the default one.
        device: Where the numbers are; by default the default device.
        generator: The stream they come from; by default the one of `manual_seed`.

    Raises:
        DTypeError: If the dtype is not a floating one.

    Example:
        >>> ad.random.normal((2, 3), std=0.1).dtype
        adret.float32
    """
    return _core.random_normal(shape, mean, std, dtype, device, generator)


def truncated_normal(
    shape: Shape = (),
    mean: float = 0.0,
    std: float = 1.0,
    low: float = -2.0,
    high: float = 2.0,
    dtype: DType | str | None = None,
    device: str | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Normally distributed numbers that lie in [low, high].

    Args:
        shape: Sizes of the result; none for a single number.
        mean: The mean of the distribution before it is cut.
        std: Its standard deviation before it is cut.
        low: The lower end.
        high: The upper end.
        dtype: A floating dtype; by default the default one.
        device: Where the numbers are; by default the default device.
        generator: The stream they come from; by default the one of `manual_seed`.

    Raises:
        DTypeError: If the dtype is not a floating one.
        DomainError: If the ends do not leave a range.

    Example:
        >>> bool((ad.abs(ad.random.truncated_normal(100)) <= 2).all())
        True
    """
    return _core.random_truncated_normal(shape, mean, std, low, high, dtype, device, generator)


def bernoulli(
    shape: Shape = (), p: float = 0.5, device: str | None = None, generator: Generator | None = None
) -> Tensor:
    """`True` with probability p.

    Args:
        shape: Sizes of the result; none for a single truth.
        p: The probability, from 0 to 1.
        device: Where the numbers are; by default the default device.
        generator: The stream they come from; by default the one of `manual_seed`.

    Raises:
        DomainError: If p is no probability.

    Example:
        >>> ad.random.bernoulli(3, p=1.0)
        tensor([True, True, True])
    """
    return _core.random_bernoulli(shape, p, device, generator)


def integers(
    low: int,
    high: int | None = None,
    shape: Shape = (),
    dtype: DType | str | None = None,
    device: str | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Integers evenly distributed over [low, high), or [0, low) where `high` is left out.

    Args:
        low: The smallest integer, or the bound where `high` is left out.
        high: The bound, which cannot be drawn.
        shape: Sizes of the result; none for a single number.
        dtype: An integer dtype; int64 by default.
        device: Where the numbers are; by default the default device.
        generator: The stream they come from; by default the one of `manual_seed`.

    Raises:
        DomainError: If the range is empty.

    Example:
        >>> x = ad.random.integers(6, shape=100)
        >>> x.dtype, bool((x < 6).all())
        (adret.int64, True)
    """
    low, high = (0, low) if high is None else (low, high)
    return _core.random_integers(shape, low, high, dtype, device, generator)


def randint(low: int, high: int, size: Shape = (), **options: Any) -> Tensor:
    """As `integers`, under PyTorch's name.

    Args:
        low: The smallest integer.
        high: The bound, which cannot be drawn.
        size: Sizes of the result.
        **options: `dtype`, `device` and `generator`, as of `integers`.

    Example:
        >>> ad.random.randint(0, 2, (2, 2)).shape
        (2, 2)
    """
    return integers(low, high, size, **options)


def permutation(n: int, device: str | None = None, generator: Generator | None = None) -> Tensor:
    """The numbers below n in random order.

    Args:
        n: How many numbers, from 0.
        device: Where the numbers are; by default the default device.
        generator: The stream they come from; by default the one of `manual_seed`.

    Example:
        >>> sorted(ad.random.permutation(3).tolist())
        [0, 1, 2]
    """
    return _core.random_permutation(n, device, generator)


def rand(*shape: int, **options: Any) -> Tensor:
    """Numbers evenly distributed over [0, 1): `rand(2, 3)`.

    Args:
        *shape: Sizes of the result.
        **options: `dtype`, `device` and `generator`, as of `uniform`.

    Example:
        >>> ad.random.rand(2, 3).shape
        (2, 3)
    """
    return uniform(shape, **options)


def randn(*shape: int, **options: Any) -> Tensor:
    """Numbers of the standard normal distribution: `randn(2, 3)`.

    Args:
        *shape: Sizes of the result.
        **options: `dtype`, `device` and `generator`, as of `normal`.

    Example:
        >>> ad.random.randn(2, 3).shape
        (2, 3)
    """
    return normal(shape, **options)


def get_state() -> tuple[int, int]:
    """Seed and position of the default stream, for `set_state`.

    Example:
        >>> state = ad.random.get_state()
        >>> a = ad.random.rand(2)
        >>> ad.random.set_state(state)
        >>> bool((a == ad.random.rand(2)).all())
        True
    """
    return _core.random_state()


def set_state(state: tuple[int, int]) -> None:
    """Continues the default stream from a state.

    Args:
        state: What `get_state` gave.

    Example:
        >>> ad.random.set_state(ad.random.get_state())
    """
    _core.set_random_state(state)
