"""What the control centre shows of the plants: the numbers measured at each of them, as SCADA delivers them.

Own frequency deviation, load, output and utilisation of every plant are fresh for the plant itself and sent to the
control centre like any other signal: late by the delay of neighbouring frequencies and with their noise, held where a
value is lost, each signal by itself. The centre shows all of them to all plants. Nothing here is known sooner, or
better, than what has arrived.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cases.arrays import BoolArray, FloatArray, IntArray
from control.task.layout import DF_HZ, OWN_DF, OWN_LOAD, OWN_OUTPUT, UTILISATION
from control.telemetry.scada import NEIGHBOUR_FREQUENCY, SYSTEM_FREQUENCY, Scada, ScadaConfig

__all__ = ["MESSAGE_SIZE", "TELEMETRY", "PlantTelemetry"]

TELEMETRY = "telemetry"  # the observation that has it
_SENT = np.array([OWN_DF, OWN_LOAD, OWN_OUTPUT, UTILISATION])  # of a plant's observation
MESSAGE_SIZE = len(_SENT)
_OF_ITS_OWN = (
    0x2545F4914F6CDD1D  # keeps losses of these signals apart from those of others in the same episode
)

Float32Array = npt.NDArray[np.float32]


class PlantTelemetry:
    """The signals of all plants of a batch."""

    def __init__(
        self, config: ScadaConfig, in_service: BoolArray | None, n_env: int, n_resource: int
    ) -> None:
        """Nothing has been sent.

        Args:
            config: quality of telemetry.
            in_service: plants that take part, [env, resource]; None where all do.
            n_env: number of environments.
            n_resource: number of plants.
        """
        shape = (n_env, n_resource)
        self._part = np.ones(shape, dtype=np.float32) if in_service is None else in_service.astype(np.float32)
        late = config.delay_intervals[NEIGHBOUR_FREQUENCY]
        # Frequencies are told in units of DF_HZ; the rest are numbers that no transducer of frequency errs in.
        noise_sd, bias_sd = (
            (0.0, sd[NEIGHBOUR_FREQUENCY] / DF_HZ, 0.0) for sd in (config.noise_sd, config.bias_sd)
        )
        of_plant = np.where(_SENT == OWN_DF, NEIGHBOUR_FREQUENCY, SYSTEM_FREQUENCY)
        self._scada = Scada(
            config=replace(config, delay_intervals=(late, late, late), noise_sd=noise_sd, bias_sd=bias_sd),
            signal_class=np.tile(of_plant, n_resource),
            n_env=n_env,
        )

    @property
    def size(self) -> int:
        """Numbers that every plant is shown."""
        return int(self._part.shape[1]) * (1 + MESSAGE_SIZE)

    def reset(self, envs: IntArray, keys: Sequence[int], agents: Float32Array) -> None:
        """Begin an episode in some environments, as if what is measured there had been so for long.

        Args:
            envs: which environments.
            keys: of their episodes, from Episode.scada_key.
            agents: what all plants see at the beginning, [env, resource, number], of all environments.
        """
        self._scada.reset(envs, [key ^ _OF_ITS_OWN for key in keys], self._signals(agents)[envs])

    def advance(self, agents: Float32Array) -> None:
        """Sends what the plants measure at the end of an interval, of what they see, [env, resource, number]."""
        self._scada.advance(self._signals(agents))

    @staticmethod
    def _signals(agents: Float32Array) -> FloatArray:
        return agents[:, :, _SENT].reshape(len(agents), -1).astype(np.float64)

    def beside(self, agents: Float32Array) -> Float32Array:
        """What each plant sees, and behind it what the centre shows: a 1 and its numbers for every plant.

        Instead of the 1 there is a 0 for plants that take no part.

        Args:
            agents: [env, resource, number].

        Returns:
            [env, resource, number + size].
        """
        n_env, n_resource = self._part.shape
        shown = np.empty((n_env, n_resource, 1 + MESSAGE_SIZE), dtype=np.float32)
        shown[:, :, 0] = self._part
        shown[:, :, 1:] = self._scada.shown.reshape(n_env, n_resource, MESSAGE_SIZE)
        flat = shown.reshape(n_env, 1, -1)
        return np.concatenate([agents, np.broadcast_to(flat, (n_env, n_resource, flat.shape[2]))], axis=2)

    def get_state(self) -> dict[str, Any]:
        """Everything a later `set_state` needs."""
        return self._scada.get_state()

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what get_state gave; raises what `Scada.set_state` does."""
        self._scada.set_state(state)
