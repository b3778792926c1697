"""Chapter 21, the zoo: networks that have names, and what each of them was about.

LeNet: convolution and pooling. VGG: small kernels, many layers. ResNet: layers that add to what they were given.
Inception: several sizes of kernel side by side. Xception and MobileNet: each channel by itself, then all together at
each place, which takes a fraction of the weights.
Shows each built, with the published number of parameters and the work it takes, without computing anything; that a
separable convolution is the cheap one; that two of them learn; and weights saved to a file and loaded again.
"""

import tempfile
from pathlib import Path

import adret as ad
from adret import models, nn, optim


def trained(net: nn.Module) -> int:
    """Numbers that are learned."""
    return sum(parameter.size for parameter in net.parameters())


def stored(net: nn.Module) -> int:
    """And those that are gathered: mean and variance of every normalised channel, which Keras counts too."""
    return trained(net) + sum(buffer.size for name, buffer in net.named_buffers() if "running" in name)


# What counts, the published number, the size of picture, and millions of multiplications with additions for one.
ZOO = {
    "VGG16": (models.vgg16, trained, 138_357_544, 224, 15_470),
    "VGG19": (models.vgg19, trained, 143_667_240, 224, 19_632),
    "ResNet50": (models.resnet50, trained, 25_557_032, 224, 4_089),
    "InceptionV3": (models.inception_v3, trained, 27_161_264, 299, 5_713),
    "InceptionResNetV2": (models.inception_resnet_v2, stored, 55_873_736, 299, 13_150),
    "Xception": (models.xception, stored, 22_910_480, 299, 8_353),
    "MobileNet": (models.mobilenet_v1, stored, 4_253_864, 224, 569),
}
start = ad.stats()
for name, (make, count, published, side, millions) in ZOO.items():
    net = make()
    work = ad.summary(net, (1, 3, side, side)).multiply_adds / 1e6
    print(f"{name:18} {count(net):12,} parameters, {work:8,.0f} million multiply-adds for {side} x {side}")
    assert count(net) == published
    assert abs(work / millions - 1) < 0.05
    if name == "VGG19":
        # Values are computed when asked for, and nobody has asked for one of these 282 million weights.
        assert ad.stats()["runs"] == start["runs"]
        assert ad.stats()["bytes_in_use"] - start["bytes_in_use"] < 1e6
    del net

# Why MobileNet is small: 3 x 3 over each of 128 channels by itself, then 1 x 1 over all of them.
whole = nn.Conv2d(128, 128, 3, padding=1, bias=False)
apart = nn.Sequential(nn.Conv2d(128, 128, 3, padding=1, groups=128, bias=False), nn.Conv2d(128, 128, 1, bias=False))
x = ad.random.normal((1, 128, 7, 7))
assert whole(x).shape == apart(x).shape
print(f"128 channels to 128: {trained(whole):,} weights at once, {trained(apart):,} one by one and then together")
assert trained(whole) > 8 * trained(apart)
# Why ResNet is deep: with the branch at zero, a block hands on what it was given, however many there are.
net = models.resnet18(num_classes=4)
print(f"ResNet18 for 4 classes has {trained(net):,} parameters, 11,689,512 for 1000")
assert trained(net) == 11_689_512 - (512 + 1) * 996

# A few steps on one small batch: the loss falls. Pictures of 64 x 64; the layers at the end average over all places.
ad.manual_seed(0)
batch, labels = ad.random.normal((4, 3, 64, 64)), ad.arange(4)
for name, make in (("ResNet18", models.resnet18), ("MobileNet", models.mobilenet_v1)):
    ad.manual_seed(1)
    net = make(num_classes=4)
    optimizer = optim.Adam(net.parameters(), lr=2e-3)
    losses: list[float] = []
    for _ in range(6):
        loss = nn.functional.cross_entropy(net(batch), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    print(f"{name}: loss", " ".join(f"{loss:.3f}" for loss in losses))
    assert losses[-1] < 0.7 * losses[0]
    assert all(parameter.grad is None for parameter in net.parameters())

# Weights go into a file by name, running averages with them, and from there into another network of that kind.
net.eval()
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "mobilenet.safetensors"
    ad.save(path, net.state_dict())
    print(f"saved: {path.stat().st_size:,} bytes, {len(ad.inspect(path).tensors)} tensors")
    ad.manual_seed(2)
    other = make(num_classes=4).eval()
    with ad.no_grad():
        assert ad.max(ad.abs(other(batch) - net(batch))).item() > 1e-3
        other.load_state_dict(ad.load(path))
        assert (other(batch) == net(batch)).all()
    # For other classes than it has learned, a network keeps all but its last layer.
    weights = ad.load(path)
    fresh = make(num_classes=7)
    own = fresh.state_dict()
    fitting = {name: tensor for name, tensor in weights.items() if own[name].shape == tensor.shape}
    fresh.load_state_dict({**own, **fitting})
    print("new for 7 classes:", ", ".join(sorted({*weights} - {*fitting})))
    assert 1 <= len({*weights} - {*fitting}) <= 2
    try:
        fresh.load_state_dict(weights)
    except ad.AdretError as error:
        print("and without leaving it out:", str(error)[:110], "...")
    else:
        raise AssertionError("weights of another shape were taken")
