"""Arrays to PyTorch and JAX and back through DLPack, on the CPU: the same values, and the same memory where promised.

Run by `x.py test --peers`. Depends on PyTorch and JAX.
"""

from __future__ import annotations

import gc

import adret as ad
import numpy as np
import pytest

pytestmark = pytest.mark.peers

DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "float16", "bfloat16", "float32", "float64"]
LAYOUTS = {
    "contiguous": lambda x: x,
    "transposed": lambda x: x.T,
    "sliced": lambda x: x[1:, ::2],
    "empty": lambda x: x[:0],
    "scalar": lambda x: x[0, 0],
    "row": lambda x: x[1],
}


@pytest.fixture(scope="module")
def torch():
    """PyTorch."""
    return __import__("torch")


@pytest.fixture(scope="module")
def jax():
    """JAX with 64 bits."""
    module = __import__("jax")
    module.config.update("jax_enable_x64", True)
    return module


def _ours(dtype: str) -> ad.Tensor:
    return (ad.arange(12).reshape(3, 4) % 5 - (0 if dtype in ("bool", "uint8") else 2)).astype(dtype)


def _address(array) -> int:
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_torch_round_trip(torch, dtype: str, layout: str) -> None:
    x = LAYOUTS[layout](_ours(dtype))
    theirs = torch.from_dlpack(x)
    assert str(theirs.dtype) == f"torch.{dtype}"
    assert tuple(theirs.shape) == x.shape
    assert theirs.tolist() == x.tolist()
    back = ad.from_dlpack(theirs)
    assert (back.dtype, back.shape, back.tolist()) == (x.dtype, x.shape, x.tolist())
    # And begun by the other side.
    mine = LAYOUTS[layout](torch.arange(12).reshape(3, 4).to(getattr(torch, dtype)))
    assert ad.from_dlpack(mine).tolist() == mine.tolist()
    assert ad.asarray(mine).tolist() == ad.tensor(mine).tolist() == mine.tolist()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [*DTYPES, "uint16", "uint32", "uint64"])
def test_jax_round_trip(jax, dtype: str, layout: str) -> None:
    x = LAYOUTS[layout](_ours("uint8").astype(dtype))
    # JAX takes compact row-major memory only; its own way is a copy.
    theirs = jax.dlpack.from_dlpack(x if layout not in ("transposed", "sliced") else ad.tensor(x.tolist(), dtype=dtype))
    assert str(theirs.dtype) == dtype
    assert theirs.shape == x.shape
    assert theirs.tolist() == x.tolist()
    back = ad.from_dlpack(theirs)
    assert (back.dtype, back.shape, back.tolist()) == (x.dtype, x.shape, x.tolist())
    mine = LAYOUTS[layout](jax.numpy.arange(12).reshape(3, 4).astype(dtype))
    assert ad.from_dlpack(mine).tolist() == mine.tolist()
    assert ad.asarray(mine).tolist() == ad.tensor(mine).tolist() == mine.tolist()


def test_their_numbers_and_dtypes(torch, jax) -> None:
    for module, dtype in ((torch, "bfloat16"), (torch, "int64"), (jax.numpy, "float32")):
        number = module.ones(3, dtype=getattr(module, dtype)).sum()
        assert ad.tensor(number).dtype.name == dtype
        assert (ad.ones(2) * number).tolist() == [3.0, 3.0]
        assert ad.zeros(2, dtype=getattr(module, dtype)).dtype.name == dtype
        assert ad.zeros(2, dtype=number.dtype).dtype.name == dtype


def test_torch_memory_is_shared(torch) -> None:
    theirs = torch.arange(1000.0)
    x = ad.from_dlpack(theirs)
    assert _address(x.numpy()) == theirs.data_ptr()
    # It outlives the other's name, and what we compute is our own.
    y = x + 1
    del theirs
    gc.collect()
    assert y.tolist()[:3] == [1.0, 2.0, 3.0]
    again = torch.from_dlpack(x)
    assert again.data_ptr() == _address(x.numpy())
    x += 1
    assert again.tolist()[:3] == [0.0, 1.0, 2.0]


def test_jax_memory_is_shared(jax) -> None:
    theirs = jax.numpy.arange(1000.0)
    x = ad.from_dlpack(theirs)
    assert _address(x.numpy()) == theirs.unsafe_buffer_pointer()
    x += 1
    assert theirs.tolist()[:3] == [0.0, 1.0, 2.0]
    del theirs
    gc.collect()
    assert x.tolist()[:3] == [1.0, 2.0, 3.0]
    # Memory that the other has is not written by us, nor reused while it lives.
    y = ad.arange(1000, dtype=ad.float64)
    seen = jax.dlpack.from_dlpack(y)
    y += 5
    del y
    gc.collect()
    ad.eval(*[ad.zeros(1000, dtype=ad.float64) for _ in range(20)])
    assert seen.tolist()[:3] == [0.0, 1.0, 2.0]


def test_through_all_three(torch, jax) -> None:
    x = ad.random.randn(5, 7)
    through = ad.from_dlpack(jax.dlpack.from_dlpack(torch.from_dlpack(x)))
    assert through.tolist() == x.tolist()
    assert np.from_dlpack(through).tolist() == x.tolist()


def test_gradients_are_not_handed_out(torch, jax) -> None:
    w = ad.ones(3, requires_grad=True)
    for take in (torch.from_dlpack, jax.dlpack.from_dlpack):
        with pytest.raises(ad.GradError, match="detach"):
            take(w)
        assert take(w.detach()).tolist() == [1.0, 1.0, 1.0]
    theirs = torch.ones(3, requires_grad=True)
    with pytest.raises((RuntimeError, BufferError)):
        ad.from_dlpack(theirs)


def test_states_carry_over(torch) -> None:
    ours, theirs = ad.nn.Linear(4, 3), torch.nn.Linear(4, 3)
    ours.load_state_dict(theirs.state_dict())
    x = ad.random.randn(2, 4)
    expected = theirs(torch.from_dlpack(x)).detach()
    assert np.allclose(ours(x).detach().numpy(), expected.numpy(), atol=1e-6)
    back = {name: torch.from_dlpack(value).clone() for name, value in ours.state_dict().items()}
    torch.nn.Linear(4, 3).load_state_dict(back)
