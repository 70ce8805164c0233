"""Pages of other records than episodes: a frequency event, and a screening of outages."""

import base64
import json
import re
import zlib
from dataclasses import replace

import numpy as np
import pytest

from cases.ieee68 import load_ieee68
from control.evaluation.response_page import MOST_FRAMES, write_response_page
from control.evaluation.screening_page import ScreeningPageError, write_screening_page
from grid_model.dynamics.events import Event
from grid_model.dynamics.parameters import SwingConfig
from grid_model.security.contingency import screen
from grid_model.security.outage import outages_named, published_point
from grid_model.validation.event_response import simulate_event

EVIL = "</script><script>alert(1)</script>"
DURATION_S = 20.0
LOST = ["54-53 #1", "G9", "12-36", "54-53 #2 + G11"]


@pytest.fixture(scope="module")
def case():
    """The grid, with names that would be markup."""
    case = load_ieee68()
    return replace(case, area_names=(EVIL, *case.area_names[1:]))


@pytest.fixture(scope="module")
def response(case, tmp_path_factory):
    """The page of the loss of a unit, its number of rows and the trace."""
    event = Event(time_s=1.0, kind="machine_out", index=case.machine.name.index("G9"))
    trace, names = simulate_event(case, SwingConfig(level="area"), 0.8, event, DURATION_S)
    path = tmp_path_factory.mktemp("response") / "response.html"
    n = write_response_page(
        path, case, trace, names, event, level="area", title=f"loss of G9 {EVIL}", duration_s=DURATION_S
    )
    return path, n, trace


@pytest.fixture(scope="module")
def screening(case):
    return screen(case, published_point(case), outages=outages_named(case, LOST), with_states=True)


@pytest.fixture(scope="module")
def screening_page(screening, tmp_path_factory):
    path = tmp_path_factory.mktemp("screening") / "n1.html"
    write_screening_page(path, screening)
    return path


def data_of(path):
    """What the page's script reads."""
    found = re.search(r'<script id="data"[^>]*>(.*?)</script>', path.read_text(encoding="utf-8"), re.DOTALL)
    return json.loads(found.group(1))


def unpacked(array, n):
    """As the page does it: 16-bit differences added up modulo 2^16."""
    changes = np.frombuffer(zlib.decompress(base64.b64decode(array["z"])), dtype="<i2")
    whole = np.cumsum(changes.reshape(array["n"], n), axis=1, dtype=np.int16)
    return np.where(whole == -32768, np.nan, whole * array["scale"])


def test_pages_ask_for_nothing_and_names_are_text(response, screening_page):
    for path in (response[0], screening_page):
        text = path.read_text(encoding="utf-8")
        assert "<script>alert" not in text
        assert not re.search(r"https?://", text)
        assert not re.search(r"""(?:src|href)=["'](?!data:)""", text)
        assert len(text) < 1_500_000
        assert data_of(path)["areas"][0] == EVIL


def test_a_response_is_thinned_evenly_to_what_a_screen_shows(response, case):
    path, n, trace = response
    data = data_of(path)
    assert data["n"] == n <= MOST_FRAMES
    step = round(data["interval_s"] / float(trace.time_s[1] - trace.time_s[0]))
    assert step == 2  # 1001 rows of 20 ms make 501 of 40 ms
    rows = np.arange(n) * step
    shown = unpacked(data["players"][0]["arrays"]["df"], n)
    np.testing.assert_allclose(shown, 1e3 * trace.bus_hz[rows].T, atol=0.05 + 1e-9)  # half of 0.1 mHz
    running = unpacked(data["players"][0]["arrays"]["running"], n)
    at = case.machine.name.index("G9")
    assert running[at].tolist() == [1.0] * 25 + [0.0] * (n - 25)  # lost at 1 s, in the 26th row
    assert data["marks"] == [[1.0, "G9 lost"]]


def test_a_screening_page_holds_what_was_solved(screening, screening_page, case):
    data = data_of(screening_page)
    assert [outage["name"] for outage in data["outages"]] == LOST
    arrays = data["players"][0]["arrays"]
    vm_pu, percent = unpacked(arrays["vm"], 5), unpacked(arrays["loading"], 5)
    on, running = unpacked(arrays["on"], 5), unpacked(arrays["running"], 5)
    for k, result in enumerate(screening.results, start=1):
        if result.condition is None:
            assert np.isnan(vm_pu[:, k]).all()
            continue
        # The verdict's own extremes, which it took of the solution; half a step of 1e-4 pu and of 0.1 %.
        live = vm_pu[vm_pu[:, k] > 0.0, k]
        assert live.min() == pytest.approx(result.condition.vm_min_pu, abs=0.5e-4 + 1e-9)
        assert live.max() == pytest.approx(result.condition.vm_max_pu, abs=0.5e-4 + 1e-9)
        of_b = percent[:, k] * case.branch.rate_a_mva / case.branch.rate_b_mva
        assert of_b.max() == pytest.approx(result.condition.worst_loading_percent, abs=0.05 + 1e-6)
    assert on[case.branch.name.index("54-53 #1")].tolist() == [1.0, 0.0, 1.0, 1.0, 1.0]
    assert running[case.machine.name.index("G11")].tolist() == [1.0, 1.0, 1.0, 1.0, 0.0]
    assert data["outages"][2]["outcome"].startswith("buses cut off")


def test_a_screening_without_states_is_refused(screening, tmp_path):
    with pytest.raises(ScreeningPageError, match="kept no voltages"):
        write_screening_page(tmp_path / "n1.html", replace(screening, states=None))
    with pytest.raises(ValueError, match="engine dc knows no voltages"):
        screen(screening.case, published_point(screening.case), "dc", with_states=True)


def test_a_browser_shows_a_response(response, open_page):
    tab = open_page(response[0])
    assert tab.page.locator("canvas.map").count() == 1
    assert not tab.page.locator("#second").is_visible()  # one grid, nobody to choose
    tab.page.get_by_role("button", name="G9 lost").click()
    assert tab.page.inner_text("#clock") == "1.00 s"
    tab.page.fill("#find", "G9")
    assert tab.page.inner_text("#chosen") == "Machine G9. out of service"
    tab.page.evaluate("document.activeElement.blur()")
    tab.page.keyboard.press("Home")
    assert tab.page.inner_text("#chosen") == "Machine G9. in service"
    tab.page.set_viewport_size({"width": 400, "height": 800})
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 400
    assert tab.is_quiet()


def test_a_browser_shows_an_outage_that_is_clicked(screening_page, open_page):
    tab = open_page(screening_page)
    assert "Before any outage" in tab.page.inner_text("#verdict")
    tab.page.locator("#outages tbody tr", has_text="12-36").click()
    assert tab.page.inner_text("#verdict").startswith("Loss of 12-36 (transformer): buses cut off")
    tab.page.evaluate("document.activeElement.blur()")
    tab.page.keyboard.press("Home")
    assert tab.page.evaluate("screening.t") == 0
    tab.page.keyboard.press("ArrowDown")
    first = tab.page.inner_text("#outages tbody tr:first-child td:nth-child(2)")
    assert tab.page.inner_text("#verdict").startswith(f"Loss of {first} ")
    # What is found in the grid can be lost from there.
    tab.page.fill("#find", "54-53 #1")
    tab.page.get_by_role("button", name="lose it").click()
    assert tab.page.inner_text("#verdict").startswith("Loss of 54-53 #1 (line)")
    assert "out of service" in tab.page.inner_text("#chosen")
    tab.page.fill("#filter", "machine")
    assert tab.page.locator("#outages tbody tr:visible").count() == 1
    tab.page.set_viewport_size({"width": 400, "height": 800})
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 400
    assert tab.is_quiet()
