"""AdamW with a running mean of the weights, and how its rate changes along a run."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

__all__ = ["FineTuneOptimizer", "rate_share"]

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-7


class FineTuneOptimizer(keras.optimizers.Optimizer):  # type: ignore[misc]
    """Adam with a decoupled decay that leaves vectors alone, and a running mean that forgets its start quickly.

    With the learning rate `r`, Adam's step `a` and the running mean `e`:

        w ← w - r (a + decay w),    e ← d e + (1 - d) w,  d = min(ema_decay, (1 + t) / (10 + t))

    Vectors, which do not decay, are biases and the factors of normalisation. While `t`, the number of steps so far, is
    small, the mean forgets its start quickly; Keras' own mean does not.

    Args:
        weight_decay: of matrices and kernels.
        ema_decay: of the running mean; 0: none is kept.

    References:
        Kingma and Ba 2015, arXiv 1412.6980; Loshchilov and Hutter 2019, arXiv 1711.05101.
    """

    def __init__(self, *, weight_decay: float, ema_decay: float) -> None:
        # The rate is set before every step; Keras' own decay and mean stay off.
        super().__init__(learning_rate=0.0, name="fine_tune")
        self._decay = weight_decay
        self._ema_decay = ema_decay

    def build(self, variables: list[Any]) -> None:
        """Make the moments, and the running means."""
        if self.built:
            return
        super().build(variables)
        self._first, self._second = self.add_optimizer_variables(variables, ["first", "second"])
        self._means = [self._copy(v) for v in variables] if self._ema_decay else []

    @property
    def means(self) -> list[Any]:
        """The running means of the trainable variables, in their order; none without `ema_decay`."""
        return list(self._means)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable; `iterations` counts the steps before this one."""
        i = self._get_variable_index(variable)
        kind = variable.dtype
        gradient, step = ops.cast(gradient, kind), ops.cast(self.iterations, kind) + 1
        first, second = self._first[i], self._second[i]
        self.assign_add(first, (1 - _BETA1) * (gradient - first))
        self.assign_add(second, (1 - _BETA2) * (ops.square(gradient) - second))
        correction = ops.sqrt(1 - ops.power(_BETA2, step)) / (1 - ops.power(_BETA1, step))
        change = correction * first / (ops.sqrt(second) + _EPSILON)
        if self._decay and len(variable.shape) > 1:
            change += self._decay * variable
        self.assign_sub(variable, ops.cast(learning_rate, kind) * change)
        if self._means:
            decay = ops.minimum(self._ema_decay, step / (step + 9))
            self.assign(self._means[i], self._means[i] + (1 - decay) * (variable - self._means[i]))

    def get_config(self) -> dict[str, Any]:
        """Nothing: a run is restored from its checkpoint."""
        return {}

    def _copy(self, variable: Any) -> Any:
        copy = self.add_variable_from_reference(variable, name="mean")
        # Through NumPy: where arrays are immutable, the two would share one, which is then freed twice (JAX).
        copy.assign(np.array(variable.numpy()))
        return copy


def rate_share(step: int, *, steps: int, warmup: int, final: float) -> float:
    """The learning rate at a step, as a share of the highest.

    It rises linearly over the warm-up, `(step + 1) / (warmup + 1)`, then falls along half a cosine to `final`, which
    the last step has: `final + (1 - final) * (1 + cos(pi * t)) / 2` with `t = (step - warmup) / (steps - 1 - warmup)`.

    Args:
        step: 0 to `steps - 1`.
        steps: of the whole run.
        warmup: steps before the highest rate is reached.
        final: the share at the end, in [0, 1].

    References:
        Loshchilov and Hutter 2017, SGDR, arXiv 1608.03983, equation 5; Goyal et al. 2017, arXiv 1706.02677, section 2.2
        (warm-up).
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(1, steps - 1 - warmup)
    return final + (1 - final) * (1 + math.cos(math.pi * min(1.0, progress))) / 2
