"""Loss of a minibatch and its gradient by all parameters of one network, block by block.

A block of rows is gathered, run forward, compared with what it should have done, and run backward before the next one
is touched. Actors descend along the clipped surrogate with its entropy bonus, critics along half the squared error or
Huber's; the equations are those of `marl.algorithms.losses`. Losses are summed up in double precision.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from marl.kernels.compilation import compiled
from marl.kernels.lanes import N_LANE, fma, load, spread, store, total, transpose
from marl.kernels.perceptron import ROWS, Network, Room, aligned, backward, forward, free_part, lay_out
from marl.protocol import Float32Array, FloatArray, IntArray

HALF_LOG_2_PI = 0.5 * math.log(2.0 * math.pi)
CHUNK = 64 * N_LANE  # numbers whose squares are summed up in single precision
# Derivatives smaller than this count as zero. Beside others no sum in single precision would show them, and what they
# are multiplied with would make numbers below 1.2e-38, which take a processor a hundred times as long.
SMALLEST = 1e-25


class Samples(NamedTuple):
    """What one network learns from; a row for each agent of each sample, flat."""

    inputs: Float32Array  # [row, input]
    targets: Float32Array  # actions, or returns, [row, output]
    before: Float32Array  # log-probabilities of the policy that acted, [row], or values as they were, [row, output]
    advantages: Float32Array  # [row]; a critic has none
    weights: Float32Array  # [row], or of a critic [row, output]
    n_agent: int  # rows of a sample


class Loss(NamedTuple):
    """What is descended along."""

    policy: bool  # the clipped surrogate of an actor, or the error of a critic
    clip: float  # half-width of the clipped ratio, or of a change of values; infinity does not clip
    coefficient: float  # of the entropy bonus, or of the value loss
    huber_delta: float  # where Huber's loss becomes linear; infinity is half the squared error


@compiled
def gradient(
    network: Network,
    room: Room,
    samples: Samples,
    index: IntArray,
    loss: Loss,
    found: tuple[Float32Array, FloatArray],
) -> None:
    """Gradient on one minibatch.

    Args:
        network: actor, whose log standard deviations follow its layers, or critic.
        room: to work in.
        samples: all of them.
        index: of the samples in the minibatch.
        loss: what is descended along.
        found: the gradient in the order of the parameters, and the loss (a critic's without its coefficient), the KL
            divergence from the old policy, the share of ratios outside the clipping range, and the gradient's norm;
            written.
    """
    slope, measured = found
    n_in = network.widths[0]
    x_row = aligned(n_in)
    n_agent = samples.n_agent
    n_row = len(index) * n_agent
    _clear(slope)
    _clear(room.first)
    lay_out(network, room, True)
    weight = max(_weight(network, samples, index, loss.policy), 1.0)
    # Of each component of an action: 1/sigma, -log sigma - 1/2 log 2 pi, and the derivative by log sigma.
    at, n_out = free_part(network), network.widths[-1]
    gaussian = np.zeros((3, n_out))
    if loss.policy:
        for o in range(n_out):
            log_std = float(network.parameters[at + o])
            gaussian[0, o], gaussian[1, o] = math.exp(-log_std), -log_std - HALF_LOG_2_PI
    sums = np.zeros(3)
    rows = np.empty(ROWS, np.int64)
    for first in range(0, n_row, ROWS):
        for i in range(ROWS):
            k = first + i
            row = index[k // n_agent] * n_agent + k % n_agent if k < n_row else -1
            rows[i] = row
            if row >= 0:
                for j in range(n_in):
                    room.x[i * x_row + j] = samples.inputs[row * n_in + j]
            else:
                for j in range(n_in):
                    room.x[i * x_row + j] = np.float32(0.0)
        forward(network, room)
        if loss.policy:
            _surrogate(network, room, samples, rows, loss, (weight, sums, gaussian))
        else:
            _value_error(network, room, samples, rows, loss, (weight, sums))
        backward(network, room, slope)
    _first_layer(network, room, slope)
    if loss.policy:
        # Of the entropy, sum log sigma + constants, the derivative by each log sigma is one.
        for o in range(n_out):
            slope[at + o] = gaussian[2, o] - loss.coefficient
    measured[0], measured[1], measured[2] = sums[0] / weight, sums[1] / weight, sums[2] / weight
    measured[3] = norm(slope)


@compiled
def _first_layer(network: Network, room: Room, slope: Float32Array) -> None:
    """The derivative by the first layer's W goes where the parameters have it."""
    n_in, n_out = network.widths[0], network.widths[1]
    whole = n_in // N_LANE * N_LANE
    for o in range(0, n_out, N_LANE):
        for k in range(0, whole, N_LANE):
            transpose((slope, o * n_in + k, n_in), (room.first, k * n_out + o, n_out))
        for row in range(o, o + N_LANE):
            for k in range(whole, n_in):
                slope[row * n_in + k] = room.first[k * n_out + row]


@compiled
def _clear(numbers: Float32Array) -> None:
    """Zeros in an array of whole vectors."""
    for k in range(0, len(numbers), N_LANE):
        store(numbers, k, np.float32(0.0))


@compiled
def _weight(network: Network, samples: Samples, index: IntArray, policy: bool) -> float:
    """Sum of the minibatch's weights."""
    n = samples.n_agent if policy else samples.n_agent * network.widths[-1]
    weight = 0.0
    for sample in index:
        for k in range(sample * n, (sample + 1) * n):
            weight += samples.weights[k]
    return weight


@compiled
def _surrogate(
    network: Network,
    room: Room,
    samples: Samples,
    rows: IntArray,
    loss: Loss,
    found: tuple[float, FloatArray, FloatArray],
) -> None:
    """Derivative of the clipped surrogate by a block's mean actions.

    L = -sum w min(r A, clip(r) A) / sum w,    r = exp(log pi - log pi_old)

    Args:
        network: the actor.
        room: with the mean actions y; their derivative is written.
        samples: all of them.
        rows: of the block among the samples' rows; -1 where there is none.
        loss: with the clipping range.
        found: the sum of weights; sums of loss, KL divergence and ratios outside, added to; and what is known of the
            Gaussian, whose derivative by log sigma is added to.
    """
    weight, sums, gaussian = found
    n_out = network.widths[-1]
    for i in range(ROWS):
        row = rows[i]
        if row < 0:
            for o in range(n_out):
                room.y_slope[i * n_out + o] = np.float32(0.0)
            continue
        log_prob = 0.0
        for o in range(n_out):
            z = (samples.targets[row * n_out + o] - room.y[i * n_out + o]) * gaussian[0, o]
            log_prob += gaussian[1, o] - 0.5 * z * z
        log_ratio = log_prob - samples.before[row]
        ratio = math.exp(log_ratio)
        w = samples.weights[row]
        advantage = samples.advantages[row]
        plain = ratio * advantage
        clipped = min(max(ratio, 1.0 - loss.clip), 1.0 + loss.clip) * advantage
        if clipped < plain:
            sums[0] -= w * clipped
            slope = 0.0
        else:
            sums[0] -= w * plain
            slope = -w * plain / weight
        # Schulman's estimator of KL(old, new): unbiased and never negative.
        sums[1] += w * (ratio - 1.0 - log_ratio)
        sums[2] += w * (abs(ratio - 1.0) > loss.clip)
        for o in range(n_out):
            z = (samples.targets[row * n_out + o] - room.y[i * n_out + o]) * gaussian[0, o]
            y_slope = slope * z * gaussian[0, o]
            room.y_slope[i * n_out + o] = y_slope if abs(y_slope) > SMALLEST or y_slope != y_slope else 0.0
            gaussian[2, o] += slope * (z * z - 1.0)


@compiled
def _value_error(
    network: Network,
    room: Room,
    samples: Samples,
    rows: IntArray,
    loss: Loss,
    found: tuple[float, FloatArray],
) -> None:
    """Derivative of half the squared error or Huber's, times its coefficient, by a block's values.

    Args:
        network: the critic.
        room: with the values y; their derivative is written.
        samples: all of them.
        rows: of the block among the samples' rows; -1 where there is none.
        loss: with its parameters.
        found: the sum of weights, and sums whose first is that of the losses, added to.
    """
    weight, sums = found
    n_out = network.widths[-1]
    for i in range(ROWS):
        row = rows[i]
        for o in range(n_out):
            if row < 0:
                room.y_slope[i * n_out + o] = np.float32(0.0)
                continue
            k = row * n_out + o
            value, target, before = float(room.y[i * n_out + o]), samples.targets[k], samples.before[k]
            w = samples.weights[k]
            error = value - target
            lost = _huber(error, loss.huber_delta)
            slope = min(max(error, -loss.huber_delta), loss.huber_delta)
            if abs(value - before) > loss.clip:
                near = before + min(max(value - before, -loss.clip), loss.clip)
                held = _huber(near - target, loss.huber_delta)
                if held > lost:
                    lost, slope = held, 0.0
            sums[0] += w * lost
            room.y_slope[i * n_out + o] = loss.coefficient * w * slope / weight


@compiled
def _huber(error: float, delta: float) -> float:
    size = abs(error)
    return 0.5 * size * size if size < delta else delta * (size - 0.5 * delta)


@compiled
def norm(numbers: Float32Array) -> float:
    """Euclidean norm of an array of whole vectors."""
    squares = 0.0
    for first in range(0, len(numbers), CHUNK):
        part = spread(np.float32(0.0))
        for k in range(first, min(first + CHUNK, len(numbers)), N_LANE):
            value = load(numbers, k)
            part = fma(value, value, part)
        squares += total(part)
    return math.sqrt(squares)
