"""What can be lost and what goes with it, on grids whose answer can be counted."""

import numpy as np
import pytest

from builders import one_area, three_area, two_bus
from cases.ieee68 import load_ieee68
from grid_model.security.outage import (
    bus_injection_mva,
    outage_power,
    outage_topology,
    published_point,
    scaled_point,
    single_outages,
)


def named(outages, name):
    return next(k for k, outage in enumerate(outages) if outage.name == name)


def test_every_element_of_the_68_buses_can_be_lost_once():
    case = load_ieee68()
    outages = single_outages(case)
    names = [outage.name for outage in outages]
    assert names == [
        *case.branch.name,
        *case.machine.name,
        *case.renewable.name,
        *case.resource.name,
    ]
    kinds = [outage.kind for outage in outages]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "line": 81, "transformer": 20, "machine": 16, "renewable": 14, "resource": 20,
    }  # fmt: skip


def test_ends_are_named_in_the_order_of_the_source_in_both_variants():
    """rogers turns a step-up round so that its ratio stands at the from bus; its name stays 1-54."""
    for variant in ("rogers", "tr18"):
        outages = single_outages(load_ieee68(variant))
        step_up = outages[named(outages, "1-54")]
        assert (step_up.from_bus_number, step_up.to_bus_number) == (1, 54)
        for outage in outages[:101]:
            assert outage.name.split(" ")[0] == f"{outage.from_bus_number}-{outage.to_bus_number}"
        assert outages[named(outages, "G9")].to_bus_number is None


def test_the_radial_circuit_takes_its_bus_and_load_along():
    case = one_area()
    outages = single_outages(case)
    topology = outage_topology(case, outages)
    power = outage_power(case, published_point(case), topology)
    np.testing.assert_array_equal(topology.islanding, [False, False, False, True, False, False])
    np.testing.assert_array_equal(topology.bus_live[3], [True, True, True, False])
    np.testing.assert_array_equal(power.lost_load_mw, [0.0, 0.0, 0.0, 80.0, 0.0, 0.0])
    np.testing.assert_array_equal(power.lost_generation_mw, [0.0, 0.0, 0.0, 0.0, 150.0, 100.0])
    # Bus 2 keeps 100 - 50 MW and its 10 Mvar; bus 4 is dead.
    np.testing.assert_array_equal(power.injection_mva[3], [150.0, 50.0 - 10.0j, -120.0 - 30.0j, 0.0])


def test_a_lost_step_up_transformer_takes_its_machine_along():
    case = three_area()
    outages = single_outages(case)
    topology = outage_topology(case, outages)
    power = outage_power(case, published_point(case), topology)
    k = named(outages, "22-21 #1")
    np.testing.assert_array_equal(topology.machine_in_service[k], [True, False, True])
    assert power.lost_generation_mw[k] == 250.0
    assert power.injection_mva[k].sum() == pytest.approx(400.0 + 200.0 - 850.0 - 210.0j, rel=1e-14)


def test_an_outage_takes_no_more_than_it_names():
    case = two_bus(circuits=2)
    topology = outage_topology(case, single_outages(case))
    np.testing.assert_array_equal(topology.branch_in_service, [[False, True], [True, False], [True, True]])
    np.testing.assert_array_equal(topology.machine_in_service, [[True], [True], [False]])


def test_a_scaled_point_balances_load_wind_sun_and_machines():
    """Machines give what load and squared losses leave over; reactors: (1 - 0.7)/0.6 = one half."""
    case = load_ieee68()
    point = scaled_point(case, load_level=0.7, wind=0.5, sun=0.25)
    losses_mw = (case.machine.p_mw.sum() - case.load.p_mw.sum()) * 0.7**2
    assert point.p_renewable_mw.sum() == pytest.approx(0.5 * 2600 + 0.25 * 1700, rel=1e-14)
    # Sums of 18 GW, rounded to 1e-12 of that.
    assert bus_injection_mva(case, point).real.sum() == pytest.approx(losses_mw, abs=1e-8)
    assert point.reactor_share == pytest.approx(0.5, rel=1e-14)
