"""A thread that makes the next items while the last one is used.

Depends on nothing of the package. Invariant: the thread ends with the loop, however that is left, and what it raises is
raised in the loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


class _Failure:
    """An exception on its way to the consumer."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


_END = object()


def prefetched(items: Iterable[Any], ahead: int) -> Iterator[Any]:
    """The items, of which up to `ahead` are made by a thread before they are asked for."""
    import queue
    import threading

    ready: queue.Queue[Any] = queue.Queue(maxsize=ahead)
    left = threading.Event()

    def produce() -> None:
        iterator = iter(items)
        try:
            for item in iterator:
                ready.put(item)
                if left.is_set():
                    return
            ready.put(_END)
        except BaseException as error:
            ready.put(_Failure(error))
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=produce, name="adret-prefetch", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not _END:
            if isinstance(item, _Failure):
                raise item.error
            yield item
    finally:
        left.set()
        # A producer that waits for room gets it, sees that the loop was left, and ends.
        while thread.is_alive():
            while not ready.empty():
                ready.get_nowait()
            thread.join(0.01)
