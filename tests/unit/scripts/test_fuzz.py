"""A few hundred damaged inputs of each kind, as `make fuzz` tries ten thousand; and that it would notice."""

import random

import pytest

import fuzz
from control.evaluation import damaged_grids
from control.evaluation.damage import damaged, try_damaged

N_INPUT = {"command_line": 100, "grid_file": 30, "pandapower": 30}  # some 10 ms each, 200 and 200


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_damaged_inputs_end_in_one_clear_line(kind):
    n_input = N_INPUT.get(kind, 200)
    counts = try_damaged(kind, fuzz.ways()[kind], n_input, 1, None, lambda: None)
    assert counts.wrong == []
    assert counts.accepted + counts.refused == n_input
    assert counts.refused > n_input // 5  # most damage is noticed; none would mean that nothing is damaged


@pytest.mark.parametrize(
    ("error", "wrong"),
    [
        (ValueError("one line"), None),
        (ValueError("two\nlines"), "refused in 2 lines"),
        (ValueError(), "refused in 0 lines"),
        (KeyError("x"), "KeyError: 'x'"),
        (RecursionError("too deep"), "RecursionError: too deep"),
    ],
)
def test_whatever_ends_otherwise_is_counted_and_kept(tmp_path, error, wrong):
    def take(content):
        raise error

    way = (lambda rng: b"input", take, (ValueError,))
    counts = try_damaged("config", lambda directory: way, 2, 0, tmp_path / "kept", lambda: None)
    if wrong is None:
        assert (counts.refused, counts.wrong) == (2, [])
        assert not (tmp_path / "kept").exists()
    else:
        assert [line.startswith(f"input {k}: {wrong}") for k, line in enumerate(counts.wrong)] == [True, True]
        assert (tmp_path / "kept" / "config-0-1").read_bytes() == b"input"


def test_the_same_seed_does_the_same_damage_and_hardly_any_input_stays_whole():
    rng, again = random.Random(3), random.Random(3)
    inputs = [damaged(damaged_grids.SCENARIO, rng) for _ in range(200)]
    assert inputs == [damaged(damaged_grids.SCENARIO, again) for _ in range(200)]
    assert sum(content == damaged_grids.SCENARIO for content in inputs) < 20


def test_what_is_damaged_was_whole(tmp_path):
    """Or every input would be refused for what was wrong before."""
    _, take, _ = damaged_grids.scenario(tmp_path)
    take(damaged_grids.SCENARIO)
    _, take, _ = damaged_grids.matpower(tmp_path)
    take(damaged_grids.MATPOWER)
    _, take, _ = damaged_grids.grid_file(tmp_path)
    for name, content in damaged_grids.GRID_FILES.items():
        take(name.encode() + b"\n" + content)


def test_wrong_kinds_are_refused(capsys):
    with pytest.raises(SystemExit) as end:
        fuzz.main(["--kinds", "weather"])
    assert end.value.code == 2
    assert "--kinds weather, expected of scenario" in capsys.readouterr().err
