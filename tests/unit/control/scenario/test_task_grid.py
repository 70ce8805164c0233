"""Any grid made ready for a task: what stands on it, how large, and what is refused."""

from dataclasses import replace

import numpy as np
import pandapower.networks
import pytest

from cases.arrays import CaseDataError
from cases.case import Case
from cases.ieee68 import load_ieee68
from cases.series import RENEWABLE_NAMES
from control.controllers.agc import frequency_bias_mw_per_decihertz
from control.controllers.disturbance_filter import FilterConfig
from control.controllers.one_mass import one_mass
from control.plants.fleet import make_fleet
from control.scenario.fleet_sizing import PUBLISHED_INERTIA_MWS, fleet_of, sized
from control.scenario.suites import NORMAL, SHIFT, STRESS
from control.scenario.task_grid import (
    PUBLISHED,
    open_as_it_is,
    open_task_grid,
    published_case,
    published_series,
)
from control.task.description import TaskDescription
from control.task.observation import electrically_nearest_buses
from control.task.reward import RewardConfig
from grid_model.dynamics.parameters import SwingConfig, swing_of


def grid_file(path, text):
    path.write_text(text)
    return str(path)


@pytest.fixture(scope="module")
def case39() -> Case:
    return open_task_grid("case39").case


def test_the_68_buses_are_as_published():
    case = open_task_grid("").case
    assert case is published_case(PUBLISHED)
    assert sized(SHIFT, case) is SHIFT
    assert swing_of(case) == SwingConfig()
    assert RewardConfig.of(case) == RewardConfig()
    machine = case.machine
    assert float((machine.h_s * machine.base_mva).sum()) == PUBLISHED_INERTIA_MWS


def test_plants_of_a_kind_are_as_large_a_part_of_the_load_as_on_the_68_buses(case39):
    published = published_case()
    size = case39.load.p_mw.sum() / 18_234.0  # the nominal load of the 68 buses, SOURCE.md
    here, there = fleet_of(case39, sized(NORMAL, case39)), make_fleet(published, 4.0)
    for code in range(3):
        ours, theirs = here.kind == code, there.kind == code
        for name in ("high_mw", "low_mw", "step_mw"):
            np.testing.assert_allclose(
                getattr(here, name)[ours].sum(), size * getattr(there, name)[theirs].sum(), rtol=1e-12
            )
        # Through all of their range together the plants cost what they do there, by C |dP| and by W dP^2.
        step_here, step_there = here.step_mw[ours], there.step_mw[theirs]
        np.testing.assert_allclose(
            (here.cost_per_mw[ours] * step_here).sum(),
            (there.cost_per_mw[theirs] * step_there).sum(),
            rtol=1e-12,
        )
        np.testing.assert_allclose(
            (here.cost_per_mw2[ours] * step_here**2).sum(),
            (there.cost_per_mw2[theirs] * step_there**2).sum(),
            rtol=1e-12,
        )
    assert here.energy_mwh[here.bess].sum() == pytest.approx(size * 125.0, rel=1e-12)
    np.testing.assert_allclose(case39.renewable.p_max_mw.sum(), size * 4300.0, rtol=1e-12)
    assert case39.renewable.series == RENEWABLE_NAMES
    assert swing_of(case39).governor.gain_mw_per_hz == pytest.approx(2500.0 * size, rel=1e-12)


def test_inertia_of_shift_and_units_that_trip_are_in_proportion(case39):
    machine = case39.machine
    own_mws = float((machine.h_s * machine.base_mva).sum())
    wanted = 90_000.0 / PUBLISHED_INERTIA_MWS * own_mws
    assert sized(SHIFT, case39).inertia_scale_to_mws == pytest.approx(wanted, rel=1e-12)
    # 500 to 800 MW of 18,234 are 2.7 to 4.4 % of the load.
    share = case39.load.p_mw.sum() / 18_234.0
    normal, stress = sized(NORMAL, case39), sized(STRESS, case39)
    assert normal.unit_p_min_mw == pytest.approx(500.0 * share, rel=1e-12)
    assert normal.unit_p_max_mw == pytest.approx(800.0 * share, rel=1e-12)
    assert stress.unit_p_max_mw == pytest.approx(1350.0 * share, rel=1e-12)


def test_gas_stands_at_the_largest_machines_and_batteries_at_the_largest_loads(case39):
    load = dict(zip(case39.load.bus.tolist(), case39.load.p_mw.tolist(), strict=True))
    by_load = sorted(load, key=lambda bus: -load[bus])
    bess = case39.resource.bus[case39.resource.of_kind("bess")].tolist()
    assert sorted(load[bus] for bus in bess) == sorted(load[bus] for bus in by_load[:5])
    power = dict(zip(case39.machine.bus.tolist(), case39.machine.p_mw.tolist(), strict=True))
    gas = case39.resource.bus[case39.resource.of_kind("gas")].tolist()
    assert sorted(power[bus] for bus in gas) == sorted(power.values())[-8:]


def test_the_published_schedule_is_where_all_marginal_costs_are_one(case39):
    machine = case39.machine
    marginal = machine.cost_linear + 2.0 * machine.cost_quadratic * machine.p_mw
    np.testing.assert_allclose(marginal, 30.0, rtol=1e-12)


def test_a_grid_file_says_what_stands_where(tmp_path):
    (tmp_path / "plants.csv").write_text(
        "name,kind,bus,mw,mwh,ramp_mw_per_min,lag_s,cost_per_mw\n"
        "akku,bess,5,4,2,8,0.5,3\nturbine,gas,1,6,,,,\ncold store,dr,7,2,,,,\n"
    )
    (tmp_path / "areas.csv").write_text(
        "bus,area\n" + "".join(f"{b},{'west' if b < 5 else 'east'}\n" for b in range(1, 10))
    )
    source = grid_file(
        tmp_path / "mine.toml",
        'grid = "case9"\nplants = "plants.csv"\nareas = "areas.csv"\nload_scale = 0.8\n'
        '[[renewable]]\nname = "park"\nkind = "wind"\nbus = 6\nmw = 30\nseries = "wind_3"\n',
    )
    case = open_task_grid(source).case
    assert case.name == "mine"
    assert case.resource.name == ("akku", "turbine", "cold store")
    assert case.area_names == ("west", "east")
    assert case.renewable.series == ("wind_3",)
    assert case.load.p_mw.sum() == pytest.approx(0.8 * 315.0, rel=1e-12)  # of case9
    fleet = fleet_of(case, sized(NORMAL, case))
    np.testing.assert_allclose(fleet.high_mw, [4.0, 6.0, 2.0])
    np.testing.assert_allclose(fleet.low_mw, [-4.0, -6.0, -2.0])
    assert fleet.energy_mwh[0] == 2.0
    assert fleet.lag_s[0] == 0.5
    assert fleet.cost_per_mw[0] == 3.0
    # Ramps that are not given are as fast for their range as those of the 68 buses: 10 MW/min of 75, 5 of 40.
    np.testing.assert_allclose(fleet.step_mw * 15.0, [8.0, 6.0 * 10.0 / 75.0, 2.0 * 5.0 / 40.0])


def test_grids_that_differ_in_anything_differ_in_their_digest(case39):
    assert case39.digest == open_task_grid("case39").case.digest
    more = replace(case39, load=replace(case39.load, p_mw=case39.load.p_mw * (1.0 + 1e-12)))
    assert more.digest != case39.digest
    assert replace(case39, setting=replace(case39.setting, size=1.0)).digest != case39.digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('grid = "case9"\nplant = 3\n', "expected tables"),
        ('grid = "case9"\nbatteries = "x"\n', "unknown key batteries"),
        ('limits = "fit"\n', "no grid, expected"),
        ('grid = "wrong.toml"\n', "grid = 'wrong.toml' is a grid file itself, expected the name of a grid"),
        ('grid = "case9"\nn_areas = 4\n', "4 areas, expected 1 to 3"),
        ('grid = "case9"\nlimits = "none"\n', "expected fit or file"),
        ('grid = "case9"\nload_scale = 0\n', "load_scale = 0, expected a number above 0 and at most 10"),
        ('grid = "case9"\nn_areas = nan\n', "n_areas = nan, expected a whole number of at least 1"),
        ('grid = "case9"\n[[plant]]\nname = "a"\nkind = "bess"\nbus = 77\n', "plant 1: .*no bus 77"),
        ('grid = "case9"\n[[plant]]\nname = "a"\nkind = "coal"\nbus = 1\n', "kind = coal, expected one of bess"),
        ('grid = "case9"\n[[plant]]\nname = "a"\nkind = "gas"\nbus = 1\nmw = "much"\n', "mw = much, expected a number"),
        ('grid = "case9"\n[[plant]]\nname = "a"\nkind = "gas"\nbus = 1\nmwh = 3\n', "expected it of batteries alone"),
        ('grid = "case9"\n[[renewable]]\nname = "a"\nkind = "pv"\nbus = 1\n', "no mw, expected a number"),
    ],
)  # fmt: skip
def test_a_grid_file_that_is_wrong_is_told_in_one_line(tmp_path, text, message):
    with pytest.raises(CaseDataError, match=message) as told:
        open_task_grid(grid_file(tmp_path / "wrong.toml", text))
    assert "\n" not in str(told.value)


def test_the_68_buses_go_by_the_name_that_runs_and_pictures_give_them():
    assert open_task_grid("ieee68") == open_task_grid("rogers") == open_task_grid()
    assert open_as_it_is("ieee68").case.identity == load_ieee68().identity


@pytest.mark.parametrize(
    ("given", "meant"),
    [("CASE39", "case39"), ("case_39", "case39"), ("IEEE68", "ieee68"), ("Rogers", "rogers")],
)
def test_a_grid_in_another_letter_case_is_told_which_was_meant(given, meant):
    with pytest.raises(CaseDataError, match=rf"^{given}: .* \(perhaps you meant {meant}\), expected"):
        open_task_grid(given)


@pytest.mark.parametrize("content", ['{"a": 1}', "[1, 2]", "3"])
def test_json_of_something_else_is_told_from_a_broken_net(tmp_path, content):
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(
        CaseDataError, match=r"^other.json: holds JSON of something else \(.*\), expected a pandap"
    ):
        open_task_grid(str(path))


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("plants", "name,kind,bus,mw\n\nstore,bess,5,-3\n", r"^table.csv, row 3: mw = -3, expected a number above 0"),
        ("plants", "name,kind,bus,power\nstore,bess,5,3\n", r"^table.csv, row 1: unknown column power"),
        ("plants", "name,kind\nstore,bess\n", r"^table.csv, row 2: no bus, expected"),
        ("plants", "name,kind,bus\nstore,bess,5\nstore,gas,1\n", r"store"),
        ("renewables", "name,kind,bus,mw\nroof,pv,99,3\n", r"^table.csv, row 2: .*no bus 99"),
        ("areas", "bus,area\n1,west\n99,east\n", r"^table.csv, row 3: bus = 99, expected the number of"),
        ("machines", "machine,inertia\nG1,4\n", r"^table.csv, row 1: unknown column inertia"),
    ],
)  # fmt: skip
def test_a_table_beside_a_grid_file_that_is_wrong_is_told_by_its_own_name_and_row(
    tmp_path, key, text, message
):
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(CaseDataError, match=message) as told:
        open_task_grid(grid_file(tmp_path / "mine.toml", f'grid = "case9"\n{key} = "table.csv"\n'))
    assert "\n" not in str(told.value)


def test_limits_are_widened_to_the_year_or_broken_ones_are_told(tmp_path, case39):
    fit = open_task_grid("case39")
    assert not fit.warnings
    assert any("limits widened" in note for note in fit.notes)
    kept = open_task_grid(grid_file(tmp_path / "kept.toml", 'grid = "case39"\nlimits = "file"\n'))
    # The file's own voltages reach 1.0635 pu at bus 36, where its band ends at 1.06.
    assert kept.case.bus.vm_max_pu.max() == 1.06
    assert len(kept.warnings) == 1
    assert "limits are broken before anybody acts" in kept.warnings[0]
    assert fit.case.bus.vm_max_pu.max() > 1.0635


def test_relays_stand_as_far_from_50_hz_as_from_60(case39):
    at_50 = swing_of(replace(case39, f0_hz=50.0))
    usual = SwingConfig()
    # 59.5, 59.3, 59.1, 58.9 Hz of 60; plants trip from 61.7 Hz on; wind and sun give way above 60.5.
    np.testing.assert_allclose(at_50.load_shedding.stage_hz, (49.5, 49.3, 49.1, 48.9), rtol=1e-12)
    assert at_50.over_frequency.renewable_from_hz == 50.5
    np.testing.assert_allclose(at_50.over_frequency.trip_stage_hz, (51.7, 51.85, 52.0), rtol=1e-12)
    assert at_50.governor.dead_band_hz == usual.governor.dead_band_hz


def test_the_controller_that_plans_knows_the_grids_own_mass_and_imbalances(case39):
    task = TaskDescription.of(case39, published_series(), sized(NORMAL, case39))
    model, size = one_mass(task), case39.setting.size
    stored_mws = float((case39.machine.h_s * case39.machine.base_mva).sum())
    assert model.inertia_mws_per_hz == pytest.approx(2.0 * stored_mws / 60.0, rel=1e-12)
    published = FilterConfig().disturbance_sd_mw
    assert FilterConfig.of(case39).disturbance_sd_mw == pytest.approx(published * size, rel=1e-12)
    # B of AGC: 1 % of 0.59 of the load for 1 % of frequency, and 2500 MW/Hz of 18,234 MW, to three digits.
    beta = 0.59 * case39.load.p_mw.sum() / 60.0 + 2500.0 * size
    assert frequency_bias_mw_per_decihertz(task) == pytest.approx(-beta / 10.0, rel=5e-3)


def test_a_grid_of_four_buses_shows_its_agents_the_farthest_bus_again():
    case = open_task_grid("case4gs").case
    nearest = electrically_nearest_buses(case, case.resource.bus)
    assert nearest.shape == (case.n_resource, 5)
    for bus, row in zip(case.resource.bus, nearest, strict=True):
        assert set(row.tolist()) == set(range(4)) - {int(bus)}
        assert row[2] == row[3] == row[4]


def test_zones_of_a_net_are_areas_where_that_is_asked_for(tmp_path):
    net = pandapower.networks.case39()
    case = open_task_grid(grid_file(tmp_path / "zones.toml", 'grid = "case39"\nareas = "zones"\n')).case
    assert case.n_area == net.bus.zone.nunique() == 3
    # Every zone is one area, and every area one zone.
    assert len(set(zip(net.bus.zone.tolist(), case.bus.area.tolist(), strict=True))) == 3


def test_islands_and_dc_lines_are_refused_with_what_to_do(tmp_path):
    net = pandapower.networks.case9()
    pandapower.create_dcline(
        net, 4, 8, p_mw=10.0, loss_percent=1.0, loss_mw=0.1, vm_from_pu=1.0, vm_to_pu=1.0
    )
    path = tmp_path / "net.json"
    pandapower.to_json(net, str(path))
    with pytest.raises(
        CaseDataError, match=r"DC line 0, which the frequency model has no law for\. Put a load"
    ):
        open_task_grid(str(path))
    net.dcline.drop(0, inplace=True)
    alone = [pandapower.create_bus(net, 345.0) for _ in range(2)]
    pandapower.create_line_from_parameters(net, *alone, 1.0, 0.1, 1.0, 0.0, max_i_ka=1.0)
    pandapower.create_ext_grid(net, alone[0])
    pandapower.create_load(net, alone[1], p_mw=20.0)
    pandapower.to_json(net, str(path))
    with pytest.raises(
        CaseDataError, match=r"2 islands, .* apart from the largest are those of bus (9|10)\. "
    ):
        open_task_grid(str(path))
