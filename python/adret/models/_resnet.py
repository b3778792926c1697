"""ResNet: blocks that add what they compute to what they were given.

Depends on `nn` and `_blocks`. Invariant: modules and parameters have torchvision's names, sizes and order; a block's
stride is in its 3 by 3 convolution.
"""

from __future__ import annotations

from .. import nn
from .._core import DomainError, Tensor
from ._blocks import check_images, check_sizes, draw_kaiming


class BasicBlock(nn.Module):
    """relu(x + bn2(conv2(relu(bn1(conv1(x)))))), both convolutions 3 by 3; x is mapped where sizes differ."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int, downsample: nn.Module | None) -> None:
        """Makes the layers."""
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = downsample

    def forward(self, input: Tensor) -> Tensor:
        """The sum."""
        x = self.relu(self.bn1(self.conv1(input)))
        x = self.bn2(self.conv2(x))
        return self.relu(x + (input if self.downsample is None else self.downsample(input)))


class Bottleneck(nn.Module):
    """The same with three convolutions: 1 by 1 to fewer channels, 3 by 3, 1 by 1 to four times as many."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int, downsample: nn.Module | None) -> None:
        """Makes the layers."""
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * 4, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * 4)
        self.relu = nn.ReLU()
        self.downsample = downsample

    def forward(self, input: Tensor) -> Tensor:
        """The sum."""
        x = self.relu(self.bn1(self.conv1(input)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        return self.relu(x + (input if self.downsample is None else self.downsample(input)))


# The paper's table 1: the kind of block, and how many there are at each size.
LAYERS: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}


class ResNet(nn.Module):
    """A convolution, four groups of residual blocks, the mean over the image, and an affine map.

    Args:
        depth: Layers with weights: 18, 34, 50, 101 or 152.
        num_classes: Size of the output.
        in_channels: Channels of an image.
        zero_init_residual: Whether every block's last norm starts at zero, so that blocks start as the identity.

    Shape:
        input `[batch, in_channels, height, width]` (224 by 224 in the paper), output `[batch, num_classes]`.

    Raises:
        DomainError: If there is no such depth.

    Source:
        He, Zhang, Ren, Sun (2015), Deep Residual Learning for Image Recognition.

    Example:
        >>> ResNet(18, num_classes=10).eval()(ad.zeros((1, 3, 32, 32))).shape
        (1, 10)
    """

    def __init__(
        self, depth: int, num_classes: int = 1000, in_channels: int = 3, zero_init_residual: bool = False
    ) -> None:
        """Makes the layers."""
        check_sizes("ResNet", in_channels, num_classes)
        if depth not in LAYERS:
            raise DomainError(f"ResNet: depth is {depth}. Use 18, 34, 50, 101 or 152.")
        block, counts = LAYERS[depth]
        self.in_channels = in_channels
        self.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = self._group(block, 64, 64, counts[0], 1)
        self.layer2 = self._group(block, 64 * block.expansion, 128, counts[1], 2)
        self.layer3 = self._group(block, 128 * block.expansion, 256, counts[2], 2)
        self.layer4 = self._group(block, 256 * block.expansion, 512, counts[3], 2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        draw_kaiming(self)
        if zero_init_residual:
            for module in self.modules():
                if isinstance(module, BasicBlock | Bottleneck):
                    last = module.bn2 if isinstance(module, BasicBlock) else module.bn3
                    if last.weight is not None:
                        nn.init.zeros_(last.weight)

    @staticmethod
    def _group(
        block: type[BasicBlock] | type[Bottleneck], channels: int, width: int, count: int, stride: int
    ) -> nn.Sequential:
        """Blocks of one size; the first one comes from another."""
        out = width * block.expansion
        downsample = None
        if stride != 1 or channels != out:
            downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        first = block(channels, width, stride, downsample)
        return nn.Sequential(first, *(block(out, width, 1, None) for _ in range(count - 1)))

    def forward(self, input: Tensor) -> Tensor:
        """Scores of the classes."""
        check_images("ResNet", input, self.in_channels)
        x = self.maxpool(self.relu(self.bn1(self.conv1(input))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(nn.functional.flatten(self.avgpool(x), 1))


def resnet18(num_classes: int = 1000, in_channels: int = 3, zero_init_residual: bool = False) -> ResNet:
    """ResNet with 18 layers; 11,689,512 parameters, as in torchvision.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of an image.
        zero_init_residual: Whether every block starts as the identity.

    Example:
        >>> sum(parameter.size for parameter in resnet18().parameters())
        11689512
    """
    return ResNet(18, num_classes, in_channels, zero_init_residual)


def resnet34(num_classes: int = 1000, in_channels: int = 3, zero_init_residual: bool = False) -> ResNet:
    """ResNet with 34 layers; 21,797,672 parameters, as in torchvision.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of an image.
        zero_init_residual: Whether every block starts as the identity.

    Example:
        >>> sum(parameter.size for parameter in resnet34().parameters())
        21797672
    """
    return ResNet(34, num_classes, in_channels, zero_init_residual)


def resnet50(num_classes: int = 1000, in_channels: int = 3, zero_init_residual: bool = False) -> ResNet:
    """ResNet with 50 layers; 25,557,032 parameters, as in torchvision.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of an image.
        zero_init_residual: Whether every block starts as the identity.

    Example:
        >>> sum(parameter.size for parameter in resnet50().parameters())
        25557032
    """
    return ResNet(50, num_classes, in_channels, zero_init_residual)


def resnet101(num_classes: int = 1000, in_channels: int = 3, zero_init_residual: bool = False) -> ResNet:
    """ResNet with 101 layers; 44,549,160 parameters, as in torchvision.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of an image.
        zero_init_residual: Whether every block starts as the identity.

    Example:
        >>> sum(parameter.size for parameter in resnet101().parameters())
        44549160
    """
    return ResNet(101, num_classes, in_channels, zero_init_residual)


def resnet152(num_classes: int = 1000, in_channels: int = 3, zero_init_residual: bool = False) -> ResNet:
    """ResNet with 152 layers; 60,192,808 parameters, as in torchvision.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of an image.
        zero_init_residual: Whether every block starts as the identity.

    Example:
        >>> sum(parameter.size for parameter in resnet152().parameters())
        60192808
    """
    return ResNet(152, num_classes, in_channels, zero_init_residual)
