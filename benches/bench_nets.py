"""Training steps of convolutional networks: adret against PyTorch, on the CPU, in float32.

Depends on `yardstick`. Invariant: a step is forward, loss, backward and update of the same network with the same sizes
in both libraries. A case "… compiled" is the same step as one recorded function in adret, beside PyTorch's usual one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from yardstick import Cases, Work, compare

RATE, MOMENTUM = 0.01, 0.9


class Net(NamedTuple):
    """A network that `build` makes of the modules of a library, and the images that it sees."""

    build: Callable[[Any], Any]
    batch: int
    channels: int
    size: int
    compiled: bool = False


def _lenet(nn: Any) -> Any:
    first = [nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2)]
    second = [nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten()]
    return nn.Sequential(
        *first, *second, nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10)
    )


def _small(nn: Any) -> Any:
    """Two blocks of two convolutions, with batch norm behind the first of each."""
    layers: list[Any] = []
    for inputs, outputs in ((3, 32), (32, 64)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
        layers += [nn.Conv2d(outputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4096, 256), nn.ReLU(), nn.Linear(256, 10))


def _vgg16(nn: Any) -> Any:
    layers: list[Any] = []
    inputs = 3
    for block in ([64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3):
        for outputs in block:
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
            inputs = outputs
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(2048, 10))


def _resnet18(nn: Any) -> Any:
    class Block(nn.Module):
        """Two convolutions beside a shortcut."""

        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.norm1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.norm2 = nn.BatchNorm2d(outputs)
            self.relu = nn.ReLU()
            shortcut = [nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)]
            self.shortcut = nn.Sequential(*shortcut) if inputs != outputs else nn.Identity()

        def forward(self, x: Any) -> Any:
            y = self.norm2(self.conv2(self.relu(self.norm1(self.conv1(x)))))
            return self.relu(y + self.shortcut(x))

    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for outputs in (64, 128, 256, 512):
        layers += [Block(inputs, outputs, 1 if inputs == outputs else 2), Block(outputs, outputs, 1)]
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


PLAIN = {
    "lenet 64x1x28": Net(_lenet, 64, 1, 28),
    "small cnn 64x3x32": Net(_small, 64, 3, 32),
    "resnet18 8x3x64": Net(_resnet18, 8, 3, 64),
    "vgg16 8x3x64": Net(_vgg16, 8, 3, 64),
}
NETS = {
    name: net
    for plain, of in PLAIN.items()
    for name, net in ((plain, of), (f"{plain} compiled", of._replace(compiled=True)))
}


def _step(nn: Any, optim: Any, tensor: Callable[[Any], Any], net: Net) -> Work:
    """The step that both share word for word."""
    import numpy as np

    rng = np.random.default_rng(0)
    x = tensor(rng.standard_normal((net.batch, net.channels, net.size, net.size), dtype=np.float32))
    y = tensor(rng.integers(0, 10, net.batch))
    module, loss_function = net.build(nn), nn.CrossEntropyLoss()
    optimizer = optim.SGD(module.parameters(), lr=RATE, momentum=MOMENTUM)

    def step() -> object:
        loss = loss_function(module(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return step


def _cases(build: Callable[[Net], Work]) -> Cases:
    return {name: lambda net=net: build(net) for name, net in NETS.items()}


def adret_cases() -> Cases:
    """The steps in adret."""
    import adret as ad
    from adret import nn, optim

    def build(net: Net) -> Work:
        step = _step(nn, optim, ad.tensor, net)
        return ad.compile(step) if net.compiled else step

    return _cases(build)


def torch_cases() -> Cases:
    """The steps in PyTorch."""
    import torch

    return _cases(lambda net: _step(torch.nn, torch.optim, torch.from_numpy, net))


LIBRARIES = {"adret": adret_cases, "torch": torch_cases}

if __name__ == "__main__":
    compare(list(NETS), LIBRARIES)
