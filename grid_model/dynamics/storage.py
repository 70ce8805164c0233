"""Batteries that respond to frequency within a control interval: their data, and their states in a batch.

What agents move every few seconds cannot meet the first swing after an outage; an inverter's own controller can. The
equations are in `grid_model.kernels.storage_response`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cases.arrays import FloatArray, IntArray
from grid_model.kernels.structs import StorageResponse

__all__ = ["StoragePlants", "response_state", "storage_at_rest"]


@dataclass(frozen=True, kw_only=True)
class StoragePlants:
    """Plants that respond; every array has shape [storage]."""

    resource: IntArray  # rows of the resource table
    droop_mw_per_hz: FloatArray  # K
    dead_band_hz: FloatArray  # b, of the droop alone
    synthetic_inertia_s: FloatArray  # H on p_max_mw
    lag_s: FloatArray  # T, of the measured frequency
    p_max_mw: FloatArray  # both ways, of set-point and response together
    charging_efficiency: FloatArray
    discharging_efficiency: FloatArray

    def __post_init__(self) -> None:
        for name in ("droop_mw_per_hz", "dead_band_hz", "synthetic_inertia_s"):
            if not np.all(getattr(self, name) >= 0.0):
                raise ValueError(f"storage response: {name} = {getattr(self, name)}, expected >= 0")
        for name in ("lag_s", "p_max_mw", "charging_efficiency", "discharging_efficiency"):
            if not np.all(getattr(self, name) > 0.0):
                raise ValueError(f"storage response: {name} = {getattr(self, name)}, expected > 0")


def storage_at_rest(plants: StoragePlants, n_env: int, f0_hz: float) -> StorageResponse:
    """States of every environment at nominal frequency, without room in the stores until it is granted.

    Synthetic inertia is that of a machine of the same H and rating, M_v = 2 H P_max / f0.
    """

    def states() -> FloatArray:
        return np.zeros((n_env, plants.resource.size))

    return StorageResponse(
        resource=plants.resource,
        droop_mw_per_hz=plants.droop_mw_per_hz,
        dead_band_hz=plants.dead_band_hz,
        inertia_mws_per_hz=2.0 * plants.synthetic_inertia_s * plants.p_max_mw / f0_hz,
        lag_s=plants.lag_s,
        p_max_mw=plants.p_max_mw,
        charging_efficiency=plants.charging_efficiency,
        discharging_efficiency=plants.discharging_efficiency,
        measured_hz=states(),
        response_mw=states(),
        drawn_mwh=states(),
        room_out_mwh=states(),
        room_in_mwh=states(),
    )


def response_state(storage: StorageResponse | None) -> dict[str, FloatArray]:
    """The arrays that an interval hands on to the next, by name; none without plants that respond."""
    if storage is None:
        return {}
    return {"storage_measured_hz": storage.measured_hz, "storage_response_mw": storage.response_mw}
