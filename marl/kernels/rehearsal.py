"""Compiles the learner's kernels, or loads what is kept of them, before anybody waits for an action or an update."""

from __future__ import annotations

import numpy as np

from marl.kernels.adam import Step, adam_step
from marl.kernels.exploration import Noise, explore
from marl.kernels.gradient import Loss, Samples, gradient
from marl.kernels.perceptron import WIDTH, Network, Room, outputs, room_for

PACKAGES = ("marl.",)


def rehearse(*, learning: bool) -> None:
    """Calls every kernel once, with next to nothing to do; those of exploration and of updates only for `learning`."""
    widths = np.array([1, WIDTH, 1], dtype=np.int64)
    room: Room = room_for(widths)

    def zeros(n: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        return np.zeros(n, dtype=np.float32)

    network = Network(parameters=zeros(8 * WIDTH), widths=widths, linear=False)
    outputs(network, room, zeros(1), zeros(1))
    if not learning:
        return
    noise = Noise(own=zeros(1), common=zeros(1), correlation=0.0)
    explore(zeros(1), zeros(1), noise, np.array([[1, 1, 0, 1, 0]], dtype=np.int64), zeros(1))
    samples = Samples(
        inputs=zeros(1), targets=zeros(1), before=zeros(1), advantages=zeros(1), weights=zeros(1), n_agent=1
    )
    loss = Loss(policy=True, clip=0.2, coefficient=0.0, huber_delta=1.0)
    slope = zeros(8 * WIDTH)
    gradient(network, room, samples, np.zeros(1, dtype=np.int64), loss, (slope, np.zeros(4)))
    step = Step(scale=1.0, beta1=0.9, beta2=0.999, step_size=0.0, root_correction=1.0, eps=1e-5)
    adam_step(network.parameters, slope, (zeros(8 * WIDTH), zeros(8 * WIDTH)), step)
