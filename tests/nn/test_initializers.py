"""How the SFC layer starts: each way against what it says, by plain NumPy."""

import keras
import numpy as np
import pytest

from sfc_lib.nn.initializers import INITIALIZERS, SMALL, factor_initializers
from sfc_lib.nn.layers import SeparableFC

UNITS, LENGTH, CHANNELS = 648, 35, 50  # of the paper's simulated-TF network
SYMMETRIC = pytest.mark.parametrize("symmetric", [False, True], ids=["plain", "symmetric"])


def started(initializer, symmetric=False, length=LENGTH, units=UNITS):
    keras.utils.set_random_seed(0)
    layer = SeparableFC(units, symmetric, initializer)
    layer.build((None, length, CHANNELS))
    return layer


@SYMMETRIC
@pytest.mark.parametrize("initializer", INITIALIZERS)
def test_weights_have_their_shapes_differ_and_follow_the_seed(initializer, symmetric):
    first, again = (started(initializer, symmetric).get_weights() for _ in range(2))
    assert [w.shape for w in first] == [(UNITS, 18 if symmetric else 35), (UNITS, CHANNELS)]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert len(np.unique(first[0])) > UNITS
    assert not np.array_equal(first[0][:, :5], first[1][:, :5])


@pytest.mark.parametrize("weight", [0, 1], ids=["W_pos", "W_chan"])
def test_glorot_is_that_of_each_matrix(weight):
    values = started("glorot").get_weights()[weight]
    assert np.abs(values).max() == pytest.approx((6 / sum(values.shape)) ** 0.5, rel=2e-3)


@pytest.mark.parametrize("weight", [0, 1], ids=["W_pos", "W_chan"])
def test_normal_is_small(weight):
    values = started("normal").get_weights()[weight]
    assert values.std() == pytest.approx(SMALL, rel=0.03)


@pytest.mark.parametrize("weight", [0, 1], ids=["W_pos", "W_chan"])
def test_orthogonal_columns(weight):
    values = started("orthogonal").get_weights()[weight]
    np.testing.assert_allclose(values.T @ values, np.eye(values.shape[1]), atol=1e-5)


@SYMMETRIC
@pytest.mark.parametrize("length", [6, 7])
def test_rank_one_is_the_nearest_product_to_a_glorot_kernel(length, symmetric):
    units, stored = 5, (length + 1) // 2 if symmetric else length
    keras.utils.set_random_seed(0)
    limit = (6 / (length * CHANNELS + units)) ** 0.5
    kernel = keras.initializers.RandomUniform(-limit, limit)((units, length, CHANNELS))
    kernel = np.asarray(kernel, dtype=float)
    layer = started("rank_one", symmetric, length, units)
    w_pos, w_chan = np.asarray(layer.positional_weights()), layer.get_weights()[1]
    assert layer.get_weights()[0].shape == (units, stored)
    found = w_pos[:, :, None] * w_chan[:, None]
    near = (kernel + kernel[:, ::-1]) / 2 if symmetric else kernel
    for unit in range(units):  # what is left is what the other singular values hold (Eckart-Young)
        left = np.linalg.svd(near[unit], compute_uv=False)[1:]
        assert ((near[unit] - found[unit]) ** 2).sum() == pytest.approx((left**2).sum(), rel=1e-4)
        assert np.linalg.norm(w_pos[unit]) == pytest.approx(np.linalg.norm(w_chan[unit]), rel=1e-4)


def test_rank_one_comes_in_a_precision_that_has_no_singular_values():
    for start in factor_initializers("rank_one", units=4, length=5, channels=5, stored=5):
        assert "bfloat16" in str(start((4, 5), dtype="bfloat16").dtype)
