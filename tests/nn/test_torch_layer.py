"""The torch layer computes, starts and trains as Keras's does, and torch's tools take it."""

import copy
import importlib
import os
import pickle
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from needs import need
from truth import expected_rows

import sfc_lib
from sfc_lib import Curvature, CurvatureConstraint
from sfc_lib.nn.initializers import INITIALIZERS, factor_initializers
from sfc_lib.nn.layers import FOLD_FROM

torch = need("torch")
twin = importlib.import_module("sfc_lib.nn.torch_layer")

SHAPES = st.fixed_dictionaries(
    {
        "units": st.integers(1, FOLD_FROM + 2),
        "length": st.integers(1, 9),
        "channels": st.integers(1, 5),
        "symmetric": st.booleans(),
    }
)


def pair(units, length, channels, symmetric=False, seed=0, **options):
    """A Keras layer and its twin, of the same random weights; and an input of six examples."""
    rng = np.random.default_rng(seed)
    layer = sfc_lib.SeparableFC(units, symmetric=symmetric, **options)
    layer.build((None, length, channels))
    layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])
    other = twin.SeparableFC(units, length, channels, symmetric=symmetric)
    other.load_state_dict(exchanged(layer))
    return layer, other, rng.normal(size=(6, length, channels)).astype("float32")


def exchanged(layer):
    """Weights of a Keras layer as the twin's state, as its docstring says."""
    return dict(zip(("W_pos", "W_chan"), map(torch.tensor, layer.get_weights()), strict=True))


def mirror(stored, length):
    """The linear map from stored to whole positional weights, as a matrix."""
    whole = np.zeros((stored, length))
    for position in range(length):
        whole[position if position < stored else length - 1 - position, position] = 1
    return whole


def test_keras_is_not_imported():
    code = (
        "import sys, sfc_lib.nn.torch_layer\nprint('torch' in sys.modules, 'keras' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


@given(shape=SHAPES)
def test_output_is_that_of_keras(shape):
    layer, other, x = pair(**shape)
    expected = keras.ops.convert_to_numpy(layer(x))
    found = other(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@given(shape=SHAPES, channels_first=st.booleans())
def test_gradients_are_those_of_the_formula(shape, channels_first):
    """Keras's are compared with the same formula in test_backends.py."""
    _, other, x = pair(**shape)
    other.channels_first = channels_first
    given_x = torch.tensor(x.swapaxes(1, 2) if channels_first else x, requires_grad=True)
    y = other(given_x)
    weighting = np.random.default_rng(1).normal(size=y.shape)
    (y * torch.tensor(weighting)).sum().backward()

    w_pos, w_chan = (w.detach().numpy().astype(float) for w in (other.W_pos, other.W_chan))
    whole = mirror(w_pos.shape[1], shape["length"])
    close = {"rtol": 1e-4, "atol": 1e-4}
    by_x = np.einsum("bk,kl,kc->blc", weighting, w_pos @ whole, w_chan)
    by_x = by_x.swapaxes(1, 2) if channels_first else by_x
    np.testing.assert_allclose(given_x.grad, by_x, **close)
    by_pos = np.einsum("bk,blc,kc->kl", weighting, x, w_chan) @ whole.T
    np.testing.assert_allclose(other.W_pos.grad, by_pos, **close)
    by_chan = np.einsum("bk,blc,kl->kc", weighting, x, w_pos @ whole)
    np.testing.assert_allclose(other.W_chan.grad, by_chan, **close)


@settings(max_examples=8)
@given(
    length=st.integers(5, 9), channels=st.integers(1, 3), symmetric=st.booleans(),
    strength=st.sampled_from([0.0, 3.0]), limit=st.sampled_from([None, 0.2]),
)  # fmt: skip
def test_ten_steps_train_the_same_weights(length, channels, symmetric, strength, limit):
    layer, other, x = pair(
        4, length, channels, symmetric,
        positional_regularizer=Curvature(strength),
        positional_constraint=None if limit is None else CurvatureConstraint(limit),
    )  # fmt: skip
    goal = np.random.default_rng(2).normal(size=(6, 4)).astype("float32")
    inputs = keras.Input((length, channels))
    model = keras.Model(inputs, layer(inputs))
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "mse")
    before = layer.get_weights()
    optimizer = torch.optim.SGD(other.parameters(), 0.01, momentum=0.9)
    for _ in range(10):
        model.train_on_batch(x, goal)
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(other(torch.tensor(x)), torch.tensor(goal))
        (loss + twin.curvature(other.W_pos, strength)).backward()
        optimizer.step()
        if limit is not None:
            twin.limit_curvature_(other.W_pos, limit)
    for found, expected, old in zip(
        other.state_dict().values(), layer.get_weights(), before, strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
        assert not np.allclose(expected, old, atol=1e-3)


def test_state_goes_back_into_the_keras_layer():
    layer, other, _ = pair(4, 7, 3, symmetric=True)
    before = layer.get_weights()
    layer.set_weights([np.zeros_like(w) for w in before])
    layer.set_weights([w.numpy() for w in other.state_dict().values()])
    assert all(map(np.array_equal, layer.get_weights(), before))


def test_channels_first_is_the_same_sum():
    _, other, x = pair(5, 7, 3, symmetric=True)
    expected = other(torch.tensor(x))
    other.channels_first = True
    torch.testing.assert_close(other(torch.tensor(x).transpose(1, 2)), expected)


@pytest.mark.parametrize(
    ("batch", "length", "channels", "units"),
    [(64, 8, 4, 3), (2, 9, 60, 5), (2, 60, 9, 50)],
    ids=["kernel", "channels", "positions"],
)
def test_every_order_of_the_sum_by_plain_numpy(batch, length, channels, units, monkeypatch):
    taken = []
    linear = torch.nn.functional.linear
    monkeypatch.setattr(
        torch.nn.functional, "linear", lambda x, w: (taken.append(w.shape[1]), linear(x, w))[1]
    )
    rng = np.random.default_rng(0)
    x, w_pos, w_chan = (
        rng.normal(size=shape)
        for shape in ((batch, length, channels), (units, length), (units, channels))
    )
    found = twin.separable_sum(*map(torch.tensor, (x, w_pos, w_chan)))
    np.testing.assert_allclose(found, np.einsum("blc,kl,kc->bk", x, w_pos, w_chan), atol=1e-9)
    assert taken == {(64, 8): [32], (2, 9): [60], (2, 60): []}[batch, length]


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("initializer", INITIALIZERS)
def test_start_has_the_distribution_of_keras(initializer, symmetric):
    """Quantiles of many draws agree, and so do those of the products, which is what counts."""
    units, length, channels = 3000, 7, 5
    torch.manual_seed(0)
    keras.utils.set_random_seed(0)
    other = twin.SeparableFC(units, length, channels, symmetric, initializer)
    stored = other.W_pos.shape[1]
    starts = factor_initializers(initializer, units, length, channels, stored)
    w_pos = keras.ops.convert_to_numpy(starts[0]((units, stored), dtype="float32"))
    w_chan = keras.ops.convert_to_numpy(starts[1]((units, channels), dtype="float32"))
    found = [other.W_pos.detach().numpy(), other.W_chan.detach().numpy()]
    outer = [p[:, :, None] * c[:, None, :] for p, c in (found, (w_pos, w_chan))]
    pairs = [(outer[0], outer[1])]
    if initializer != "rank_one":  # whose factors have no sign of their own
        pairs += [(found[0], w_pos), (found[1], w_chan)]
    for one, two in pairs:
        quantiles = [np.quantile(values, np.linspace(0.05, 0.95, 7)) for values in (one, two)]
        np.testing.assert_allclose(*quantiles, atol=0.1 * two.std())
        assert abs(one).max() == pytest.approx(abs(two).max(), rel=0.5)


def test_initializers_are_those_of_keras():
    assert twin.INITIALIZERS == INITIALIZERS
    assert twin.FOLD_FROM == FOLD_FROM


@pytest.mark.parametrize("symmetric", [False, True])
def test_nearest_product_of_a_kernel(symmetric):
    """No other product is nearer: the residual has no part left along either factor."""
    kernels = []
    drawn = torch.Tensor.uniform_

    def uniform(tensor, *limits):
        kernels.append(tensor)
        return drawn(tensor, *limits)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "uniform_", uniform)
        other = twin.SeparableFC(3, 6, 4, symmetric, "rank_one")
    kernel = kernels[-1].numpy()
    kernel = (kernel + kernel[:, ::-1]) / 2 if symmetric else kernel
    w_pos = other.positional_weights().detach().numpy()
    w_chan = other.W_chan.detach().numpy()
    np.testing.assert_allclose(
        np.linalg.norm(kernel - w_pos[:, :, None] * w_chan[:, None], axis=(1, 2)),
        np.sqrt((np.linalg.svd(kernel, compute_uv=False)[:, 1:] ** 2).sum(axis=1)),
        rtol=1e-4,
    )


@given(
    rows=st.integers(1, 3), positions=st.integers(3, 9), norm=st.sampled_from(["l1", "l2"]),
    order=st.sampled_from([1, 2]), reduction=st.sampled_from(["mean", "sum"]),
)  # fmt: skip
def test_penalty_is_that_of_keras(rows, positions, norm, order, reduction):
    w = np.random.default_rng(rows * positions).normal(size=(rows, positions)).astype("float32")
    expected = float(Curvature(2.5, norm, order, reduction)(keras.ops.convert_to_tensor(w)))
    assert float(twin.curvature(torch.tensor(w), 2.5, norm, order, reduction)) == pytest.approx(
        expected, rel=1e-5
    )


@given(rows=st.integers(1, 3), positions=st.integers(3, 9), limit=st.sampled_from([0.0, 0.3, 9.0]))
def test_constraint_is_the_authors(rows, positions, limit):
    w = np.random.default_rng(rows * positions).normal(size=(rows, positions)).astype("float32")
    given_w = torch.tensor(w)
    assert twin.limit_curvature_(given_w, limit) is given_w
    np.testing.assert_allclose(given_w, expected_rows(w, limit), atol=1e-5)


def test_constraint_is_no_step_of_the_gradient():
    layer = twin.SeparableFC(2, 5, 3)
    twin.limit_curvature_(layer.W_pos, 0.0)
    assert layer.W_pos.is_leaf
    assert layer.W_pos.requires_grad


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 5, 3), "units must be an integer >= 1, got 0"),
        ((2, 5.0, 3), r"length must be an integer >= 1, got 5\.0"),
        ((2, 5, True), "channels must be an integer >= 1, got True"),
        ((2, 5, np.int64(0)), r"channels must be an integer >= 1, got np\.int64\(0\)"),
        ((2, 5, 3, "no"), "symmetric must be True or False, got 'no'"),
        ((2, 5, 3, False, "paper", 1), "channels_first must be True or False, got 1"),
        ((2, 5, 3, False, "he"), r"initializer must be one of \('paper', .*\), got 'he'"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=f"SeparableFC: {message}"):
        twin.SeparableFC(*arguments)


def test_sizes_may_be_numpys_integers():
    layer = twin.SeparableFC(np.int64(2), np.int32(5), np.uint8(3))
    assert layer(torch.ones(1, 5, 3)).shape == (1, 2)
    assert repr(layer).startswith("SeparableFC(2, length=5, channels=3, ")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_nearest_product_in_other_precisions(dtype):
    """Of the kernel that float32 would draw: singular values need as much."""
    both = []
    for precision in (dtype, torch.float32):
        torch.manual_seed(0)
        layer = twin.SeparableFC(3, 6, 4, initializer="rank_one", dtype=precision)
        assert layer.W_pos.dtype == precision
        both.append((layer.W_pos[:, :, None] * layer.W_chan[:, None]).detach().double())
    if dtype.itemsize < 4:
        torch.testing.assert_close(*both, rtol=0.02, atol=0.002)
    assert np.linalg.matrix_rank(both[0][0], tol=1e-3) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda w: twin.curvature(w, -1.0), "curvature: strength must be a finite number >= 0"),
        (lambda w: twin.curvature(w, 1.0, "l3"), "expected norm .* got 'l3', 2, 'mean'"),
        (lambda w: twin.curvature(w[:, :2], 1.0), r"at least 3 stored positions.*\(2, 2\)"),
        (lambda w: twin.limit_curvature_(w, float("nan")), "limit must be a finite number >= 0"),
        (lambda w: twin.limit_curvature_(w[0], 1.0), r"at least 3 stored positions.*\(5,\)"),
    ],
)
def test_bad_penalties_and_limits_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.zeros(2, 5))


@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 15), (2, 5, 3, 1)])
def test_another_input_is_refused(shape):
    message = re.escape(f"expected input of shape (batch, 5, 3), got {shape}")
    with pytest.raises(ValueError, match=message):
        twin.SeparableFC(2, 5, 3)(torch.zeros(shape))


def test_it_says_what_it_is():
    layer = twin.SeparableFC(2, 5, 3, symmetric=True)
    assert str(layer) == (
        "SeparableFC(2, length=5, channels=3, symmetric=True, channels_first=False)"
    )


def test_copies_and_pickles():
    layer, x = twin.SeparableFC(2, 5, 3), torch.randn(4, 5, 3)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other(x), layer(x))
    assert twin.SeparableFC(2, 5, 3, dtype=torch.float64).W_pos.dtype == torch.float64


def network(symmetric=True):
    return torch.nn.Sequential(
        torch.nn.Conv1d(4, 6, 5),
        torch.nn.ReLU(),
        twin.SeparableFC(40, 26, 6, symmetric, channels_first=True),
        torch.nn.Linear(40, 1),
    )


@pytest.mark.parametrize("batch", [2, 64], ids=["channels first", "kernel first"])
def test_autocast_gives_the_dtype_that_a_linear_layer_gives(batch):
    layer, x = twin.SeparableFC(40, 26, 60), torch.randn(batch, 26, 60)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x)
        assert found.dtype == torch.nn.Linear(60, 2)(x).dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), layer(x), atol=0.1, rtol=0.1)
    found.float().sum().backward()
    assert layer.W_pos.grad.dtype == torch.float32


def test_data_parallel_and_functional_call():
    model, x = network(), torch.randn(3, 4, 30)
    torch.testing.assert_close(torch.nn.DataParallel(model)(x), model(x))
    state = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}
    assert not torch.func.functional_call(model, state, x).any()


@pytest.mark.filterwarnings("default")  # of torch's own compiler
def test_compiled_it_computes_the_same():
    """Traced whole, with gradients; what a C++ compiler makes of the trace is torch's part."""
    model, x = network(), torch.randn(3, 4, 30)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True, dynamic=False)
    torch.testing.assert_close(compiled(x), model(x))
    compiled(x).sum().backward()
    found = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    model(x).sum().backward()
    torch.testing.assert_close(found, [p.grad for p in model.parameters()])


LIGHTNING = """
import logging, sys, tempfile, warnings
warnings.simplefilter("ignore")
logging.getLogger("lightning.pytorch").setLevel("ERROR")
import lightning, torch
from sfc_lib.nn.torch_layer import SeparableFC, curvature, limit_curvature_

class Wrapped(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.sfc, self.head = SeparableFC(40, 26, 6, symmetric=True), torch.nn.Linear(40, 1)

    def training_step(self, batch):
        x, y = batch
        loss = torch.nn.functional.mse_loss(self.head(self.sfc(x)), y)
        return loss + curvature(self.sfc.W_pos, 1.0)

    def on_train_batch_end(self, *_):
        limit_curvature_(self.sfc.W_pos, 0.01)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 0.01)

torch.manual_seed(0)
data = torch.utils.data.TensorDataset(torch.randn(64, 26, 6), torch.randn(64, 1))
model = Wrapped()
before = model.sfc.W_chan.detach().clone()
options = {"max_epochs": 3, "accelerator": "cpu", "logger": False, "enable_progress_bar": False}
with tempfile.TemporaryDirectory() as folder:
    trainer = lightning.Trainer(**options, default_root_dir=folder, enable_model_summary=False)
    trainer.fit(model, torch.utils.data.DataLoader(data, batch_size=16))
    trainer.save_checkpoint(f"{folder}/last.ckpt")
    again = Wrapped.load_from_checkpoint(f"{folder}/last.ckpt")
assert torch.equal(again.sfc.W_pos, model.sfc.W_pos.cpu())
assert not torch.equal(before, model.sfc.W_chan)
print(float(torch.diff(model.sfc.W_pos, n=2).abs().max()))
"""


def test_inside_a_lightning_module():
    need("lightning", "SFC_REQUIRE_TOOLS")
    done = subprocess.run(
        [sys.executable, "-c", LIGHTNING], capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) <= 0.01 + 1e-5
