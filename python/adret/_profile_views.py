"""Profiles as text, as HTML and as a trace.

Depends on `_profile`. Invariant: kernels of one name, on one device, are one line; shares are of the kernels' time.
"""

from __future__ import annotations

import html as _html
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from ._profile import HostSpan, KernelRecord, Peak, profile

HEAD = ("count", "total", "mean", "share", "GFLOP/s", "GB/s", "% of peak")
# Names are cut in the text so that a table fits a terminal; records have them whole.
WIDEST = 60
NOTHING = (
    "No kernel ran. Values are computed when they are asked for: "
    "call ad.eval, item, numpy or an optimiser's step inside the block."
)
# Perfetto's lines: one process for the devices, one for the host.
DEVICES, HOST = 1, 2


@dataclass
class Line:
    """Records of one name."""

    name: str
    count: int = 0
    seconds: float = 0.0
    flops: int = 0
    bytes: int = 0
    best: float = 0.0
    """Seconds that the device would need at its peak."""

    def add(self, record: KernelRecord, peak: Peak) -> None:
        """Takes one more record in."""
        self.count += 1
        self.seconds += record.duration
        self.flops += record.flops
        self.bytes += record.bytes
        if record.threads or record.device != "cpu":
            arithmetic = peak.flops_double if record.is_double else peak.flops
            self.best += max(_ratio(record.flops, arithmetic), _ratio(record.bytes, peak.bandwidth))

    def merge(self, other: Line) -> None:
        """Takes another line in."""
        self.count += other.count
        self.seconds += other.seconds
        self.flops += other.flops
        self.bytes += other.bytes
        self.best += other.best

    def cells(self, total: float) -> list[str]:
        """What a table shows, after the name."""
        return [
            f"{self.count:,}",
            _time(self.seconds),
            _time(self.seconds / self.count),
            f"{100 * _ratio(self.seconds, total):.1f} %",
            f"{_ratio(self.flops, self.seconds) / 1e9:.1f}",
            f"{_ratio(self.bytes, self.seconds) / 1e9:.1f}",
            f"{100 * _ratio(self.best, self.seconds):.0f}" if self.best else "-",
        ]


ORDERS: dict[str, Callable[[Line], Any]] = {
    "time": lambda line: -line.seconds,
    "count": lambda line: -line.count,
    "mean": lambda line: -line.seconds / line.count,
    "flops": lambda line: -_ratio(line.flops, line.seconds),
    "bytes": lambda line: -_ratio(line.bytes, line.seconds),
    "name": lambda line: line.name,
}


def _ratio(number: float, by: float) -> float:
    return number / by if by else 0.0


def _time(seconds: float) -> str:
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.2f} {unit}"
    return f"{seconds * 1e6:.2f} µs"


def lines(records: Iterable[KernelRecord], peaks: dict[str, Peak], sort: str, by: str) -> list[Line]:
    """Records gathered by name or by module, in the order asked for; `peaks` are the devices'."""
    found: dict[str, Line] = {}
    for record in records:
        name = record.name if by == "kernel" else record.module or "(no module)"
        if record.device != "cpu":
            name = f"{name} ({record.device})"
        found.setdefault(name, Line(name)).add(record, peaks[record.device])
    return sorted(found.values(), key=lambda line: (ORDERS[sort](line), line.name))


def _rows(of: profile, order: tuple[str, str], limit: int | None) -> tuple[list[list[str]], str]:
    """The table's rows, and what is said below it."""
    records = of.records
    peaks = {device: of.peak(device) for device in dict.fromkeys(record.device for record in records)}
    every = lines(records, peaks, *order)
    shown, rest = (every, []) if limit is None else (every[:limit], every[limit:])
    if rest:
        others = Line(f"({len(rest)} others)")
        for line in rest:
            others.merge(line)
        shown = [*shown, others]
    total = sum(line.seconds for line in every)
    rows = [[line.name, *line.cells(total)] for line in shown]
    summary = f"{len(records):,} kernels in {_time(total)}, of {_time(of.seconds)} in all; {_host(of)}."
    summary += "".join(f" {_limits(device, peak)}" for device, peak in peaks.items())
    if of.dropped:
        summary += f" {of.dropped:,} later records were not kept."
    return rows, summary


def _limits(device: str, peak: Peak) -> str:
    if device != "cpu":
        return f"Peak of {device}: {peak.flops / 1e9:.0f} GFLOP/s, {peak.bandwidth / 1e9:.0f} GB/s."
    threads = f"{peak.threads} thread{'' if peak.threads == 1 else 's'}"
    doubles = f"(float64: {peak.flops_double / 1e9:.0f})"
    return f"Peak with {threads}: {peak.flops / 1e9:.0f} GFLOP/s {doubles}, {peak.bandwidth / 1e9:.0f} GB/s."


def _host(of: profile) -> str:
    evaluating = sum(span.duration for span in of.spans if span.name == "evaluate")
    plans = [span.duration for span in of.spans if span.name == "plan"]
    return f"evaluation {_time(evaluating)}, of it {len(plans)} plans made in {_time(sum(plans))}"


def text(of: profile, order: tuple[str, str], limit: int | None) -> str:
    """The table for a terminal."""
    if not of.records:
        return NOTHING
    rows, summary = _rows(of, order, limit)
    head = [order[1], *HEAD]
    cut = [[_cut(row[0]), *row[1:]] for row in rows]
    widths = [max(len(row[column]) for row in [head, *cut]) for column in range(len(head))]
    table = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in [head, ["-" * width for width in widths], *cut]
    ]
    return "\n".join([*(row.rstrip() for row in table), summary])


def _cut(name: str) -> str:
    return name if len(name) <= WIDEST else f"{name[: WIDEST - 20]}…{name[-19:]}"


def html(of: profile) -> str:
    """The table for notebooks."""
    if not of.records:
        return f"<p>{_html.escape(NOTHING)}</p>"
    rows, summary = _rows(of, ("time", "kernel"), 20)
    head = "".join(f"<th>{cell}</th>" for cell in ("kernel", *HEAD))
    body = "".join(
        f'<tr><td style="text-align: left">{_html.escape(row[0])}</td>'
        + "".join(f"<td>{cell}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{_html.escape(summary)}</p>"


def _gaps(spans: list[HostSpan], seconds: float) -> Iterator[HostSpan]:
    """Python's own time: per thread, what lies between its evaluations; the first thread's up to the ends as well."""
    for thread in sorted({span.thread for span in spans}):
        own = sorted(span for span in (s[1:] for s in spans if s.name == "evaluate" and s.thread == thread))
        ends = [(0.0, 0.0, thread), *own, (seconds, 0.0, thread)] if thread == spans[0].thread else own
        until = ends[0][0] + ends[0][1] if ends else 0.0
        for start, duration, _ in ends[1:]:
            if start > until:
                yield HostSpan("python", until, start - until, thread)
            until = max(until, start + duration)


def events(of: profile) -> list[dict[str, Any]]:
    """The trace's events: names of the lines, then complete events by their beginning."""
    records, spans = of.records, of.spans
    devices = list(dict.fromkeys(record.device for record in records))
    threads = sorted({span.thread for span in spans})
    names = [("process_name", DEVICES, 0, "devices"), ("process_name", HOST, 0, "host")]
    names += [("thread_name", DEVICES, number, device) for number, device in enumerate(devices)]
    names += [("thread_name", HOST, thread, f"thread {thread}") for thread in threads]
    heads = [
        {"ph": "M", "name": what, "pid": pid, "tid": tid, "args": {"name": name}} for what, pid, tid, name in names
    ]
    found: list[dict[str, Any]] = []
    for record in records:
        found.append(
            {
                **_event("kernel", record.name, record.start, record.duration, DEVICES, devices.index(record.device)),
                "args": {
                    "module": record.module,
                    "threads": record.threads,
                    "GFLOP/s": _ratio(record.flops, record.duration) / 1e9,
                    "GB/s": _ratio(record.bytes, record.duration) / 1e9,
                    "flops": record.flops,
                    "bytes read": record.bytes_read,
                    "bytes written": record.bytes_written,
                },
            }
        )
    for span in [*spans, *_gaps(spans, of.seconds)]:
        found.append(_event("host", span.name, span.start, span.duration, HOST, span.thread))
    # Of events that begin together, the longer one contains the others.
    return heads + sorted(found, key=lambda event: (event["ts"], -event["dur"]))


def _event(category: str, name: str, start: float, duration: float, pid: int, tid: int) -> dict[str, Any]:
    # What began before the profile is shown from its beginning; three places are the nanoseconds that were measured.
    duration, start = duration + min(start, 0.0), max(start, 0.0)
    ts, dur = round(start * 1e6, 3), round(max(duration, 0.0) * 1e6, 3)
    return {"ph": "X", "cat": category, "name": name, "ts": ts, "dur": dur, "pid": pid, "tid": tid}


def write_trace(of: profile, path: str | PathLike[str]) -> None:
    """Writes the trace."""
    trace = {"displayTimeUnit": "ms", "traceEvents": events(of)}
    Path(path).write_text(json.dumps(trace, ensure_ascii=False), encoding="utf-8")
