"""What is handed in as a controller and is none, and actions of another shape: told before they can do harm."""

import numpy as np
import pytest

from control.controllers.base import ControllerError, require_controller
from control.evaluation.contender import ComparisonError, own
from control.evaluation.grid_record import ByPlant
from control.evaluation.rollout import rollout
from control.task.action import ActionError


class Still:
    def reset(self, envs, seeds):
        pass

    def act(self, observation):
        return np.zeros(observation.shape[:2])


class Forgetful:
    def act(self, observation):
        return np.zeros(observation.shape[:2])


def act(observation):
    return observation


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (act, r"'act' is a function, expected an object with reset\(envs, seeds\) and act\(observation\)"),
        (Still, "'Still' is a class, expected an object of it"),
        (Forgetful(), "'Forgetful' has no method reset, expected"),
        (None, "'NoneType' has no method reset and no method act, expected"),
    ],
)
def test_what_is_no_controller_is_told_before_an_episode_begins(given, message):
    with pytest.raises(ControllerError, match=message):
        require_controller(given)
    with pytest.raises(ControllerError, match=message):
        rollout(given, None, np.array([0]))


def test_a_controller_passes():
    require_controller(Still())


class Grid:
    """As much of a grid as is asked before an interval is played."""

    n_env = 2

    class case:
        n_resource = 3

        class resource:
            @staticmethod
            def of_kind(kind):
                return np.arange(3) if kind == "bess" else np.array([], dtype=int)


@pytest.mark.parametrize(
    ("action", "found"),
    [
        (None, "NoneType"),
        (np.zeros(3), r"shape \(3,\)"),
        (np.zeros((2, 4)), r"shape \(2, 4\)"),
        ([0.0], "list"),
    ],
)
def test_an_answer_that_is_no_action_for_each_plant_is_told_with_its_shape(action, found):
    with pytest.raises(ActionError, match=rf"acted with {found}, expected an array .* of shape \(2, 3\)$"):
        ByPlant(Grid()).step(action)


class Environment:
    """What a user's class is built from."""

    n_env = 2

    class loop:
        fleet = "plants"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def Mine(observation): ...", "Mine is a function, expected a class with reset and act"),
        ("class Mine: ...", "'?Mine'? has no method reset and no method act"),
        ("class Mine:\n    def __init__(self, only_one): ...", r"Mine\(only_one\) cannot be built, expected"),
        ("class Other: ...", "has no class 'Mine'"),
        ("1 / 0", "cannot be run: ZeroDivisionError: division by zero"),
        ("class Mine(", r"cannot be run: SyntaxError: '\(' was never closed"),
    ],
)
def test_a_users_file_without_a_controller_is_told_in_one_line(tmp_path, source, message):
    (tmp_path / "mine.py").write_text(source)
    contender = own(f"{tmp_path}/mine.py:Mine")
    with pytest.raises(ComparisonError, match=message) as caught:
        contender.builders[0](Environment())
    assert "\n" not in str(caught.value)


def test_a_users_class_is_built_with_its_plants_or_without(tmp_path):
    (tmp_path / "mine.py").write_text(
        "class Mine:\n    def __init__(self, fleet, n_env):\n        self.given = fleet, n_env\n"
        "    def reset(self, envs, seeds): ...\n    def act(self, observation): ...\n"
        "class Bare(Mine):\n    def __init__(self):\n        self.given = None\n"
    )
    assert own(f"{tmp_path}/mine.py:Mine").builders[0](Environment()).given == ("plants", 2)
    assert own(f"{tmp_path}/mine.py:Bare").builders[0](Environment()).given is None
