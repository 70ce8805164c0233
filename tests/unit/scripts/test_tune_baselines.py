"""What a position of the search means for each baseline, and back."""

import numpy as np
import pytest

import tune_baselines


@pytest.mark.parametrize("name", tune_baselines.ORDER)
def test_parameters_survive_the_way_into_the_search_and_back(name):
    """Stored to six digits, so half a unit of the sixth; a zone beyond its range is cut to it."""
    from control.controllers.registry import stored_parameters

    search = tune_baselines.problem(name, tune_baselines.ROOT / "control" / "data")
    stored = stored_parameters(name)["parameters"]
    back = search.decode(search.encode(stored))
    for key, value in stored.items():
        np.testing.assert_allclose(back[key], value, rtol=5e-6, atol=1e-12, err_msg=key)


def test_batteries_alone_leave_gas_and_demand_response_on_schedule():
    """Whatever the position: their weights are zero, and no action is worth making to them."""
    search = tune_baselines.problem("linear_bess", tune_baselines.ROOT / "control" / "data")
    position = np.random.default_rng(0).normal(size=(4, len(search.start)))
    found = search.decode(position)
    assert found["weight"].shape == (4, 3, 19)
    assert np.any(found["weight"][:, 0] != 0.0)
    np.testing.assert_array_equal(found["weight"][:, 1:], 0.0)
    np.testing.assert_array_equal(found["zone"][:, 1:], 1.0)
