"""A plain perceptron, forward and backward, in blocks of rows that stay in cache.

    h = W x + b        n = (h - mean h) / sqrt(var h + 1e-5)        x' = max(0, g n + s)        for each hidden layer
    y = W x + b (+ L x_0 + c)

Linear -> LayerNorm (Ba et al., 2016) -> ReLU, then a last Linear, and where there is one a linear map of the input
beside it. A block of ROWS rows goes through all layers before the next one begins: what a layer hands to the next is
read while it is still in the second level of cache, and its derivative comes back on the same way. A row's numbers do
not depend on the other rows of its block; a last block that is not full is filled up with zeros.

Everything is flat: the parameters of a network stand in one array, each from a multiple of sixteen on, in the order W,
b, g, s of each hidden layer, W and b of the last, L and c, and whatever else learns with them. W has shape [out, in] as
in torch. Matrix products read the weights in panels of TILE_COLUMNS columns, copied anew before each use.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from marl.kernels.compilation import compiled
from marl.kernels.lanes import (
    N_LANE,
    TILE_COLUMNS,
    TILE_ROWS,
    fma,
    load,
    spread,
    store,
    tile,
    total,
    transpose,
    where_positive,
)
from marl.protocol import Float32Array, IntArray

ROWS = 64
WIDTH = 32  # hidden layers are a multiple of it: whole tiles on every processor
EPS = 1e-5  # torch's default of layer normalisation


class Network(NamedTuple):
    """A perceptron as its kernels know it."""

    parameters: Float32Array  # flat
    widths: IntArray  # input, hidden layers, output
    linear: bool  # whether it has a linear map of the input beside it


class Room(NamedTuple):
    """Where a block is worked on; what stands in it between two calls means nothing."""

    panels: Float32Array  # of the hidden layers' W, centred and transposed, then of W itself
    bias: Float32Array  # b of the hidden layers, centred
    x: Float32Array  # [row, input], columns filled up with zeros to a multiple of sixteen
    normal: Float32Array  # n of all layers, each [row, out]
    active: Float32Array  # x' of all layers, each [row, out]
    scale: Float32Array  # 1/sqrt(var h + eps) of all layers, each [row]
    slopes: Float32Array  # derivatives by the numbers of a layer and of the one before it, each [row, out]
    first: Float32Array  # derivative by W of the first layer, [input, out], as many inputs as x has columns
    nothing: Float32Array  # a row of zeros as wide as a tile
    y: Float32Array  # [row, output]
    y_slope: Float32Array  # derivative of the loss by it, [row, output]


def zeros(n: int) -> Float32Array:
    """Flat zeros that begin at a whole vector, a multiple of 64 bytes; numpy's own may begin between two."""
    memory = np.zeros(n + N_LANE, dtype=np.float32)
    first = -memory.ctypes.data % 64 // 4
    return memory[first : first + n]


def room_for(widths: IntArray) -> Room:
    """Room for networks of these widths."""
    n_in, *hidden, n_out = (int(width) for width in widths)
    forward = sum(a * b for a, b in zip([n_in, *hidden], hidden, strict=False))
    first = -(-n_in // N_LANE) * N_LANE
    return Room(
        panels=zeros(forward + forward - n_in * hidden[0]),
        bias=zeros(sum(hidden)),
        x=zeros(ROWS * first),
        normal=zeros(ROWS * sum(hidden)),
        active=zeros(ROWS * sum(hidden)),
        scale=zeros(ROWS * len(hidden)),
        slopes=zeros(2 * ROWS * max(hidden)),
        first=zeros(hidden[0] * first),
        nothing=zeros(WIDTH),
        y=zeros(ROWS * n_out),
        y_slope=zeros(ROWS * n_out),
    )


@compiled
def aligned(n: int) -> int:
    """The next multiple of sixteen."""
    return (n + N_LANE - 1) // N_LANE * N_LANE


@compiled
def last_layer(widths: IntArray) -> int:
    """Where the parameters of the last layer begin."""
    at = 0
    for layer in range(len(widths) - 2):
        at += widths[layer + 1] * (widths[layer] + 3)
    return at


@compiled
def linear_part(widths: IntArray) -> int:
    """Where the parameters behind the last layer begin."""
    n_in, n_out = widths[-2], widths[-1]
    return last_layer(widths) + n_in * n_out + aligned(n_out)


@compiled
def free_part(network: Network) -> int:
    """Where the parameters begin that no layer has."""
    widths = network.widths
    at = linear_part(widths)
    if network.linear:
        at += aligned(widths[0] * widths[-1]) + aligned(widths[-1])
    return at


@compiled
def lay_out(network: Network, room: Room, backward: bool) -> None:
    """Copies the hidden layers' weights into panels [column // TILE_COLUMNS, term, column % TILE_COLUMNS].

    LayerNorm takes the mean of h away. Those of the way forward have it taken from them already, and so has b: with
    the mean over the outputs taken from every column of W, h is what is left of it.
    """
    parameters, widths, panels = network.parameters, network.widths, room.panels
    at = to = here = 0
    for layer in range(len(widths) - 2):
        n_in, n_out = widths[layer], widths[layer + 1]
        whole = n_in // N_LANE * N_LANE
        for row in range(0, n_out, N_LANE):
            panel = to + row // TILE_COLUMNS * TILE_COLUMNS * n_in + row % TILE_COLUMNS
            for k in range(0, whole, N_LANE):
                transpose(
                    (panels, panel + k * TILE_COLUMNS, TILE_COLUMNS), (parameters, at + row * n_in + k, n_in)
                )
            for column in range(N_LANE):
                for k in range(whole, n_in):
                    panels[panel + k * TILE_COLUMNS + column] = parameters[at + (row + column) * n_in + k]
        for k in range(n_in):
            _centre((panels, to + k * TILE_COLUMNS, n_in), (panels, to + k * TILE_COLUMNS, n_in), n_out)
        bias = at + n_in * n_out
        _centre((parameters, bias, 1), (room.bias, here, 1), n_out)
        at += n_out * (n_in + 3)
        to += n_in * n_out
        here += n_out
    if not backward:
        return
    at = widths[1] * (widths[0] + 3)
    for layer in range(1, len(widths) - 2):
        n_in, n_out = widths[layer], widths[layer + 1]
        for first in range(0, n_in, TILE_COLUMNS):
            for k in range(n_out):
                for column in range(0, TILE_COLUMNS, N_LANE):
                    row = load(parameters, at + k * n_in + first + column)
                    store(panels, to + first * n_out + k * TILE_COLUMNS + column, row)
        at += n_out * (n_in + 3)
        to += n_in * n_out


@compiled
def _centre(source: tuple[Float32Array, int, int], to: tuple[Float32Array, int, int], n_column: int) -> None:
    """Copies a row without its mean; of both: array, index, and how far two columns of a panel's width are apart."""
    numbers, at, step = source
    written, at_written, step_written = to
    summed = spread(np.float32(0.0))
    for j in range(0, n_column, TILE_COLUMNS):
        for part in range(0, TILE_COLUMNS, N_LANE):
            summed = summed + load(numbers, at + j * step + part)
    mean = total(summed) * np.float32(1.0 / n_column)
    for j in range(0, n_column, TILE_COLUMNS):
        for part in range(0, TILE_COLUMNS, N_LANE):
            value = load(numbers, at + j * step + part) - mean
            store(written, at_written + j * step_written + part, value)


@compiled
def forward(network: Network, room: Room) -> None:
    """x of a block to its y."""
    parameters, widths = network.parameters, network.widths
    normal, active = room.normal, room.active
    before, before_at, before_row = room.x, 0, aligned(widths[0])
    at = panel = here = centred = 0
    for layer in range(len(widths) - 2):
        n_in, n_out = widths[layer], widths[layer + 1]
        gain, share = at + n_in * n_out + n_out, np.float32(1.0 / n_out)
        for j in range(0, n_out, TILE_COLUMNS):
            for i in range(0, ROWS, TILE_ROWS):
                tile(
                    (normal, here + i * n_out + j, n_out),
                    (room.bias, centred + j, 0),
                    (before, before_at + i * before_row, before_row, 1),
                    (room.panels, panel + j * n_in, TILE_COLUMNS),
                    n_in,
                )
        for i in range(ROWS):
            row = here + i * n_out
            # Two sums that do not wait for each other; the mean is zero.
            even = odd = spread(np.float32(0.0))
            for j in range(0, n_out, WIDTH):
                deviation = load(normal, row + j)
                even = fma(deviation, deviation, even)
                deviation = load(normal, row + j + N_LANE)
                odd = fma(deviation, deviation, odd)
            scale = np.float32(1.0) / np.sqrt(total(even + odd) * share + np.float32(EPS))
            room.scale[layer * ROWS + i] = scale
            for j in range(0, n_out, N_LANE):
                n = load(normal, row + j) * scale
                store(normal, row + j, n)
                value = fma(load(parameters, gain + j), n, load(parameters, gain + n_out + j))
                store(active, row + j, where_positive(value, value))
        before, before_at, before_row = active, here, n_out
        here += ROWS * n_out
        centred += n_out
        panel += n_in * n_out
        at += n_out * (n_in + 3)
    _last(network, room)


@compiled
def _last(network: Network, room: Room) -> None:
    """The last layer, and the linear map beside the others."""
    parameters, widths, y = network.parameters, network.widths, room.y
    n_first, n_in, n_out = widths[0], widths[-2], widths[-1]
    at = last_layer(widths)
    beside = linear_part(widths)
    x_row = aligned(n_first)
    active_at = len(room.active) - ROWS * n_in
    for i in range(ROWS):
        for o in range(n_out):
            summed = spread(np.float32(0.0))
            for j in range(0, n_in, N_LANE):
                summed = fma(
                    load(room.active, active_at + i * n_in + j), load(parameters, at + o * n_in + j), summed
                )
            value = total(summed) + parameters[at + n_out * n_in + o]
            if network.linear:
                part = np.float32(0.0)
                for k in range(n_first):
                    part += parameters[beside + o * n_first + k] * room.x[i * x_row + k]
                value += part + parameters[beside + aligned(n_first * n_out) + o]
            y[i * n_out + o] = value


@compiled
def backward(network: Network, room: Room, gradient: Float32Array) -> None:
    """Adds the gradient of a block, from the derivative of the loss by its y; `forward` has just been run.

    The gradient has the order of the parameters, except that of the first layer's W, which is gathered in
    `room.first`.
    """
    widths = network.widths
    n_hidden = len(widths) - 2
    half = len(room.slopes) // 2
    at, here, panel = last_layer(widths), len(room.normal), len(room.panels)
    _last_backward(network, room, gradient)
    for back in range(n_hidden):
        layer = n_hidden - 1 - back
        n_in, n_out = widths[layer], widths[layer + 1]
        now = back % 2 * half
        other = half - now
        at -= n_out * (n_in + 3)
        here -= ROWS * n_out
        _normal_backward(network, room, gradient, (layer, at + n_in * n_out, here, now))
        if layer == 0:
            row = aligned(n_in)
            for j in range(0, n_out, TILE_COLUMNS):
                for i in range(0, row, TILE_ROWS):
                    tile(
                        (room.first, i * n_out + j, n_out),
                        (room.first, i * n_out + j, n_out),
                        (room.x, i, 1, row),
                        (room.slopes, now + j, n_out),
                        ROWS,
                    )
            return
        for j in range(0, n_in, TILE_COLUMNS):
            for i in range(0, n_out, TILE_ROWS):
                tile(
                    (gradient, at + i * n_in + j, n_in),
                    (gradient, at + i * n_in + j, n_in),
                    (room.slopes, now + i, 1, n_out),
                    (room.active, here - ROWS * n_in + j, n_in),
                    ROWS,
                )
        panel -= n_in * n_out
        for j in range(0, n_in, TILE_COLUMNS):
            for i in range(0, ROWS, TILE_ROWS):
                tile(
                    (room.slopes, other + i * n_in + j, n_in),
                    (room.nothing, 0, 0),
                    (room.slopes, now + i * n_out, n_out, 1),
                    (room.panels, panel + j * n_out, TILE_COLUMNS),
                    n_out,
                )


@compiled
def _last_backward(network: Network, room: Room, gradient: Float32Array) -> None:
    """Gradient of the last layer and of the linear map; the slopes of the last hidden layer."""
    parameters, widths, y_slope = network.parameters, network.widths, room.y_slope
    n_first, n_in, n_out = widths[0], widths[-2], widths[-1]
    at = last_layer(widths)
    beside = linear_part(widths)
    x_row = aligned(n_first)
    active_at = len(room.active) - ROWS * n_in
    for o in range(n_out):
        w = at + o * n_in
        for j in range(0, n_in, N_LANE):
            summed = load(gradient, w + j)
            for i in range(ROWS):
                summed = fma(
                    spread(y_slope[i * n_out + o]), load(room.active, active_at + i * n_in + j), summed
                )
            store(gradient, w + j, summed)
        for i in range(ROWS):
            g = y_slope[i * n_out + o]
            gradient[at + n_out * n_in + o] += g
            for j in range(0, n_in, N_LANE):
                slope = load(parameters, w + j) * g
                if o > 0:
                    slope = slope + load(room.slopes, i * n_in + j)
                store(room.slopes, i * n_in + j, slope)
            if network.linear:
                gradient[beside + aligned(n_first * n_out) + o] += g
                for k in range(n_first):
                    gradient[beside + o * n_first + k] += g * room.x[i * x_row + k]


@compiled
def _normal_backward(
    network: Network, room: Room, gradient: Float32Array, places: tuple[int, int, int, int]
) -> None:
    """Slopes by x' of a layer -> slopes by its h, in place; gradients of b, g and s.

        dn = g dx'      dh = (dn - mean dn - n mean(n dn)) / sqrt(var h + eps)        where x' > 0

    Args:
        network: whose layer it is.
        room: with n and x' of the block.
        gradient: added to.
        places: the layer, where its b, its n and its slopes begin.
    """
    layer, bias, here, now = places
    parameters, slopes = network.parameters, room.slopes
    n_out = network.widths[layer + 1]
    gain, shift = bias + n_out, bias + 2 * n_out
    share = np.float32(1.0 / n_out)
    for i in range(ROWS):
        row, slope_row = here + i * n_out, now + i * n_out
        first = spread(np.float32(0.0))
        second = spread(np.float32(0.0))
        for j in range(0, n_out, N_LANE):
            n = load(room.normal, row + j)
            d = where_positive(load(room.active, row + j), load(slopes, slope_row + j))
            store(gradient, shift + j, load(gradient, shift + j) + d)
            store(gradient, gain + j, fma(d, n, load(gradient, gain + j)))
            d = d * load(parameters, gain + j)
            store(slopes, slope_row + j, d)
            first = first + d
            second = fma(d, n, second)
        scale = room.scale[layer * ROWS + i]
        mean, along = total(first) * share, total(second) * share
        for j in range(0, n_out, N_LANE):
            d = (load(slopes, slope_row + j) - mean - load(room.normal, row + j) * along) * scale
            store(slopes, slope_row + j, d)
            store(gradient, bias + j, load(gradient, bias + j) + d)


@compiled
def outputs(network: Network, room: Room, x: Float32Array, y: Float32Array) -> None:
    """Runs all rows of x, flat [row, input], and writes y, flat [row, output]."""
    n_in, n_out = network.widths[0], network.widths[-1]
    step = aligned(n_in)
    n_row = len(x) // n_in
    lay_out(network, room, False)
    for first in range(0, n_row, ROWS):
        count = min(ROWS, n_row - first)
        for i in range(count):
            for k in range(n_in):
                room.x[i * step + k] = x[(first + i) * n_in + k]
        for k in range(count * step, ROWS * step):
            room.x[k] = np.float32(0.0)
        forward(network, room)
        for i in range(count * n_out):
            y[first * n_out + i] = room.y[i]
