"""Choices of the frequency model, and inertia of the machines."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from cases.arrays import FloatArray
from cases.case import Case
from grid_model.dynamics.governor import GovernorConfig
from grid_model.dynamics.load_model import LoadModel
from grid_model.dynamics.load_shedding import LoadSheddingConfig
from grid_model.dynamics.over_frequency import OverFrequencyConfig
from grid_model.dynamics.terminal_voltage import TerminalVoltageModel

__all__ = ["Level", "SwingConfig", "machine_inertia_mws_per_hz", "swing_of"]

Level = Literal["machine", "area", "system"]
PUBLISHED_F0_HZ = 60.0  # of the settings of relays


@dataclass(frozen=True, kw_only=True)
class SwingConfig:
    """Choices of the frequency model."""

    level: Level = "area"
    dt_s: float = 0.02
    load_damping: float = 1.0  # % of load per % of frequency: Kundur 1994, sec. 7.1.2 gives 1 to 2
    tie_damping_s: float = 0.02  # K: damps a mode by K omega / 2; the least with no mode below 3 %
    # While machines swing against each other losses follow the swing; one power flow an interval would alias them.
    renewal_spread_hz: float = (
        0.02  # between groups at the start of an interval; beyond it, and after events,
    )
    renewal_s: float = 0.25  # the power flow is renewed this often
    spare_groups: int = (
        0  # for parts of a group that lives on in several islands; each costs time in every step
    )
    island_trip_hz: float = 2.2  # deviation at which the machines of an island trip while a larger one stands
    load: LoadModel = field(default_factory=LoadModel)
    terminal_voltage: TerminalVoltageModel = "regulated"  # of the machines in a swing
    lost_after_s: float = 2.0  # without a solution of the power flow
    inertia_to_mws: float | None = None  # scale all H so that sum H S is this; None: as published
    # Machines keep to typical reactive limits in the power flow, see `power_flow.reactive_limits`; else they give what
    # their voltage takes.
    reactive_limits: bool = False
    governor: GovernorConfig = field(default_factory=GovernorConfig)
    load_shedding: LoadSheddingConfig | None = field(default_factory=LoadSheddingConfig)  # None: no relays
    over_frequency: OverFrequencyConfig | None = field(default_factory=OverFrequencyConfig)  # None: nothing

    def __post_init__(self) -> None:
        if self.level not in get_args(Level):
            raise ValueError(
                f"frequency model: level = {self.level!r}, expected one of {', '.join(get_args(Level))}"
            )
        if self.terminal_voltage not in get_args(TerminalVoltageModel):
            raise ValueError(
                f"frequency model: terminal_voltage = {self.terminal_voltage!r}, expected one of "
                f"{', '.join(get_args(TerminalVoltageModel))}"
            )
        if not self.lost_after_s >= 0.0:
            raise ValueError(f"frequency model: lost_after_s = {self.lost_after_s} s, expected >= 0")
        if not self.dt_s > 0.0:
            raise ValueError(f"frequency model: dt_s = {self.dt_s} s, expected > 0")
        for name in ("load_damping", "tie_damping_s"):
            if not getattr(self, name) >= 0.0:
                raise ValueError(f"frequency model: {name} = {getattr(self, name)}, expected >= 0")
        if not self.renewal_s > 0.0 or not self.renewal_spread_hz >= 0.0:
            raise ValueError(
                f"frequency model: renewal_s = {self.renewal_s} s, expected > 0; renewal_spread_hz = "
                f"{self.renewal_spread_hz} Hz, expected >= 0"
            )
        if self.spare_groups < 0 or not self.island_trip_hz > 0.0:
            raise ValueError(
                f"frequency model: spare_groups = {self.spare_groups}, expected >= 0; island_trip_hz = "
                f"{self.island_trip_hz} Hz, expected > 0"
            )
        if self.inertia_to_mws is not None and not self.inertia_to_mws > 0.0:
            raise ValueError(f"frequency model: inertia_to_mws = {self.inertia_to_mws}, expected > 0")


def swing_of(case: Case) -> SwingConfig:
    """The usual frequency model at a grid's size and nominal frequency; on the 68-bus system the default one.

    Gain and rate of the governors are in proportion to the grid's load, and relays stand as far from nominal frequency
    as on 60 Hz.
    """
    usual, size, shift_hz = SwingConfig(), case.setting.size, case.f0_hz - PUBLISHED_F0_HZ
    if size == 1.0 and shift_hz == 0.0:
        return usual
    governor, shedding, over = usual.governor, usual.load_shedding, usual.over_frequency
    assert shedding is not None
    assert over is not None
    return replace(
        usual,
        governor=replace(
            governor,
            gain_mw_per_hz=governor.gain_mw_per_hz * size,
            rate_mw_per_s=governor.rate_mw_per_s * size,
        ),
        load_shedding=replace(shedding, stage_hz=tuple(stage + shift_hz for stage in shedding.stage_hz)),
        over_frequency=replace(
            over,
            renewable_from_hz=over.renewable_from_hz + shift_hz,
            trip_stage_hz=tuple(stage + shift_hz for stage in over.trip_stage_hz),
        ),
    )


def machine_inertia_mws_per_hz(case: Case, inertia_to_mws: float | None = None) -> FloatArray:
    """M_i = 2 H_i S_i / f0 of each machine [MW s/Hz], [machine].

    Args:
        case: the grid; H and S are the machine table's `h_s` and `base_mva`.
        inertia_to_mws: scale all machines alike so that sum(H S) is this [MW s]; None leaves them as published.
    """
    stored_mws = case.machine.h_s * case.machine.base_mva
    if inertia_to_mws is not None:
        stored_mws = stored_mws * (inertia_to_mws / stored_mws.sum())
    return 2.0 * stored_mws / case.f0_hz
