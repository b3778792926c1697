"""Models that many know by name, built layer by layer; `import adret as ad; ad.models.resnet18()`.

Depends on `nn`. Invariant: sizes are the published ones, and those that torchvision has take its weights.
"""

from ._alexnet import AlexNet, alexnet
from ._inception import InceptionOutputs, InceptionV3, inception_v3
from ._inception_resnet import InceptionResNetV2, inception_resnet_v2
from ._lenet import LeNet5, lenet5
from ._mobilenet import MobileNetV1, MobileNetV2, mobilenet_v1, mobilenet_v2
from ._resnet import ResNet, resnet18, resnet34, resnet50, resnet101, resnet152
from ._unet import UNet, unet
from ._vgg import VGG, vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn
from ._xception import Xception, xception

__all__ = [
    "AlexNet",
    "InceptionOutputs",
    "InceptionResNetV2",
    "InceptionV3",
    "LeNet5",
    "MobileNetV1",
    "MobileNetV2",
    "ResNet",
    "UNet",
    "VGG",
    "Xception",
    "alexnet",
    "inception_resnet_v2",
    "inception_v3",
    "lenet5",
    "mobilenet_v1",
    "mobilenet_v2",
    "resnet101",
    "resnet152",
    "resnet18",
    "resnet34",
    "resnet50",
    "unet",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
    "xception",
]
