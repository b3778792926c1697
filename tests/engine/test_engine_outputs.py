"""Every output of a routine can be read by whatever follows it, fused or not."""

import adret as ad
import numpy as np
from adret import nn


def test_a_second_output_is_read_by_pointwise_work_and_folds() -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
    values, indices = nn.functional.max_pool2d(ad.asarray(x), 2, return_indices=True)
    values, indices = values * 2, indices + 1
    ad.eval(values, indices)
    again, places = nn.functional.max_pool2d(ad.asarray(x), 2, return_indices=True)
    np.testing.assert_array_equal(values.numpy(), again.numpy() * 2)
    np.testing.assert_array_equal(indices.numpy(), places.numpy() + 1)
    total = nn.functional.max_pool2d(ad.asarray(x), 2, return_indices=True)[1].sum()
    assert total.item() == places.numpy().sum()


def test_both_outputs_meet_in_one_expression() -> None:
    rng = np.random.default_rng(1)
    given, weight, h, c = (ad.asarray(rng.standard_normal(shape)) for shape in ((4, 3, 8), (8, 2), (3, 2), (3, 2)))
    run = ad._core._recurrent
    outputs, _, last = run("LSTM", given, weight, h, c, None, None, None, False)
    mixed = (outputs + 2 * last).numpy()
    outputs, _, last = run("LSTM", given, weight, h, c, None, None, None, False)
    np.testing.assert_array_equal(mixed, outputs.numpy() + 2 * last.numpy())
