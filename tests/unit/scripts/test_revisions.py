"""Two revisions side by side: played by probes, told apart to the bit, and nothing of the other left behind."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import compare_revisions
from benchmarks import probe, revisions


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A project of two commits whose second pins another version of numpy."""
    root = tmp_path / "project"
    root.mkdir()
    git = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    (root / "setup.cfg").write_text(
        "[options]\ninstall_requires =\n    # arrays\n    numpy>=2.0\n[options.extras_require]\nosqp =\n    osqp\n"
    )
    for version in (np.__version__, "0.1"):
        (root / "constraints.txt").write_text(f"# pins\nnumpy=={version}\nnot_here==1.0\n")
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "-qm", version], check=True)
    monkeypatch.setattr(revisions, "ROOT", root)
    return root


def worktrees(root: Path) -> int:
    found = subprocess.run(
        ["git", "-C", str(root), "worktree", "list"], capture_output=True, text=True, check=True
    )
    return len(found.stdout.splitlines())


def test_a_revision_stands_in_a_worktree_while_it_is_needed_and_the_present_environment_plays_its_pins(
    repository,
):
    with revisions.checked_out("HEAD~1") as tree:
        assert (tree.root / "constraints.txt").read_text().splitlines()[1] == f"numpy=={np.__version__}"
        assert tree.python == Path(sys.executable)
        assert worktrees(repository) == 2
    assert not tree.root.parent.exists()
    assert worktrees(repository) == 1


def test_ctrl_c_leaves_nothing_behind(repository):
    with pytest.raises(KeyboardInterrupt), revisions.checked_out("HEAD~1") as tree:
        raise KeyboardInterrupt
    assert not tree.root.parent.exists()
    assert worktrees(repository) == 1


def test_other_pins_get_an_environment_of_their_own(repository, monkeypatch):
    built = []

    def build(root, directory):
        built.append(root)
        return directory / "bin" / "python"

    monkeypatch.setattr(revisions, "build_environment", build)
    with revisions.checked_out("HEAD") as tree:
        assert built == [tree.root]
        assert tree.python != Path(sys.executable)


@pytest.mark.parametrize("name", ["nowhere", "--all", ""])
def test_a_revision_that_is_none_is_told_by_its_name(repository, name):
    with (
        pytest.raises(revisions.RevisionError, match=f"git knows no revision '{name}'"),
        revisions.checked_out(name),
    ):
        pass


def test_ratios_are_medians_of_ours_over_theirs():
    assert revisions.ratios({"update_s": [(2.0, 1.0), (3.0, 1.0), (9.0, 3.0)]}) == {"update_s": 3.0}


def test_this_tree_against_itself_is_equal_to_the_bit_and_measured_in_turns():
    here = revisions.here()
    rollout = {"scenario": "n1", "level": "area", "observation": "default", "n_env": 2, "steps": 3}
    with revisions.probes(here, here) as (mine, theirs):
        mine.send("rollout", **rollout)
        found = mine.receive(), theirs.ask("rollout", **rollout)
        assert found[0] == found[1]
        assert {"observations", "state", "reward", "ends", "term reward_frequency"} <= set(found[0])
        measured = revisions.measure_in_turns(mine, theirs, ["env_steps_per_s_1"], 2, steps=3, episodes=1)
        with pytest.raises(revisions.RevisionError, match="no command is called 'fly'"):
            mine.ask("fly")
    assert len(measured["env_steps_per_s_1"]) == 2
    assert all(speed > 0.0 for both in measured["env_steps_per_s_1"] for speed in both)


def test_a_hash_tells_of_the_last_bit_and_of_the_type():
    reward = np.array([1.0, 2.0])

    def of(value):
        return [array.tobytes() for _, array in probe.arrays({"b": value, "a": None}, "x")]

    assert of(reward) == of(reward.copy())
    assert of(reward) != of(np.nextafter(reward, 3.0))


def test_what_differs_or_stands_alone_is_named():
    assert compare_revisions.differences({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}) == ["b", "c"]


@pytest.mark.parametrize(("theirs", "status"), [({"reward": "1"}, 0), ({"reward": "2"}, 1)])
def test_the_exit_status_tells_equal_from_different(monkeypatch, tmp_path, capsys, theirs, status):
    class Canned:
        def __init__(self, answer):
            self._answer = answer

        def send(self, do, **options):
            pass

        def receive(self):
            return self._answer

    from contextlib import nullcontext

    monkeypatch.setattr(revisions, "checked_out", lambda name: nullcontext(revisions.here()))
    monkeypatch.setattr(
        revisions, "probes", lambda *trees: nullcontext([Canned({"reward": "1"}), Canned(theirs)])
    )
    assert compare_revisions.main(["--against", "x", "--json", str(tmp_path / "h.json")]) == status
    assert capsys.readouterr().out.count("equal\n") == (7 if status == 0 else 0)
    assert len(json.loads((tmp_path / "h.json").read_text())) == 7


def test_a_comparison_with_nothing_is_a_wrong_option(capsys):
    with pytest.raises(SystemExit) as end:
        compare_revisions.main([])
    assert end.value.code == 2
    assert "--against names the revision" in capsys.readouterr().err
