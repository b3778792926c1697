"""Inception-ResNet, version 2: blocks of branches, each added to its input.

Depends on `nn` and `_blocks`. Invariant: layers and sizes are those of Keras; norms shift and do not scale.
"""

from __future__ import annotations

from .. import nn
from .._core import Tensor, concat
from ._blocks import check_images, check_sizes, global_mean

Size = int | tuple[int, int]


class ShiftNorm(nn.BatchNorm2d):
    """Batch norm with a bias alone."""

    def __init__(self, channels: int) -> None:
        """Makes the bias."""
        super().__init__(channels, eps=1e-3)
        self.weight = None


class ConvShiftNorm(nn.Sequential):
    """A convolution without bias, a norm that does not scale, relu."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Size, stride: int = 1, valid: bool = False
    ) -> None:
        """Makes the layers; the padding keeps the size unless `valid`."""
        rows, columns = kernel_size if isinstance(kernel_size, tuple) else (kernel_size, kernel_size)
        padding = (0, 0) if valid else (rows // 2, columns // 2)
        super().__init__(
            nn.Conv2d(in_channels, out_channels, (rows, columns), stride, padding, bias=False),
            ShiftNorm(out_channels),
            nn.ReLU(),
        )


class Branches(nn.Module):
    """Branches side by side."""

    def __init__(self, *branches: nn.Module) -> None:
        """Takes the branches."""
        self.branches = nn.ModuleList(branches)

    def forward(self, input: Tensor) -> Tensor:
        """What they make, along the axis of channels."""
        return concat([branch(input) for branch in self.branches], axis=1)


class ResidualBlock(nn.Module):
    """relu(x + scale * up(branches(x))), the last one of the network without relu."""

    def __init__(self, channels: int, inner: int, branches: Branches, scale: float, last: bool = False) -> None:
        """Takes the branches, which make `inner` channels, and maps them back."""
        self.branches = branches
        self.up = nn.Conv2d(inner, channels, 1)
        self.scale = scale
        self.last = last

    def forward(self, input: Tensor) -> Tensor:
        """The sum."""
        x = input + self.scale * self.up(self.branches(input))
        return x if self.last else nn.functional.relu(x)


def _stem(in_channels: int) -> nn.Sequential:
    return nn.Sequential(
        ConvShiftNorm(in_channels, 32, 3, stride=2, valid=True),
        ConvShiftNorm(32, 32, 3, valid=True),
        ConvShiftNorm(32, 64, 3),
        nn.MaxPool2d(3, stride=2),
        ConvShiftNorm(64, 80, 1),
        ConvShiftNorm(80, 192, 3, valid=True),
        nn.MaxPool2d(3, stride=2),
    )


def _first_branches() -> Branches:
    return Branches(
        ConvShiftNorm(192, 96, 1),
        nn.Sequential(ConvShiftNorm(192, 48, 1), ConvShiftNorm(48, 64, 5)),
        nn.Sequential(ConvShiftNorm(192, 64, 1), ConvShiftNorm(64, 96, 3), ConvShiftNorm(96, 96, 3)),
        nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False), ConvShiftNorm(192, 64, 1)),
    )


def _block35() -> ResidualBlock:
    branches = Branches(
        ConvShiftNorm(320, 32, 1),
        nn.Sequential(ConvShiftNorm(320, 32, 1), ConvShiftNorm(32, 32, 3)),
        nn.Sequential(ConvShiftNorm(320, 32, 1), ConvShiftNorm(32, 48, 3), ConvShiftNorm(48, 64, 3)),
    )
    return ResidualBlock(320, 128, branches, 0.17)


def _to_17() -> Branches:
    return Branches(
        ConvShiftNorm(320, 384, 3, stride=2, valid=True),
        nn.Sequential(
            ConvShiftNorm(320, 256, 1), ConvShiftNorm(256, 256, 3), ConvShiftNorm(256, 384, 3, stride=2, valid=True)
        ),
        nn.MaxPool2d(3, stride=2),
    )


def _block17() -> ResidualBlock:
    branches = Branches(
        ConvShiftNorm(1088, 192, 1),
        nn.Sequential(ConvShiftNorm(1088, 128, 1), ConvShiftNorm(128, 160, (1, 7)), ConvShiftNorm(160, 192, (7, 1))),
    )
    return ResidualBlock(1088, 384, branches, 0.1)


def _to_8() -> Branches:
    return Branches(
        nn.Sequential(ConvShiftNorm(1088, 256, 1), ConvShiftNorm(256, 384, 3, stride=2, valid=True)),
        nn.Sequential(ConvShiftNorm(1088, 256, 1), ConvShiftNorm(256, 288, 3, stride=2, valid=True)),
        nn.Sequential(
            ConvShiftNorm(1088, 256, 1), ConvShiftNorm(256, 288, 3), ConvShiftNorm(288, 320, 3, stride=2, valid=True)
        ),
        nn.MaxPool2d(3, stride=2),
    )


def _block8(last: bool = False) -> ResidualBlock:
    branches = Branches(
        ConvShiftNorm(2080, 192, 1),
        nn.Sequential(ConvShiftNorm(2080, 192, 1), ConvShiftNorm(192, 224, (1, 3)), ConvShiftNorm(224, 256, (3, 1))),
    )
    return ResidualBlock(2080, 448, branches, 1.0 if last else 0.2, last)


class InceptionResNetV2(nn.Module):
    """A stem, 10, 20 and 10 residual blocks of branches at three sizes, a convolution, the mean, an affine map.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of an image.

    Shape:
        input `[batch, in_channels, height, width]` of 75 by 75 or larger (299 by 299 in the paper), output
        `[batch, num_classes]`.

    Source:
        Szegedy, Ioffe, Vanhoucke, Alemi (2016), Inception-v4, Inception-ResNet and the Impact of Residual Connections
        on Learning; in the form of Keras.

    Example:
        >>> InceptionResNetV2(num_classes=10).eval()(ad.zeros((1, 3, 75, 75))).shape
        (1, 10)
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3) -> None:
        """Makes the layers."""
        check_sizes("InceptionResNetV2", in_channels, num_classes)
        self.in_channels = in_channels
        self.stem = _stem(in_channels)
        self.first = _first_branches()
        self.block35 = nn.Sequential(*(_block35() for _ in range(10)))
        self.to_17 = _to_17()
        self.block17 = nn.Sequential(*(_block17() for _ in range(20)))
        self.to_8 = _to_8()
        self.block8 = nn.Sequential(*(_block8() for _ in range(9)), _block8(last=True))
        self.last = ConvShiftNorm(2080, 1536, 1)
        self.classifier = nn.Linear(1536, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, input: Tensor) -> Tensor:
        """Scores of the classes."""
        check_images("InceptionResNetV2", input, self.in_channels, 75)
        x = self.block35(self.first(self.stem(input)))
        x = self.block17(self.to_17(x))
        x = self.block8(self.to_8(x))
        return self.classifier(global_mean(self.last(x)))


def inception_resnet_v2(num_classes: int = 1000, in_channels: int = 3) -> InceptionResNetV2:
    """Inception-ResNet, version 2; 55,813,192 parameters, with the statistics of its norms 55,873,736 as in Keras.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of an image.

    Example:
        >>> sum(parameter.size for parameter in inception_resnet_v2().parameters())
        55813192
    """
    return InceptionResNetV2(num_classes, in_channels)
