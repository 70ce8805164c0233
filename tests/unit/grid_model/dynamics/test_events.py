"""Events as data: what an event must look like, and which sequences can happen."""

from __future__ import annotations

import numpy as np
import pytest

from grid_model.dynamics.events import DisturbanceError, Event, check_events, ramp_profile_mw, sort_events

SIZES = {"n_branch": 3, "n_machine": 2, "n_load": 2, "n_renewable": 1}


def test_events_are_put_in_order_of_time_and_returns_before_outages() -> None:
    late = Event(time_s=9.0, kind="branch_out", index=1)
    out = Event(time_s=5.0, kind="branch_out", index=0)
    back = Event(time_s=5.0, kind="branch_in", index=2)
    assert sort_events([late, out, back]) == (back, out, late)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "meteor"}, "kind"),
        ({"time_s": -1.0}, "time_s"),
        ({"time_s": float("nan")}, "time_s"),
        ({"index": -1}, "row"),
        ({"p_mw": 5.0}, "switching carries no power"),
        ({"duration_s": 5.0}, "no length"),
        ({"kind": "load_ramp", "p_mw": 5.0}, "duration_s"),
        ({"kind": "load_step", "p_mw": float("inf")}, "finite"),
    ],
)
def test_an_event_that_means_nothing_is_refused(fields: dict[str, object], message: str) -> None:
    good: dict[str, object] = {"time_s": 1.0, "kind": "branch_out", "index": 0}
    with pytest.raises(DisturbanceError, match=message):
        Event(**(good | fields))  # type: ignore[arg-type]


def test_an_element_cannot_go_out_twice_nor_return_from_service() -> None:
    out = Event(time_s=1.0, kind="branch_out", index=0)
    again = Event(time_s=2.0, kind="branch_out", index=0)
    back = Event(time_s=2.0, kind="branch_in", index=0)
    check_events([out, back], **SIZES)
    with pytest.raises(DisturbanceError, match="out already"):
        check_events([out, again], **SIZES)
    with pytest.raises(DisturbanceError, match="in service already"):
        check_events([back], **SIZES)


def test_rows_order_and_equivalents_are_checked() -> None:
    with pytest.raises(DisturbanceError, match="has 3 rows"):
        check_events([Event(time_s=1.0, kind="branch_out", index=3)], **SIZES)
    unordered = [Event(time_s=t, kind="load_step", index=0, p_mw=1.0) for t in (2.0, 1.0)]
    with pytest.raises(DisturbanceError, match="order of time"):
        check_events(unordered, **SIZES)
    trip = Event(time_s=1.0, kind="machine_out", index=1)
    check_events([trip], **SIZES)
    with pytest.raises(DisturbanceError, match="whole region"):
        check_events([trip], **SIZES, can_trip=[True, False])


def test_a_ramp_rises_along_a_straight_line_and_stays() -> None:
    ramp = Event(time_s=10.0, kind="load_ramp", index=1, p_mw=40.0, duration_s=20.0)
    other = Event(time_s=0.0, kind="renewable_ramp", index=0, p_mw=-40.0, duration_s=20.0)
    profile = ramp_profile_mw([ramp, other], "load_ramp", np.array([0.0, 10.0, 20.0, 30.0, 99.0]), 2)
    np.testing.assert_array_equal(profile[:, 1], [0.0, 0.0, 20.0, 40.0, 40.0])
    np.testing.assert_array_equal(profile[:, 0], 0.0)
