"""Profiles: which kernels ran, for how long, and how much of the machine they used.

Depends on the compiled part; `_profile_views` makes tables and traces of it. Invariant: a profile holds numbers of
finished kernels only, so looking at it runs nothing, but for the machine's peaks, which are measured once per process.
"""

from __future__ import annotations

from os import PathLike
from types import TracebackType
from typing import Literal, NamedTuple, Self

from ._core import DomainError, _machine_peak, _Profile, empty

Sort = Literal["time", "count", "mean", "flops", "bytes", "name"]
By = Literal["kernel", "module"]
COLUMNS: tuple[Sort, ...] = ("time", "count", "mean", "flops", "bytes", "name")


class KernelRecord(NamedTuple):
    """One run of one kernel.

    Example:
        >>> with ad.profile() as p:
        ...     (ad.ones((2, 3)) @ ad.ones((3, 4))).numpy().shape
        (2, 4)
        >>> p.records[-1].name, p.records[-1].flops
        ('matmul 2x3x4', 48)
    """

    name: str
    """The operations that it computes, with their sizes."""
    device: str
    module: str
    """Path of the module that it computes for, forward or backward; empty outside modules."""
    start: float
    """Seconds from the beginning of the profile; negative where the kernel began before."""
    duration: float
    """Seconds."""
    threads: int
    """Threads that its widest part was spread over; 0 on a GPU."""
    thread: int
    """Number of the Python thread that asked for the value."""
    flops: int
    """Arithmetic operations: two per multiplication with addition in a product, one per function and element."""
    bytes_read: int
    """Bytes of the elements that it reads, each counted once."""
    bytes_written: int
    is_double: bool
    """Whether it computes in float64."""

    @property
    def bytes(self) -> int:
        """Bytes read and written."""
        return self.bytes_read + self.bytes_written


class HostSpan(NamedTuple):
    """A stretch of time that the host spent around kernels."""

    name: str
    """`evaluate`: values were asked for, until they were there; in it `plan`: a graph of a new structure was planned;
    and `run`: memory was taken and the kernels of a plan ran."""
    start: float
    """Seconds from the beginning of the profile."""
    duration: float
    """Seconds."""
    thread: int
    """Number of the Python thread."""


class Peak(NamedTuple):
    """What the machine reaches at most, measured."""

    threads: int
    """Threads that it was measured with; 0 for a GPU."""
    flops: float
    """Float32 operations per second, two per multiply-add."""
    flops_double: float
    """Float64 operations per second."""
    bandwidth: float
    """Bytes per second from memory and to it, far from all caches."""


class profile:  # noqa: N801 - used like a function, as PyTorch names it
    """Records every kernel that runs inside a `with` block.

    Kernels run when values are asked for: ask for them (`ad.eval`, `item`, `numpy`, an optimiser's `step`) inside the
    block. Recorded is what the whole process runs, whichever thread asks, compiled functions too; blocks may be nested,
    and one that an exception leaves keeps what ran before. Outside, recording costs nothing.

    Example:
        >>> with ad.profile() as p:
        ...     ad.eval(ad.tanh(ad.ones(1000) + 1) * 2)
        >>> [record.name for record in p.records]
        ['group add+tanh+mul 1000']
    """

    def __init__(self) -> None:
        self._open: _Profile | None = None
        self._seconds = 0.0
        self._records: list[KernelRecord] = []
        self._spans: list[HostSpan] = []
        self._dropped = 0

    def __enter__(self) -> Self:
        if self._open is not None:
            raise DomainError("profile: this profile is open already. Make another one for a block inside it.")
        self._open = _Profile()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._read(close=True)
        self._open = None

    def _read(self, close: bool = False) -> None:
        found = self._open.read(close) if self._open is not None else None
        if found is None:
            return
        self._seconds, records, spans, self._dropped = found
        self._records = [
            KernelRecord(*record[:3], record[3] * 1e-9, record[4] * 1e-9, *record[5:]) for record in records
        ]
        self._spans = [HostSpan(name, start * 1e-9, duration * 1e-9, thread) for name, start, duration, thread in spans]

    @property
    def records(self) -> list[KernelRecord]:
        """The kernels in the order in which they ran; inside the block, those so far."""
        self._read()
        return self._records

    @property
    def spans(self) -> list[HostSpan]:
        """What the host did: evaluations, and in them plans made and runs. Between them is Python's own time."""
        self._read()
        return self._spans

    @property
    def seconds(self) -> float:
        """From the beginning of the block to its end, or until now."""
        self._read()
        return self._seconds

    @property
    def dropped(self) -> int:
        """Records beyond the first million, which are not kept."""
        self._read()
        return self._dropped

    @staticmethod
    def peak(device: str = "cpu") -> Peak:
        """What a device reaches at most, the CPU with the threads in force; measured once, which takes a moment.

        A GPU is measured by kernels, which a profile that is open records too; zeros stand for what is not known, as
        float64 on GPUs.

        Args:
            device: "cpu", or the name of a GPU.

        Raises:
            DeviceError: If there is no such device.

        Example:
            >>> ad.profile.peak().flops > 0
            True
        """
        name = empty((0,), device=device).device
        if name == "cpu":
            return Peak(*_machine_peak())
        from ._device_peak import device_peak

        return device_peak(name)

    def table(self, sort: Sort = "time", limit: int | None = 20, by: By = "kernel") -> str:
        """The kernels as text, those of one name together.

        Columns: how often it ran, time in all, mean, share of the kernels' time, GFLOP/s, GB/s, and the percentage of
        the device's peak: of arithmetic or of memory bandwidth, whichever it is nearer to. What lies in caches may
        be read faster than memory, so more than 100 is possible.

        Args:
            sort: `time`, `count`, `mean`, `flops` and `bytes` (per second) begin with the largest, `name` with a.
            limit: Lines at most, or None for all; what is left out is summed up in one line.
            by: `kernel`, or `module` for one line per module path.

        Raises:
            DomainError: If `sort` or `by` is no such word, or `limit` is negative.

        Example:
            >>> with ad.profile() as p:
            ...     ad.eval(ad.ones(10) + 1)
            >>> print(p.table().splitlines()[0].split()[:3])
            ['kernel', 'count', 'total']
        """
        from . import _profile_views as views

        return views.text(self, self._checked(sort, limit, by), limit)

    def _checked(self, sort: str, limit: int | None, by: str) -> tuple[str, str]:
        if sort not in COLUMNS:
            raise DomainError(f"profile.table: sort is {sort!r}. Use one of {', '.join(COLUMNS)}.")
        if by not in ("kernel", "module"):
            raise DomainError(f"profile.table: by is {by!r}. Use kernel or module.")
        if limit is not None and limit < 0:
            raise DomainError(f"profile.table: limit is {limit}. Use a number of lines, or None for all.")
        return sort, by

    def chrome_trace(self, path: str | PathLike[str]) -> None:
        """Writes what happened when, as a file that Perfetto (ui.perfetto.dev) and chrome://tracing show.

        Kernels are a line per device; evaluations, plans made, runs and Python's own time between them a line per
        thread. Times are in microseconds from the beginning of the profile.

        Args:
            path: The file, which is replaced.

        Raises:
            OSError: If it cannot be written.

        Example:
            >>> import json, tempfile, pathlib
            >>> with ad.profile() as p:
            ...     ad.eval(ad.ones(10) + 1)
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     p.chrome_trace(pathlib.Path(folder, "trace.json"))
            ...     trace = json.loads(pathlib.Path(folder, "trace.json").read_text())
            >>> sorted({event["cat"] for event in trace["traceEvents"] if event["ph"] == "X"})
            ['host', 'kernel']
        """
        from . import _profile_views as views

        views.write_trace(self, path)

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        count = len(self.records)
        state = ", open" if self._open is not None else ""
        return f"profile({count} kernel{'' if count == 1 else 's'}, {self._seconds * 1e3:.3g} ms{state})"

    def _repr_html_(self) -> str:
        from . import _profile_views as views

        return views.html(self)
