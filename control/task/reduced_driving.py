"""What drives a reduced grid in an interval, all groups taken as one mass: for models that calculate on from there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cases.arrays import FloatArray
from grid_model.reduced.motion import Sizes

__all__ = ["Driving", "driving_of"]

Float32Array = npt.NDArray[np.float32]


class Driving(NamedTuple):
    """Sums over the groups, of every environment, as they stand at an interval's beginning; [env] unless said."""

    begin_mw: FloatArray  # A, all power besides agents, governors and damping
    end_mw: FloatArray  # and at the interval's end
    inertia_mws_per_hz: FloatArray
    damping_mw_per_hz: FloatArray
    governor_mw_per_hz: FloatArray
    room_up_mw: FloatArray  # of the governors
    room_down_mw: FloatArray
    dead_band_hz: FloatArray
    plant_share: FloatArray  # what the groups feel of a plant's power, [env, resource]
    plant_relief: FloatArray  # what loads draw more by the voltage, for a plant's MW, [env, resource]


def driving_of(
    sizes: Sizes,
    groups: FloatArray,
    segment: FloatArray,
    rows: tuple[Float32Array, Float32Array],
    dead_band_hz: FloatArray,
) -> Driving:
    """Of a batch.

    Args:
        sizes: of the model.
        groups: state of the groups, [env, row].
        segment: what holds now, [env, row].
        rows: what is stored of now and of the interval's end, [env, column] each.
        dead_band_hz: of the governors, [env].
    """
    g, m, n = sizes.n_group, sizes.n_machine, sizes.n_plant
    now, then = (row.astype(np.float64) for row in rows)
    gain = 2 * g + 2 * g * g
    share = segment[:, gain + m : gain + m + n * g].reshape(-1, n, g)
    relief = segment[:, gain + m + n * g : gain + m + 2 * n * g].reshape(-1, n, g)
    return Driving(
        begin_mw=groups[:, 4 * g : 5 * g].sum(axis=1),
        end_mw=then[:, 2 * g + 2 * m : 3 * g + 2 * m].sum(axis=1),
        inertia_mws_per_hz=segment[:, :g].sum(axis=1),
        damping_mw_per_hz=now[:, :g].sum(axis=1),
        governor_mw_per_hz=segment[:, gain : gain + m].sum(axis=1),
        room_up_mw=now[:, 2 * g : 2 * g + m].sum(axis=1),
        room_down_mw=now[:, 2 * g + m : 2 * g + 2 * m].sum(axis=1),
        dead_band_hz=dead_band_hz,
        plant_share=share.sum(axis=2),
        plant_relief=relief.sum(axis=2),
    )
