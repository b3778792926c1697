"""VGG: convolutions of 3 by 3 in blocks, with and without batch norm.

Depends on `nn` and `_blocks`. Invariant: modules and parameters have torchvision's names, sizes and order.
"""

from __future__ import annotations

from .. import nn
from .._core import DomainError, Tensor
from ._blocks import check_images, check_sizes, draw_kaiming

# The paper's table 1: channels of each block's convolutions; pooling halves the image behind each block.
BLOCKS: dict[int, list[list[int]]] = {
    11: [[64], [128], [256] * 2, [512] * 2, [512] * 2],
    13: [[64] * 2, [128] * 2, [256] * 2, [512] * 2, [512] * 2],
    16: [[64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3],
    19: [[64] * 2, [128] * 2, [256] * 4, [512] * 4, [512] * 4],
}


class VGG(nn.Module):
    """Blocks of convolutions, each half the size of the one before, and three affine maps.

    Args:
        depth: Layers with weights: 11, 13, 16 or 19.
        num_classes: Size of the output.
        in_channels: Channels of an image.
        batch_norm: Whether batch norm follows every convolution.
        dropout: Probability of a zero behind each of the first two maps while training.

    Shape:
        input `[batch, in_channels, height, width]` of 32 by 32 or larger (224 by 224 in the paper), output
        `[batch, num_classes]`.

    Raises:
        DomainError: If there is no such depth.

    Source:
        Simonyan, Zisserman (2014), Very Deep Convolutional Networks for Large-Scale Image Recognition.

    Example:
        >>> sum(parameter.size for parameter in VGG(11).features.parameters())
        9220480
    """

    def __init__(
        self,
        depth: int,
        num_classes: int = 1000,
        in_channels: int = 3,
        batch_norm: bool = False,
        dropout: float = 0.5,
    ) -> None:
        """Makes the layers."""
        check_sizes("VGG", in_channels, num_classes)
        if depth not in BLOCKS:
            raise DomainError(f"VGG: depth is {depth}. Use 11, 13, 16 or 19.")
        self.in_channels = in_channels
        layers: list[nn.Module] = []
        channels = in_channels
        for block in BLOCKS[depth]:
            for size in block:
                layers.append(nn.Conv2d(channels, size, 3, padding=1))
                if batch_norm:
                    layers.append(nn.BatchNorm2d(size))
                layers.append(nn.ReLU())
                channels = size
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(4096, num_classes),
        )
        draw_kaiming(self, linear_std=0.01)

    def forward(self, input: Tensor) -> Tensor:
        """Scores of the classes."""
        check_images("VGG", input, self.in_channels, 32)
        x = self.avgpool(self.features(input))
        return self.classifier(nn.functional.flatten(x, 1))


def vgg11(num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> VGG:
    """VGG with 11 layers; 132,863,336 parameters, as in torchvision.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of an image.
        dropout: Probability of a zero behind each of the first two maps while training.

    Example:
        >>> sum(parameter.size for parameter in vgg11().parameters())
        132863336
    """
    return VGG(11, num_classes, in_channels, False, dropout)


def vgg11_bn(num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> VGG:
    """VGG with 11 layers and batch norm; 132,868,840 parameters, as in torchvision.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of an image.
        dropout: Probability of a zero behind each of the first two maps while training.

    Example:
        >>> sum(parameter.size for parameter in vgg11_bn().parameters())
        132868840
    """
    return VGG(11, num_classes, in_channels, True, dropout)


def vgg13(num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> VGG:
    """VGG with 13 layers; 133,047,848 parameters, as in torchvision.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of an image.
        dropout: Probability of a zero behind each of the first two maps while training.

    Example:
        >>> sum(parameter.size for parameter in vgg13().parameters())
        133047848
    """
    return VGG(13, num_classes, in_channels, False, dropout)


def vgg13_bn(num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> VGG:
    """VGG with 13 layers and batch norm; 133,053,736 parameters, as in torchvision.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of an image.
        dropout: Probability of a zero behind each of the first two maps while training.

    Example:
        >>> sum(parameter.size for parameter in vgg13_bn().parameters())
        133053736
    """
    return VGG(13, num_classes, in_channels, True, dropout)


def vgg16(num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> VGG:
    """VGG with 16 layers; 138,357,544 parameters, as in torchvision.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of an image.
        dropout: Probability of a zero behind each of the first two maps while training.

    Example:
        >>> sum(parameter.size for parameter in vgg16().parameters())
        138357544
    """
    return VGG(16, num_classes, in_channels, False, dropout)


def vgg16_bn(num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> VGG:
    """VGG with 16 layers and batch norm; 138,365,992 parameters, as in torchvision.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of an image.
        dropout: Probability of a zero behind each of the first two maps while training.

    Example:
        >>> sum(parameter.size for parameter in vgg16_bn().parameters())
        138365992
    """
    return VGG(16, num_classes, in_channels, True, dropout)


def vgg19(num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> VGG:
    """VGG with 19 layers; 143,667,240 parameters, as in torchvision.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of an image.
        dropout: Probability of a zero behind each of the first two maps while training.

    Example:
        >>> sum(parameter.size for parameter in vgg19().parameters())
        143667240
    """
    return VGG(19, num_classes, in_channels, False, dropout)


def vgg19_bn(num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> VGG:
    """VGG with 19 layers and batch norm; 143,678,248 parameters, as in torchvision.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of an image.
        dropout: Probability of a zero behind each of the first two maps while training.

    Example:
        >>> sum(parameter.size for parameter in vgg19_bn().parameters())
        143678248
    """
    return VGG(19, num_classes, in_channels, True, dropout)
