"""What the control centre shows of each area: frequency, exchange with its neighbours, and what its plants hold ready.

Mean frequency of the area's buses, power over its ties less the schedule, and its plants by kind are measured at the
end of every interval and sent like any other signal: late by the delay of neighbouring frequencies, held where a value
is lost. Of them an area's coordinator makes its area control error. Every plant is shown the numbers of its own area.

The schedule of exchange is `tie_schedule_mw` and what the dispatch leaves off it when an episode begins: where machines
stand at their limits that is hundreds of MW, which areas have agreed upon and no plant of theirs should work against.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cases.arrays import FloatArray, IntArray
from cases.case import Case
from control.plants.fleet_state import BESS, DR, GAS
from control.task.closed_loop import ClosedLoop
from control.task.layout import DF_HZ, OBSERVATION_SIZE
from control.telemetry.scada import NEIGHBOUR_FREQUENCY, SYSTEM_FREQUENCY, Scada, ScadaConfig
from grid_model.network.topology import ties

__all__ = [
    "AREAS",
    "AREA_DF",
    "AREA_ENERGY",
    "AREA_OUTPUT",
    "AREA_SIZE",
    "AREA_TIES",
    "TIES_MW",
    "AreaTelemetry",
    "tie_schedule_mw",
]

AREAS = "areas"  # the observation that has it: the 15 numbers, and behind them those of the plant's area
TIES_MW = 100.0  # scale of the exchange, the 68-bus system's; other grids' by `setting.size`
# Where the numbers of an area stand in an observation.
AREA_DF = OBSERVATION_SIZE  # mean frequency deviation of its buses, of DF_HZ
AREA_TIES = OBSERVATION_SIZE + 1  # export over its ties less the schedule, of TIES_MW
AREA_ENERGY = (
    OBSERVATION_SIZE + 2
)  # state of charge of its batteries together, 0..1 as -1..1; 0 where it has none
AREA_OUTPUT = slice(
    OBSERVATION_SIZE + 3, OBSERVATION_SIZE + 6
)  # of its bess, gas, dr, of the range of each kind
AREA_SIZE = 6
_OF_ITS_OWN = (
    0x5851F42D4C957F2D  # keeps losses of these signals apart from those of others in the same episode
)

Float32Array = npt.NDArray[np.float32]


class AreaTelemetry:
    """The signals of all areas of a batch, read from its grids."""

    def __init__(self, case: Case, loop: ClosedLoop, config: ScadaConfig) -> None:
        """Nothing has been sent.

        Args:
            case: the grid.
            loop: its episodes, with a power flow that tells what flows over the ties.
            config: quality of telemetry.
        """
        self._case, self._loop = case, loop
        fleet, n_area = loop.fleet, case.n_area
        self._plant_area = case.bus.area[case.resource.bus]
        self._of_area = np.equal.outer(case.bus.area, np.arange(n_area)).astype(np.float64)  # [bus, area]
        self._of_area /= np.maximum(self._of_area.sum(axis=0), 1.0)
        self._ties = ties(case)
        out_of = np.zeros((len(self._ties), n_area))
        rows = np.arange(len(self._ties))
        out_of[rows, case.bus.area[case.branch.from_bus[self._ties]]] = 1.0
        out_of[rows, case.bus.area[case.branch.to_bus[self._ties]]] = -1.0
        self._out_of = out_of
        # Plants to areas, [resource, area]: energy of batteries, then output of each kind.
        here = np.equal.outer(self._plant_area, np.arange(n_area))
        self._per_energy = _shares(here & (fleet.kind == BESS)[:, None], fleet.energy_mwh)
        self._per_range = [
            _shares(here & (fleet.kind == code)[:, None], fleet.range_mw) for code in (BESS, GAS, DR)
        ]
        self._has_energy = self._per_energy.sum(axis=0) > 0.0
        self._ties_mw = TIES_MW * case.setting.size
        self._agreed_mw = np.zeros((loop.n_env, n_area))  # off `tie_schedule_mw` when the episode began
        late = config.delay_intervals[NEIGHBOUR_FREQUENCY]
        # Frequencies are told in units of DF_HZ; a mean over buses errs as one transducer does at most.
        noise_sd, bias_sd = (
            (0.0, sd[NEIGHBOUR_FREQUENCY] / DF_HZ, 0.0) for sd in (config.noise_sd, config.bias_sd)
        )
        kinds = [NEIGHBOUR_FREQUENCY] + [SYSTEM_FREQUENCY] * (AREA_SIZE - 1)
        self._scada = Scada(
            config=replace(config, delay_intervals=(late, late, late), noise_sd=noise_sd, bias_sd=bias_sd),
            signal_class=np.tile(np.array(kinds), n_area),
            n_env=loop.n_env,
        )

    @property
    def size(self) -> int:
        """Numbers that every plant is shown."""
        return AREA_SIZE

    def reset(self, envs: IntArray, keys: Sequence[int], agents: Float32Array) -> None:
        """Begin an episode in some environments, as if what is measured there had been so for long.

        Args:
            envs: which environments.
            keys: of their episodes, from Episode.scada_key.
            agents: what all plants see at the beginning, of all environments; not looked at.
        """
        self._agreed_mw[envs] = self._off_schedule_mw()[envs]
        self._scada.reset(envs, [key ^ _OF_ITS_OWN for key in keys], self._measured()[envs])

    def advance(self, agents: Float32Array) -> None:
        """Sends what is measured at the end of an interval; `agents` is not looked at."""
        self._scada.advance(self._measured())

    def beside(self, agents: Float32Array) -> Float32Array:
        """What each plant sees, and behind it the numbers of its area, [env, resource, number + 6]."""
        n_env = len(agents)
        shown = self._scada.shown.reshape(n_env, -1, AREA_SIZE).astype(np.float32)
        return np.concatenate([agents, shown[:, self._plant_area]], axis=2)

    def get_state(self) -> dict[str, Any]:
        """Everything a later `set_state` needs."""
        return {"scada": self._scada.get_state(), "agreed_mw": self._agreed_mw.copy()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what get_state gave; raises what `Scada.set_state` does."""
        self._scada.set_state(state["scada"])
        self._agreed_mw = np.array(state["agreed_mw"])

    def _off_schedule_mw(self) -> FloatArray:
        """Export of each area less `tie_schedule_mw`, now, [env, area]."""
        loop = self._loop
        planned_mw = np.array(
            [
                0.0 if episode is None else episode.p_load_schedule_mw[k]
                for episode, k in zip(loop.episode, loop.interval, strict=True)
            ]
        )
        flow_mw: FloatArray = loop.grid.engine.s_from_mva.real[:, self._ties] @ self._out_of
        return flow_mw - tie_schedule_mw(self._case, planned_mw)

    def _measured(self) -> FloatArray:
        """Numbers of all areas now, in their scales, [env, area x 6]."""
        loop = self._loop
        exchange_mw = self._off_schedule_mw() - self._agreed_mw
        plants = loop.resources
        charge = 2.0 * (plants.energy_mwh / np.maximum(loop.fleet.energy_mwh, 1e-9)) @ self._per_energy - 1.0
        used = plants.output_mw / loop.fleet.range_mw
        parts = [
            loop.bus_df_hz @ self._of_area / DF_HZ,
            exchange_mw / self._ties_mw,
            np.where(self._has_energy, charge, 0.0),
            *(used @ per_range for per_range in self._per_range),
        ]
        return np.stack(parts, axis=2).reshape(loop.n_env, -1)


def _shares(mask: npt.NDArray[np.bool_], weight: FloatArray) -> FloatArray:
    """Weights of plants within their area, each column summing to one or to zero, [resource, area]."""
    part = mask * weight[:, None]
    total = part.sum(axis=0)
    shares: FloatArray = part / np.where(total > 0.0, total, 1.0)
    return shares


def tie_schedule_mw(case: Case, load_schedule_mw: FloatArray) -> FloatArray:
    """Scheduled export of every area: the published one without losses, scaled with the load that was planned.

        NI_S,a = level (share_a sum_b L_b - L_a),     share_a = P_a / sum P

    with L and P of the published case; so the schedules of all areas sum to zero. It is what the dispatch aims at.

    Args:
        case: the grid, with L and P.
        load_schedule_mw: load of the whole grid that the dispatch assumed [MW], [...].

    Returns:
        NI_S [MW], [..., area].
    """
    nominal_mw = np.bincount(case.bus.area[case.load.bus], case.load.p_mw, minlength=case.n_area)
    machine_mw = np.bincount(case.bus.area[case.machine.bus], case.machine.p_mw, minlength=case.n_area)
    export_mw = machine_mw / machine_mw.sum() * nominal_mw.sum() - nominal_mw
    level = np.asarray(load_schedule_mw) / nominal_mw.sum()
    return level[..., None] * export_mw
