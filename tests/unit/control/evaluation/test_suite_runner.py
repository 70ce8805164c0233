"""Kept results of a comparison: used again while nothing has changed, and computed anew as soon as anything has."""

import shutil
from importlib.metadata import Distribution
from pathlib import Path

import numpy as np
import pytest

from control.controllers.registry import BASELINES, is_tuned, tuned_directory
from control.evaluation import fingerprint as fingerprint_module
from control.evaluation import suite_runner
from control.evaluation.contender import ALL, ComparisonError, resolve
from control.evaluation.fingerprint import PACKAGES, fingerprint, package_folders
from control.evaluation.suite_runner import compare
from control.scenario.task_grid import open_task_grid
from marl.environment.contenders import learned, make_grid

ROOT = Path(__file__).resolve().parents[4]
MODEL = ROOT / "marl" / "data" / "recommended_seed0.pt"
SUITES = {"normal": [1, 2]}


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> list[Path]:
    """A copy of all packages as they are."""
    place = tmp_path_factory.mktemp("sources")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    return [place / name for name in PACKAGES]


@pytest.fixture
def played(monkeypatch) -> list[str]:
    """Names of the contenders in the order in which they were really played; figures are their count."""
    names: list[str] = []

    def play(job, make):
        names.append(job.contender.label)
        return {"return": np.full(len(job.seeds), float(len(names)))}

    monkeypatch.setattr(suite_runner, "play", play)
    return names


def compared(contenders, cache, packages=None, suites=SUITES):
    found = compare(contenders, suites, make=make_grid, cache=cache, workers=1, packages=packages)
    return [found["normal"][contender.name]["return"].tolist() for contender in contenders]


def test_the_fingerprint_is_of_the_packages_that_play():
    assert [folder.resolve() for folder in package_folders()] == [ROOT / name for name in PACKAGES]


def test_a_change_of_how_inputs_are_scaled_is_noticed_and_nothing_else_is_played_twice(
    sources, tmp_path, played
):
    contenders = resolve(f"agc,{MODEL}", learned)
    assert compared(contenders, tmp_path, sources) == [[1.0, 1.0], [2.0, 2.0]]
    assert compared(contenders, tmp_path, sources) == [[1.0, 1.0], [2.0, 2.0]]
    assert played == ["agc", "recommended_seed0"]
    scaling = sources[-1] / "networks" / "normalization.py"
    whole = scaling.read_text(encoding="utf-8")
    changed = whole.replace("self.magnify * x", "3.0 * self.magnify * x")
    assert changed != whole
    scaling.write_text(changed, encoding="utf-8")
    try:
        assert compared(contenders, tmp_path, sources) == [[3.0, 3.0], [4.0, 4.0]]
    finally:
        scaling.write_text(whole, encoding="utf-8")
    assert compared(contenders, tmp_path, sources) == [[1.0, 1.0], [2.0, 2.0]]
    assert len(played) == 4


@pytest.mark.parametrize("name", ["control/data/agc.json", "cases/data/ieee68", "marl/protocol.py"])
def test_every_file_of_data_and_code_counts(sources, name):
    path = sources[0].parent / name
    if path.is_dir():
        path = next(path.rglob("*.csv"))
    before, content = fingerprint(sources), path.read_bytes()
    path.write_bytes(content + b"\n")
    try:
        assert fingerprint(sources) != before
    finally:
        path.write_bytes(content)
    assert fingerprint(sources) == before


def test_another_version_of_a_library_counts(monkeypatch, sources):
    class Newer(Distribution):
        version = "99.0"

        @property
        def metadata(self):
            return {"Name": "numpy"}

        def read_text(self, filename):
            return None

        def locate_file(self, path):
            return path

    before = fingerprint(sources)
    monkeypatch.setattr(fingerprint_module, "distributions", lambda: [Newer()])
    assert fingerprint(sources) != before


def test_another_model_of_the_same_name_and_other_seeds_are_played_anew(tmp_path, played):
    path = tmp_path / "model.pt"
    for content, n_played in ((MODEL, 1), (MODEL, 1), (ROOT / "marl" / "data" / "extended_seed0.pt", 2)):
        shutil.copy(content, path)
        (contender,) = resolve(str(path), learned)
        compared([contender], tmp_path / "cache")
        assert len(played) == n_played
    assert (contender.observation, contender.information) == ("extended", "the agents' 18 numbers")
    compared([contender], tmp_path / "cache", suites={"normal": [1, 3]})
    assert len(played) == 3


def test_a_users_own_controller_is_played_anew_when_its_file_changes(tmp_path, played):
    path = tmp_path / "mine.py"
    for text, n_played in (
        ("class Still: pass\n", 1),
        ("class Still: pass\n", 1),
        ("class Still: a = 1\n", 2),
    ):
        path.write_text(text)
        compared(resolve(f"{path}:Still", learned), tmp_path / "cache")
        assert len(played) == n_played


def test_what_is_tuned_for_a_grid_of_ones_own_is_played_anew_when_it_has_been_tuned_on(
    tmp_path, played, monkeypatch
):
    """Its file stands outside of the packages, whose files count anyhow."""
    monkeypatch.chdir(tmp_path)
    case = open_task_grid("case39").case
    path = tuned_directory(case) / "agc.json"
    path.parent.mkdir(parents=True)
    for content, n_played in (("{}", 1), ("{}", 1), ('{"parameters": {}}', 2)):
        path.write_text(content)
        compared(resolve("agc", learned, case), tmp_path / "cache")
        assert len(played) == n_played


def test_all_are_those_that_are_tuned_for_the_grid(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {contender.name for contender in resolve("all", learned, open_task_grid("case39").case)}
    assert {"mpc", "full_information", "full_information_now", "do_nothing"} <= names
    assert not {"agc", "linear", "linear_memory"} & names


def test_all_are_the_baselines_in_the_order_of_theory_each_once():
    found = resolve("mpc,all,agc", learned)
    names = [contender.name for contender in found]
    assert names[0] == "mpc"
    untuned = {name for name in ALL if name in BASELINES and not is_tuned(name)}
    assert sorted(names) == sorted(set(ALL) - untuned)
    assert len({contender.title for contender in found}) == len(found)
    with pytest.raises(ComparisonError, match="'pid' is neither a controller"):
        resolve("agc,pid", learned)


def _with_damage(archive: bytes) -> bytes:
    """One byte of the compressed numbers, which follow the name of the first array, is another."""
    at = archive.index(b"return.npy") + 50
    return archive[:at] + bytes([archive[at] ^ 0x20]) + archive[at + 1 :]


def test_kept_figures_that_a_disk_has_damaged_are_played_again(tmp_path, played):
    contenders = resolve("agc", learned)
    assert compared(contenders, tmp_path) == [[1.0, 1.0]]
    (kept,) = tmp_path.glob("*.npz")
    whole = kept.read_bytes()
    # A byte within, cut off, empty, and something else.
    for n_played, content in enumerate((_with_damage(whole), whole[:-9], b"", b"text"), start=2):
        kept.write_bytes(content)
        assert compared(contenders, tmp_path) == [[float(n_played)] * 2]
    assert compared(contenders, tmp_path) == [[5.0, 5.0]]
