"""Records as tables and as pandapower nets: what they hold is what the grid was."""

from dataclasses import replace

import numpy as np
import pytest

from cases.ieee68 import load_ieee68
from control.controllers.simple import RandomActions
from control.evaluation.export import Everything, ExportError, write_tables
from control.evaluation.grid_record import ByPlant
from control.evaluation.rollout import rollout
from control.scenario.suites import NORMAL
from grid_model.dynamics.events import Event
from marl.environment import make_batch


@pytest.fixture(scope="module")
def record():
    """Six intervals, in which a circuit and the published slack machine's neighbour G6 are lost."""
    case = load_ieee68()
    events = (
        Event(time_s=6.0, kind="branch_out", index=case.branch.name.index("34-35")),
        Event(time_s=10.0, kind="machine_out", index=case.machine.name.index("G6")),
    )
    batch = make_batch(replace(NORMAL, n_intervals=6, events=events), 1, auto_reset=False, check=False)
    controller = RandomActions(batch.loop.fleet, 1)
    return rollout(controller, ByPlant(batch), np.array([3]), Everything)


def test_tables_are_tidy_and_name_elements_as_the_case_does(record):
    tables, case = record.to_pandas(), load_ieee68()
    assert list(tables) == [
        *("interval", "bus", "branch", "machine", "renewable", "plant", "reactor", "area")
    ]
    assert tables["interval"]["time_s"].tolist() == [4.0, 8.0, 12.0, 16.0, 20.0, 24.0]
    assert len(tables["bus"]) == 6 * case.n_bus
    lost = tables["branch"].query("branch == '34-35'")
    assert lost["in_service"].tolist() == [True, False, False, False, False, False]
    assert (lost.loc[~lost["in_service"], "p_from_mw"] == 0.0).all()
    unit = tables["machine"].query("machine == 'G6'").set_index("time_s")["p_mw"]
    assert unit[8.0] > 100.0
    assert (unit[12.0:] == 0.0).all()
    assert (
        tables["plant"].groupby("plant")["state_of_charge"].count().sum() == 5 * 6
    )  # batteries alone have one


def test_power_in_the_tables_is_balanced_as_kirchhoff_has_it(record):
    """Machines, wind, sun and plants less loads is what lines and reactors lose; exports of all areas cancel but for
    the losses of the ties between them."""
    tables = record.to_pandas()
    total = {name: tables[name].groupby("time_s")["p_mw"].sum() for name in ("machine", "renewable", "plant")}
    total["load"] = tables["bus"].groupby("time_s")["load_mw"].sum()
    losses_mw = tables["branch"].groupby("time_s")[["p_from_mw", "p_to_mw"]].sum().sum(axis=1)
    gap_mw = total["machine"] + total["renewable"] + total["plant"] - total["load"] - losses_mw
    assert np.abs(gap_mw).max() < 1e-3  # 68 buses, each solved to 1e-8 of 100 MVA or better
    export_mw = tables["area"].groupby("time_s")["export_mw"].sum()
    assert ((export_mw > 0.0) & (export_mw < losses_mw)).all()


@pytest.mark.parametrize("time_s", [2.0, 8.0, 24.0])
def test_a_net_of_an_instant_is_solved_by_pandapower_to_the_same_state(record, time_s):
    """Voltages within 1e-7 pu, angles but for the reference, the slack machine's power to a kilowatt."""
    net = record.net_at(time_s)
    case, k = load_ieee68(), int(np.ceil(time_s / 4.0)) - 1
    np.testing.assert_allclose(net.res_bus["vm_pu"], record["bus.vm_pu"][0, k], atol=1e-7)
    turned = net.res_bus["va_degree"].to_numpy() - record["bus.va_degree"][0, k]
    turned = (turned - turned[0] + 180.0) % 360.0 - 180.0
    assert np.abs(turned).max() < 1e-5
    running = record["machine.in_service"][0, k] > 0.0
    given = net.res_gen["p_mw"].to_numpy()[running]
    np.testing.assert_allclose(given, record["machine.p_mw"][0, k][running], atol=1e-3)
    assert net.gen["in_service"].tolist() == running.tolist()
    np.testing.assert_allclose(
        net.res_line["p_from_mw"], record["branch.p_from_mw"][0, k, : case.n_line], atol=1e-3
    )


def test_tables_are_written_and_read_back(record, tmp_path):
    import pandas as pd

    written = write_tables(tmp_path / "episode", record)
    assert [path.name for path in written][:3] == ["interval.csv", "bus.csv", "branch.csv"]
    bus = pd.read_csv(tmp_path / "episode" / "bus.csv")
    pd.testing.assert_frame_equal(bus, record.to_pandas()["bus"], rtol=1e-9, check_dtype=False)
    one = write_tables(tmp_path / "run.csv", record)
    assert {path.name for path in one} >= {"run-interval.csv", "run-bus.csv"}


def test_what_cannot_be_exported_is_refused_in_words(record, tmp_path):
    with pytest.raises(
        ExportError, match=r"ends in '\.xlsx', expected a directory or one of \.csv, \.parquet"
    ):
        write_tables(tmp_path / "x.xlsx", record)
    with pytest.raises(ExportError, match=r"99 s is outside the episode, expected 0 to 24 s"):
        record.net_at(99.0)
    with pytest.raises(ExportError, match=r"episode = 9, expected 0 to \d"):
        record.to_pandas(9)
    with pytest.raises(ExportError, match="play it with detail Everything"):
        replace(record, elements=(), case=None).to_pandas()
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        with pytest.raises(ExportError, match="needs pyarrow, which is not installed"):
            write_tables(tmp_path / "x.parquet", record)
    else:
        assert write_tables(tmp_path / "x.parquet", record)
