"""A number that names no bus, line or transformer of a pandapower net is refused before pandapower computes.

Its compiled loops look at whatever place such a number points to: nothing here lets one come that far.
"""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

import numpy as np
import pandapower as pp
import pandapower.networks
import pandas as pd
import pytest

from cases.arrays import CaseDataError
from grid_model.network.pandapower_references import require_references
from grid_model.network.pandapower_tables import solve_net

# Every column by which a table of pandapower 3 names a bus, from its documentation of the element tables.
COLUMNS = [
    *((name, "bus") for name in (
        "load", "sgen", "motor", "asymmetric_load", "asymmetric_sgen", "storage", "gen", "switch", "shunt", "svc",
        "ssc", "vsc", "ext_grid", "ward", "xward",
    )),
    *((name, f"{end}_bus") for name in ("line", "impedance", "tcsc", "dcline") for end in ("from", "to")),
    *(("trafo", f"{end}_bus") for end in ("hv", "lv")),
    *(("trafo3w", f"{end}_bus") for end in ("hv", "mv", "lv")),
    *((name, "bus_dc") for name in ("vsc", "source_dc", "load_dc")),
    *(("line_dc", f"{end}_bus_dc") for end in ("from", "to")),
    *(("vsc_bipolar", f"bus_dc_{pole}") for pole in ("plus", "minus")),
]  # fmt: skip


@cache
def _small() -> Any:
    """Buses 3, 7 and 8, in a line of two lines with a transformer beside; a switch of each sort."""
    net = pp.create_empty_network(name="small")
    for bus in (3, 7, 8):
        pp.create_bus(net, 20.0, index=bus)
    for f, t in ((3, 7), (7, 8)):
        pp.create_line_from_parameters(
            net, f, t, length_km=2.0, r_ohm_per_km=0.2, x_ohm_per_km=0.4, c_nf_per_km=9.0, max_i_ka=0.3
        )
    pp.create_transformer_from_parameters(
        net, 3, 8, sn_mva=40.0, vn_hv_kv=20.0, vn_lv_kv=20.0, vk_percent=12.0, vkr_percent=0.3, pfe_kw=0.0,
        i0_percent=0.0,
    )  # fmt: skip
    pp.create_ext_grid(net, 3)
    pp.create_load(net, 8, p_mw=1.0)
    pp.create_switch(net, 7, 8, et="b", closed=False)
    pp.create_switch(net, 3, 0, et="l")
    pp.create_switch(net, 3, 0, et="t")
    pp.create_bus_dc(net, 20.0, index=3)
    return net


def small() -> Any:
    return deepcopy(_small())


def with_row(net: Any, table: str, **entries: Any) -> Any:
    """The net with a row more, all of whose other numbers are those of what is there, out of service."""
    row = {
        column: 3 if "bus" in column else False if kind.kind == "b" else 0
        for column, kind in net[table].dtypes.items()
    } | {"et": "b", "element": 3}  # fmt: skip
    row = {column: entry for column, entry in row.items() if column in net[table]} | entries
    new = pd.DataFrame([row], index=[7])
    net[table] = pd.concat([net[table], new]) if len(net[table]) else new
    return net


def refusal_of(net: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a net is refused with, by what never lets pandapower compute."""
    monkeypatch.setattr(pp, "runpp", lambda *a, **options: pytest.fail("pandapower was let to compute"))
    with pytest.raises(CaseDataError) as refusal:
        solve_net(net)
    assert len(str(refusal.value).splitlines()) == 1
    return str(refusal.value)


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_an_element_at_a_bus_that_is_not_there_is_refused(monkeypatch, table, column):
    """Whatever its kind, and in service or not: pandapower looks at some that are not."""
    place, net = "DC bus" if "bus_dc" in column else "bus", with_row(small(), table)
    require_references(net)
    for number in (99, -5, 999_999_999):
        net[table][column] = np.where(net[table].index == 7, number, net[table][column])
        said = refusal_of(net, monkeypatch)
        assert said == f"small: {table} 7: {column} = {number}, expected a {place} of the net."


def test_no_column_that_names_a_bus_has_been_left_out():
    """pandapower's own tables have no other; one that comes with a later version fails here."""
    empty = pp.create_empty_network()
    named = {
        (name, column)
        for name, table in empty.items()
        if isinstance(table, pd.DataFrame) and not name.startswith(("res_", "_"))
        for column in table.columns
        if "bus" in column
    }
    stacked = {("vsc_stacked", column) for column in ("bus", "bus_dc_plus", "bus_dc_minus")}  # as vsc_bipolar
    assert named - stacked == {*COLUMNS, ("vsc", "ref_bus"), ("vsc_bipolar", "bus")}


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (7.5, "7.5"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (2**70, str(2**70)),
        (True, "True"),
        (None, "None"),
        ("7", "'7'"),
        ("7\n8", r"'7\n8'"),
        ([], "[]"),
        (pd.NA, "<NA>"),
    ],
)
def test_what_is_no_number_of_a_bus_is_refused_in_one_line(monkeypatch, entry, told):
    net = small()
    net.load["bus"] = pd.Series([entry], index=net.load.index, dtype=object)
    assert refusal_of(net, monkeypatch) == f"small: load 0: bus = {told}, expected a bus of the net."


@pytest.mark.parametrize(
    ("kind", "element", "said"),
    [
        ("b", 99, "element = 99, expected a bus of the net."),
        ("l", 2, "element = 2, expected a line of the net."),
        ("t", 1, "element = 1, expected a transformer of the net."),
        ("t3", 0, "element = 0, expected a three-winding transformer of the net."),
        ("line", 0, "et = 'line', expected one of b, l, t, t3."),
        (None, 0, "et = None, expected one of b, l, t, t3."),
    ],
)
def test_a_switch_of_what_is_not_there_is_refused(monkeypatch, kind, element, said):
    net = with_row(small(), "switch", et=kind, element=element)
    assert refusal_of(net, monkeypatch) == f"small: switch 7: {said}"


@pytest.mark.parametrize(
    ("table", "index", "said"),
    [
        ("bus", [3, 7, -8], "bus -8, expected a number from 0 to 100000000"),
        ("bus", [3, 7, 10**12], "bus 1000000000000, expected a number from 0 to 100000000"),
        ("bus", [3.0, 7.0, 8.5], "bus 3.0: its index is of float64, expected whole numbers"),
        ("bus", ["a\nb", "c", "d"], "bus 'a\\nb': its index is of"),
        ("ext_grid", [-1], "ext_grid -1, expected a number from 0 to 100000000"),
    ],
)
def test_numbers_of_which_no_array_can_be_made_are_refused(monkeypatch, table, index, said):
    """Arrays are as long as the highest number; places are counted from the end where it is negative."""
    net = small()
    net[table].index = index
    assert said in refusal_of(net, monkeypatch)


def test_two_columns_of_one_name_are_refused(monkeypatch):
    net = small()
    net.load = pd.concat([net.load, net.load[["bus"]]], axis=1)
    said = refusal_of(net, monkeypatch)
    assert said == "small: load has two columns 'bus', expected one of each name."


@pytest.mark.parametrize("what", ["index", "columns"])
@pytest.mark.parametrize(
    "labels",
    [
        lambda plain: pd.MultiIndex.from_tuples([(label, 0) for label in plain]),
        lambda plain: pd.Index([{"a": label} for label in plain]),
    ],
)
def test_labels_that_cannot_be_looked_up_are_refused(monkeypatch, what, labels):
    net = small()
    setattr(net.line, what, labels(getattr(net.line, what)))
    said = refusal_of(net, monkeypatch)
    assert said == f"small: the {what} of line has labels of several parts, expected plain ones."


@pytest.mark.parametrize("name", ["example_multivoltage", "case118", "simple_four_bus_system"])
def test_nets_that_are_whole_are_let_through(name):
    """With switches of every sort, wards, and transformers of three windings."""
    require_references(getattr(pandapower.networks, name)())


def test_a_column_of_whole_floats_or_another_width_is_let_through():
    """As tables are that were put together from others: what pandapower makes of them is its own affair."""
    net = small()
    net.switch["bus"] = net.switch["bus"].astype(np.float64)
    net.load["bus"] = net.load["bus"].astype(np.int16)
    require_references(net)
    with_row(net, "vsc", ref_bus=None)  # as pandapower's own function leaves it
    require_references(net)
