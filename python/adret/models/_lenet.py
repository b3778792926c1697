"""LeNet-5: the first convolutional network for digits.

Depends on `nn` and `_blocks`. Invariant: 61,706 parameters for one channel and ten classes.
"""

from __future__ import annotations

from .. import nn
from .._core import Tensor
from ._blocks import check_images, check_sizes


class LeNet5(nn.Module):
    """Two convolutions and three affine maps, with tanh between, for images of 28 by 28 or 32 by 32.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of an image.
        padding: Elements around the image: 2 for 28 by 28 (by default), 0 for 32 by 32.

    Shape:
        input `[batch, in_channels, 28, 28]`, output `[batch, num_classes]`.

    Source:
        LeCun, Bottou, Bengio, Haffner (1998), Gradient-Based Learning Applied to Document Recognition; with full
        connections between the convolutions, and a linear map at the end.

    Example:
        >>> LeNet5()(ad.zeros((2, 1, 28, 28))).shape
        (2, 10)
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1, padding: int = 2) -> None:
        """Makes the layers."""
        check_sizes("LeNet5", in_channels, num_classes)
        self.in_channels = in_channels
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 6, 5, padding=padding),
            nn.Tanh(),
            nn.AvgPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.Tanh(),
            nn.AvgPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(400, 120),
            nn.Tanh(),
            nn.Linear(120, 84),
            nn.Tanh(),
            nn.Linear(84, num_classes),
        )

    def forward(self, input: Tensor) -> Tensor:
        """Scores of the classes."""
        check_images("LeNet5", input, self.in_channels)
        return self.classifier(self.features(input))


def lenet5(num_classes: int = 10, in_channels: int = 1) -> LeNet5:
    """LeNet-5 for images of 28 by 28; 61,706 parameters.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of an image.

    Example:
        >>> sum(parameter.size for parameter in lenet5().parameters())
        61706
    """
    return LeNet5(num_classes, in_channels)
