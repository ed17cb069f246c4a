"""`CurvatureConstraint` against a matrix in NumPy, its promises for any weights, and in a fit."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from truth import expected_rows

from sfc_lib.nn.curvature import CurvatureConstraint
from sfc_lib.nn.layers import SeparableFC

LIMITS = st.floats(0, 3)


@st.composite
def weights(draw):
    """Rows with kinks of any size, among them straight and constant ones."""
    units, length = draw(st.integers(1, 4)), draw(st.integers(3, 12))
    cell = st.floats(-10, 10, width=32)
    return np.array(draw(st.lists(cell, min_size=units * length, max_size=units * length))).reshape(
        units, length
    )


def bends(w):
    return np.diff(np.asarray(w), n=2, axis=1)


def constrained(w, limit):
    return np.asarray(CurvatureConstraint(limit)(keras.ops.convert_to_tensor(w)))


@given(weights(), LIMITS)
def test_result_is_that_of_the_matrix_form(w, limit):
    np.testing.assert_allclose(constrained(w, limit), expected_rows(w, limit), atol=1e-9)


def test_float32_result_at_the_size_of_the_models():
    w = np.random.default_rng(0).normal(size=(50, 47)).astype("float32")
    np.testing.assert_allclose(constrained(w, 0.1), expected_rows(w, 0.1), atol=1e-4)


@given(weights(), LIMITS)
def test_second_differences_are_clipped(w, limit):
    found = constrained(w, limit)
    np.testing.assert_allclose(bends(found), np.clip(bends(w), -limit, limit), atol=1e-9)


@given(weights(), LIMITS)
def test_mean_of_each_row_is_kept(w, limit):
    np.testing.assert_allclose(constrained(w, limit).mean(axis=1), w.mean(axis=1), atol=1e-9)


@given(weights(), LIMITS)
def test_end_to_end_difference_of_each_row_is_kept(w, limit):
    found = constrained(w, limit)
    np.testing.assert_allclose(found[:, -1] - found[:, 0], w[:, -1] - w[:, 0], atol=1e-9)


@given(weights(), LIMITS)
def test_twice_is_as_once(w, limit):
    once = constrained(w, limit)
    np.testing.assert_allclose(constrained(once, limit), once, atol=1e-6)


@given(weights())
def test_rows_within_the_limit_stay_bit_for_bit(w):
    limit = np.abs(bends(w)).max() * (1 + 1e-9)  # other roundings of the same difference
    assert constrained(w, limit).tobytes() == w.tobytes()


def test_only_rows_beyond_the_limit_change():
    w = np.random.default_rng(0).normal(size=(6, 9)).astype("float32")
    w[::2] *= 0.01
    found = constrained(w, 0.2)
    assert found[::2].tobytes() == w[::2].tobytes()
    assert (np.abs(found[1::2] - w[1::2]).max(axis=1) > 0.01).all()


@given(weights())
def test_limit_zero_leaves_straight_lines(w):
    steps = np.diff(constrained(w, 0), axis=1)
    np.testing.assert_allclose(steps, np.broadcast_to(steps[:, :1], steps.shape), atol=1e-9)


def test_kink_by_hand():
    found = constrained(np.array([[0.0, 0.0, 0.0, 3.0, 6.0]]), 1.0)
    # bends 0, 3, 0 become 0, 1, 0; slopes s, s, s+1, s+1 with rise 6: s = 1; mean 9/5 kept
    expected = np.array([0.0, 1.0, 2.0, 4.0, 6.0]) - (13 - 9) / 5
    np.testing.assert_allclose(found, [expected], atol=1e-12)


def test_dtype_is_kept():
    w = keras.ops.convert_to_tensor(np.random.default_rng(0).normal(size=(2, 5)).astype("float32"))
    assert keras.backend.standardize_dtype(CurvatureConstraint(0.1)(w).dtype) == "float32"


@pytest.mark.parametrize("limit", [None, 0.01], ids=["free", "limited"])
@pytest.mark.parametrize("symmetric", [False, True], ids=["plain", "symmetric"])
def test_constraint_holds_after_a_step_of_fit(symmetric, limit):
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    constraint = None if limit is None else CurvatureConstraint(limit)
    layer = SeparableFC(3, symmetric=symmetric, positional_constraint=constraint)
    model = keras.Sequential([keras.Input((9, 2)), layer])
    model.compile(keras.optimizers.Adam(0.1), "mse")
    x, y = rng.normal(size=(16, 9, 2)), rng.normal(size=(16, 3))
    model.fit(x, y, batch_size=16, epochs=1, verbose=0)
    within = np.abs(bends(layer.get_weights()[0])).max() <= 0.01 + 1e-5
    assert within == (limit is not None)


@pytest.mark.parametrize("limit", [-0.1, float("nan"), float("inf"), "1", None, True])
def test_bad_limit_is_named(limit):
    message = rf"CurvatureConstraint: limit must be a finite number >= 0, got {limit!r}\."
    with pytest.raises(ValueError, match=message):
        CurvatureConstraint(limit)


def test_too_few_positions_are_rejected():
    with pytest.raises(ValueError, match=r"at least 3 stored positions, got 2\. A symmetric layer"):
        constrained(np.ones((2, 2)), 1.0)


def test_serialised_constraint_is_read_back():
    read = keras.constraints.deserialize(keras.constraints.serialize(CurvatureConstraint(0.25)))
    assert isinstance(read, CurvatureConstraint)
    assert read.get_config() == {"limit": 0.25}
