"""pandapower is asked once for a grid, and again whenever anything of the question has changed."""

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from builders import three_area, two_bus
from cases.ieee68 import load_ieee68
from grid_model.power_flow import remembered_oracle
from grid_model.power_flow.newton import NewtonEngine
from grid_model.power_flow.remembered_oracle import published_voltages
from grid_model.power_flow.solution import EngineMismatch

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Names of the cases that pandapower was asked for; the cache is an empty directory."""
    monkeypatch.setenv("IEEE68_CACHE_DIR", str(tmp_path))
    names, ask = [], remembered_oracle._ask

    def ask_and_note(case, *shares):
        names.append(case.name)
        return ask(case, *shares)

    monkeypatch.setattr(remembered_oracle, "_ask", ask_and_note)
    return names


def test_the_second_engine_of_a_grid_asks_nothing(asked):
    case = two_bus()
    for _ in range(2):
        NewtonEngine(case)
    assert asked == [case.name]


def test_what_is_shipped_is_what_pandapower_answers_today(asked):
    """Within 1e-12 pu: Newton's last step is some 1e-13 of one, and another processor may round otherwise."""
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line)
    if any(version(name) != pinned[name] for name in remembered_oracle.PROGRAMS):
        pytest.skip("another pandapower, pandas, numpy or scipy than those that are pinned")
    engine = NewtonEngine(load_ieee68())
    question = (engine.case, engine._share, 0.0)
    assert asked == [], (
        "sources or pins have changed since; in the place of what is in grid_model/power_flow/pandapower_answers put "
        f"{remembered_oracle.question(*question)}.npz of your cache's {remembered_oracle.FOLDER}"
    )
    assert len(list(remembered_oracle.SHIPPED.iterdir())) == 1
    shipped, fresh = published_voltages(*question), published_voltages(*question, again=True)
    np.testing.assert_allclose(shipped, fresh, rtol=0, atol=1e-12)
    assert asked == [engine.case.name]


def test_whatever_the_answer_follows_from_is_asked_for_again(asked, tmp_path, monkeypatch):
    """Loads, ratios, shares, reactors, another grid, another pandapower, other sources: each once, then never more."""
    case = three_area()
    share = np.array([0.2, 0.3, 0.5])
    tap = np.where(case.branch.is_transformer, 1.01, 1.0)
    other_tap = replace(case.branch, tap=tap, tap_bus=np.where(tap != 1.0, case.branch.from_bus, -1))
    questions = [
        (case, share, 0.0),
        (replace(case, load=replace(case.load, p_mw=0.99 * case.load.p_mw)), share, 0.0),
        (replace(case, branch=other_tap), share, 0.0),
        (case, share[::-1].copy(), 0.0),
        (case, share, 0.5),
        (two_bus(), np.ones(1), 0.0),
    ]
    first = [published_voltages(*question) for question in questions]
    assert len(asked) == len(questions)
    for question, v_pu in zip(questions, first, strict=True):
        np.testing.assert_array_equal(published_voltages(*question), v_pu)
    assert len(asked) == len(questions)
    source = tmp_path / "network.py"
    source.write_text("# other lines\n")
    with monkeypatch.context() as patch:
        patch.setattr(remembered_oracle, "SOURCES", (source,))
        published_voltages(case, share, 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(remembered_oracle, "version", lambda name: "0.0")
        published_voltages(case, share, 0.0)
    assert len(asked) == len(questions) + 2


@pytest.mark.parametrize("damage", [b"", b"no archive", b"PK\x03\x04 half of one"])
def test_a_damaged_answer_is_asked_for_again(asked, tmp_path, damage):
    case = two_bus()
    NewtonEngine(case)
    (kept,) = (tmp_path / remembered_oracle.FOLDER).iterdir()
    kept.write_bytes(damage)
    NewtonEngine(case)
    NewtonEngine(case)
    assert len(asked) == 2


def test_a_remembered_answer_is_compared_and_a_wrong_one_never_trusted(asked, tmp_path, monkeypatch):
    """Voltages 1e-6 pu off are found out and asked for again; an engine that is 1e-6 pu off is refused each time."""
    case = two_bus()
    NewtonEngine(case)
    (kept,) = (tmp_path / remembered_oracle.FOLDER).iterdir()
    v_pu = np.load(kept)["v_pu"]
    np.savez(kept, v_pu=v_pu + 1e-6)
    NewtonEngine(case)
    assert len(asked) == 2
    reference = NewtonEngine.reference_injection
    monkeypatch.setattr(NewtonEngine, "reference_injection", lambda engine: reference(engine) * 1.0001)
    for _ in range(2):
        with pytest.raises(EngineMismatch, match=r"differ by .* at bus 2"):
            NewtonEngine(case)


def test_a_directory_that_cannot_be_written_costs_only_time(asked, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("IEEE68_CACHE_DIR", str(tmp_path / "file"))
    for _ in range(2):
        NewtonEngine(two_bus())
    assert len(asked) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
