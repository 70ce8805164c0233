"""Tables of a case, checked as they are made: arrays with one entry a row.

Wherever a bus is meant, `bus` is a position in the bus table (0-based), `bus_number` the label printed in the source.
Per-unit impedances are on the case's `base_mva` and the bus voltage `vn_kv`; machine data on the machine's
own `base_mva`. Columns with a default hold what the 68-bus case has not: conductance, phase shifters, unequal ends,
loads that depend on voltage, DC lines. Left out: sequence impedances, saturation and stabilisers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cases.arrays import (
    BoolArray,
    CaseDataError,
    ComplexArray,
    FloatArray,
    IntArray,
    fill_column,
    freeze_arrays,
    no_complex,
    no_floats,
    require_finite,
    require_length,
    require_non_negative,
    require_positive,
    require_unique,
)

RENEWABLE_KINDS = ("wind", "pv")
RESOURCE_KINDS = ("bess", "gas", "dr")


@dataclass(frozen=True, kw_only=True)
class BusTable:
    """Buses; every array has shape [bus].

    Vector groups of transformers turn angles and nothing else. They stand here and not in the circuits: an angle
    of the source's own solution is the angle of this project's, plus `turn_rad`.
    """

    bus_number: IntArray  # label in the source
    area: IntArray  # position in Case.area_names
    vn_kv: FloatArray  # nominal voltage
    vm_min_pu: FloatArray  # lower end of the voltage band, on vn_kv
    vm_max_pu: FloatArray  # upper end
    x: FloatArray  # position in a drawing, any unit; nan where it is not known
    y: FloatArray
    turn_rad: FloatArray = field(default_factory=no_floats)  # 0 unless given

    def __post_init__(self) -> None:
        n = len(self.bus_number)
        fill_column(self, "turn_rad", np.zeros(n))
        freeze_arrays(self)
        require_length("bus table", n, {f: getattr(self, f) for f in self.__dataclass_fields__})
        require_unique("bus_number", self.bus_number, label="bus table")
        require_positive("vn_kv", self.vn_kv, label="bus", of=self.bus_number)
        require_positive("vm_min_pu", self.vm_min_pu, label="bus", of=self.bus_number)
        require_positive(
            "vm_max_pu - vm_min_pu", self.vm_max_pu - self.vm_min_pu, label="bus", of=self.bus_number
        )
        require_finite("turn_rad", self.turn_rad, label="bus", of=self.bus_number)


@dataclass(frozen=True, kw_only=True)
class BranchTable:
    """Rated circuits, one a row, lines first and transformers after them; every array has shape [branch].

    Parallel circuits of a corridor are rows of their own, so that one of them can be lost. With the ideal transformer
    t = tap exp(j shift) at `from_bus`, where `tap` is an off-nominal ratio, and admittances y = 1/z of the series
    impedance z = r + jx and y_back = 1/(z + asymmetry),

        y_ff = (y + jb/2 + s_from) / |t|^2,   y_ft = -y / conj(t),   y_tf = -y_back / t,   y_tt = y_back + jb/2 + s_to.
    """

    name: tuple[str, ...]  # bus numbers in the order of the source, with the circuit if there are several
    corridor: IntArray  # number of the corridor in the source
    circuit: IntArray  # 1 for the first circuit of the corridor
    from_bus: IntArray
    to_bus: IntArray
    is_transformer: BoolArray
    r_pu: FloatArray  # of this circuit, on Case.base_mva, as x_pu and b_pu; below 0 in equivalents
    x_pu: FloatArray  # below 0 where capacitors compensate more than all of the line
    b_pu: FloatArray  # total line charging; below 0 for what magnetises a transformer
    tap: FloatArray  # off-nominal ratio; 1.0 where there is none
    tap_bus: IntArray  # bus that carries the ratio, equal to from_bus; -1 where there is none
    rate_a_mva: FloatArray  # normal
    rate_b_mva: FloatArray  # emergency, after an outage
    rate_c_mva: FloatArray  # short time
    rating_basis: tuple[str, ...]
    shift_rad: FloatArray = field(default_factory=no_floats)  # of a phase shifter; 0 unless given
    shunt_from_pu: ComplexArray = field(
        default_factory=no_complex
    )  # s_from: iron loss, line conductance, unequal ends
    shunt_to_pu: ComplexArray = field(default_factory=no_complex)  # s_to; both 0 unless given
    # Series impedance seen from to_bus less that seen from from_bus; 0 unless given.
    asymmetry_pu: ComplexArray = field(default_factory=no_complex)

    def __post_init__(self) -> None:
        n = len(self.name)
        fill_column(self, "shift_rad", np.zeros(n))
        for name in ("shunt_from_pu", "shunt_to_pu", "asymmetry_pu"):
            fill_column(self, name, np.zeros(n, dtype=np.complex128))
        freeze_arrays(self)
        require_length("branch table", n, {f: getattr(self, f) for f in self.__dataclass_fields__})
        require_unique("name", self.name, label="branch table")
        for name in ("r_pu", "x_pu", "b_pu", "shift_rad", "shunt_from_pu", "shunt_to_pu", "asymmetry_pu"):
            require_finite(name, getattr(self, name), label="branch", of=self.name)
        z_pu = self.r_pu + 1j * self.x_pu
        require_positive("|r_pu + j x_pu|", np.abs(z_pu), label="branch", of=self.name)
        require_positive("|z + asymmetry_pu|", np.abs(z_pu + self.asymmetry_pu), label="branch", of=self.name)
        require_positive("tap", self.tap, label="branch", of=self.name)
        require_positive("rate_a_mva", self.rate_a_mva, label="branch", of=self.name)
        require_non_negative(
            "rate_b_mva - rate_a_mva", self.rate_b_mva - self.rate_a_mva, label="branch", of=self.name
        )
        require_non_negative(
            "rate_c_mva - rate_b_mva", self.rate_c_mva - self.rate_b_mva, label="branch", of=self.name
        )
        if np.any(np.diff(self.is_transformer.astype(np.int64)) < 0):
            raise CaseDataError("branch table: a line follows a transformer, expected lines first.")
        for row in np.flatnonzero(self.from_bus == self.to_bus):
            raise CaseDataError(f"branch {self.name[row]}: both ends at one bus, expected two buses.")
        for row in np.flatnonzero((self.tap_bus != -1) & (self.tap_bus != self.from_bus)):
            raise CaseDataError(f"branch {self.name[row]}: tap_bus is not from_bus, expected the tap there.")
        for row in np.flatnonzero(~self.is_transformer & ((self.tap != 1.0) | (self.shift_rad != 0.0))):
            raise CaseDataError(
                f"line {self.name[row]}: tap = {self.tap[row]}, shift_rad = {self.shift_rad[row]}, expected 1 and 0 "
                "on a line."
            )

    @property
    def is_asymmetric(self) -> BoolArray:
        """Whether the series impedance differs between the two directions, [branch]."""
        differs: BoolArray = self.asymmetry_pu != 0.0
        return differs

    @property
    def reactance_pu(self) -> FloatArray:
        """Reactance for what neglects resistance, [branch]: x, or |r| of a circuit without any reactance."""
        return np.where(self.x_pu != 0.0, self.x_pu, np.abs(self.r_pu))

    @property
    def n_line(self) -> int:
        """Number of lines; rows from n_line on are transformers."""
        return int(np.count_nonzero(~self.is_transformer))


@dataclass(frozen=True, kw_only=True)
class MachineTable:
    """Synchronous machines; every array has shape [machine]. Per-unit data and h_s are on base_mva."""

    name: tuple[str, ...]
    bus: IntArray
    p_mw: FloatArray  # scheduled power; the slack machine's is a starting value
    vm_set_pu: FloatArray
    slack: BoolArray  # one in each island: reference of its angles
    base_mva: FloatArray
    h_s: FloatArray  # inertia constant
    xd_pu: FloatArray  # synchronous reactance, direct axis
    xd1_pu: FloatArray  # transient reactance, direct axis
    rating_mva: FloatArray  # size; gives the machine its share of governor gain and of distributed slack
    is_equivalent: BoolArray  # stands for a whole region and never trips as a unit
    cost_linear: FloatArray  # c1 of the cost c1 P + c2 P^2 an hour [USD/MWh]
    cost_quadratic: FloatArray  # c2 [USD/MW^2 h]

    def __post_init__(self) -> None:
        freeze_arrays(self)
        n = len(self.name)
        require_length("machine table", n, {f: getattr(self, f) for f in self.__dataclass_fields__})
        require_unique("name", self.name, label="machine table")
        require_finite("p_mw", self.p_mw, label="machine", of=self.name)
        for name in ("vm_set_pu", "base_mva", "h_s", "xd_pu", "xd1_pu", "rating_mva"):
            require_positive(name, getattr(self, name), label="machine", of=self.name)
        require_non_negative("cost_linear", self.cost_linear, label="machine", of=self.name)
        require_positive("cost_quadratic", self.cost_quadratic, label="machine", of=self.name)
        if not self.slack.any():
            raise CaseDataError("machine table: 0 slack machines, expected one in each island.")

    @property
    def slack_machine(self) -> int:
        """Position of the slack machine in this table; the first of them if there are several islands."""
        return int(np.flatnonzero(self.slack)[0])


@dataclass(frozen=True, kw_only=True)
class LoadTable:
    """Loads at nominal frequency and voltage, consumption counted positive; shape [load].

    Shares of a load may follow the voltage, P = P_0 (1 - i - z + i V + z V^2), and likewise Q with shares of its own.
    """

    name: tuple[str, ...]
    bus: IntArray
    p_mw: FloatArray
    q_mvar: FloatArray
    p_current_share: FloatArray = field(default_factory=no_floats)  # i of P; all shares are 0 unless given
    p_impedance_share: FloatArray = field(default_factory=no_floats)  # z of P
    q_current_share: FloatArray = field(default_factory=no_floats)  # i of Q
    q_impedance_share: FloatArray = field(default_factory=no_floats)  # z of Q

    def __post_init__(self) -> None:
        n = len(self.name)
        for name in self.share_columns:
            fill_column(self, name, np.zeros(n))
        freeze_arrays(self)
        require_length("load table", n, {f: getattr(self, f) for f in self.__dataclass_fields__})
        require_unique("name", self.name, label="load table")
        require_finite("p_mw", self.p_mw, label="load", of=self.name)
        require_finite("q_mvar", self.q_mvar, label="load", of=self.name)
        for name in self.share_columns:
            require_finite(name, getattr(self, name), label="load", of=self.name)

    @property
    def share_columns(self) -> tuple[str, ...]:
        """Names of the columns that say how a load follows the voltage."""
        return ("p_current_share", "p_impedance_share", "q_current_share", "q_impedance_share")

    @property
    def depends_on_voltage(self) -> bool:
        """Whether any load does."""
        return any(np.any(getattr(self, name)) for name in self.share_columns)


@dataclass(frozen=True, kw_only=True)
class ReactorTable:
    """Switchable shunts; q_mvar is what the whole bank absorbs at 1 pu, negative for capacitors, [reactor]."""

    bus: IntArray
    q_mvar: FloatArray

    def __post_init__(self) -> None:
        freeze_arrays(self)
        require_length("reactor table", len(self.bus), {"q_mvar": self.q_mvar})
        require_unique("bus", self.bus, label="reactor table")
        require_finite("q_mvar", self.q_mvar, label="reactor at bus position", of=self.bus)


@dataclass(frozen=True, kw_only=True)
class ShuntTable:
    """Shunts that nobody switches: what they draw at 1 pu, shape [shunt]."""

    bus: IntArray
    p_mw: FloatArray
    q_mvar: FloatArray

    def __post_init__(self) -> None:
        freeze_arrays(self)
        require_length("shunt table", len(self.bus), {"p_mw": self.p_mw, "q_mvar": self.q_mvar})
        for name in ("p_mw", "q_mvar"):
            require_finite(name, getattr(self, name), label="shunt at bus position", of=self.bus)

    @classmethod
    def none(cls) -> ShuntTable:
        """No shunts."""
        return cls(bus=np.zeros(0, dtype=np.int64), p_mw=np.zeros(0), q_mvar=np.zeros(0))


@dataclass(frozen=True, kw_only=True)
class DcLineTable:
    """DC lines: fixed powers at two buses whose voltages the converters hold; no inertia, no governor, [dc line].

    What it takes at one end and gives at the other differ by its losses. Either may be below 0.
    """

    name: tuple[str, ...]
    from_bus: IntArray
    to_bus: IntArray
    p_from_mw: FloatArray  # taken from the grid at from_bus
    p_to_mw: FloatArray  # given to it at to_bus
    vm_from_pu: FloatArray  # held at from_bus, unless a machine there holds another
    vm_to_pu: FloatArray

    def __post_init__(self) -> None:
        freeze_arrays(self)
        n = len(self.name)
        require_length("DC line table", n, {f: getattr(self, f) for f in self.__dataclass_fields__})
        require_unique("name", self.name, label="DC line table")
        for name in ("p_from_mw", "p_to_mw"):
            require_finite(name, getattr(self, name), label="DC line", of=self.name)
        for name in ("vm_from_pu", "vm_to_pu"):
            require_positive(name, getattr(self, name), label="DC line", of=self.name)

    @classmethod
    def none(cls) -> DcLineTable:
        """No DC lines."""
        no_bus, nothing = np.zeros(0, dtype=np.int64), np.zeros(0)
        return cls(
            name=(), from_bus=no_bus, to_bus=no_bus, p_from_mw=nothing, p_to_mw=nothing,
            vm_from_pu=nothing, vm_to_pu=nothing,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RenewableTable:
    """Wind and photovoltaic plants; every array has shape [renewable]."""

    name: tuple[str, ...]
    kind: tuple[str, ...]  # wind or pv
    bus: IntArray
    p_max_mw: FloatArray
    series: tuple[str, ...]  # column of the series that drives it

    def __post_init__(self) -> None:
        freeze_arrays(self)
        n = len(self.name)
        require_length("renewable table", n, {f: getattr(self, f) for f in self.__dataclass_fields__})
        require_unique("name", self.name, label="renewable table")
        require_positive("p_max_mw", self.p_max_mw, label="renewable plant", of=self.name)
        _require_kind("renewable plant", self.name, self.kind, RENEWABLE_KINDS)


@dataclass(frozen=True, kw_only=True)
class ResourceTable:
    """Controllable plants, one agent each; shape [resource].

    Sizes follow from the kind, as the scenario gives them, wherever a column with a default holds nan.
    """

    name: tuple[str, ...]
    kind: tuple[str, ...]  # bess, gas or dr
    bus: IntArray
    p_max_mw: FloatArray = field(default_factory=no_floats)  # range around the schedule, both ways
    energy_mwh: FloatArray = field(default_factory=no_floats)  # bess
    ramp_mw_per_min: FloatArray = field(default_factory=no_floats)
    lag_s: FloatArray = field(default_factory=no_floats)
    cost_per_mw: FloatArray = field(default_factory=no_floats)  # C of the reward
    cost_per_mw2: FloatArray = field(default_factory=no_floats)  # W of the reward

    def __post_init__(self) -> None:
        for name in self.size_columns:
            fill_column(self, name, np.full(len(self.name), np.nan))
        freeze_arrays(self)
        require_length(
            "resource table", len(self.name), {f: getattr(self, f) for f in self.__dataclass_fields__}
        )
        require_unique("name", self.name, label="resource table")
        _require_kind("resource", self.name, self.kind, RESOURCE_KINDS)
        for name in self.size_columns:
            values, positive = getattr(self, name), not name.startswith("cost")
            given = ~np.isnan(values)
            require = require_positive if positive else require_non_negative
            require(name, values[given], label="resource", of=np.array(self.name, dtype=object)[given])

    @property
    def size_columns(self) -> tuple[str, ...]:
        """Names of the columns that may say more than the kind does."""
        return ("p_max_mw", "energy_mwh", "ramp_mw_per_min", "lag_s", "cost_per_mw", "cost_per_mw2")

    def of_kind(self, kind: str) -> IntArray:
        """Positions of the resources of one kind, in table order."""
        return np.array([i for i, k in enumerate(self.kind) if k == kind], dtype=np.int64)


def _require_kind(
    label: str, names: tuple[str, ...], kinds: tuple[str, ...], allowed: tuple[str, ...]
) -> None:
    """Every kind is one of the allowed ones.

    Raises:
        CaseDataError: a kind is none of the allowed ones.
    """
    for name, kind in zip(names, kinds, strict=True):
        if kind not in allowed:
            raise CaseDataError(f"{label} {name}: kind = {kind}, expected one of {', '.join(allowed)}.")
