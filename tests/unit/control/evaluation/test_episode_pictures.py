"""Pictures of an episode: every function draws whatever an episode can hold."""

import numpy as np
import pytest

from control.evaluation import episode_pictures as pictures

TIME_S = 4.0 * np.arange(1, 51)
KINDS = ("bess", "bess", "gas", "dr")
BRANCHES = ("1-2 #1", "1-2 #2", "2-3", "3-1")


@pytest.fixture
def traces() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "df_hz": 0.02 * rng.normal(size=(50, 6)),
        "p_mw": rng.normal(size=(50, 4)).cumsum(axis=0),
        "loading_percent": rng.uniform(10.0, 110.0, size=(50, 4)),
    }


@pytest.fixture
def terms() -> dict[str, np.ndarray]:
    return {"reward_frequency": -np.linspace(0.0, 5.0, 50), "reward_violations": np.zeros(50)}


def test_every_picture_of_an_episode_is_written(tmp_path, traces, terms):
    marks = [pictures.Mark(100.0, "G11 trips")]
    pictures.draw_frequency(
        tmp_path / "frequency.png",
        TIME_S,
        traces["df_hz"],
        area=np.array([0, 0, 0, 1, 1, 1]),
        area_names=("north", "south"),
        marks=marks,
    )
    pictures.draw_dispatch(
        tmp_path / "dispatch.png", TIME_S, traces["p_mw"], KINDS, energy_share=np.full((50, 2), 0.5)
    )
    pictures.draw_loading(tmp_path / "loading.png", TIME_S, traces["loading_percent"], BRANCHES)
    pictures.draw_reward_terms(tmp_path / "reward.png", TIME_S, terms)
    pictures.draw_overview(
        tmp_path / "overview.png", TIME_S, **traces, kinds=KINDS, branch_names=BRANCHES, terms=terms
    )
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == ["dispatch.png", "frequency.png", "loading.png", "overview.png", "reward.png"]


def test_an_episode_of_one_interval_at_rest_is_drawn(tmp_path):
    """The shortest and dullest episode: no spread to scale an axis by."""
    pictures.draw_overview(
        tmp_path / "overview.png",
        np.array([4.0]),
        df_hz=np.zeros((1, 6)),
        p_mw=np.zeros((1, 4)),
        kinds=KINDS,
        loading_percent=np.zeros((1, 4)),
        branch_names=BRANCHES,
        terms={"reward_frequency": np.zeros(1)},
    )
    pictures.draw_frequency(
        tmp_path / "frequency.png",
        np.array([4.0]),
        np.zeros((1, 6)),
        area=np.zeros(6, int),
        area_names=("all",),
    )
    pictures.draw_reward_terms(tmp_path / "reward.png", np.array([4.0]), {"reward_frequency": np.zeros(1)})
    assert len(list(tmp_path.iterdir())) == 3


def lines_of(axes):
    """Curves of a panel: name, colour and pattern; lines of limits and events span the panel and are left out."""
    return [
        (line.get_label(), line.get_color(), line._unscaled_dash_pattern)
        for line in axes.lines
        if len(line.get_xdata()) > 2
    ]


def test_a_panel_has_at_most_five_curves_and_no_two_look_alike(tmp_path, monkeypatch):
    """Twelve gas plants: the four that move most by name, all as a band; nine areas: the five that move most."""
    drawn = []
    monkeypatch.setattr(pictures, "save", lambda figure, path: drawn.append(figure))
    kinds = ("gas",) * 12 + ("bess",) * 5
    names = tuple(f"{kind}_{k}" for k, kind in enumerate(kinds))
    p_mw = np.outer(np.linspace(0.0, 1.0, 50), np.arange(17.0))
    pictures.draw_dispatch(
        tmp_path / "d.png", TIME_S, p_mw, kinds, names=names, energy_share=np.full((50, 5), 0.5)
    )
    area = np.arange(9)
    df_hz = np.random.default_rng(0).normal(size=(50, 9)) * np.arange(1.0, 10.0)
    pictures.draw_frequency(
        tmp_path / "f.png", TIME_S, df_hz, area=area, area_names=[f"area {a}" for a in area]
    )
    terms = {
        f"reward_{name}": -np.ones(50) for name in ("frequency", "movement", "effort", "violations", "lost")
    }
    pictures.draw_reward_terms(tmp_path / "r.png", TIME_S, terms)
    for figure in drawn:
        for axes in figure.axes:
            looks = [(color, str(pattern)) for _, color, pattern in lines_of(axes)]
            assert len(looks) <= 5
            assert len(set(looks)) == len(looks)
    gas, batteries = drawn[0].axes[1], drawn[0].axes[2]
    assert [name for name, _, _ in lines_of(gas)] == ["gas_8", "gas_9", "gas_10", "gas_11"]
    assert [name for name, _, _ in lines_of(batteries)] == [f"bess_{k}" for k in range(12, 17)]


@pytest.mark.parametrize("n_area", [2, 3, 5])
def test_the_rows_of_all_areas_lie_within_their_panel(tmp_path, monkeypatch, n_area):
    """An area may move by half a row: 5 mHz either way of the mean are rows of 10 mHz."""
    drawn = []
    monkeypatch.setattr(pictures, "save", lambda figure, path: drawn.append(figure))
    df_hz = 0.005 * np.sign(np.sin(np.arange(50)))[:, None] * np.linspace(1.0, -1.0, n_area)
    names = [f"area {k}" for k in range(n_area)]
    pictures.draw_frequency(tmp_path / "f.png", TIME_S, df_hz, area=np.arange(n_area), area_names=names)
    below = drawn[0].axes[1]
    low, high = below.get_ylim()
    for line in below.lines:
        assert low < np.min(line.get_ydata())
        assert np.max(line.get_ydata()) < high


def test_both_ratings_stand_in_the_picture_of_loadings(tmp_path, monkeypatch):
    """Loadings are of rating A throughout; B, here 1.2 times A, is a line of its own above them."""
    drawn = []
    monkeypatch.setattr(pictures, "save", lambda figure, path: drawn.append(figure))
    loading = np.full((50, 4), 110.0)
    pictures.draw_loading(tmp_path / "l.png", TIME_S, loading, BRANCHES, rating_b_percent=np.full(4, 120.0))
    (axes,) = drawn[0].axes
    limits = {
        line.get_label(): float(line.get_ydata()[0]) for line in axes.lines if len(line.get_xdata()) == 2
    }
    assert limits == {"rating A": 100.0, "rating B, after an outage": 120.0}
    assert axes.get_ylabel() == "loading [% of rating A]"


@pytest.mark.parametrize("end_s", [24.0, 100.0, 600.0, 2000.0])
def test_the_time_axis_of_an_episode_of_any_length_has_numbers(end_s):
    from control.evaluation.episode_panels import finish_axes
    from grid_model.picture.style import new_figure

    axes = new_figure(4.0, 3.0, "").subplots()
    axes.plot([4.0, end_s], [0.0, 1.0])
    finish_axes(axes, "", with_legend=False)
    shown = [tick for tick in axes.get_xticks() if 4.0 <= tick <= end_s]
    assert 2 <= len(shown) <= 12
