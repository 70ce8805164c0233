"""A record for those who go on with pandas or pandapower: tidy tables, and the grid of any instant as a net.

    record = rollout(controller, ByPlant(environment), seeds, Everything)
    tables = record.to_pandas()         {"bus": columns time_s, bus, df_mhz, vm_pu, ...; "branch": ...; ...}
    net = record.net_at(120.0)          a pandapower net, solved
    write_tables(Path("episode"), record)

Every row is one element at the end of one interval; names of columns carry their units, labels are those of the case.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cases.arrays import BoolArray, FloatArray
from cases.case import Case
from cases.whole_file import replacing
from control.evaluation.grid_record import Grid, Traces, percent_of_rating_a
from grid_model.network.topology import islands

if TYPE_CHECKING:
    import pandas as pd

    from control.evaluation.rollout import Record, Step

__all__ = ["ENDINGS", "Everything", "ExportError", "net_at", "tables", "write_tables"]

ENDINGS = (".csv", ".parquet")


class ExportError(ValueError):
    """What is asked for cannot be written; the message says why and what to do."""


class Everything(Traces):
    """All that is known of the grid at the ends of the intervals; every array leads with [env].

    Names are `table.column`: buses with frequency, voltage, live flag and what loads draw there at their voltage;
    circuits with the flows into both ends, loading of rating A and service; machines with what they send out, schedule
    and service; renewables, plants (output and set-point around schedule, state of charge of batteries, NaN for
    others), reactors, and areas with their mean frequency and export. The environment must not begin anew by itself.
    """

    def __init__(self, environment: Grid) -> None:
        super().__init__(environment)
        case = environment.case
        self.case = case
        # Names of tables, and labels of what they have a row for at every instant.
        self.elements: tuple[tuple[str, tuple[str | int, ...]], ...] = tuple(
            pair
            for pair in (
                ("bus", tuple(int(n) for n in case.bus.bus_number)),
                ("branch", case.branch.name),
                ("machine", case.machine.name),
                ("renewable", case.renewable.name),
                ("plant", case.resource.name),
                ("reactor", tuple(f"reactor {case.bus.bus_number[b]}" for b in case.reactor.bus)),
                ("area", case.area_names),
            )
            if pair[1]
        )
        self._in_area = (case.bus.area[:, None] == np.arange(case.n_area)).astype(np.float64)
        ends = case.bus.area[case.branch.from_bus], case.bus.area[case.branch.to_bus]
        self._ties = np.flatnonzero(ends[0] != ends[1])
        self._out_of = np.zeros((2, len(self._ties), case.n_area))
        for k in (0, 1):
            self._out_of[k, np.arange(len(self._ties)), ends[k][self._ties]] = 1.0

    def measure(self, step: Step[Any]) -> Mapping[str, FloatArray]:
        """The interval just played."""
        environment, case = self._environment, self.case
        loop, end = environment.loop, environment.last_result
        assert end is not None
        grid, engine = loop.grid, loop.grid.engine
        live, drawn_mva = end.bus_live, grid.drawn_mva()
        df_hz = np.where(live, end.bus_df_hz, np.nan)
        charge = np.full(end.resource_mw.shape, np.nan)
        batteries = case.resource.of_kind("bess")
        charge[:, batteries] = end.utilisation[:, batteries]
        s_from, s_to = engine.s_from_mva, engine.s_to_mva
        n_live = live @ self._in_area
        found = {
            "bus.df_mhz": 1e3 * df_hz,
            "bus.vm_pu": np.where(live, np.abs(engine.v_pu), np.nan),
            "bus.va_degree": np.where(live, np.degrees(np.angle(engine.v_pu)), np.nan),
            "bus.live": live.astype(np.float64),
            "bus.load_mw": drawn_mva.real.copy(),
            "bus.load_mvar": drawn_mva.imag.copy(),
            "branch.p_from_mw": s_from.real.copy(),
            "branch.q_from_mvar": s_from.imag.copy(),
            "branch.p_to_mw": s_to.real.copy(),
            "branch.q_to_mvar": s_to.imag.copy(),
            "branch.loading_percent_of_rating_a": percent_of_rating_a(case, s_from, s_to),
            "branch.in_service": engine.branch_in_service.astype(np.float64),
            "machine.p_mw": grid.machine_mw.copy(),
            "machine.q_mvar": grid.machine_mvar.copy(),
            "machine.schedule_mw": grid.injections.schedule_mw.copy(),
            "machine.in_service": engine.machine_in_service.astype(np.float64),
            "renewable.p_mw": grid.renewable_mw(),
            "plant.p_mw": end.resource_mw.copy(),
            "plant.set_point_mw": grid.injections.set_point_mw.copy(),
            "plant.state_of_charge": charge,
            "reactor.share_in_service": engine.reactor_share.copy(),
            "area.df_mhz": 1e3
            * np.divide(np.nan_to_num(df_hz) @ self._in_area, n_live, where=n_live > 0, out=n_live * np.nan),
            "area.export_mw": s_from.real[:, self._ties] @ self._out_of[0]
            + s_to.real[:, self._ties] @ self._out_of[1],
        }
        held = {table for table, _ in self.elements}
        return {name: values for name, values in found.items() if name.split(".")[0] in held}


def tables(record: Record, episode: int = 0) -> dict[str, pd.DataFrame]:
    """Tidy tables of one episode.

    Args:
        record: of a rollout with `Everything`.
        episode: number in the record.

    Returns:
        By name: `interval` with reward and terms [1] and whatever is logged; then `bus`, `branch`, `machine`,
        `renewable`, `plant`, `reactor` and `area`, each with `time_s`, the element's label and its columns.

    Raises:
        ExportError: the record was made without `Everything`, or has no such episode.
    """
    import pandas as pd

    if not record.elements:
        raise ExportError("the record holds no elements of the grid; play it with detail Everything")
    _require_episode(record, episode)
    time_s = record.time_s(episode)
    n = len(time_s)
    found = {
        "interval": pd.DataFrame(
            {"time_s": time_s, "reward": record.reward[episode, :n]}
            | {name: values[episode, :n] for name, values in record.terms.items()}
        )
    }
    for table, labels in record.elements:
        columns: dict[str, Any] = {
            "time_s": np.repeat(time_s, len(labels)),
            table: np.tile(np.array(labels), n),
        }
        for name, values in record.arrays.items():
            of, _, column = name.partition(".")
            if of == table:  # reward terms and what an actor tells have no such name
                columns[column] = values[episode, :n].ravel()
        for flag in {"live", "in_service"} & set(columns):
            columns[flag] = columns[flag] > 0.0
        found[table] = pd.DataFrame(columns)
    return found


def _require_episode(record: Record, episode: int) -> None:
    """The record has an episode of this number.

    Raises:
        ExportError: it has not.
    """
    if not 0 <= episode < len(record.seed):
        raise ExportError(f"episode = {episode}, expected 0 to {len(record.seed) - 1}")


def require_format(path: Path) -> None:
    """Refuses a format that is unknown or whose library is not here, before anything is played.

    Raises:
        ExportError: it is.
    """
    if path.suffix and path.suffix.lower() not in ENDINGS:
        raise ExportError(
            f"{path} ends in {path.suffix!r}, expected a directory or one of {', '.join(ENDINGS)}"
        )
    if path.suffix.lower() == ".parquet":
        try:
            import pyarrow  # noqa: F401  the library that pandas writes it with
        except ImportError as error:
            raise ExportError(
                f"{path}: parquet needs pyarrow, which is not installed: pip install pyarrow, or write .csv"
            ) from error


def write_tables(path: Path, record: Record, episode: int = 0) -> list[Path]:
    """Writes the tables of an episode.

    Args:
        path: a directory, which receives a .csv for each table; or FILE.csv or FILE.parquet, whose name before the
            ending receives each table's name, such as FILE-bus.parquet.
        record: of a rollout with `Everything`.
        episode: number in the record.

    Returns:
        The files.

    Raises:
        ExportError: see `tables` and `require_format`.
        cases.whole_file.OutputError: a file cannot be written.
    """
    require_format(path)
    written = []
    for name, frame in tables(record, episode).items():
        if path.suffix:
            place = path.with_name(f"{path.stem}-{name}{path.suffix}")
        else:
            place = path / f"{name}.csv"
        with replacing(place) as part:
            if place.suffix.lower() == ".parquet":
                frame.to_parquet(part, index=False)
            else:
                frame.to_csv(part, index=False, float_format="%.10g")
        written.append(place)
    return written


def net_at(record: Record, time_s: float, episode: int = 0) -> Any:
    """The grid at the end of an interval as a pandapower net with results.

    Loads stand in it as constant power, at what they drew at their voltage then; machines hold the voltage they had.
    Each living island has one machine as slack; what it gives is what it gave in the episode, to the solver's
    tolerance. Angles count from the slack machine's terminal.

    Args:
        record: of a rollout with `Everything`.
        time_s: within the episode [s]; the end of the interval that it lies in.
        episode: number in the record.

    Returns:
        pandapower net, solved by `runpp(trafo_model="pi")`.

    Raises:
        ExportError: no such instant, or the record was made without `Everything`.
    """
    from grid_model.network.pandapower_net import build_network, set_reactor_share, solve, switch_circuits

    if record.case is None:
        raise ExportError("the record holds no elements of the grid; play it with detail Everything")
    _require_episode(record, episode)
    case, ends_s = record.case, record.time_s(episode)
    if not 0.0 <= time_s <= ends_s[-1]:
        raise ExportError(f"{time_s:g} s is outside the episode, expected 0 to {ends_s[-1]:g} s")
    k = int(np.searchsorted(ends_s, time_s))

    def at(name: str) -> FloatArray:
        values: FloatArray = record[name][episode, k]
        return values

    live, on = at("bus.live") > 0.0, at("branch.in_service") > 0.0
    running = (at("machine.in_service") > 0.0) & live[case.machine.bus]
    net = build_network(case, distributed_slack=False)
    switch_circuits(net, case, on, live)
    if case.n_reactor:
        set_reactor_share(net, case, at("reactor.share_in_service"))
    shares = [column for column in net.load.columns if column.startswith("const_")]
    net.load[shares] = 0.0  # what they drew holds at this voltage
    share = _share_of_bus(case)
    net.load["p_mw"] = share * at("bus.load_mw")[case.load.bus]
    net.load["q_mvar"] = share * at("bus.load_mvar")[case.load.bus]
    net.gen["in_service"], net.gen["p_mw"] = running, at("machine.p_mw")
    net.gen["vm_pu"] = np.where(running, np.nan_to_num(at("bus.vm_pu"), nan=1.0)[case.machine.bus], 1.0)
    net.gen["slack"] = slack = _slack_machines(case, on, live, running)
    net.gen["slack_weight"] = slack.astype(np.float64)
    plant_mw = at("plant.p_mw") if case.n_resource else np.zeros(0)
    others = np.concatenate([case.resource.of_kind("gas"), case.resource.of_kind("dr")])
    renewable_mw = at("renewable.p_mw") if case.n_renewable else np.zeros(0)
    net.sgen["p_mw"] = np.concatenate([renewable_mw, plant_mw[others]])
    net.sgen["in_service"] = live[net.sgen["bus"].to_numpy()]
    net.storage["p_mw"] = -plant_mw[case.resource.of_kind("bess")]
    net.storage["in_service"] = live[net.storage["bus"].to_numpy()]
    net.name = f"{case.name} at {ends_s[k]:g} s"
    solve(net)
    return net


def _share_of_bus(case: Case) -> FloatArray:
    """Share of each load in all that stand at its bus, by nominal power; equal shares where that is zero, [load]."""
    size = np.abs(case.load.p_mw) + np.abs(case.load.q_mvar)
    size = np.where(np.bincount(case.load.bus, size, case.n_bus)[case.load.bus] > 0.0, size, 1.0)
    share: FloatArray = size / np.bincount(case.load.bus, size, case.n_bus)[case.load.bus]
    return share


def _slack_machines(case: Case, on: BoolArray, live: BoolArray, running: BoolArray) -> BoolArray:
    """The case's own slack machine where it runs, else the largest of each living island, [machine]."""
    slack = np.zeros(case.n_machine, dtype=np.bool_)
    island = islands(case, on)[case.machine.bus]
    for name in np.unique(island[running]):
        members = np.flatnonzero(running & (island == name))
        own = members[case.machine.slack[members]]
        slack[own[0] if len(own) else members[int(np.argmax(case.machine.rating_mva[members]))]] = True
    return slack
