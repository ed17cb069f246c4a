"""Penalty and constraint against plain NumPy and by hand, their arguments, their way to disk."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from truth import expected_rows

from sfc_lib.nn.curvature import Curvature, CurvatureConstraint, nonnegative
from sfc_lib.nn.layers import SeparableFC

ROWS = np.random.default_rng(0).normal(size=(4, 7))


@given(
    shape=st.tuples(st.integers(1, 5), st.integers(3, 12)),
    strength=st.floats(0, 100),
    norm=st.sampled_from(["l1", "l2"]),
    order=st.sampled_from([1, 2]),
    reduction=st.sampled_from(["mean", "sum"]),
)
def test_penalty_is_the_formula(shape, strength, norm, order, reduction):
    rows = np.random.default_rng(shape).normal(size=shape)
    differences = np.diff(rows, n=order, axis=1)
    sizes = np.abs(differences) if norm == "l1" else differences**2
    expected = strength * (sizes.mean() if reduction == "mean" else sizes.sum())
    found = Curvature(strength, norm, order, reduction)(keras.ops.convert_to_tensor(rows))
    assert float(found) == pytest.approx(expected, rel=1e-9)


def test_defaults_are_the_papers():
    expected = 10 * np.abs(ROWS[:, 2:] - 2 * ROWS[:, 1:-1] + ROWS[:, :-2]).mean()
    assert float(Curvature(10)(ROWS)) == pytest.approx(expected)


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_straight_ramps_cost_nothing(norm):
    ramps = np.outer([-2.0, 0.0, 3.0], np.arange(8.0)) + 4.0
    assert float(Curvature(100.0, norm)(ramps)) == 0


def test_level_rows_have_no_slope_but_ramps_do():
    assert float(Curvature(100.0, order=1)(np.full((2, 5), 3.0))) == 0
    assert float(Curvature(2.0, order=1)(np.array([[0.0, 3.0, 6.0]]))) == 2 * 3


KINK = np.array([[0.0, 0.0, 0.0, 1.0, 2.0, 3.0]])  # one second difference of 1, three of 0


@pytest.mark.parametrize(("reduction", "penalty"), [("mean", 10 * 1 / 4), ("sum", 10 * 1)])
def test_one_unit_kink(reduction, penalty):
    assert float(Curvature(10.0, reduction=reduction)(KINK)) == penalty


def test_mean_does_not_depend_on_the_number_of_rows():
    penalty = Curvature(10.0)
    assert float(penalty(np.tile(ROWS, (3, 1)))) == pytest.approx(float(penalty(ROWS)))


def test_l1_is_linear_and_l2_quadratic_in_the_weights():
    assert float(Curvature(1.0)(3 * KINK)) == 3 / 4
    assert float(Curvature(1.0, norm="l2")(3 * KINK)) == 9 / 4


def test_strength_zero_costs_nothing():
    assert float(Curvature(0)(ROWS)) == 0


def test_rows_are_not_mixed():
    stacked = np.array([[0.0, 1.0, 2.0], [9.0, 9.0, 9.0], [4.0, 2.0, 0.0]])
    assert float(Curvature(1.0, reduction="sum")(stacked)) == 0


@pytest.mark.parametrize(
    "strength", [-1, float("nan"), float("inf"), "1", None, True], ids=lambda value: repr(value)
)
def test_bad_strength_is_named(strength):
    message = rf"Curvature: strength must be a finite number >= 0, got {strength!r}\."
    with pytest.raises(ValueError, match=message):
        Curvature(strength)


def test_bad_norm_is_named():
    with pytest.raises(ValueError, match=r"norm must be one of \['l1', 'l2'\], got 'l3'\."):
        Curvature(1.0, norm="l3")


@pytest.mark.parametrize("order", [0, 3, 1.5, "2"])
def test_bad_order_is_named(order):
    with pytest.raises(ValueError, match=rf"Curvature: order must be 1 or 2, got {order!r}\."):
        Curvature(1.0, order=order)


def test_order_true_is_rejected():
    with pytest.raises(ValueError, match=r"order must be 1 or 2, got True\."):
        Curvature(1.0, order=True)


@pytest.mark.parametrize("strength", [np.float32(2), np.int64(2)], ids=["float32", "int64"])
def test_strength_may_be_a_numpy_number(strength):
    config = Curvature(strength).get_config()
    assert (config["strength"], type(config["strength"])) == (2.0, float)


def test_bad_reduction_is_named():
    with pytest.raises(ValueError, match=r"one of \['mean', 'sum'\], got 'max'\."):
        Curvature(1.0, reduction="max")


@pytest.mark.parametrize(("order", "shortest"), [(1, 2), (2, 3)])
def test_too_few_positions_are_rejected(order, shortest):
    penalty = Curvature(1.0, order=order)
    assert float(penalty(np.ones((2, shortest)))) == 0
    message = rf"at least {shortest} stored positions, got {shortest - 1}\."
    with pytest.raises(ValueError, match=message):
        penalty(np.ones((2, shortest - 1)))


@pytest.mark.parametrize("norm", ["l1", "l2"])
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_serialised_penalty_is_read_back(norm, order, reduction):
    penalty = Curvature(2.5, norm, order, reduction)
    read = keras.regularizers.deserialize(keras.regularizers.serialize(penalty))
    assert isinstance(read, Curvature)
    assert read.get_config() == {
        "strength": 2.5,
        "norm": norm,
        "order": order,
        "reduction": reduction,
    }
    assert float(read(ROWS)) == float(penalty(ROWS))


def test_penalty_straightens_the_weights_in_a_fit():
    keras.utils.set_random_seed(0)
    layer = SeparableFC(3, positional_regularizer=Curvature(10.0))
    model = keras.Sequential([keras.Input((9, 2)), layer])
    model.compile(keras.optimizers.SGD(0.02), "mse")
    before = float(Curvature(1.0)(layer.W_pos))
    model.fit(np.zeros((8, 9, 2)), np.zeros((8, 3)), epochs=10, verbose=0)
    assert float(Curvature(1.0)(layer.W_pos)) < before / 2


def test_nonnegative_gives_a_float():
    assert isinstance(nonnegative(3, "owner", "name"), float)


# The constraint

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


def test_too_few_positions_are_rejected_by_the_constraint():
    with pytest.raises(ValueError, match=r"at least 3 stored positions, got 2\. A symmetric layer"):
        constrained(np.ones((2, 2)), 1.0)


def test_serialised_constraint_is_read_back():
    read = keras.constraints.deserialize(keras.constraints.serialize(CurvatureConstraint(0.25)))
    assert isinstance(read, CurvatureConstraint)
    assert read.get_config() == {"limit": 0.25}
