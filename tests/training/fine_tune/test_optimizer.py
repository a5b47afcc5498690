"""AdamW with a running mean."""

import keras
import numpy as np
import pytest

from binsight.training.fine_tune.optimizer import FineTuneOptimizer

GRADIENTS = [np.array([[0.5, -2.0]], np.float32), np.array([[0.1, 1.0]], np.float32), np.array([[-3, 0.2]], np.float32)]


def variable(*values):
    """One row: a matrix, so that decay applies."""
    return keras.Variable(np.array([values], np.float32))


def steps(optimizer, variables, rate=0.1):
    """The values after each of three steps with the same gradient for all variables."""
    optimizer.build(variables)
    found = []
    for gradient in GRADIENTS:
        optimizer.learning_rate = rate
        optimizer.apply([keras.ops.convert_to_tensor(gradient) for _ in variables], variables)
        found.append([np.array(v.numpy()) for v in variables])
    return found


def test_with_all_else_off_it_is_adam():
    """Keras' own gives the same."""
    ours, theirs = variable(1, -1), variable(1, -1)
    found = steps(FineTuneOptimizer(weight_decay=0, ema_decay=0), [ours])
    expected = steps(keras.optimizers.Adam(0.1), [theirs])
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_decay_is_that_of_adamw():
    """Decoupled from the moments."""
    found = steps(FineTuneOptimizer(weight_decay=0.3, ema_decay=0), [variable(1, -1)])
    expected = steps(keras.optimizers.AdamW(0.1, weight_decay=0.3), [variable(1, -1)])
    # Keras shrinks before Adam's step, this after it: the difference is of second order.
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_vectors_do_not_decay():
    """Biases and the factors of normalisation."""
    bias, same = keras.Variable(np.ones(2, np.float32)), keras.Variable(np.ones(2, np.float32))
    flat = [np.ones(2, np.float32)]
    decayed = FineTuneOptimizer(weight_decay=0.5, ema_decay=0)
    plain = FineTuneOptimizer(weight_decay=0, ema_decay=0)
    for optimizer, v in ((decayed, bias), (plain, same)):
        optimizer.build([v])
        optimizer.learning_rate = 0.1
        optimizer.apply([keras.ops.convert_to_tensor(flat[0])], [v])
    np.testing.assert_array_equal(bias.numpy(), same.numpy())


def test_the_mean_is_the_running_mean():
    """With decays 1/10, 2/11 and then the one asked for, 0.2."""
    v = variable(1, -1)
    optimizer = FineTuneOptimizer(weight_decay=0, ema_decay=0.2)
    found = steps(optimizer, [v])
    mean = np.array([[1, -1]])
    for decay, (value,) in zip((1 / 10, 2 / 11, 0.2), found, strict=True):
        mean = decay * mean + (1 - decay) * value
    np.testing.assert_allclose(optimizer.means[0].numpy(), mean, rtol=1e-5)


def test_without_a_mean_there_is_none():
    """No memory for it, either."""
    optimizer = FineTuneOptimizer(weight_decay=0, ema_decay=0)
    optimizer.build([variable(1, 2)])
    assert optimizer.means == []
    assert len(optimizer.variables) == pytest.approx(4)  # iterations, rate, two moments
