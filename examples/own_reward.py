"""Other weights of the reward: what movement costs decides how much a planner moves.

Everything that reads the reward follows: environments, the learner, predictive control and the bound.
"""

import numpy as np

from control.controllers.predictive import PredictiveController
from control.evaluation.grid_record import ByPlant, Figures
from control.evaluation.rollout import rollout
from control.task.reward import RewardConfig
from marl.environment import make_batch


def main(scenario="normal", n_env=2):
    """MW that predictive control moves in an episode, at the usual price of movement and at ten times that."""
    found = {}
    for movement in (1.0, 10.0):
        batch = make_batch(scenario, n_env, reward=RewardConfig(movement=movement))
        controller = PredictiveController(batch.description, n_env)
        record = rollout(controller, ByPlant(batch), np.arange(n_env), Figures)
        found[movement] = float(np.nansum(record["moved_mw"], axis=(1, 2)).mean())
        print(f"price of movement x {movement:4.1f}: {found[movement]:8,.0f} MW moved in an episode")
    return found


if __name__ == "__main__":
    main()
