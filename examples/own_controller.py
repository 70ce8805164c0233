"""A control law of one's own on held-out episodes, beside tuned AGC and doing nothing.

Every plant moves its set-point against the frequency of its own bus, and a battery leads itself back to half charge.
"""

import numpy as np

from control.controllers.base import OWN_DF, UTILISATION
from control.controllers.registry import make_baseline
from control.evaluation.grid_record import ByPlant
from control.evaluation.rollout import rollout
from marl.environment import make_batch


class Proportional:
    """Action = -gain x frequency of the own bus + a pull of the batteries towards half charge."""

    def __init__(self, is_battery, gain=0.3, pull=0.02):
        self.is_battery, self.gain, self.pull = is_battery, gain, pull

    def reset(self, envs, seeds):
        """Nothing to forget."""

    def act(self, observation):
        """[env, resource, 15] -> [env, resource]."""
        charge = np.where(self.is_battery, observation[:, :, UTILISATION] - 0.5, 0.0)
        return np.clip(-self.gain * observation[:, :, OWN_DF] + self.pull * charge, -1.0, 1.0)


def main(scenario="normal", n_env=4):
    """Mean return of each on the same episodes."""
    batch = make_batch(scenario, n_env)
    seeds = np.arange(n_env)
    is_battery = np.array([kind == "bess" for kind in batch.case.resource.kind])
    controllers = {"own law": Proportional(is_battery)}
    controllers |= {name: make_baseline(name, batch.description, n_env) for name in ("agc", "do_nothing")}
    found = {}
    for name, controller in controllers.items():
        found[name] = rollout(controller, ByPlant(batch), seeds).returns.mean()
        print(f"{name:10s} mean return of {n_env} episodes {found[name]:12,.0f}")
    return found


if __name__ == "__main__":
    main()
