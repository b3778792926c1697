"""Chapter 26, TensorBoard: what a training leaves behind to look at.

An event file is a list of records, each with a checksum: numbers with a step, distributions, pictures, and the graph of
the network. It is complete up to its last record, so that one can watch while the training goes on:
`tensorboard --logdir runs` in another window, which is only needed for looking.
Shows a training that writes all four; the file read back, and that it holds what happened; two runs side by side; and
what becomes of a file that is cut off, or damaged.
"""

import sys
import tempfile
from pathlib import Path

import adret as ad
from adret import nn, optim
from adret.callbacks import Callback, TensorBoard
from adret.tensorboard import SummaryWriter, read_events

train_x, train_y, test_x, test_y = ad.data.digits()
train_x, test_x = ad.expand_dims(train_x, 1), ad.expand_dims(test_x, 1)


def network() -> nn.Sequential:
    """A small convolutional network."""
    ad.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 10))


class Kernels(Callback):
    """Writes the kernels of the first layer as a picture, after every epoch."""

    def __init__(self, writer: SummaryWriter) -> None:
        self.writer = writer

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        kernels = self.model[0].weight.detach()[:, 0]  # [8, 3, 3]
        beside = ad.permute_dims(kernels, (1, 0, 2)).reshape(3, 24)
        self.writer.add_image("kernels", (beside - beside.min()) / (beside.max() - beside.min()), epoch, "HW")


def train(folder: Path, rate: float) -> ad.History:
    """Four epochs, with everything written into the folder."""
    net = network()
    with SummaryWriter(folder) as writer:
        writer.add_image("a digit", train_x[0])
        return ad.fit(
            net,
            (train_x, train_y),
            "cross_entropy",
            optim.Adam(net.parameters(), lr=rate),
            epochs=4,
            validation_data=(test_x, test_y),
            metrics=["accuracy"],
            callbacks=[TensorBoard(folder, histogram_freq=2, graph_input=train_x[:1]), Kernels(writer)],
            seed=0,
            verbose=0,
        )


def show(runs: Path) -> None:
    """Two runs, and what their files hold."""
    histories = {name: train(runs / name, rate) for name, rate in (("slow", 3e-4), ("fast", 5e-3))}
    for name, history in histories.items():
        events = read_events(runs / name)
        kinds = {
            kind: sum(event.kind == kind for event in events) for kind in ("scalar", "histogram", "image", "graph")
        }
        print(f"{name}: " + ", ".join(f"{count} of kind {kind}" for kind, count in kinds.items()))
        # Loss and accuracy, of training and of validation, in 4 epochs; 4 parameters in 2 of them; 4 + 1 pictures.
        assert kinds == {"scalar": 16, "histogram": 8, "image": 5, "graph": 1}

        curves: dict[str, list[float]] = {}
        for event in events:
            if event.kind == "scalar":
                curves.setdefault(event.tag, []).append(event.value)
        for tag, values in {"loss": history["loss"], "accuracy/validation": history["val_accuracy"]}.items():
            assert max(abs(a - b) for a, b in zip(curves[tag], values, strict=True)) < 1e-6
        print("   loss", " ".join(f"{value:.3f}" for value in curves["loss"]))

    events = read_events(runs / "fast")
    weights = [event for event in events if event.kind == "histogram" and event.tag == "4/weight"]
    for event in weights:
        counts = event.value.counts
        bars = "".join(" .:-=+*#%@"[min(9 * count // max(counts) + (count > 0), 9)] for count in counts)
        low, high = event.value.low, event.value.high
        print(f"   weights of the last layer after epoch {event.step}: {low:+.2f} |{bars}| {high:+.2f}")
        assert sum(counts) == event.value.samples == 1280
    assert weights[1].value.high - weights[1].value.low > weights[0].value.high - weights[0].value.low, "they grow"

    digit = next(event.value for event in events if event.tag == "a digit")  # [height, width, channels]
    written = ad.round(train_x[0, 0] * 255).astype(ad.uint8)
    assert digit.shape == (8, 8, 1)
    assert (ad.tensor(digit[:, :, 0].copy()) == written).all()

    graph = next(event.value for event in events if event.kind == "graph")
    print("   the network:", " -> ".join(f"{kind} {shapes[0]}" for _, kind, _, shapes in graph))
    assert [kind for _, kind, _, _ in graph] == ["Input", "Conv2d", "ReLU", "MaxPool2d", "Flatten", "Linear", "Output"]
    assert [sources for _, _, sources, _ in graph[1:]] == [[name] for name, _, _, _ in graph[:-1]]

    # A file whose last record is half written is read up to there; a damaged one is not believed.
    file = max((runs / "slow").iterdir(), key=lambda path: path.stat().st_size)
    whole = file.read_bytes()
    before = len(read_events(file))
    file.write_bytes(whole[:-7])
    assert len(read_events(file)) == before - 1
    file.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    try:
        read_events(file)
    except ad.FileFormatError as error:
        print("   one bit changed:", str(error).partition(": byte")[2])
    else:
        raise AssertionError("a damaged file was believed")


if len(sys.argv) > 1:
    show(Path(sys.argv[1]))
else:
    with tempfile.TemporaryDirectory() as temporary:
        show(Path(temporary))
    print("pass a folder to keep the files")
