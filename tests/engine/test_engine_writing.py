"""In-place writing, snapshots, and memory that others see.

Depends on adret, NumPy and the engine's counters.
"""

from __future__ import annotations

import gc

import adret as ad
import numpy as np
import pytest
from counters import measured

SIZE = 1 << 18


def leaf(value: float = 1.0) -> ad.Tensor:
    """A megabyte that requires grad."""
    tensor = ad.tensor(np.full(SIZE, value, np.float32), requires_grad=True)
    ad.eval(tensor)
    return tensor


def test_views_are_snapshots() -> None:
    """Writing `x` never changes `v = x[0]`, nor the reverse."""
    x = ad.tensor([[1.0, 2.0], [3.0, 4.0]])
    row, turned, flat = x[0], x.T, x.reshape(-1)
    x[0] = 9.0
    assert row.tolist() == [1, 2]
    assert turned.tolist() == [[1, 3], [2, 4]]
    assert flat.tolist() == [1, 2, 3, 4]
    row[1] = -5.0
    assert row.tolist() == [1, -5]
    assert x.tolist() == [[9, 9], [3, 4]]


def test_snapshots_hold_for_pending_and_evaluated_tensors() -> None:
    """Whatever was evaluated before or after the write."""
    for before in (False, True):
        for after in (False, True):
            x = ad.tensor(np.arange(6.0)) * 2
            v = x[2:4]
            if before:
                ad.eval(x, v)
            x[2:4] = ad.tensor([-1.0, -2.0], dtype="float64")
            if after:
                ad.eval(x)
            assert v.tolist() == [4, 6]
            assert x.tolist() == [0, 2, -1, -2, 8, 10]


def test_one_handle_two_names() -> None:
    """`y = x` is the same tensor; `x += 1` is seen through both, `x = x + 1` is not."""
    x = ad.zeros(2)
    y = x
    x += 1
    assert y.tolist() == [1, 1]
    x = x + 1
    assert (x.tolist(), y.tolist()) == ([2, 2], [1, 1])


def test_writes_reuse_the_buffer_nobody_else_holds() -> None:
    """An update of a parameter allocates nothing in the commit, and peaks below a second copy."""
    p, grad = leaf(), leaf(0.5).detach()
    ad.eval(p, grad)
    with ad.no_grad():
        for _ in range(3):
            p -= 0.1 * grad
            ad.eval(p)
        counted = measured()
        for _ in range(5):
            p -= 0.1 * grad
            ad.eval(p)
    assert counted.peak() < p.nbytes / 2, "the update needed a second buffer"
    assert np.allclose(p.detach().numpy(), 1 - 0.05 * 8)


def test_writes_spare_buffers_that_others_hold() -> None:
    """A snapshot, a NumPy view or a pending reader of the old value keeps it."""
    p = leaf()
    snapshot, array, reader = p.detach(), p.detach().numpy(), p.detach() * 2
    with ad.no_grad():
        p -= 0.25
        ad.eval(p)
    assert (p.detach().numpy() == 0.75).all()
    assert (snapshot.numpy() == 1).all()
    assert (array == 1).all()
    assert (reader.numpy() == 2).all()
    assert not array.flags.writeable


def test_exported_memory_outlives_its_tensor() -> None:
    """NumPy keeps the buffer; the pool does not hand it out again."""
    array = (ad.ones(SIZE) * 3).numpy()
    gc.collect()
    others = [ad.full((SIZE,), float(n)) * 1.0 for n in range(4)]
    ad.eval(*others)
    assert (array == 3).all()


def test_imported_memory_is_never_written() -> None:
    """A NumPy array shared through DLPack stays as it was, whatever happens to the tensor."""
    array = np.arange(6, dtype=np.float32)
    shared = ad.from_dlpack(array)
    assert shared.tolist() == array.tolist()
    shared += 1
    shared[0] = 100.0
    ad.eval(shared)
    assert array.tolist() == [0, 1, 2, 3, 4, 5]
    assert shared.tolist() == [100, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("key", [slice(None, None, -1), slice(1, None, 2), slice(0, 0), slice(2, 3)])
def test_imports_with_any_strides(key: slice) -> None:
    """Negative and large strides are read in place."""
    base = np.arange(24, dtype=np.float64).reshape(4, 6)
    for array in (base[key], base[:, key], base.T[key], np.broadcast_to(base[0], (3, 6))[:, key]):
        tensor = ad.from_dlpack(array)
        assert np.array_equal(tensor.numpy(), array)
        assert np.array_equal((tensor * 2 + 1).numpy(), array * 2 + 1)
        assert np.array_equal(ad.sum(tensor, axis=0).numpy(), array.sum(0))


def test_tensor_copies_at_the_call() -> None:
    """Later writes to the source do not reach the tensor."""
    array = np.zeros(4)
    for make in (ad.tensor, ad.asarray, ad.from_numpy):
        array[:] = 0
        tensor = make(array)
        array[:] = 7
        assert tensor.tolist() == [0, 0, 0, 0], make


def test_leaves_that_require_grad_are_written_under_no_grad_only() -> None:
    """Outside, every in-place form raises and changes nothing; inside, the leaf keeps its gradient."""
    p = ad.tensor([1.0, 2.0], requires_grad=True)
    (p * p).sum().backward()
    for write in (
        lambda: p.__iadd__(1),
        lambda: p.__setitem__(0, 5.0),
        lambda: p.assign(ad.zeros(2)),
        lambda: p.zero_(),
    ):
        with pytest.raises(ad.GradError):
            write()
    assert p.tolist() == [1, 2]
    with ad.no_grad():
        p -= 0.5 * p.grad
    assert p.tolist() == [0, 0]
    assert p.grad.tolist() == [2, 4]
    assert p.requires_grad and p.is_leaf


def test_in_place_results_keep_shape_and_dtype() -> None:
    """Anything else raises, and the tensor stays."""
    x = ad.ones(2)
    with pytest.raises(ad.ShapeError):
        x += ad.ones((3, 2))
    with pytest.raises(ad.DTypeError):
        x += ad.ones(2, dtype="float64")
    counts = ad.ones(2, dtype="int64")
    with pytest.raises(ad.DTypeError):
        counts /= 2
    assert (x.tolist(), counts.tolist()) == ([1, 1], [1, 1])


def test_in_place_on_results_records_history() -> None:
    """A non-leaf written in place has the gradient of the written value."""
    x = ad.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 2
    y += x
    y[1] = 0.0
    (y * y).sum().backward()
    assert x.grad.tolist() == [18.0, 0.0, 54.0]


def test_backward_sees_the_values_of_the_forward_pass() -> None:
    """A write between forward and backward does not change the gradient."""
    w = ad.tensor([2.0], requires_grad=True)
    loss = (w * w * w).sum()
    with ad.no_grad():
        w.assign(ad.tensor([10.0]))
        ad.eval(w)
    loss.backward()
    assert w.grad.tolist() == [12.0]


def test_gradients_accumulate_and_are_detached() -> None:
    """Two passes add up; `.grad` has no history unless asked for."""
    w = ad.tensor([3.0], requires_grad=True)
    (w * w).sum().backward()
    (w * w).sum().backward()
    assert w.grad.tolist() == [12.0]
    assert not w.grad.requires_grad
    w.grad = None
    (w * w * w).sum().backward(create_graph=True)
    assert w.grad.requires_grad
