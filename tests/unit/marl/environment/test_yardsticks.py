"""Variants of a study beside controllers that learn nothing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from control.evaluation import learning_figures
from marl.environment.yardsticks import (
    TableError,
    joined,
    measured,
    read_table,
    retold,
    yardsticks_named,
)
from marl.training.study import Study

FULL = np.array([-1.0, -2.0, -3.0])


def the_table():
    """Two seeds; their mean costs twice what full information does in each of three episodes, the linear law 2 more."""
    results = [
        {"variant": "gru", "judged": {"normal": {"final": {"returns": returns}}}}
        for returns in ([-1.0, -3.0, -5.0], [-3.0, -5.0, -7.0])
    ]
    rows = [
        {"variant": "gru", "source": "memory", "seeds": 2, "episodes": 1000, "parameters": 2e4, "elapsed_s": 90.0,
         "steps_per_s": 5.0, "update_ms": 1.0, "judged_behind_best_percent_max": -2.5, "ahead": {"normal": None}}
    ]  # fmt: skip
    contenders = yardsticks_named("full_information,linear")
    return measured(
        rows, results, contenders, {"normal": {"full_information": FULL, "linear": 2.0 * FULL - 2.0}}
    )


def test_costs_over_full_information_and_differences_are_of_pairs_of_episodes():
    """The pairs' ratios and differences are alike, so each interval is its mean, though the costs spread."""
    gru, full, linear = the_table()
    assert gru["returns"] == {"normal": -4.0}
    # A ratio of sums is exact to rounding; so is a mean of equal differences.
    assert gru["cost_ratio_to_full_information"]["normal"] == pytest.approx(
        {"mean": 2.0, "low": 2.0, "high": 2.0}, rel=1e-12
    )
    assert gru["ahead_of_linear"]["normal"] == pytest.approx(
        {"mean": 2.0, "low": 2.0, "high": 2.0}, rel=1e-12
    )
    assert full["cost_ratio_to_full_information"]["normal"]["mean"] == 1.0
    assert (linear["seeds"], linear["returns"]) == (0, {"normal": -6.0})
    assert gru["steps_per_s"] == 5.0  # what the table said before


def test_the_document_tells_learners_and_yardsticks_in_one_table_best_first():
    lines = learning_figures.family(the_table())
    names = [line.split(" | ")[0].removeprefix("| ") for line in lines[2:5]]
    assert [name.split(" (")[0] for name in names] == ["full information", "gru", "linear policy"]
    # No distance from the plain learner, where there is no other.
    assert "| gru (memory) | 2 | -4 | 2.00 (2.00 to 2.00) | +2 (+2 to +2) |" in lines
    assert "| gru (memory) | 20,000 | 1.5 | 5 | 1 | -2.5 % |" in lines


def a_study(**changed) -> Study:
    asked = {
        "names": ("gru",),
        "seeds": 3,
        "total_episodes": 1000,
        "observation": "default",
        "scenario": "training",
        "judge_scenarios": ("normal",),
        "judge_episodes": 3,
        "out": Path("runs"),
    }
    return Study(**asked | changed)


def test_variants_of_an_earlier_table_stand_beside_in_front_of_the_yardsticks():
    gru, full, linear = the_table()
    happo = {**gru, "variant": "happo", "returns": {"normal": -9.0}}
    found = joined([gru, full, linear], [{**gru, "seeds": 1}, happo, full, linear])
    assert found == [gru, happo, full, linear]  # its own rows are the newer ones
    assert joined([gru, full, linear], []) == [gru, full, linear]


def test_a_table_of_other_episodes_is_refused():
    contenders = yardsticks_named("full_information,linear")
    returns = {"normal": {"full_information": FULL, "linear": 2.0 * FULL - 2.0}}
    rows = the_table()
    assert retold(rows, contenders, returns) == (rows, [])
    moved = [{**row, "returns": {"normal": row["returns"]["normal"] - 0.01}} for row in rows]
    with pytest.raises(
        TableError, match=r"full_information returned -2.01 in normal, here -2.0: other episodes"
    ):
        retold(moved, contenders, returns)
    with pytest.raises(TableError, match=r"linear returned None in n1, here -2.0"):
        retold(rows, yardsticks_named("linear"), {"n1": {"linear": FULL}})


def test_where_one_yardstick_is_another_by_now_a_table_is_told_anew():
    """Full information costs half of what it did: 4 times as dear is who was twice, and ahead by 1 less."""
    contenders = yardsticks_named("full_information,linear")
    returns = {"normal": {"full_information": 0.5 * FULL, "linear": 2.0 * FULL - 2.0}}
    found, changed = retold(the_table(), contenders, returns)
    assert changed == ["full_information"]
    gru = found[0]
    assert gru["cost_ratio_to_full_information"]["normal"]["mean"] == pytest.approx(4.0, rel=1e-12)
    assert gru["ahead_of_full_information"]["normal"]["mean"] == pytest.approx(-3.0, rel=1e-12)
    assert gru["ahead_of_linear"]["normal"]["mean"] == pytest.approx(2.0, rel=1e-12)


def test_a_row_that_tells_of_other_episodes_than_are_judged_is_refused():
    contenders = yardsticks_named("full_information,linear")
    returns = {"normal": {"full_information": FULL, "linear": 2.0 * FULL - 2.0}}
    rows = the_table()
    for episodes in ({}, {"normal": [-4.0, -4.0]}):
        with pytest.raises(TableError, match="gru tells of other episodes in normal"):
            retold([{**rows[0], "episode_returns": episodes}, *rows[1:]], contenders, returns)


def test_rows_without_their_episodes_lose_what_was_told_of_a_yardstick_of_before():
    contenders = yardsticks_named("full_information,linear")
    returns = {"normal": {"full_information": 0.5 * FULL, "linear": 2.0 * FULL - 2.0}}
    rows = [{k: v for k, v in row.items() if k != "episode_returns"} for row in the_table()]
    gru = retold(rows, contenders, returns)[0][0]
    assert "cost_ratio_to_full_information" not in gru
    assert "ahead_of_full_information" not in gru
    assert gru["ahead_of_linear"] == rows[0]["ahead_of_linear"]
    beside = {**gru, "variant": "happo", "ahead": {"normal": {"mean": 1.0, "low": 0.0, "high": 2.0}}}
    lines = learning_figures.family([the_table()[0], beside, *the_table()[1:]])
    assert "| happo (memory) | 2 | -4 | - | +2 (+2 to +2) | +1 (+0 to +2) |" in lines


@pytest.mark.parametrize(
    ("content", "names", "message"),
    [
        ("[1", ["linear"], "cannot be read"),
        ("{}", ["linear"], "is no table of ablation.py"),
        ('[{"variant": "gru", "returns": {}}]', ["linear"], "is no table of ablation.py"),
        ('[{"variant": "gru", "seeds": "3", "returns": {}}]', ["linear"], "is no table of ablation.py"),
        (
            '[{"variant": "gru", "seeds": 3, "returns": {"n1": "-1"}}]',
            ["linear"],
            "is no table of ablation.py",
        ),
        ("[" * 100_000 + "]" * 100_000, ["linear"], "cannot be read"),
        ('[{"variant": "gru", "seeds": 3, "returns": {}}]', ["linear"], "has no yardstick linear"),
        (
            '[{"variant": "gru", "seeds": 3, "returns": {}, "episode_returns": {"n1": ["-1"]}}]',
            ["linear"],
            "is no table of ablation.py",
        ),
        ("[]", [], "needs --yardsticks"),
    ],
)
def test_what_is_no_table_with_these_yardsticks_is_told_of(tmp_path, content, names, message):
    path = tmp_path / "table.json"
    path.write_text(content)
    with pytest.raises(TableError, match=message):
        read_table(path, names, a_study())


def a_table(tmp_path, **changed) -> tuple[Path, list[dict[str, Any]]]:
    gru, full, linear = the_table()
    rows = [{**gru, "seeds": 3, "observation": "default", "scenario": "normal", **changed}, full, linear]
    path = tmp_path / "table.json"
    path.write_text(json.dumps(rows))
    return path, rows


def test_a_table_is_read_as_it_was_written(tmp_path):
    path, rows = a_table(tmp_path)
    assert read_table(path, ["linear", "full_information"], a_study()) == rows


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"variant": "happo"}, "begins with variant happo, this table with gru"),
        ({"episodes": 100}, "begins with episodes 100, this table with 1000"),
        ({"scenario": "n1"}, "begins with scenario n1, this table with normal"),
    ],
)
def test_a_table_whose_first_variant_was_trained_or_judged_otherwise_is_refused(tmp_path, changed, message):
    path, _ = a_table(tmp_path, **changed)
    with pytest.raises(TableError, match=message):
        read_table(path, ["linear"], a_study())
