"""Power flow of variant tr18 against the task force's published solution, with the single slack it was printed for.

Golden values: cases/data/ieee68/published_solution_tr18.csv; provenance in SOURCE.md beside it.
"""

import numpy as np
import pytest

from cases.ieee68 import load_ieee68, load_published_solution
from grid_model.network.pandapower_net import build_network
from grid_model.power_flow.oracle import solve_with_pandapower

# Half a unit of the fourth decimal, plus what a mismatch of 1e-8 MVA can do: less than 1e-8 in either.
HALF_A_DIGIT = 0.5e-4 + 1e-8


@pytest.fixture(scope="module")
def v_pu():
    net = build_network(
        load_ieee68("tr18"), resources=False, renewables=False, reactors=False, distributed_slack=False
    )
    return solve_with_pandapower(net, distributed_slack=False).v_pu


def test_every_voltage_is_the_published_one_to_its_last_digit(v_pu):
    np.testing.assert_allclose(np.abs(v_pu), load_published_solution().vm_pu, rtol=0.0, atol=HALF_A_DIGIT)


def test_every_angle_is_the_published_one_to_its_last_digit(v_pu):
    va_degree = np.rad2deg(np.angle(v_pu))
    np.testing.assert_allclose(va_degree, load_published_solution().va_degree, rtol=0.0, atol=HALF_A_DIGIT)
