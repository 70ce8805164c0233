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
