"""From what users call data to batches (x, y) on the model's device.

Depends on `data` and `nn`. Invariant: floating-point numbers arrive in the dtype of the model's parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

from .. import nn
from .._core import DomainError, DType, DTypeError, ShapeError, Tensor, asarray, get_default_device
from ..autograd import leaves_of, rebuilt
from ..data import DataLoader
from ..data._columns import columns_of, is_array, is_columns
from ..data._dataset import is_indexable
from ..data._move import to


class Place:
    """Where a model computes, and in which dtype.

    Args:
        model: Its first parameter decides; parameters of several floating dtypes leave data as it is.
    """

    def __init__(self, model: nn.Module) -> None:
        """Looks at the parameters."""
        parameters = list(model.parameters())
        dtypes = {parameter.dtype for parameter in parameters if parameter.dtype.is_floating_point}
        self.device = parameters[0].device if parameters else get_default_device()
        self.dtype: DType | None = dtypes.pop() if len(dtypes) == 1 else None

    def put(self, tree: Any) -> Any:
        """A tree of arrays as tensors there."""
        if isinstance(tree, Tensor):
            return self._put(tree)
        if type(tree) is tuple:
            return tuple([self.put(part) for part in cast("tuple[Any, ...]", tree)])
        leaves = [self._put(leaf) if is_array(leaf) else leaf for leaf in leaves_of(tree)]
        return rebuilt(tree, leaves)

    def _put(self, array: Any) -> Tensor:
        tensor = array if isinstance(array, Tensor) else asarray(array)
        dtype = tensor.dtype
        if self.dtype is not None and dtype is not self.dtype and dtype.is_floating_point and dtype != self.dtype:
            tensor = tensor.astype(self.dtype)
        return to("data", self.device, tensor)


def is_dataset(data: Any) -> bool:
    """Whether data gives samples for numbers. A list is a list of batches."""
    return is_indexable(data) and not isinstance(data, list | tuple | dict | DataLoader)


def batches_of(
    name: str, data: Any, place: Place, batch_size: int, shuffle: bool = False, seed: int | None = None
) -> Iterable[Any]:
    """Batches (x, y), as often as they are asked for.

    Args:
        name: Who asks, for messages.
        data: (X, y) arrays, a dataset of pairs, a loader, or an iterable of batches (x, y).
        place: Where they go.
        batch_size: Samples per batch, where the data is not in batches already.
        shuffle: Whether the order is random, where the data is not in batches already.
        seed: Decides the orders.
    """
    if type(data) is tuple and is_columns(cast("Any", data)):
        pair = cast("tuple[Any, ...]", data)
        if len(pair) != 2:
            raise ShapeError(
                f"{name}: data has {len(pair)} parts. Give (X, y); several inputs as ((X1, X2), y) or a dict."
            )
        return DataLoader(place.put(columns_of(name, pair)), batch_size, shuffle, seed)
    if isinstance(data, Tensor | dict) or hasattr(cast("Any", data), "__array__"):
        raise DTypeError(f"{name}: data is a {type(cast('Any', data)).__name__} without targets. Give (X, y).")
    if isinstance(data, DataLoader):
        return Placed(name, data, place)
    if is_dataset(data):
        return Placed(name, DataLoader(data, batch_size, shuffle, seed), place)
    if not isinstance(data, Iterable):
        raise DTypeError(
            f"{name}: data is a {type(data).__name__}. Give (X, y), a dataset, a DataLoader, or an iterable of batches."
        )
    return Placed(name, cast("Iterable[Any]", data), place)


class Placed:
    """Batches of somebody else's, checked and put where the model is.

    Args:
        name: Who asks, for messages.
        batches: Pairs (x, y).
        place: Where they go.
    """

    def __init__(self, name: str, batches: Iterable[Any], place: Place) -> None:
        """Takes the batches."""
        self._name = name
        self._batches = batches
        self._place = place

    def __len__(self) -> int:
        """Number of batches, where it is known."""
        return len(cast("Any", self._batches))

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        """The batches."""
        put = self._place.put
        for batch in self._batches:
            if not isinstance(batch, tuple | list) or len(cast("Any", batch)) != 2:
                raise DTypeError(
                    f"{self._name}: a batch is {_shown(batch)}. Give pairs (x, y); several inputs as ((x1, x2), y)."
                )
            x, y = cast("Any", batch)
            yield put(x), put(y)


def _shown(batch: Any) -> str:
    if isinstance(batch, tuple | list):
        return f"a {type(cast('Any', batch)).__name__} of {len(cast('Any', batch))}"
    return f"a {type(batch).__name__}"


def inputs_of(name: str, data: Any, place: Place, batch_size: int) -> Iterable[Any]:
    """Batches of inputs alone: of arrays, or the first parts of somebody else's pairs."""
    if is_columns(data):
        return DataLoader(place.put(columns_of(name, data)), batch_size)
    if is_dataset(data):
        data = DataLoader(data, batch_size)
    if not isinstance(data, Iterable):
        raise DTypeError(
            f"{name}: data is a {type(data).__name__}. Give arrays, a dataset, a DataLoader, or an iterable of batches."
        )
    return _first_parts(cast("Iterable[Any]", data), place)


def _first_parts(batches: Iterable[Any], place: Place) -> Iterator[Any]:
    for batch in batches:
        yield place.put(cast("Any", batch)[0] if isinstance(batch, tuple | list) else batch)


def length_of(batches: Iterable[Any]) -> int | None:
    """The number of batches, where it is known."""
    try:
        return len(cast("Any", batches))
    except TypeError:
        return None


def no_batches(name: str, epoch: int) -> DomainError:
    """The error of data that gave nothing."""
    if epoch:
        return DomainError(
            f"{name}: the data gave no batches in epoch {epoch + 1}. An iterator is used up after one epoch: "
            "give a list of batches, a DataLoader, or an object whose __iter__ begins anew."
        )
    return DomainError(f"{name}: the data gave no batches. Give at least one.")
