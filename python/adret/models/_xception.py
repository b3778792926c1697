"""Xception: residual blocks of separable convolutions.

Depends on `nn` and `_blocks`. Invariant: layers and sizes are those of Keras.
"""

from __future__ import annotations

from .. import nn
from .._core import Tensor
from ._blocks import check_images, check_sizes, draw_kaiming, global_mean


class SeparableNorm(nn.Sequential):
    """A 3 by 3 convolution per channel, a 1 by 1 convolution that mixes channels, batch norm."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        """Makes the layers."""
        super().__init__(
            nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False),
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels, eps=1e-3),
        )


class Block(nn.Module):
    """Separable convolutions with relu before each, added to the input; a strided one halves the image.

    The channels of each convolution are given; a block that halves ends with pooling and maps its input.
    """

    def __init__(self, in_channels: int, sizes: list[int], halves: bool, begins_with_relu: bool = True) -> None:
        """Makes the layers."""
        layers: list[nn.Module] = []
        channels = in_channels
        for size in sizes:
            if layers or begins_with_relu:
                layers.append(nn.ReLU())
            layers.append(SeparableNorm(channels, size))
            channels = size
        if halves:
            layers.append(nn.MaxPool2d(3, stride=2, padding=1))
        self.layers = nn.Sequential(*layers)
        self.shortcut = (
            nn.Sequential(nn.Conv2d(in_channels, channels, 1, stride=2, bias=False), nn.BatchNorm2d(channels, eps=1e-3))
            if halves
            else None
        )

    def forward(self, input: Tensor) -> Tensor:
        """The sum."""
        return self.layers(input) + (input if self.shortcut is None else self.shortcut(input))


class Xception(nn.Module):
    """Two convolutions, twelve residual blocks of separable convolutions, two more of these, the mean, an affine map.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of an image.

    Shape:
        input `[batch, in_channels, height, width]` of 7 by 7 or larger (299 by 299 in the paper), output
        `[batch, num_classes]`.

    Source:
        Chollet (2016), Xception: Deep Learning with Depthwise Separable Convolutions.

    Example:
        >>> Xception(num_classes=10).eval()(ad.zeros((1, 3, 32, 32))).shape
        (1, 10)
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        """Makes the layers."""
        check_sizes("Xception", in_channels, num_classes)
        self.in_channels = in_channels
        self.entry = nn.Sequential(
            nn.Conv2d(in_channels, 32, 3, stride=2, bias=False),
            nn.BatchNorm2d(32, eps=1e-3),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, bias=False),
            nn.BatchNorm2d(64, eps=1e-3),
            nn.ReLU(),
            Block(64, [128, 128], halves=True, begins_with_relu=False),
            Block(128, [256, 256], halves=True),
            Block(256, [728, 728], halves=True),
        )
        self.middle = nn.Sequential(*(Block(728, [728, 728, 728], halves=False) for _ in range(8)))
        self.exit = nn.Sequential(
            Block(728, [728, 1024], halves=True),
            SeparableNorm(1024, 1536),
            nn.ReLU(),
            SeparableNorm(1536, 2048),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(2048, num_classes)
        draw_kaiming(self)

    def forward(self, input: Tensor) -> Tensor:
        """Scores of the classes."""
        check_images("Xception", input, self.in_channels, 7)
        return self.classifier(global_mean(self.exit(self.middle(self.entry(input)))))


def xception(num_classes: int = 1000, in_channels: int = 3) -> Xception:
    """Xception; 22,855,952 parameters, with the statistics of its norms 22,910,480 as in Keras.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of an image.

    Example:
        >>> sum(parameter.size for parameter in xception().parameters())
        22855952
    """
    return Xception(num_classes, in_channels)
