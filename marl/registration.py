"""The name under which Gymnasium knows the grid.

Gymnasium calls this at each of its starts, whoever imports it, so nothing heavy is imported here.
"""

from __future__ import annotations

NAME = "FrequencyControl-v0"


def register() -> None:
    """Tell `gymnasium.make` of the whole fleet as one agent; the entry point `gymnasium.envs` of this package."""
    import gymnasium

    if NAME not in gymnasium.registry:
        gymnasium.register(id=NAME, entry_point="marl.environment.gymnasium_env:GridJointEnv")
