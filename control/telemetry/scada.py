"""SCADA: measurements arrive late, sometimes not at all, and not quite true.

Each interval the sensors take a value, add their bias and noise, and send it; it arrives a whole number of
intervals later, unless it is lost. The control room shows the last value that arrived (hold-last-value).
Signals belong to a class, and each class has its own delay, noise and bias. What an agent measures at its
own bus does not come this way: own frequency, own load, own output and own state stay fresh. System
frequency, frequencies of neighbouring buses and forecasts do.

Losses follow Gilbert's two-state chain, signal by signal: from `arriving` to `lost` with probability a, back
with b. Mean gap 1/b and share a/(a + b) of lost values are given; a mean gap of 1/(1 - share), the shortest
there is, makes losses independent.

Random numbers are a function of (key of the episode, interval, signal) and not of a generator's state, so
they are the same in any batch, cost nothing where losses and noise are off, and need no saving.

Left out: time stamps (a reader cannot tell a held value from a new one), and delays that vary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from cases.arrays import BoolArray, FloatArray, IntArray
from grid_model.compilation import compiled
from grid_model.kernels.held import hold

SYSTEM_FREQUENCY, NEIGHBOUR_FREQUENCY, FORECAST = range(3)
SIGNAL_CLASSES = ("system_frequency", "neighbour_frequency", "forecast")
MAX_DELAY_INTERVALS = 5
# Of a frequency transducer [Hz, Hz]; forecasts have errors of their own and are transmitted as numbers [MW].
TYPICAL_SD = (0.001, 0.001, 0.0)

# What a random number is for; keeps the streams of one key apart.
# Typed, because numba compiles a function anew for every plain constant that it is called with.
_TYPED: Any = np.arange(5)
_LOSS, _NOISE_RADIUS, _NOISE_ANGLE, _BIAS_RADIUS, _BIAS_ANGLE = _TYPED
_ALL_INTERVALS: Any = np.int64(0)


@dataclass(frozen=True, kw_only=True)
class ScadaConfig:
    """Quality of telemetry; tuples have one entry a class, in the order of SIGNAL_CLASSES."""

    delay_intervals: tuple[int, int, int] = (2, 2, 2)
    packet_loss: float = 0.0  # share of values lost
    mean_gap_intervals: float = 1.0  # mean length of a gap; independent losses if no longer than theirs
    noise_sd: tuple[float, float, float] = (0.0, 0.0, 0.0)  # Hz, Hz, MW; new in every interval
    bias_sd: tuple[float, float, float] = (0.0, 0.0, 0.0)  # Hz, Hz, MW; constant through an episode

    def __post_init__(self) -> None:
        for name in ("delay_intervals", "noise_sd", "bias_sd"):
            if len(getattr(self, name)) != len(SIGNAL_CLASSES):
                raise ValueError(f"scada: {name} needs one entry for each of {', '.join(SIGNAL_CLASSES)}.")
        if not all(0 <= delay <= MAX_DELAY_INTERVALS for delay in self.delay_intervals):
            raise ValueError(
                f"scada: delay_intervals = {self.delay_intervals}, expected 0 to {MAX_DELAY_INTERVALS}."
            )
        if not 0.0 <= self.packet_loss < 1.0:
            raise ValueError(f"scada: packet_loss = {self.packet_loss}, expected 0 to below 1.")
        if not self.mean_gap_intervals >= 1.0:
            raise ValueError(f"scada: mean_gap_intervals = {self.mean_gap_intervals}, expected at least 1.")
        if not all(sd >= 0.0 for sd in self.noise_sd + self.bias_sd):
            raise ValueError("scada: a standard deviation is negative, expected >= 0.")

    @property
    def recovery(self) -> float:
        """b: probability that a value arrives after one that was lost."""
        return min(1.0 / self.mean_gap_intervals, 1.0 - self.packet_loss)

    @property
    def failure(self) -> float:
        """a: probability that a value is lost after one that arrived."""
        return self.recovery * self.packet_loss / (1.0 - self.packet_loss)


def scaled_sd(scale: float) -> tuple[float, float, float]:
    """TYPICAL_SD, each entry times the scale."""
    return (scale * TYPICAL_SD[0], scale * TYPICAL_SD[1], scale * TYPICAL_SD[2])


class SignalState(NamedTuple):
    """Where every value of every environment is; changed in place."""

    sent: FloatArray  # ring buffer of values on their way, [env, slot, signal]
    shown: FloatArray  # last values that arrived, [env, signal]
    lost: BoolArray  # the last one did not arrive, [env, signal]
    bias: FloatArray  # [env, signal]
    key: IntArray  # of the episode, [env]
    interval: IntArray  # intervals since reset, [env]


class SignalParameters(NamedTuple):
    """How signals are measured and transmitted."""

    delay: IntArray  # [env, signal]
    noise_sd: FloatArray  # [signal]
    bias_sd: FloatArray  # [signal]
    failure: float  # see `ScadaConfig`
    recovery: float


class Scada:
    """Ring buffers and last values of every signal of every environment.

    Attributes (the arrays stay): state and parameters, for compiled functions that send values themselves.
    """

    def __init__(self, *, config: ScadaConfig, signal_class: IntArray, n_env: int) -> None:
        """Nothing has been sent.

        Args:
            config: quality of telemetry.
            signal_class: code of SIGNAL_CLASSES, [signal].
            n_env: number of environments.

        Raises:
            ValueError: a code is none of SIGNAL_CLASSES.
        """
        self.config, self.signal_class, self.n_env = config, signal_class, n_env
        classes = np.asarray(signal_class, dtype=np.int64)
        if len(classes) and not 0 <= classes.min() <= classes.max() < len(SIGNAL_CLASSES):
            raise ValueError(f"scada: signal class beyond {len(SIGNAL_CLASSES) - 1}.")
        n_signal = len(classes)
        self.parameters = SignalParameters(
            delay=np.tile(np.array(config.delay_intervals, dtype=np.int64)[classes], (n_env, 1)),
            noise_sd=np.array(config.noise_sd, dtype=np.float64)[classes],
            bias_sd=np.array(config.bias_sd, dtype=np.float64)[classes],
            failure=config.failure,
            recovery=config.recovery,
        )
        # One slot more than the longest delay, so that a value is read before its slot is used again.
        self.state = SignalState(
            sent=np.zeros((n_env, MAX_DELAY_INTERVALS + 1, n_signal)),
            shown=np.zeros((n_env, n_signal)),
            lost=np.zeros((n_env, n_signal), dtype=np.bool_),
            bias=np.zeros((n_env, n_signal)),
            key=np.zeros(n_env, dtype=np.int64),
            interval=np.zeros(n_env, dtype=np.int64),
        )
        self._held = hold(self.state), hold(self.parameters)

    def reset(self, env: IntArray, key: IntArray | Sequence[int], value: FloatArray) -> FloatArray:
        """Begin an episode in some environments, as if the first values had stood for long.

        Args:
            env: which environments.
            key: of each episode, from Episode.scada_key, shape [len(env)].
            value: true values at the beginning, shape [len(env), signal].

        Returns:
            What the control room shows, shape [len(env), signal].
        """
        keys, state = np.asarray(key, dtype=np.int64), self.state
        state.key[env] = keys
        state.interval[env] = 0
        state.bias[env] = _draw_bias(keys, self.parameters.bias_sd)
        first: FloatArray = value + state.bias[env]
        state.sent[env] = first[:, None, :]
        state.shown[env] = first
        state.lost[env] = False
        return first

    def set_delay(self, env: int, intervals: int) -> None:
        """All signals of an environment come this late from now on; for between two episodes.

        Raises:
            ValueError: it is longer than values are kept.
        """
        if not 0 <= intervals <= MAX_DELAY_INTERVALS:
            raise ValueError(f"scada: a delay of {intervals} intervals, expected 0 to {MAX_DELAY_INTERVALS}.")
        self.parameters.delay[env] = intervals

    @property
    def shown(self) -> FloatArray:
        """What the control room shows now, [env, signal]; to be read at once, the next interval changes it."""
        return self.state.shown

    def advance(self, value: FloatArray) -> None:
        """Send the values at the end of an interval; `shown` is what the control room then shows.

        Args:
            value: true values, shape [env, signal].

        Raises:
            ValueError: they have another shape.
        """
        if value.shape != self.shown.shape:
            raise ValueError(f"scada: values of shape {value.shape}, expected {self.shown.shape}.")
        transmit(np.ascontiguousarray(value, dtype=np.float64), *self._held)

    def get_state(self) -> dict[str, Any]:
        """Everything a later `set_state` needs to go on to the bit, as plain arrays."""
        return {name: array.copy() for name, array in self.state._asdict().items()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what get_state gave.

        Raises:
            ValueError: it is the state of other signals or of another number of environments.
        """
        for name, mine in self.state._asdict().items():
            given = np.asarray(state[name])
            if given.shape != mine.shape:
                raise ValueError(f"scada state: {name} has shape {given.shape}, expected {mine.shape}.")
            mine[...] = given


@compiled
def _uniform(key: int, interval: int, signal: int, purpose: int) -> float:
    """A number in (0, 1) that depends on the four arguments and nothing else.

    SplitMix64's finaliser (Steele, Lea, Flood, Fast splittable pseudorandom number generators, OOPSLA 2014)
    over a combination of the arguments by odd constants.
    """
    z = np.uint64(key)
    z ^= np.uint64(interval) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z ^= (np.uint64(signal) * np.uint64(8) + np.uint64(purpose) + np.uint64(1)) * np.uint64(
        0xD1B54A32D192ED03
    )
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (float(z >> np.uint64(11)) + 0.5) / 9007199254740992.0  # 2^53


@compiled
def _normal(key: int, interval: int, signal: int, radius: int, angle: int) -> float:
    """A standard normal number, by Box and Muller."""
    r = np.sqrt(-2.0 * np.log(_uniform(key, interval, signal, radius)))
    return float(r * np.cos(2.0 * np.pi * _uniform(key, interval, signal, angle)))


@compiled
def _draw_bias(key: IntArray, bias_sd: FloatArray) -> FloatArray:
    """Bias of every signal through an episode, shape [env, signal]."""
    bias = np.zeros((len(key), len(bias_sd)))
    for env in range(len(key)):
        for i in range(len(bias_sd)):
            if bias_sd[i] > 0.0:
                bias[env, i] = bias_sd[i] * _normal(key[env], _ALL_INTERVALS, i, _BIAS_RADIUS, _BIAS_ANGLE)
    return bias


@compiled
def transmit(value: FloatArray, state: SignalState, parameters: SignalParameters) -> None:
    """Put new values on their way and show those that arrive; value [env, signal]."""
    sent, shown, lost, bias = state.sent, state.shown, state.lost, state.bias
    key, interval = state.key, state.interval
    delay, noise_sd = parameters.delay, parameters.noise_sd
    failure, recovery = parameters.failure, parameters.recovery
    n_env, n_slot, n_signal = sent.shape
    for env in range(n_env):
        interval[env] += 1
        now = interval[env]
        slot = now % n_slot
        for i in range(n_signal):
            measured = value[env, i] + bias[env, i]
            if noise_sd[i] > 0.0:
                measured += noise_sd[i] * _normal(key[env], now, i, _NOISE_RADIUS, _NOISE_ANGLE)
            sent[env, slot, i] = measured
            if failure > 0.0:
                u = _uniform(key[env], now, i, _LOSS)
                lost[env, i] = u >= recovery if lost[env, i] else u < failure
            if not lost[env, i]:
                then = slot - delay[env, i]
                shown[env, i] = sent[env, then if then >= 0 else then + n_slot, i]
