"""Learners by name: what a configuration may ask for is what there is."""

from typing import get_args

import pytest

from marl.algorithms.registry import ALGORITHMS, algorithm_named
from marl.config.training import AlgorithmName, TrainingConfig
from marl.protocol import AgentGroup

GROUPS = (AgentGroup(name="a", agents=("a_0", "a_1"), observation_size=2, action_size=1),)


def test_every_name_that_a_configuration_takes_is_a_learner():
    assert set(ALGORITHMS) == set(get_args(AlgorithmName))


@pytest.mark.parametrize("name", get_args(AlgorithmName))
def test_a_learner_calls_itself_by_the_name_it_was_asked_for(name):
    algorithm = algorithm_named(name)(TrainingConfig(algorithm=name), GROUPS, 3)
    assert algorithm.name == name
    algorithm.begin_episodes()  # as a curriculum may ask of any
