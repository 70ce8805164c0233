"""One step of Adam for all parameters of a network at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from marl.kernels.compilation import compiled
from marl.kernels.lanes import N_LANE, load, root, store
from marl.protocol import Float32Array


class Step(NamedTuple):
    """The numbers of a step, as torch.optim.Adam names them."""

    scale: float  # of the gradient: at most 1, where its norm is clipped
    beta1: float
    beta2: float
    step_size: float  # lr / (1 - beta1^t)
    root_correction: float  # sqrt(1 - beta2^t)
    eps: float


@compiled
def adam_step(
    parameters: Float32Array,
    gradient: Float32Array,
    moments: tuple[Float32Array, Float32Array],
    step: Step,
) -> None:
    """Moves parameters along their gradient, all flat and of whole vectors.

        m <- b1 m + (1 - b1) g        v <- b2 v + (1 - b2) g^2
        theta <- theta - lr/(1 - b1^t) m / (sqrt(v)/sqrt(1 - b2^t) + eps)

    Args:
        parameters: theta, changed.
        gradient: g before scaling.
        moments: m and v, changed.
        step: which step it is.

    Reference:
        D. Kingma, J. Ba, Adam: a method for stochastic optimization, ICLR 2015.
    """
    first, second = moments
    scale = np.float32(step.scale)
    keep1, take1 = np.float32(step.beta1), np.float32(1.0 - step.beta1)
    keep2, take2 = np.float32(step.beta2), np.float32(1.0 - step.beta2)
    step_size = np.float32(step.step_size)
    correction, eps = np.float32(step.root_correction), np.float32(step.eps)
    for k in range(0, len(parameters), N_LANE):
        g = load(gradient, k) * scale
        m = load(first, k) * keep1 + g * take1
        v = load(second, k) * keep2 + g * g * take2
        store(first, k, m)
        store(second, k, v)
        store(parameters, k, load(parameters, k) - m / (root(v) / correction + eps) * step_size)
