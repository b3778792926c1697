"""AlexNet, in the form with one column.

Depends on `nn` and `_blocks`. Invariant: modules and parameters have torchvision's names, sizes and order.
"""

from __future__ import annotations

from .. import nn
from .._core import Tensor
from ._blocks import check_images, check_sizes


class AlexNet(nn.Module):
    """Five convolutions and three affine maps.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of an image.
        dropout: Probability of a zero before each of the first two maps while training.

    Shape:
        input `[batch, in_channels, height, width]` of 63 by 63 or larger (224 by 224 in the paper), output
        `[batch, num_classes]`.

    Source:
        Krizhevsky (2014), One Weird Trick for Parallelizing Convolutional Neural Networks.

    Example:
        >>> AlexNet(num_classes=3)(ad.zeros((1, 3, 64, 64))).shape
        (1, 3)
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> None:
        """Makes the layers."""
        check_sizes("AlexNet", in_channels, num_classes)
        self.in_channels = in_channels
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 64, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Linear(4096, num_classes),
        )

    def forward(self, input: Tensor) -> Tensor:
        """Scores of the classes."""
        check_images("AlexNet", input, self.in_channels, 63)
        x = self.avgpool(self.features(input))
        return self.classifier(nn.functional.flatten(x, 1))


def alexnet(num_classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> AlexNet:
    """AlexNet; 61,100,840 parameters, as in torchvision.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of an image.
        dropout: Probability of a zero before each of the first two maps while training.

    Example:
        >>> sum(parameter.size for parameter in alexnet().parameters())
        61100840
    """
    return AlexNet(num_classes, in_channels, dropout)
