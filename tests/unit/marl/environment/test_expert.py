"""Controllers of the grid as experts: what they do there is what they do in a comparison, and actors begin with it."""

import re
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from builders import with_plants
from cases.ieee68 import load_ieee68
from control.controllers.base import SetPoints
from control.controllers.registry import make_baseline, stored_parameters
from control.evaluation.contender import known
from control.scenario.suites import TRAINING
from control.task.layout import DF_HZ, OWN_DF
from marl.checkpoint import CheckpointError
from marl.config.imitation import ImitationConfig
from marl.config.training import ConfigError, NetworkConfig, TrainingConfig
from marl.environment import expert as expert_module
from marl.environment.batch import make_batch
from marl.environment.contenders import learned
from marl.environment.expert import ExpertsByKind, GridExpert, begin_imitating, experts_of
from marl.environment.grid_training import check_scenarios
from marl.environment.held_out import PolicyInGroups
from marl.environment.warm_start import experts_named, members_of, with_own_zones
from marl.networks.policy import Policy
from marl.training import progress_report

MODEL = str(Path(__file__).parents[4] / "marl" / "data" / "informed_seed0.pt")  # sees 22 numbers
SHORT = replace(TRAINING, n_intervals=40)


def build(n_env, observation):
    return make_batch(SHORT, n_env, observation=observation, check=False)


def test_an_expert_does_what_the_controller_does_and_sees_no_more_than_it():
    """`linear` sees 15 numbers of the 18 that the grid shows here."""
    batch = build(2, "extended")
    seen = batch.reset(np.array([1, 2]))
    expert = GridExpert(known("linear"), batch)
    narrow = build(2, "default")
    shown = narrow.task.reset(np.array([1, 2])).agents.astype(np.float64)
    expected = make_baseline("linear", narrow.description, 2).act(shown)
    done = expert.act(seen)
    for kind, rows in batch.task.of_kind.items():
        # float32 once, on the way to the learner.
        np.testing.assert_allclose(done[kind][..., 0], expected[:, rows], atol=1e-6)


def test_set_points_hear_what_was_done_instead():
    """A third of a step up was asked for, a whole one down was done: the command is one step below zero."""
    fleet = build(1, "default").description.fleet
    points = SetPoints(fleet, 1)
    points.towards(fleet.step_mw[None] / 3)
    points.took(np.full((1, fleet.n_resource), -1.0))
    np.testing.assert_allclose(points.command_mw[0], np.maximum(-fleet.step_mw, fleet.low_mw), rtol=1e-12)


def test_every_kind_of_plants_may_have_an_expert_of_its_own():
    """Batteries as one law says, the others as another, each as alone; both hear what all did."""
    batch = build(2, "memory")
    seen = batch.reset(np.array([1, 2]))
    contenders = {
        "bess": [known("local_pi")],
        "gas": [known("linear_memory")],
        "dr": [known("linear_memory")],
    }
    together = ExpertsByKind(contenders, batch, zoned=False)
    alone = {name: GridExpert(known(name), batch) for name in ("local_pi", "linear_memory")}
    for expert in (together, *alone.values()):
        expert.reset(np.arange(2), np.array([1, 2]))
    for _ in range(3):
        done = together.act(seen)
        acted = {name: expert.act(seen) for name, expert in alone.items()}
        for kind, (contender,) in contenders.items():
            np.testing.assert_array_equal(done[kind], acted[contender.name][kind])
            np.testing.assert_array_equal(together.before_zones()[kind], acted[contender.name][kind])
        for expert in alone.values():
            expert.took(done)
        seen = batch.step(done).observation


def test_an_expert_may_be_the_mean_of_several_one_of_them_a_model():
    """Batteries as a law and the shipped policy in the mean, the others as the law alone, before its zones."""
    config = TrainingConfig(
        observation="memory", start=f"dagger:bess=linear_memory+{MODEL},gas=linear_memory,dr=linear_memory"
    )
    contenders, wider = experts_of(config.start.partition(":")[2], config)
    assert wider == "memory"
    assert [len(contenders[kind]) for kind in ("bess", "gas", "dr")] == [2, 1, 1]
    batch = build(2, "memory")
    seen = batch.reset(np.array([1, 2]))
    together = ExpertsByKind(contenders, batch, zoned=True)
    law = GridExpert(known("linear_memory"), batch, zoned=True)
    model = GridExpert(learned(MODEL), batch)
    for expert in (together, law, model):
        expert.reset(np.arange(2), np.array([1, 2]))
    for _ in range(3):
        done, by_law, by_model = (expert.act(seen) for expert in (together, law, model))
        mean = (by_law["bess"].astype(np.float64) + by_model["bess"]) / 2.0
        np.testing.assert_allclose(done["bess"], mean, atol=1e-7)  # single precision of numbers up to one
        np.testing.assert_array_equal(together.before_zones()["bess"], done["bess"])
        for kind in ("gas", "dr"):
            np.testing.assert_array_equal(done[kind], by_law[kind])
            np.testing.assert_array_equal(together.before_zones()[kind], law.before_zones()[kind])
        assert not np.allclose(by_law["bess"], by_model["bess"], atol=0.01)
        seen = batch.step(done).observation


def test_of_several_the_first_counts_alone_where_an_agent_is_far_off_60_hz():
    """One battery reads 80 mHz, one 20: beyond 50 the law alone, else the mean of law and model."""
    name = f"linear_memory+{MODEL}"
    imitation = ImitationConfig(imitation_alone_hz=0.05)
    contenders, _ = experts_of(
        name, TrainingConfig(observation="memory", start=f"dagger:{name}", imitation=imitation)
    )
    batch = build(2, "memory")
    seen = batch.reset(np.array([1, 2]))
    seen.observations["bess"][0, :2, OWN_DF] = np.array([-0.08, 0.02]) / DF_HZ
    seen.observations["bess"][1:, :, OWN_DF] = seen.observations["gas"][..., OWN_DF] = 0.0
    experts = (
        ExpertsByKind(contenders, batch, zoned=True, alone_hz=0.05),
        GridExpert(known("linear_memory"), batch, zoned=True),
        GridExpert(learned(MODEL), batch),
    )
    for expert in experts:
        expert.reset(np.arange(2), np.array([1, 2]))
    done, by_law, by_model = (expert.act(seen) for expert in experts)
    mean = {kind: 0.5 * (by_law[kind] + by_model[kind]) for kind in done}
    assert abs(by_law["bess"][0, 0, 0] - mean["bess"][0, 0, 0]) > 0.01
    assert done["bess"][0, 0] == by_law["bess"][0, 0]
    mean["bess"][0, 0] = by_law["bess"][0, 0]
    for kind in done:
        np.testing.assert_allclose(done[kind], mean[kind], atol=1e-7)  # single precision of numbers up to one
        np.testing.assert_array_equal(experts[0].before_zones()[kind], done[kind])


def test_a_first_of_several_needs_several():
    config = TrainingConfig(start="dagger:linear", imitation=ImitationConfig(imitation_alone_hz=0.05))
    with pytest.raises(ConfigError, match=r"imitation_alone_hz = 0.05 .* start = dagger:linear names one"):
        experts_of("linear", config)
    with pytest.raises(ConfigError, match="imitation_alone_hz = -0.1, expected at least 0"):
        ImitationConfig(imitation_alone_hz=-0.1)
    with pytest.raises(
        ConfigError, match="imitation_alone_hz = 50.0, expected at most 1 Hz; 50 mHz are 0.05"
    ):
        ImitationConfig(imitation_alone_hz=50.0)


def test_a_plus_in_the_name_of_a_file_is_no_mean(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a+b.py").touch()
    assert members_of("a+b.py:Mine") == ("a+b.py:Mine",)
    assert members_of("a+c.py:Mine") == ("a", "c.py:Mine")
    assert members_of("mpc + linear") == ("mpc", "linear")


def test_nobody_is_asked_of_a_kind_that_the_grid_has_none_of():
    """A grid of batteries and gas plants alone: an expert is named for demand response, of which there is none."""
    case = with_plants(load_ieee68(), ("bess", "gas"))

    def without_dr(n_env, observation):
        return make_batch(SHORT, n_env, observation=observation, case=case, check=False)

    settings = ImitationConfig(imitation_steps=8, imitation_envs=2, imitation_rounds=2, imitation_epochs=1)
    config = TrainingConfig(start="dagger:agc_textbook", imitation=settings)
    groups = without_dr(1, "default").groups
    assert [g.name for g in groups] == ["bess", "gas"]
    policy = Policy(groups, NetworkConfig(actor_hidden=(32,)))
    begin_imitating(policy, how="dagger", name="agc_textbook", config=config, build=without_dr)


def test_imitation_tells_how_far_it_is(monkeypatch, capsys):
    monkeypatch.setattr(progress_report, "SECONDS_BETWEEN_LINES", 0.0)
    settings = ImitationConfig(imitation_steps=12, imitation_envs=2, imitation_rounds=3, imitation_epochs=1)
    config = TrainingConfig(start="dagger:linear", imitation=settings)
    policy = Policy(build(1, "default").groups, NetworkConfig(actor_hidden=(32,)))
    begin_imitating(policy, how="dagger", name="linear", config=config, build=build)
    lines = capsys.readouterr().out.splitlines()
    # Three rounds of two steps of two environments.
    assert lines == [f"imitating linear: step {k} of 6" for k in range(1, 7)]


def staggered(n_env, observation):
    return make_batch(SHORT, n_env, observation=observation, check=False, stagger=True)


@pytest.mark.parametrize("damaged", [False, True])
def test_an_imitation_that_is_broken_off_ends_with_the_bits_of_one_that_was_not(
    tmp_path, monkeypatch, damaged
):
    """Broken off in the third round of four: two are taken up, or one where a byte of the second has changed."""
    settings = ImitationConfig(
        imitation_steps=96, imitation_envs=2, imitation_rounds=4, imitation_epochs=2, imitation_every=4
    )
    name = "bess=full_information,gas=linear,dr=linear"
    config = TrainingConfig(start=f"dagger:{name}", imitation=settings)

    def begun(directory, config=config):
        torch.manual_seed(0)
        policy = Policy(build(1, "default").groups, NetworkConfig(actor="gru", actor_hidden=(16,)))
        begin_imitating(policy, how="dagger", name=name, config=config, build=staggered, directory=directory)
        return policy.state_dict()

    class Killed(BaseException):
        pass

    played = []

    def broken_off(report):
        played.append(report)
        if len(played) == 30:  # of 12 steps a round
            raise Killed

    whole = begun(None)
    with monkeypatch.context() as patch:
        patch.setattr(progress_report.StartReport, "__call__", broken_off)
        with pytest.raises(Killed):
            begun(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "imitation_round_1.pt",
        "imitation_round_2.pt",
    ]
    if damaged:
        second = tmp_path / "imitation_round_2.pt"
        content = bytearray(second.read_bytes())
        content[len(content) // 2] ^= 1
        second.write_bytes(content)
    played.clear()
    monkeypatch.setattr(progress_report.StartReport, "__call__", lambda report: played.append(report))
    resumed = begun(tmp_path)
    assert len(played) == (36 if damaged else 24)
    # What it tells begins behind the rounds that are taken up.
    assert played[0]._done == (12 if damaged else 24)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(x, resumed[name]) for name, x in whole.items())
    with pytest.raises(CheckpointError, match="imitation_round_1.pt is of an imitation with other settings"):
        begun(tmp_path, replace(config, seed=1))


def test_rounds_shown_by_a_model_are_not_taken_up_once_its_file_is_another(tmp_path):
    model = tmp_path / "model.pt"
    shutil.copy(MODEL, model)
    settings = ImitationConfig(imitation_steps=8, imitation_envs=2, imitation_rounds=2, imitation_epochs=1)
    config = TrainingConfig(observation="memory", start=f"dagger:{model}", imitation=settings)
    policy = Policy(build(1, "memory").groups, NetworkConfig(actor_hidden=(32,)))
    begin = partial(begin_imitating, policy, how="dagger", config=config, build=build, directory=tmp_path)
    begin(name=str(model))
    begin(name=str(model))
    shutil.copy(Path(MODEL).with_name("robust_seed0.pt"), model)
    with pytest.raises(CheckpointError, match="imitation_round_1.pt is of an imitation with other settings"):
        begin(name=str(model))


def test_rounds_are_not_taken_up_once_their_episodes_or_their_law_are_others(tmp_path, monkeypatch):
    """A scenario's file keeps its name while its content changes, and so does a law that is tuned anew."""
    settings = ImitationConfig(imitation_steps=8, imitation_envs=2, imitation_rounds=2, imitation_epochs=1)
    config = TrainingConfig(start="dagger:linear", imitation=settings)
    policy = Policy(build(1, "default").groups, NetworkConfig(actor_hidden=(32,)))
    begin = partial(begin_imitating, policy, how="dagger", name="linear", config=config, directory=tmp_path)
    begin(build=build)

    def windier(n_env, observation):
        return make_batch(replace(SHORT, wind_percent=3.0), n_env, observation=observation, check=False)

    with pytest.raises(CheckpointError, match="imitation_round_1.pt is of an imitation with other settings"):
        begin(build=windier)
    begin(build=build)
    law = stored_parameters("linear")
    other = law | {"parameters": law["parameters"] | {"dead_zone": [0.1, 0.1, 0.1]}}
    monkeypatch.setattr(expert_module, "stored_parameters", lambda *_: other)
    with pytest.raises(CheckpointError, match="imitation_round_1.pt is of an imitation with other settings"):
        begin(build=build)


def test_a_model_that_is_imitated_leaves_torch_its_threads(tmp_path):
    settings = ImitationConfig(imitation_steps=4, imitation_envs=2, imitation_rounds=1, imitation_epochs=1)
    config = TrainingConfig(observation="memory", start=f"clone:{MODEL}", imitation=settings)
    policy = Policy(build(1, "memory").groups, NetworkConfig(actor_hidden=(32,)))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        begin_imitating(policy, how="clone", name=str(MODEL), config=config, build=build)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_experts_by_kind_are_named_for_all_kinds():
    assert experts_named("mpc", "clone:mpc") == {"bess": "mpc", "gas": "mpc", "dr": "mpc"}
    found = experts_named("bess=mpc, gas=agc,dr=agc", "")
    assert found == {"bess": "mpc", "gas": "agc", "dr": "agc"}
    for wrong in (
        "bess=mpc",
        "bess=mpc,gas=agc,hydro=agc",
        "bess=mpc,bess=agc,gas=agc,dr=agc",
        "bess=,gas=a,dr=a",
    ):
        with pytest.raises(ConfigError, match="bess=NAME,gas=NAME,dr=NAME"):
            experts_named(wrong, f"clone:{wrong}")


def test_experts_that_live_on_what_they_said_are_asked_at_every_step():
    config = TrainingConfig(start="dagger:mpc", imitation=ImitationConfig(imitation_every=2))
    with pytest.raises(ConfigError, match="imitation_every = 2 works with experts alone that keep no memory"):
        begin_imitating(None, how="dagger", name="mpc", config=config, build=build)
    # Who is cloned plays, and is asked at every step anyway.
    experts_of("mpc", replace(config, start="clone:mpc"))


def test_some_agents_stand_for_a_kind_where_it_has_one_network():
    few = ImitationConfig(imitation_agents=2)
    config = TrainingConfig(start="dagger:linear", imitation=few)
    experts_of("linear", config)
    for network in (NetworkConfig(sharing="agent"), NetworkConfig(sharing="all")):
        with pytest.raises(ConfigError, match="imitation_agents = 2 needs one network for each kind"):
            experts_of("linear", replace(config, network=network))


@pytest.mark.parametrize(
    "start",
    [
        "dagger:nobody",
        "clone:bound",
        "dagger:bess=full_information,gas=linear",
        "dagger:linear+",
        "dagger:linear+nobody",
        "clone:linear,mpc",
        "clone:all",
        "clone:bess=linear+bound,gas=linear,dr=linear",
    ],
)
def test_a_wrong_expert_is_refused_before_anything_is_built(start):
    with pytest.raises(ConfigError, match=f"start = {re.escape(start)}: "):
        check_scenarios(TrainingConfig(start=start))


def test_zones_are_those_of_the_laws_that_are_imitated():
    """Kinds whose expert is no linear law keep the dead zone that is set for all."""
    start = "dagger:bess=full_information,gas=linear_memory,dr=linear_memory"
    found = with_own_zones(TrainingConfig(start=start, network=NetworkConfig(dead_zone=0.02))).network
    stored = stored_parameters("linear_memory")["parameters"]
    assert found.dead_zones == (0.02, *(min(zone, 0.999) for zone in stored["dead_zone"][1:]))
    assert found.soft_zones == (0.0, *stored["soft_zone"][1:])
    by_law = [with_own_zones(TrainingConfig(start=f"clone:{name}")).network for name in ("linear", " linear")]
    assert by_law[0] == by_law[1]


@pytest.mark.parametrize("how", ["clone", "dagger"])
def test_actors_begin_as_the_linear_law_acts(how):
    """Idle actors miss its actions by their own size; a small start by imitation halves the mean square at least."""
    config = TrainingConfig(
        observation="extended",
        start=f"{how}:linear_extended",
        imitation=ImitationConfig(
            imitation_steps=960, imitation_envs=8, imitation_rounds=3, imitation_epochs=60
        ),
    )
    batch = build(4, "extended")
    torch.manual_seed(0)
    policy = Policy(batch.groups, NetworkConfig(actor_hidden=(32,), actor_linear=True, dead_zone=0.0))
    begin_imitating(policy, how=how, name="linear_extended", config=config, build=build)
    expert, actors = GridExpert(known("linear_extended"), batch), PolicyInGroups(policy)
    seen, size, miss = batch.reset(np.arange(4)), [], []
    for _ in range(30):
        wanted, done = expert.act(seen), actors.act(seen)
        size += [np.square(x).mean() for x in wanted.values()]
        miss += [np.square(x - done[kind]).mean() for kind, x in wanted.items()]
        seen = batch.step(wanted).observation
    assert np.mean(miss) < 0.5 * np.mean(size)


def test_a_linear_law_is_imitated_before_its_zones_where_the_actors_have_them():
    """The law of 15 numbers moves gas plants beyond 0.47 alone: on most steps what it wants does not show."""
    config = with_own_zones(TrainingConfig(start="dagger:linear"))
    stored = stored_parameters("linear")["parameters"]
    assert config.network.dead_zones == tuple(min(zone, 0.999) for zone in stored["dead_zone"])
    assert config.network.soft_zones == tuple(stored["soft_zone"])
    assert with_own_zones(TrainingConfig(start="dagger:mpc")).network == TrainingConfig().network
    batch = build(2, "default")
    seen = batch.reset(np.array([1, 2]))
    expert = GridExpert(known("linear"), batch, zoned=True)
    done, wanted = expert.act(seen), expert.before_zones()
    for kind, row in zip(batch.task.of_kind, np.array(stored["weight"]), strict=True):
        by_hand = np.clip(seen.observations[kind] @ row[:-1] + row[-1], -2.0, 2.0)
        np.testing.assert_allclose(wanted[kind][..., 0], by_hand, atol=1e-5)  # single precision
    drawn = Policy(batch.groups, config.network).explored(wanted, dead_zone=True)
    for kind in batch.task.of_kind:
        np.testing.assert_allclose(np.clip(drawn[kind], -1, 1), done[kind], atol=1e-6)


def test_an_expert_that_is_none_is_one_line(tmp_path):
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes(b"no model")
    config = TrainingConfig(start="clone:nobody")
    start = partial(begin_imitating, None, how="clone", config=config, build=build)
    with pytest.raises(ConfigError, match="start = clone:nobody: 'nobody' is neither a controller"):
        start(name="nobody")
    with pytest.raises(ConfigError, match="the bound is no controller"):
        start(name="bound")
    with pytest.raises(ConfigError, match="an expert has no name, expected one, or A"):
        start(name="linear+")
    with pytest.raises(ConfigError, match="broken or no checkpoint"):
        start(name=f"linear+{damaged}")
    shipped = list(Path(MODEL).parent.glob("*_seed0.pt"))
    with pytest.raises(ConfigError, match=rf"fits {len(shipped)} models; the mean of several is FILE"):
        start(name=str(Path(MODEL).parent / "*_seed0.pt"))
    with pytest.raises(ConfigError, match="sees areas besides"):
        start(name="area_agc_textbook")
    with pytest.raises(ConfigError, match="coordinators"):
        start(name="mpc", config=TrainingConfig(start="clone:mpc", observation="hierarchy"))


def test_an_expert_with_nothing_to_tune_is_imitated_and_its_rounds_kept(tmp_path):
    settings = ImitationConfig(imitation_steps=8, imitation_envs=2, imitation_rounds=2, imitation_epochs=1)
    config = TrainingConfig(start="dagger:agc_textbook+do_nothing", imitation=settings)
    policy = Policy(build(2, "default").groups, config.network)
    begin_imitating(
        policy, how="dagger", name="agc_textbook+do_nothing", config=config, build=build, directory=tmp_path
    )
    assert [path.name for path in sorted(tmp_path.glob("imitation_round_*.pt"))] == [
        "imitation_round_1.pt",
        "imitation_round_2.pt",
    ]
