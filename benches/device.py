"""Work on a GPU, in float32: adret against PyTorch on CUDA where it is there; arrays that go to CuPy and back.

`x.py bench --device gpu` runs it. On an adapter that the processor plays, sizes are cut down:
to see that everything runs.

Depends on `yardstick`. Invariant: a call returns when the device is done; arrays are on the device before the timing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

from yardstick import Cases, Work, compare

DEVICE = os.environ.get("ADRET_DEVICE") or "gpu"
SOFTWARE = os.environ.get("ADRET_ALLOW_SOFTWARE_GPU") == "1"


class Conv(NamedTuple):
    """A square convolution as a network has it."""

    inputs: int
    size: int
    outputs: int
    kernel: int
    stride: int


SIDES = (64, 128) if SOFTWARE else (1024, 2048, 4096, 8192)
ELEMENTS = 1 << (14 if SOFTWARE else 26)
ROWS = (64, 256) if SOFTWARE else (16384, 4096)
BATCH = 1 if SOFTWARE else 32
WIDTH = 32 if SOFTWARE else 1024
# The kinds of layers of ResNet-50.
LAYERS = [Conv(3, 224, 64, 7, 2), Conv(64, 56, 64, 1, 1), Conv(64, 56, 64, 3, 1), Conv(128, 56, 128, 3, 2)]
LAYERS += [Conv(256, 14, 256, 3, 1), Conv(512, 7, 512, 3, 1), Conv(512, 7, 2048, 1, 1)]
CONVS = [layer._replace(size=7, inputs=min(layer.inputs, 16), outputs=16) if SOFTWARE else layer for layer in LAYERS]
CONVS = list(dict.fromkeys(CONVS))
LAUNCHES = 60


def _name(conv: Conv) -> str:
    return f"conv {BATCH}x{conv.inputs}x{conv.size} k{conv.kernel} s{conv.stride} {conv.outputs}"


def _work(array: Callable[[Any], Any], functions: dict[str, Any], done: Callable[[Any], object]) -> Cases:
    """What both libraries write alike, with operators and functions of the same names."""
    import numpy as np

    rng = np.random.default_rng(0)

    def normal(*shape: int) -> Any:
        return array(rng.standard_normal(shape, dtype=np.float32))

    def repeated(body: Callable[..., Any], *shapes: tuple[int, ...]) -> Callable[[], Work]:
        def build() -> Work:
            inputs = [normal(*shape) for shape in shapes]
            return lambda: done(body(*inputs))

        return build

    def chain(x: Any) -> Any:
        y = x
        for _ in range(LAUNCHES):
            y = y @ x
        return y

    cases = {f"matmul {side}": repeated(lambda a, b: a @ b, (side, side), (side, side)) for side in SIDES}
    cases[f"relu(a * b + c) {ELEMENTS}"] = repeated(lambda a, b, c: functions["relu"](a * b + c), *[(ELEMENTS,)] * 3)
    cases[f"sum {ELEMENTS}"] = repeated(lambda a: a.sum(), (ELEMENTS,))
    cases[f"sum of columns {ROWS}"] = repeated(lambda a: a.sum(0), ROWS)
    cases[f"softmax {ROWS}"] = repeated(functions["softmax"], ROWS)
    for conv in CONVS:
        pixels, taps = (conv.inputs, conv.size, conv.size), (conv.inputs, conv.kernel, conv.kernel)
        convolve = functions["conv"](conv.stride, conv.kernel // 2)
        cases[_name(conv)] = repeated(convolve, (BATCH, *pixels), (conv.outputs, *taps))
    cases[f"{LAUNCHES} launches of 16x16"] = repeated(chain, (16, 16))
    return cases


def _steps(
    nn: Any, optim: Any, tensor: Callable[[Any], Any], move: Callable[[Any], Any], done: Callable[[Any], object]
) -> Cases:
    """Training steps, word for word the same."""
    import numpy as np

    rng = np.random.default_rng(0)

    def trained(
        module: Any, shape: tuple[int, ...], of_output: Callable[[Any], Any] = lambda y: y
    ) -> Callable[[], Work]:
        def build() -> Work:
            network = move(module())
            x = tensor(rng.standard_normal(shape, dtype=np.float32))
            y = tensor(rng.integers(0, 10, shape[0]).astype(np.int32 if SOFTWARE else np.int64))
            optimizer = optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
            loss_function = nn.CrossEntropyLoss()

            def step() -> object:
                loss = loss_function(of_output(network(x)), y)
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                return done(loss.detach())

            return step

        return build

    def mlp() -> Any:
        return nn.Sequential(nn.Linear(784, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 10))

    def lenet() -> Any:
        first = [nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
        second = [nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
        return nn.Sequential(
            *first, *second, nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)
        )

    size, length = (16, 5) if SOFTWARE else (512, 64)
    return {
        f"mlp step {WIDTH}": trained(mlp, (4 if SOFTWARE else 256, 784)),
        "cnn step": trained(lenet, (2 if SOFTWARE else 256, 1, 28, 28)),
        f"lstm step {size}": trained(
            lambda: nn.LSTM(size, 10, batch_first=True),
            (4 if SOFTWARE else 64, length, size),
            lambda y: y[0][:, -1],
        ),
    }


def adret_cases() -> Cases:
    """The cases in adret."""
    import adret as ad
    import numpy as np

    def done(y: Any) -> object:
        ad.eval(y)
        return y[(0,) * len(y.shape)].item()

    def tensor(array: Any) -> Any:
        return ad.tensor(array.astype(np.int32) if array.dtype == np.int64 else array, device=DEVICE)

    functional = ad.nn.functional
    functions = {
        "relu": functional.relu,
        "softmax": lambda x: ad.softmax(x, axis=-1),
        "conv": lambda stride, padding: lambda x, w: functional.conv2d(x, w, None, stride, padding),
    }
    cases = _work(tensor, functions, done)
    cases |= _steps(ad.nn, ad.optim, tensor, lambda module: module.to(DEVICE), done)
    if _cupy():
        cases["to CuPy and back"] = lambda: _round_trip(ad, tensor)
    return cases


def _cupy() -> bool:
    import importlib.util

    return importlib.util.find_spec("cupy") is not None


def _round_trip(ad: Any, tensor: Callable[[Any], Any]) -> Work:
    import cupy
    import numpy as np

    x = tensor(np.ones(ELEMENTS, np.float32))
    return lambda: ad.from_dlpack(cupy.from_dlpack(x))


def torch_cases() -> Cases:
    """The cases in PyTorch, eagerly, on CUDA; none where there is no CUDA."""
    import torch

    if not torch.cuda.is_available():
        return {}

    def done(y: Any) -> object:
        torch.cuda.synchronize()
        return y

    def tensor(array: Any) -> Any:
        return torch.from_numpy(array).cuda()

    functional = torch.nn.functional
    functions = {
        "relu": torch.relu,
        "softmax": lambda x: torch.softmax(x, -1),
        "conv": lambda stride, padding: lambda x, w: functional.conv2d(x, w, None, stride, padding),
    }
    with torch.no_grad():
        cases = _work(tensor, functions, done)
    return cases | _steps(torch.nn, torch.optim, tensor, lambda module: module.cuda(), done)


def _names() -> list[str]:
    cases = _work(lambda array: array, {"relu": None, "softmax": None, "conv": lambda *_: None}, lambda y: y)
    steps = [f"mlp step {WIDTH}", "cnn step", f"lstm step {16 if SOFTWARE else 512}"]
    return [*cases, *steps, *["to CuPy and back"] * _cupy()]


def _launch_costs() -> dict[str, float]:
    """Microseconds of the calling thread for one launch of replayed programs, all that the call does counted in.

    A software adapter computes in threads of its own, so this is what Python, adret, wgpu and the driver's front take.
    """
    import itertools
    import time

    import adret as ad
    import numpy as np
    from adret import nn, optim

    x = ad.tensor(np.full((16, 16), 1 / 16, np.float32), device=DEVICE)

    @ad.compile
    def chain(x: Any) -> Any:
        y = x
        for _ in range(LAUNCHES):
            y = y @ x
        return y

    sizes = (16, 16, 16) if SOFTWARE else (784, 512, 512)
    hidden = [layer for pair in itertools.pairwise(sizes) for layer in (nn.Linear(*pair), nn.ReLU())]
    model = nn.Sequential(*hidden, nn.Linear(sizes[-1], 10)).to(DEVICE)
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    rng = np.random.default_rng(0)
    images = ad.tensor(rng.standard_normal((64, sizes[0]), dtype=np.float32), device=DEVICE)
    labels = ad.tensor(rng.integers(0, 10, 64).astype(np.int32), device=DEVICE)

    @ad.compile
    def step(x: Any, y: Any) -> Any:
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    def cost(run: Callable[[], Any]) -> float:
        costs: list[float] = []
        for _ in range(100):
            before, start = ad.stats()["launches"], time.thread_time_ns()
            ad.eval(run())
            spent = time.thread_time_ns() - start
            costs.append(spent / 1e3 / (ad.stats()["launches"] - before))
        return min(costs)

    return {
        f"a chain of {LAUNCHES} products": cost(lambda: chain(x)),
        "an MLP's step": cost(lambda: step(images, labels)),
    }


if __name__ == "__main__":
    compare(_names(), {"adret": adret_cases, "torch": torch_cases})
    for program, cost in _launch_costs().items():
        print(f"one launch of {program}, replayed: {cost:.2f} us of the processor")
