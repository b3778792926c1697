"""Options, markers and fixtures of the whole suite.

Depends on adret. Invariant: GPU tests run only on hardware, or where a software adapter was allowed by name
(ADRET_ALLOW_SOFTWARE_GPU=1).
"""

from __future__ import annotations

import os

import adret as ad
import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options: the long versions of tests, and the comparison with other libraries."""
    parser.addoption("--full", action="store_true", help="run the long versions of tests")
    parser.addoption("--peers", action="store_true", help="compare with PyTorch and JAX, which must be installed")


def pytest_configure(config: pytest.Config) -> None:
    """Markers."""
    config.addinivalue_line("markers", "peers: compares with PyTorch or JAX; run by --peers only")
    config.addinivalue_line("markers", "full: takes long; run by --full only")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what was not asked for."""
    unwanted = {name for name in ("peers", "full") if not config.getoption(f"--{name}")}
    kept = [item for item in items if not any(item.get_closest_marker(name) for name in unwanted)]
    if len(kept) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


def _gpu_reason() -> str:
    """Why there is no GPU to test on, or nothing."""
    try:
        ad.zeros(1, device="gpu")
    except ad.DeviceError as error:
        return str(error)
    return ""


@pytest.fixture(scope="session")
def gpu_reason() -> str:
    """Why there is no GPU, or nothing; asked once."""
    return _gpu_reason()


@pytest.fixture(params=["cpu", "gpu"])
def device(request: pytest.FixtureRequest, gpu_reason: str) -> str:
    """Each device in turn."""
    if request.param == "gpu" and gpu_reason:
        if os.environ.get("ADRET_ALLOW_SOFTWARE_GPU") == "1":
            pytest.fail(f"a software adapter was allowed, yet: {gpu_reason}")
        pytest.skip(f"no GPU: {gpu_reason}")
    return request.param


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether the long version was asked for."""
    return bool(request.config.getoption("--full"))


@pytest.fixture(autouse=True)
def _fresh_modes():
    """Every test starts with gradients on and the default dtype and device, and must leave them so."""
    yield
    assert ad.is_grad_enabled(), "the test left gradients switched off"
    assert ad.get_default_device() == "cpu", "the test left another default device"
