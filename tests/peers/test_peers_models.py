"""The models beside torchvision's, with its random weights, through a file of tensors.

Run by `x.py test --peers`. Depends on torchvision. Invariant: evaluating, outputs agree to 1e-4 of the greatest.
"""

from __future__ import annotations

from pathlib import Path

import adret as ad
import numpy as np
import pytest

pytestmark = pytest.mark.peers

NAMES = [
    *(("alexnet", 64), ("vgg11", 32), ("vgg13_bn", 40), ("vgg16", 64), ("vgg19_bn", 32), ("resnet18", 64)),
    *(("resnet34", 48), ("resnet50", 64), ("resnet101", 64), ("mobilenet_v2", 96), ("inception_v3", 96)),
]


@pytest.fixture(scope="module")
def torchvision():
    """Torchvision, on one thread of PyTorch."""
    module = pytest.importorskip("torchvision", reason="torchvision is not installed beside PyTorch")
    __import__("torch").set_num_threads(1)
    return module


@pytest.mark.parametrize(("name", "size"), NAMES)
def test_models(torchvision, name: str, size: int, tmp_path: Path) -> None:
    """Weights of torchvision are loaded by name; outputs agree."""
    torch = __import__("torch")
    torch.manual_seed(0)
    more = {"init_weights": True} if name == "inception_v3" else {}
    theirs = getattr(torchvision.models, name)(weights=None, **more).eval()
    with torch.no_grad():
        for path, buffer in theirs.named_buffers():
            if path.endswith("running_mean"):
                buffer.normal_(0, 0.1)
            elif path.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
    file = tmp_path / "weights.safetensors"
    ad.save(file, {path: ad.tensor(value.numpy()) for path, value in theirs.state_dict().items()})
    ours = getattr(ad.models, name)().eval()
    ours.load_state_dict(ad.load(file))
    x = np.random.default_rng(0).standard_normal((2, 3, size, size), dtype=np.float32)
    with torch.no_grad(), ad.no_grad():
        expected, got = theirs(torch.tensor(x)).numpy(), ours(ad.tensor(x)).numpy()
    assert np.abs(got - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize(("name", "size"), [("resnet18", 40), ("mobilenet_v2", 40), ("vgg11_bn", 32)])
def test_gradients_while_training(torchvision, name: str, size: int) -> None:
    """The first convolution's gradient, through every layer and the norms of a batch, in float64."""
    torch = __import__("torch")
    torch.manual_seed(0)
    settings = {} if name == "resnet18" else {"dropout": 0.0}
    theirs = getattr(torchvision.models, name)(weights=None, num_classes=5, **settings).double()
    ours = getattr(ad.models, name)(5, **settings).to(ad.float64)
    ours.load_state_dict({path: value.numpy() for path, value in theirs.state_dict().items()})
    x = np.random.default_rng(0).standard_normal((3, 3, size, size))
    theirs(torch.tensor(x)).square().sum().backward()
    ours(ad.tensor(x)).square().sum().backward()
    mine, reference = next(ours.parameters()).grad.numpy(), next(theirs.parameters()).grad.numpy()
    assert np.abs(mine - reference).max() <= 1e-8 * np.abs(reference).max()
    for (path, buffer), other in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        np.testing.assert_allclose(buffer.numpy(), other.numpy(), rtol=1e-8, atol=1e-12, err_msg=path)


def test_inception_while_training(torchvision) -> None:
    """Both classifiers' scores."""
    torch = __import__("torch")
    theirs = torchvision.models.inception_v3(weights=None, num_classes=5, init_weights=True, dropout=0.0)
    ours = ad.models.inception_v3(5, dropout=0.0)
    ours.load_state_dict({path: value.numpy() for path, value in theirs.state_dict().items()})
    x = np.random.default_rng(0).standard_normal((2, 3, 299, 299), dtype=np.float32)
    with torch.no_grad(), ad.no_grad():
        expected, got = theirs(torch.tensor(x)), ours(ad.tensor(x))
    for mine, other in zip(got, expected, strict=True):
        # Norms of two images amplify rounding.
        np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=2e-2, atol=2e-2)
