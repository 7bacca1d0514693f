"""The tail's update a piece of a gradient at a time equals that of whole gradients: to the bit, in both precisions."""
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from test_tiled import BATCHES, assert_close, assert_int8_equal, fp32_network, int8_network
from zo_numpy.fp32 import tail as fp32_tail, tiled as fp32_tiled
from zo_numpy.fp32.variants import add_steps as fp32_add_steps
from zo_numpy.int8 import tail as int8_tail, tiled as int8_tiled
from zo_numpy.int8.arith import QTensor
from zo_numpy.int8.variants import add_steps
from zo_numpy.models import Linear, ReLU

WIDTHS = ((784, 120, 84, 10), (1024, 512, 40), (5, 1, 4), (7, 2, 3), (9, 3, 2), (300, 61), (10_000, 5), (1, 1))
TAILS = [pytest.param(widths[-bp_tail - 1:], id="-".join(map(str, widths[-bp_tail - 1:])))
         for widths in WIDTHS for bp_tail in range(1, len(widths))]


def tail_of(widths):
    """Linear layers with a ReLU between two; the last two of an odd number of layers have none between them."""
    layers = []
    for i, (n_in, n_out) in enumerate(zip(widths, widths[1:])):
        layers += [ReLU()] * (i > 0 and (len(widths) % 2 == 1 or i < len(widths) - 2)) + [Linear(f"fc{i}", n_in, n_out)]
    return layers


def int8_pass(layers, n, seed):
    """(weights, logits, inputs, labels) after a forward pass; the tail's input is what a ReLU leaves."""
    draw = np.random.default_rng(seed)
    weights = int8_network(layers, seed)
    features = np.maximum(draw.integers(-127, 128, (n, layers[0].in_features)), 0).astype(np.int8)
    inputs = []
    logits = int8_tiled.forward(layers, weights, QTensor(features, -8), inputs)
    return weights, logits, inputs, draw.integers(0, layers[-1].out_features, n)


def assert_int8_updates_equal(layers, n, seed, b_bp):
    """The update alone, and together with steps of another pass.  Returns the steps."""
    weights, logits, inputs, labels = int8_pass(layers, n, seed)
    steps = int8_tail.tail_steps(layers, weights, logits, inputs, labels, b_bp)
    alone = int8_tiled.tail_steps(layers, weights, logits, list(inputs), labels, b_bp)
    for name, step in steps.items():
        assert_array_equal(alone[name], step)
    for earlier in (None, {name: step[::-1] for name, step in alone.items()}):
        whole, piecewise = ({name: QTensor(weight.data.copy(), weight.exponent) for name, weight in weights.items()}
                            for _ in range(2))
        int8_tail.update_tail(whole, add_steps(earlier, steps) if earlier else steps)
        int8_tiled.train_tail(layers, piecewise, logits, list(inputs), labels, b_bp, earlier)
        for name in weights:
            assert_int8_equal(piecewise[name], whole[name])
    return steps


@pytest.mark.parametrize("widths", TAILS)
@pytest.mark.parametrize("gradient_bytes, columns", [(12_288, 200), (399, 7), (1, 1)])
def test_the_int8_tails_update_is_that_of_the_whole_gradient(monkeypatch, widths, gradient_bytes, columns):
    size = max(a * b for a, b in zip(widths, widths[1:]))
    monkeypatch.setattr(int8_tiled, "GRADIENT_BYTES", gradient_bytes)
    monkeypatch.setattr(int8_tiled, "GRADIENT_COLUMNS", columns)
    for n, b_bp in zip(BATCHES, (7, 1, 4, 7, 1, 4)):
        if size * n <= 8_000 * max(1, gradient_bytes // 4):        # or pieces would be too many
            assert_int8_updates_equal(tail_of(widths), n, n, b_bp)


def test_a_step_of_128_is_no_step_of_minus_128():
    steps = assert_int8_updates_equal(tail_of((9, 3, 2)), 3, 27, 7)["fc1"]
    assert (steps.max(), steps.min()) == (128, -128)


def fp32_updates(widths, n):
    """(weights after the update of the whole gradient, after that of tiled.py), from the forward pass of training."""
    layers, draw = tail_of(widths), np.random.default_rng(n)
    weights, inputs = fp32_network(layers, n), []
    features = np.maximum(draw.normal(size=(n, widths[0])), 0).astype(np.float32)
    logits = fp32_tiled.forward(layers, weights, features, inputs)
    labels, both = draw.integers(0, widths[-1], n), []
    for earlier in (False, True):
        whole, piecewise = ({name: value.copy() for name, value in weights.items()} for _ in range(2))
        steps = fp32_tail.tail_steps(layers, weights, logits, inputs, labels, 0.3)
        alone = fp32_tiled.tail_steps(layers, weights, logits, list(inputs), labels, 0.3)
        both.append((steps, alone))
        other = {name: step[::-1].copy() for name, step in alone.items()} if earlier else None
        fp32_tail.update_tail(whole, fp32_add_steps(other, steps) if earlier else steps)
        fp32_tiled.train_tail(layers, piecewise, logits, list(inputs), labels, 0.3, other)
        both.append((whole, piecewise))
    return both


def same_by_rows(widths, n):
    """Whether the BLAS of this machine gives rows of a product the same bits when it makes a few of them alone.

    OpenBLAS does with the kernels of some processors, and with those of others it does not.
    """
    draw = np.random.default_rng(0)
    for inside, outside in zip(widths, widths[1:]):
        error, x = (draw.normal(size=(n, size)).astype(np.float32) for size in (outside, inside))
        for few in (2, 8, 16, 20, 32, -(-outside // 2)):
            parts = [error.T[start:start + few] @ x for start in range(0, outside, few)]
            if not np.array_equal(np.concatenate(parts), error.T @ x):
                return False
    return True


@pytest.mark.parametrize("widths", TAILS)
def test_the_fp32_tails_update_is_that_of_the_whole_gradient(monkeypatch, widths):
    """To the bit with pieces of the usual size, where products are; else near it, as with the smallest pieces."""
    size = max(a * b for a, b in zip(widths, widths[1:]))
    for n in BATCHES if size < 200_000 else (1, 32):
        exact = same_by_rows(widths, n)
        for whole, piecewise in fp32_updates(widths, n):
            for name, value in whole.items():
                (assert_array_equal if exact else assert_close)(piecewise[name], value)
    monkeypatch.setattr(fp32_tiled, "GRADIENT_BYTES", 64)
    for n in (1, 32):
        for whole, piecewise in fp32_updates(widths, n):
            for name, value in whole.items():
                assert_close(piecewise[name], value)
