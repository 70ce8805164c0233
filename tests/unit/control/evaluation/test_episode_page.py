"""The page of an episode: what it holds, and that a browser shows it, asks for nothing and can be used by keys."""

import base64
import json
import re
import zlib
from dataclasses import replace

import numpy as np
import pytest

from cases.ieee68 import load_ieee68
from control.evaluation.contender import resolve
from control.evaluation.episode_page import PageError, Player, play, write_page
from control.evaluation.page import grid_data, packed
from control.scenario.file import scenario_named
from grid_model.dynamics.events import Event
from marl.environment.contenders import learned
from marl.environment.episode_page import play_to_page

N_INTERVALS = 12
TITLE = "An evening <script>alert(1)</script>"


class Bar:
    """A progress bar that says nothing."""

    def __init__(self, total):
        self.total, self.done = total, 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def update(self):
        """One interval more."""
        self.done += 1

    def set_description(self, text):
        """Nobody looks."""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Two controllers in an episode in which a unit and a circuit are lost, and who has played."""
    case = load_ieee68()
    scenario = replace(
        scenario_named("normal", case),
        name="short",
        n_intervals=N_INTERVALS,
        events=(
            Event(time_s=9.0, kind="machine_out", index=case.machine.name.index("G6")),
            Event(time_s=21.0, kind="branch_out", index=case.branch.name.index("54-53 #1")),
        ),
    )
    path = tmp_path_factory.mktemp("page") / "episode.html"
    players = play_to_page(
        path, resolve("agc,do_nothing", learned), scenario, 7, title=TITLE, subtitle="short", progress=Bar
    )
    return path, players


def data_of(path):
    """What the page's script reads."""
    found = re.search(r'<script id="data"[^>]*>(.*?)</script>', path.read_text(encoding="utf-8"), re.DOTALL)
    return json.loads(found.group(1))


def unpacked(array, n_interval):
    """As the page does it: 16-bit differences added up modulo 2^16."""
    changes = np.frombuffer(zlib.decompress(base64.b64decode(array["z"])), dtype="<i2")
    whole = np.cumsum(changes.reshape(array["n"], n_interval), axis=1, dtype=np.int16)
    return np.where(whole == -32768, np.nan, whole * array["scale"])


def test_arrays_come_back_to_half_a_step():
    """Rounding to whole steps errs by at most half of one; NaN stays NaN, jumps over the whole range are no matter."""
    rng = np.random.default_rng(0)
    values = rng.uniform(-3000.0, 3000.0, (5, 40))
    values[2, 7] = np.nan
    values[3, ::2] = 3276.7
    values[3, 1::2] = -3276.7
    array = packed(values, step=0.1)
    back = unpacked(array, 40)
    assert array["scale"] == pytest.approx(0.1, rel=1e-12)
    np.testing.assert_allclose(back, values, atol=0.05 + 1e-9)
    large = packed(np.array([[0.0, 1e6]]), step=0.1)
    assert unpacked(large, 2)[0, 1] == pytest.approx(
        1e6, rel=1e-4
    )  # a coarser step: 16 bits reach 32,767 of them


def test_the_page_holds_what_was_played(page):
    path, players = page
    data = data_of(path)
    record = players[0].record
    assert data["n"] == N_INTERVALS
    assert [words for _, words in data["marks"]] == ["G6 lost", "54-53 #1 lost"]
    shown = unpacked(data["players"][0]["arrays"]["df"], N_INTERVALS)
    np.testing.assert_allclose(shown, 1e3 * record["bus_df_hz"][0].T, atol=0.05 + 1e-9)  # half of 0.1 mHz
    on = unpacked(data["players"][1]["arrays"]["on"], N_INTERVALS)
    lost = data["branch"]["name"].index("54-53 #1")
    assert on[lost].tolist() == [1.0] * 5 + [0.0] * 7  # 21 s lies in the sixth interval of 4 s
    assert len(data["terms"]) == 5


def test_loading_is_of_rating_a_also_after_an_outage(page):
    """|S| of the circuit by its ends over rating A; the judgement of limits takes rating B from the outage on."""
    _, players = page
    case, record = load_ieee68(), players[0].record
    b_over_a = case.branch.rate_b_mva / case.branch.rate_a_mva
    assert b_over_a.min() > 1.1
    before, after = record["loading_percent"][0, 1], record["loading_percent"][0, -1]
    # The many circuits far from the outages carry nearly the same as before it, and would seem to carry a sixth less.
    assert np.median(after / before) == pytest.approx(1.0, abs=0.08)


def test_the_page_asks_for_nothing_and_escapes_names(page):
    path, _ = page
    text = path.read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", text)
    assert not re.search(r"https?://", text)
    assert len(text) < 1_500_000


def test_names_of_a_case_cannot_end_the_script(page, tmp_path):
    _, players = page
    case = load_ieee68()
    evil = replace(case, area_names=("</script><script>alert(1)</script>", *case.area_names[1:]))
    path = tmp_path / "evil.html"
    write_page(
        path, evil, players, range_mw=np.ones(case.n_resource), limits_mhz=(500.0,), title="t", subtitle=""
    )
    assert "<script>alert" not in path.read_text(encoding="utf-8")
    assert data_of(path)["areas"][0] == "</script><script>alert(1)</script>"


def test_an_own_grid_without_places_has_a_page(tmp_path):
    """Of a file that knows no positions: they are worked out, and everything on the page stands somewhere."""
    case = load_ieee68()
    nowhere = np.full(case.n_bus, np.nan)
    bare = grid_data(replace(case, bus=replace(case.bus, x=nowhere, y=nowhere)), np.ones(case.n_resource))
    for part in ("bus", "badge"):
        assert np.isfinite([*bare[part]["x"], *bare[part]["y"]]).all()
    path = tmp_path / "own.html"
    scenario = tmp_path / "short.toml"
    scenario.write_text('base = "normal"\nname = "short"\nn_intervals = 3\n')
    play_to_page(
        path, resolve("do_nothing", learned), str(scenario), 1, case="case39", title="own", progress=Bar
    )
    data = data_of(path)
    assert len(data["bus"]["name"]) == 39
    assert len(data["players"]) == 1


def test_records_of_different_episodes_are_refused(page, tmp_path):
    _, players = page
    other = replace(players[1].record, seed=np.array([8]))
    mixed = [players[0], Player(name="x", title="x", record=other)]
    path = tmp_path / "mixed.html"
    with pytest.raises(PageError, match="x has played another episode than agc"):
        write_page(path, load_ieee68(), mixed, range_mw=np.ones(20), limits_mhz=(), title="t")
    assert not path.exists()
    with pytest.raises(PageError, match="the bound is a plan"):
        play(resolve("bound", learned), 1, lambda _: None, Bar)


def test_a_browser_shows_the_page_and_it_can_be_used(page, open_page):
    path, players = page
    opened = open_page(path)
    tab = opened.page
    assert tab.locator("canvas.map").count() == 2
    # The slider and the keys move time.
    assert tab.inner_text("#clock") == "0 min 04 s"
    tab.evaluate("document.activeElement.blur()")
    tab.keyboard.press("ArrowRight")
    assert tab.inner_text("#clock") == "0 min 08 s"
    tab.keyboard.press("End")
    assert tab.inner_text("#clock") == "0 min 48 s"
    tab.locator("#time").fill("2")
    assert tab.inner_text("#clock") == "0 min 12 s"
    # An event leads to the interval that it falls into.
    tab.get_by_role("button", name="G6 lost").click()
    assert tab.evaluate("episode.t") == 2  # the end of the interval from 8 to 12 s
    # A click on a bus chooses it, and says what the record says.
    x, y = tab.evaluate("episode.place('bus 17')")
    box = tab.locator("#map0").bounding_box()
    tab.mouse.click(box["x"] + x, box["y"] + y)
    case, record = load_ieee68(), players[0].record
    bus = case.bus.bus_number.tolist().index(17)
    assert f"agc: {1e3 * record['bus_df_hz'][0, 2, bus]:.1f} mHz" in tab.inner_text("#chosen")
    # The search finds a plant.
    tab.fill("#find", "bess_0")
    assert tab.inner_text("#chosen").startswith("bess_0 at bus 53")
    tab.keyboard.press("Escape")
    assert tab.inner_text("#chosen").startswith("Nothing chosen")
    # One grid alone, and voltages instead of frequencies.
    tab.select_option("#second", "-1")
    tab.evaluate("document.activeElement.blur()")
    assert tab.locator("canvas.map").count() == 1
    tab.keyboard.press("c")
    assert "voltage" in tab.inner_text("#scale-words")
    # A narrow screen has everything in one column and nothing beyond its edge.
    tab.set_viewport_size({"width": 400, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
    # Playing moves on by itself.
    tab.keyboard.press("Home")
    tab.select_option("#speed", "100")
    tab.click("#play")
    tab.wait_for_function("episode.t > 3", timeout=10_000)
    assert opened.is_quiet()


def test_a_condenser_that_gives_no_power_is_not_crossed_out(tmp_path):
    """Three of the five machines of case14 have PG = 0 in its table: they hold their voltage and are in service."""
    path = tmp_path / "case14.html"
    scenario = tmp_path / "short.toml"
    scenario.write_text('base = "normal"\nn_intervals = 2\noutages_min = 0\n')
    play_to_page(
        path, resolve("do_nothing", learned), str(scenario), 7, case="case14", title="x", progress=Bar
    )
    arrays = data_of(path)["players"][0]["arrays"]
    assert (unpacked(arrays["running"], 2) == 1.0).all()
    assert np.count_nonzero(np.abs(unpacked(arrays["machine"], 2)[:, 0]) < 1.0) >= 3
