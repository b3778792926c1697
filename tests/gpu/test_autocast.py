"""Mixed precision on every device: which ops compute in 16 bits, training with a scaled loss, and what goes wrong.

Depends on the `device` fixture.
"""

from __future__ import annotations

import threading

import adret as ad
import numpy as np
import pytest
from adret import nn, optim

HALF = ad.float16


def test_products_are_narrow_and_sums_wide(device: str) -> None:
    x, w = ad.ones((4, 3), device=device), ad.ones((3, 2), device=device)
    with ad.autocast(device, dtype=HALF):
        y = x @ w
        assert y.dtype == ad.matmul(x, w).dtype == nn.Linear(3, 2).to(device)(x).dtype == HALF
        assert (y * 2).dtype == HALF
        wide = [y.sum(), y.mean(), ad.softmax(y, axis=1), ad.log_softmax(y, axis=1), ad.var(y), ad.logsumexp(y)]
        wide += [
            nn.functional.mse_loss(y, y),
            nn.functional.cross_entropy(y, ad.zeros(4, dtype=ad.int32, device=device)),
        ]
        wide += [nn.LayerNorm(2).to(device)(y), (x + w[0, 0])]
        assert {tensor.dtype for tensor in wide} == {ad.float32}
        with ad.autocast(device, enabled=False):
            assert (x @ w).dtype == ad.float32
        assert (x @ w).dtype == HALF
    assert (x @ w).dtype == ad.float32
    assert y.sum().dtype == HALF


def test_values_are_those_of_narrow_operands(device: str) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((20, 20)).astype(np.float32) for _ in range(2))
    with ad.autocast(device, dtype=HALF):
        found = (ad.tensor(a, device=device) @ ad.tensor(b, device=device)).numpy()
    expected = a.astype(np.float16).astype(np.float32) @ b.astype(np.float16).astype(np.float32)
    np.testing.assert_allclose(found.astype(np.float32), expected, rtol=1e-3, atol=2e-3)


def test_gradients_come_in_the_parameters_dtype(device: str) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).to(device)
    with ad.autocast(device):
        loss = model(ad.ones((5, 3), device=device)).mean()
    loss.backward()
    assert {p.grad.dtype for p in model.parameters() if p.grad is not None} == {ad.float32}


def test_defaults_decorators_and_other_devices(device: str) -> None:
    x = ad.ones((2, 2), device=device)
    other = "gpu" if device == "cpu" else "cpu"

    @ad.autocast(device)
    def inside() -> ad.dtype:
        return (x @ x).dtype

    assert inside() == (ad.bfloat16 if device == "cpu" else ad.float16)
    with ad.autocast(other):
        assert (x @ x).dtype == ad.float32
    with ad.autocast(device):
        integers = ad.ones((2, 2), dtype=ad.int32, device=device)
        assert (integers @ integers).dtype == ad.int32
        found = []
        thread = threading.Thread(target=lambda: found.append((x @ x).dtype))
        thread.start()
        thread.join()
        assert found == [ad.float32]


def test_the_block_ends_with_an_exception(device: str) -> None:
    x = ad.ones((2, 2), device=device)
    with pytest.raises(ad.ShapeError), ad.autocast(device):
        x @ ad.ones((3, 3), device=device)
    assert (x @ x).dtype == ad.float32


def test_compiled_functions_know_the_block(device: str) -> None:
    x = ad.ones((2, 2), device=device)
    run = ad.compile(lambda x: x @ x)
    for _ in range(4):
        assert run(x).dtype == ad.float32
        with ad.autocast(device):
            assert run(x).dtype != ad.float32


def test_what_autocast_refuses() -> None:
    with pytest.raises(ad.DomainError, match="device_type"):
        ad.autocast("cuda")
    with pytest.raises(ad.DTypeError, match="float16 or bfloat16"):
        ad.autocast("cpu", dtype=ad.float64)


def train(device: str, half: bool) -> float:
    ad.manual_seed(0)
    rng = np.random.default_rng(0)
    x = ad.tensor(rng.standard_normal((64, 8)).astype(np.float32), device=device)
    y = ad.tensor((rng.standard_normal((64, 8)).sum(1) > 0).astype(np.int32), device=device)
    model = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 2)).to(device)
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    scaler = ad.GradScaler(enabled=half)
    for _ in range(40):
        with ad.autocast(device, dtype=HALF, enabled=half):
            loss = nn.functional.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
    return loss.item()


def test_training_in_half_precision_follows_full_precision(device: str) -> None:
    full, half = train(device, False), train(device, True)
    assert half == pytest.approx(full, abs=0.03)
    assert half < 0.5


def parameter(grad: float) -> tuple[ad.Tensor, optim.SGD]:
    p = ad.ones(2, requires_grad=True)
    return p, optim.SGD([p], lr=grad)


def test_a_gradient_that_is_not_finite_changes_nothing_but_the_scale() -> None:
    p, optimizer = parameter(1.0)
    scaler = ad.GradScaler(init_scale=8.0, growth_interval=2)
    for bad in (np.inf, np.nan):
        scaler.scale((p * ad.tensor([1.0, float(bad)])).sum()).backward()
        assert scaler.step(optimizer) is None
        scaler.update()
        optimizer.zero_grad()
    assert (p.tolist(), scaler.get_scale()) == ([1.0, 1.0], 2.0)
    for scale in (2.0, 4.0, 4.0, 8.0):
        scaler.scale((p * 0.5).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        assert scaler.get_scale() == scale
    assert p.tolist() == [-1.0, -1.0]


def test_gradients_can_be_clipped_before_the_step() -> None:
    p, optimizer = parameter(1.0)
    scaler = ad.GradScaler(init_scale=1024.0)
    scaler.scale((p * 100.0).sum()).backward()
    scaler.unscale_(optimizer)
    assert p.grad is not None and p.grad.tolist() == [100.0, 100.0]
    nn.utils.clip_grad_value_([p], 2.0)
    scaler.step(optimizer)
    scaler.update()
    assert p.tolist() == [-1.0, -1.0]


def test_states_travel() -> None:
    scaler = ad.GradScaler(init_scale=4.0, growth_interval=7)
    other = ad.GradScaler()
    other.load_state_dict(scaler.state_dict())
    assert other.state_dict() == scaler.state_dict()
    assert ad.GradScaler(enabled=False).state_dict() == {}
    with pytest.raises(ad.DomainError, match="not enabled"):
        other.load_state_dict({})
    scaler.scale(ad.ones(2))
    scaler.update(new_scale=16.0)
    assert scaler.get_scale() == 16.0
    assert ad.GradScaler(enabled=False).get_scale() == 1.0


def test_half_losses_are_scaled_in_float32() -> None:
    scaled = ad.GradScaler().scale([ad.ones(1, dtype=HALF), ad.ones(1)])
    assert [tensor.tolist() for tensor in scaled] == [[65536.0], [65536.0]]


def test_what_the_scaler_refuses() -> None:
    p, optimizer = parameter(1.0)
    scaler = ad.GradScaler()
    with pytest.raises(ad.GradError, match="update"):
        scaler.update()
    with pytest.raises(ad.DTypeError, match="no tensor"):
        scaler.scale(1.0)
    scaler.scale(p.sum()).backward()
    scaler.unscale_(optimizer)
    with pytest.raises(ad.GradError, match="unscaled already"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(ad.GradError, match="stepped already"):
        scaler.step(optimizer)
    for wrong in ({"growth_factor": 1.0}, {"backoff_factor": 1.0}, {"init_scale": 0.0}, {"growth_interval": 0}):
        with pytest.raises(ad.DomainError, match="GradScaler"):
            ad.GradScaler(**wrong)
