"""scripts/train_mappo.py as its users meet it, on a toy environment so that a run takes a second."""

import csv
import errno
import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

from marl.config.training import ConfigError, TrainingConfig
from marl.environment.grid_training import batch_maker, scenario_of
from marl.networks.policy import Policy
from marl.training.run_claim import RunClaim
from marl.verification.killing import content
from unit.marl.toys import make_batch

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "train_mappo.py"
SMALL = (
    *(
        "--total-episodes",
        "32",
        "--episode-steps",
        "10",
        "--n-envs",
        "4",
        "--device",
        "cpu",
        "--no-tensorboard",
    ),
    *("--buffer-steps", "64", "--minibatch-steps", "32", "--eval-every", "2", "--eval-episodes", "3"),
    "--no-eval-process",  # a second or two each
    *("--actor-hidden", "8", "--critic-hidden", "8"),
)


@pytest.fixture
def train(monkeypatch, tmp_path):
    """The script's main, its environments replaced by a toy, in an empty directory."""
    toy = types.ModuleType("marl.environment.batch")
    toy.make_batch = make_batch
    monkeypatch.setitem(sys.modules, "marl.environment.batch", toy)
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    monkeypatch.chdir(tmp_path)
    import train_mappo

    return train_mappo.main


def test_help_explains_every_flag_without_loading_torch_or_pandapower():
    """A heavy import would make `--help` take seconds; the interpreter is asked what it loaded."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", SCRIPT, "--help"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    loaded = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert "marl.config.training" in loaded
    assert not {"torch", "pandapower", "matplotlib", "numpy"} & loaded
    for flag in ("--preset", "--total-episodes", "--n-envs", "--seed", "--device", "--out", "--resume", "--scenario",
                 "--lr-actor", "--lr-critic", "--gamma", "--gae-lambda", "--clip", "--entropy-coef", "--value-coef",
                 "--max-grad-norm", "--buffer-steps", "--minibatch-steps", "--epochs", "--actor-hidden",
                 "--critic-hidden", "--sharing", "--log-std-init"):  # fmt: skip
        assert flag in done.stdout, flag


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--gama", "0.9"], "perhaps you meant --gamma"),
        (["--gamma", "much"], "--gamma"),
        (["--gamma", "2"], "gamma = 2.0, expected in [0, 1]"),
        (["--n_envs", "48"], "n_envs = 48 does not divide buffer_steps = 2048"),
        (["--refine_lr", "0.001"], "refine_lr = 0.001 is of a refinement, but refine_passes = 0"),
        (
            ["--refine_passes", "4", "--shield"],
            "refine_passes = 4 differentiates actions as they are asked for",
        ),
        (["--imitation_agents", "2"], "imitation_agents = 2 is of a start by imitation, but start = ''"),
        (["--preset", "best"], "'recommended', 'quick', 'reference'"),
        (["--resume", "nowhere"], "nowhere is no run: it has no config.json"),
        (["--minibatch-steps", "300"], "minibatch_steps = 300 does not divide buffer_steps = 2048"),
    ],
)
def test_a_wrong_option_is_one_clear_line(train, capsys, arguments, said):
    try:
        status = train(arguments)
    except SystemExit as end:
        status = end.code
    assert status == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("train_mappo.py: error: ")
    assert said in lines[0]


def test_a_run_leaves_what_the_design_lists_and_publishes_the_newest_models(train, tmp_path, capsys):
    assert train(SMALL) == 0
    (directory,) = (tmp_path / "runs").iterdir()
    assert directory.name.startswith("ieee68-seed0-")
    expected = {
        "config.json", "versions.json", "metrics.csv", "checkpoint_last.pt", "best_model.pt", "final_model.pt",
        "training_stats.json", "training_curves.png",
    }  # fmt: skip
    assert {p.name for p in directory.iterdir()} == expected
    published = {p.name for p in (tmp_path / "checkpoints").iterdir()}
    assert published == {"best_model.pt", "final_model.pt", "training_stats.json", "training_curves.png"}
    assert Policy.load("checkpoints/best_model.pt").metadata["case"] == "ieee68"
    printed = capsys.readouterr().out
    for part in ("return", "violations", "steps/s", "left", "held-out"):
        assert part in printed
    assert json.loads((directory / "versions.json").read_text())["packages"]["torch"]


def test_flags_with_underscores_and_dashes_mean_the_same(train, tmp_path):
    assert train([*SMALL, "--out", "a", "--lr-actor", "0.002"]) == 0
    assert (
        train([*[a.replace("-", "_").replace("__", "--", 1) for a in SMALL], "--out=b", "--lr_actor=0.002"])
        == 0
    )
    one, two = (json.loads((tmp_path / d / "config.json").read_text()) for d in ("a", "b"))
    assert one == two
    assert one["training"]["ppo"]["lr_actor"] == 0.002


def test_a_resumed_run_writes_its_models_where_it_wrote_them_before(train, tmp_path, monkeypatch):
    assert train([*SMALL, "--out", "run", "--checkpoints", "models"]) == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    longer = ["--resume", str(tmp_path / "run"), "--no-tensorboard", "--total-episodes"]
    assert train([*longer, "48"]) == 0
    assert not (tmp_path / "elsewhere" / "checkpoints").exists()
    for name in ("final_model.pt", "training_stats.json"):
        assert (tmp_path / "models" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()
    assert train([*longer, "64", "--checkpoints", "others"]) == 0  # which is then its place
    assert train([*longer, "80"]) == 0
    newest = (tmp_path / "run" / "final_model.pt").read_bytes()
    assert (tmp_path / "elsewhere" / "others" / "final_model.pt").read_bytes() == newest
    assert (tmp_path / "models" / "final_model.pt").read_bytes() != newest


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--samplers", "2"], "--samplers 2 are a Ray cluster's: add --ray local"),
        (["--ray", "local", "--samplers", "5"], "--samplers 5, expected from 1 to n_envs = 4"),
        (["--ray", "127.0.0.1:1"], "--ray 127.0.0.1:1: no cluster|--ray 127.0.0.1:1 needs Ray"),
        (["--async-updates", "1"], "--async-updates 1 needs samplers: add --ray local"),
    ],
)
def test_helpers_that_cannot_be_are_refused_before_a_training_is_announced(
    train, tmp_path, capsys, options, said
):
    assert train([*SMALL, "--out", "run", *options]) in (1, 2)
    told = capsys.readouterr()
    assert re.search(said, told.err)
    assert told.out == ""
    assert not (tmp_path / "run").exists()


def test_a_run_is_resumed_with_its_own_settings_and_may_train_longer(train, tmp_path, capsys):
    assert train([*SMALL, "--out", "run", "--gamma", "0.8"]) == 0
    capsys.readouterr()
    assert train(["--resume", "run", "--no-tensorboard"]) == 2  # nothing left to do
    told = capsys.readouterr()
    assert "trained all of its 32 episodes; ask for more by --total-episodes" in told.err
    assert told.out == ""  # nothing is said to be resumed
    assert train(["--resume", "run", "--total-episodes", "8", "--no-tensorboard"]) == 2
    said = "run has trained 32 episodes already, --total-episodes 8, expected more than that"
    assert said in capsys.readouterr().err
    config = json.loads((tmp_path / "run" / "config.json").read_text())["training"]
    assert config["total_episodes"] == 32
    assert train(["--resume", "run", "--total-episodes", "48", "--no-tensorboard"]) == 0
    assert capsys.readouterr().out.startswith("Resuming 48 episodes of ")
    config = json.loads((tmp_path / "run" / "config.json").read_text())["training"]
    assert (config["total_episodes"], config["ppo"]["gamma"]) == (48, 0.8)
    assert (
        json.loads((tmp_path / "run" / "training_stats.json").read_text())["updates"] == 8
    )  # 480 steps / 64


@pytest.mark.parametrize(
    "killed_before", ["final_model.pt", "training_stats.json", "training_curves.png", "publishing"]
)
def test_a_run_that_was_killed_after_its_last_episode_is_brought_to_its_end(
    train, tmp_path, monkeypatch, killed_before
):
    """Its last checkpoint says that all is trained; its models are written and published after that."""
    import marl.checkpoint
    import marl.training.run_directory

    class Killed(BaseException):
        pass

    def dies(*arguments):
        raise Killed

    def writes(path, content):
        if path.name == killed_before or (killed_before == "publishing" and path.parent.name == "models"):
            raise Killed
        return write(path, content)

    run = tmp_path / "run"
    often = [*SMALL, "--checkpoint-every", "1"]
    assert train([*often, "--out", "whole", "--checkpoints", "expected"]) == 0
    write = marl.checkpoint.write_atomically
    with monkeypatch.context() as patch:
        for module in (marl.checkpoint, marl.training.run_directory):
            patch.setattr(module, "write_atomically", writes)
        if killed_before == "training_curves.png":
            patch.setattr("marl.training.curves.draw_training_curves", dies)
        with pytest.raises(Killed):
            train([*often, "--out", "run", "--checkpoints", "models"])
    assert (run / "checkpoint_last.pt").exists()
    assert not (tmp_path / "models" / "final_model.pt").exists()
    again = ["--resume", "run", "--no-tensorboard", "--checkpoints", "models"]
    assert train(again) == 0
    for name in ("best_model.pt", "final_model.pt"):
        both = [
            Policy.load(directory / name).state_dict()
            for directory in (tmp_path / "models", tmp_path / "whole")
        ]
        for key, value in both[0].items():
            assert torch.equal(value, both[1][key]), f"{name} {key}"
    for name in ("checkpoint_last.pt", "checkpoint_previous.pt"):
        assert content(run / name) == content(tmp_path / "whole" / name), name
    assert json.loads((tmp_path / "models" / "training_stats.json").read_text())["finished"]
    assert (tmp_path / "models" / "training_curves.png").exists()
    assert train(again) == 2  # now there is nothing left to do


def test_a_run_is_not_overwritten_and_not_resumed_as_something_else(train, capsys):
    assert train([*SMALL, "--out", "run"]) == 0
    capsys.readouterr()
    assert train([*SMALL, "--out", "run"]) == 2
    assert "already holds a run" in capsys.readouterr().err
    assert train(["--resume", "run", "--n-envs", "8"]) == 2
    assert "a resumed run keeps n_envs: it was 4, asked for 8" in capsys.readouterr().err


def test_a_broken_checkpoint_ends_in_one_clear_line(train, tmp_path, capsys):
    assert train([*SMALL, "--out", "run"]) == 0
    path = tmp_path / "run" / "checkpoint_last.pt"
    path.write_bytes(path.read_bytes()[:1000])
    capsys.readouterr()
    assert train(["--resume", "run", "--total-episodes", "48", "--no-tensorboard"]) == 1
    assert "checkpoint_last.pt is broken" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    [b"{}", b"[]", b'{"training": []}', b'{"training": {"network": 3}}', b"\xff\xfe", b"{"],
)
def test_a_configuration_that_is_none_ends_in_one_clear_line(train, tmp_path, capsys, content):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_bytes(content)
    assert train(["--resume", "run"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "run/config.json" in line


def test_a_machine_without_git_trains_as_well(train, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert train([*SMALL, "--out", "run"]) == 0
    assert json.loads((tmp_path / "run" / "versions.json").read_text())["commit"] == "unknown"


def test_a_directory_whose_run_never_saved_anything_can_be_used(train, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    assert train([*SMALL, "--out", "run"]) == 0


def test_episodes_are_as_long_as_asked_for_and_a_files_own_length_is_not_overruled(tmp_path):
    config = TrainingConfig(episode_steps=20)
    batch = batch_maker(config, "normal", stagger=False)(2)
    assert batch.scenario.n_intervals == 20
    path = tmp_path / "short.toml"
    path.write_text('base = "normal"\nn_intervals = 6\n')
    assert scenario_of(TrainingConfig(episode_steps=6), str(path)).n_intervals == 6
    with pytest.raises(ConfigError, match="ask for --episode-steps 6"):
        scenario_of(config, str(path))


def test_a_full_disk_ends_in_one_clear_line_and_the_run_can_go_on(train, monkeypatch, capsys):
    """The disk fills up while the fourth row of metrics is written; with room again the run is resumed."""
    from marl.training.logger import MetricsTable

    add = MetricsTable.add

    def full(self, update, step, values):
        if update == 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        add(self, update, step, values)

    with monkeypatch.context() as patch:
        patch.setattr(MetricsTable, "add", full)
        assert train([*SMALL, "--out", "run", "--checkpoint-every", "1"]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "No space left on device" in line
    assert "checkpoints written before are intact" in line
    assert train(["--resume", "run", "--no-tensorboard"]) == 0


def test_an_unknown_scenario_is_one_clear_line(monkeypatch, tmp_path, capsys):
    """With the real environment: the name is looked up before anything is built."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    monkeypatch.chdir(tmp_path)
    import train_mappo

    assert train_mappo.main(["--scenario", "calm", "--no-tensorboard"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "no scenario is called 'calm'" in line


def test_held_out_episodes_are_played_beside_the_learner_unless_asked_otherwise(train, tmp_path):
    """The same metrics either way, times aside."""
    shared = [flag for flag in SMALL if flag != "--no-eval-process"]
    assert train([*shared, "--out", "beside"]) == 0
    assert train([*shared, "--no-eval-process", "--out", "here"]) == 0

    def metrics(run):
        with open(tmp_path / run / "metrics.csv", newline="") as file:
            return [
                {k: v for k, v in row.items() if not k.startswith("time/")} for row in csv.DictReader(file)
            ]

    assert metrics("beside") == metrics("here")
    assert sum(bool(row["eval/return"]) for row in metrics("here")) > 2


def test_a_directory_in_use_is_left_to_the_run_that_is_there(train, tmp_path, capsys):
    """Neither a second run with the same --out nor one that resumes it; a claim that was left behind hinders nobody."""
    directory = tmp_path / "run"
    with RunClaim(directory):
        assert train([*SMALL, "--out", "run"]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("compil")]
    assert f"run is in use by process {os.getpid()} on " in line
    assert list(directory.iterdir()) == []
    (directory / "run.lock").write_text('{"process": 1, "host": "gone", "since": "2000-01-01"}')
    assert train([*SMALL, "--out", "run"]) == 0
    with RunClaim(directory):
        assert train(["--resume", "run", "--total-episodes", "48", "--no-tensorboard"]) == 1
    assert "run is in use by process" in capsys.readouterr().err


def test_a_run_goes_on_though_a_byte_of_its_metrics_and_one_of_its_checkpoint_are_damaged(
    train, tmp_path, capsys
):
    assert train([*SMALL, "--out", "run", "--checkpoint-every", "1"]) == 0
    metrics, last = tmp_path / "run" / "metrics.csv", tmp_path / "run" / "checkpoint_last.pt"
    content = metrics.read_bytes()
    metrics.write_bytes(content[:-12] + b"\x81" + content[-11:])
    last.write_bytes(last.read_bytes()[:1000])
    assert train(["--resume", "run", "--total-episodes", "48", "--no-tensorboard"]) == 0
    told = capsys.readouterr().err
    assert "checkpoint_last.pt is broken" in told
    assert "going on from run/checkpoint_previous.pt" in told


def test_the_settings_of_an_earlier_run_begin_a_new_one(train, tmp_path, capsys):
    """By its directory or by its config.json, and options beside it hold; a preset beside it is a contradiction."""
    assert train([*SMALL, "--out", "first", "--gamma", "0.8"]) == 0
    assert train(["--config", "first", "--out", "second", "--seed", "7", "--no-tensorboard"]) == 0
    first, second = (
        json.loads((tmp_path / name / "config.json").read_text()) for name in ("first", "second")
    )
    first["training"]["seed"] = 7
    assert second == first
    assert train(["--config", "first/config.json", "--preset", "reference"]) == 2
    assert "leave --preset" in capsys.readouterr().err
    assert train(["--config", "nowhere.json"]) == 2
    assert "nowhere.json is not there" in capsys.readouterr().err


def test_a_run_without_a_checkpoint_says_how_to_begin_anew_before_anything_is_built(train, tmp_path, capsys):
    assert train([*SMALL, "--out", "run"]) == 0
    for path in (tmp_path / "run").glob("checkpoint_*.pt"):
        path.unlink()
    assert train(["--resume", "run"]) == 2
    captured = capsys.readouterr()
    assert (
        "run holds no checkpoint_last.pt to resume from: begin anew with its settings by --config"
        in captured.err
    )
    assert "Resuming" not in captured.out


@pytest.mark.parametrize("saved", [False, True])
def test_who_stops_at_once_is_told_what_is_left(train, tmp_path, monkeypatch, capsys, saved):
    """Ctrl-C while things are built: nothing is kept of a new run, not even its directory; an old one is named."""
    if saved:
        assert train([*SMALL, "--out", "run"]) == 0
    capsys.readouterr()

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("marl.environment.grid_training.make_trainer", interrupted)
    again = ["--resume", "run", "--total-episodes", "48"] if saved else ["--out", "run"]
    assert train(again) == 130
    said = capsys.readouterr().err
    if saved:
        assert "what it saved last is kept, to resume:" in said
        assert said.rstrip().endswith("scripts/train_mappo.py --resume run")
    else:
        assert said == "train_mappo.py: stopped before anything was saved\n"
        assert not (tmp_path / "run").exists()


def test_metrics_go_to_weights_and_biases_where_asked_and_a_missing_library_is_one_line(
    train, tmp_path, monkeypatch, capsys
):
    """A stand-in of the library takes what `init` and `log` are given: every row of metrics.csv, in its order."""
    monkeypatch.setitem(sys.modules, "wandb", None)  # what Python has for a module that is not to be imported
    assert train([*SMALL, "--out", "without", "--wandb", "grid"]) == 2
    said = capsys.readouterr()
    assert "wandb is not installed; pip install wandb, or leave it out" in said.err
    assert said.out == ""

    class Run:
        rows, ended = [], False

        def log(self, values, step):
            self.rows.append((step, values))

        def finish(self):
            Run.ended = True

    stand_in = types.ModuleType("wandb")
    stand_in.errors = types.SimpleNamespace(Error=RuntimeError)
    asked = {}
    stand_in.init = lambda **options: asked.update(options) or Run()
    monkeypatch.setitem(sys.modules, "wandb", stand_in)
    assert train([*SMALL, "--out", "run", "--wandb", "grid"]) == 0
    assert (asked["project"], asked["id"], asked["resume"]) == ("grid", "run", "allow")
    with open(tmp_path / "run" / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [step for step, _ in Run.rows] == [int(row["step"]) for row in rows]
    for (_, values), row in zip(Run.rows, rows, strict=True):
        assert {tag: f"{x:.8g}" for tag, x in values.items()} == {
            tag: row[tag] for tag in row if row[tag] and tag not in ("update", "step")
        }
    assert Run.ended


def test_steps_beyond_the_episodes_asked_for_are_told(train, capsys):
    """An update of 64 steps takes one episode of 10 with it; 32 episodes are five updates."""
    assert train([*SMALL, "--total-episodes", "1", "--out", "few", "--checkpoints", "models"]) == 0
    assert "An update takes 64 steps: 64 are played, where 10 were asked for" in capsys.readouterr().out
    assert train([*SMALL, "--out", "whole", "--checkpoints", "models"]) == 0
    assert "An update takes" not in capsys.readouterr().out
