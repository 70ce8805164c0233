"""How long a plan of 520 s takes: what MPC, full information and those who imitate them wait for.

Plans are timed in the places where full information comes in `normal`, one after the other as it plays.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cases.arrays import FloatArray
from control.controllers.full_information import FullInformation
from control.controllers.one_mass import Start
from control.evaluation.grid_record import ByPlant
from control.evaluation.rollout import rollout
from control.scenario.suites import SCENARIOS
from marl.environment import make_batch

N_ENV = 4


def measure(intervals: int = 100) -> dict[str, float]:
    """Figures by key.

    plan_ms: mean time of a plan, solved and laid out [ms].
    """
    batch = make_batch(replace(SCENARIOS["normal"], n_intervals=intervals), N_ENV, check=False)
    controller = FullInformation(batch.description, batch.loop)
    targets, times_s = controller.horizon.targets, []

    def timed(starts: Sequence[Start], d_mw: FloatArray) -> FloatArray:
        began_s = time.process_time()
        found = targets(starts, d_mw)
        times_s.append(time.process_time() - began_s)
        return found

    controller.horizon.targets = timed  # type: ignore[method-assign]
    rollout(controller, ByPlant(batch), np.arange(N_ENV))
    return {"plan_ms": 1e3 * float(np.mean(times_s)) / N_ENV}
