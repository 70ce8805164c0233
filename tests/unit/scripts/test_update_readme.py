"""The figures of the documents are what the results say."""

import json
from pathlib import Path

import pytest

import update_readme
from control.evaluation import figures

ROOT = Path(__file__).resolve().parents[3]
FIGURES = {
    "engine_max_dv_pu": 1.66e-11,
    "lightsim2grid_max_dv_pu": 2.5e-11,
    "total_load_mw": 17620.7,
    "losses_mw": 166.83,
    "slack_p_mw": 3379.53,
    "vm_min_pu": 0.83666,
    "vm_min_bus": 64,
    "vm_max_pu": 1.06337,
    "vm_max_bus": 51,
}
TEXT = "before\n<!-- figures:begin power_flow -->\nold\n<!-- figures:end power_flow -->\nafter\n"


def test_a_block_holds_its_result_and_nothing_else_changes(tmp_path):
    result = {"tr18": FIGURES | {"max_dv_pu": 4.952e-5, "max_dva_degree": 4.967e-5}, "rogers": FIGURES}
    (tmp_path / "power_flow.json").write_text(json.dumps(result))
    after = figures.filled(TEXT, tmp_path, update_readme.BLOCKS)
    assert after.startswith("before\n<!-- figures:begin power_flow -->\n| power flow | tr18 | rogers |\n")
    assert "| farthest from the published voltages [pu] | 4.95e-05 | not published |\n" in after
    assert "| largest distance from lightsim2grid [pu] | 2.5e-11 | 2.5e-11 |\n" in after
    assert "| lowest voltage [pu] | 0.8367 at bus 64 | 0.8367 at bus 64 |\n" in after
    assert after.endswith("<!-- figures:end power_flow -->\nafter\n")
    assert "old" not in after
    assert figures.filled(after, tmp_path, update_readme.BLOCKS) == after


def test_a_result_that_does_not_exist_is_said_to_be_missing(tmp_path):
    assert "Not measured yet" in figures.filled(TEXT, tmp_path, update_readme.BLOCKS)


@pytest.mark.parametrize(
    ("text", "result", "words"),
    [
        (TEXT.replace("power_flow", "weather"), "{}", "block 'weather' is unknown"),
        (TEXT.replace("<!-- figures:end power_flow -->", ""), "{}", "begins and never ends"),
        (TEXT, "{", "power_flow.json, line 1"),
        (TEXT, '{"tr18": {}}', "is missing; write it anew by: python scripts/validate_power_flow.py"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, text, result, words):
    (tmp_path / "power_flow.json").write_text(result)
    with pytest.raises(figures.FiguresError, match=words):
        figures.filled(text, tmp_path, update_readme.BLOCKS)


def test_the_results_are_up_to_date():
    assert update_readme.main(["--check"]) == 0
