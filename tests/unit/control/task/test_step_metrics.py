"""What is logged of an interval against numbers worked out by hand."""

import numpy as np

from control.task.limits import LimitCheck
from control.task.step_metrics import MEASUREMENTS, measure


def test_measurements_of_two_environments():
    """Four buses; the first environment is calm, the second breaks three kinds of limit and loses its grid."""
    flags = {
        name: np.array([False, value])
        for name, value in {
            "frequency_violation": True, "branch_violation": False, "voltage_violation": True, "grid_lost": True,
            "unserved_violation": True,
        }.items()
    }  # fmt: skip
    result = LimitCheck(
        sum_bus_square_hz2=np.array([4e-4, 1.0]),  # 10 mHz and 500 mHz at each of four buses
        set_point_change_mw=np.array([[1.0, -2.0, 4.0], [0.0, 0.0, -8.0]]),
        rebound_change_mw=np.zeros((2, 3)),
        violations=np.array([0, 3]),
        max_abs_df_hz=np.array([0.012, 0.75]),
        within_36_mhz=np.array([1.0, 0.25]),
        within_200_mhz=np.array([1.0, 0.5]),
        loading_percent=np.array([[50.0, 70.0], [np.nan, 20.0]]),
        vm_pu=np.ones((2, 4)),
        unserved_mw=np.array([0.0, 30.0]),
        bus_df_hz=np.zeros((2, 4)),
        resource_mw=np.zeros((2, 3)),
        utilisation=np.zeros((2, 3)),
        bus_live=np.ones((2, 4), dtype=np.bool_),
        **flags,
    )
    found = np.full((len(MEASUREMENTS) + 2, 2), np.nan)
    measure(result.judged, 4, np.array([0, 1, 0]), found)
    # A loading that is not a number must not pass as a low one.
    np.testing.assert_allclose(
        found,
        [
            [10.0, 500.0], [12.0, 750.0], [1.0, 0.25], [1.0, 0.5], [0.0, 3.0], [0.0, 1.0], [0.0, 0.0], [0.0, 1.0],
            [0.0, 1.0], [70.0, np.nan], [0.0, 30.0], [0.0, 1.0], [5.0, 8.0], [2.0, 0.0],
        ],
        rtol=1e-15,
    )  # fmt: skip
