"""How the learning rate changes along a run."""

from __future__ import annotations

import math

__all__ = ["rate_share"]


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
