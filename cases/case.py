"""The frozen tables every case is made of.

A `Case` is what is known about a grid before anything is computed: buses, rated circuits, machines, loads,
and the plants and reactors this project adds. Tables hold arrays with one entry a row; wherever a bus is
meant, `bus` is a position in the bus table (0-based) and `bus_number` the label printed in the source.
Per-unit impedances are on the case's `base_mva` and the bus voltage `vn_kv`; machine data on the machine's
own `base_mva`. Left out: sequence impedances, saturation and stabilisers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cases.arrays import (
    BoolArray,
    CaseDataError,
    FloatArray,
    IntArray,
    freeze_arrays,
    require_finite,
    require_length,
    require_non_negative,
    require_position,
    require_positive,
    require_unique,
)
from cases.excitation import ExcitationTable

RENEWABLE_KINDS = ("wind", "pv")
RESOURCE_KINDS = ("bess", "gas", "dr")


@dataclass(frozen=True, kw_only=True)
class BusTable:
    """Buses; every array has shape [bus]."""

    bus_number: IntArray  # label in the source
    area: IntArray  # position in Case.area_names
    vn_kv: FloatArray  # nominal voltage
    vm_min_pu: FloatArray  # lower end of the voltage band, on vn_kv
    vm_max_pu: FloatArray  # upper end
    x: FloatArray  # position in a drawing, any unit
    y: FloatArray

    def __post_init__(self) -> None:
        freeze_arrays(self)
        n = len(self.bus_number)
        require_length("bus table", n, {f: getattr(self, f) for f in self.__dataclass_fields__})
        require_unique("bus_number", self.bus_number, label="bus table")
        require_positive("vn_kv", self.vn_kv, label="bus", of=self.bus_number)
        require_positive("vm_min_pu", self.vm_min_pu, label="bus", of=self.bus_number)
        require_positive(
            "vm_max_pu - vm_min_pu", self.vm_max_pu - self.vm_min_pu, label="bus", of=self.bus_number
        )
        for name in ("x", "y"):
            require_finite(name, getattr(self, name), label="bus", of=self.bus_number)


@dataclass(frozen=True, kw_only=True)
class BranchTable:
    """Rated circuits, one a row, lines first and transformers after them; every array has shape [branch].

    Parallel circuits of a corridor are rows of their own, so that one of them can be lost. A transformer with
    an off-nominal ratio has its tap at `from_bus`: the ideal transformer `tap`:1 sits between that bus and
    the series impedance, which makes y_ff = y / tap^2, y_ft = -y / tap, y_tt = y.
    """

    name: tuple[str, ...]  # bus numbers in the order of the source, with the circuit if there are several
    corridor: IntArray  # number of the corridor in the source
    circuit: IntArray  # 1 for the first circuit of the corridor
    from_bus: IntArray
    to_bus: IntArray
    is_transformer: BoolArray
    r_pu: FloatArray  # of this circuit, on Case.base_mva, as x_pu and b_pu
    x_pu: FloatArray
    b_pu: FloatArray  # total line charging
    tap: FloatArray  # off-nominal ratio; 1.0 where there is none
    tap_bus: IntArray  # bus that carries the ratio, equal to from_bus; -1 where there is none
    rate_a_mva: FloatArray  # normal
    rate_b_mva: FloatArray  # emergency, after an outage
    rate_c_mva: FloatArray  # short time
    rating_basis: tuple[str, ...]

    def __post_init__(self) -> None:
        freeze_arrays(self)
        n = len(self.name)
        require_length("branch table", n, {f: getattr(self, f) for f in self.__dataclass_fields__})
        require_unique("name", self.name, label="branch table")
        require_non_negative("r_pu", self.r_pu, label="branch", of=self.name)
        require_positive("x_pu", self.x_pu, label="branch", of=self.name)
        require_non_negative("b_pu", self.b_pu, label="branch", of=self.name)
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
        for row in range(n):
            if self.from_bus[row] == self.to_bus[row]:
                raise CaseDataError(f"branch {self.name[row]}: both ends at one bus, expected two buses.")
            if self.tap_bus[row] not in (-1, self.from_bus[row]):
                raise CaseDataError(
                    f"branch {self.name[row]}: tap_bus is not from_bus, expected the tap there."
                )
            if not self.is_transformer[row] and self.tap[row] != 1.0:
                raise CaseDataError(f"line {self.name[row]}: tap = {self.tap[row]}, expected 1 on a line.")

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
    slack: BoolArray  # exactly one: reference of the angles
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
        if np.count_nonzero(self.slack) != 1:
            raise CaseDataError(
                f"machine table: {np.count_nonzero(self.slack)} slack machines, expected exactly one."
            )

    @property
    def slack_machine(self) -> int:
        """Position of the slack machine in this table."""
        return int(np.flatnonzero(self.slack)[0])


@dataclass(frozen=True, kw_only=True)
class LoadTable:
    """Loads at nominal frequency and voltage, consumption counted positive; shape [load]."""

    name: tuple[str, ...]
    bus: IntArray
    p_mw: FloatArray
    q_mvar: FloatArray

    def __post_init__(self) -> None:
        freeze_arrays(self)
        n = len(self.name)
        require_length("load table", n, {f: getattr(self, f) for f in self.__dataclass_fields__})
        require_unique("name", self.name, label="load table")
        require_finite("p_mw", self.p_mw, label="load", of=self.name)
        require_finite("q_mvar", self.q_mvar, label="load", of=self.name)


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
    """Controllable plants, one agent each; their ratings follow from their kind. Shape [resource]."""

    name: tuple[str, ...]
    kind: tuple[str, ...]  # bess, gas or dr
    bus: IntArray

    def __post_init__(self) -> None:
        freeze_arrays(self)
        require_length("resource table", len(self.name), {"kind": self.kind, "bus": self.bus})
        require_unique("name", self.name, label="resource table")
        _require_kind("resource", self.name, self.kind, RESOURCE_KINDS)

    def of_kind(self, kind: str) -> IntArray:
        """Positions of the resources of one kind, in table order."""
        return np.array([i for i, k in enumerate(self.kind) if k == kind], dtype=np.int64)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One grid: its tables, its base power and its nominal frequency."""

    name: str
    base_mva: float
    f0_hz: float
    area_names: tuple[str, ...]
    bus: BusTable
    branch: BranchTable
    machine: MachineTable
    load: LoadTable
    reactor: ReactorTable
    renewable: RenewableTable
    resource: ResourceTable
    base_reactor_share: float = 0.0  # of every shunt, switched in at the published state
    excitation: ExcitationTable | None = (
        None  # of the machines; typical values take its place where none is known
    )

    def __post_init__(self) -> None:
        if not self.base_mva > 0.0:
            raise CaseDataError(f"case {self.name}: base_mva = {self.base_mva}, expected > 0.")
        if not self.f0_hz > 0.0:
            raise CaseDataError(f"case {self.name}: f0_hz = {self.f0_hz}, expected > 0.")
        n = self.n_bus
        require_position("area", self.bus.area, len(self.area_names), label="bus", of=self.bus.bus_number)
        require_position("from_bus", self.branch.from_bus, n, label="branch", of=self.branch.name)
        require_position("to_bus", self.branch.to_bus, n, label="branch", of=self.branch.name)
        require_position("bus", self.machine.bus, n, label="machine", of=self.machine.name)
        require_position("bus", self.load.bus, n, label="load", of=self.load.name)
        require_position("bus", self.reactor.bus, n, label="reactor", of=range(len(self.reactor.bus)))
        require_position("bus", self.renewable.bus, n, label="renewable plant", of=self.renewable.name)
        require_position("bus", self.resource.bus, n, label="resource", of=self.resource.name)
        if self.excitation is not None:
            require_length("excitation table", self.n_machine, {"t_field_s": self.excitation.t_field_s})
        islanded = unreached_buses(
            n,
            self.branch.from_bus,
            self.branch.to_bus,
            int(self.machine.bus[self.machine.slack_machine]),
        )
        if len(islanded):
            raise CaseDataError(
                f"case {self.name}: bus {self.bus.bus_number[islanded[0]]} has no path to the slack machine, "
                "expected one connected grid."
            )

    @property
    def n_bus(self) -> int:
        """Number of buses."""
        return len(self.bus.bus_number)

    @property
    def n_branch(self) -> int:
        """Number of rated circuits, lines and transformers together."""
        return len(self.branch.name)

    @property
    def n_line(self) -> int:
        """Number of line circuits: rows 0 to n_line - 1 of the branch table."""
        return self.branch.n_line

    @property
    def n_machine(self) -> int:
        """Number of synchronous machines."""
        return len(self.machine.name)

    @property
    def n_load(self) -> int:
        """Number of loads."""
        return len(self.load.name)

    @property
    def n_reactor(self) -> int:
        """Number of shunt reactors."""
        return len(self.reactor.bus)

    @property
    def n_renewable(self) -> int:
        """Number of wind and photovoltaic plants."""
        return len(self.renewable.name)

    @property
    def n_resource(self) -> int:
        """Number of controllable plants."""
        return len(self.resource.name)

    @property
    def n_area(self) -> int:
        """Number of areas."""
        return len(self.area_names)

    def bus_position(self, bus_number: int) -> int:
        """Position of the bus that carries this number in the source.

        Raises:
            CaseDataError: no bus carries this number.
        """
        found = np.flatnonzero(self.bus.bus_number == bus_number)
        if len(found) == 0:
            raise CaseDataError(f"case {self.name}: no bus {bus_number}, expected one of the bus table.")
        return int(found[0])


def unreached_buses(n_bus: int, from_bus: IntArray, to_bus: IntArray, root: int) -> IntArray:
    """Positions of the buses that no chain of branches joins to the root, in order."""
    reached = np.zeros(n_bus, dtype=np.bool_)
    reached[root] = True
    while True:
        touched = reached.copy()
        touched[to_bus[reached[from_bus]]] = True
        touched[from_bus[reached[to_bus]]] = True
        if np.array_equal(touched, reached):
            return np.flatnonzero(~reached)
        reached = touched


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
