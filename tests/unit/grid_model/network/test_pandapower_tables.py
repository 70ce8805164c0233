"""Nets of every kind come out with pandapower's own voltages at the user's own labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd
import pytest

from cases.arrays import CaseDataError
from grid_model.network.pandapower_tables import solve_net
from grid_model.power_flow.angles import source_voltages
from grid_model.power_flow.newton import NewtonEngine
from grid_model.power_flow.open_case import open_and_solve

LABELS = (3, 7, 8, 20, 41)


def ring() -> Any:
    """Four buses of 110 kV in a ring, a fifth of 20 kV behind two transformers; labels far apart, 50 Hz, 1 MVA."""
    net = pp.create_empty_network(name="ring", f_hz=50.0, sn_mva=1.0)
    for label in LABELS:
        pp.create_bus(net, 20.0 if label == 41 else 110.0, name=f"station {label}", index=label)
    for f, t in ((3, 7), (7, 8), (8, 20), (20, 3)):
        pp.create_line_from_parameters(
            net, f, t, length_km=20.0, r_ohm_per_km=0.06, x_ohm_per_km=0.4, c_nf_per_km=9.0, max_i_ka=0.5
        )
    for _ in range(2):
        transformer(net, 8, 41)
    pp.create_ext_grid(net, 3, vm_pu=1.02)
    pp.create_gen(net, 20, p_mw=30.0, vm_pu=1.01)
    for bus, p_mw, q_mvar in ((7, 20.0, 5.0), (8, 10.0, 3.0), (41, 15.0, 4.0)):
        pp.create_load(net, bus, p_mw=p_mw, q_mvar=q_mvar)
    return net


def transformer(net: Any, hv: int, lv: int, **options: Any) -> None:
    given: dict[str, Any] = {
        "sn_mva": 40.0, "vn_hv_kv": 110.0, "vn_lv_kv": 20.0, "vk_percent": 12.0, "vkr_percent": 0.3,
        "pfe_kw": 0.0, "i0_percent": 0.0, "shift_degree": 0.0, "tap_side": "hv", "tap_neutral": 0,
        "tap_min": -9, "tap_max": 9, "tap_step_percent": 1.5, "tap_pos": 0, "tap_changer_type": "Ratio",
    }  # fmt: skip
    pp.create_transformer_from_parameters(net, hv, lv, **(given | options))


def second_voltage(net: Any) -> None:
    """A sixth bus behind a three-winding transformer."""
    pp.create_bus(net, 30.0, name="station 42", index=42)
    pp.create_load(net, 42, p_mw=4.0, q_mvar=1.0)
    pp.create_transformer3w_from_parameters(
        net, 8, 42, 41, vn_hv_kv=110.0, vn_mv_kv=30.0, vn_lv_kv=20.0, sn_hv_mva=40.0, sn_mv_mva=25.0,
        sn_lv_mva=15.0, vk_hv_percent=10.0, vk_mv_percent=11.0, vk_lv_percent=12.0, vkr_hv_percent=0.3,
        vkr_mv_percent=0.31, vkr_lv_percent=0.32, pfe_kw=30.0, i0_percent=0.1, shift_mv_degree=30.0,
        shift_lv_degree=0.0,
    )  # fmt: skip


def second_reference(net: Any) -> None:
    pp.create_ext_grid(net, 7, vm_pu=1.0, va_degree=-3.0)


def second_island(net: Any) -> None:
    """Buses 50 and 51 with a source of their own at 17 degrees, and 60 without any."""
    for label in (50, 51, 60):
        pp.create_bus(net, 10.0, name=f"station {label}", index=label)
    pp.create_line_from_parameters(
        net, 50, 51, length_km=2.0, r_ohm_per_km=0.2, x_ohm_per_km=0.4, c_nf_per_km=9.0, max_i_ka=0.3
    )
    pp.create_ext_grid(net, 50, vm_pu=1.03, va_degree=17.0)
    pp.create_load(net, 51, p_mw=2.0, q_mvar=0.5)
    pp.create_load(net, 60, p_mw=2.0, q_mvar=0.5)


def busbars(net: Any) -> None:
    """Bus 9 is one with 8 and feeds a load; the line 3-7 hangs at 3 with its end at 7 open."""
    pp.create_bus(net, 110.0, name="station 9", index=9)
    pp.create_load(net, 9, p_mw=6.0, q_mvar=2.0)
    pp.create_switch(net, 8, 9, et="b")
    pp.create_switch(net, 7, 0, et="l", closed=False)


def set_column(table: str, column: str, values: Any) -> Callable[[Any], None]:
    def change(net: Any) -> None:
        net[table][column] = values

    return change


NETS: list[tuple[str, Callable[[Any], Any]]] = [
    ("plain", lambda net: None),
    ("vector group", set_column("trafo", "shift_degree", 150.0)),
    ("unequal shifts of parallel transformers", set_column("trafo", "shift_degree", [150.0, 153.0])),
    ("ratio and iron", lambda net: transformer(net, 8, 41, tap_pos=3, pfe_kw=200.0, i0_percent=0.9)),
    ("phase shifter in a loop", lambda net: transformer(net, 7, 20, vn_lv_kv=110.0, shift_degree=-4.0)),
    ("line conductance", set_column("line", "g_us_per_km", [5.0, 0.0, 7.0, 0.0])),
    ("series capacitor", set_column("line", "x_ohm_per_km", [0.4, -0.1, 0.4, 0.4])),
    ("parallel", set_column("line", "parallel", [1, 2, 1, 3])),
    ("shunt", lambda net: pp.create_shunt(net, 7, q_mvar=-8.0, p_mw=1.5)),
    ("static generator and storage", lambda net: (
        pp.create_sgen(net, 41, p_mw=5.0, q_mvar=1.0), pp.create_storage(net, 7, p_mw=3.0, max_e_mwh=10.0)
    )),
    ("loads that follow the voltage", lambda net: (
        set_column("load", "const_z_p_percent", [60.0, 0.0, 30.0])(net),
        set_column("load", "const_i_p_percent", [20.0, 50.0, 0.0])(net),
        set_column("load", "const_z_q_percent", [100.0, 0.0, 20.0])(net),
        set_column("load", "const_i_q_percent", [0.0, 100.0, 30.0])(net),
    )),
    ("ward", lambda net: pp.create_ward(net, 7, ps_mw=2.0, qs_mvar=1.0, pz_mw=3.0, qz_mvar=-2.0)),
    ("extended ward", lambda net: pp.create_xward(
        net, 41, ps_mw=2.0, qs_mvar=1.0, pz_mw=1.0, qz_mvar=0.5, r_ohm=0.1, x_ohm=0.9, vm_pu=1.01
    )),
    ("three windings", second_voltage),
    ("unequal impedance", lambda net: pp.create_impedance(
        net, 3, 8, rft_pu=0.01, xft_pu=0.2, rtf_pu=0.02, xtf_pu=0.25, sn_mva=50.0, gf_pu=1e-4, bf_pu=2e-4,
        gt_pu=3e-4, bt_pu=5e-4,
    )),
    ("DC line", lambda net: pp.create_dcline(
        net, 7, 20, p_mw=10.0, loss_percent=1.2, loss_mw=0.5, vm_from_pu=1.0, vm_to_pu=1.01
    )),
    ("DC line backwards", lambda net: pp.create_dcline(
        net, 7, 8, p_mw=-10.0, loss_percent=1.2, loss_mw=0.5, vm_from_pu=1.0, vm_to_pu=1.005
    )),
    ("busbars and an open line", busbars),
    ("second reference", second_reference),
    ("islands", second_island),
]  # fmt: skip


@pytest.mark.parametrize("change", [n[1] for n in NETS], ids=[n[0] for n in NETS])
def test_voltages_are_the_nets_own_at_its_own_labels(tmp_path, change):
    net = ring()
    change(net)
    path = tmp_path / "ring.json"
    pp.to_json(net, str(path))
    opened = open_and_solve(str(path))
    case = opened.case
    pp.runpp(
        net,
        trafo_model="pi",
        calculate_voltage_angles=True,
        tolerance_mva=1e-10,
        max_iteration=30,
        numba=False,
    )
    v_pu = source_voltages(case, opened.v_pu)
    for label in net.bus.index:
        vm_pu = net.res_bus.at[label, "vm_pu"]
        if np.isnan(vm_pu):
            with pytest.raises(CaseDataError, match=f"no bus {label}"):
                case.bus_position(label)
            continue
        expected = vm_pu * np.exp(1j * np.deg2rad(net.res_bus.at[label, "va_degree"]))
        # Both stop at mismatches of 1e-9 pu of 1 MVA or less, which move these voltages by far less.
        assert abs(v_pu[case.bus_position(label)] - expected) < 1e-9
    slack = case.machine.slack_machine
    # The net's slack generates what the case says, to the mismatch of 1e-7 MVA that both may leave.
    assert case.machine.p_mw[slack] == pytest.approx(net.res_ext_grid.p_mw.iloc[0], abs=1e-6)
    # What this project writes of the case is the same grid to pandapower, with a distributed slack.
    NewtonEngine(case, reactor_share=1.0)


def test_fused_and_added_buses_are_told_and_leave_labels_alone():
    net = ring()
    busbars(net)
    second_voltage(net)
    tables = solve_net(net).tables
    assert tables.fused == ((9, 8),)
    assert any("1 buses are one with another through closed switches: 9 with 8" in n for n in tables.notes)
    assert any("2 buses are pandapower's own" in n and ": 43, 44" in n for n in tables.notes)


def test_a_dc_line_holds_voltages_and_has_neither_inertia_nor_governor(tmp_path):
    """10 MW leave bus 7; at 1.2 % and 0.5 MW of losses 9.38 MW arrive at bus 20."""
    net = ring()
    pp.create_dcline(net, 7, 20, p_mw=10.0, loss_percent=1.2, loss_mw=0.5, vm_from_pu=1.0, vm_to_pu=1.01)
    path = tmp_path / "ring.json"
    pp.to_json(net, str(path))
    case = open_and_solve(str(path)).case
    assert case.machine.name == ("G3", "G20")
    assert (case.dc_line.p_from_mw[0], case.dc_line.p_to_mw[0]) == pytest.approx((10.0, 9.38), rel=1e-14)
    engine = NewtonEngine(case, reactor_share=1.0)
    injection = engine.reference_injection()[None]

    def losses_mw() -> float:
        return float((engine.s_from_mva + engine.s_to_mva).sum().real)

    with_line, losses_with = engine.machine_power(injection).sum().real, losses_mw()
    engine.set_dc_lines(0, np.array([False]))
    assert engine.solve(injection).all()
    without, losses_without = engine.machine_power(injection).sum().real, losses_mw()
    # Without the line its losses of 0.62 MW are gone, and those of the network change; solutions to 1e-7 MW.
    assert with_line - without - (losses_with - losses_without) == pytest.approx(0.62, abs=1e-6)
    assert abs(engine.v_pu[0, case.bus_position(7)]) != pytest.approx(1.0, abs=1e-4)


def test_a_net_without_a_solution_is_refused_in_one_line():
    net = ring()
    net.load["p_mw"] *= 100.0
    with pytest.raises(CaseDataError, match="ring: pandapower cannot solve it") as refusal:
        solve_net(net)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda net: net.line.drop(columns="length_km", inplace=True), "line has no column length_km"),
        (lambda net: net.line.__setitem__("x_ohm_per_km", ["wide"] * 4), "line 0: x_ohm_per_km = wide, expected a num"),
        (lambda net: net.load.__setitem__("bus", [7, 8, 99]), "load 2: bus = 99, expected a bus of the net"),
        (lambda net: net.line.__setitem__("max_i_ka", -0.5), "line 0 is rated at -95.2628 MVA, expected 0 or more"),
        (lambda net: net.__setitem__("load", pd.concat([net.load, net.load])), "load 0 twice, expected one element"),
        *((lambda net, table=table, value=value: net.__setitem__(table, value), f"{table} is no table")
          for table in ("gen", "svc", "b2b_vsc") for value in ({}, {"a": 1}, [1], 5, None)),
        (lambda net: net.__setitem__("svc", pd.DataFrame({"in_service": ["no", "yes"]}, index=[4, 5])), "svc 4 is in"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_are_told_by_element_and_column(change, message):
    """95.26 MVA = sqrt(3) 110 kV 0.5 kA; pandapower's own words would be of Python's types, if any."""
    net = ring()
    change(net)
    with pytest.raises(CaseDataError, match=message) as refusal:
        solve_net(net)
    assert "\n" not in str(refusal.value)


def test_a_file_cannot_make_the_reader_import_what_it_likes(tmp_path, monkeypatch):
    """To import a module is to run it: here one that leaves a mark."""
    (tmp_path / "mischief.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(tmp_path)
    content = json.loads(pp.to_json(ring()))
    content["_object"]["controller_of_mine"] = {"_module": "mischief", "_class": "Anything", "_object": "{}"}
    path = tmp_path / "net.json"
    path.write_text(json.dumps(content))
    with pytest.raises(CaseDataError, match=r"net\.json: cannot be read \(.*object of module mischief"):
        open_and_solve(str(path))
    assert not (tmp_path / "mark").exists()
    path.write_text(pp.to_json(ring()))
    assert open_and_solve(str(path)).case.n_bus == len(LABELS)


def test_what_is_out_of_service_may_have_no_number():
    """An infinite conductance of a line that is open is left out with it, and no arithmetic stumbles over it."""
    net = ring()
    net.line["g_us_per_km"] = [0.0, np.inf, 0.0, 0.0]
    net.line.loc[1, "in_service"] = False
    with np.errstate(all="raise"):
        solved = solve_net(net)
    np.testing.assert_allclose(
        solved.v_pu,
        net.res_bus.loc[solved.label, "vm_pu"]
        * np.exp(1j * np.deg2rad(net.res_bus.loc[solved.label, "va_degree"])),
        rtol=1e-12,
    )
    assert np.isfinite(solved.v_pu).all()
