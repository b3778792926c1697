"""Event files: what is written comes back, byte for byte in the format, and what is damaged is refused.

Depends on the installed package and NumPy; matplotlib's Pillow, where it is there, reads the pictures too.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import adret as ad
import numpy as np
import pytest
from adret import nn
from adret.callbacks import TensorBoard
from adret.tensorboard import SummaryWriter, read_events
from adret.tensorboard._messages import fields, message, single
from adret.tensorboard._records import crc32c, masked, record

DRAW = np.random.default_rng(0)


def test_checksums_and_numbers_are_those_of_the_format() -> None:
    # The check value of CRC-32C, and two from RFC 3720, B.4.
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert masked(b"") == 0xA282EAD8
    # Protocol buffers: 150 in field 1, "testing" in field 2, as in their documentation.
    assert message((1, 150), (2, "testing")) == b"\x08\x96\x01\x12\x07testing"
    assert message((1, -1)) == b"\x08" + b"\xff" * 9 + b"\x01"
    assert single(2, 1.0) == b"\x15\x00\x00\x80\x3f"
    assert list(fields(message((1, 1 << 40), (2, 0.5), (3, b"x")))) == [(1, 1 << 40), (2, 0.5), (3, b"x")]


def test_a_file_begins_as_the_format_says(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_scalar("loss", 0.5, 7)
    assert writer.path.name.startswith("events.out.tfevents.")
    data = writer.path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    first = dict(fields(data[12 : 12 + length]))
    assert first[3] == b"brain.Event:2" and isinstance(first[1], float)
    second = dict(fields(data[16 + length + 12 : -4]))
    assert second[2] == 7
    assert second[5] == message((1, message((1, "loss")) + single(2, 0.5)))


def test_scalars(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path / "new/folder")) as writer:
        values = [1, 0.5, ad.tensor(0.25), ad.tensor([0.125], requires_grad=True), np.float64(-3), True, 1e300]
        for step, value in enumerate(values):
            writer.add_scalar("loss/train", value, step)
        writer.add_scalars("accuracy", {"train": 0.5, "test": ad.tensor(0.75, dtype=ad.bfloat16)}, 1 << 40)
        writer.add_scalar("nan", float("nan"))
        # A reader may look while the file is open.
        assert len(read_events(tmp_path / "new/folder")) == 10
    events = read_events(writer.path)
    assert [event.value for event in events[:7]] == [1, 0.5, 0.25, 0.125, -3, 1, float("inf")]
    assert [event.step for event in events[:7]] == list(range(7))
    assert [(event.tag, event.value, event.step) for event in events[7:9]] == [
        ("accuracy/train", 0.5, 1 << 40),
        ("accuracy/test", 0.75, 1 << 40),
    ]
    assert np.isnan(events[9].value) and events[9].kind == "scalar"
    assert all(earlier.wall_time <= later.wall_time for earlier, later in pairwise(events))


@pytest.mark.parametrize("bins", [1, 7, 30])
def test_histograms(tmp_path: Path, bins: int) -> None:
    values = DRAW.normal(size=(40, 5))
    with SummaryWriter(tmp_path) as writer:
        writer.add_histogram("w", ad.tensor(values), 3, bins)
        writer.add_histogram("w", [2.0, 2.0, np.nan, np.inf], 4, bins)
    first, second = (event.value for event in read_events(tmp_path))
    counts, edges = np.histogram(values, bins)
    assert first.counts == counts.tolist()
    np.testing.assert_allclose(first.edges, edges)
    assert (first.low, first.high, first.samples) == (values.min(), values.max(), 200)
    np.testing.assert_allclose([first.total, first.squares], [values.sum(), (values**2).sum()])
    assert (second.samples, second.low, second.high, sum(second.counts)) == (2, 2.0, 2.0, 2)
    assert second.edges == sorted(set(second.edges))


@pytest.mark.parametrize(("channels", "layout"), [(1, "CHW"), (3, "CHW"), (4, "CHW"), (3, "HWC"), (1, "HW")])
def test_images(tmp_path: Path, channels: int, layout: str) -> None:
    picture = DRAW.integers(0, 256, (5, 7, channels), np.uint8)
    given = picture.transpose(2, 0, 1) if layout == "CHW" else picture[..., 0] if layout == "HW" else picture
    with SummaryWriter(tmp_path) as writer:
        writer.add_image("bytes", ad.tensor(given), 1, layout)
        writer.add_image("floats", given.astype(np.float32) / 255, 1, layout)
        writer.add_image("outside", given.astype(np.float64) * 2 - 1, 1, layout)
    events = read_events(tmp_path)
    for event in events[:2]:
        np.testing.assert_array_equal(event.value, picture)
    assert set(np.unique(events[2].value)) <= {0, 255}
    image = pytest.importorskip("PIL.Image", reason="Pillow comes with matplotlib")
    raw = writer.path.read_bytes()
    begin = raw.index(b"\x89PNG")
    shown = np.asarray(image.open(io.BytesIO(raw[begin:])))
    np.testing.assert_array_equal(shown.reshape(picture.shape), picture)


class Net(nn.Module):
    """Two branches that meet, with a function between."""

    def __init__(self) -> None:
        self.first = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
        self.left = nn.Linear(3, 2)
        self.right = nn.Linear(3, 2)
        self.last = nn.Dropout(0.5)

    def forward(self, x: ad.Tensor) -> ad.Tensor:
        common = self.first(x)
        return self.last(self.left(common) + self.right(common))


def test_graphs(tmp_path: Path) -> None:
    net = Net()
    with SummaryWriter(tmp_path) as writer:
        writer.add_graph(net, ad.ones((5, 4)))
        writer.add_graph(nn.Linear(4, 2), (ad.ones((1, 4)),))
    first, second = (event.value for event in read_events(tmp_path))
    assert [(name, kind, sources) for name, kind, sources, _ in first] == [
        ("input", "Input", []),
        ("first/0", "Linear", ["input"]),
        ("first/1", "ReLU", ["first/0"]),
        ("left", "Linear", ["first/1"]),
        ("right", "Linear", ["first/1"]),
        ("last", "Dropout", ["right"]),
        ("output", "Output", ["last"]),
    ]
    assert [shapes for *_, shapes in first] == [[(5, 4)], [(5, 3)], [(5, 3)], *[[(5, 2)]] * 4]
    assert [name for name, *_ in second] == ["input", "model", "output"]
    assert net.training and net.last.training


def test_a_training_writes_its_history(tmp_path: Path) -> None:
    x, y = ad.ones((8, 4)), ad.ones((8, 2))
    told = TensorBoard(tmp_path, histogram_freq=2, graph_input=x[:1])
    net = Net()
    for run in range(2):
        history = ad.fit(net, (x, y), "mse", "sgd", 3, validation_data=(x, y), callbacks=[told], verbose=0)
        events = read_events(tmp_path)
        if run == 0:
            losses = [event.value for event in events if event.tag == "loss"]
            np.testing.assert_allclose(losses, history["loss"], rtol=1e-6)
            checks = [event.value for event in events if event.tag == "loss/validation"]
            np.testing.assert_allclose(checks, history["val_loss"], rtol=1e-6)
            weights = [event for event in events if event.tag == "first/0/weight"]
            assert [(event.step, event.value.samples) for event in weights] == [(0, 12), (2, 12)]
    assert [event.kind for event in events].count("graph") == 2
    assert len(list(tmp_path.iterdir())) == 2


DAMAGE: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("byte 0: the checksum of the length", lambda data: b"\x01" + data[1:]),
    ("byte 12: the checksum of the data", lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:]),
    ("byte 0: the checksum of the length", lambda data: b"no event file, but longer than a header"),
    ("byte 0: the length is", lambda data: struct.pack("<QI", 1 << 40, masked(struct.pack("<Q", 1 << 40))) + data),
    ("the event cannot be read", lambda data: data + record(b"\xff\xff\xff")),
    ("the event cannot be read", lambda data: data + record(message((5, message((1, message((1, b"\xff")))))))),
    ("the event cannot be read", lambda data: data + record(message((5, 3)))),
    ("no PNG", lambda data: data + record(message((5, message((1, message((1, "x"), (4, message((4, b"x")))))))))),
    ("doubles that are cut", lambda data: data + record(message((5, message((1, message((5, message((6, b"x")))))))))),
]


@pytest.mark.parametrize(("says", "damage"), DAMAGE)
def test_damaged_files_are_refused(tmp_path: Path, says: str, damage: Callable[[bytes], bytes]) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_scalar("loss", 0.5)
    writer.path.write_bytes(damage(writer.path.read_bytes()))
    with pytest.raises(ad.FileFormatError, match=f"read_events: .*tfevents.*{says}"):
        read_events(tmp_path)


def test_any_damage_is_an_error_or_a_shorter_list(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_scalar("loss", 0.5)
        writer.add_image("x", np.zeros((1, 2, 2)))
        writer.add_histogram("w", [1.0, 2.0])
    whole, sound = writer.path.read_bytes(), read_events(tmp_path)
    for end in range(len(whole)):
        writer.path.write_bytes(whole[:end])
        found = read_events(tmp_path)
        assert [event.tag for event in found] == [event.tag for event in sound][: len(found)]
        assert len(found) < 3
    for _ in range(300):
        broken = bytearray(whole)
        broken[DRAW.integers(0, len(whole))] ^= 1 << DRAW.integers(0, 8)
        writer.path.write_bytes(bytes(broken))
        with pytest.raises(ad.FileFormatError):
            read_events(tmp_path)
    # With checksums that are right, nonsense is refused all the same.
    for _ in range(300):
        inner = bytes(DRAW.integers(0, 256, DRAW.integers(1, 40), np.uint8))
        writer.path.write_bytes(record(message((5, message((1, inner))))))
        with suppress(ad.FileFormatError):
            read_events(tmp_path)


MISTAKES: list[tuple[Callable[[SummaryWriter], Any], type[Exception], str]] = [
    (lambda writer: writer.add_scalar("x", ad.ones(2)), ad.ShapeError, r"add_scalar: scalar_value is \(2,\)"),
    (lambda writer: writer.add_scalar("x", "text"), ad.DTypeError, "add_scalar: scalar_value has elements"),
    (lambda writer: writer.add_scalar("", 1.0), ad.DTypeError, "add_scalar: tag is ''"),
    (lambda writer: writer.add_scalar(3, 1.0), ad.DTypeError, "add_scalar: tag is 3"),  # pyright: ignore
    (lambda writer: writer.add_scalar("x", 1.0, -1), ad.DomainError, "add_scalar: global_step is -1"),
    (lambda writer: writer.add_scalar("x", 1.0, 1 << 70), ad.DomainError, "global_step is"),
    (lambda writer: writer.add_histogram("x", []), ad.DomainError, "no value is finite"),
    (lambda writer: writer.add_histogram("x", [1.0], bins=0), ad.DomainError, "bins is 0"),
    (lambda writer: writer.add_image("x", ad.ones((2, 4, 4))), ad.ShapeError, r"add_image: img_tensor is \(2, 4, 4\)"),
    (lambda writer: writer.add_image("x", ad.ones((4, 4))), ad.ShapeError, "add_image"),
    (lambda writer: writer.add_image("x", ad.ones((1, 4, 4)), 0, "NCHW"), ad.DomainError, "dataformats is 'NCHW'"),
]


@pytest.mark.parametrize(("call", "error", "says"), MISTAKES)
def test_mistakes(tmp_path: Path, call: Callable[[SummaryWriter], Any], error: type[Exception], says: str) -> None:
    with SummaryWriter(tmp_path) as writer, pytest.raises(error, match=says):
        call(writer)
    assert read_events(tmp_path) == []


def test_closed_and_missing(tmp_path: Path) -> None:
    writer = SummaryWriter(tmp_path)
    writer.close()
    writer.close()
    with pytest.raises(ad.DomainError, match="add_scalar: the writer is closed"):
        writer.add_scalar("x", 1.0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="has no event file"):
        read_events(tmp_path / "empty")
    with pytest.raises(FileNotFoundError):
        read_events(tmp_path / "no file")
