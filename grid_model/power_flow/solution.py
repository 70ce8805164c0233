"""What a power flow answers, and how it fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cases.arrays import BoolArray, FloatArray
from cases.tables import MachineTable
from grid_model.network.admittance import ComplexArray

if TYPE_CHECKING:
    pass


__all__ = ["EngineMismatch", "PowerFlowDiverged", "Solution"]


class PowerFlowDiverged(RuntimeError):
    """Newton's method found no solution; the message says for what."""


class EngineMismatch(RuntimeError):
    """Engine and oracle disagree on the reference state of a case."""


@dataclass(frozen=True, kw_only=True)
class Solution:
    """One solved AC power flow in the order of the case tables."""

    v_pu: ComplexArray  # [bus]
    machine_p_mw: FloatArray  # [machine]
    machine_q_mvar: FloatArray  # [machine]
    iterations: int


def governor_share(machine: MachineTable, in_service: BoolArray | None = None) -> FloatArray:
    """Share of each machine in the pick-up of an imbalance: governor gain goes by rating; sums to one, [machine]."""
    rating = machine.rating_mva if in_service is None else np.where(in_service, machine.rating_mva, 0.0)
    total = rating.sum()
    return rating / total if total > 0.0 else rating


def rating_share(machine: MachineTable, in_service: BoolArray) -> FloatArray:
    """Share of each machine in what all at its bus send out together, by rating; zero out of service.

    Args:
        machine: table of the machines.
        in_service: which of them are, [n, machine].

    Returns:
        [n, machine], exactly one for a machine that is alone at its bus.
    """
    rating = np.where(in_service, machine.rating_mva, 0.0)
    together = rating @ (machine.bus[:, None] == machine.bus)
    return np.divide(rating, together, out=np.zeros_like(rating), where=together > 0.0)
