"""MobileNets: convolutions that treat channels one by one, between 1 by 1 convolutions that mix them.

Depends on `nn` and `_blocks`. Invariant: version 2 has torchvision's names, sizes and order; version 1 has the sizes
of Keras.
"""

from __future__ import annotations

from typing import cast

from .. import nn
from .._core import DomainError, Tensor
from ._blocks import ConvNorm, check_images, check_sizes, draw_kaiming, global_mean

# Version 1, the paper's table 1: channels and stride of each pair of convolutions.
PAIRS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
# Version 2, the paper's table 2: factor of the inner channels, channels, number of blocks, stride of the first.
GROUPS = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]


def rounded(channels: float) -> int:
    """The nearest multiple of 8 that is no more than a tenth less."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


def _check_width(name: str, width: float) -> None:
    if not width > 0:
        raise DomainError(f"{name}: width is {width}. Use a factor above 0.")


class MobileNetV1(nn.Module):
    """A convolution, thirteen pairs of a convolution per channel and a 1 by 1 convolution, the mean, an affine map.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of an image.
        width: Factor of all channels.
        dropout: Probability of a zero before the affine map while training.

    Shape:
        input `[batch, in_channels, height, width]` (224 by 224 in the paper), output `[batch, num_classes]`.

    Source:
        Howard et al. (2017), MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications.

    Example:
        >>> MobileNetV1(num_classes=10, width=0.25).eval()(ad.zeros((1, 3, 32, 32))).shape
        (1, 10)
    """

    def __init__(
        self, num_classes: int = 1000, in_channels: int = 3, width: float = 1.0, dropout: float = 0.001
    ) -> None:
        """Makes the layers."""
        check_sizes("MobileNetV1", in_channels, num_classes)
        _check_width("MobileNetV1", width)
        self.in_channels = in_channels
        channels = max(1, int(32 * width))
        layers: list[nn.Module] = [ConvNorm(in_channels, channels, stride=2, eps=1e-3)]
        for size, stride in PAIRS:
            out = max(1, int(size * width))
            layers.append(ConvNorm(channels, channels, stride=stride, groups=channels, eps=1e-3))
            layers.append(ConvNorm(channels, out, 1, eps=1e-3))
            channels = out
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(channels, num_classes)
        draw_kaiming(self)

    def forward(self, input: Tensor) -> Tensor:
        """Scores of the classes."""
        check_images("MobileNetV1", input, self.in_channels)
        return self.classifier(self.dropout(global_mean(self.features(input))))


class InvertedResidual(nn.Module):
    """1 by 1 to more channels, 3 by 3 per channel, 1 by 1 to few; the input is added where sizes agree."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, factor: int) -> None:
        """Makes the layers."""
        inner = in_channels * factor
        layers: list[nn.Module] = [ConvNorm(in_channels, inner, 1)] if factor != 1 else []
        layers.append(ConvNorm(inner, inner, stride=stride, groups=inner))
        layers += [nn.Conv2d(inner, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)]
        self.conv = nn.Sequential(*layers)
        self.adds = stride == 1 and in_channels == out_channels

    def forward(self, input: Tensor) -> Tensor:
        """The mapped input, or the sum."""
        x = cast("Tensor", self.conv(input))
        return input + x if self.adds else x


class MobileNetV2(nn.Module):
    """A convolution, seventeen inverted residual blocks, a 1 by 1 convolution, the mean, an affine map.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of an image.
        width: Factor of all channels, which are rounded to multiples of 8.
        dropout: Probability of a zero before the affine map while training.

    Shape:
        input `[batch, in_channels, height, width]` (224 by 224 in the paper), output `[batch, num_classes]`.

    Source:
        Sandler et al. (2018), MobileNetV2: Inverted Residuals and Linear Bottlenecks.

    Example:
        >>> MobileNetV2(num_classes=10, width=0.25).eval()(ad.zeros((1, 3, 32, 32))).shape
        (1, 10)
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3, width: float = 1.0, dropout: float = 0.2) -> None:
        """Makes the layers."""
        check_sizes("MobileNetV2", in_channels, num_classes)
        _check_width("MobileNetV2", width)
        self.in_channels = in_channels
        channels = rounded(32 * width)
        last = rounded(1280 * max(1.0, width))
        layers: list[nn.Module] = [ConvNorm(in_channels, channels, stride=2)]
        for factor, size, count, stride in GROUPS:
            out = rounded(size * width)
            for number in range(count):
                layers.append(InvertedResidual(channels, out, 1 if number else stride, factor))
                channels = out
        layers.append(ConvNorm(channels, last, 1))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, num_classes))
        draw_kaiming(self, linear_std=0.01)

    def forward(self, input: Tensor) -> Tensor:
        """Scores of the classes."""
        check_images("MobileNetV2", input, self.in_channels)
        return self.classifier(global_mean(self.features(input)))


def mobilenet_v1(
    num_classes: int = 1000, in_channels: int = 3, width: float = 1.0, dropout: float = 0.001
) -> MobileNetV1:
    """MobileNet, version 1; 4,231,976 parameters, with the statistics of its norms 4,253,864 as in Keras.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of an image.
        width: Factor of all channels.
        dropout: Probability of a zero before the affine map while training.

    Example:
        >>> sum(parameter.size for parameter in mobilenet_v1().parameters())
        4231976
    """
    return MobileNetV1(num_classes, in_channels, width, dropout)


def mobilenet_v2(
    num_classes: int = 1000, in_channels: int = 3, width: float = 1.0, dropout: float = 0.2
) -> MobileNetV2:
    """MobileNet, version 2; 3,504,872 parameters, as in torchvision.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of an image.
        width: Factor of all channels, which are rounded to multiples of 8.
        dropout: Probability of a zero before the affine map while training.

    Example:
        >>> sum(parameter.size for parameter in mobilenet_v2().parameters())
        3504872
    """
    return MobileNetV2(num_classes, in_channels, width, dropout)
