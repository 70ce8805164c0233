"""Stationary random processes with an exponential memory, from white noise that is passed in.

One recursion serves all: the Ornstein-Uhlenbeck process seen at equal steps is an AR(1) process, exactly and
not only for small steps. Amplitudes are the caller's: everything here has variance one.
"""

from __future__ import annotations

import numpy as np

from cases.arrays import FloatArray
from grid_model.compilation import compiled


def memory(dt_s: float, tau_s: FloatArray | float) -> FloatArray:
    """Correlation of an Ornstein-Uhlenbeck process with itself one step later: a = exp(-dt / τ)."""
    return np.exp(-dt_s / np.asarray(tau_s, dtype=np.float64))


@compiled
def autoregress(white: FloatArray, correlation: FloatArray) -> FloatArray:
    """Turn white noise into AR(1) processes of variance one, in place.

        x_0 = w_0,      x_k+1 = a x_k + sqrt(1 - a²) w_k+1

    The first value is drawn from the stationary distribution, so there is no transient. With a = exp(-dt/τ)
    this is the exact discretisation of dx = -x/τ dt + sqrt(2/τ) dW.

    Args:
        white: w, independent standard normal numbers, overwritten with x, shape [time, process].
        correlation: a, from one step to the next, shape [process].

    Returns:
        The same array, shape [time, process].

    Reference:
        D. T. Gillespie, Exact numerical simulation of the Ornstein-Uhlenbeck process and its integral,
        Physical Review E 54(2), 1996, eq. 1.9.
    """
    n_time, n_process = white.shape
    drive = np.sqrt(1.0 - correlation * correlation)
    for k in range(1, n_time):
        for i in range(n_process):
            white[k, i] = correlation[i] * white[k - 1, i] + drive[i] * white[k, i]
    return white
